#include "machine/chip_cost.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "machine/chip_timing.h"

namespace edgewise {
namespace {

constexpr double kPico = 1e-12;

uint64_t Sum(uint64_t a, uint64_t b) { return Narrow(Wide{a} + b); }

// Every count of `cost` that repetition multiplies. Energy and seconds follow from them at the end.
template <typename F>
void ForCounts(ChipCost& cost, F&& f) {
  f(cost.cycles);
  f(cost.phases.load);
  f(cost.phases.compute);
  f(cost.phases.drain);
  f(cost.phases.stall);
  f(cost.phases.host);
  f(cost.traffic.activations);
  f(cost.traffic.weights);
  f(cost.traffic.control);
  f(cost.traffic.results);
  f(cost.traffic.link);
  f(cost.tiles);
  f(cost.useful_macs);
  f(cost.padded_macs);
}

// The columns of a product on all chips; cycles are those of the slowest.
ChipCost TimeAllChips(const ChipDesign& design, const ProductShape& shape) {
  const uint64_t cols =
      uint64_t{design.cols} * (design.host == HostInterface::kDma ? design.arrays : 1);
  const uint64_t column_tiles = (shape.n - 1) / cols + 1;
  // Without a link nobody could gather the results, so one chip does everything.
  const uint64_t chips = design.link_bytes_s > 0 ? design.chips : 1;
  const uint64_t share = (column_tiles - 1) / chips + 1;
  const uint64_t used = (column_tiles - 1) / share + 1;
  const uint64_t last_n = shape.n - (used - 1) * share * cols;

  ChipCost cost = TimeGrid(design, GridOf(design, shape.m, last_n, shape.k));
  if (used > 1) {
    ChipCost full = TimeGrid(design, GridOf(design, shape.m, share * cols, shape.k));
    const ChipCost one = full;
    ForCounts(full, [&](uint64_t& count) { count = Narrow(Wide{count} * (used - 1)); });
    full.scratch_bytes *= static_cast<double>(used - 1);
    full += cost;
    const uint64_t full_end = Sum(one.cycles, one.phases.host), end = Sum(cost.cycles, cost.phases.host);
    full.cycles = full_end > end ? one.cycles : cost.cycles;
    full.phases = full_end > end ? one.phases : cost.phases;
    cost = full;
    // Each chip but the one that gathers sends its part.
    cost.traffic.link = Narrow(Wide{shape.m} * shape.n * 4 * (used - 1) / used);
    cost.link_s = static_cast<double>(cost.traffic.link) / design.link_bytes_s + design.link_latency_s;
  }
  const Wide k = design.zero_skip == ZeroSkip::kTwoOfFour ? (shape.k - 1) / 2 + 1 : shape.k;
  cost.useful_macs = Narrow(Wide{shape.m} * shape.n * k);
  return cost;
}

ChipJoules EnergyOf(const ChipDesign& design, const ChipCost& cost) {
  const ChipTraffic& t = cost.traffic;
  ChipJoules joules;
  joules.mac = static_cast<double>(cost.padded_macs) * design.mac_pj * kPico;
  joules.scratch = cost.scratch_bytes * design.scratch_pj_byte * kPico;
  if (design.host != HostInterface::kNone) {  // commands come from no memory
    const double moved = static_cast<double>(t.activations) + static_cast<double>(t.weights) +
                         static_cast<double>(t.results);
    joules.memory = moved * design.memory_pj_byte * kPico;
  }
  joules.link = static_cast<double>(t.link) * design.link_pj_byte * kPico;
  joules.leakage = design.static_w * cost.seconds * design.chips;
  return joules;
}

}  // namespace

ChipPhases& ChipPhases::operator+=(const ChipPhases& other) {
  load = Sum(load, other.load);
  compute = Sum(compute, other.compute);
  drain = Sum(drain, other.drain);
  stall = Sum(stall, other.stall);
  host = Sum(host, other.host);
  return *this;
}

ChipTraffic& ChipTraffic::operator+=(const ChipTraffic& other) {
  activations = Sum(activations, other.activations);
  weights = Sum(weights, other.weights);
  control = Sum(control, other.control);
  results = Sum(results, other.results);
  link = Sum(link, other.link);
  return *this;
}

ChipJoules& ChipJoules::operator+=(const ChipJoules& other) {
  mac += other.mac;
  scratch += other.scratch;
  memory += other.memory;
  link += other.link;
  leakage += other.leakage;
  return *this;
}

ChipCost& ChipCost::operator+=(const ChipCost& other) {
  cycles = Sum(cycles, other.cycles);
  phases += other.phases;
  traffic += other.traffic;
  tiles = Sum(tiles, other.tiles);
  useful_macs = Sum(useful_macs, other.useful_macs);
  padded_macs = Sum(padded_macs, other.padded_macs);
  scratch_bytes += other.scratch_bytes;
  peak_macs += other.peak_macs;
  link_s += other.link_s;
  seconds += other.seconds;
  joules += other.joules;
  return *this;
}

ChipCost PriceProduct(const ChipDesign& design, const ProductShape& shape) {
  if (shape.m == 0 || shape.n == 0 || shape.k == 0 || shape.count == 0) {
    throw Error(ErrorCode::kUsage, StrCat("a product of ", shape.m, " x ", shape.n, " x ", shape.k,
                                          " (m, n, k), ", shape.count, " times: nothing may be zero"));
  }
  ChipCost cost = TimeAllChips(design, shape);
  ForCounts(cost, [&](uint64_t& count) { count = Narrow(Wide{count} * shape.count); });
  const auto times = static_cast<double>(shape.count);
  cost.scratch_bytes *= times;
  cost.link_s *= times;
  cost.seconds =
      static_cast<double>(Sum(cost.cycles, cost.phases.host)) / design.clock_hz + cost.link_s;
  cost.peak_macs = cost.seconds * design.clock_hz * static_cast<double>(PeakMacs(design)) * design.chips;
  cost.joules = EnergyOf(design, cost);
  return cost;
}

WorkloadCost PriceWorkload(const ChipDesign& design, const Workload& workload, AttentionOn attention) {
  if (attention == AttentionOn::kHost && design.host_macs_s == 0) {
    throw Error(ErrorCode::kUsage, StrCat("chip ", design.name, ": host.macs_s is 0, so nobody knows how "
                                          "long attention takes on its host"));
  }
  WorkloadCost cost;
  for (const WorkProduct& product : workload.products) {
    ChipCost one;
    if (!IsAttention(product.role) || attention == AttentionOn::kChip) {
      one = PriceProduct(design, {product.m, product.n, product.k, product.count});
    } else if (attention == AttentionOn::kHost) {
      cost.host_s += static_cast<double>(MacsOf(product)) / design.host_macs_s;
    }
    cost.products.push_back(one);
    cost.total += one;
  }
  return cost;
}

double ChipArea(const ChipDesign& design) {
  const double rows = design.rows, cols = design.cols, depth = design.depth, arrays = design.arrays;
  const double buffers = design.double_buffer ? 2 : 1;
  const double weight_tile = depth * cols * WeightBits(design.datapath);
  const double results = rows * cols * 32;
  double bits = 0;  // of one array's own memories
  switch (design.kind) {
    case ArrayKind::kSequential:  // a tile of A only where no scratchpad serves it
      bits = buffers * (weight_tile + results) +
             (design.host == HostInterface::kDma ? 0 : rows * depth * ActivationBits(design.datapath));
      break;
    case ArrayKind::kWeightStationary: bits = buffers * (weight_tile + results); break;
    case ArrayKind::kOutputStationary:
    case ArrayKind::kVector: bits = 2 * results; break;  // sums, and those that drain
  }
  const double memory =
      bits * arrays + static_cast<double>(design.scratch_words) * design.scratch_word_bits;
  const double um2 =
      static_cast<double>(PeakMacs(design)) * design.mac_um2 + memory * design.sram_um2_bit;
  return design.chips * (um2 * 1e-6 + design.fixed_mm2);
}

double RandomTileSkip(const ChipDesign& design, double zeros) {
  return 1 / (1 - std::pow(zeros, static_cast<double>(design.cols) * design.depth));
}

}  // namespace edgewise
