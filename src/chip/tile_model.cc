#include "chip/tile_model.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/fnv.h"
#include "chip/lower.h"

namespace edgewise::chip {
namespace {

uint64_t LargestMagnitude(const Integers& x, uint64_t rows, uint64_t columns) {
  if (x.int8() != nullptr) return 128;
  uint64_t most = 0;
  for (uint64_t i = 0; i < rows; ++i) {
    for (uint64_t j = 0; j < columns; ++j) {
      most = std::max(most, static_cast<uint64_t>(std::abs(int64_t{x.at(i, j)})));
    }
  }
  return most;
}

}  // namespace

PhaseCycles& PhaseCycles::operator+=(const PhaseCycles& other) {
  load += other.load;
  compute += other.compute;
  drain += other.drain;
  stall += other.stall;
  host += other.host;
  link += other.link;
  return *this;
}

Traffic& Traffic::operator+=(const Traffic& other) {
  activations += other.activations;
  weights += other.weights;
  control += other.control;
  results += other.results;
  return *this;
}

TileCost& TileCost::operator+=(const TileCost& other) {
  cycles += other.cycles;
  phases += other.phases;
  traffic += other.traffic;
  tiles += other.tiles;
  useful_macs += other.useful_macs;
  return *this;
}

TileRun& TileRun::operator+=(const TileRun& other) {
  cost += other.cost;
  executed_tiles += other.executed_tiles;
  overflows += other.overflows;
  joules += other.joules;
  return *this;
}

double Utilisation(const ChipDesign& design, const TileCost& cost) {
  if (cost.total_cycles() == 0) return 0;
  const double peak = static_cast<double>(PeakMacs(design)) * design.chips;
  return static_cast<double>(cost.useful_macs) / (static_cast<double>(cost.total_cycles()) * peak);
}

double Reuse(const TileCost& cost) {
  const uint64_t bytes = cost.traffic.activations + cost.traffic.weights;
  return bytes == 0 ? 0 : static_cast<double>(cost.useful_macs) / static_cast<double>(bytes);
}

TileCost TimeProduct(const ChipDesign& design, const Product& product, const Integers* w,
                     std::span<const Stall> stalls) {
  const std::vector<Share> shares = SharesOf(design, product);
  TileCost slowest, all;
  for (const Share& share : shares) {
    const Product part = {product.m, share.n, product.k};
    const Tiling tiling = w != nullptr ? TileProduct(design, part, w->FromRow(share.first))
                                       : TileProduct(design, part);
    const TileCost cost = TimeTiles(design, tiling, stalls);
    if (cost.total_cycles() >= slowest.total_cycles()) slowest = cost;
    all += cost;
  }
  all.cycles = slowest.cycles;
  all.phases = slowest.phases;
  if (shares.size() > 1) {
    const double chips = static_cast<double>(shares.size());
    const double bytes =
        static_cast<double>(product.m * product.n * sizeof(int32_t)) * (chips - 1) / chips;
    const double seconds = bytes / design.link_bytes_s + design.link_latency_s;
    all.phases.link = static_cast<uint64_t>(std::ceil(seconds * design.clock_hz));
  }
  return all;
}

TileRun RunTiles(const ChipDesign& design, const Product& product, const Integers& a,
                 const Integers& w, const Results& c, std::span<const Stall> stalls,
                 ThreadPool& pool) {
  CheckOperands(design, product, a, w);
  TileRun run;
  run.cost = TimeProduct(design, product, &w, stalls);
  for (const Share& share : SharesOf(design, product)) {
    const Integers part = w.FromRow(share.first);
    const Tiling tiling = TileProduct(design, {product.m, share.n, product.k}, part);
    run.executed_tiles += ExecuteTiles(tiling, a, part, {c.data + share.first, c.stride}, pool);
  }
  run.overflows = CountOverflows(product, a, w);
  return run;
}

uint64_t CountOverflows(const Product& product, const Integers& a, const Integers& w) {
  const __int128 bound = static_cast<__int128>(LargestMagnitude(a, product.m, product.k)) *
                         LargestMagnitude(w, product.n, product.k) * product.k;
  if (bound <= INT32_MAX) return 0;
  uint64_t overflows = 0;
  for (uint64_t i = 0; i < product.m; ++i) {
    for (uint64_t j = 0; j < product.n; ++j) {
      __int128 sum = 0;
      for (uint64_t k = 0; k < product.k; ++k) sum += int64_t{a.at(i, k)} * w.at(j, k);
      overflows += sum < INT32_MIN || sum > INT32_MAX;
    }
  }
  return overflows;
}

uint64_t HashOf(const Product& product, const Results& c) {
  uint64_t hash = kFnvOffset;
  for (uint64_t i = 0; i < product.m; ++i) {
    for (uint64_t j = 0; j < product.n; ++j) {
      hash = FnvMixBytes(hash, static_cast<uint32_t>(c.row(i)[j]), 4);
    }
  }
  return hash;
}

}  // namespace edgewise::chip
