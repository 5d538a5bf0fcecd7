#include "cli/generation.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <random>

#include "base/error.h"
#include "base/system_memory.h"
#include "cli/console.h"

namespace edgewise {
namespace {

constexpr uint32_t kMostDraft = 64;  // each row more costs logits; a copy so long is rarely right to its end

template <typename... Values>
std::string Format(const char* format, Values... values) {
  std::array<char, 256> text;
  std::snprintf(text.data(), text.size(), format, values...);
  return text.data();
}

// "15043+1.5", "15043-inf"
std::pair<TokenId, float> ParseBias(const std::string& text) {
  TokenId token = -1;
  float bias = NAN;
  const char* end = text.data() + text.size();
  const auto id = std::from_chars(text.data(), end, token);
  if (id.ec == std::errc() && id.ptr != end && (*id.ptr == '+' || *id.ptr == '-')) {
    const auto value = std::from_chars(id.ptr + (*id.ptr == '+' ? 1 : 0), end, bias);
    if (value.ec != std::errc() || value.ptr != end) bias = NAN;
  }
  if (token < 0 || std::isnan(bias)) {
    throw Error(ErrorCode::kUsage,
                StrCat("--logit-bias needs a token and a number, as 15043+1.5 or 15043-inf, not '",
                       Printable(text), "'"));
  }
  return {token, bias};
}

double Rate(double amount, Seconds time) { return time > Seconds(0) ? amount / time.value() : 0; }

}  // namespace

void GenerationFlags::AddTo(Flags& flags, int32_t default_tokens) {
  tokens = default_tokens;
  flags.Group("Generation");
  flags.Add("-n,--predict", tokens, "N",
            "tokens to generate at most; -1: until the model ends or the context is full");
  flags.Add("-r,--stop", stops, "TEXT", "stop before this text");
  flags.AddSwitch("--ignore-eos", ignore_eos, "never end by an end-of-text token");
  flags.AddSwitch(
      "--context-shift", context_shift,
      "at the end of the context drop the older half of the text, recompute the rest and "
      "go on, instead of stopping");
  flags.Add("--keep", keep, "N", "first tokens that --context-shift never drops");
  flags.Add("--draft-ngram", draft, "N",
            "draft up to N tokens (fewer than -b) by what followed the same n-gram before, and check them in "
            "one step: the same text in fewer steps where it repeats itself; 0: none");
  flags.AddSwitch("--no-escape", no_escape, "take \\n, \\t, \\\", \\\\, \\xHH in texts literally");
  flags.Group("Sampling (in this order: bias, penalties, top-k, typical, top-p, min-p, temp)");
  flags.Add("-s,--seed", seed, "N", "of the random draws; without it another one each time");
  flags.Add("--temp", sampler.temperature, "X", "temperature; 0: always the likeliest token");
  flags.Add("--top-k", sampler.top_k, "N", "of the N likeliest tokens; 0: of all");
  flags.Add("--top-p", sampler.top_p, "P",
            "of the likeliest that together have probability P; 1: off");
  flags.Add("--min-p", sampler.min_p, "P",
            "of those with at least P times the best one's probability; 0: off");
  flags.Add("--typical", sampler.typical_p, "P", "locally typical sampling with mass P; 1: off");
  flags.Add("--repeat-penalty", sampler.repeat_penalty, "X",
            "divides positive logits of recent tokens, multiplies negative ones; 1: off");
  flags.Add("--repeat-last-n", penalty_last, "N",
            "how far the penalties look back; 0: nowhere, -1: the context");
  flags.Add("--frequency-penalty", sampler.frequency_penalty, "X",
            "subtracted for each recent occurrence");
  flags.Add("--presence-penalty", sampler.presence_penalty, "X",
            "subtracted once from recent tokens");
  flags.Add("--logit-bias", logit_bias, "ID(+|-)X",
            "added to the logit of a token, -inf forbids it");
}

SamplerOptions GenerationFlags::ToSampler(const Tokenizer& tokenizer, uint32_t context) const {
  SamplerOptions options = sampler;
  if (penalty_last < -1) {
    throw Error(ErrorCode::kUsage,
                StrCat("--repeat-last-n is ", penalty_last, ": choose -1 or more"));
  }
  options.penalty_last = penalty_last == -1 ? context : static_cast<uint32_t>(penalty_last);
  options.logit_bias = Biases(tokenizer);
  std::random_device random;
  options.seed = seed.value_or(random());  // 32 bits: short enough to type again
  CheckSamplerOptions(options);
  return options;
}

std::vector<std::pair<TokenId, float>> GenerationFlags::Biases(const Tokenizer& tokenizer) const {
  std::vector<std::pair<TokenId, float>> biases;
  for (const std::string& text : logit_bias) {
    biases.push_back(ParseBias(text));
    if (static_cast<uint32_t>(biases.back().first) >= tokenizer.size()) {
      throw Error(ErrorCode::kUsage, StrCat("--logit-bias ", Printable(text),
                                            ": the vocabulary ends at ", tokenizer.size() - 1));
    }
  }
  if (!ignore_eos) return biases;
  for (TokenId id = 0; static_cast<uint32_t>(id) < tokenizer.size(); ++id) {
    if (tokenizer.IsEndOfGeneration(id)) biases.emplace_back(id, -INFINITY);
  }
  return biases;
}

GenerateOptions GenerationFlags::ToGenerate() const {
  if (tokens == 0 || tokens < -1) {
    throw Error(ErrorCode::kUsage, StrCat("-n is ", tokens, ": choose 1 or more, or -1"));
  }
  if (draft > kMostDraft) {
    throw Error(ErrorCode::kUsage, StrCat("--draft-ngram is ", draft, ": choose 0 to ", kMostDraft));
  }
  GenerateOptions options;
  options.max_tokens = tokens == -1 ? 0 : static_cast<uint32_t>(tokens);
  options.context_shift = context_shift;
  options.keep = keep;
  options.draft = draft;
  return options;
}

std::vector<std::string> GenerationFlags::Stops() const {
  std::vector<std::string> result;
  for (const std::string& stop : stops) result.push_back(Unescaped(stop));
  return result;
}

std::string GenerationFlags::Unescaped(std::string_view text) const {
  return no_escape ? std::string(text) : Unescape(text);
}

std::string TextStream::Push(TokenId token) {
  return stops_.Push(utf8_.Push(tokenizer_.Piece(token)));
}

std::string TextStream::Flush() {
  const std::string rest = stops_.Push(utf8_.Flush());
  return stopped() ? rest : rest + stops_.Flush();
}

double RunFigures::prefill_tok_s() const { return Rate(result.prompt_tokens, result.prefill); }

double RunFigures::decode_tok_s() const {
  return result.generated_tokens < 2 ? 0 : Rate(result.generated_tokens - 1, result.decode);
}

double RunFigures::decode_gb_s() const {
  return Rate(static_cast<double>(decode_bytes) * 1e-9, result.decode);
}

uint64_t RunFigures::computed_tokens() const {
  return uint64_t{result.prompt_tokens} + result.generated_tokens - std::min(result.generated_tokens, 1u);
}

std::string RunFigures::ToText() const {
  std::string text =
      Format("load %.2f s | prompt %u tokens, TTFT %.1f ms, %.1f tok/s", load.value(),
             result.prompt_tokens, result.first_token.value() * 1e3, prefill_tok_s());
  text += Format(" | generated %u", result.generated_tokens);
  if (decode_tok_s() > 0) text += Format(", %.1f tok/s, %.1f GB/s", decode_tok_s(), decode_gb_s());
  return StrCat(text, DraftText(result.draft), " | peak ", HumanBytes(ReadProcessMemory().peak_rss),
                ", planned ", HumanBytes(plan.total()), " | seed ", seed, " | ", NameOf(result.reason));
}

std::string DraftText(const DraftCounts& draft) {
  if (draft.drafted == 0) return "";
  return Format(" | drafted %u, accepted %u, %u steps", draft.drafted, draft.accepted, draft.steps);
}

}  // namespace edgewise
