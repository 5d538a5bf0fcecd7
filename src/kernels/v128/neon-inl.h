// The primitives of v128 kernels for NEON, with the dot product (FEAT_DotProd) or without. Those of
// tiles of many columns are in neon_rows-inl.h, and where there is a matrix product (FEAT_I8MM) in
// neon_pairs-inl.h. All codes are signed: zero points are taken off when a block is unpacked.
#pragma once

#include <arm_neon.h>

#include <cstddef>
#include <cstdint>
#include <utility>

#include "kernels/activation.h"

namespace edgewise::kernels::v128 {
namespace {

constexpr bool kFoldsZero = false;

using Bytes = int8x16_t;
using Ints = int32x4_t;
using Floats = float32x4_t;

[[gnu::always_inline]] inline Bytes LoadBytes(const void* p) {
  return vld1q_s8(static_cast<const int8_t*>(p));
}
[[gnu::always_inline]] inline void StoreBytes(void* p, Bytes v) { vst1q_s8(static_cast<int8_t*>(p), v); }
[[gnu::always_inline]] inline Bytes SetBytes(int x) { return vdupq_n_s8(static_cast<int8_t>(x)); }
[[gnu::always_inline]] inline Bytes TwoWords(uint64_t low, uint64_t high) {
  return vreinterpretq_s8_u64(vcombine_u64(vcreate_u64(low), vcreate_u64(high)));
}
[[gnu::always_inline]] inline Bytes And(Bytes a, Bytes b) { return vandq_s8(a, b); }
[[gnu::always_inline]] inline Bytes Or(Bytes a, Bytes b) { return vorrq_s8(a, b); }
[[gnu::always_inline]] inline Bytes Sub(Bytes a, Bytes b) { return vsubq_s8(a, b); }
[[gnu::always_inline]] inline Bytes LookUp(Bytes table, Bytes index) {
  return vqtbl1q_s8(table, vreinterpretq_u8_s8(index));
}
// Each byte twice, the lower eight of them.
[[gnu::always_inline]] inline Bytes Doubled(Bytes a) { return vzip1q_s8(a, a); }
// The kCount bits from kShift on of every byte.
template <int kShift, int kCount>
[[gnu::always_inline]] inline Bytes BitsOf(Bytes a) {
  uint8x16_t bits = vreinterpretq_u8_s8(a);
  if constexpr (kShift != 0) bits = vshrq_n_u8(bits, kShift);
  if constexpr (kShift + kCount < 8) bits = vandq_u8(bits, vdupq_n_u8((1 << kCount) - 1));
  return vreinterpretq_s8_u8(bits);
}
template <int kShift>
[[gnu::always_inline]] inline Bytes ShiftUp(Bytes a) {
  return vshlq_n_s8(a, kShift);
}
// 0xff where a has a bit of b.
[[gnu::always_inline]] inline Bytes HasBits(Bytes a, Bytes b) {
  return vreinterpretq_s8_u8(vtstq_s8(a, b));
}

[[gnu::always_inline]] inline Ints ZeroInts() { return vdupq_n_s32(0); }
[[gnu::always_inline]] inline Ints SetInts(int32_t x) { return vdupq_n_s32(x); }
[[gnu::always_inline]] inline Ints AddInts(Ints a, Ints b) { return vaddq_s32(a, b); }
[[gnu::always_inline]] inline Ints SubInts(Ints a, Ints b) { return vsubq_s32(a, b); }
[[gnu::always_inline]] inline Ints MulInts(Ints a, Ints b) { return vmulq_s32(a, b); }
[[gnu::always_inline]] inline Floats LoadFloats(const float* p) { return vld1q_f32(p); }
[[gnu::always_inline]] inline void StoreFloats(float* p, Floats v) { vst1q_f32(p, v); }
[[gnu::always_inline]] inline Floats Scaled(Floats a, float b) { return vmulq_n_f32(a, b); }
[[gnu::always_inline]] inline Floats Negated(Floats a) { return vnegq_f32(a); }
[[gnu::always_inline]] inline Floats LoadHalves(const uint16_t* p) {
  return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}

// Four chains of fused multiply-adds.
using Chain = Floats;
[[gnu::always_inline]] inline Chain ToChain(Floats y) { return y; }
[[gnu::always_inline]] inline Floats ToFloats(Chain y) { return y; }

// Sums of small products start as the bits of 1.5 * 2^23: read as floats they then are that plus the
// sum, exactly, while it is below 2^22 in magnitude. So a subtraction, which every vector unit has,
// makes them floats; converting takes four times as long on cores from Cortex-A76 to Neoverse N2.
// A load, not a move: loads wait for nothing else here, and the vector units are what a tile is bound by.
constexpr float kDotBias = 12582912.0f;
alignas(16) constexpr float kNoDot[4] = {kDotBias, kDotBias, kDotBias, kDotBias};
[[gnu::always_inline]] inline Ints NoDot() {
  Ints dot;
  __asm__ volatile("ldr %q0, %1" : "=w"(dot) : "m"(kNoDot));
  return dot;
}
// fma(a, float(dot), y) for such a sum, and for any integer.
[[gnu::always_inline]] inline Chain MulAddDot(Floats a, Ints dot, Chain y) {
  return vfmaq_f32(y, a, vsubq_f32(vreinterpretq_f32_s32(dot), vdupq_n_f32(kDotBias)));
}
[[gnu::always_inline]] inline Chain MulAddInt(Floats a, Ints b, Chain y) {
  return vfmaq_f32(y, a, vcvtq_f32_s32(b));
}

// acc + the dot of 16 codes, in some split over the lanes.
[[gnu::always_inline]] inline Ints DotAdd16(Ints acc, Bytes w, Bytes x) {
#if defined(__ARM_FEATURE_DOTPROD)
  return vdotq_s32(acc, w, x);
#else
  // Two products fit 16 bits: 2 * 128 * 127 < 2^15.
  const int16x8_t low = vmull_s8(vget_low_s8(w), vget_low_s8(x));
  return vpadalq_s16(acc, vmlal_high_s8(low, w, x));
#endif
}
template <int kCount, int /*kMaxCode*/, bool /*kSigned*/>
[[gnu::always_inline]] inline Ints DotAdd(Ints acc, const Bytes* w, const Bytes* x) {
#pragma GCC unroll 8
  for (int i = 0; i < kCount; ++i) acc = DotAdd16(acc, w[i], x[i]);
  return acc;
}
// acc + scale * that dot.
template <int kCount, int /*kMaxCode*/>
[[gnu::always_inline]] inline Ints ScaledDotAdd(Ints acc, const Bytes* w, const Bytes* x, int scale) {
  return vmlaq_n_s32(acc, DotAdd<kCount, 0, true>(ZeroInts(), w, x), scale);
}

// The dot of 16 bytes with 16 sums, in some split over the lanes.
[[gnu::always_inline]] inline Ints ByteDot16(Bytes bytes, const int16_t* sums) {
  const int16x8_t low = vmovl_s8(vget_low_s8(bytes)), high = vmovl_high_s8(bytes);
  const int16x8_t x_low = vld1q_s16(sums), x_high = vld1q_s16(sums + 8);
  Ints dot = vmull_s16(vget_low_s16(low), vget_low_s16(x_low));
  dot = vmlal_high_s16(dot, low, x_low);
  dot = vmlal_s16(dot, vget_low_s16(high), vget_low_s16(x_high));
  return vmlal_high_s16(dot, high, x_high);
}

// Lane r = the sum of t[r]'s lanes.
[[gnu::always_inline]] inline Ints SumEach4(const Ints t[4]) {
  return vpaddq_s32(vpaddq_s32(t[0], t[1]), vpaddq_s32(t[2], t[3]));
}

// A tile multiplies a row's sum over a sub-block by its scale. It never starts that sum anew: with running
// sums T_s, the sum of scale_s * (T_s - T_(s-1)) is that of (scale_s - scale_(s+1)) * T_s.
[[gnu::always_inline]] inline int32_t PanelScale(int scale, int next) { return scale - next; }

}  // namespace
}  // namespace edgewise::kernels::v128

#if defined(__ARM_FEATURE_MATMUL_INT8)
#include "kernels/v128/neon_pairs-inl.h"
#else
#include "kernels/v128/neon_rows-inl.h"
#endif

namespace edgewise::kernels::v128 {
namespace {

// dot[v][c] += the dot of a block of 32 codes of tile vector v with those of column vector c.
template <int kVectors, int kColumns, int kMaxCode, bool /*kSigned*/>
[[gnu::always_inline]] inline void AddDots(const int8_t* codes, const int8_t* const x[],
                                           Ints (&dot)[kVectors][kColumns]) {
  AddCodes<32, kMaxCode>(codes, x, dot);
}

// The same for a sub-block of kSub codes, and total[v][c] += its factor times the running dot.
template <int kVectors, int kColumns, int kSub, int kMaxCode>
[[gnu::always_inline]] inline void AddScaledDots(const int8_t* codes, const int8_t* const x[],
                                                 const int32_t* scales, Ints (&dot)[kVectors][kColumns],
                                                 Ints (&total)[kVectors][kColumns]) {
  AddCodes<kSub, kMaxCode>(codes, x, dot);
#pragma GCC unroll 8
  for (int v = 0; v < kVectors; ++v) {
    const Ints scale = vld1q_s32(scales + 4 * v);
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) total[v][c] = vmlaq_s32(total[v][c], dot[v][c], scale);
  }
}

}  // namespace
}  // namespace edgewise::kernels::v128
