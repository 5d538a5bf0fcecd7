#include "compress/evaluate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <limits>

#include "base/error.h"

namespace edgewise {
namespace {

constexpr uint32_t kVocab = 7;

// A model whose logits depend on the token just read and its position by a formula, so that every
// figure can be worked out beside it.
class FakeModel {
 public:
  explicit FakeModel(float gain, uint32_t most_tokens = 100, uint32_t most_rows = 100)
      : gain_(gain), source_{kVocab, most_tokens, most_rows, next_} {}

  static float Logit(float gain, TokenId read, uint32_t position, uint32_t token) {
    return gain * std::sin(static_cast<float>(read * 5 + static_cast<TokenId>(token) * 3) +
                           0.1f * static_cast<float>(position));
  }

  const LogitsSource& source() const { return source_; }
  uint32_t restarts() const { return restarts_; }
  const std::vector<TokenId>& inputs() const { return inputs_; }
  void set_gain(float gain) { gain_ = gain; }

 private:
  std::span<const float> Next(bool restart, std::span<const TokenId> tokens, uint32_t rows) {
    if (restart) {
      position_ = 0;
      ++restarts_;
    }
    logits_.clear();
    for (size_t i = 0; i < tokens.size(); ++i, ++position_) {
      inputs_.push_back(tokens[i]);
      if (i + rows < tokens.size()) continue;
      for (uint32_t t = 0; t < kVocab; ++t) {
        logits_.push_back(Logit(gain_, tokens[i], position_, t));
      }
    }
    return logits_;
  }

  float gain_;
  std::function<std::span<const float>(bool, std::span<const TokenId>, uint32_t)> next_ =
      [this](bool restart, std::span<const TokenId> tokens, uint32_t rows) {
        return Next(restart, tokens, rows);
      };
  LogitsSource source_;
  uint32_t position_ = 0, restarts_ = 0;
  std::vector<float> logits_;
  std::vector<TokenId> inputs_;
};

std::vector<TokenId> Text(size_t size) {
  std::vector<TokenId> tokens(size);
  for (size_t i = 0; i < size; ++i) tokens[i] = static_cast<TokenId>((i * i + 3 * i) % kVocab);
  return tokens;
}

constexpr auto NoProgress = [](uint32_t, uint32_t, const EvalResult&) {};

double LogProbability(float gain, TokenId read, uint32_t position, TokenId token) {
  double sum = 0;
  for (uint32_t t = 0; t < kVocab; ++t) {
    sum += std::exp(double{FakeModel::Logit(gain, read, position, t)});
  }
  return FakeModel::Logit(gain, read, position, static_cast<uint32_t>(token)) - std::log(sum);
}

TEST(EvaluateTest, PerplexityIsThatOfTheSecondHalvesWorkedOutDirectly) {
  constexpr uint32_t kContext = 10;
  const std::vector<TokenId> text = Text(35);  // three chunks, five tokens left over
  FakeModel model(2.0f);
  const EvalResult result =
      Evaluate(model.source(), text, {.context = kContext, .bos = 6}, NoProgress);

  double sum = 0, squares = 0;
  int count = 0;
  for (uint32_t chunk = 0; chunk < 3; ++chunk) {
    for (uint32_t i = 5; i < 9; ++i) {
      const double nll = -LogProbability(2.0f, text[chunk * 10 + i], i, text[chunk * 10 + i + 1]);
      sum += nll;
      squares += nll * nll;
      ++count;
    }
  }
  const double mean = sum / count;
  const double error = std::sqrt((squares / count - mean * mean) / (count - 1));
  EXPECT_EQ(result.tokens, 12u);
  EXPECT_EQ(result.chunks, 3u);
  // Logits are floats of size 2, log-probabilities good to 1e-7 or so.
  EXPECT_NEAR(result.nll, mean, 1e-6);
  EXPECT_NEAR(result.perplexity.value, std::exp(mean), 1e-5);
  EXPECT_NEAR(result.perplexity.error, std::exp(mean) * error, 1e-5);
  EXPECT_EQ(model.restarts(), 3u);
}

TEST(EvaluateTest, EachChunkBeginsWithBosAndItsLastTokenIsNotRun) {
  const std::vector<TokenId> text = Text(16);
  FakeModel model(1.0f);
  Evaluate(model.source(), text, {.context = 8, .bos = 6}, NoProgress);
  std::vector<TokenId> expected = text;
  expected[0] = expected[8] = 6;
  expected.erase(expected.begin() + 15);
  expected.erase(expected.begin() + 7);
  EXPECT_EQ(model.inputs(), expected);
}

TEST(EvaluateTest, StepsOfAnySizeGiveTheSameFigures) {
  const std::vector<TokenId> text = Text(64);
  FakeModel whole(1.5f);
  const double expected =
      Evaluate(whole.source(), text, {.context = 16}, NoProgress).perplexity.value;
  for (const uint32_t tokens : {1u, 3u, 7u, 16u}) {
    for (const uint32_t rows : {1u, 2u, 5u}) {
      FakeModel model(1.5f, tokens, rows);
      const EvalOptions options = {.context = 16, .threads = 2};
      EXPECT_EQ(Evaluate(model.source(), text, options, NoProgress).perplexity.value, expected)
          << tokens << " tokens, " << rows << " rows";
    }
  }
}

TEST(EvaluateTest, ProgressCountsChunksAndChunksLimits) {
  const std::vector<TokenId> text = Text(50);
  FakeModel model(1.0f);
  std::vector<uint32_t> seen;
  const EvalResult result = Evaluate(model.source(), text, {.context = 10, .chunks = 3},
                                     [&](uint32_t done, uint32_t chunks, const EvalResult&) {
                                       EXPECT_EQ(chunks, 3u);
                                       seen.push_back(done);
                                     });
  EXPECT_EQ(seen, (std::vector<uint32_t>{1, 2, 3}));
  EXPECT_EQ(result.chunks, 3u);
}

class KlTest : public testing::Test {
 protected:
  KlTest() : path_(testing::TempDir() + StrCat("edgewise-kl-", getpid())) {}
  ~KlTest() override { std::remove(path_.c_str()); }

  // Saves a run of a model of this gain.
  void Save(float gain) {
    FakeModel model(gain);
    LogitsWriter writer(path_, kContext, kVocab, std::span(text_).first(kChunks * kContext));
    Evaluate(model.source(), text_, {.context = kContext, .bos = 6, .save = &writer}, NoProgress);
    writer.Commit();
  }

  EvalResult Compare(float gain) {
    const LogitsFile base(path_);
    FakeModel model(gain);
    return Evaluate(model.source(), base.tokens(),
                    {.context = base.context(), .bos = 6, .base = &base}, NoProgress);
  }

  static constexpr uint32_t kContext = 12, kChunks = 4;
  const std::vector<TokenId> text_ = Text(kContext * kChunks + 3);
  const std::string path_;
};

TEST_F(KlTest, ARunDoesNotDivergeFromItself) {
  Save(2.0f);
  const EvalResult result = Compare(2.0f);
  // Codes are good to 4 / 65535 / 2 = 3e-5 in log p, and so is the sum of p, which should be 1.
  EXPECT_NEAR(result.kl.mean.value, 0, 3e-5);
  EXPECT_NEAR(result.kl.max, 0, 3e-5);
  EXPECT_EQ(result.kl.same_top.value, 1);
  EXPECT_NEAR(result.kl.log_ratio.value, 0, 1e-4);
  EXPECT_NEAR(result.kl.correlation, 1, 1e-4);
  EXPECT_NEAR(result.kl.base_perplexity.value, result.perplexity.value, 1e-3);
}

TEST_F(KlTest, DivergenceIsThatOfTheDistributionsWorkedOutDirectly) {
  constexpr float kBase = 2.0f, kOther = 1.2f;
  Save(kBase);
  const EvalResult result = Compare(kOther);
  std::vector<double> kl;
  double difference = 0;
  for (uint32_t chunk = 0; chunk < kChunks; ++chunk) {
    for (uint32_t i = kContext / 2; i + 1 < kContext; ++i) {
      const TokenId read = text_[chunk * kContext + i];
      const TokenId target = text_[chunk * kContext + i + 1];
      double sum = 0;
      for (TokenId t = 0; t < TokenId{kVocab}; ++t) {
        const double p = LogProbability(kBase, read, i, t);
        sum += std::exp(p) * (p - LogProbability(kOther, read, i, t));
      }
      kl.push_back(sum);
      difference += std::exp(LogProbability(kOther, read, i, target)) -
                    std::exp(LogProbability(kBase, read, i, target));
    }
  }
  std::sort(kl.begin(), kl.end());
  double mean = 0;
  for (const double x : kl) mean += x / static_cast<double>(kl.size());
  EXPECT_GT(mean, 0.01);  // the case is not empty
  EXPECT_NEAR(result.kl.mean.value, mean, 1e-4);
  EXPECT_NEAR(result.kl.max, kl.back(), 1e-4);
  EXPECT_NEAR(result.kl.min, kl.front(), 1e-4);
  EXPECT_NEAR(result.kl.median, (kl[kl.size() / 2] + kl[(kl.size() - 1) / 2]) / 2, 1e-4);
  EXPECT_NEAR(result.kl.probability_difference.value, difference / static_cast<double>(kl.size()),
              1e-4);
  EXPECT_EQ(result.kl.same_top.value, 1);  // a gain moves no maximum
}

TEST(EvaluateTest, BadInputIsAnError) {
  const std::vector<TokenId> text = Text(30);
  FakeModel model(1.0f);
  const auto message = [&](const EvalOptions& options) -> std::string {
    try {
      Evaluate(model.source(), text, options, NoProgress);
    } catch (const Error& error) {
      return error.message();
    }
    return "";
  };
  EXPECT_THAT(message({.context = 16}), testing::HasSubstr("fewer than two chunks of 16"));
  EXPECT_THAT(message({.context = 3}), testing::HasSubstr("too small"));
  model.set_gain(std::numeric_limits<float>::infinity());
  EXPECT_THAT(message({.context = 10}), testing::HasSubstr("not finite"));
}

}  // namespace
}  // namespace edgewise
