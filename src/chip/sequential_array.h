// The sequential array: `macs` multiply-adds a cycle walk through a tile, k fastest, then column, then row.
//
// Register memories A [rows][depth], B [depth][cols], C [rows][cols] of 32-bit words; a bus writes A and B
// and reads C. Timing from the edge 0 that latches start:
//   edge 1                       the run begins: C is cleared, or kept when accumulating
//   edges 1+S .. S+cycles        the multiply-adds, cycles = ceil(rows * cols * depth / macs)
//   R edges after its last one   an element is visible in C
// where S is start_cycles and R is result_cycles.
// Chips that accumulate start by a bit that clears itself and refuse bus accesses while busy. The others
// follow the published chip: start is a level, the state stays done until it falls, nothing is refused, so
// that what is read early is the cleared zero, and what is written early reaches the multiply-adds that are
// still to come.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "chip/simulation.h"
#include "machine/chip.h"

namespace edgewise::chip {

class SequentialArray {
 public:
  enum class Memory : uint8_t { kA, kB, kC, kControl, kStatus, kUnmapped };
  struct Write {
    Memory memory = Memory::kUnmapped;
    uint32_t index = 0, data = 0;
  };

  explicit SequentialArray(const ChipDesign& design);
  void Reset();

  void Tick(const Write& write);
  void Commit();
  // Edges from now on at which it certainly stays busy, if it is.
  uint64_t BusyEdges() const;
  // The same as Tick and Commit so many times, without a write.
  void Skip(uint64_t edges);
  // Whether the array is at rest, and `memory` one that the bus writes: then a word can be written at once.
  bool TakesAtOnce(Memory memory) const {
    return settled() && (memory == Memory::kA || memory == Memory::kB);
  }
  void WriteAtOnce(Memory memory, uint32_t index, uint32_t data) {
    (memory == Memory::kA ? a_ : b_)[index] = data;
  }

  // What is visible.
  uint32_t Read(Memory memory, uint32_t index) const;
  bool computing() const { return computing_; }               // multiply-adds were done at the latest edge
  bool busy() const { return now_.start || now_.in_flight; }  // of chips that accumulate
  uint32_t words(Memory memory) const { return words_[static_cast<uint32_t>(memory)]; }  // of A, B or C

  // For machines that bring operands by other ways than a bus: they write A and B between edges, then start
  // as if the latest edge had latched it.
  uint32_t* a() { return a_.data(); }
  uint32_t* b() { return b_.data(); }
  const uint32_t* c() const { return c_.data(); }
  void Start(bool accumulate);
  bool finishing() const { return committing_ == elements_; }  // after Tick: C is complete after this edge

  void ResetCounters();

  // What arrays side by side did since their counters were reset.
  static void Count(std::span<const SequentialArray> arrays, SimCounters& counters);

 private:
  enum class State : uint8_t { kIdle, kCompute, kDone };
  // What others see.
  struct Control {
    State state = State::kIdle;
    bool start = false, accumulate = false;
    bool in_flight = false;  // a run has begun and its last result is not yet visible
    bool done = false;       // of chips that accumulate: a run has ended and none was started since
  };

  void Begin();
  bool Multiply();
  uint64_t Walk(uint64_t count);
  uint64_t WalkNonZero(uint64_t count);
  void NextElement();
  // Nothing happens until the bus writes control.
  bool settled() const { return !now_.in_flight && now_.start == (now_.state == State::kDone); }
  uint64_t MultiplyAddsLeft() const { return uint64_t{elements_ - element_} * depth_ - k_; }

  const uint32_t rows_, cols_, depth_, macs_, start_cycles_, result_cycles_;
  const uint32_t elements_;
  const std::array<uint32_t, 3> words_;
  const bool interlocked_, skip_zeros_;

  Control now_, next_;
  std::vector<uint32_t> a_, b_, c_;
  Write write_;                              // reaches its memory at Commit
  bool clear_ = false;                       // C is cleared at Commit
  uint32_t committed_ = 0, committing_ = 0;  // elements whose results are, and at Commit will be, in C

  // The walk, seen by nobody else.
  bool computing_ = false;
  uint32_t delay_ = 0;  // cycles until the first multiply-add
  uint32_t row_ = 0, col_ = 0, k_ = 0, element_ = 0;
  std::vector<uint32_t> sums_;      // per element
  std::vector<uint32_t> pipeline_;  // a ring: how many elements were complete 0 .. result_cycles edges ago
  uint32_t pipeline_head_ = 0;

  std::vector<uint64_t> useful_;  // per element
  uint64_t multiply_adds_ = 0, busy_cycles_ = 0;
};

}  // namespace edgewise::chip
