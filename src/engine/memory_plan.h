// All memory of a run, known before anything large is loaded.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/system_memory.h"
#include "engine/engine.h"
#include "model/model.h"

namespace edgewise {

struct MemoryPlan {
  uint64_t mapped = 0;  // the model file's pages: shared with the page cache, reclaimable
  uint64_t copied = 0;  // the same instead, copied into private huge pages
  uint64_t code = 0;    // pages of the program and its libraries: mapped too
  uint64_t kv = 0;
  uint64_t scratch = 0;
  uint64_t tokenizer = 0;
  uint64_t sampler = 0;
  uint64_t backend = 0;  // what multiplies instead of the kernels, if anything: its copy of the weights
  uint64_t program = 0;  // the process itself: heap of the loaded tables, stacks, libraries' data

  uint64_t private_bytes() const {
    return copied + kv + scratch + tokenizer + sampler + backend + program;
  }
  uint64_t total() const { return mapped + code + private_bytes(); }
};

// What a plan asks of a model's file, which need not exist.
struct FileFacts {
  uint64_t bytes = 0, entries = 0, tensors = 0;
};
inline FileFacts FactsOf(const Gguf& file) {
  return {file.file_bytes(), file.entries().size(), file.tensors().size()};
}

MemoryPlan PlanMemory(const FileFacts& file, const Model& model, const EngineOptions& resolved,
                      uint64_t tokenizer_bytes, uint64_t sampler_bytes);

// Throws Error(kLimit), with the figures and what to change (a context that would fit, a smaller KV
// type or batch), when the plan exceeds what is available; does nothing when the system does not
// say.
void CheckPlan(const MemoryPlan& plan, const Model& model, const EngineOptions& resolved,
               const std::optional<MemoryLimit>& limit = AvailableMemory());

// "weights 636.2 MiB (mapped) + KV 44.0 MiB + ... = 702.1 MiB"
std::string ToText(const MemoryPlan& plan);

}  // namespace edgewise
