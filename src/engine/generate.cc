#include "engine/generate.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <optional>

#include "base/clock.h"
#include "base/error.h"
#include "base/fnv.h"
#include "engine/ngram_draft.h"

namespace edgewise {
namespace {

uint64_t Hash(std::span<const float> values, uint64_t hash) {
  for (const float value : values) hash = FnvMix(hash, std::bit_cast<uint32_t>(value));
  return hash;
}

bool IsCancelled(const GenerateOptions& options) {
  return options.cancel != nullptr && options.cancel->load(std::memory_order_relaxed);
}

}  // namespace

const char* NameOf(StopReason reason) {
  static constexpr std::array<const char*, 5> kNames = {"length", "end_of_generation", "stop",
                                                        "context_full", "cancelled"};
  return kNames[static_cast<size_t>(reason)];
}

Generator::Generator(Engine& engine, uint32_t slot) : engine_(engine), slot_(slot) {
  cached_.reserve(engine.options().context);
  shifted_.reserve(engine.options().context);
  engine.Truncate(slot, 0);
}

GenerateResult Generator::Generate(std::span<const TokenId> tokens, Sampler& sampler,
                                   const GenerateOptions& options, IsEnd is_end, OnToken on_token) {
  const uint32_t context = engine_.options().context;
  EDGEWISE_CHECK(!tokens.empty());
  if (tokens.size() > context) {
    throw Error(ErrorCode::kLimit,
                StrCat("the text has ", tokens.size(), " tokens, the context holds ", context,
                       ": shorten it or use a larger -c"));
  }
  if (options.context_shift && options.keep + uint64_t{2} > context) {
    throw Error(ErrorCode::kUsage, StrCat("keeping ", options.keep, " tokens of a context of ",
                                          context, " leaves nothing to shift: keep fewer"));
  }
  const Seconds start = Now();
  GenerateResult result;
  result.logits_hash = options.hash_logits ? kFnvOffset : 0;
  sampler.ForgetText();
  for (const TokenId token : tokens) sampler.Accept(token);
  result.prompt_tokens = static_cast<uint32_t>(tokens.size()) - CommonPrefix(tokens);
  std::span<const float> logits = Prefill(tokens, options, result);
  result.prefill = result.first_token = Now() - start;

  // Why generation ends with this token behind so many others, if it does.
  const auto reason_after = [&](TokenId token, size_t behind) -> std::optional<StopReason> {
    if (is_end(token)) return StopReason::kEndOfGeneration;
    if (!on_token(token)) return StopReason::kCallback;
    if (result.generated_tokens == options.max_tokens) return StopReason::kLength;
    if (behind == context && !options.context_shift) return StopReason::kContextFull;
    return std::nullopt;
  };
  result.reason = StopReason::kCancelled;
  const size_t vocab = engine_.model().config().vocab;
  while (!logits.empty()) {
    const std::span<const float> row = logits.first(vocab);
    logits = logits.subspan(vocab);
    // What the row follows; behind it the cache holds the drafts whose rows are still to come.
    const size_t length = cached_.size() - logits.size() / vocab;
    if (options.hash_logits) result.logits_hash = Hash(row, result.logits_hash);
    const TokenId token = sampler.Sample(row);
    // The sampler takes a NaN only where all are: what followed would be noise.
    if (std::isnan(row[static_cast<size_t>(token)])) {
      throw Error(ErrorCode::kBadFile,
                  "the model computes NaN for every token: its weights are damaged "
                  "(--check-tensors says which), fetch the file again");
    }
    sampler.Accept(token);
    ++result.generated_tokens;
    const std::optional<StopReason> reason = reason_after(token, length);
    if (result.generated_tokens == 1) result.first_token = Now() - start;
    if (reason) result.reason = *reason;
    const bool ends = reason || IsCancelled(options);
    if (!ends && !logits.empty() && cached_[length] == token) {
      ++result.draft.accepted;
      continue;
    }
    Truncate(length);
    if (ends) break;
    logits = Advance(token, options, result);
  }
  result.decode = Now() - start - result.first_token;
  return result;
}

// Tokens of the cache that need not be computed again. The last token always is: its logits are
// gone.
uint32_t Generator::CommonPrefix(std::span<const TokenId> tokens) const {
  const auto [end, other] =
      std::mismatch(tokens.begin(), tokens.end() - 1, cached_.begin(), cached_.end());
  return static_cast<uint32_t>(end - tokens.begin());
}

void Generator::Truncate(size_t length) {
  cached_.resize(length);
  engine_.Truncate(slot_, static_cast<uint32_t>(length));
}

std::span<const float> Generator::Prefill(std::span<const TokenId> tokens,
                                          const GenerateOptions& options,
                                          GenerateResult& result) {
  size_t done = CommonPrefix(tokens);
  Truncate(done);
  std::span<const float> logits;
  while (done < tokens.size()) {
    if (IsCancelled(options)) return {};
    const size_t rows = std::min<size_t>(engine_.options().batch, tokens.size() - done);
    const bool last = done + rows == tokens.size();
    const Chunk chunk = {slot_, tokens.subspan(done, rows), last ? 1u : 0u};
    logits = engine_.Run({&chunk, 1});
    cached_.insert(cached_.end(), chunk.tokens.begin(), chunk.tokens.end());
    done += rows;
    result.rows += rows;
    if (!last && options.on_prefill) {
      options.on_prefill(static_cast<uint32_t>(done), static_cast<uint32_t>(tokens.size()));
    }
  }
  return logits;
}

std::span<const float> Generator::Advance(TokenId token, const GenerateOptions& options,
                                          GenerateResult& result) {
  ++result.draft.steps;
  if (const size_t length = cached_.size(); length < engine_.options().context) {
    cached_.push_back(token);
    AppendNgramDraft(cached_, MostDrafted(options, result));
    const auto rows = static_cast<uint32_t>(cached_.size() - length);
    result.draft.drafted += rows - 1;
    result.rows += rows;
    const Chunk chunk = {slot_, std::span(cached_).last(rows), rows};
    return engine_.Run({&chunk, 1});
  }
  // Positions change for what stays, so its keys are rotated wrongly: computed anew, it is exactly
  // the text's continuation after what stays, at the cost of prefilling half a context now and
  // then.
  const auto keep = cached_.begin() + options.keep;
  const auto newer = cached_.end() - (cached_.end() - keep) / 2;
  shifted_.assign(cached_.begin(), keep);
  shifted_.insert(shifted_.end(), newer, cached_.end());
  shifted_.push_back(token);
  ++result.context_shifts;
  return Prefill(shifted_, options, result);
}

// A draft needs room in the context, and none of it is beyond the last token wanted: the step samples
// once more than it drafts.
uint32_t Generator::MostDrafted(const GenerateOptions& options, const GenerateResult& result) const {
  const EngineOptions& engine = engine_.options();
  const auto room = engine.context - static_cast<uint32_t>(cached_.size());
  const uint32_t most = std::min({options.draft, engine.logit_rows - 1, room});
  return options.max_tokens == 0 ? most : std::min(most, options.max_tokens - result.generated_tokens - 1);
}

}  // namespace edgewise
