// What all simulated machines share: the two phases of a clock edge, what is counted, what is traced.
//
// At an edge every component computes what comes next from what was visible before it (Tick), and only when
// all have done so it becomes visible (Commit). So the order in which components tick cannot matter, which
// a test holds them to by shuffling it at every edge. Wires, which depend on what is visible now, settle
// before.
//
// Most edges change nothing that another component could see: the host counts cycles, an array walks. A
// machine may pass over such a stretch at once: each component says for how many edges it is quiet, and the
// shortest of these is skipped by all. Nothing observable may depend on that, which tests hold it to.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "chip/program.h"

namespace edgewise::chip {

// How closely a run is followed; results, cycles, counters and traces are the same. (One difference: of a
// stream that ends within a tile, kEveryEdge counts what is still on its way in the next run.)
enum class Detail : uint8_t {
  kEvents,     // quiet stretches are skipped, sums of systolic elements worked out when they can be seen
  kEveryEdge,  // every component ticks at every edge, and operands move through every register
};

inline constexpr uint64_t kNever = ~uint64_t{0};  // of edges: until another component does something

// One run's account. Elements are those of the array: rows x cols of outputs (sequential, output-stationary,
// vector), depth x cols of weights (weight-stationary); arrays side by side are further columns.
struct SimCounters {
  uint64_t cycles = 0;
  uint64_t accepted = 0;  // transactions or beats
  uint64_t refused = 0;   // cycles in which one was offered and the chip was not ready
  uint64_t bytes_in = 0, bytes_out = 0;
  uint64_t busy_cycles = 0;    // of the array; of the busiest one where units work on their own
  uint64_t multiply_adds = 0;  // done, those with padding included
  uint32_t element_rows = 0, element_cols = 0;
  std::vector<uint64_t>
      useful;  // per element: multiply-adds of two non-zero operands, so not those with padding

  bool operator==(const SimCounters&) const = default;
};

// Something that a component did from cycle `start` for `duration` cycles.
struct TraceEvent {
  const char* component;
  const char* event;
  uint64_t start, duration;
};
using TraceHook = std::function<void(const TraceEvent&)>;

// Joins cycles in which a component did the same to one event.
class TraceLane {
 public:
  explicit TraceLane(const char* component) : component_(component) {}

  // `activity` is a literal, null when idle.
  void Update(const TraceHook& hook, const char* activity, uint64_t cycle) {
    if (activity == activity_) return;
    Finish(hook, cycle);
    activity_ = activity;
    start_ = cycle;
  }
  // `cycle` is the first in which the component no longer did it.
  void Finish(const TraceHook& hook, uint64_t cycle) {
    if (activity_ != nullptr) hook({component_, activity_, start_, cycle - start_});
    activity_ = nullptr;
  }

 private:
  const char* component_;
  const char* activity_ = nullptr;
  uint64_t start_ = 0;
};

// The order in which a machine's components tick: as listed, or another one at every edge.
class TickOrder {
 public:
  explicit TickOrder(uint32_t components) : order_(components) {
    for (uint32_t i = 0; i < components; ++i) order_[i] = i;
  }
  void Shuffle(uint64_t seed) { state_ = seed; }  // 0: as listed

  std::span<const uint32_t> Next() {
    if (state_ != 0) {
      for (size_t i = order_.size(); i > 1; --i) {
        state_ ^= state_ << 13, state_ ^= state_ >> 7, state_ ^= state_ << 17;  // xorshift64
        std::swap(order_[i - 1], order_[state_ % i]);
      }
    }
    return order_;
  }

 private:
  std::vector<uint32_t> order_;
  uint64_t state_ = 0;
};

// Walks a stall list once, in the order of indices.
class StallCursor {
 public:
  StallCursor() = default;
  explicit StallCursor(std::span<const Stall> stalls) : stalls_(stalls) {}

  uint32_t Before(uint64_t index) {
    while (next_ < stalls_.size() && stalls_[next_].index < index) ++next_;
    return next_ < stalls_.size() && stalls_[next_].index == index ? stalls_[next_].cycles : 0;
  }

 private:
  std::span<const Stall> stalls_;
  size_t next_ = 0;
};

// What a machine reports to while it runs.
struct Simulation {
  SimCounters counters;
  Detail detail = Detail::kEvents;
  TraceHook trace;            // empty: none; with it machines tick at every edge
  uint64_t shuffle_seed = 0;  // 0: components tick as listed

  bool skips() const { return detail == Detail::kEvents && !trace; }
};

}  // namespace edgewise::chip
