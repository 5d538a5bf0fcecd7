#include "engine/memory_plan.h"

#include <algorithm>

#include "base/error.h"

namespace edgewise {
namespace {

// Private pages of the running program before it opens a model: relocated data of itself and its
// libraries, their heap, stdio, the main stack. Measured on Debian 12 (RssAnon of `edgewise`).
constexpr uint64_t kProgramBytes = 340 << 10;
// Pages of the program's and its libraries' files that a run touches. Measured on Debian 12 (RssFile
// less the model's).
constexpr uint64_t kCodeBytes = 5248 << 10;
// A tensor's name and its share of the tables beyond their fixed-size entries.
constexpr uint64_t kNameBytes = 32;

uint64_t TableBytes(const FileFacts& file, const Model& model, const EngineOptions& options) {
  const uint64_t index = sizeof(uint32_t);
  uint64_t bytes = file.entries * (sizeof(GgufEntry) + index);
  bytes += file.tensors * (sizeof(GgufTensor) + index);
  bytes += model.weights().size() * (sizeof(Weight) + kNameBytes);
  bytes += model.layers().size() * sizeof(LayerWeights);
  bytes += uint64_t{2} * options.context * sizeof(TokenId);  // the generator's text
  return bytes;
}

uint64_t BackendBytes(const EngineOptions& options) {
  return options.backend == nullptr ? 0 : options.backend->PlannedBytes(options.batch, options.logit_rows);
}

// Private bytes with other options; the model's tables and vocabulary stay.
uint64_t PrivateWith(const MemoryPlan& plan, const Model& model, const EngineOptions& options) {
  const EngineMemory memory = PlanEngineMemory(model, options);
  return plan.private_bytes() - plan.kv - plan.scratch - plan.backend + memory.kv + memory.scratch +
         BackendBytes(options);
}

// The largest context, a multiple of 64 (or below 64), whose private bytes are within `budget`; 0
// when there is none below the present one.
uint32_t LargestContext(const MemoryPlan& plan, const Model& model, const EngineOptions& resolved,
                        uint64_t budget) {
  constexpr uint32_t kStep = 64;
  uint32_t low = 0, high = resolved.context / kStep;  // low fits (or is 0)
  EngineOptions options = resolved;
  const auto fits = [&](uint32_t steps) {
    options.context = steps * kStep;
    options.batch = std::min(resolved.batch, options.context);
    return PrivateWith(plan, model, options) <= budget;
  };
  while (low < high) {
    const uint32_t middle = low + (high - low + 1) / 2;
    if (fits(middle)) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low * kStep;
}

std::string Advice(const MemoryPlan& plan, const Model& model, const EngineOptions& resolved,
                   uint64_t available) {
  if (plan.mapped + plan.copied + plan.code >= available) {
    return "the weights alone are larger than that: use a smaller model, or quantize this one";
  }
  const uint64_t budget = available - plan.mapped - plan.code;
  std::string advice;
  const auto add = [&](const std::string& text) {
    advice += (advice.empty() ? "" : ", or ") + text;
  };
  if (const uint32_t context = LargestContext(plan, model, resolved, budget); context > 0) {
    add(StrCat("use -c ", context));
  }
  for (const DType type : {DType::kQ8_0, DType::kQ4_0}) {
    EngineOptions options = resolved;
    options.k_type = options.v_type = type;
    if (PlanEngineMemory(model, options).kv >= plan.kv) continue;
    const char* name = type == DType::kQ8_0 ? "q8_0" : "q4_0";
    if (PrivateWith(plan, model, options) <= budget) {
      add(StrCat("-ctk ", name, " -ctv ", name));
      break;
    }
  }
  if (plan.backend > 0 && plan.total() - plan.backend <= available) add("leave out --backend");
  if (advice.empty()) return "use a smaller model, or quantize this one";
  return advice;
}

}  // namespace

MemoryPlan PlanMemory(const FileFacts& file, const Model& model, const EngineOptions& resolved,
                      uint64_t tokenizer_bytes, uint64_t sampler_bytes) {
  const EngineMemory memory = PlanEngineMemory(model, resolved);
  return {.mapped = resolved.huge_pages ? 0 : file.bytes,
          .copied = resolved.huge_pages ? file.bytes : 0,
          .code = kCodeBytes,
          .kv = memory.kv,
          .scratch = memory.scratch,
          .tokenizer = tokenizer_bytes,
          .sampler = sampler_bytes,
          .backend = BackendBytes(resolved),
          .program = kProgramBytes + TableBytes(file, model, resolved) + memory.stacks};
}

void CheckPlan(const MemoryPlan& plan, const Model& model, const EngineOptions& resolved,
               const std::optional<MemoryLimit>& limit) {
  if (!limit || plan.total() <= limit->available) return;
  throw Error(ErrorCode::kLimit,
              StrCat("this needs ", ToText(plan), ", but only ", HumanBytes(limit->available),
                     " are available (", limit->source, "): ",
                     Advice(plan, model, resolved, limit->available), "; --force runs it anyway"));
}

std::string ToText(const MemoryPlan& plan) {
  return StrCat("weights ", HumanBytes(plan.mapped + plan.copied),
                plan.copied > 0 ? " (copied)" : " (mapped)", " + KV ", HumanBytes(plan.kv),
                " + scratch ", HumanBytes(plan.scratch),
                plan.backend > 0 ? StrCat(" + backend ", HumanBytes(plan.backend)) : "",
                " + tokenizer, sampler and program ",
                HumanBytes(plan.tokenizer + plan.sampler + plan.program + plan.code), " = ",
                HumanBytes(plan.total()));
}

}  // namespace edgewise
