#include "model/random_weights.h"

#include <gtest/gtest.h>

#include <cmath>

#include "quant/codec.h"

namespace edgewise {
namespace {

class RandomWeightsTest : public testing::TestWithParam<DType> {};

// 2^20 weights in rows of 1024: the mean of n independent blocks' weights is within 5 deviations of
// 0, the variance within a few percent (weights of a block share a scale, so n counts blocks).
TEST_P(RandomWeightsTest, DecodeFiniteWithTheGivenDeviationAndNoOffset) {
  constexpr size_t kRow = 1024, kRows = 1024;
  const double deviation = 1 / std::sqrt(2048.0);
  const RandomWeights random(GetParam(), deviation);
  std::vector<std::byte> row(RowBytes(GetParam(), kRow));
  std::vector<float> w(kRow);
  double sum = 0, squares = 0;
  for (size_t i = 0; i < kRows; ++i) {
    random.Fill(i, row);
    DecodeRow(GetParam(), row, w);
    for (const float x : w) {
      ASSERT_TRUE(std::isfinite(x));
      sum += x;
      squares += static_cast<double>(x) * x;
    }
  }
  const double n = kRow * kRows;
  const double blocks = n / InfoOf(GetParam()).block;
  // An offset of up to half a code within a block: 0.5 / 2.3 deviations for Q3_K, the coarsest.
  EXPECT_LT(std::fabs(sum / n), deviation * (5 / std::sqrt(n) + 5 * 0.25 / std::sqrt(blocks)));
  EXPECT_NEAR(std::sqrt(squares / n) / deviation, 1, 0.02);
}

TEST_P(RandomWeightsTest, TheSeedDecides) {
  const RandomWeights random(GetParam(), 0.02);
  std::vector<std::byte> a(RowBytes(GetParam(), 512)), b(a.size()), c(a.size());
  random.Fill(7, a);
  random.Fill(7, b);
  random.Fill(8, c);
  EXPECT_EQ(a, b);
  EXPECT_NE(a, c);
}

std::vector<DType> Types() {
  std::vector<DType> types;
  for (const TypeInfo& info : AllTypes()) types.push_back(info.type);
  return types;
}
INSTANTIATE_TEST_SUITE_P(EveryType, RandomWeightsTest, testing::ValuesIn(Types()),
                         [](const auto& info) { return std::string(NameOf(info.param)); });

}  // namespace
}  // namespace edgewise
