// From logits to a token.
//
// Order: logit bias; penalties (repeat, frequency, presence) over the last `penalty_last` tokens;
// then, unless temperature is 0 (greedy: the largest logit, the smallest id among equals):
// top-k, typical, top-p, min-p, temperature, and a draw. Filters keep at least one token. This is
// the ecosystem's default order.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/token_id.h"

namespace edgewise {

struct SamplerOptions {
  float temperature = 0.8f;     // 0: greedy
  uint32_t top_k = 40;          // 0: off
  float top_p = 0.95f;          // 1: off
  float min_p = 0.05f;          // 0: off
  float typical_p = 1.0f;       // 1: off
  float repeat_penalty = 1.0f;  // 1: off; divides positive logits, multiplies negative ones
  float frequency_penalty = 0;  // subtracted once per occurrence
  float presence_penalty = 0;   // subtracted once
  uint32_t penalty_last = 64;   // tokens looked back on; 0: none
  std::vector<std::pair<TokenId, float>> logit_bias = {};  // -inf forbids
  uint64_t seed = 0;
};
// Throws Error(kUsage) naming the option: NaN, negative temperature, top_p outside [0, 1], ...
void CheckSamplerOptions(const SamplerOptions& options);

// One per sequence. Allocates only when made. The same seed gives the same tokens on every machine
// (for the same logits): the generator is SplitMix64, and the exponential is our own.
class Sampler {
 public:
  // options as CheckSamplerOptions() accepts them.
  Sampler(const SamplerOptions& options, uint32_t vocab);

  // Chooses from logits (size vocab). Does not remember the token: Accept() does. A logit that is
  // NaN counts as -infinity; if none is larger, the result is token 0.
  TokenId Sample(std::span<const float> logits);
  // Tells of a token now in the text (prompt tokens too), for the penalties.
  void Accept(TokenId token);
  // Forgets the text, not the random state.
  void ForgetText();

  // Bytes that a sampler of this vocabulary holds.
  static uint64_t MemoryBytes(const SamplerOptions& options, uint32_t vocab);

 private:
  struct Candidate {
    TokenId id;
    float logit;
    double probability;
  };
  static bool IsBetter(const Candidate& a, const Candidate& b);

  void Adjust(std::span<const float> logits);
  TokenId Largest() const;
  void TakeCandidates();
  void Softmax(double temperature);
  void KeepTypical();
  void KeepProbable();
  void KeepNearBest();
  TokenId Draw();

  SamplerOptions options_;
  std::vector<float> logits_;  // adjusted copy
  std::vector<Candidate> candidates_;
  std::vector<int32_t> counts_;  // of each token among `recent_`; empty without penalties
  std::vector<TokenId> recent_;  // ring of penalty_last
  size_t recent_at_ = 0;
  uint64_t random_state_;
};

}  // namespace edgewise
