// Decoding a tile of the KV cache to floats: keys transposed, values as they are.
#pragma once

#include "kernels/kernels.h"
#include "kernels/kv_row.h"
#include "kernels/simd-inl.h"

namespace edgewise::kernels {
namespace {

// Values of a row that are decoded in one step: a block where there are blocks.
template <DType kType>
constexpr uint32_t kKvStep = kType == DType::kF32 || kType == DType::kF16 ? kN : kKvBlock;

template <DType kType>
constexpr uint32_t kKvStepBytes = kType == DType::kF32    ? sizeof(float) * kN
                                  : kType == DType::kF16  ? 2 * kN
                                  : kType == DType::kQ8_0 ? 2 + kKvBlock
                                                          : 2 + kKvBlock / 2;

// The scale of a block in all lanes; nothing for types without.
template <DType kType>
[[gnu::always_inline]] inline VF KvScale(const std::byte* block) {
  if constexpr (kType == DType::kF32 || kType == DType::kF16) {
    return hn::Zero(DF());
  } else {
#if HWY_TARGET <= HWY_AVX2 || HWY_ARCH_ARM_A64
    const hn::CappedTag<float, 4> d4;
    const hn::Rebind<hwy::float16_t, decltype(d4)> d16;
    const auto raw = hn::Set(hn::RebindToUnsigned<decltype(d16)>(), kv_row_internal::LoadHalf(block));
    return hn::Set(DF(), hn::GetLane(hn::PromoteTo(d4, hn::BitCast(d16, raw))));
#else
    return hn::Set(DF(), F16ToF32(kv_row_internal::LoadHalf(block)));
#endif
  }
}

// Values i .. i + kN of the step that `from` points at.
template <DType kType>
[[gnu::always_inline]] inline VF KvValues(const std::byte* from, uint32_t i, VF scale) {
  const DF d;
  const DI di;
  if constexpr (kType == DType::kF32) {
    return hn::LoadU(d, reinterpret_cast<const float*>(from) + i);
  } else if constexpr (kType == DType::kF16) {
    const hn::Rebind<hwy::float16_t, DF> d16;
    return hn::PromoteTo(d, hn::LoadU(d16, reinterpret_cast<const hwy::float16_t*>(from) + i));
  } else if constexpr (kType == DType::kQ8_0) {
    const hn::Rebind<int8_t, DF> d8;
    const auto code = hn::PromoteTo(di, hn::LoadU(d8, reinterpret_cast<const int8_t*>(from + 2) + i));
    return hn::Mul(scale, hn::ConvertTo(d, code));
  } else {
    static_assert(kN <= kKvBlock / 2);
    const hn::Rebind<uint8_t, DF> d8;
    const auto* codes = reinterpret_cast<const uint8_t*>(from + 2) + i % (kKvBlock / 2);
    const auto bytes = hn::PromoteTo(di, hn::LoadU(d8, codes));
    const auto nibble = i < kKvBlock / 2 ? hn::And(bytes, hn::Set(di, 15)) : hn::ShiftRight<4>(bytes);
    return hn::Mul(scale, hn::ConvertTo(d, hn::Sub(nibble, hn::Set(di, 8))));
  }
}

// One row as floats, zero from n up to a whole vector of 16.
template <DType kType>
void DecodeRow(const std::byte* row, uint32_t n, float* out) {
  const DF d;
  uint32_t at = 0;
  for (; at + kKvStep<kType> <= n; at += kKvStep<kType>) {
    const VF scale = KvScale<kType>(row);
#pragma GCC unroll 8
    for (uint32_t i = 0; i < kKvStep<kType>; i += kN) {
      hn::StoreU(KvValues<kType>(row, i, scale), d, out + at + i);
    }
    row += kKvStepBytes<kType>;
  }
  if (at == n && n % 16 == 0) return;
  DecodeKvRow(kType, row, n - at, out + at);
  for (uint32_t i = n; i % 16 != 0; ++i) out[i] = 0.0f;
}

template <typename D>
[[gnu::always_inline]] inline void StoreBlocks(D d, hn::Vec<D> v, float* to) {
  if constexpr (hn::MaxLanes(D()) <= 4) {
    hn::StoreU(v, d, to);
  } else {
    const hn::Half<D> half;
    StoreBlocks(half, hn::LowerHalf(half, v), to);
    StoreBlocks(half, hn::UpperHalf(half, v), to + hn::MaxLanes(half) * kKvTile);
  }
}

// Four vectors, each some dimensions of one position, become columns of keys: within every block of
// four dimensions a 4 x 4 transpose, then one store of four positions a dimension. A transpose of
// 8 x 8 would halve the stores for half as many shuffles again.
[[gnu::always_inline]] inline void StoreTransposed(VF a, VF b, VF c, VF e, float* keys) {
  const DF d;
  const hn::Repartition<double, DF> d64;
  const auto pair = [&](VF v) __attribute__((always_inline)) { return hn::BitCast(d64, v); };
  const auto ab_low = pair(hn::InterleaveLower(d, a, b)), ab_high = pair(hn::InterleaveUpper(d, a, b));
  const auto ce_low = pair(hn::InterleaveLower(d, c, e)), ce_high = pair(hn::InterleaveUpper(d, c, e));
  StoreBlocks(d, hn::BitCast(d, hn::InterleaveLower(d64, ab_low, ce_low)), keys);
  StoreBlocks(d, hn::BitCast(d, hn::InterleaveUpper(d64, ab_low, ce_low)), keys + kKvTile);
  StoreBlocks(d, hn::BitCast(d, hn::InterleaveLower(d64, ab_high, ce_high)), keys + 2 * kKvTile);
  StoreBlocks(d, hn::BitCast(d, hn::InterleaveUpper(d64, ab_high, ce_high)), keys + 3 * kKvTile);
}

// Rows begin .. end of a tile become columns of keys[n][kKvTile]. Columns beside them, as far as a
// vector reaches, hold anything: their scores are not used. `four` has room for four padded rows.
template <DType kType>
void TransposeKeys(const std::byte* rows, size_t stride, uint32_t begin, uint32_t end, uint32_t n,
                   float* four, float* keys) {
  for (uint32_t t = begin / 4 * 4; t < end; t += 4) {
    const std::byte* row[4];
#pragma GCC unroll 4
    for (uint32_t l = 0; l < 4; ++l) {  // only rows that some query sees are read
      const uint32_t at = t + l < begin ? begin : t + l < end ? t + l : end - 1;
      row[l] = rows + at * stride;
    }
    if (n % kKvStep<kType> != 0) {  // a short last block: by way of whole decoded rows
      const uint32_t padded = AttentionPadded(n);
      for (uint32_t l = 0; l < 4; ++l) DecodeRow<kType>(row[l], n, four + l * padded);
      for (uint32_t i = 0; i < padded; i += kN) {
        const auto part = [&](uint32_t l) { return hn::LoadU(DF(), four + l * padded + i); };
        StoreTransposed(part(0), part(1), part(2), part(3), keys + i * kKvTile + t);
      }
      continue;
    }
    for (uint32_t at = 0; at < n; at += kKvStep<kType>) {
      VF scale[4];
#pragma GCC unroll 4
      for (uint32_t l = 0; l < 4; ++l) scale[l] = KvScale<kType>(row[l]);
#pragma GCC unroll 8
      for (uint32_t i = 0; i < kKvStep<kType>; i += kN) {
        StoreTransposed(KvValues<kType>(row[0], i, scale[0]), KvValues<kType>(row[1], i, scale[1]),
                        KvValues<kType>(row[2], i, scale[2]), KvValues<kType>(row[3], i, scale[3]),
                        keys + (at + i) * kKvTile + t);
      }
#pragma GCC unroll 4
      for (uint32_t l = 0; l < 4; ++l) row[l] += kKvStepBytes<kType>;
    }
  }
}

inline void DecodeKeys(DType type, const std::byte* rows, size_t stride, uint32_t begin, uint32_t end,
                       uint32_t n, float* four, float* keys) {
  switch (type) {
    case DType::kF16: return TransposeKeys<DType::kF16>(rows, stride, begin, end, n, four, keys);
    case DType::kQ8_0: return TransposeKeys<DType::kQ8_0>(rows, stride, begin, end, n, four, keys);
    case DType::kQ4_0: return TransposeKeys<DType::kQ4_0>(rows, stride, begin, end, n, four, keys);
    default: return TransposeKeys<DType::kF32>(rows, stride, begin, end, n, four, keys);
  }
}

template <DType kType>
void DecodeRows(const std::byte* rows, size_t stride, uint32_t begin, uint32_t end, uint32_t n,
                float* values) {
  const uint32_t padded = AttentionPadded(n);
  for (uint32_t t = begin; t < end; ++t) DecodeRow<kType>(rows + t * stride, n, values + size_t{t} * padded);
}

// Rows begin .. end of a tile become rows of values[kKvTile][AttentionPadded(n)].
inline void DecodeValues(DType type, const std::byte* rows, size_t stride, uint32_t begin, uint32_t end,
                         uint32_t n, float* values) {
  switch (type) {
    case DType::kF16: return DecodeRows<DType::kF16>(rows, stride, begin, end, n, values);
    case DType::kQ8_0: return DecodeRows<DType::kQ8_0>(rows, stride, begin, end, n, values);
    case DType::kQ4_0: return DecodeRows<DType::kQ4_0>(rows, stride, begin, end, n, values);
    default: return DecodeRows<DType::kF32>(rows, stride, begin, end, n, values);
  }
}

}  // namespace
}  // namespace edgewise::kernels
