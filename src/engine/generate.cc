#include "engine/generate.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <optional>

#include "base/clock.h"
#include "base/error.h"

namespace edgewise {
namespace {

constexpr uint64_t kFnvOffset = 0xcbf29ce484222325, kFnvPrime = 0x100000001b3;

uint64_t Hash(std::span<const float> values, uint64_t hash) {
  for (const float value : values) hash = (hash ^ std::bit_cast<uint32_t>(value)) * kFnvPrime;
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
  std::span<const float> logits = Prefill(tokens, options);
  result.prefill = result.first_token = Now() - start;

  // Why generation ends with this token, if it does.
  const auto reason_after = [&](TokenId token) -> std::optional<StopReason> {
    if (is_end(token)) return StopReason::kEndOfGeneration;
    if (!on_token(token)) return StopReason::kCallback;
    if (result.generated_tokens == options.max_tokens) return StopReason::kLength;
    if (cached_.size() == context && !options.context_shift) return StopReason::kContextFull;
    return std::nullopt;
  };
  result.reason = StopReason::kCancelled;
  while (!logits.empty()) {
    if (options.hash_logits) result.logits_hash = Hash(logits, result.logits_hash);
    const TokenId token = sampler.Sample(logits);
    // The sampler takes a NaN only where all are: what followed would be noise.
    if (std::isnan(logits[static_cast<size_t>(token)])) {
      throw Error(ErrorCode::kBadFile,
                  "the model computes NaN for every token: its weights are damaged "
                  "(--check-tensors says which), fetch the file again");
    }
    sampler.Accept(token);
    ++result.generated_tokens;
    const std::optional<StopReason> reason = reason_after(token);
    if (result.generated_tokens == 1) result.first_token = Now() - start;
    if (reason) {
      result.reason = *reason;
      break;
    }
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

std::span<const float> Generator::Prefill(std::span<const TokenId> tokens,
                                          const GenerateOptions& options) {
  size_t done = CommonPrefix(tokens);
  cached_.resize(done);
  engine_.Truncate(slot_, static_cast<uint32_t>(done));
  std::span<const float> logits;
  while (done < tokens.size()) {
    if (IsCancelled(options)) return {};
    const size_t rows = std::min<size_t>(engine_.options().batch, tokens.size() - done);
    const bool last = done + rows == tokens.size();
    const Chunk chunk = {slot_, tokens.subspan(done, rows), last ? 1u : 0u};
    logits = engine_.Run({&chunk, 1});
    cached_.insert(cached_.end(), chunk.tokens.begin(), chunk.tokens.end());
    done += rows;
    if (!last && options.on_prefill) {
      options.on_prefill(static_cast<uint32_t>(done), static_cast<uint32_t>(tokens.size()));
    }
  }
  return logits;
}

std::span<const float> Generator::Advance(TokenId token, const GenerateOptions& options,
                                          GenerateResult& result) {
  if (IsCancelled(options)) return {};
  const uint32_t context = engine_.options().context;
  if (cached_.size() < context) {
    const Chunk chunk = {slot_, {&token, 1}, 1};
    const std::span<const float> logits = engine_.Run({&chunk, 1});
    cached_.push_back(token);
    return logits;
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
  return Prefill(shifted_, options);
}

}  // namespace edgewise
