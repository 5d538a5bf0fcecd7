// Scalar decoding and encoding of a row of the KV cache; the layout is stated in quant/kv_type.h.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "quant/dtype.h"
#include "quant/half.h"

namespace edgewise::kernels {

namespace kv_row_internal {
inline constexpr uint32_t kBlock = 32;
inline uint32_t BlockSize(uint32_t at, uint32_t n) { return n - at < kBlock ? n - at : kBlock; }
inline uint16_t LoadHalf(const std::byte* p) {
  uint16_t h;
  std::memcpy(&h, p, sizeof h);
  return h;
}
inline void StoreHalf(std::byte* p, float x) {
  const uint16_t h = F32ToF16(x);
  std::memcpy(p, &h, sizeof h);
}
// NaN gives `low`: the conversion to an integer is defined for every input.
inline int ToCode(float x, int low, int high) {
  if (!(x > static_cast<float>(low))) return low;
  if (x > static_cast<float>(high)) return high;
  return static_cast<int>(x);
}
}  // namespace kv_row_internal

inline void DecodeKvRow(DType type, const std::byte* row, uint32_t n, float* out) {
  using namespace kv_row_internal;
  if (type == DType::kF32) {
    std::memcpy(out, row, sizeof(float) * n);
    return;
  }
  if (type == DType::kF16) {
    for (uint32_t i = 0; i < n; ++i) out[i] = F16ToF32(LoadHalf(row + 2 * i));
    return;
  }
  for (uint32_t at = 0; at < n; at += kBlock) {
    const uint32_t size = BlockSize(at, n);
    const float d = F16ToF32(LoadHalf(row));
    row += 2;
    if (type == DType::kQ8_0) {
      for (uint32_t i = 0; i < size; ++i) {
        out[at + i] = d * static_cast<float>(static_cast<int8_t>(row[i]));
      }
      row += size;
    } else {
      const uint32_t half = (size + 1) / 2;
      for (uint32_t i = 0; i < size; ++i) {
        const int byte = static_cast<int>(row[i % half]);
        out[at + i] = d * static_cast<float>((i < half ? byte & 15 : byte >> 4) - 8);
      }
      row += half;
    }
  }
}

// Q8_0: d = amax / 127, codes to nearest. Q4_0: d = (the value of largest magnitude) / -8, so that
// it is exact, codes to nearest in 0..15. NaN and infinite values give NaN or infinite scales.
inline void EncodeKvRow(DType type, const float* x, uint32_t n, std::byte* out) {
  using namespace kv_row_internal;
  if (type == DType::kF32) {
    std::memcpy(out, x, sizeof(float) * n);
    return;
  }
  if (type == DType::kF16) {
    for (uint32_t i = 0; i < n; ++i) StoreHalf(out + 2 * i, x[i]);
    return;
  }
  for (uint32_t at = 0; at < n; at += kBlock) {
    const uint32_t size = BlockSize(at, n);
    float extreme = 0;  // the signed value of largest magnitude; NaN sticks
    for (uint32_t i = 0; i < size; ++i) {
      const float v = x[at + i];
      if (!(std::fabs(v) <= std::fabs(extreme)) && extreme == extreme) extreme = v;
    }
    const float d = type == DType::kQ8_0 ? std::fabs(extreme) / 127.0f : extreme / -8.0f;
    const float inverse = std::fabs(d) > 1e-38f ? 1.0f / d : 0.0f;
    StoreHalf(out, d);
    out += 2;
    if (type == DType::kQ8_0) {
      for (uint32_t i = 0; i < size; ++i) {
        const float v = x[at + i] * inverse;
        out[i] = static_cast<std::byte>(ToCode(v < 0 ? v - 0.5f : v + 0.5f, -127, 127));
      }
      out += size;
    } else {
      const uint32_t half = (size + 1) / 2;
      for (uint32_t i = 0; i < half; ++i) {
        const int low = ToCode(x[at + i] * inverse + 8.5f, 0, 15);
        const int high = i + half < size ? ToCode(x[at + i + half] * inverse + 8.5f, 0, 15) : 0;
        out[i] = static_cast<std::byte>(low | high << 4);
      }
      out += half;
    }
  }
}

}  // namespace edgewise::kernels
