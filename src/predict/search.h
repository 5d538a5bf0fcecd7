// From limits to configurations: which models, number formats and techniques stay within them on a
// device; or which limit cannot be kept, and how near one gets.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "predict/evaluator.h"

namespace edgewise {

enum class LimitKind : uint8_t { kMemory, kTtft, kTokS, kWatts, kLoss };
inline constexpr size_t kLimitKinds = 5;
const char* NameOf(LimitKind kind);  // "memory", "time to first token", ...

// What must hold; the memory limit always does, as the device has no more than it has.
struct Limits {
  std::array<std::optional<double>, kLimitKinds> most;  // kTokS: the least

  std::optional<double>& operator[](LimitKind kind) { return most[static_cast<size_t>(kind)]; }
  const std::optional<double>& operator[](LimitKind kind) const { return most[static_cast<size_t>(kind)]; }
};
// The figure that a limit is about.
double FigureOf(const Figures& figures, LimitKind kind);
// By what factor a figure misses its limit: at most 1 when it keeps it. Of a loss the factor of
// perplexity.
double Miss(const Figures& figures, LimitKind kind, double limit);
bool Keeps(const Figures& figures, const Limits& limits);

// What is tried: all combinations. A technique in use or not is an entry each: {0, 1024} of
// windows.
struct Space {
  std::vector<uint32_t> models;  // of the evaluator's
  std::vector<std::string> recipes;
  std::vector<std::pair<DType, DType>> kv_types;
  std::vector<uint32_t> contexts = {0};
  std::vector<uint32_t> batches = {1};
  std::vector<uint32_t> chunks = {512};
  std::vector<uint32_t> windows = {0};
  std::vector<uint32_t> cached_prefixes = {0};
  std::vector<uint32_t> drafts = {0};  // tokens proposed in a step, at base.acceptance
  std::vector<uint32_t> threads = {0};
  Usage base;  // the rest
};
// All choices but those whose every weight another choice has too, with as long a context: Llama 2 stands for
// LLaMA 1, Llama 3.1 for 3.
std::vector<uint32_t> DistinctModels(std::span<const ModelChoice> models);
// All of it, in order, but what cannot be: a context that the model was not made for, KV blocks
// that a head does not fill.
std::vector<Configuration> Enumerate(std::span<const ModelChoice> models, const Space& space);

struct Relaxation {
  LimitKind kind;
  double asked = 0, needed = 0;  // with all other limits kept
  Candidate at;
};

struct SearchAnswer {
  std::vector<Candidate> ranked;  // all that keep the limits, best first
  std::vector<Candidate>
      front;  // those of them that no other beats in speed, quality, memory and energy alike
  // Where nothing keeps them:
  std::optional<LimitKind> tightest;
  std::vector<Relaxation> relaxations;  // each limit that alone could give way, least first
  std::optional<Candidate> nearest;     // misses its worst limit by the smallest factor
  uint64_t configurations = 0;          // in the space
  uint64_t priced = 0;                  // of them, whose time was computed
};

// Ranked by expected perplexity (RelativePerplexity), then the larger context, speed, less memory,
// fewer techniques; figures within a thousandth are equal. Throws Error(kUsage) for limits that
// contradict each other or the device, an empty space, and as Evaluate does.
SearchAnswer Search(Evaluator& evaluator, const Device& device, const Space& space, const Limits& limits);

// The ranking rule: whether `a` goes before `b`.
bool RanksBefore(const Candidate& a, const Candidate& b);
// Those that no other is at least as good as in speed, perplexity, memory and energy, and better in
// one. In the order given; of equal ones the first.
std::vector<Candidate> ParetoFront(const std::vector<Candidate>& candidates);

}  // namespace edgewise
