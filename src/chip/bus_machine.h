// Chips that a host drives word by word over AXI-Lite: host, bus slave, and sequential arrays side by side.
//
// A write is accepted at the edge at which it is offered when the slave is ready, one a cycle. A read's
// address is accepted at one edge, with the data as visible before it, and its data taken at the next.
// Longer write, read and control cycles add up. Edge 1 is the first at which a transaction can be accepted.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "chip/lower.h"
#include "chip/program.h"
#include "chip/sequential_array.h"
#include "chip/simulation.h"
#include "machine/chip.h"

namespace edgewise::chip {

// Plays a program, one transaction after the other.
class BusHost {
 public:
  explicit BusHost(const ChipDesign& design);
  void Begin(std::span<const BusOp> program, std::span<const Stall> stalls);

  // `accepted`: the slave takes the offered transaction at this edge.
  void Tick(bool accepted, uint32_t read_data);
  void Commit() { now_ = next_; }
  // Edges at which nothing of it changes for others, as long as what it offers is not accepted.
  uint64_t QuietEdges() const { return now_.wait > 0 ? now_.wait - 1 : kNever; }
  void Skip(uint64_t edges) {
    if (now_.wait > 0) now_.wait -= edges;
  }

  // The same as Tick and Commit at an edge that accepts a write of one cycle, without copying a state whose
  // parts were just written, for which processors wait: half of the time of such an edge.
  void PassWrite() {
    ++now_.index;
    Fetch(now_);
  }

  const BusOp* offer() const { return now_.phase == Phase::kOffer ? &program_[now_.index] : nullptr; }
  // Accepted before, and still taking cycles: a read's data are to come, or a long write, which lands in the
  // last of its cycles.
  const BusOp* transfer() const { return now_.phase == Phase::kTransfer ? &program_[now_.index] : nullptr; }
  // Whether what is on the bus ends at this edge, once it is accepted.
  bool ends() const {
    return now_.phase == Phase::kOffer ? CyclesOf(program_[now_.index]) == 1 : now_.wait == 1;
  }
  bool finished() const { return now_.phase == Phase::kFinished; }
  const std::vector<uint32_t>& results() const { return results_; }

 private:
  enum class Phase : uint8_t { kWait, kOffer, kTransfer, kFinished };
  struct State {
    uint64_t index = 0;  // of the transaction that is offered or to come
    uint64_t wait = 0;   // edges left in kWait or kTransfer
    Phase phase = Phase::kFinished;
  };

  void Fetch(State& state);
  uint32_t CyclesOf(const BusOp& op) const;

  const uint32_t write_cycles_, read_cycles_, control_cycles_;
  const RegisterMap map_;
  std::span<const BusOp> program_;
  StallCursor stalls_;
  State now_, next_;
  std::vector<uint32_t> results_;  // seen by nobody until the end
};

// Answers reads. (Writes reach the arrays through wires.)
class BusSlave {
 public:
  void Tick(bool read_accepted, uint32_t data) {
    if (read_accepted) next_ = data;
  }
  void Commit() { now_ = next_; }
  uint32_t read_data() const { return now_; }

 private:
  uint32_t now_ = 0, next_ = 0;
};

class BusMachine {
 public:
  explicit BusMachine(const ChipDesign& design);
  // Registers and memories persist from run to run; each begins with a quiet bus at edge 1.
  Outcome Run(std::span<const BusOp> program, std::span<const Stall> stalls, Simulation& simulation);

 private:
  struct Target {
    uint32_t unit = 0;
    SequentialArray::Memory memory = SequentialArray::Memory::kUnmapped;
    uint32_t index = 0;  // within the memory
  };
  // What the bus carries during a cycle.
  struct Wires {
    const BusOp* op = nullptr;  // offered, or accepted before and still taking cycles
    bool offered = false, accepted = false;
    bool lands = false;  // a write reaches its register at this edge
    Target target;
    uint32_t read_data = 0;  // what a read would find
    const SequentialArray* refused_by = nullptr;
  };

  void Tick(TickOrder& order);
  void Settle();
  void TickComponent(uint32_t component);
  Target Decode(uint32_t address) const;
  uint64_t QuietEdges() const;
  void Skip(uint64_t edges);
  uint64_t PlayWrites();
  void Trace(const TraceHook& hook, uint64_t cycle);

  const RegisterMap map_;
  const uint32_t unit_shift_, window_shift_;
  const bool interlocked_;

  BusHost host_;
  BusSlave slave_;
  std::vector<SequentialArray> arrays_;
  Wires wires_;
  uint64_t accepted_ = 0, refused_ = 0, writes_ = 0;
  TraceLane bus_lane_{"bus"}, array_lane_{"array"};
};

}  // namespace edgewise::chip
