#include "cli/engine_memory.h"

#include <algorithm>

#include "engine/sampler.h"
#include "gguf/writer.h"
#include "model/synth.h"
#include "tokenizer/tokenizer.h"

namespace edgewise {
namespace {

constexpr uint64_t kAlignment = GgufWriter::kAlignment;

uint64_t Padded(uint64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

uint64_t VocabularyText(const Model& model) { return SynthTextBytes(model.config().vocab); }

}  // namespace

FileFacts FactsOfShape(const Model& model) {
  // Entries that synth writes, and their bytes but for the vocabulary's three arrays: a few dozen
  // more or less with the names of architecture and shape.
  constexpr uint64_t kEntries = 25, kEntryBytes = 1180;
  constexpr uint64_t kTensorBytes = 8 + 4 + 4 + 8;  // length of the name, dimensions, type, offset
  FileFacts facts = {.bytes = 0, .entries = kEntries, .tensors = model.weights().size()};
  uint64_t header = 24 + kEntryBytes + uint64_t{model.config().vocab} * (8 + 4 + 4) + VocabularyText(model);
  for (const Weight& weight : model.weights()) {
    header += kTensorBytes + weight.name.size() + (weight.rows == 1 ? 8 : 16);
    facts.bytes += Padded(weight.bytes());
  }
  facts.bytes += Padded(header);
  return facts;
}

EngineOptions EngineOptionsFor(const Model& model, const Usage& usage, uint32_t threads) {
  EngineOptions options;
  options.threads = static_cast<int>(std::max(1u, threads));
  options.context = usage.context == 0 ? usage.prompt + usage.generate : usage.context;
  options.slots = usage.batch;
  options.logit_rows = usage.batch * (1 + usage.draft_tokens);
  options.batch = std::max(std::min(usage.chunk, std::max(1u, usage.prompt)), options.logit_rows);
  options.k_type = usage.k_type;
  options.v_type = usage.v_type;
  return ResolveOptions(model, options);
}

MemoryPlan PlanRun(const Model& model, const Usage& usage, uint32_t threads, const Gguf* file) {
  const uint32_t vocab = model.config().vocab;
  const uint64_t tokenizer = file != nullptr ? Tokenizer::PlanMemoryBytes(*file)
                                             : Tokenizer::PlanSpmBytes(vocab, VocabularyText(model));
  return PlanMemory(file != nullptr ? FactsOf(*file) : FactsOfShape(model), model,
                    EngineOptionsFor(model, usage, threads), tokenizer, Sampler::MemoryBytes({}, vocab));
}

MemoryNeed NeedOf(const MemoryPlan& plan) {
  return {.weights = plan.mapped + plan.copied,
          .kv = plan.kv,
          .scratch = plan.scratch,
          .other = plan.total() - plan.mapped - plan.copied - plan.kv - plan.scratch};
}

}  // namespace edgewise
