#include "chip/free_machine.h"

#include <algorithm>

#include "base/error.h"
#include "chip/lower.h"

namespace edgewise::chip {
namespace {

// The tile of x [rows, k] at (row, k): `height` rows of `depth` values, zeros beyond the edges.
void CopyTile(const Integers& x, uint64_t rows, uint64_t k_size, uint64_t row, uint64_t k, uint32_t height,
              uint32_t depth, bool transposed, uint32_t* tile) {
  for (uint32_t i = 0; i < height; ++i) {
    for (uint32_t l = 0; l < depth; ++l) {
      const bool inside = row + i < rows && k + l < k_size;
      tile[transposed ? l * height + i : i * depth + l] =
          inside ? static_cast<uint32_t>(x.at(row + i, k + l)) : 0;
    }
  }
}

}  // namespace

FreeMachine::FreeMachine(const ChipDesign& design)
    : design_(design), arrays_(design.arrays, SequentialArray(design)) {}

Outcome FreeMachine::Run(const Tiling& tiling, const Integers& a, const Integers& w, Simulation& simulation) {
  if (tiling.half_k()) {
    throw Error(ErrorCode::kUnsupported,
                "chip " + design_.name + ": two of four has no tile programs of its own");
  }
  CheckOperands(design_, tiling.product, a, w);
  for (SequentialArray& array : arrays_) array.Reset();
  TickOrder order(static_cast<uint32_t>(arrays_.size()));
  order.Shuffle(simulation.shuffle_seed);
  sums_.assign(tiling.units, std::vector<uint32_t>(size_t{design_.rows} * design_.cols));
  results_.clear();

  uint64_t cycles = 0;
  std::vector<Job> jobs;
  const auto run = [&] {
    const uint64_t taken = RunGroup(tiling, a, w, jobs, order);
    if (simulation.trace && taken > 0) simulation.trace({"array", "compute", cycles + 1, taken});
    cycles += taken;
  };
  uint64_t computing = 0;
  ForEachRound(design_, tiling, [&](const Round& round) {
    for (const TileStep& step : round.steps) {
      if (step.compute && computing == arrays_.size()) {
        run();
        computing = 0;
      }
      jobs.push_back({round.row_block, step.column_tile, round.k_step, step.unit, round.rows, step.compute,
                      step.first, step.read});
      computing += step.compute;
    }
  });
  run();

  SimCounters& counters = simulation.counters = {};
  counters.cycles = cycles;
  SequentialArray::Count(arrays_, counters);
  return {std::move(results_), cycles};
}

uint64_t FreeMachine::RunGroup(const Tiling& tiling, const Integers& a, const Integers& w,
                               std::vector<Job>& jobs, TickOrder& order) {
  const Product& product = tiling.product;
  const uint32_t rows = design_.rows, cols = design_.cols, depth = design_.depth;

  // 1. Operands appear.
  size_t used = 0;
  for (const Job& job : jobs) {
    if (!job.compute) continue;
    SequentialArray& array = arrays_[used++];
    CopyTile(a, product.m, product.k, job.row_block * rows, job.k_tile * depth, rows, depth, false,
             array.a());
    CopyTile(w, product.n, product.k, job.column_tile * cols, job.k_tile * depth, cols, depth, true,
             array.b());
    array.Start(false);
  }

  // 2. The arrays compute, each on its own; one whose start is a level lets it fall as soon as it has begun.
  uint64_t cycles = 0;
  for (size_t busy = used; busy > 0;) {
    ++cycles;
    busy = 0;
    for (const uint32_t i : order.Next()) {
      SequentialArray::Write write;
      if (cycles == 1) write = {SequentialArray::Memory::kControl, 0, 0};
      arrays_[i].Tick(write);
      busy += !arrays_[i].finishing();
    }
    for (SequentialArray& array : arrays_) array.Commit();
  }

  // 3. Results vanish, those of one output tile added up.
  used = 0;
  for (const Job& job : jobs) {
    std::vector<uint32_t>& sums = sums_[job.unit];
    if (job.compute) {
      const uint32_t* c = arrays_[used++].c();
      for (size_t e = 0; e < sums.size(); ++e) sums[e] = (job.first ? 0 : sums[e]) + c[e];
    }
    if (job.read) results_.insert(results_.end(), sums.begin(), sums.begin() + size_t{job.rows} * cols);
  }
  jobs.clear();
  return cycles;
}

}  // namespace edgewise::chip
