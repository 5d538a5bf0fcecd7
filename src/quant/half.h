// Scalar conversions between float and the two 16-bit formats, bit-exact to F16C (VCVTPH2PS,
// VCVTPS2PH with round-to-nearest-even) and, for bfloat16, to round-to-nearest-even with NaN kept.
//
// Branch-free in the common path so that loops over them vectorise. The results assume the default
// rounding mode and no flush-to-zero. Always inlined: sources compiled once per instruction set
// must not leave a weak copy for the linker to pick for every CPU.
#pragma once

#include <cstdint>

namespace edgewise {

namespace half_internal {
[[gnu::always_inline]] inline constexpr uint32_t BitsOf(float x) {
  return __builtin_bit_cast(uint32_t, x);
}
[[gnu::always_inline]] inline constexpr float FloatOf(uint32_t bits) {
  return __builtin_bit_cast(float, bits);
}
}  // namespace half_internal

// IEEE binary16: 1 sign, 5 exponent (bias 15), 10 mantissa bits. Exact; a signalling NaN becomes
// quiet, its payload kept.
[[gnu::always_inline]] inline constexpr float F16ToF32(uint16_t h) {
  using namespace half_internal;
  const uint32_t sign = (h & 0x8000u) << 16;
  const uint32_t magnitude = h & 0x7fffu;
  // Normal: the exponent moves from bias 15 to 127. Infinity and NaN move as far again, to 255.
  uint32_t bits = (magnitude << 13) + (112u << 23);
  bits += magnitude >= 0x7c00u ? (112u << 23) : 0u;
  bits |= magnitude > 0x7c00u ? 0x400000u : 0u;
  // Subnormal: the spacing of floats at 0.5 is 2^-24, that of f16 subnormals, so the mantissa
  // dropped in there and 0.5 taken away is exact.
  const uint32_t subnormal = BitsOf(FloatOf(magnitude | 0x3f000000u) - 0.5f);
  return FloatOf((magnitude < 0x400u ? subnormal : bits) | sign);
}

// Rounds to nearest, ties to even; overflow (from 65520 on) gives infinity; NaN becomes quiet and
// keeps the upper bits of its payload.
[[gnu::always_inline]] inline constexpr uint16_t F32ToF16(float x) {
  using namespace half_internal;
  const uint32_t sign = (BitsOf(x) >> 16) & 0x8000u;
  const uint32_t magnitude = BitsOf(x) & 0x7fffffffu;
  // Normal: add half of the last kept place (less one, plus the kept bit: ties to even); a carry
  // into the exponent is right, up to infinity.
  const uint32_t normal = (magnitude + 0xfffu + ((magnitude >> 13) & 1u) - (112u << 23)) >> 13;
  // Below 2^-14: adding 0.5 makes the hardware round at 2^-24, the spacing of the subnormals.
  const float tiny = magnitude < 0x38800000u ? FloatOf(magnitude) : 0.0f;
  const uint32_t subnormal = BitsOf(tiny + 0.5f) - 0x3f000000u;
  uint32_t h = magnitude < 0x38800000u ? subnormal : normal;
  h = magnitude >= 0x477ff000u ? 0x7c00u : h;
  h = magnitude > 0x7f800000u ? 0x7e00u | ((magnitude >> 13) & 0x3ffu) : h;
  return static_cast<uint16_t>(h | sign);
}

// bfloat16: the upper half of a float. Exact.
[[gnu::always_inline]] inline constexpr float Bf16ToF32(uint16_t b) {
  return half_internal::FloatOf(static_cast<uint32_t>(b) << 16);
}

// Rounds to nearest, ties to even; overflow gives infinity; NaN becomes quiet.
[[gnu::always_inline]] inline constexpr uint16_t F32ToBf16(float x) {
  const uint32_t bits = half_internal::BitsOf(x);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
  return static_cast<uint16_t>(nan ? (bits >> 16) | 0x40u : rounded);
}

}  // namespace edgewise
