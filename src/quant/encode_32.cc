// The types with one scale per 32 weights.
#include <cstring>

#include "quant/encode_blocks.h"
#include "quant/scale_search.h"

namespace edgewise::quant_internal {
namespace {

constexpr size_t kN = kBlock32;

// The sixteen levels of IQ4_NL. Branch-free: the level climbs at each midpoint passed.
struct Iq4NlLevels {
  static constexpr float kLargest = kIq4NlValues[0];
  static float Snap(float x) {
    float level = kIq4NlValues[0];
    for (int k = 0; k < 15; ++k) {
      const float midpoint = 0.5f * static_cast<float>(kIq4NlValues[k] + kIq4NlValues[k + 1]);
      const float step = static_cast<float>(kIq4NlValues[k + 1] - kIq4NlValues[k]);
      level += x > midpoint ? step : 0.0f;
    }
    return level;
  }
};

int Iq4NlCode(float x) {
  const float level = Iq4NlLevels::Snap(x);
  int code = 0;
  while (static_cast<float>(kIq4NlValues[code]) < level) ++code;
  return code;
}

int Code(float x, int lo, int hi) {
  return static_cast<int>(Nearest(Clamp(x, static_cast<float>(lo), static_cast<float>(hi))));
}

void PackNibbles(const int* codes, uint8_t* qs) {
  for (int i = 0; i < 16; ++i) {
    qs[i] = static_cast<uint8_t>((codes[i] & 15) | (codes[i + 16] & 15) << 4);
  }
}

void PackFifthBits(const int* codes, uint8_t qh[4]) {
  std::memset(qh, 0, 4);
  for (int i = 0; i < 32; ++i) qh[i / 8] |= static_cast<uint8_t>((codes[i] >> 4 & 1) << (i % 8));
}

// A block scaled to a largest magnitude in [0.5, 1), with the weights of its squared errors.
struct Block {
  Block(const float* src, const float* importance) : half(BlockExponent<kN>(src)) {
    ScaleBlock<kN>(src, half.exponent(), x);
    if (importance == nullptr || !NormaliseImportance<kN>(importance, w)) {
      LinearWeights<kN>(x, 1.0f, w);
    }
  }
  HalfScale half;
  float x[kN];
  float w[kN];
};

template <typename Levels>
uint16_t SymmetricScale(const Block& b) {
  return b.half.Bits(FindSymmetricScale<Levels, kN>(b.x, b.w));
}

template <int kHalf>
uint16_t EncodeSymmetric(const float* src, const float* importance, int* codes) {
  const Block b(src, importance);
  const uint16_t d = SymmetricScale<IntegerLevels<-kHalf, kHalf - 1>>(b);
  const float inverse = Reciprocal(b.half.Value(d));
  for (size_t i = 0; i < kN; ++i) codes[i] = Code(b.x[i] * inverse, -kHalf, kHalf - 1) + kHalf;
  return d;
}

template <int kMax>
void EncodeAffine(const float* src, const float* importance, uint16_t& d, uint16_t& m, int* codes) {
  const Block b(src, importance);
  const Affine a = AffineSearch<kMax, kN, false>(b.x, b.w).Find();
  d = b.half.Bits(a.scale);
  m = b.half.Bits(a.min);
  const float inverse = Reciprocal(b.half.Value(d));
  const float min = b.half.Value(m);
  for (size_t i = 0; i < kN; ++i) codes[i] = Code((b.x[i] - min) * inverse, 0, kMax);
}

}  // namespace

void Encode(const float* x, const float* importance, BlockQ4_0& out) {
  int codes[kN];
  out.d = EncodeSymmetric<8>(x, importance, codes);
  PackNibbles(codes, out.qs);
}

void Encode(const float* x, const float* importance, BlockQ5_0& out) {
  int codes[kN];
  out.d = EncodeSymmetric<16>(x, importance, codes);
  PackNibbles(codes, out.qs);
  PackFifthBits(codes, out.qh);
}

void Encode(const float* x, const float* importance, BlockQ4_1& out) {
  int codes[kN];
  EncodeAffine<15>(x, importance, out.d, out.m, codes);
  PackNibbles(codes, out.qs);
}

void Encode(const float* x, const float* importance, BlockQ5_1& out) {
  int codes[kN];
  EncodeAffine<31>(x, importance, out.d, out.m, codes);
  PackNibbles(codes, out.qs);
  PackFifthBits(codes, out.qh);
}

void Encode(const float* x, const float* importance, BlockIQ4_NL& out) {
  const Block b(x, importance);
  out.d = SymmetricScale<Iq4NlLevels>(b);
  const float inverse = Reciprocal(b.half.Value(out.d));
  int codes[kN];
  for (size_t i = 0; i < kN; ++i) codes[i] = Iq4NlCode(b.x[i] * inverse);
  PackNibbles(codes, out.qs);
}

// The ecosystem's encoder bit for bit, and nothing searched: with 255 levels the scale that maps
// the largest weight to 127 is within a fraction of a percent of the best, and equal bytes let
// Q8_0 files be compared across programs. Halves round away from zero, under the float scale, not
// the half that is stored.
void Encode(const float* x, const float* /*importance*/, BlockQ8_0& out) {
  const float scale = MaxAbs<kN>(x) / 127.0f;
  out.d = HalfScale(0).Bits(scale);
  const bool zero = (out.d & 0x7fff) == 0;
  const float inverse = zero ? 0.0f : 1.0f / Clamp(scale, 0.0f, 65504.0f);
  for (size_t i = 0; i < kN; ++i) {
    // trunc(|v| + the float below 1/2) is round-half-away for every float below 2^22.
    const float v = Clamp(x[i] * inverse, -127.0f, 127.0f);
    out.qs[i] = static_cast<int8_t>(v + std::copysign(0.49999997f, v));
  }
}

}  // namespace edgewise::quant_internal
