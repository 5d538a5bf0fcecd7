// What one change gains, and the least that must change: each change is applied and priced again,
// never multiplied with another.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "machine/chip_search.h"
#include "predict/search.h"

namespace edgewise {

// From what costs nothing to what costs most.
enum class ChangeKind : uint8_t {
  kThreads,
  kSpeculation,
  kPrefix,
  kContext,
  kBatch,
  kKvTypes,
  kWeights,
  kWindow,
  kMemory,
  kModel,
  kDevice,
};

// A configuration on a device; a change alters either.
struct Deployment {
  Configuration configuration;
  Device device;
};
struct Change {
  ChangeKind kind;
  std::string what;  // "weights in Q4_K_M"
  std::function<void(Deployment&)> apply;
};

// What may be changed to. What equals the present configuration, or does not fit it, is left out.
struct ChangeSpace {
  std::vector<std::string> recipes;
  std::vector<std::pair<DType, DType>> kv_types;
  std::vector<uint32_t> contexts, batches, drafts, prefixes, windows, threads;
  double acceptance = 0;  // of drafts
  std::vector<double> memory_bytes;
  std::vector<uint32_t> models;
  std::vector<Device> devices;
};
std::vector<Change> ChangesOf(std::span<const ModelChoice> models, const Deployment& now,
                              const ChangeSpace& space);

struct Advised {
  std::vector<std::string> what;  // one change or two
  std::vector<ChangeKind> kinds;
  std::string device;
  Candidate after;
};

// Each change alone, by how much faster it decodes; where the model does not fit now, those that
// make it fit first. Changes that cannot be priced (a number of threads that was not measured) are
// left out.
std::vector<Advised> Advise(Evaluator& evaluator, const Deployment& now, std::span<const Change> changes);

struct LeastChange {
  Candidate now;
  bool holds = false;  // already
  std::vector<Advised>
      ways;         // of each kind of change (of each pair of kinds, where no single one does) the least
  Advised nearest;  // of all that was tried, where nothing reaches it
};
// Order: fewest changes, then least perplexity, then the kind that costs least, then speed (of devices the
// slowest that suffices). Pairs are of kinds but kDevice; what one change alone does is not part of a pair.
LeastChange FindLeastChange(Evaluator& evaluator, const Deployment& now, std::span<const Change> changes,
                            const Limits& want);

// The chip that decodes this model at so many tokens per second: which change of it is the least.
SearchResult FindChipChange(const ChipDesign& design, const Model& model, const Usage& usage, double tok_s,
                            const ChangeLimits& limits);

}  // namespace edgewise
