#include "engine/sampler.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace edgewise {
namespace {

constexpr float kLargest = std::numeric_limits<float>::max();
constexpr uint32_t kMaxPenaltyLast = 1 << 24;  // as many as the largest context

bool HasPenalties(const SamplerOptions& o) {
  return o.penalty_last > 0 &&
         (o.repeat_penalty != 1 || o.frequency_penalty != 0 || o.presence_penalty != 0);
}

// Taylor's series of e^x, 1 / i!.
constexpr auto kInverseFactorials = [] {
  std::array<double, 14> values{1};
  for (size_t i = 1; i < values.size(); ++i) values[i] = values[i - 1] / static_cast<double>(i);
  return values;
}();

size_t CandidateCount(const SamplerOptions& o, size_t vocab) {
  return o.top_k > 0 ? std::min<size_t>(o.top_k, vocab) : vocab;
}

// e^x for x <= 0, of IEEE additions and multiplications only, so that every machine gets the same
// bits (libraries differ in the last one). Relative error below 2^-50.
double Exp(double x) {
  if (!(x > -700)) return 0;
  constexpr double kLog2e = 0x1.71547652b82fep+0;
  constexpr double kLn2High = 0x1.62e42fee00000p-1;  // 33 bits: times n is exact
  constexpr double kLn2Low = 0x1.a39ef35793c76p-33;
  const double n = std::floor(x * kLog2e + 0.5);
  const double r = (x - n * kLn2High) - n * kLn2Low;  // |r| <= ln(2) / 2
  double sum = 0;  // the first term left out is r^14 / 14! < 2^-57
  for (size_t i = kInverseFactorials.size(); i-- > 0;) sum = sum * r + kInverseFactorials[i];
  return sum * std::bit_cast<double>(static_cast<uint64_t>(static_cast<int64_t>(n) + 1023) << 52);
}

// SplitMix64 (Steele, Lea, Flood 2014): one word of state, passes BigCrush.
uint64_t NextRandom(uint64_t& state) {
  uint64_t z = state += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

void Require(bool holds, const char* option, double value, const char* range) {
  if (holds) return;
  throw Error(ErrorCode::kUsage, StrCat(option, " is ", value, ": choose ", range));
}

// Shrinks `items` to the first ones, in the order `before`, whose mass reaches `mass` (at least
// one). Sorts no more than that takes: a few dozen of 150,000 as a rule.
template <typename Candidates, typename Before>
void KeepMass(Candidates& items, double mass, Before before) {
  size_t sorted = 0;
  double sum = 0;
  while (sorted < items.size()) {
    const size_t next = std::min(items.size(), std::max<size_t>(64, sorted * 4));
    const auto begin = items.begin() + static_cast<ptrdiff_t>(sorted);
    std::partial_sort(begin, items.begin() + static_cast<ptrdiff_t>(next), items.end(), before);
    for (; sorted < next; ++sorted) {
      sum += items[sorted].probability;
      if (sum >= mass) {
        items.resize(sorted + 1);
        return;
      }
    }
  }
}

}  // namespace

void CheckSamplerOptions(const SamplerOptions& o) {
  Require(o.temperature >= 0 && std::isfinite(o.temperature), "temperature", o.temperature,
          "0 (always the likeliest token) or more");
  Require(o.top_p >= 0 && o.top_p <= 1, "top-p", o.top_p, "0 to 1");
  Require(o.min_p >= 0 && o.min_p <= 1, "min-p", o.min_p, "0 to 1");
  Require(o.typical_p >= 0 && o.typical_p <= 1, "typical", o.typical_p, "0 to 1");
  Require(o.repeat_penalty > 0 && std::isfinite(o.repeat_penalty), "repeat-penalty",
          o.repeat_penalty, "a positive number, 1 for none");
  Require(std::isfinite(o.frequency_penalty), "frequency-penalty", o.frequency_penalty,
          "a number, 0 for none");
  Require(std::isfinite(o.presence_penalty), "presence-penalty", o.presence_penalty,
          "a number, 0 for none");
  Require(o.penalty_last <= kMaxPenaltyLast, "repeat-last-n", o.penalty_last, "at most 16777216");
  for (const auto& [token, bias] : o.logit_bias) {
    Require(token >= 0, "token of logit-bias", token, "an id of the vocabulary");
    Require(!std::isnan(bias), "logit-bias", bias, "a number");
  }
}

Sampler::Sampler(const SamplerOptions& options, uint32_t vocab)
    : options_(options), logits_(vocab), random_state_(options.seed) {
  EDGEWISE_CHECK(vocab > 0);
  if (options_.temperature > 0) candidates_.reserve(CandidateCount(options, vocab));
  if (HasPenalties(options_)) {
    counts_.resize(vocab);
    recent_.reserve(options_.penalty_last);
  }
}

uint64_t Sampler::MemoryBytes(const SamplerOptions& options, uint32_t vocab) {
  uint64_t bytes = uint64_t{vocab} * sizeof(float);
  if (options.temperature > 0) bytes += CandidateCount(options, vocab) * sizeof(Candidate);
  if (HasPenalties(options)) {
    bytes += uint64_t{vocab} * sizeof(int32_t) + uint64_t{options.penalty_last} * sizeof(TokenId);
  }
  return bytes + options.logit_bias.size() * sizeof(options.logit_bias[0]);
}

TokenId Sampler::Sample(std::span<const float> logits) {
  EDGEWISE_CHECK(logits.size() == logits_.size());
  Adjust(logits);
  if (options_.temperature == 0) return Largest();
  TakeCandidates();
  if (options_.typical_p < 1) KeepTypical();
  if (options_.top_p < 1) KeepProbable();
  if (options_.min_p > 0) KeepNearBest();
  return Draw();
}

void Sampler::Accept(TokenId token) {
  if (counts_.empty() || token < 0 || static_cast<size_t>(token) >= counts_.size()) return;
  if (recent_.size() < options_.penalty_last) {
    recent_.push_back(token);
  } else {
    --counts_[static_cast<size_t>(recent_[recent_at_])];
    recent_[recent_at_] = token;
    recent_at_ = (recent_at_ + 1) % recent_.size();
  }
  ++counts_[static_cast<size_t>(token)];
}

void Sampler::ForgetText() {
  std::fill(counts_.begin(), counts_.end(), 0);
  recent_.clear();
  recent_at_ = 0;
}

// Fills logits_: finite or -infinity, with bias and penalties.
void Sampler::Adjust(std::span<const float> logits) {
  for (size_t i = 0; i < logits.size(); ++i) {
    const float logit = logits[i];
    logits_[i] = std::isnan(logit) ? -INFINITY : std::min(logit, kLargest);
  }
  for (const auto& [token, bias] : options_.logit_bias) {
    if (static_cast<size_t>(token) >= logits_.size()) continue;
    float& logit = logits_[static_cast<size_t>(token)];
    logit = bias == -INFINITY ? bias : std::min(logit + bias, kLargest);
  }
  // Each token once, though it may be recent several times: a count turned negative is done with.
  for (const TokenId token : recent_) {
    int32_t& count = counts_[static_cast<size_t>(token)];
    if (count <= 0) continue;
    float& logit = logits_[static_cast<size_t>(token)];
    logit = logit > 0 ? logit / options_.repeat_penalty : logit * options_.repeat_penalty;
    logit -= static_cast<float>(count) * options_.frequency_penalty + options_.presence_penalty;
    logit = std::isnan(logit) ? -INFINITY : std::min(logit, kLargest);
    count = -count;
  }
  for (const TokenId token : recent_) {
    int32_t& count = counts_[static_cast<size_t>(token)];
    count = std::abs(count);
  }
}

TokenId Sampler::Largest() const {
  return static_cast<TokenId>(std::max_element(logits_.begin(), logits_.end()) - logits_.begin());
}

bool Sampler::IsBetter(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

// The top_k best tokens, or all. A heap of the best so far has its worst in front: of a large
// vocabulary few tokens pass it, and the rest cost one comparison.
void Sampler::TakeCandidates() {
  const size_t count = CandidateCount(options_, logits_.size());
  candidates_.resize(count);
  for (size_t i = 0; i < count; ++i) candidates_[i] = {static_cast<TokenId>(i), logits_[i], 0};
  if (count == logits_.size()) return;
  std::make_heap(candidates_.begin(), candidates_.end(), IsBetter);
  for (size_t i = count; i < logits_.size(); ++i) {
    if (!(logits_[i] > candidates_.front().logit)) continue;
    std::pop_heap(candidates_.begin(), candidates_.end(), IsBetter);
    candidates_.back() = {static_cast<TokenId>(i), logits_[i], 0};
    std::push_heap(candidates_.begin(), candidates_.end(), IsBetter);
  }
}

// Probabilities of the candidates; their sum is 1. If no logit is finite, the smallest id has it
// all.
void Sampler::Softmax(double temperature) {
  const Candidate best = *std::min_element(candidates_.begin(), candidates_.end(), IsBetter);
  double sum = 0;
  for (Candidate& c : candidates_) {
    c.probability = c.id == best.id ? 1 : Exp((double{c.logit} - best.logit) / temperature);
    sum += c.probability;
  }
  for (Candidate& c : candidates_) c.probability /= sum;
}

// Locally typical sampling (Meister et al. 2022): the tokens whose surprise is nearest the entropy,
// up to a mass of typical_p. Both are taken relative to the best token's surprise, which cancels.
void Sampler::KeepTypical() {
  Softmax(1);
  const Candidate best = *std::min_element(candidates_.begin(), candidates_.end(), IsBetter);
  const auto surprise = [&](const Candidate& c) { return double{best.logit} - c.logit; };
  double entropy = 0;
  for (const Candidate& c : candidates_) {
    if (c.probability > 0) entropy += c.probability * (c.id == best.id ? 0 : surprise(c));
  }
  const auto distance = [&](const Candidate& c) {
    return c.probability > 0 ? std::abs((c.id == best.id ? 0 : surprise(c)) - entropy) : INFINITY;
  };
  KeepMass(candidates_, options_.typical_p, [&](const Candidate& a, const Candidate& b) {
    const double da = distance(a), db = distance(b);
    return da != db ? da < db : a.id < b.id;
  });
}

void Sampler::KeepProbable() {
  Softmax(1);
  KeepMass(candidates_, options_.top_p, IsBetter);
}

void Sampler::KeepNearBest() {
  Softmax(1);
  double best = 0;
  for (const Candidate& c : candidates_) best = std::max(best, c.probability);
  std::erase_if(candidates_,
                [&](const Candidate& c) { return c.probability < options_.min_p * best; });
}

TokenId Sampler::Draw() {
  Softmax(options_.temperature);
  double left = static_cast<double>(NextRandom(random_state_) >> 11) * 0x1p-53;  // in [0, 1)
  TokenId last = candidates_.front().id;
  for (const Candidate& c : candidates_) {
    if (c.probability == 0) continue;
    last = c.id;
    left -= c.probability;
    if (left < 0) break;
  }
  return last;  // the sum may fall short of 1 by rounding
}

}  // namespace edgewise
