// The DMA channel of chips with weight buffers.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "chip/program.h"
#include "chip/simulation.h"
#include "machine/chip.h"

namespace edgewise::chip {

// Beats that fill one buffer.
struct BufferedLoad {
  bool weights = false;    // or activations
  uint64_t first_row = 0;  // of the weight buffer or scratchpad; one a beat
  uint64_t beats = 0;
  uint64_t computes = 0;  // that must have ended before
};

class LoadEngine {
 public:
  explicit LoadEngine(const ChipDesign& design);
  void Begin(std::span<const BufferedLoad> loads, std::span<const Stall> stalls);

  // A beat arrives at this edge, given how many steps have been computed before it.
  bool Delivers(uint64_t computes) const { return !finished() && !Blocked(computes) && EdgesLeft() == 0; }
  void Tick(uint64_t computes);
  void Commit() { now_ = next_; }

  const BufferedLoad& load() const { return loads_[now_.load]; }
  uint64_t row() const { return load().first_row + now_.beat; }
  uint64_t beat() const { return now_.beats; }  // of the program
  uint64_t loads() const { return now_.load; }  // that have ended
  bool finished() const { return now_.load == loads_.size(); }

 private:
  struct State {
    uint64_t load = 0, beat = 0;  // of the load
    uint64_t beats = 0;           // of all loads
    uint64_t wait = 0;            // edges before the one at which the beat arrives, once the load has begun
    bool begun = false, blocked = false;
  };
  bool Blocked(uint64_t computes) const { return !now_.begun && computes < load().computes; }
  // Whoever asks memory anew waits for its latency.
  uint64_t EdgesLeft() const {
    return now_.wait + (!now_.begun && (now_.blocked || now_.load == 0) ? latency_ : 0);
  }
  uint64_t WaitFor(const State& state);

  const uint32_t latency_;
  const uint64_t a_cycles_, w_cycles_;  // of a beat
  std::span<const BufferedLoad> loads_;
  StallCursor stalls_;
  State now_, next_;
};

}  // namespace edgewise::chip
