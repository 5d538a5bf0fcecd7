// Decoding a tile of the KV cache to floats: keys transposed, values as they are.
#pragma once

#include "kernels/kernels.h"
#include "kernels/kv_row.h"
#include "kernels/simd-inl.h"

namespace edgewise::kernels {
namespace {

// Vectors of at most 8 lanes: what keys are transposed in. With 16, half of the ports that shuffle 8 stand
// still, and pieces of 4 positions (no shuffles across 128 bits) were stored at one a cycle: both took
// 1.4 times as long.
using DK = hn::CappedTag<float, 8>;
using VK = hn::Vec<DK>;
constexpr uint32_t kKeyLanes = hn::MaxLanes(DK());
static_assert(kKeyLanes == 4 || kKeyLanes == 8);

// The floats of decoded keys: panels of kN positions, within them [head_dim][kN], so that a vector of
// positions is one load and neighbouring dimensions are neighbours.
inline size_t KeyAt(uint32_t position, uint32_t dim, uint32_t padded) {
  return size_t{position / kN * padded + dim} * kN + position % kN;
}

// Values of a row that are decoded in one step: a block where there are blocks.
template <DType kType>
constexpr bool kHasScale = kType == DType::kQ8_0 || kType == DType::kQ4_0;
template <DType kType>
constexpr uint32_t kKvStep = kHasScale<kType> ? kKvBlock : 16;
template <DType kType>
constexpr uint32_t kKvStepBytes = kType == DType::kF32    ? sizeof(float) * 16
                                  : kType == DType::kF16  ? 2 * 16
                                  : kType == DType::kQ8_0 ? 2 + kKvBlock
                                                          : 2 + kKvBlock / 2;

// A block's scale in all lanes. Stored as a half to be loaded as a vector it would wait for the store:
// values took 1.25 times as long.
template <typename D>
[[gnu::always_inline]] inline hn::Vec<D> ScaleOf(D d, const std::byte* block) {
  const hn::Rebind<uint16_t, D> bits;
  const hn::Rebind<hwy::float16_t, D> d16;
  return FromHalves(d, hn::BitCast(d16, hn::Set(bits, kv_row_internal::LoadHalf(block))));
}

// Values i .. i + lanes of the step that `from` points at, without their scale.
template <DType kType, typename D>
[[gnu::always_inline]] inline hn::Vec<D> KvValues(D d, const std::byte* from, uint32_t i) {
  const hn::RebindToSigned<D> di;
  if constexpr (kType == DType::kF32) {
    return hn::LoadU(d, reinterpret_cast<const float*>(from) + i);
  } else if constexpr (kType == DType::kF16) {
    return LoadHalves(d, from + 2 * i);
  } else if constexpr (kType == DType::kQ8_0) {
    const hn::Rebind<int8_t, D> d8;
    const auto* codes = reinterpret_cast<const int8_t*>(from + 2) + i;
    return hn::ConvertTo(d, hn::PromoteTo(di, hn::LoadU(d8, codes)));
  } else {
    const hn::Rebind<uint8_t, D> d8;
    const auto* codes = reinterpret_cast<const uint8_t*>(from + 2) + i % (kKvBlock / 2);
    const auto bytes = hn::PromoteTo(di, hn::LoadU(d8, codes));
    const auto nibble = i < kKvBlock / 2 ? hn::And(bytes, hn::Set(di, 15)) : hn::ShiftRight<4>(bytes);
    return hn::ConvertTo(d, hn::Sub(nibble, hn::Set(di, 8)));
  }
}

// n values as floats, zero from n up to a whole vector of 16.
template <DType kType>
void DecodeRow(const std::byte* row, size_t n, float* out) {
  const DF d;
  size_t at = 0;
  for (; at + kKvStep<kType> <= n; at += kKvStep<kType>) {
    if constexpr (kHasScale<kType>) {
      const VF scale = ScaleOf(d, row);
#pragma GCC unroll 8
      for (uint32_t i = 0; i < kKvStep<kType>; i += kN) {
        hn::StoreU(hn::Mul(scale, KvValues<kType>(d, row, i)), d, out + at + i);
      }
    } else {
#pragma GCC unroll 8
      for (uint32_t i = 0; i < kKvStep<kType>; i += kN) {
        hn::StoreU(KvValues<kType>(d, row, i), d, out + at + i);
      }
    }
    row += kKvStepBytes<kType>;
  }
  if (at == n) return;
  if constexpr (!kHasScale<kType>) {  // heads of 8, say
    for (; at + kKeyLanes <= n; at += kKeyLanes, row += kKvStepBytes<kType> / 16 * kKeyLanes) {
      hn::StoreU(KvValues<kType>(DK(), row, 0), DK(), out + at);
    }
  }
  DecodeKvRow(kType, row, static_cast<uint32_t>(n - at), out + at);
  for (size_t i = n; i % 16 != 0; ++i) out[i] = 0.0f;
}

// rows[l] holds some dimensions of position l; afterwards rows[i] holds dimension i of all positions.
// As integers: two ports shuffle these, one port floats.
[[gnu::always_inline]] inline void Transpose(VK (&rows)[kKeyLanes]) {
  const DK d;
  const hn::RebindToSigned<DK> d32;
  const hn::Repartition<int64_t, DK> d64;
  const auto single = [&](VK v) __attribute__((always_inline)) { return hn::BitCast(d32, v); };
  const auto pair = [&](auto v) __attribute__((always_inline)) { return hn::BitCast(d64, v); };
#pragma GCC unroll 2
  for (uint32_t l = 0; l < kKeyLanes; l += 4) {  // 4 x 4 within each 128 bits
    const auto a = single(rows[l]), b = single(rows[l + 1]);
    const auto c = single(rows[l + 2]), e = single(rows[l + 3]);
    const auto ab_low = pair(hn::InterleaveLower(d32, a, b)), ab_high = pair(hn::InterleaveUpper(d32, a, b));
    const auto ce_low = pair(hn::InterleaveLower(d32, c, e)), ce_high = pair(hn::InterleaveUpper(d32, c, e));
    rows[l] = hn::BitCast(d, hn::InterleaveLower(d64, ab_low, ce_low));
    rows[l + 1] = hn::BitCast(d, hn::InterleaveUpper(d64, ab_low, ce_low));
    rows[l + 2] = hn::BitCast(d, hn::InterleaveLower(d64, ab_high, ce_high));
    rows[l + 3] = hn::BitCast(d, hn::InterleaveUpper(d64, ab_high, ce_high));
  }
  if constexpr (kKeyLanes == 8) {
#pragma GCC unroll 4
    for (uint32_t i = 0; i < 4; ++i) {
      const VK low = rows[i], high = rows[i + 4];
      const VK inner = hn::ConcatLowerUpper(d, high, low);  // a shuffle; the two below are blends
      rows[i] = hn::ConcatUpperLower(d, inner, low);
      rows[i + 4] = hn::ConcatUpperLower(d, high, inner);
    }
  }
}

// Bytes of a block's codes: where two halves of a block make one vector, the low half is in its lower 128
// bits.
using DB = hn::CappedTag<int8_t, kKvBlock>;
constexpr uint32_t kCodes = hn::MaxLanes(DB());

// Codes i .. i + kCodes of a block as signed bytes.
template <DType kType, uint32_t kLanes = kCodes>
[[gnu::always_inline]] inline hn::Vec<DB> BlockCodes(const std::byte* block, uint32_t i) {
  const hn::CappedTag<int8_t, kLanes> d;
  const auto* codes = reinterpret_cast<const int8_t*>(block + 2);
  if constexpr (kType == DType::kQ8_0) {
    return hn::LoadU(d, codes + i);
  } else {
    const hn::CappedTag<int8_t, kKvBlock / 2> half;
    const hn::Repartition<uint16_t, decltype(half)> half16;
    const auto bytes = hn::LoadU(half, codes);
    const auto shifted = hn::BitCast(half, hn::ShiftRight<4>(hn::BitCast(half16, bytes)));
    const auto centred = [&](auto v) __attribute__((always_inline)) {
      return hn::Sub(hn::And(v, hn::Set(d, 15)), hn::Set(d, 8));
    };
    if constexpr (kLanes == kKvBlock) {
      return centred(hn::Combine(d, shifted, bytes));
    } else {
      return centred(i == 0 ? bytes : shifted);
    }
  }
}

// A block of eight positions to keys. Transposed as bytes, which takes a quarter of the shuffles that
// floats take.
template <DType kType>
[[gnu::always_inline]] inline void TransposeBlock(const std::byte* const (&row)[8], float* keys,
                                                   uint32_t padded) {
  const DB d8;
  const DK d;
  const hn::Repartition<int16_t, DB> d16;
  const hn::Repartition<int32_t, DB> d32;
  alignas(16) uint16_t halves[8];
#pragma GCC unroll 8
  for (uint32_t l = 0; l < 8; ++l) halves[l] = kv_row_internal::LoadHalf(row[l]);
  VK scale[8 / kKeyLanes];
#pragma GCC unroll 2
  for (uint32_t v = 0; v < 8 / kKeyLanes; ++v) scale[v] = LoadHalves(d, halves + v * kKeyLanes);
#pragma GCC unroll 2
  for (uint32_t i = 0; i < kKvBlock; i += kCodes) {
    alignas(64) int8_t columns[8 * kCodes];  // of each 128 bits, vector k has its dimensions 2k and 2k + 1
    hn::Vec<decltype(d16)> two[8];           // positions
    hn::Vec<decltype(d32)> four[8];
#pragma GCC unroll 4
    for (uint32_t l = 0; l < 4; ++l) {
      const auto a = BlockCodes<kType>(row[2 * l], i), b = BlockCodes<kType>(row[2 * l + 1], i);
      two[l] = hn::BitCast(d16, hn::InterleaveLower(d8, a, b));
      two[l + 4] = hn::BitCast(d16, hn::InterleaveUpper(d8, a, b));
    }
#pragma GCC unroll 2
    for (uint32_t h = 0; h < 8; h += 4) {  // the lower and the upper eight dimensions of each 128 bits
#pragma GCC unroll 2
      for (uint32_t l = 0; l < 2; ++l) {
        four[h + l] = hn::BitCast(d32, hn::InterleaveLower(d16, two[h + 2 * l], two[h + 2 * l + 1]));
        four[h + l + 2] = hn::BitCast(d32, hn::InterleaveUpper(d16, two[h + 2 * l], two[h + 2 * l + 1]));
      }
#pragma GCC unroll 2
      for (uint32_t l = 0; l < 2; ++l) {
        const auto low = four[h + 2 * l], high = four[h + 2 * l + 1];
        int8_t* to = columns + (h + 2 * l) * kCodes;
        hn::StoreU(hn::BitCast(d8, hn::InterleaveLower(d32, low, high)), d8, to);
        hn::StoreU(hn::BitCast(d8, hn::InterleaveUpper(d32, low, high)), d8, to + kCodes);
      }
    }
    asm("" : "+m"(columns));  // as in TransposeHalves
#pragma GCC unroll 32
    for (uint32_t c = 0; c < kCodes; ++c) {
      const int8_t* column = columns + c % 16 / 2 * kCodes + c / 16 * 16 + c % 2 * 8;
#pragma GCC unroll 2
      for (uint32_t v = 0; v < 8 / kKeyLanes; ++v) {
        const hn::Rebind<int8_t, DK> code;
        const auto integer = hn::PromoteTo(hn::RebindToSigned<DK>(), hn::LoadU(code, column + v * kKeyLanes));
        hn::StoreU(hn::Mul(scale[v], hn::ConvertTo(d, integer)), d,
                   keys + KeyAt(v * kKeyLanes, i + c, padded));
      }
    }
  }
}

// Dimensions of halves that are transposed together: in each 128 bits eight.
using DH = hn::CappedTag<uint16_t, 16>;
constexpr uint32_t kHalves = hn::MaxLanes(DH());

// Eight positions' dimensions from .. from + kHalves to keys. Transposed as halves, which takes half of the
// shuffles that floats take: about three quarters of the time, from cache.
[[gnu::always_inline]] inline void TransposeHalves(const std::byte* const (&row)[8], uint32_t from,
                                                    float* keys, uint32_t padded) {
  const DH d16;
  const DK d;
  const hn::Repartition<uint32_t, DH> d32;
  const hn::Repartition<uint64_t, DH> d64;
  hn::Vec<decltype(d32)> two[8];  // positions: of each 128 bits, the lower four dimensions, then the upper
  hn::Vec<decltype(d64)> four[8];
  alignas(64) uint16_t columns[8 * kHalves];  // of each 128 bits, vector k has its dimension k
#pragma GCC unroll 4
  for (uint32_t l = 0; l < 4; ++l) {
    const auto a = hn::LoadU(d16, reinterpret_cast<const uint16_t*>(row[2 * l]) + from);
    const auto b = hn::LoadU(d16, reinterpret_cast<const uint16_t*>(row[2 * l + 1]) + from);
    two[l] = hn::BitCast(d32, hn::InterleaveLower(d16, a, b));
    two[l + 4] = hn::BitCast(d32, hn::InterleaveUpper(d16, a, b));
  }
#pragma GCC unroll 2
  for (uint32_t h = 0; h < 8; h += 4) {
#pragma GCC unroll 2
    for (uint32_t l = 0; l < 2; ++l) {
      four[h + l] = hn::BitCast(d64, hn::InterleaveLower(d32, two[h + 2 * l], two[h + 2 * l + 1]));
      four[h + l + 2] = hn::BitCast(d64, hn::InterleaveUpper(d32, two[h + 2 * l], two[h + 2 * l + 1]));
    }
#pragma GCC unroll 2
    for (uint32_t l = 0; l < 4; l += 2) {
      const auto low = four[h + l], high = four[h + l + 1];
      uint16_t* to = columns + (h + l) * kHalves;
      hn::StoreU(hn::BitCast(d16, hn::InterleaveLower(d64, low, high)), d16, to);
      hn::StoreU(hn::BitCast(d16, hn::InterleaveUpper(d64, low, high)), d16, to + kHalves);
    }
  }
  // Read back from memory, from where a conversion takes no shuffle. Compilers would keep the columns in
  // registers, and take a tenth longer.
  asm("" : "+m"(columns));
#pragma GCC unroll 16
  for (uint32_t c = 0; c < kHalves; ++c) {
#pragma GCC unroll 2
    for (uint32_t v = 0; v < 8; v += kKeyLanes) {
      hn::StoreU(LoadHalves(d, columns + c % 8 * kHalves + c / 8 * 8 + v), d, keys + KeyAt(v, c, padded));
    }
  }
}

// Rows begin .. end of a tile become columns of keys (KeyAt). Columns beside them, as far as a vector
// reaches, hold anything: their scores are not used. `some` has room for eight padded rows.
template <DType kType>
void TransposeKeys(const std::byte* rows, size_t stride, uint32_t begin, uint32_t end, uint32_t n,
                   float* some, float* keys) {
  const DK d;
  const uint32_t padded = AttentionPadded(n);
  for (uint32_t t = begin / 8 * 8; t < end; t += 8) {
    const std::byte* row[8];
#pragma GCC unroll 8
    for (uint32_t l = 0; l < 8; ++l) {  // only rows that some query sees are read
      const uint32_t at = t + l < begin ? begin : t + l < end ? t + l : end - 1;
      row[l] = rows + at * stride;
    }
    const auto transpose = [&](const auto& load, uint32_t i) __attribute__((always_inline)) {
#pragma GCC unroll 2
      for (uint32_t l = 0; l < 8; l += kKeyLanes) {
        VK value[kKeyLanes];
#pragma GCC unroll 8
        for (uint32_t j = 0; j < kKeyLanes; ++j) value[j] = load(l + j, i);
        Transpose(value);
#pragma GCC unroll 8
        for (uint32_t j = 0; j < kKeyLanes; ++j) {
          hn::StoreU(value[j], d, keys + KeyAt(t + l, i + j, padded));
        }
      }
    };
    constexpr uint32_t kWhole = kHasScale<kType> ? kKvBlock : kKeyLanes;
    if (n % kWhole != 0) {  // a short last block: by way of whole decoded rows
      for (uint32_t l = 0; l < 8; ++l) DecodeRow<kType>(row[l], n, some + l * padded);
      const auto load = [&](uint32_t l, uint32_t i) { return hn::LoadU(d, some + l * padded + i); };
      for (uint32_t i = 0; i < padded; i += kKeyLanes) transpose(load, i);
    } else if constexpr (kHasScale<kType>) {
      for (uint32_t at = 0; at < n; at += kKvBlock) {
        TransposeBlock<kType>(row, keys + KeyAt(t, at, padded), padded);
#pragma GCC unroll 8
        for (uint32_t l = 0; l < 8; ++l) row[l] += kKvStepBytes<kType>;
      }
    } else {
      uint32_t i = 0;
      if constexpr (kType == DType::kF16) {
        for (; i + kHalves <= n; i += kHalves) {
          TransposeHalves(row, i, keys + KeyAt(t, i, padded), padded);
        }
      }
      const auto load = [&](uint32_t l, uint32_t at) { return KvValues<kType>(d, row[l], at); };
      for (; i < n; i += kKeyLanes) transpose(load, i);
    }
  }
}

inline void DecodeKeys(DType type, const std::byte* rows, size_t stride, uint32_t begin, uint32_t end,
                       uint32_t n, float* some, float* keys) {
  switch (type) {
    case DType::kF16: return TransposeKeys<DType::kF16>(rows, stride, begin, end, n, some, keys);
    case DType::kQ8_0: return TransposeKeys<DType::kQ8_0>(rows, stride, begin, end, n, some, keys);
    case DType::kQ4_0: return TransposeKeys<DType::kQ4_0>(rows, stride, begin, end, n, some, keys);
    default: return TransposeKeys<DType::kF32>(rows, stride, begin, end, n, some, keys);
  }
}

template <DType kType>
void DecodeRows(const std::byte* rows, size_t stride, uint32_t begin, uint32_t end, uint32_t n,
                float* values) {
  const uint32_t padded = AttentionPadded(n);
  rows += begin * stride;
  values += size_t{begin} * padded;
  if (n % kKvStep<kType> == 0 && stride == n / kKvStep<kType> * kKvStepBytes<kType>) {
    return DecodeRow<kType>(rows, size_t{end - begin} * n, values);  // they join without a gap
  }
  for (; begin < end; ++begin, rows += stride, values += padded) DecodeRow<kType>(rows, n, values);
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
