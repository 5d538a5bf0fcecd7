// How well a model predicts a text: perplexity, and the divergence of its predictions from another
// run's, chunk by chunk as llama-perplexity does it, so that figures compare.
//
// The text's tokens are cut into chunks of `context`; each is computed from an empty cache, its
// first token replaced by BOS where the vocabulary wants one; positions from context / 2 on are
// scored by how likely they find the token that follows.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/function_ref.h"
#include "base/token_id.h"
#include "compress/logits_file.h"
#include "engine/engine.h"
#include "tokenizer/tokenizer.h"

namespace edgewise {

// A figure and its standard error.
struct Estimate {
  double value = 0, error = 0;
};

// Statistics of P(base), from a LogitsFile, against Q, this run. Divergences in nats, differences
// of the probability that either gives the text's token as shares of 1. Percentiles interpolate.
struct KlStatistics {
  Estimate base_perplexity;
  Estimate log_ratio;      // ln(PPL(Q) / PPL(base))
  double correlation = 0;  // of ln PPL(Q) and ln PPL(base) over the tokens
  Estimate mean;           // of KL(P || Q)
  double max = 0, p999 = 0, p99 = 0, p95 = 0, p90 = 0, median = 0, p10 = 0, p5 = 0, p1 = 0, min = 0;
  Estimate probability_difference;  // mean of q - p
  Estimate probability_difference_rms;
  double probability_difference_max = 0;  // of |q - p|
  Estimate same_top;                      // share of positions whose likeliest token agrees
};

struct EvalResult {
  uint32_t context = 0, chunks = 0;
  uint64_t tokens = 0;  // scored
  Estimate perplexity;
  double nll = 0;   // mean, nats per token
  KlStatistics kl;  // zero without a base
};

struct EvalOptions {
  uint32_t context = 512;
  uint32_t chunks = 0;               // most to compute; 0: all that the text has
  TokenId bos = -1;                  // put in place of each chunk's first token; -1: none
  int threads = 1;                   // for the softmax
  const LogitsFile* base = nullptr;  // compared with; its context, chunks and tokens must be these
  LogitsWriter* save = nullptr;
};

// Where logits come from: runs `tokens` after those before (after nothing when `restart`) and
// returns the logits of the last `rows` of them, [rows, vocab], valid until the next call.
struct LogitsSource {
  uint32_t vocab = 0;
  uint32_t most_tokens = 0;  // of a call
  uint32_t most_rows = 0;    // of a call, at least 1
  FunctionRef<std::span<const float>(bool restart, std::span<const TokenId> tokens, uint32_t rows)>
      next;
};

// After each chunk: how many are done, of how many, and the figures so far but the divergences.
using EvalProgress = FunctionRef<void(uint32_t done, uint32_t chunks, const EvalResult& so_far)>;

// How many chunks Evaluate() will compute of a text of so many tokens. Throws Error(kUsage) when
// the context is below 4, or when the text does not fill two chunks (a base's text may have one).
uint32_t EvalChunks(size_t tokens, const EvalOptions& options);

// tokens: the whole text's; the base's, where there is one. Throws as EvalChunks(), and
// Error(kBadFile) when the logits are not finite, Error(kIo) from save.
EvalResult Evaluate(const LogitsSource& source, std::span<const TokenId> tokens,
                    const EvalOptions& options, EvalProgress progress);

// Rows with logits that an engine for Evaluate() should be made for: as many as the second half of
// a chunk has, within 64 MiB of logits.
uint32_t EvalLogitRows(uint32_t vocab, uint32_t context);

// Evaluate() on an engine, from slot 0. Requires engine.options().context >= options.context and,
// for a base, equal vocabularies (else Error(kUsage)).
EvalResult Evaluate(Engine& engine, std::span<const TokenId> tokens, const EvalOptions& options,
                    EvalProgress progress);

// A text's tokens as llama-perplexity takes them: special tokens spelt in it stay text, BOS in
// front where the vocabulary wants one.
std::vector<TokenId> EvalTokens(const Tokenizer& tokenizer, std::string_view text);

}  // namespace edgewise
