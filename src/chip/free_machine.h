// Chips without an interface: operands appear and results vanish for free, so that only computing is
// counted, as documents do. Tiles run in program order on the arrays side by side, each group as long as
// its slowest.
#pragma once

#include <cstdint>
#include <vector>

#include "chip/matrix.h"
#include "chip/program.h"
#include "chip/sequential_array.h"
#include "chip/simulation.h"
#include "chip/tiler.h"
#include "machine/chip.h"

namespace edgewise::chip {

class FreeMachine {
 public:
  explicit FreeMachine(const ChipDesign& design);
  // Partial sums of outputs that the tiling keeps on chip are added for free too.
  Outcome Run(const Tiling& tiling, const Integers& a, const Integers& w, Simulation& simulation);

 private:
  struct Job {
    uint64_t row_block, column_tile, k_tile;
    uint32_t unit, rows;
    bool compute, first, read;
  };
  // Runs jobs on the arrays until all are done; returns the cycles it took.
  uint64_t RunGroup(const Tiling& tiling, const Integers& a, const Integers& w, std::vector<Job>& jobs,
                    TickOrder& order);

  const ChipDesign design_;
  std::vector<SequentialArray> arrays_;
  std::vector<std::vector<uint32_t>> sums_;  // per unit of the tiling: its current output tile
  std::vector<uint32_t> results_;
};

}  // namespace edgewise::chip
