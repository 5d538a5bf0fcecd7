// Scalar coding of a row of the KV cache; the layout is stated in quant/kv_type.h.
//
// Q8_0: d = amax / 127, codes to nearest, ties to even. Q4_0: d = (the value of largest magnitude)
// / -8, so that this value is exact; codes (x / d + 8.5, cut off) in 0..15. A block whose amax is
// below kTinyAmax has scale 0; one that holds a NaN or an infinity has scale NaN, so that it is
// seen in the output. Always inlined: the sources of each instruction set use these for the short
// last block, and a shared copy would be compiled for one of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/activation.h"
#include "quant/dtype.h"
#include "quant/half.h"

namespace edgewise::kernels {

inline constexpr uint32_t kKvBlock = 32;

namespace kv_row_internal {

[[gnu::always_inline]] inline uint16_t LoadHalf(const std::byte* p) {
  uint16_t h;
  std::memcpy(&h, p, sizeof h);
  return h;
}

[[gnu::always_inline]] inline void StoreHalf(std::byte* p, float x) {
  const uint16_t h = F32ToF16(x);
  std::memcpy(p, &h, sizeof h);
}

}  // namespace kv_row_internal

// Bytes of a Q8_0 or Q4_0 block of n <= 32 values.
[[gnu::always_inline]] inline size_t KvBlockBytes(DType type, uint32_t n) {
  return 2 + (type == DType::kQ8_0 ? n : (n + 1) / 2);
}

// Q8_0 or Q4_0.
[[gnu::always_inline]] inline void DecodeKvBlock(DType type, const std::byte* block, uint32_t n,
                                                 float* out) {
  const float d = F16ToF32(kv_row_internal::LoadHalf(block));
  const std::byte* codes = block + 2;
  const uint32_t half = (n + 1) / 2;
  for (uint32_t i = 0; i < n; ++i) {
    if (type == DType::kQ8_0) {
      out[i] = d * static_cast<float>(static_cast<int8_t>(codes[i]));
    } else {
      const int byte = static_cast<int>(codes[i < half ? i : i - half]);
      out[i] = d * static_cast<float>((i < half ? byte & 15 : byte >> 4) - 8);
    }
  }
}

[[gnu::always_inline]] inline void EncodeKvBlock(DType type, const float* x, uint32_t n,
                                                 std::byte* out) {
  uint32_t amax_bits = 0;  // magnitudes as integers keep their order, infinity and NaN on top
  float extreme = 0;       // the value of largest magnitude, with its sign
  for (uint32_t i = 0; i < n; ++i) {
    const uint32_t bits = __builtin_bit_cast(uint32_t, x[i]) & 0x7fffffffu;
    if (bits > amax_bits) {
      amax_bits = bits;
      extreme = x[i];
    }
  }
  const float amax = __builtin_bit_cast(float, amax_bits);
  const bool finite = amax_bits < 0x7f800000u;
  const bool zero = finite && amax < kTinyAmax;
  const float top = type == DType::kQ8_0 ? 127.0f : -8.0f;
  const float reference = type == DType::kQ8_0 ? amax : extreme;
  const float inverse = finite && !zero ? top / reference : 0.0f;
  kv_row_internal::StoreHalf(out, zero ? 0.0f : finite ? reference / top : __builtin_nanf(""));
  std::byte* codes = out + 2;
  const uint32_t half = (n + 1) / 2;
  for (uint32_t i = 0; type == DType::kQ8_0 && i < n; ++i) {
    const float v = finite ? x[i] * inverse : 0.0f;
    codes[i] = static_cast<std::byte>(static_cast<int8_t>(__builtin_nearbyintf(v)));
  }
  for (uint32_t i = 0; type == DType::kQ4_0 && i < half; ++i) {
    const float low = finite ? x[i] * inverse : 0.0f;
    const float high = finite && i + half < n ? x[i + half] * inverse : 0.0f;
    const int a = static_cast<int>(low + 8.5f), b = static_cast<int>(high + 8.5f);
    codes[i] = static_cast<std::byte>((a < 15 ? a : 15) | (b < 15 ? b : 15) << 4);
  }
}

[[gnu::always_inline]] inline void DecodeKvRow(DType type, const std::byte* row, uint32_t n,
                                               float* out) {
  if (type == DType::kF32) {
    std::memcpy(out, row, sizeof(float) * n);
  } else if (type == DType::kF16) {
    for (uint32_t i = 0; i < n; ++i) {
      out[i] = F16ToF32(kv_row_internal::LoadHalf(row + 2 * size_t{i}));
    }
  } else {
    for (uint32_t at = 0; at < n; at += kKvBlock) {
      const uint32_t size = n - at < kKvBlock ? n - at : kKvBlock;
      DecodeKvBlock(type, row, size, out + at);
      row += KvBlockBytes(type, size);
    }
  }
}

[[gnu::always_inline]] inline void EncodeKvRow(DType type, const float* x, uint32_t n,
                                               std::byte* out) {
  if (type == DType::kF32) {
    std::memcpy(out, x, sizeof(float) * n);
  } else if (type == DType::kF16) {
    for (uint32_t i = 0; i < n; ++i) kv_row_internal::StoreHalf(out + 2 * size_t{i}, x[i]);
  } else {
    for (uint32_t at = 0; at < n; at += kKvBlock) {
      const uint32_t size = n - at < kKvBlock ? n - at : kKvBlock;
      EncodeKvBlock(type, x + at, size, out);
      out += KvBlockBytes(type, size);
    }
  }
}

}  // namespace edgewise::kernels
