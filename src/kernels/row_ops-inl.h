// Kernels over one row of floats: normalisation, gating, addition, rotation, rounding.
#pragma once

#include "kernels/activation.h"
#include "kernels/kernels.h"
#include "kernels/kv_row.h"
#include "kernels/simd-inl.h"

namespace edgewise::kernels {
namespace {

// Two vectors of partial sums, as a tree at the end: an order that depends on n only.
inline void RmsNorm(const float* x, const float* weight, float eps, uint32_t n, float* y) {
  const DF d;
  VF even = hn::Zero(d), odd = hn::Zero(d);
  for (size_t i = 0; i < n; i += 2 * kN) {
    const VF a = LoadFirst(x + i, n - i);
    even = hn::MulAdd(a, a, even);
    if (i + kN < n) {
      const VF b = LoadFirst(x + i + kN, n - i - kN);
      odd = hn::MulAdd(b, b, odd);
    }
  }
  const float squares = hn::GetLane(hn::SumOfLanes(d, hn::Add(even, odd)));
  const VF mean = hn::Set(d, squares / static_cast<float>(n) + eps);
  const VF scale = hn::Div(hn::Set(d, 1.0f), hn::Sqrt(mean));
  for (size_t i = 0; i < n; i += kN) {
    const VF v = hn::Mul(LoadFirst(x + i, n - i), scale);
    StoreFirst(hn::Mul(v, LoadFirst(weight + i, n - i)), y + i, n - i);
  }
}

inline void SwiGlu(const float* gate, const float* up, uint32_t n, float* y) {
  const DF d;
  const VF one = hn::Set(d, 1.0f);
  for (size_t i = 0; i < n; i += kN) {
    const VF g = LoadFirst(gate + i, n - i);
    const VF silu = hn::Div(g, hn::Add(one, Exp(hn::Neg(g))));
    StoreFirst(hn::Mul(silu, LoadFirst(up + i, n - i)), y + i, n - i);
  }
}

inline void AddTo(const float* x, uint32_t n, float* y) {
  for (size_t i = 0; i < n; i += kN) {
    StoreFirst(hn::Add(LoadFirst(y + i, n - i), LoadFirst(x + i, n - i)), y + i, n - i);
  }
}

inline void Rope(float* x, const float* cos, const float* sin, uint32_t n, bool interleaved) {
  const DF d;
  const size_t pairs = n / 2;
  size_t i = 0;
  for (; i + kN <= pairs; i += kN) {
    VF a, b;
    if (interleaved) {
      hn::LoadInterleaved2(d, x + 2 * i, a, b);
    } else {
      a = hn::LoadU(d, x + i);
      b = hn::LoadU(d, x + pairs + i);
    }
    const VF c = hn::LoadU(d, cos + i), s = hn::LoadU(d, sin + i);
    const VF ra = hn::Sub(hn::Mul(a, c), hn::Mul(b, s));
    const VF rb = hn::Add(hn::Mul(a, s), hn::Mul(b, c));
    if (interleaved) {
      hn::StoreInterleaved2(ra, rb, d, x + 2 * i);
    } else {
      hn::StoreU(ra, d, x + i);
      hn::StoreU(rb, d, x + pairs + i);
    }
  }
  for (; i < pairs; ++i) {
    float& a = x[interleaved ? 2 * i : i];
    float& b = x[interleaved ? 2 * i + 1 : pairs + i];
    const float rotated = a * cos[i] - b * sin[i];
    b = a * sin[i] + b * cos[i];
    a = rotated;
  }
}

// The scale and its inverse for a block whose largest magnitude has these bits (activation.h).
struct BlockScale {
  float scale;
  float inverse;
  bool finite;
};
[[gnu::always_inline]] inline BlockScale ScaleFor(uint32_t amax_bits) {
  const float amax = __builtin_bit_cast(float, amax_bits);
  if (amax_bits >= 0x7f800000u) return {__builtin_nanf(""), 0.0f, false};
  if (amax < kTinyAmax) return {0.0f, 0.0f, true};
  return {amax / 127.0f, 127.0f / amax, true};
}

// Magnitudes as integers keep their order, with infinity and NaN on top.
template <size_t kCount>
[[gnu::always_inline]] inline uint32_t LargestMagnitudeBits(const float* x) {
  const DF d;
  const DU du;
  auto amax = hn::Zero(du);
  for (size_t i = 0; i < kCount; i += kN) {
    amax = hn::Max(amax, hn::BitCast(du, hn::Abs(hn::LoadU(d, x + i))));
  }
  return hn::GetLane(hn::MaxOfLanes(du, amax));
}

// Writes kN codes and returns them as 32-bit lanes. A block that is not finite gets zeros.
[[gnu::always_inline]] inline hn::Vec<DI> RoundCodes(const float* x, const BlockScale& s,
                                                     int8_t* out) {
  const DF d;
  const hn::Rebind<int8_t, DF> d8;
  const VF v = s.finite ? hn::Mul(hn::LoadU(d, x), hn::Set(d, s.inverse)) : hn::Zero(d);
  const auto codes = hn::NearestInt(v);
  hn::StoreU(hn::DemoteTo(d8, codes), d8, out);
  return codes;
}

inline void Quantize(ActivationFormat format, const float* x, uint32_t k, std::byte* out) {
  const DI di;
  if (format == ActivationFormat::kF32) {
    __builtin_memcpy(out, x, sizeof(float) * k);
    return;
  }
  auto* codes = reinterpret_cast<int8_t*>(out);
  auto* scales = reinterpret_cast<float*>(out + k);
  if (format == ActivationFormat::kQ8_0) {
    const size_t blocks = k / kActivationBlock32;
    auto* sums = reinterpret_cast<int32_t*>(scales + blocks);
    for (size_t b = 0; b < blocks; ++b) {
      const size_t at = b * kActivationBlock32;
      const BlockScale s = ScaleFor(LargestMagnitudeBits<kActivationBlock32>(x + at));
      scales[b] = s.scale;
      auto sum = hn::Zero(di);
      for (size_t i = at; i < at + kActivationBlock32; i += kN) {
        sum = hn::Add(sum, RoundCodes(x + i, s, codes + i));
      }
      sums[b] = hn::GetLane(hn::SumOfLanes(di, sum));
    }
    return;
  }
  const size_t blocks = k / kActivationBlockK;
  auto* sums = reinterpret_cast<int16_t*>(scales + blocks);
  for (size_t b = 0; b < blocks; ++b) {
    const size_t at = b * kActivationBlockK;
    const BlockScale s = ScaleFor(LargestMagnitudeBits<kActivationBlockK>(x + at));
    scales[b] = s.scale;
    for (size_t i = at; i < at + kActivationBlockK; i += 16) {
      auto sum = hn::Zero(di);
      for (size_t l = i; l < i + 16; l += kN) {
        sum = hn::Add(sum, RoundCodes(x + l, s, codes + l));
      }
      sums[i / 16] = static_cast<int16_t>(hn::GetLane(hn::SumOfLanes(di, sum)));
    }
  }
}

// The same bytes as EncodeKvRow of kv_row.h.
inline void EncodeRow(DType type, const float* x, uint32_t n, std::byte* out) {
  const DF d;
  if (type == DType::kF16) {
    const hn::Rebind<hwy::float16_t, DF> d16;
    auto* to = reinterpret_cast<hwy::float16_t*>(out);
    size_t i = 0;
    for (; i + kN <= n; i += kN) {
      hn::StoreU(hn::DemoteTo(d16, hn::LoadU(d, x + i)), d16, to + i);
    }
    const hn::CappedTag<float, 4> d4;  // heads of 8 in vectors of 16
    const hn::Rebind<hwy::float16_t, decltype(d4)> half4;
    for (; i + 4 <= n; i += 4) hn::StoreU(hn::DemoteTo(half4, hn::LoadU(d4, x + i)), half4, to + i);
    EncodeKvRow(DType::kF16, x + i, static_cast<uint32_t>(n - i), out + 2 * i);
    return;
  }
  uint32_t at = 0;
  if (type == DType::kQ8_0) {
    for (; at + kKvBlock <= n; at += kKvBlock) {
      const BlockScale s = ScaleFor(LargestMagnitudeBits<kKvBlock>(x + at));
      kv_row_internal::StoreHalf(out, s.scale);
      auto* codes = reinterpret_cast<int8_t*>(out + 2);
      for (uint32_t i = 0; i < kKvBlock; i += kN) RoundCodes(x + at + i, s, codes + i);
      out += KvBlockBytes(type, kKvBlock);
    }
  }
  EncodeKvRow(type, x + at, n - at, out);
}

}  // namespace
}  // namespace edgewise::kernels
