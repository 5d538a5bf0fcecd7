// Rounding of activations and the operations on one row, for every instruction set that runs here.
#include <gtest/gtest.h>

#include <cfloat>
#include <cmath>
#include <limits>

#include "kernels/test_data.h"

namespace edgewise::kernels {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr uint32_t kLengths[] = {1, 2, 7, 8, 15, 16, 17, 31, 33, 64, 100, 576, 2048};

class RowOpsTest : public testing::TestWithParam<Isa> {
 protected:
  const KernelTable& kernels() const { return KernelsFor(GetParam()); }

  std::vector<std::byte> Quantise(ActivationFormat format, const std::vector<float>& x) const {
    const uint32_t k = static_cast<uint32_t>(x.size());
    const GuardedBytes row(ActivationBytes(format, k));
    kernels().quantize(format, x.data(), k, row.data());
    return {row.data(), row.data() + row.size()};
  }
};

TEST_P(RowOpsTest, QuantizeRoundsToNearestEvenWithAFloatScale) {
  Random random(3);
  std::vector<float> x = NormalFloats(2048, random, 3.0f);
  for (size_t i = 0; i < 256; ++i) x[i] = 0;
  for (size_t i = 256; i < 512; ++i) x[i] *= 1e30f;
  for (size_t i = 512; i < 768; ++i) x[i] *= 1e-30f;
  // amax 127: codes are the values themselves, so ties show.
  for (size_t i = 768; i < 1024; ++i) x[i] = static_cast<float>(i % 64) - 31.5f;
  for (size_t i = 768; i < 1024; i += 32) x[i] = 127.0f;
  for (ActivationFormat format : {ActivationFormat::kQ8_0, ActivationFormat::kQ8_K}) {
    const std::vector<std::byte> row = Quantise(format, x);
    const uint32_t block = format == ActivationFormat::kQ8_0 ? 32 : 256;
    const uint32_t per_sum = format == ActivationFormat::kQ8_0 ? 32 : 16;
    const auto* codes = reinterpret_cast<const int8_t*>(row.data());
    for (uint32_t b = 0; b < x.size() / block; ++b) {
      float amax = 0;
      for (uint32_t i = b * block; i < (b + 1) * block; ++i) amax = std::max(amax, std::abs(x[i]));
      const float scale = format == ActivationFormat::kQ8_0 ? ViewQ8_0(row.data(), 2048).scales[b]
                                                            : ViewQ8_K(row.data(), 2048).scales[b];
      EXPECT_EQ(scale, amax / 127.0f);
      for (uint32_t i = b * block; i < (b + 1) * block; ++i) {
        const float scaled = amax == 0 ? 0 : x[i] * (127.0f / amax);
        ASSERT_EQ(codes[i], std::nearbyint(scaled)) << i;
      }
    }
    for (uint32_t s = 0; s < x.size() / per_sum; ++s) {
      int sum = 0;
      for (uint32_t i = s * per_sum; i < (s + 1) * per_sum; ++i) sum += codes[i];
      const int stored = format == ActivationFormat::kQ8_0 ? ViewQ8_0(row.data(), 2048).sums[s]
                                                           : ViewQ8_K(row.data(), 2048).sums[s];
      ASSERT_EQ(stored, sum);
    }
  }
}

TEST_P(RowOpsTest, QuantizeDefinesNanInfinityAndTinyBlocks) {
  for (ActivationFormat format : {ActivationFormat::kQ8_0, ActivationFormat::kQ8_K}) {
    for (float bad : {std::nanf(""), -std::nanf(""), kInfinity, -kInfinity}) {
      std::vector<float> x(512, 1.0f);
      x[40] = bad;
      const std::vector<std::byte> row = Quantise(format, x);
      const std::vector<double> decoded = DecodeActivation(format, row.data(), 512);
      EXPECT_TRUE(std::isnan(decoded[40]));
      EXPECT_TRUE(std::isnan(decoded[41]));
      EXPECT_FLOAT_EQ(static_cast<float>(decoded[300]), 1.0f);
      EXPECT_EQ(static_cast<int8_t>(row[40]), 0);
    }
    for (float tiny : {0.0f, -0.0f, FLT_MIN / 16, 9e-37f}) {
      const std::vector<double> decoded =
          DecodeActivation(format, Quantise(format, std::vector<float>(256, tiny)).data(), 256);
      EXPECT_EQ(decoded, std::vector<double>(256, 0.0));
    }
    const std::vector<double> largest =
        DecodeActivation(format, Quantise(format, std::vector<float>(256, -FLT_MAX)).data(), 256);
    EXPECT_NEAR(largest[0] / -double{FLT_MAX}, 1.0, 1e-6);
  }
}

TEST_P(RowOpsTest, QuantizedRowsHaveTheBitsOfThePlainKernels) {
  Random random(9);
  for (ActivationFormat format : {ActivationFormat::kQ8_0, ActivationFormat::kQ8_K}) {
    const uint32_t k = 1536;
    const std::vector<float> x = NormalFloats(k, random);
    std::vector<std::byte> row(ActivationBytes(format, k)), plain(row.size());
    kernels().quantize(format, x.data(), k, row.data());
    KernelsFor(Isa::kPlain).quantize(format, x.data(), k, plain.data());
    EXPECT_EQ(row, plain);
  }
}

TEST_P(RowOpsTest, RmsNormEqualsTheFormula) {
  Random random(4);
  for (uint32_t n : kLengths) {
    std::vector<float> x = NormalFloats(n, random, 5.0f);
    const std::vector<float> weight = NormalFloats(n, random);
    double squares = 0;
    for (float v : x) squares += double{v} * v;
    const double scale = 1 / std::sqrt(squares / n + 1e-5);
    std::vector<float> y(n + 1, -1.0f);
    kernels().rms_norm(x.data(), weight.data(), 1e-5f, n, y.data());
    EXPECT_EQ(y[n], -1.0f);
    // The sum of squares: n / 16 + 5 additions, halved by the square root; then five roundings.
    const double relative = (n / 16 + 15) * std::ldexp(1.0, -24);
    for (uint32_t i = 0; i < n; ++i) {
      const double expected = x[i] * scale * weight[i];
      ASSERT_NEAR(y[i], expected, std::abs(expected) * relative) << n << " " << i;
    }
    kernels().rms_norm(x.data(), weight.data(), 1e-5f, n, x.data());
    EXPECT_TRUE(std::equal(x.begin(), x.end(), y.begin())) << "in place";
  }
}

TEST_P(RowOpsTest, SwiGluEqualsTheFormulaFromEndToEnd) {
  for (uint32_t n : kLengths) {
    std::vector<float> gate(n), up(n);
    for (uint32_t i = 0; i < n; ++i) {
      gate[i] = -86.0f + 172.0f * static_cast<float>(i) / static_cast<float>(n);
      up[i] = static_cast<float>(i % 5) - 2;
    }
    std::vector<float> y(n + 1, -1.0f);
    kernels().swiglu(gate.data(), up.data(), n, y.data());
    EXPECT_EQ(y[n], -1.0f);
    for (uint32_t i = 0; i < n; ++i) {
      const double expected = gate[i] / (1 + std::exp(-double{gate[i]})) * up[i];
      // exp 2e-7, and three roundings.
      ASSERT_NEAR(y[i], expected, std::abs(expected) * 4e-7) << gate[i];
    }
    kernels().swiglu(gate.data(), up.data(), n, up.data());
    EXPECT_TRUE(std::equal(up.begin(), up.end(), y.begin())) << "in place";
  }
  // Beyond the range of exp: the limits, not NaN.
  const std::vector<float> gate = {-1000.0f, 1000.0f}, up = {1.0f, 1.0f};
  std::vector<float> y(2);
  kernels().swiglu(gate.data(), up.data(), 2, y.data());
  EXPECT_EQ(y[0], 0.0f);
  EXPECT_EQ(y[1], 1000.0f);
}

TEST_P(RowOpsTest, AddAddsAndStopsAtTheEnd) {
  Random random(6);
  for (uint32_t n : kLengths) {
    const std::vector<float> x = NormalFloats(n + 1, random), old = NormalFloats(n + 1, random);
    std::vector<float> y = old;
    kernels().add(x.data(), n, y.data());
    for (uint32_t i = 0; i < n; ++i) ASSERT_EQ(y[i], old[i] + x[i]);
    EXPECT_EQ(y[n], old[n]);
  }
}

TEST_P(RowOpsTest, RopeRotatesPairsEitherWay) {
  Random random(8);
  for (uint32_t n : {2, 8, 32, 62, 64, 100, 128}) {
    const std::vector<float> x = NormalFloats(n, random);
    std::vector<float> cos(n / 2), sin(n / 2);
    for (uint32_t i = 0; i < n / 2; ++i) {
      cos[i] = std::cos(0.1f * static_cast<float>(i));
      sin[i] = std::sin(0.1f * static_cast<float>(i));
    }
    for (bool interleaved : {false, true}) {
      std::vector<float> y = x;
      kernels().rope(y.data(), cos.data(), sin.data(), n, interleaved);
      for (uint32_t i = 0; i < n / 2; ++i) {
        const uint32_t a = interleaved ? 2 * i : i, b = interleaved ? 2 * i + 1 : i + n / 2;
        ASSERT_NEAR(y[a], double{x[a]} * cos[i] - double{x[b]} * sin[i], 1e-6);
        ASSERT_NEAR(y[b], double{x[a]} * sin[i] + double{x[b]} * cos[i], 1e-6);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Table, RowOpsTest,
                         testing::ValuesIn(SupportedIsas().begin(), SupportedIsas().end()),
                         [](const auto& info) { return NameOf(info.param); });

}  // namespace
}  // namespace edgewise::kernels
