// What `run` and `chat` share: the flags of sampling and stopping, and the way from tokens to text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/utf8.h"
#include "cli/flags.h"
#include "cli/options.h"
#include "engine/generate.h"
#include "engine/sampler.h"
#include "tokenizer/stop_strings.h"
#include "tokenizer/tokenizer.h"

namespace edgewise {

struct GenerationFlags {
  int32_t tokens = 256;
  SamplerOptions sampler;
  int32_t penalty_last = 64;
  std::vector<std::string> logit_bias, stops;
  std::optional<uint64_t> seed;
  bool ignore_eos = false, no_escape = false, context_shift = false;
  uint32_t keep = 0, draft = 0;

  void AddTo(Flags& flags, int32_t default_tokens);

  // Throws Error(kUsage). A random seed is drawn when none was given.
  SamplerOptions ToSampler(const Tokenizer& tokenizer, uint32_t context) const;
  GenerateOptions ToGenerate() const;
  std::vector<std::string> Stops() const;
  std::string Unescaped(std::string_view text) const;

 private:
  std::vector<std::pair<TokenId, float>> Biases(const Tokenizer& tokenizer) const;
};

// Tokens to text that may be shown: whole UTF-8 characters, cut at the first stop string.
class TextStream {
 public:
  TextStream(const Tokenizer& tokenizer, std::vector<std::string> stops)
      : tokenizer_(tokenizer), stops_(std::move(stops)) {}

  std::string Push(TokenId token);
  std::string Flush();  // at the end of generation; nothing after a stop string
  bool stopped() const { return stops_.stopped(); }

 private:
  const Tokenizer& tokenizer_;
  Utf8Stream utf8_;
  StopStrings stops_;
};

// "load 0.03 s | prompt 5 tokens, TTFT 8.1 ms, 620.0 tok/s | generated 60, 310.2 tok/s, 19.1 GB/s |
// drafted 70, accepted 40, 19 steps | peak 640.0 MiB, planned 652.1 MiB | seed 7 | length"
struct RunFigures {
  Seconds load{0};
  GenerateResult result;
  uint64_t decode_bytes = 0;  // weights and KV that the decoded tokens read, as counted
  MemoryPlan plan;
  uint64_t seed = 0;

  double prefill_tok_s() const;  // 0 when nothing was measured
  double decode_tok_s() const;
  double decode_gb_s() const;
  // Tokens of the text that were computed: the last one generated was not read again.
  uint64_t computed_tokens() const;
  std::string ToText() const;
};

// " | drafted 70, accepted 40, 19 steps"; nothing when none was drafted.
std::string DraftText(const DraftCounts& draft);

}  // namespace edgewise
