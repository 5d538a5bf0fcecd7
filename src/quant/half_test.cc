#include "quant/half.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

namespace edgewise {
namespace {

// The value of an IEEE-like format by its definition, in double: exact for every pattern of 16
// bits.
double Defined(uint32_t pattern, int exponent_bits, int mantissa_bits) {
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const int all_ones = (1 << exponent_bits) - 1;
  const int exponent = static_cast<int>(pattern >> mantissa_bits) & all_ones;
  const double mantissa = pattern & ((1u << mantissa_bits) - 1);
  const double sign = pattern >> (exponent_bits + mantissa_bits) ? -1.0 : 1.0;
  if (exponent == all_ones) {
    return mantissa != 0 ? std::numeric_limits<double>::quiet_NaN()
                         : sign * std::numeric_limits<double>::infinity();
  }
  const double fraction = std::ldexp(mantissa, -mantissa_bits);
  return exponent == 0 ? sign * std::ldexp(fraction, 1 - bias)
                       : sign * std::ldexp(1 + fraction, exponent - bias);
}

TEST(HalfTest, EveryPatternWidensToItsDefinition) {
  for (uint32_t h = 0; h < 0x10000; ++h) {
    const auto bits = static_cast<uint16_t>(h);
    const double f16 = Defined(h, 5, 10);
    const double bf16 = Defined(h, 8, 7);
    if (std::isnan(f16)) {
      // Quiet, sign and payload kept: what VCVTPH2PS gives.
      EXPECT_EQ(std::bit_cast<uint32_t>(F16ToF32(bits)),
                (h & 0x8000) << 16 | 0x7fc00000 | (h & 0x3ff) << 13);
    } else {
      EXPECT_EQ(static_cast<double>(F16ToF32(bits)), f16) << h;
      EXPECT_EQ(std::signbit(F16ToF32(bits)), h >> 15 != 0) << h;
    }
    if (std::isnan(bf16)) {
      EXPECT_TRUE(std::isnan(Bf16ToF32(bits))) << h;
    } else {
      EXPECT_EQ(static_cast<double>(Bf16ToF32(bits)), bf16) << h;
      EXPECT_EQ(std::signbit(Bf16ToF32(bits)), h >> 15 != 0) << h;
    }
  }
}

TEST(HalfTest, EveryPatternSurvivesTheRoundTrip) {
  for (uint32_t h = 0; h < 0x10000; ++h) {
    const auto bits = static_cast<uint16_t>(h);
    const bool f16_nan = (h & 0x7fff) > 0x7c00;
    EXPECT_EQ(F32ToF16(F16ToF32(bits)), f16_nan ? (h | 0x200) : h);
    const bool bf16_nan = (h & 0x7fff) > 0x7f80;
    EXPECT_EQ(F32ToBf16(Bf16ToF32(bits)), bf16_nan ? (h | 0x40) : h);
  }
}

// Between each two neighbours: the midpoint goes to the even one, anything off it to the nearer.
// Midpoints are floats: the formats have at most 11 significant bits, a midpoint one more. The
// value after the largest finite is the one the format would have next; it rounds to infinity.
TEST(HalfTest, RoundsToNearestTiesToEven) {
  for (uint32_t low = 0; low < 0x7c00; ++low) {
    const float a = F16ToF32(static_cast<uint16_t>(low));
    const double next = low == 0x7bff ? 65536.0 : F16ToF32(static_cast<uint16_t>(low + 1));
    const auto middle = static_cast<float>((a + next) / 2);
    for (const uint32_t sign : {0u, 0x8000u}) {
      const float s = sign ? -1.0f : 1.0f;
      const float below = std::nextafter(middle, 0.0f), above = std::nextafter(middle, INFINITY);
      EXPECT_EQ(F32ToF16(s * middle), sign | (low + (low & 1))) << low;
      EXPECT_EQ(F32ToF16(s * below), sign | low) << low;
      EXPECT_EQ(F32ToF16(s * above), sign | (low + 1)) << low;
    }
  }
  for (uint32_t low = 0; low < 0x7f80; ++low) {
    const uint32_t middle = low << 16 | 0x8000;
    for (const uint32_t sign : {0u, 0x8000u}) {
      const auto at = [&](uint32_t bits) { return std::bit_cast<float>(bits | sign << 16); };
      EXPECT_EQ(F32ToBf16(at(middle)), sign | (low + (low & 1))) << low;
      EXPECT_EQ(F32ToBf16(at(middle - 1)), sign | low) << low;
      EXPECT_EQ(F32ToBf16(at(middle + 1)), sign | (low + 1)) << low;
    }
  }
}

TEST(HalfTest, OverflowAndNaN) {
  EXPECT_EQ(F32ToF16(std::numeric_limits<float>::max()), 0x7c00);
  EXPECT_EQ(F32ToF16(-INFINITY), 0xfc00);
  EXPECT_EQ(F32ToF16(std::bit_cast<float>(0xff802000u)), 0xfe01);  // signalling becomes quiet
  EXPECT_EQ(F32ToBf16(std::numeric_limits<float>::max()), 0x7f80);
  EXPECT_EQ(F32ToBf16(std::bit_cast<float>(0x7f800001u)), 0x7fc0);  // not rounded to infinity
  EXPECT_EQ(F32ToF16(std::numeric_limits<float>::denorm_min()), 0);
  EXPECT_EQ(F32ToF16(-0.0f), 0x8000);
}

}  // namespace
}  // namespace edgewise
