// How a rounded activation row lies in memory: the codes of all blocks first, so that a kernel that
// broadcasts four codes walks them without gaps, then the scales, then the sums.
//
//   kQ8_0  int8 codes[k]; float scales[k / 32]; int32 sums[k / 32]
//          x[i] ~ codes[i] * scales[i / 32]; sums[b] = the codes of block b added up
//   kQ8_K  int8 codes[k]; float scales[k / 256]; int16 sums[k / 16]
//          the sums are per 16 codes; |sum| <= 16 * 127 fits 16 bits
//
// scale = amax / 127 in float (not f16: it costs 2 bytes in 32 and removes a rounding and its
// overflow), code = x * (127 / amax) rounded to nearest, ties to even, so |code| <= 127.
// A block whose amax is below kTinyAmax is all zero with scale 0. A block that holds a NaN or an
// infinity has codes 0 and scale NaN: every product with it is NaN, never a plausible number.
#pragma once

#include <cstddef>
#include <cstdint>

namespace edgewise::kernels {

inline constexpr uint32_t kActivationBlock32 = 32;
inline constexpr uint32_t kActivationBlockK = 256;
// 127 / amax must be finite: 127 / FLT_MAX is 3.7e-37.
inline constexpr float kTinyAmax = 1e-36f;

struct ActivationQ8_0 {
  const int8_t* codes;
  const float* scales;
  const int32_t* sums;
};

[[gnu::always_inline]] inline ActivationQ8_0 ViewQ8_0(const std::byte* row, uint32_t k) {
  return {reinterpret_cast<const int8_t*>(row), reinterpret_cast<const float*>(row + k),
          reinterpret_cast<const int32_t*>(row + k + sizeof(float) * (k / kActivationBlock32))};
}

struct ActivationQ8_K {
  const int8_t* codes;
  const float* scales;
  const int16_t* sums;
};

[[gnu::always_inline]] inline ActivationQ8_K ViewQ8_K(const std::byte* row, uint32_t k) {
  return {reinterpret_cast<const int8_t*>(row), reinterpret_cast<const float*>(row + k),
          reinterpret_cast<const int16_t*>(row + k + sizeof(float) * (k / kActivationBlockK))};
}

}  // namespace edgewise::kernels
