// What the encoder owes: small errors, more care where the caller says so, and no surprise on any
// finite row.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "quant/codec.h"

namespace edgewise {
namespace {

using Row = std::vector<float>;

std::vector<std::byte> EncodeOf(DType type, const Row& row, const Row& importance = {}) {
  std::vector<std::byte> bytes(RowBytes(type, row.size()));
  EncodeRow(type, row, bytes, importance);
  return bytes;
}

Row RoundTrip(DType type, const Row& row, const Row& importance = {}) {
  Row out(row.size());
  DecodeRow(type, EncodeOf(type, row, importance), out);
  return out;
}

// Uniform in (0, 1), the same on every platform.
class Random {
 public:
  explicit Random(uint32_t seed) : engine_(seed) {}
  double Uniform() { return (engine_() + 0.5) / 4294967296.0; }
  double Gaussian() {
    const double radius = std::sqrt(-2 * std::log(Uniform()));
    return radius * std::cos(6.283185307179586 * Uniform());
  }
  double Laplace() {
    const double magnitude = -std::log(Uniform());
    return engine_() & 1 ? magnitude : -magnitude;
  }

 private:
  std::mt19937 engine_;
};

template <typename Draw>
Row Drawn(size_t n, double scale, Draw draw) {
  Row row(n);
  for (float& x : row) x = static_cast<float>(scale * draw());
  return row;
}

double RelativeRms(const Row& row, const Row& decoded) {
  double error = 0, energy = 0;
  for (size_t i = 0; i < row.size(); ++i) {
    error += std::pow(static_cast<double>(row[i]) - decoded[i], 2);
    energy += std::pow(static_cast<double>(row[i]), 2);
  }
  return std::sqrt(error / energy);
}

struct Quality {
  DType type;
  double step;               // between levels, for weights uniform in -1..1
  double gaussian, laplace;  // relative RMS error of the ecosystem's encoder on the rows below
};

void PrintTo(const Quality& quality, std::ostream* os) { *os << NameOf(quality.type); }

constexpr size_t kQualityWeights = 256 * 1024;

// step: the range 2 over the number of steps between the levels; for IQ4_NL the step of a uniform
// quantiser of equal error: gaps g between its levels give sum g^3 / (12 * 240) units^2 of 2 / 240.
constexpr Quality kQualities[] = {
    {DType::kQ4_0, 2.0 / 15, 0.08582, 0.10675},  {DType::kQ4_1, 2.0 / 15, 0.07826, 0.09174},
    {DType::kQ5_0, 2.0 / 31, 0.04268, 0.05346},  {DType::kQ5_1, 2.0 / 31, 0.03786, 0.04437},
    {DType::kQ8_0, 2.0 / 254, 0.00535, 0.00675}, {DType::kQ2_K, 2.0 / 3, 0.29610, 0.34316},
    {DType::kQ3_K, 2.0 / 7, 0.15082, 0.17584},   {DType::kQ4_K, 2.0 / 15, 0.07125, 0.08437},
    {DType::kQ5_K, 2.0 / 31, 0.03610, 0.04277},  {DType::kQ6_K, 2.0 / 63, 0.01775, 0.02164},
    {DType::kIQ4_NL, 0.1466, 0.07627, 0.08783},
};

class QualityTest : public ::testing::TestWithParam<Quality> {};

// A quantiser of step s errs by s / sqrt(12) on uniform weights. A group of 16 or 32 seldom spans
// the whole range, and two parameters fitted to 16 weights of four levels explain some of them (so
// below 1: 0.67 for Q2_K, 0.9 and more for the rest); scales of four to six bits, errors weighted
// with the magnitude, and f16 lose some (so above).
TEST_P(QualityTest, UniformWeightsErrByAStepOverRootTwelve) {
  const Quality& quality = GetParam();
  Random random(1);
  const Row row = Drawn(kQualityWeights, 1, [&] { return 2 * random.Uniform() - 1; });
  const double rms = RelativeRms(row, RoundTrip(quality.type, row)) / std::sqrt(3.0);
  EXPECT_GT(rms, 0.65 * quality.step / std::sqrt(12.0));
  EXPECT_LT(rms, 1.2 * quality.step / std::sqrt(12.0));
}

// The figures are llama.cpp's own (August 2026, no importance matrix), on these very rows.
TEST_P(QualityTest, NoWorseThanTheEcosystemsEncoder) {
  const Quality& quality = GetParam();
  Random gaussian(2), laplace(3);
  const Row bell = Drawn(kQualityWeights, 0.02, [&] { return gaussian.Gaussian(); });
  const Row peaked = Drawn(kQualityWeights, 0.015, [&] { return laplace.Laplace(); });
  EXPECT_LE(RelativeRms(bell, RoundTrip(quality.type, bell)), quality.gaussian);
  EXPECT_LE(RelativeRms(peaked, RoundTrip(quality.type, peaked)), quality.laplace);
}

INSTANTIATE_TEST_SUITE_P(Types, QualityTest, ::testing::ValuesIn(kQualities),
                         [](const auto& info) { return NameOf(info.param.type); });

class EncodeTest : public ::testing::TestWithParam<TypeInfo> {
 protected:
  DType type() const { return GetParam().type; }
  bool is_block() const { return GetParam().block > 1; }
};

TEST_P(EncodeTest, ZerosStayZerosWithScaleZero) {
  const Row zeros(512, 0.0f);
  EXPECT_EQ(RoundTrip(type(), zeros), zeros);
  // Too small for any half-precision scale: the same bytes.
  if (is_block()) {
    EXPECT_EQ(EncodeOf(type(), Row(512, 1e-40f)), EncodeOf(type(), zeros));
    EXPECT_EQ(EncodeOf(type(), Row(512, -1e-30f)), EncodeOf(type(), zeros));
  }
}

// A constant is a scale (or a min) times one code. The stored scale is off by at most 2^-11, and
// where a K-quant's own scales multiply it they are exact: the largest is the range's end. Normal
// halves only: from 2^-14 times the largest product of codes (128 * 32) on.
TEST_P(EncodeTest, ConstantsAreKept) {
  for (const float c : {1.0f, -1.0f, 0.3f, -0.7f, 3.1e4f, -6.5e4f, 1e5f}) {
    if (c > 65504 && (type() == DType::kF16 || type() == DType::kQ4_1 || type() == DType::kQ5_1)) {
      continue;  // beyond the largest half, which is the type's limit
    }
    for (const float x : RoundTrip(type(), Row(256, c))) {
      ASSERT_NEAR(x, c, 1.5 * std::ldexp(std::fabs(c), is_block() ? -11 : -9)) << c;
    }
  }
}

// Finite rows of any size give finite weights; what a half-precision scale cannot express becomes
// the largest that it can.
TEST_P(EncodeTest, HugeAndTinyRowsStayFinite) {
  const float max = std::numeric_limits<float>::max();
  Random random(4);
  for (const double scale : {1e5, 1e8, 1e20, 3e37, 1e-6, 1e-12, 1e-37, 1e-44}) {
    const Row row = Drawn(512, scale, [&] { return random.Gaussian(); });
    const Row out = RoundTrip(type(), row);
    for (size_t i = 0; i < row.size(); ++i) {
      ASSERT_TRUE(std::isfinite(out[i])) << scale;
      ASSERT_LE(std::fabs(out[i]), 2 * 8 * scale) << scale;  // no Gaussian of 512 is above 8
    }
  }
  for (const float sign : {1.0f, -1.0f}) {
    Row row(256, sign * max);
    row[7] = std::numeric_limits<float>::denorm_min();
    const Row out = RoundTrip(type(), row);
    for (size_t i = 0; i < row.size(); ++i) {
      ASSERT_TRUE(std::isfinite(out[i])) << i;
      if (i == 7) continue;
      ASSERT_GE(sign * out[i], 65504.0f) << i;
    }
  }
}

// One weight of 1e4 deviations: its squared error outweighs all the others', so the fit puts it on
// a level, and what remains is rounding of scales (2^-11, and 1/126 of a K-quant's).
TEST_P(EncodeTest, AnOutlierIsKept) {
  Random random(5);
  Row row = Drawn(512, 0.01, [&] { return random.Gaussian(); });
  row[300] = -100;
  const Row out = RoundTrip(type(), row);
  EXPECT_NEAR(out[300], -100, 1);
  // Blocks are independent: the other 256 weights are what they were without it.
  Row without = row;
  without[300] = 0;
  const Row clean = RoundTrip(type(), without);
  for (size_t i = 0; i < 256; ++i) EXPECT_EQ(out[i], clean[i]);
}

TEST_P(EncodeTest, RowsOfBlocksAreBlocksInARow) {
  Random random(6);
  const Row row = Drawn(768, 0.1, [&] { return random.Laplace(); });
  const Row weight = Drawn(768, 1, [&] { return random.Uniform(); });
  for (const bool weighted : {false, true}) {
    const auto whole = EncodeOf(type(), row, weighted ? weight : Row());
    std::vector<std::byte> parts;
    for (size_t at = 0; at < row.size(); at += 256) {
      const Row part(row.begin() + at, row.begin() + at + 256);
      const Row part_weight(weight.begin() + at, weight.begin() + at + 256);
      const auto bytes = EncodeOf(type(), part, weighted ? part_weight : Row());
      parts.insert(parts.end(), bytes.begin(), bytes.end());
    }
    EXPECT_EQ(whole, parts);
  }
}

// Exact with one scale per 32 weights: the first pass ended in a scale that is the best for its
// levels, so its own values reproduce it. A K-quant's second search starts from other sub-block
// scales (the first's were rounded), and may end elsewhere, adding a part of the first's error.
TEST_P(EncodeTest, EncodingTwiceAddsLittle) {
  Random random(7);
  const Row row = Drawn(64 * 256, 0.1, [&] { return random.Gaussian(); });
  const Row once = RoundTrip(type(), row);
  const Row twice = RoundTrip(type(), once);
  if (GetParam().block <= 32) {
    EXPECT_EQ(twice, once);
  } else {
    EXPECT_LT(RelativeRms(once, twice), 0.25 * RelativeRms(row, once));
  }
}

// The error that counts with the caller's weights falls when the encoder is told of them.
TEST_P(EncodeTest, ImportanceMovesTheErrorElsewhere) {
  if (!is_block() || type() == DType::kQ8_0) return;
  Random random(8);
  const Row row = Drawn(64 * 256, 0.1, [&] { return random.Gaussian(); });
  // Activations' squares as real models have them: a few channels far above the rest.
  const Row weight = Drawn(row.size(), 1, [&] { return std::pow(random.Gaussian(), 4); });
  const auto weighted_error = [&](const Row& out) {
    double error = 0;
    for (size_t i = 0; i < row.size(); ++i) {
      error += weight[i] * std::pow(static_cast<double>(row[i]) - out[i], 2);
    }
    return error;
  };
  EXPECT_LT(weighted_error(RoundTrip(type(), row, weight)),
            0.7 * weighted_error(RoundTrip(type(), row)));
}

TEST_P(EncodeTest, StrangeImportanceIsHarmless) {
  Random random(9);
  const Row row = Drawn(512, 0.1, [&] { return random.Gaussian(); });
  // No weight at all says nothing, like none given.
  EXPECT_EQ(EncodeOf(type(), row, Row(512, 0.0f)), EncodeOf(type(), row));
  // Weights count in proportion only. (A power of two, so that the division by the largest is the
  // same to the last bit.)
  const Row weight = Drawn(512, 1, [&] { return random.Uniform(); });
  Row scaled = weight;
  for (float& w : scaled) w = std::ldexp(w, 100);
  EXPECT_EQ(EncodeOf(type(), row, scaled), EncodeOf(type(), row, weight));
  for (const float w : {std::numeric_limits<float>::max(), 1e-45f, INFINITY}) {
    Row one(512, 0.0f);
    one[40] = w;
    for (const float x : RoundTrip(type(), row, one)) ASSERT_TRUE(std::isfinite(x)) << w;
  }
}

// Not promised to mean anything, but defined: no conversion of NaN to an integer (UBSan looks).
TEST_P(EncodeTest, NonFiniteRowsAreDefined) {
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    Row row(512, 1.0f);
    row[5] = bad;
    const Row out = RoundTrip(type(), row);
    for (size_t i = 256; i < 512; ++i) EXPECT_NEAR(out[i], 1.0f, 1e-2f);
    EXPECT_EQ(EncodeOf(type(), Row(256, bad)).size(), RowBytes(type(), 256));
  }
}

INSTANTIATE_TEST_SUITE_P(Types, EncodeTest,
                         ::testing::ValuesIn(AllTypes().begin(), AllTypes().end()),
                         [](const auto& info) { return info.param.name; });

TEST(EncodeFloatsTest, LargeWeightsBecomeTheLargestHalf) {
  EXPECT_EQ(RoundTrip(DType::kF16, {1e6f, -1e6f, 65519.0f, 1.5f}),
            (Row{65504.0f, -65504.0f, 65504.0f, 1.5f}));
  const float largest = Row(1, 0x1.fep127f)[0];
  EXPECT_EQ(RoundTrip(DType::kBF16, {std::numeric_limits<float>::max()}), (Row{largest}));
  EXPECT_TRUE(EncodeOf(DType::kQ4_K, {}).empty());
}

// Hand-computed: the largest weight 127 gives scale 1; 0.5 rounds away from zero.
TEST(EncodeQ8Test, KnownBlock) {
  Row row(32, 0.0f);
  row[0] = -127;
  row[1] = 0.5f;
  row[2] = -2.5f;
  row[31] = 126.49f;
  const auto bytes = EncodeOf(DType::kQ8_0, row);
  const auto at = [&](int i) { return static_cast<int>(static_cast<int8_t>(bytes[2 + i])); };
  EXPECT_EQ(static_cast<int>(bytes[0]) | static_cast<int>(bytes[1]) << 8, 0x3c00);
  EXPECT_EQ(at(0), -127);
  EXPECT_EQ(at(1), 1);
  EXPECT_EQ(at(2), -3);
  EXPECT_EQ(at(3), 0);
  EXPECT_EQ(at(31), 126);
}

}  // namespace
}  // namespace edgewise
