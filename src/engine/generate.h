// Prompt in, tokens out: prefill in chunks, then decode until something says stop.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
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
  bool context_shift = false;  // at the end of the context: keep the first `keep` tokens and the
                               // newer half of the rest, recompute them, go on
  uint32_t keep = 0;
  // Most tokens a step guesses (engine/ngram_draft.h) and checks in rows of its own; 0: none. The engine's
  // logit_rows - 1 bound it too. Text and logits are those without it: the sampler sees the same logits
  // in the same order, and a guess counts only where it is what the sampler chose.
  uint32_t draft = 0;
  bool hash_logits = false;                   // costs 0.2 ms a token for a vocabulary of 150,000
  const std::atomic<bool>* cancel = nullptr;  // looked at before every token
  // Called after each chunk of the prompt but the last, with the tokens done and the whole number.
  std::function<void(uint32_t done, uint32_t total)> on_prefill = {};
};

// generated_tokens = 1 + steps + accepted, unless it was cancelled while it prefilled.
struct DraftCounts {
  uint32_t drafted = 0;
  uint32_t accepted = 0;  // guessed rightly, and gone on from
  uint32_t steps = 0;     // after the prompt
};

struct GenerateResult {
  StopReason reason = StopReason::kLength;
  uint32_t prompt_tokens = 0;     // prefilled in this call
  uint32_t generated_tokens = 0;  // sampled, the end-of-generation token included
  uint32_t context_shifts = 0;
  DraftCounts draft;
  // Rows that the steps computed: the prompt, refused drafts, and what context shifts compute again.
  uint64_t rows = 0;
  Seconds prefill{0};      // to the logits of the last prompt token
  Seconds first_token{0};  // to the first token, handed to on_token: the TTFT
  Seconds decode{0};       // from the first token on, generated_tokens - 1 steps
  // With hash_logits: FNV-1a (64 bits) over all logits sampled from, a step for the 32 bits of
  // each.
  uint64_t logits_hash = 0;
};

// One conversation in one slot. Keeps the tokens that the KV cache holds, so that a next prompt
// that continues them prefills only what is new.
class Generator {
 public:
  Generator(Engine& engine, uint32_t slot);

  // Called with each sampled token before it is computed on; returns false to stop. The token that
  // ends generation is not passed on.
  using OnToken = FunctionRef<bool(TokenId)>;
  using IsEnd = FunctionRef<bool(TokenId)>;

  // Continues from `tokens`, the whole text so far as ids (at least one): what agrees with the
  // cache is kept, the rest prefilled, and the sampler's memory is this text. Throws Error(kLimit)
  // when they do not fit into the context, Error(kUsage) when `keep` leaves nothing to shift,
  // Error(kBadFile) when all logits are NaN.
  GenerateResult Generate(std::span<const TokenId> tokens, Sampler& sampler,
                          const GenerateOptions& options, IsEnd is_end, OnToken on_token);

  // What the KV cache holds. The last token sampled is not in it: nothing was computed on it yet.
  std::span<const TokenId> cached() const { return cached_; }

 private:
  // The logits after the last token, empty when cancelled.
  std::span<const float> Prefill(std::span<const TokenId> tokens, const GenerateOptions& options,
                                 GenerateResult& result);
  // Computes on the token and on a draft of what follows it, which it leaves in the cache. The logits
  // after the token and after each of the draft, empty when cancelled in a context shift.
  std::span<const float> Advance(TokenId token, const GenerateOptions& options,
                                 GenerateResult& result);
  uint32_t MostDrafted(const GenerateOptions& options, const GenerateResult& result) const;
  void Truncate(size_t length);
  uint32_t CommonPrefix(std::span<const TokenId> tokens) const;

  Engine& engine_;
  uint32_t slot_;
  std::vector<TokenId> cached_, shifted_;  // room for the context, so that decode allocates nothing
};

}  // namespace edgewise
