// Flags that several verbs share, and what they stand for: a model opened, planned, ready to run.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "cli/flags.h"
#include "engine/engine.h"
#include "engine/memory_plan.h"
#include "engine/sampler.h"
#include "gguf/gguf.h"
#include "model/model.h"
#include "tokenizer/tokenizer.h"

namespace edgewise {

// -m, and the bundled model when it is not given: in $EDGEWISE_MODELS, <program>/../share/edgewise/
// models, or the source tree this program was built from. Throws Error(kNotFound) listing the
// places.
std::string ModelPath(const std::optional<std::string>& given);

inline constexpr const char* kHugePagesHelp =
    "copy the weights from the file into memory of huge pages, which the KV cache gets too";
inline constexpr const char* kPinHelp = "keep each thread on a core of its own";

// -t as ThreadPool takes it: 0 is one per core; what no pool takes stays for it to refuse.
int ThreadsOf(uint32_t flag);

// -c -b -t -ctk -ctv --huge-pages, --pin --populate --force --backend --scheme --deterministic --check-tensors
struct EngineFlags {
  uint32_t threads = 0, context = 0, batch = 512;
  std::string k_type = "f16", v_type = "f16";
  std::string backend = "cpu", scheme = "file";
  bool huge_pages = false, pin = false;
  bool populate = false, force = false, deterministic = false, check_tensors = false;

  void AddTo(Flags& flags);
  void AddSizesTo(Flags& flags);  // only what decides how much memory it takes
  // As the engine takes them; checked against the model by ResolveOptions().
  EngineOptions ToOptions() const;
};

// A file with its model and vocabulary. Does not move: the parts refer to each other.
struct LoadedModel {
  // Opens, reads the tables and the vocabulary; with check_tensors also every weight.
  LoadedModel(const std::string& path, bool check_tensors);
  LoadedModel(const LoadedModel&) = delete;

  Gguf file;
  Model model;
  std::unique_ptr<const Tokenizer> tokenizer;
};

// "Q4_K_M": what the file says it is, else the type that most bytes have.
std::string WeightTypeOf(const Gguf& file, const Model& model);

// Looks for NaN and infinite weights; throws Error(kBadFile) naming tensor and row. Shows progress.
void CheckTensors(const Gguf& file);

// Brings the weights into memory as the options say, before they are needed: copied to huge pages, or read
// (populate), or not at all. Shows progress.
void Load(Gguf& file, const EngineOptions& options);

// Says on stderr when the context is longer than what the model was trained for.
void NoteLongContext(const Model& model, const EngineOptions& resolved);

// The plan of an engine for this model; throws Error(kLimit) when the machine has not that much
// memory unless `force`.
MemoryPlan CheckedPlan(const LoadedModel& loaded, const EngineOptions& resolved,
                       const SamplerOptions& sampler, bool force);

}  // namespace edgewise
