// Chips with DMA that compute from weight buffers (weight-stationary and sequential arrays): load engine,
// scratchpad, weight buffer, array and drain, which run side by side as far as buffers allow.
//
// A time T means "after edge T". Loads follow each other on one channel: columns of a row block of A, or a
// weight tile. A load waits until the computation that still reads its target has ended; the first load,
// and one that had to wait longer than for its predecessor, pays the memory's latency. A step computes when
// its loads and the step before have ended and, when it is the first of an output tile, when its sums have
// left the chip. Sums drain in order, each when its last step and the drain before have ended.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "chip/matrix.h"
#include "chip/program.h"
#include "chip/simulation.h"
#include "chip/tiler.h"
#include "machine/chip.h"

namespace edgewise::chip {

class BufferedMachine {
 public:
  virtual ~BufferedMachine() = default;
  // Stalls count beats over all loads.
  virtual Outcome Run(const Tiling& tiling, const Integers& a, const Integers& w,
                      std::span<const Stall> stalls, Simulation& simulation) = 0;
};

// For weight-stationary and sequential designs with kDma.
std::unique_ptr<BufferedMachine> MakeBufferedMachine(const ChipDesign& design);

}  // namespace edgewise::chip
