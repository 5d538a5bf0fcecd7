#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <set>

#include "base/error.h"

namespace edgewise {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// All filters off, temperature 1.
SamplerOptions Plain() {
  return {.temperature = 1, .top_k = 0, .top_p = 1, .min_p = 0, .logit_bias = {}};
}

std::vector<float> RandomLogits(size_t count, unsigned seed, float spread = 3) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, spread);
  std::vector<float> logits(count);
  for (float& logit : logits) logit = normal(random);
  return logits;
}

// The documented pipeline, written as naively as possible: probabilities by token.
std::map<TokenId, double> Oracle(const SamplerOptions& o, const std::vector<float>& logits) {
  struct Item {
    TokenId id;
    double logit;
  };
  std::vector<Item> items;
  for (size_t i = 0; i < logits.size(); ++i) items.push_back({static_cast<TokenId>(i), logits[i]});
  std::stable_sort(items.begin(), items.end(),
                   [](const Item& a, const Item& b) { return a.logit > b.logit; });
  const auto softmax = [&](double temperature) {
    double max = -INFINITY, sum = 0;
    for (const Item& item : items) max = std::max(max, item.logit);
    std::vector<double> p;
    for (const Item& item : items) p.push_back(std::exp((item.logit - max) / temperature));
    for (const double value : p) sum += value;
    for (double& value : p) value /= sum;
    return p;
  };
  const auto keep_mass = [&](const std::vector<double>& p, double mass) {
    double sum = 0;
    for (size_t i = 0; i < items.size(); ++i) {
      sum += p[i];
      if (sum >= mass) {
        items.resize(i + 1);
        return;
      }
    }
  };
  if (o.top_k > 0 && o.top_k < items.size()) items.resize(o.top_k);
  if (o.typical_p < 1) {
    auto p = softmax(1);
    double entropy = 0;
    for (const double value : p) entropy -= value * std::log(value);
    std::vector<size_t> order(items.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      return std::abs(-std::log(p[a]) - entropy) < std::abs(-std::log(p[b]) - entropy);
    });
    std::vector<Item> sorted;
    std::vector<double> sorted_p;
    for (const size_t i : order) {
      sorted.push_back(items[i]);
      sorted_p.push_back(p[i]);
    }
    items = sorted;
    keep_mass(sorted_p, o.typical_p);
    std::stable_sort(items.begin(), items.end(),
                     [](const Item& a, const Item& b) { return a.logit > b.logit; });
  }
  if (o.top_p < 1) keep_mass(softmax(1), o.top_p);
  if (o.min_p > 0) {
    const auto p = softmax(1);
    const double best = p[0];
    std::vector<Item> kept;
    for (size_t i = 0; i < items.size(); ++i) {
      if (p[i] >= o.min_p * best) kept.push_back(items[i]);
    }
    items = kept;
  }
  const auto p = softmax(o.temperature);
  std::map<TokenId, double> result;
  for (size_t i = 0; i < items.size(); ++i) result[items[i].id] = p[i];
  return result;
}

struct Case {
  const char* name;
  SamplerOptions options;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

class Filters : public testing::TestWithParam<Case> {};

// Every token drawn is one that the oracle keeps, and frequencies are the oracle's by chi-square.
TEST_P(Filters, DrawAsTheNaivePipelineSays) {
  constexpr int kDraws = 10000;
  for (const unsigned seed : {1u, 2u}) {
    const auto logits = RandomLogits(300, seed);
    SamplerOptions options = GetParam().options;
    options.seed = seed;
    const auto expected = Oracle(options, logits);
    Sampler sampler(options, 300);
    std::map<TokenId, int> drawn;
    for (int i = 0; i < kDraws; ++i) ++drawn[sampler.Sample(logits)];
    for (const auto& [id, count] : drawn) {
      ASSERT_TRUE(expected.contains(id)) << id << " was filtered out";
    }
    // Cells of fewer than 10 expected draws are pooled. The statistic exceeds its mean, the degrees
    // of freedom f, by 6 standard deviations sqrt(2 f) once in 10^6 or less (f >= 5), plus slack
    // for few.
    double statistic = 0, rest_expected = 0, rest_drawn = 0;
    int cells = 0;
    const auto add = [&](double want, double got) {
      statistic += (got - want) * (got - want) / want;
      ++cells;
    };
    for (const auto& [id, p] : expected) {
      const double want = p * kDraws;
      if (want >= 10) {
        add(want, drawn[id]);
      } else {
        rest_expected += want;
        rest_drawn += drawn[id];
      }
    }
    if (rest_expected >= 10) add(rest_expected, rest_drawn);
    const double freedom = std::max(cells - 1, 1);
    EXPECT_LT(statistic, freedom + 6 * std::sqrt(2 * freedom) + 10);
  }
}

SamplerOptions With(void (*change)(SamplerOptions&)) {
  SamplerOptions options = Plain();
  change(options);
  return options;
}
using O = SamplerOptions;

INSTANTIATE_TEST_SUITE_P(
    Each, Filters,
    testing::Values(Case{"none", Plain()}, Case{"hot", With([](O& o) { o.temperature = 3; })},
                    Case{"cold", With([](O& o) { o.temperature = 0.3f; })},
                    Case{"top_k", With([](O& o) { o.top_k = 7; })},
                    Case{"top_k_of_all", With([](O& o) { o.top_k = 1000; })},
                    Case{"top_p", With([](O& o) { o.top_p = 0.6f; })},
                    Case{"top_p_nearly_all", With([](O& o) { o.top_p = 0.999f; })},
                    Case{"top_p_0_keeps_one", With([](O& o) { o.top_p = 0; })},
                    Case{"min_p", With([](O& o) { o.min_p = 0.1f; })},
                    Case{"typical", With([](O& o) { o.typical_p = 0.5f; })},
                    Case{"typical_most", With([](O& o) { o.typical_p = 0.95f; })},
                    // Filters see probabilities before temperature: in another order these differ.
                    Case{"filters_before_temperature", With([](O& o) {
                           o.top_p = 0.7f;
                           o.min_p = 0.05f;
                           o.temperature = 4;
                         })},
                    Case{"all", With([](O& o) {
                           o.top_k = 50;
                           o.typical_p = 0.9f;
                           o.top_p = 0.8f;
                           o.min_p = 0.03f;
                           o.temperature = 1.5f;
                         })}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(Sampler, GreedyTakesTheLargestAndOfEqualsTheFirst) {
  SamplerOptions options;
  options.temperature = 0;
  Sampler sampler(options, 5);
  EXPECT_EQ(sampler.Sample(std::vector<float>{1, 5, 3, 5, 2}), 1);
  EXPECT_EQ(sampler.Sample(std::vector<float>{kNan, -kInfinity, -7, kNan, -8}), 2);
  EXPECT_EQ(sampler.Sample(std::vector<float>{1, kNan, kInfinity, 5, kInfinity}), 2);
}

TEST(Sampler, WithoutAFiniteLogitTheResultIsDefined) {
  for (const float temperature : {0.0f, 0.8f}) {
    SamplerOptions options;
    options.temperature = temperature;
    options.typical_p = 0.9f;
    Sampler sampler(options, 4);
    EXPECT_EQ(sampler.Sample(std::vector<float>(4, kNan)), 0);
    EXPECT_EQ(sampler.Sample(std::vector<float>(4, -kInfinity)), 0);
    EXPECT_EQ(sampler.Sample(std::vector<float>{kNan, -1, kNan, -kInfinity}), 1);
    EXPECT_EQ(sampler.Sample(std::vector<float>{0, 1, kInfinity, 2}), 2);
  }
}

TEST(Sampler, TheSameSeedDrawsTheSameTokensOnEveryMachine) {
  SamplerOptions options = Plain();
  options.seed = 42;
  Sampler sampler(options, 1000);
  std::vector<float> logits(1000);
  for (size_t i = 0; i < logits.size(); ++i)
    logits[i] = static_cast<float>((i * 7919) % 1000) / 250;
  std::vector<TokenId> drawn;
  for (int i = 0; i < 8; ++i) drawn.push_back(sampler.Sample(logits));
  // As a separate implementation in Python draws.
  EXPECT_EQ(drawn, (std::vector<TokenId>{742, 162, 277, 341, 38, 867, 223, 803}));
}

TEST(Sampler, PenaltiesFollowTheirFormulas) {
  // Greedy over logits that only a penalty reorders. Token 0 was seen twice, token 1 once.
  const auto winner = [](SamplerOptions options, std::vector<float> logits) {
    options.temperature = 0;
    Sampler sampler(options, static_cast<uint32_t>(logits.size()));
    for (const TokenId token : {0, 1, 0}) sampler.Accept(token);
    return sampler.Sample(logits);
  };
  // Repeat: divides a positive logit, whatever the count: 6 / 2 = 3.
  EXPECT_EQ(winner(With([](O& o) { o.repeat_penalty = 2; }), {6, -9, 3.01f}), 2);
  EXPECT_EQ(winner(With([](O& o) { o.repeat_penalty = 2; }), {6, -9, 2.99f}), 0);
  // ... and multiplies a negative one: -1 * 2 = -2.
  EXPECT_EQ(winner(With([](O& o) { o.repeat_penalty = 2; }), {-9, -1, -1.99f}), 2);
  EXPECT_EQ(winner(With([](O& o) { o.repeat_penalty = 2; }), {-9, -1, -2.01f}), 1);
  // Frequency: once per occurrence: 6 - 2 * 1.5 = 3.
  EXPECT_EQ(winner(With([](O& o) { o.frequency_penalty = 1.5f; }), {6, -9, 3.01f}), 2);
  EXPECT_EQ(winner(With([](O& o) { o.frequency_penalty = 1.5f; }), {6, -9, 2.99f}), 0);
  // Presence: once.
  EXPECT_EQ(winner(With([](O& o) { o.presence_penalty = 1.5f; }), {6, -9, 4.51f}), 2);
  EXPECT_EQ(winner(With([](O& o) { o.presence_penalty = 1.5f; }), {6, -9, 4.49f}), 0);
  // Bias first, then penalties: (2 + 4) / 2 = 3.
  const auto biased = With([](O& o) {
    o.repeat_penalty = 2;
    o.logit_bias = {{0, 4.0f}};
  });
  EXPECT_EQ(winner(biased, {2, -9, 3.01f}), 2);
  EXPECT_EQ(winner(biased, {2, -9, 2.99f}), 0);
}

TEST(Sampler, PenaltiesForgetWhatLiesFurtherBack) {
  SamplerOptions options = Plain();
  options.temperature = 0;
  options.presence_penalty = 10;
  options.penalty_last = 2;
  Sampler sampler(options, 4);
  const std::vector<float> logits = {4, 3, 2, 1};
  std::vector<TokenId> text;
  for (int i = 0; i < 6; ++i) {
    text.push_back(sampler.Sample(logits));
    sampler.Accept(text.back());
  }
  EXPECT_EQ(text, (std::vector<TokenId>{0, 1, 2, 0, 1, 2}));
  sampler.ForgetText();
  EXPECT_EQ(sampler.Sample(logits), 0);
}

TEST(Sampler, BiasOfMinusInfinityForbids) {
  SamplerOptions options = Plain();
  options.logit_bias = {{1, -kInfinity}, {99, 5.0f}};  // an id beyond the vocabulary has no effect
  Sampler sampler(options, 3);
  for (int i = 0; i < 1000; ++i) EXPECT_NE(sampler.Sample(std::vector<float>{0, kInfinity, 0}), 1);
}

TEST(Sampler, RefusesWhatMakesNoSense) {
  const auto refused = [](void (*change)(SamplerOptions&)) {
    SamplerOptions options;
    change(options);
    try {
      CheckSamplerOptions(options);
    } catch (const Error& error) {
      return error.code() == ErrorCode::kUsage;
    }
    return false;
  };
  EXPECT_NO_THROW(CheckSamplerOptions(SamplerOptions()));
  EXPECT_TRUE(refused([](O& o) { o.temperature = -1; }));
  EXPECT_TRUE(refused([](O& o) { o.temperature = kNan; }));
  EXPECT_TRUE(refused([](O& o) { o.temperature = kInfinity; }));
  EXPECT_TRUE(refused([](O& o) { o.top_p = 1.1f; }));
  EXPECT_TRUE(refused([](O& o) { o.min_p = -0.1f; }));
  EXPECT_TRUE(refused([](O& o) { o.typical_p = kNan; }));
  EXPECT_TRUE(refused([](O& o) { o.repeat_penalty = 0; }));
  EXPECT_TRUE(refused([](O& o) { o.frequency_penalty = kNan; }));
  EXPECT_TRUE(refused([](O& o) { o.penalty_last = 0xffffffff; }));
  EXPECT_TRUE(refused([](O& o) { o.logit_bias = {{-1, 0.0f}}; }));
  EXPECT_TRUE(refused([](O& o) { o.logit_bias = {{0, kNan}}; }));
}

// Loose by a factor of ten and more on purpose, to hold on a busy machine and under sanitizers; it
// catches a full sort of the vocabulary per token. Figures are in docs/.
TEST(Sampler, ALargeVocabularyIsNotSortedForEachToken) {
  const auto logits = RandomLogits(152064, 9);
  Sampler sampler(SamplerOptions(), 152064);
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 20; ++i) sampler.Sample(logits);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  RecordProperty("ms_per_token", std::to_string(seconds.count() / 20 * 1000));
  EXPECT_LT(seconds.count() / 20, 0.05);
}

}  // namespace
}  // namespace edgewise
