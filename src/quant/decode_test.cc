// What the bytes of a block mean: hand-computed blocks, and every weight of random blocks against
// the format's formulas written per weight, by byte offset, in double.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <map>
#include <random>
#include <vector>

#include "quant/codec.h"

namespace edgewise {
namespace {

using Bytes = std::vector<uint8_t>;

std::vector<float> DecodeBytes(DType type, const Bytes& bytes) {
  const TypeInfo& info = InfoOf(type);
  std::vector<float> out(bytes.size() / info.block_bytes * info.block);
  DecodeRow(type, std::as_bytes(std::span(bytes)), out);
  return out;
}

// A block of zero bytes with some set (offset, value), and the weights that differ from `rest`.
struct KnownBlock {
  DType type;
  std::map<int, uint8_t> bytes;
  std::map<int, float> weights;
  float rest;
};

void PrintTo(const KnownBlock& block, std::ostream* os) { *os << NameOf(block.type); }

class KnownBlockTest : public ::testing::TestWithParam<KnownBlock> {};

TEST_P(KnownBlockTest, DecodesToTheHandComputedWeights) {
  const KnownBlock& known = GetParam();
  Bytes bytes(InfoOf(known.type).block_bytes);
  for (const auto& [offset, value] : known.bytes) bytes[offset] = value;
  const std::vector<float> out = DecodeBytes(known.type, bytes);
  for (size_t i = 0; i < out.size(); ++i) {
    const auto it = known.weights.find(static_cast<int>(i));
    EXPECT_EQ(out[i], it == known.weights.end() ? known.rest : it->second) << i;
  }
}

// Fills weights first..last with one value, then applies single ones.
std::map<int, float> Span(int first, int last, float value, std::map<int, float> single) {
  for (int i = first; i <= last; ++i) single.emplace(i, value);
  return single;
}

// Halves used: 0x3c00 = 1, 0x3800 = 0.5, 0x3400 = 0.25, 0x4000 = 2, 0xbc00 = -1, 0xb000 = -0.125.
INSTANTIATE_TEST_SUITE_P(
    Formats, KnownBlockTest,
    ::testing::Values(
        // (15 - 8) / 2 and (1 - 8) / 2; code 0 is -8.
        KnownBlock{DType::kQ4_0, {{1, 0x38}, {2, 0x1f}}, {{0, 3.5f}, {16, -3.5f}}, -4.0f},
        // 4 / 4 - 1 and 10 / 4 - 1.
        KnownBlock{
            DType::kQ4_1, {{1, 0x34}, {3, 0xbc}, {4 + 3, 0xa4}}, {{3, 0.0f}, {19, 1.5f}}, -1.0f},
        // qh bit 2: (1 + 16) - 16; weight 18 without its bit: 2 - 16.
        KnownBlock{
            DType::kQ5_0, {{1, 0x3c}, {2, 0x04}, {6 + 2, 0x21}}, {{2, 1.0f}, {18, -14.0f}}, -16.0f},
        // qh bit 31 (byte 3, bit 7): (15 + 16) * 2 + 1.
        KnownBlock{DType::kQ5_1,
                   {{1, 0x40}, {3, 0x3c}, {4 + 3, 0x80}, {8 + 15, 0xf0}},
                   {{31, 63.0f}},
                   1.0f},
        KnownBlock{DType::kQ8_0,
                   {{1, 0xb0}, {2, 0x7f}, {2 + 31, 0x80}},
                   {{0, -15.875f}, {31, 16.0f}},
                   -0.0f},
        // Levels 15 (113) and 7 (-10); code 0 is -127.
        KnownBlock{DType::kIQ4_NL, {{1, 0x3c}, {2, 0x7f}}, {{0, 113.0f}, {16, -10.0f}}, -127.0f},
        // Sub-block 9: half 1, plane 0, side 1. Scale 3, min 2: 3 * 3 - 2 / 2, others 0 - 1.
        KnownBlock{DType::kQ2_K,
                   {{9, 0x23}, {16 + 48 + 5, 0x03}, {81, 0x3c}, {83, 0x38}},
                   Span(144, 159, -1.0f, {{149, 8.0f}}),
                   0.0f},
        // All scales 32 (meaning 0) but 13: 35, meaning 3. Sub-block 13: half 1, plane 2, side 1.
        // Code 1 with the high bit, 5 - 4; the others code 0, so -4.
        KnownBlock{DType::kQ3_K,
                   {{16 + 4, 0x40},
                    {32 + 48 + 4, 0x10},
                    {96 + 5, 0x30},
                    {96 + 8, 0xaa},
                    {96 + 9, 0xaa},
                    {96 + 10, 0xaa},
                    {96 + 11, 0xaa},
                    {109, 0x3c}},
                   Span(208, 223, -12.0f, {{212, 3.0f}}),
                   -0.0f},
        // Sub-block 6: scale 43 (11 low, 2 high), min 28 (12 low, 1 high): 43 * 5 - 28.
        KnownBlock{DType::kQ4_K,
                   {{1, 0x3c},
                    {3, 0x3c},
                    {4 + 10, 0xcb},
                    {4 + 2, 0x80},
                    {4 + 6, 0x40},
                    {16 + 96 + 7, 0x05}},
                   Span(192, 223, -28.0f, {{199, 187.0f}}),
                   0.0f},
        // The same with bit 6 of qh[7]: 43 * 21 - 28.
        KnownBlock{DType::kQ5_K,
                   {{1, 0x3c},
                    {3, 0x3c},
                    {4 + 10, 0xcb},
                    {4 + 2, 0x80},
                    {4 + 6, 0x40},
                    {16 + 7, 0x40},
                    {48 + 96 + 7, 0x05}},
                   Span(192, 223, -28.0f, {{199, 875.0f}}),
                   0.0f},
        // Sub-block 11: half 1, quarter 1. Scale -3, d = 0.5; code 14 + 2 * 16: -1.5 * (46 - 32),
        // the others -1.5 * -32.
        KnownBlock{DType::kQ6_K,
                   {{64 + 32 + 20, 0x0e}, {128 + 32 + 20, 0x08}, {192 + 11, 0xfd}, {209, 0x38}},
                   Span(176, 191, 48.0f, {{180, -21.0f}}),
                   -0.0f}),
    [](const auto& info) { return NameOf(info.param.type); });

double Half(const uint8_t* p) {
  const int bits = p[0] | p[1] << 8;
  const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
  const double magnitude = exponent == 31  ? (mantissa ? NAN : INFINITY)
                           : exponent == 0 ? std::ldexp(mantissa, -24)
                                           : std::ldexp(1024 + mantissa, exponent - 25);
  return bits >> 15 ? -magnitude : magnitude;
}

struct Expected {
  double value = NAN;
  double magnitude = NAN;  // of the terms, for the rounding
};

Expected Product(double a) { return {a, std::fabs(a)}; }
Expected Difference(double a, double b) { return {a - b, std::fabs(a) + std::fabs(b)}; }

// Weight i of one block.
Expected Formula(DType type, const uint8_t* b, int i) {
  const auto nibble = [&](int base) { return b[base + i % 16] >> (i / 16 * 4) & 15; };
  const auto fifth = [&](int base) { return (b[base + i / 8] >> (i % 8) & 1) * 16; };
  const int sub16 = i / 16, half = i / 128, in_half = i % 128, plane = in_half / 32, l = i % 32;
  const auto six_bits = [&](int j, int low) {  // low: 4 for scales, 8 for mins
    if (j < 4) return b[low + j] & 63;
    return (b[12 + j - 4] >> (low - 4) & 15) + 16 * (b[low + j - 4] >> 6);
  };
  switch (type) {
    case DType::kQ4_0:
      return Product((nibble(2) - 8) * Half(b));
    case DType::kQ4_1:
      return Difference(nibble(4) * Half(b), -Half(b + 2));
    case DType::kQ5_0:
      return Product((nibble(6) + fifth(2) - 16) * Half(b));
    case DType::kQ5_1:
      return Difference((nibble(8) + fifth(4)) * Half(b), -Half(b + 2));
    case DType::kQ8_0:
      return Product(static_cast<int8_t>(b[2 + i]) * Half(b));
    case DType::kIQ4_NL: {
      constexpr int kLevels[] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                 1,    13,   25,  38,  53,  69,  89,  113};
      return Product(kLevels[nibble(2)] * Half(b));
    }
    case DType::kQ2_K: {
      const int q = b[16 + 32 * half + l] >> (2 * plane) & 3;
      return Difference(Half(b + 80) * (b[sub16] & 15) * q, Half(b + 82) * (b[sub16] >> 4));
    }
    case DType::kQ3_K: {
      const int low = b[96 + sub16 % 8] >> (sub16 / 8 * 4) & 15;
      const int high = b[104 + sub16 % 4] >> (sub16 / 4 * 2) & 3;
      const int q = (b[32 + 32 * half + l] >> (2 * plane) & 3) + (b[l] >> (i / 32) & 1) * 4;
      return Product(Half(b + 108) * (low + 16 * high - 32) * (q - 4));
    }
    case DType::kQ4_K: {
      const int q = b[16 + i / 64 * 32 + l] >> (i / 32 % 2 * 4) & 15;
      return Difference(Half(b) * six_bits(i / 32, 4) * q, Half(b + 2) * six_bits(i / 32, 8));
    }
    case DType::kQ5_K: {
      const int q =
          (b[48 + i / 64 * 32 + l] >> (i / 32 % 2 * 4) & 15) + (b[16 + l] >> (i / 32) & 1) * 16;
      return Difference(Half(b) * six_bits(i / 32, 4) * q, Half(b + 2) * six_bits(i / 32, 8));
    }
    case DType::kQ6_K: {
      const int low = b[64 * half + in_half % 64] >> (in_half / 64 * 4) & 15;
      const int high = b[128 + 32 * half + l] >> (2 * plane) & 3;
      return Product(Half(b + 208) * static_cast<int8_t>(b[192 + sub16]) * (low + 16 * high - 32));
    }
    default:
      return {};
  }
}

class DecodeTest : public ::testing::TestWithParam<TypeInfo> {};

// Every bit pattern is a block: scales of NaN and infinity among them. Where the formula is finite
// the decoder agrees: each term is rounded at most twice and their difference once, so within
// 3 * 2^-24 of the terms, which stay below 65504 * 128 * 32 and so never overflow a float.
TEST_P(DecodeTest, RandomBytesFollowTheFormula) {
  const TypeInfo& info = GetParam();
  std::mt19937 random(info.block_bytes);
  Bytes bytes(2000 * info.block_bytes);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
  const std::vector<float> out = DecodeBytes(info.type, bytes);
  size_t finite = 0;
  for (size_t i = 0; i < out.size(); ++i) {
    const uint8_t* block = bytes.data() + i / info.block * info.block_bytes;
    const Expected e = Formula(info.type, block, static_cast<int>(i % info.block));
    if (!std::isfinite(e.value)) {
      ASSERT_FALSE(std::isfinite(out[i])) << i;
      continue;
    }
    ++finite;
    ASSERT_NEAR(out[i], e.value, 3 * std::ldexp(e.magnitude, -24)) << i;
  }
  EXPECT_GT(finite, out.size() * 9 / 10);  // one or two of 32 exponents are not finite
}

// A row of a mapped file can start at any even address; a test's buffer anywhere.
TEST_P(DecodeTest, NeedsNoAlignment) {
  const TypeInfo& info = GetParam();
  Bytes bytes(4 * info.block_bytes), shifted(bytes.size() + 1);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i % 59);
  std::memcpy(shifted.data() + 1, bytes.data(), bytes.size());
  std::vector<float> out(4 * info.block);
  DecodeRow(info.type, std::as_bytes(std::span(shifted)).subspan(1), out);
  EXPECT_EQ(out, DecodeBytes(info.type, bytes));
}

std::vector<TypeInfo> BlockTypes() {
  std::vector<TypeInfo> types;
  for (const TypeInfo& info : AllTypes()) {
    if (info.block > 1) types.push_back(info);
  }
  return types;
}

INSTANTIATE_TEST_SUITE_P(Formats, DecodeTest, ::testing::ValuesIn(BlockTypes()),
                         [](const auto& info) { return info.param.name; });

TEST(DecodeFloatsTest, OneAndAHalfInEachFormat) {
  EXPECT_EQ(DecodeBytes(DType::kF32, {0, 0, 0xc0, 0x3f}), std::vector<float>{1.5f});
  EXPECT_EQ(DecodeBytes(DType::kF16, {0x00, 0x3e, 0x01, 0x00}),
            (std::vector<float>{1.5f, std::ldexp(1.0f, -24)}));
  EXPECT_EQ(DecodeBytes(DType::kBF16, {0xc0, 0x3f}), std::vector<float>{1.5f});
  EXPECT_TRUE(DecodeBytes(DType::kQ4_K, {}).empty());
}

}  // namespace
}  // namespace edgewise
