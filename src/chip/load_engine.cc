#include "chip/load_engine.h"

#include "chip/lower.h"

namespace edgewise::chip {

LoadEngine::LoadEngine(const ChipDesign& design)
    : latency_(design.latency_cycles),
      a_cycles_(BeatCycles(design, ActivationBeatBytes(design))),
      w_cycles_(BeatCycles(design, WeightBeatBytes(design))) {}

void LoadEngine::Begin(std::span<const BufferedLoad> loads, std::span<const Stall> stalls) {
  loads_ = loads;
  stalls_ = StallCursor(stalls);
  now_ = {};
  now_.wait = WaitFor(now_);
}

void LoadEngine::Tick(uint64_t computes) {
  next_ = now_;
  if (finished()) return;
  if (Blocked(computes)) {
    next_.blocked = true;
    return;
  }
  next_.begun = true;
  if (EdgesLeft() > 0) {
    next_.wait = EdgesLeft() - 1;
    return;
  }
  ++next_.beats;
  if (++next_.beat == load().beats) next_ = {.load = now_.load + 1, .beats = next_.beats};
  next_.wait = WaitFor(next_);
}

uint64_t LoadEngine::WaitFor(const State& state) {
  if (state.load == loads_.size()) return 0;
  return (loads_[state.load].weights ? w_cycles_ : a_cycles_) - 1 + stalls_.Before(state.beats);
}

}  // namespace edgewise::chip
