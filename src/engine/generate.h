// Prompt in, tokens out: prefill in chunks, then decode until something says stop.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/function_ref.h"
#include "base/units.h"
#include "engine/engine.h"
#include "engine/sampler.h"

namespace edgewise {

enum class StopReason : uint8_t { kLength, kEndOfGeneration, kCallback, kContextFull, kCancelled };
const char* NameOf(StopReason reason);

struct GenerateOptions {
  uint32_t max_tokens = 0;     // 0: until another reason
  bool context_shift = false;  // at the end of the context: keep the first `keep` tokens and the newer
                               // half of the rest, recompute them, go on
  uint32_t keep = 0;
  const std::atomic<bool>* cancel = nullptr;  // looked at before every step
};

struct GenerateResult {
  StopReason reason = StopReason::kLength;
  uint32_t prompt_tokens = 0;     // prefilled in this call
  uint32_t generated_tokens = 0;  // sampled, the end-of-generation token included
  Seconds prefill{0}, decode{0};  // decode: from the first token on, generated_tokens - 1 steps
  uint64_t logits_hash = 0;       // FNV-1a over the bits of all logits sampled from
};

// One conversation in one slot. Keeps the tokens that the KV cache holds, so that a next prompt that
// continues them prefills only what is new.
class Generator {
 public:
  Generator(Engine& engine, uint32_t slot);

  // Called with each sampled token before it is computed on; returns false to stop. The token that
  // ends generation is not passed on.
  using OnToken = FunctionRef<bool(TokenId)>;
  using IsEnd = FunctionRef<bool(TokenId)>;

  // Continues from `tokens`, the whole text so far as ids (at least one): what agrees with the cache
  // is kept, the rest prefilled. Throws Error(kLimit) when they do not fit into the context.
  GenerateResult Generate(std::span<const TokenId> tokens, Sampler& sampler,
                          const GenerateOptions& options, IsEnd is_end, OnToken on_token);

  std::span<const TokenId> cached() const { return cached_; }

 private:
  std::span<const float> Prefill(std::span<const TokenId> tokens, const GenerateOptions& options);

  Engine& engine_;
  uint32_t slot_;
  std::vector<TokenId> cached_;
};

}  // namespace edgewise
