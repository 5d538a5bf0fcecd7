// Chips that take a self-describing stream of beats: source, controller, scratchpad, array and drain.
//
// A header beat says what its payload is: columns of A for the scratchpad, or weights that meet them. Beats
// are accepted one a cycle at most, without a bubble between commands. Results leave row by row. The beat
// that carries the last weights of a tile is refused while results of the tile before are still in the
// drain: it is accepted one edge after the last of them has left, at the earliest. Everything else is
// always accepted.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "chip/program.h"
#include "chip/simulation.h"
#include "machine/chip.h"

namespace edgewise::chip {

class StreamMachine {
 public:
  virtual ~StreamMachine() = default;
  // Memories persist from run to run. Stalls of the output count rows of results; each is taken `cycles`
  // later than it could have been. Throws Error(kUsage) for a program that breaks off or has a header that
  // cannot be obeyed.
  virtual Outcome Run(std::span<const Beat> program, std::span<const Stall> stalls,
                      std::span<const Stall> output_stalls, Simulation& simulation) = 0;
};

// For output-stationary and vector designs with kDma.
std::unique_ptr<StreamMachine> MakeStreamMachine(const ChipDesign& design, Detail detail);

}  // namespace edgewise::chip
