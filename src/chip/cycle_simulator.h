// A chip cycle by cycle: host or memory channel, scratchpad, buffers, processing array and drain, each a
// component with a Tick. Results and cycles are those of the RTL to the bit and the edge; the tile model's
// closed forms are held against it. Stretches in which nothing can be seen are skipped, unless every edge is
// asked for: then systolic arrays also move each operand from element to element (simulation.h, Detail).
//
// A machine for each kind of chip: bus_machine.h, stream_machine.h, buffered_machine.h, free_machine.h;
// what they share: simulation.h.
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

class CycleSimulator {
 public:
  // The design as CheckDesign accepts it. Memories begin with zeros.
  explicit CycleSimulator(const ChipDesign& design, Detail detail = Detail::kEvents);
  ~CycleSimulator();
  CycleSimulator(CycleSimulator&&) noexcept;

  // kAxiLite. Registers and matrices persist from run to run; edges count from 1 in each.
  Outcome RunBus(std::span<const BusOp> program, std::span<const Stall> stalls = {});
  // kDma, output-stationary and vector. Scratchpad and sums persist. Output stalls count rows of results:
  // each leaves `cycles` later than it could. Throws Error(kUsage) for a stream that cannot be followed.
  Outcome RunStream(std::span<const Beat> program, std::span<const Stall> stalls = {},
                    std::span<const Stall> output_stalls = {});
  // A product on any design, lowered as its interface needs; results as GatherResults takes them. Stalls
  // count transactions or beats of the lowered program (kNone has none).
  Outcome Run(const Tiling& tiling, const Integers& a, const Integers& w, std::span<const Stall> stalls = {});

  const SimCounters& counters() const { return simulation_.counters; }  // of the latest run
  // Called when an event has ended.
  void set_trace(TraceHook hook) { simulation_.trace = std::move(hook); }
  // Components tick in another order at every edge, which must not matter; 0: in a fixed one.
  void ShuffleTicks(uint64_t seed) { simulation_.shuffle_seed = seed; }

 private:
  struct Machines;

  ChipDesign design_;
  std::unique_ptr<Machines> machines_;
  Simulation simulation_;
};

}  // namespace edgewise::chip
