// Attention over one KV tile, by online softmax.
//
// The tile is decoded once per call: keys transposed, so that a vector holds positions and a
// score is one chain of multiply-adds over the head; values by position, so that a vector holds
// dimensions. Query rows then pass in blocks of kQueryRows, which share every load of the tile; a
// row's arithmetic is the same in a block of any size.
#pragma once

#include "kernels/kernels.h"
#include "kernels/kv_row.h"
#include "kernels/simd-inl.h"

namespace edgewise::kernels {
namespace {

constexpr uint32_t kQueryRows = 4;
// Vectors of positions, or of dimensions, that a block of rows accumulates at once: 4 x 4 sums of
// 32 registers, 4 x 2 of 16.
constexpr uint32_t kTileVectors = HWY_TARGET <= HWY_AVX3 ? 4 : 2;
static_assert(kKvTile % (kTileVectors * kN) == 0);

// One row of the cache as floats, zero from n up to a whole vector of 16.
inline void DecodeRowPadded(DType type, const std::byte* row, uint32_t n, float* out) {
  const DF d;
  for (uint32_t i = n; i % 16 != 0; ++i) out[i] = 0.0f;
  if (type == DType::kF16) {
    const hn::Rebind<hwy::float16_t, DF> d16;
    const auto* from = reinterpret_cast<const hwy::float16_t*>(row);
    uint32_t i = 0;
    for (; i + kN <= n; i += kN) hn::StoreU(hn::PromoteTo(d, hn::LoadU(d16, from + i)), d, out + i);
    DecodeKvRow(DType::kF16, row + 2 * size_t{i}, n - i, out + i);
    return;
  }
  uint32_t at = 0;
  if (type == DType::kQ8_0) {
    const hn::Rebind<int8_t, DF> d8;
    for (; at + kKvBlock <= n; at += kKvBlock) {
      const VF scale = hn::Set(d, F16ToF32(kv_row_internal::LoadHalf(row)));
      const auto* codes = reinterpret_cast<const int8_t*>(row + 2);
      for (uint32_t i = 0; i < kKvBlock; i += kN) {
        const auto code = hn::PromoteTo(DI(), hn::LoadU(d8, codes + i));
        hn::StoreU(hn::Mul(scale, hn::ConvertTo(d, code)), d, out + at + i);
      }
      row += KvBlockBytes(type, kKvBlock);
    }
  } else if (type == DType::kQ4_0) {
    const hn::Rebind<uint8_t, DF> d8;
    const auto zero = hn::Set(DI(), 8), mask = hn::Set(DI(), 15);
    for (; at + kKvBlock <= n; at += kKvBlock) {
      const VF scale = hn::Set(d, F16ToF32(kv_row_internal::LoadHalf(row)));
      const auto* codes = reinterpret_cast<const uint8_t*>(row + 2);
      for (uint32_t i = 0; i < kKvBlock / 2; i += kN) {
        const auto bytes = hn::PromoteTo(DI(), hn::LoadU(d8, codes + i));
        const auto low = hn::Sub(hn::And(bytes, mask), zero);
        const auto high = hn::Sub(hn::ShiftRight<4>(bytes), zero);
        hn::StoreU(hn::Mul(scale, hn::ConvertTo(d, low)), d, out + at + i);
        hn::StoreU(hn::Mul(scale, hn::ConvertTo(d, high)), d, out + at + kKvBlock / 2 + i);
      }
      row += KvBlockBytes(type, kKvBlock);
    }
  }
  DecodeKvRow(type, row, n - at, out + at);
}

// Four decoded rows of `padded` floats become the columns t .. t + 3 of keys[padded][kKvTile].
inline void TransposeFour(const float* rows, size_t padded, float* keys) {
  const hn::CappedTag<float, 4> d4;
  const hn::Repartition<double, decltype(d4)> d64;
  const auto pair = [&](auto v) { return hn::BitCast(d64, v); };
  for (size_t i = 0; i < padded; i += 4) {
    const auto a = hn::LoadU(d4, rows + i), b = hn::LoadU(d4, rows + padded + i);
    const auto c = hn::LoadU(d4, rows + 2 * padded + i), e = hn::LoadU(d4, rows + 3 * padded + i);
    const auto ab_low = pair(hn::InterleaveLower(d4, a, b));
    const auto ab_high = pair(hn::InterleaveUpper(d4, a, b));
    const auto ce_low = pair(hn::InterleaveLower(d4, c, e));
    const auto ce_high = pair(hn::InterleaveUpper(d4, c, e));
    float* to = keys + i * kKvTile;
    hn::StoreU(hn::BitCast(d4, hn::InterleaveLower(d64, ab_low, ce_low)), d4, to);
    hn::StoreU(hn::BitCast(d4, hn::InterleaveUpper(d64, ab_low, ce_low)), d4, to + kKvTile);
    hn::StoreU(hn::BitCast(d4, hn::InterleaveLower(d64, ab_high, ce_high)), d4, to + 2 * kKvTile);
    hn::StoreU(hn::BitCast(d4, hn::InterleaveUpper(d64, ab_high, ce_high)), d4, to + 3 * kKvTile);
  }
}

// The tile in scratch and what a block of rows needs of it.
struct DecodedTile {
  const float* keys;    // [padded][kKvTile], valid for positions first .. last, both whole vectors
  const float* values;  // [kKvTile][padded]
  uint32_t padded;
  uint32_t first, last;
};

// scores[r][t] = q_r . k_t for the tile's valid positions.
template <int kRows>
void Scores(const DecodedTile& tile, const float* q, size_t q_stride, uint32_t head_dim,
            float (*scores)[kKvTile]) {
  const DF d;
  constexpr uint32_t kStep = kTileVectors * kN;
  for (uint32_t t = tile.first / kStep * kStep; t < tile.last; t += kStep) {
    VF sum[kRows][kTileVectors];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
      for (uint32_t v = 0; v < kTileVectors; ++v) sum[r][v] = hn::Zero(d);
    }
    const float* keys = tile.keys + t;
    for (uint32_t i = 0; i < head_dim; ++i, keys += kKvTile) {
      VF key[kTileVectors];
#pragma GCC unroll 4
      for (uint32_t v = 0; v < kTileVectors; ++v) key[v] = hn::LoadU(d, keys + v * kN);
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
        const VF query = hn::Set(d, q[r * q_stride + i]);
#pragma GCC unroll 4
        for (uint32_t v = 0; v < kTileVectors; ++v) {
          sum[r][v] = hn::MulAdd(query, key[v], sum[r][v]);
        }
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
      for (uint32_t v = 0; v < kTileVectors; ++v) {
        hn::StoreU(sum[r][v], d, scores[r] + t + v * kN);
      }
    }
  }
}

// Turns a row's scores into weights exp(s - max), zero outside its range, and brings max and sum up
// to date. Returns the factor for what was accumulated before.
inline float Softmax(float* scores, uint32_t begin, uint32_t end, float* max, float* sum) {
  const DF d;
  const DI di;
  const VF lowest = hn::Set(d, -__builtin_inff());
  const auto in_range = [&](uint32_t t) {
    const auto index = hn::Add(hn::Iota(di, 0), hn::Set(di, static_cast<int32_t>(t)));
    const auto from = hn::Set(di, static_cast<int32_t>(begin) - 1);
    const auto to = hn::Set(di, static_cast<int32_t>(end));
    return hn::RebindMask(d, hn::And(hn::Gt(index, from), hn::Lt(index, to)));
  };
  const uint32_t first = begin / kN * kN;
  VF top = lowest;
  for (uint32_t t = first; t < end; t += kN) {
    top = hn::Max(top, hn::IfThenElse(in_range(t), hn::LoadU(d, scores + t), lowest));
  }
  const float tile_max = hn::GetLane(hn::MaxOfLanes(d, top));
  const float new_max = tile_max > *max ? tile_max : *max;
  if (new_max == -__builtin_inff()) {  // exp(-inf - -inf) would be NaN: there is nothing to weigh
    for (uint32_t t = first; t < end; t += kN) hn::StoreU(hn::Zero(d), d, scores + t);
    return 1.0f;
  }
  const VF shift = hn::Set(d, new_max);
  VF total = hn::Zero(d);
  for (uint32_t t = first; t < end; t += kN) {
    const VF weight = Exp(hn::Sub(hn::LoadU(d, scores + t), shift));
    const VF kept = hn::IfThenElseZero(in_range(t), weight);
    hn::StoreU(kept, d, scores + t);
    total = hn::Add(total, kept);
  }
  const float rescale = hn::GetLane(Exp(hn::Set(d, *max - new_max)));
  *sum = *sum * rescale + hn::GetLane(hn::SumOfLanes(d, total));
  *max = new_max;
  return rescale;
}

// acc[r, :] = acc[r, :] * rescale[r] + sum over t of weights[r][t] * v_t, t ascending. A position
// outside a row's range is skipped for that row, not added with weight zero: 0 * NaN is NaN.
template <int kRows>
void Accumulate(const DecodedTile& tile, const float (*weights)[kKvTile], const float* rescale,
                const uint32_t* begin, const uint32_t* end, uint32_t head_dim, float* acc,
                size_t acc_stride) {
  const DF d;
  uint32_t from = begin[0], to = end[0];  // positions that all rows share
  for (int r = 1; r < kRows; ++r) {
    from = begin[r] > from ? begin[r] : from;
    to = end[r] < to ? end[r] : to;
  }
  if (to < from) to = from;
  for (uint32_t i = 0; i < head_dim; i += kTileVectors * kN) {
    VF sum[kRows][kTileVectors];
    const auto left = [&](uint32_t v) {
      const uint32_t at = i + v * static_cast<uint32_t>(kN);
      return at < head_dim ? head_dim - at : 0;
    };
    const auto add = [&](int r, uint32_t t) {
      const VF weight = hn::Set(d, weights[r][t]);
      for (uint32_t v = 0; v < kTileVectors && left(v) != 0; ++v) {
        const float* value = tile.values + size_t{t} * tile.padded + i + v * kN;
        sum[r][v] = hn::MulAdd(weight, hn::LoadU(d, value), sum[r][v]);
      }
    };
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
      for (uint32_t v = 0; v < kTileVectors; ++v) {
        const float* old = acc + r * acc_stride + i + v * kN;
        sum[r][v] =
            left(v) == 0 ? hn::Zero(d) : hn::Mul(LoadFirst(old, left(v)), hn::Set(d, rescale[r]));
      }
      for (uint32_t t = begin[r]; t < (from < end[r] ? from : end[r]); ++t) add(r, t);
    }
    if (left(kTileVectors - 1) != 0) {
      for (uint32_t t = from; t < to; ++t) {
        const float* values = tile.values + size_t{t} * tile.padded + i;
        VF value[kTileVectors];
#pragma GCC unroll 4
        for (uint32_t v = 0; v < kTileVectors; ++v) value[v] = hn::LoadU(d, values + v * kN);
#pragma GCC unroll 4
        for (int r = 0; r < kRows; ++r) {
          const VF weight = hn::Set(d, weights[r][t]);
#pragma GCC unroll 4
          for (uint32_t v = 0; v < kTileVectors; ++v) {
            sum[r][v] = hn::MulAdd(weight, value[v], sum[r][v]);
          }
        }
      }
    } else {
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        for (uint32_t t = from; t < to; ++t) add(r, t);
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      for (uint32_t t = to > begin[r] ? to : begin[r]; t < end[r]; ++t) add(r, t);
      for (uint32_t v = 0; v < kTileVectors && left(v) != 0; ++v) {
        StoreFirst(sum[r][v], acc + r * acc_stride + i + v * kN, left(v));
      }
    }
  }
}

// kRows consecutive rows, none of them with an empty range.
template <int kRows>
void RowBlock(const DecodedTile& tile, const AttentionTileArgs& a, uint32_t row, float* scratch) {
  auto* scores = reinterpret_cast<float(*)[kKvTile]>(scratch);
  Scores<kRows>(tile, a.q + row * a.q_stride, a.q_stride, a.head_dim, scores);
  float rescale[kRows];
  uint32_t end[kRows];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    const uint32_t at = row + r;
    rescale[r] = Softmax(scores[r], a.begin[at], a.end[at], a.max + at, a.sum + at);
    end[r] = a.end[at];
  }
  Accumulate<kRows>(tile, scores, rescale, a.begin + row, end, a.head_dim,
                    a.acc + row * a.acc_stride, a.acc_stride);
}

inline void AttentionTile(DType kv_type_k, DType kv_type_v, const AttentionTileArgs& a) {
  const auto empty = [&](uint32_t r) { return a.begin[r] >= a.end[r]; };
  uint32_t first = a.positions, last = 0;
  for (uint32_t r = 0; r < a.rows; ++r) {
    if (empty(r)) continue;
    first = a.begin[r] < first ? a.begin[r] : first;
    last = a.end[r] > last ? a.end[r] : last;
  }
  if (first >= last) return;

  const uint32_t padded = (a.head_dim + 15) / 16 * 16;
  float* keys = a.scratch;
  float* values = keys + size_t{kKvTile} * padded;
  float* four = values + size_t{kKvTile} * padded;
  float* scores = four + size_t{4} * padded;
  // Positions up to whole tiles of vectors are zero, so that no score is made of stale floats.
  const uint32_t step = kTileVectors * static_cast<uint32_t>(kN);
  const uint32_t whole_first = first / step * step;
  const uint32_t whole_last = (last + step - 1) / step * step;
  for (uint32_t t = whole_first; t < whole_last; t += 4) {
    for (uint32_t l = 0; l < 4; ++l) {
      float* row = four + l * padded;
      if (t + l >= first && t + l < last) {
        DecodeRowPadded(kv_type_k, a.k + (size_t{t} + l) * a.k_stride, a.head_dim, row);
      } else {
        for (uint32_t i = 0; i < padded; ++i) row[i] = 0.0f;
      }
    }
    TransposeFour(four, padded, keys + t);
  }
  for (uint32_t t = first; t < last; ++t) {
    DecodeRowPadded(kv_type_v, a.v + t * a.v_stride, a.head_dim, values + size_t{t} * padded);
  }

  const DecodedTile tile{keys, values, padded, whole_first, whole_last};
  for (uint32_t r = 0; r < a.rows;) {
    uint32_t count = 0;
    while (count < kQueryRows && r + count < a.rows && !empty(r + count)) ++count;
    switch (count) {
      case 0: ++r; break;
      case 1: RowBlock<1>(tile, a, r, scores); break;
      case 2: RowBlock<2>(tile, a, r, scores); break;
      case 3: RowBlock<3>(tile, a, r, scores); break;
      case 4: RowBlock<4>(tile, a, r, scores); break;
    }
    r += count;
  }
}

}  // namespace
}  // namespace edgewise::kernels
