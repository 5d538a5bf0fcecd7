// Can a chip do a task fast enough, and what is the least that must change for it? Everything here is priced
// in closed form: nothing is executed.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graph/workload.h"
#include "machine/chip.h"
#include "machine/chip_cost.h"

namespace edgewise {

// ---- how fast ----

enum class SpeedUnit : uint8_t {
  kTokensPerSecond,  // "tok_s": at least so many
  kRealTimeFactor,   // "rtf": time over the duration of what was heard or seen, at most so much
  kMilliseconds,     // "ms": the whole task, at most so much
};

struct Want {
  SpeedUnit unit = SpeedUnit::kTokensPerSecond;
  double value = 1;
};
// "tok_s=1", "rtf=0.5", "ms=100". Throws Error(kUsage) for anything else.
Want ParseWant(std::string_view text);
// "1 token/s", "real-time factor 0.5", "100 ms"
std::string SpeedText(SpeedUnit unit, double value);

// Steps that a chip takes one after the other, and what they yield.
struct Task {
  struct Part {
    Workload work;
    double times = 1;
  };
  std::vector<Part> parts;
  double tokens = 1;   // all parts together bring so many
  double media_s = 0;  // duration of the sound that they cover; 0: none, so rtf means nothing
};

struct Speed {
  double seconds = 0;  // of the task
  double value = 0;    // in the unit of what is wanted
  double ratio = 0;    // how many times as fast as wanted; 1 is just enough
  double joules = 0;   // of the task
  ChipCost cost;       // of the part that takes longest
};
// Throws as PriceWorkload; Error(kUsage) for a real-time factor of what has no duration.
Speed SpeedOf(const ChipDesign& design, const Task& task, const Want& want, AttentionOn attention);

// "chip", "host", "none". Throws Error(kUsage) for anything else.
AttentionOn AttentionNamed(std::string_view name);

// One rule for all: 5 stars: at least twice as fast as wanted; 4: fast enough; 3: at least a tenth of it
// (more multipliers or clock may do); 2: a hundredth (another chip); 1: less.
int StarsOf(double ratio);

// ---- the least change ----

// How far a change may go; each limit is printed with the answer.
struct ChangeLimits {
  double clock_hz = 500e6;         // what the documents plan
  double memory_bytes_s = 25.6e9;  // LPDDR5X, 32 bits, at 75%
  uint32_t size = 32;              // of an array, each dimension
  uint32_t arrays = 256;
  uint32_t chips = 16;
  uint64_t tokens = 8;  // at once: a batch, or speculation that is always right
};

// A way to change a chip, or the step that it takes: alternatives from small to large.
struct ChangeAxis {
  struct Change {
    std::string what;  // "clock 500 MHz"
    std::function<void(ChipDesign&)> apply;
    uint64_t tokens = 1;  // in a step
  };
  std::string name;
  std::vector<Change> changes;
};
// Kind of array, DMA, size, number of arrays, multipliers, packing, sums on the chip, bandwidth, clock,
// chips, tokens at once: what makes sense for this design. Applied in this order. Throws
// Error(kUsage) for limits that no chip could have.
std::vector<ChangeAxis> ChangesOf(const ChipDesign& design, const ChangeLimits& limits);

struct Remedy {
  std::vector<std::string> changes;
  ChipDesign design;
  uint64_t tokens = 1;    // in a step
  double area_ratio = 1;  // to the area of the chip as it is: the cost of a change
  Speed speed;
};

struct SearchResult {
  Speed now;
  // What reaches it: of each axis (then of each pair of axes of which neither alone does) the cheapest.
  // Fewest changes first, then least area, then smallest steps.
  std::vector<Remedy> remedies;
  Remedy fastest;  // of all that was tried: how near one gets when nothing reaches it
  uint64_t tried = 0;
};

// `task(tokens)` is the task with so many tokens in each step. The area of a chip whose file gives no areas
// is taken in multiply-adds a cycle.
SearchResult FindLeastChange(const ChipDesign& design, const std::function<Task(uint64_t tokens)>& task,
                             const Want& want, AttentionOn attention, std::span<const ChangeAxis> axes);

// ---- the largest model ----

struct LargestModel {
  struct Row {
    std::string name;
    uint64_t weights = 0;  // that a token meets, head included
    double tok_s = 0;
  };
  std::vector<Row> rows;  // all decoders that have names, by weights
  // Weights of a model of wide layers (4096 x 4096) that just reaches the speed, one token at a time and with
  // all rows of the array in use.
  double weights_alone = 0, weights_full = 0;
};
LargestModel FindLargestModel(const ChipDesign& design, double tok_s, AttentionOn attention);

}  // namespace edgewise
