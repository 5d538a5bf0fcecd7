// Attention over a span of the KV cache, by online softmax over its tiles.
//
// All query rows pass over a tile's keys, then over its values, each decoded to floats once: keys
// transposed, so that a vector holds positions and a score is one chain of multiply-adds over the head;
// values by position, so that a vector holds dimensions. One decoded tile of heads of 64 is 16 KiB: it
// stays in L1 while the rows stream past, where keys and values together would not. Rows pass in blocks
// of kQueryRows, which share every load of the tile; a row's arithmetic is the same in a block of any
// size, and so the same bits in prefill and in decode.
#pragma once

#include <type_traits>

#include "kernels/kernels.h"
#include "kernels/kv_tile-inl.h"
#include "kernels/simd-inl.h"

namespace edgewise::kernels {
namespace {

constexpr uint32_t kQueryRows = 4;
// Vectors of positions, or of dimensions, that a block of rows accumulates at once: with 4 rows 16 sums of
// 32 registers, 12 of 16. Two multiply-adds a cycle with a latency of 4 need 8 sums at least, and got 72%
// of their rate with 8. Fewer rows take more vectors.
template <int kRows>
constexpr uint32_t kVectors = HWY_TARGET <= HWY_AVX3 || kRows <= 2 ? 4 : 3;

// 2^x for x <= 0: relative error below 2e-7 (attention_test sweeps it), 0 below -126.5, NaN for NaN.
// x = n + f with |f| <= 1/2. Adding 3/4 * 2^24 rounds to an integer, which the low bits then hold; with
// the exponent's bias in it, they shift into 2^n, and into 0 for n = -127.
// 2^f: interpolated at Chebyshev nodes, remainder 5e-9; degree 5 would leave 2.0e-7.
[[gnu::always_inline]] inline VF Exp2(VF x) {
  const DF d;
  const VF magic = hn::Set(d, 12582912.0f + 127.0f);
  const VF in = hn::Max(hn::Set(d, -127.0f), x);  // in this order a NaN stays
  const VF shifted = hn::Add(in, magic);
  const VF f = hn::Sub(in, hn::Sub(shifted, magic));
  VF p = hn::Set(d, 1.5453163e-4f);
  p = hn::MulAdd(p, f, hn::Set(d, 1.33908634e-3f));
  p = hn::MulAdd(p, f, hn::Set(d, 9.61808256e-3f));
  p = hn::MulAdd(p, f, hn::Set(d, 5.55035711e-2f));
  p = hn::MulAdd(p, f, hn::Set(d, 0.240226508f));
  p = hn::MulAdd(p, f, hn::Set(d, 0.693147188f));
  p = hn::MulAdd(p, f, hn::Set(d, 1.0f));
  const VF power = hn::BitCast(d, hn::ShiftLeft<23>(hn::BitCast(DI(), shifted)));
  return hn::Mul(p, power);
}

// The positions [begin, end) of a tile that a row sees.
struct Range {
  uint32_t begin, end;
};

// Steps of the inner loops for each line fetched: with 8 rows in F16 the lines are spread over all of them.
constexpr uint32_t kFetchEvery = kN >= 16 ? 1 : 2;

// Fetches what is read next, a line at a time, while a tile is computed; at the end, the last line again.
// One thread with 8 rows over F16 from memory takes about half as long again without it; whether to the
// first or the second cache makes no difference beyond the noise.
class Fetcher {
 public:
  Fetcher(const std::byte* begin, size_t bytes) : at_(begin), end_(begin + bytes) {}

  [[gnu::always_inline]] void Line() {
    __builtin_prefetch(at_, 0, 2);
    at_ = at_ + 64 < end_ ? at_ + 64 : at_;
  }

 private:
  const std::byte* at_;
  const std::byte* end_;
};

// scores[r][t] = q_r . k_t for kV vectors of positions; `keys` are their panels, one after the other.
template <int kRows, uint32_t kV>
void Scores(const float* keys, size_t panel, const float* q, size_t q_stride, uint32_t head_dim,
            float* scores, Fetcher& next) {
  const DF d;
  Fetcher fetch = next;
  VF sum[kRows][kV];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (uint32_t v = 0; v < kV; ++v) sum[r][v] = hn::Zero(d);
  }
  for (uint32_t i = 0; i < head_dim; ++i, keys += kN) {
    if (i % kFetchEvery == 0) fetch.Line();
    VF key[kV];
#pragma GCC unroll 8
    for (uint32_t v = 0; v < kV; ++v) key[v] = hn::LoadU(d, keys + v * panel);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const VF query = hn::Set(d, q[r * q_stride + i]);
#pragma GCC unroll 8
      for (uint32_t v = 0; v < kV; ++v) sum[r][v] = hn::MulAdd(query, key[v], sum[r][v]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (uint32_t v = 0; v < kV; ++v) hn::StoreU(sum[r][v], d, scores + r * kKvTile + v * kN);
  }
  next = fetch;
}

// Turns rows' scores into weights exp2(s - max), 0 outside a row's range in the vectors that any range
// touches, and brings max and sum up to date. rescale: the factors for what was accumulated before. The rows
// side by side, because one by one each waits for its maximum, then for its sum.
template <int kRows>
void Softmax(float* scores, const Range* ranges, float* max, float* sum, float* rescale) {
  const DF d;
  constexpr float kLowest = -__builtin_inff();
  Range any = ranges[0];
  for (int r = 1; r < kRows; ++r) {
    any.begin = ranges[r].begin < any.begin ? ranges[r].begin : any.begin;
    any.end = ranges[r].end > any.end ? ranges[r].end : any.end;
  }
  const uint32_t first = any.begin / kN * kN;
  const uint32_t last = (any.end + kN - 1) / kN * kN;
  VF top[kRows], shift[kRows], total[kRows];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    float* row = scores + r * kKvTile;
    for (uint32_t t = first; t < ranges[r].begin; ++t) row[t] = kLowest;
    for (uint32_t t = ranges[r].end; t < last; ++t) row[t] = kLowest;
    top[r] = hn::Set(d, max[r]);
    total[r] = hn::Zero(d);
  }
  for (uint32_t t = first; t < last; t += kN) {
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) top[r] = hn::Max(hn::LoadU(d, scores + r * kKvTile + t), top[r]);
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    top[r] = hn::MaxOfLanes(d, top[r]);
    // All scores -inf: there is nothing to weigh by, and exp2(-inf - -inf) would be NaN.
    shift[r] = hn::Max(top[r], hn::Set(d, -__FLT_MAX__));
  }
  for (uint32_t t = first; t < last; t += kN) {
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      float* at = scores + r * kKvTile + t;
      const VF weight = Exp2(hn::Sub(hn::LoadU(d, at), shift[r]));
      hn::StoreU(weight, d, at);
      total[r] = hn::Add(total[r], weight);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    rescale[r] = hn::GetLane(Exp2(hn::Sub(hn::Set(d, max[r]), shift[r])));
    sum[r] = sum[r] * rescale[r] + hn::GetLane(hn::SumOfLanes(d, total[r]));
    max[r] = hn::GetLane(top[r]);
  }
}

// acc[r, i] = acc[r, i] * rescale[r] + sum over t of weights[r][t] * v[t, i] for kV vectors of
// dimensions i, t ascending. A position outside a row's range is skipped for that row, not added with
// weight zero: 0 * NaN is NaN.
template <int kRows, uint32_t kV>
void Accumulate(const float* values, size_t padded, const float* weights, const float* rescale,
                const Range* ranges, float* acc, size_t acc_stride, Fetcher& next) {
  const DF d;
  Fetcher fetch = next;
  Range shared = ranges[0];
  for (int r = 1; r < kRows; ++r) {
    shared.begin = ranges[r].begin > shared.begin ? ranges[r].begin : shared.begin;
    shared.end = ranges[r].end < shared.end ? ranges[r].end : shared.end;
  }
  if (shared.end < shared.begin) shared.end = shared.begin;

  VF sum[kRows][kV];
  const auto add = [&](int r, uint32_t t) __attribute__((always_inline)) {
    const VF weight = hn::Set(d, weights[r * kKvTile + t]);
#pragma GCC unroll 16
    for (uint32_t v = 0; v < kV; ++v) {
      sum[r][v] = hn::MulAdd(weight, hn::LoadU(d, values + t * padded + v * kN), sum[r][v]);
    }
  };
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
    for (uint32_t v = 0; v < kV; ++v) {
      sum[r][v] = hn::Mul(hn::LoadU(d, acc + r * acc_stride + v * kN), hn::Set(d, rescale[r]));
    }
    const uint32_t until = shared.begin < ranges[r].end ? shared.begin : ranges[r].end;
    for (uint32_t t = ranges[r].begin; t < until; ++t) add(r, t);
  }
  const float* weight_at = weights + shared.begin;  // of the first row: the others' are at a fixed distance
  for (uint32_t t = shared.begin; t < shared.end; ++t, ++weight_at) {
    if (t % kFetchEvery == 0) fetch.Line();
    VF value[kV];
#pragma GCC unroll 16
    for (uint32_t v = 0; v < kV; ++v) value[v] = hn::LoadU(d, values + t * padded + v * kN);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const VF weight = hn::Set(d, weight_at[r * kKvTile]);
#pragma GCC unroll 16
      for (uint32_t v = 0; v < kV; ++v) sum[r][v] = hn::MulAdd(weight, value[v], sum[r][v]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    for (uint32_t t = shared.end > ranges[r].begin ? shared.end : ranges[r].begin; t < ranges[r].end; ++t) {
      add(r, t);
    }
#pragma GCC unroll 16
    for (uint32_t v = 0; v < kV; ++v) hn::StoreU(sum[r][v], d, acc + r * acc_stride + v * kN);
  }
  next = fetch;
}

// A tile's part of the rows of a span.
class TileRows {
 public:
  TileRows(const AttentionArgs& args, uint32_t tile) : a_(args), tile_(tile) {
    for (uint32_t r = 0; r < a_.rows; ++r) {
      const Range range = RangeOf(r);
      if (range.begin >= range.end) continue;
      if (seen_.end == 0 || range.begin < seen_.begin) seen_.begin = range.begin;
      if (range.end > seen_.end) seen_.end = range.end;
    }
  }

  // The positions that any row sees; 0, 0 for none.
  Range seen() const { return seen_; }

  Range RangeOf(uint32_t row) const {
    const auto clamp = [&](uint32_t t) {
      return t <= tile_ ? 0 : t - tile_ < kKvTile ? t - tile_ : kKvTile;
    };
    return {clamp(a_.begin[row]), clamp(a_.end[row])};
  }

  // f(count, row, ranges) for blocks of 1 to kQueryRows consecutive rows that see something.
  template <typename F>
  [[gnu::always_inline]] void ForBlocks(F&& f) const {
    Range ranges[kQueryRows];
    for (uint32_t r = 0; r < a_.rows;) {
      uint32_t count = 0;
      for (; count < kQueryRows && r + count < a_.rows; ++count) {
        ranges[count] = RangeOf(r + count);
        if (ranges[count].begin >= ranges[count].end) break;
      }
      switch (count) {
        case 0: ++r; break;
        case 1: f(std::integral_constant<int, 1>(), r, ranges); break;
        case 2: f(std::integral_constant<int, 2>(), r, ranges); break;
        case 3: f(std::integral_constant<int, 3>(), r, ranges); break;
        case 4: f(std::integral_constant<int, 4>(), r, ranges); break;
      }
      r += count;
    }
  }

 private:
  const AttentionArgs& a_;
  uint32_t tile_;
  Range seen_ = {0, 0};
};

// f(count, first) over the vectors first .. last, kMost at a time.
template <uint32_t kMost, typename F>
[[gnu::always_inline]] inline void ForVectors(uint32_t first, uint32_t last, F&& f) {
  for (; first + kMost <= last; first += kMost) f(std::integral_constant<uint32_t, kMost>(), first);
  switch (last - first) {
    case 1: return f(std::integral_constant<uint32_t, 1>(), first);
    case 2: return f(std::integral_constant<uint32_t, 2>(), first);
    case 3: return f(std::integral_constant<uint32_t, 3>(), first);
  }
}

inline void AttendTile(DType k_type, DType v_type, const AttentionArgs& a, uint32_t tile) {
  const TileRows rows(a, tile);
  const Range seen = rows.seen();
  if (seen.end == 0) return;
  const uint32_t padded = AttentionPadded(a.head_dim);
  float* decoded = a.scratch;
  float* scores = decoded + size_t{kKvTile} * padded;
  float* rescale = scores + size_t{a.rows} * kKvTile;
  float* some = rescale + (a.rows + 15) / 16 * 16;

  DecodeKeys(k_type, a.k + tile * a.k_stride, a.k_stride, seen.begin, seen.end, a.head_dim, some, decoded);
  const size_t panel = size_t{padded} * kN;
  // Behind the last tile lies the next span, which this worker attends next unless another has taken it.
  const size_t next = tile + kKvTile;
  Fetcher next_keys(a.k + next * a.k_stride, kKvTile * a.k_stride);
  Fetcher next_values(a.v + next * a.v_stride, kKvTile * a.v_stride);
  rows.ForBlocks([&](auto count, uint32_t r, const Range* ranges) {
    float* to = scores + size_t{r} * kKvTile;
    ForVectors<kVectors<count>>(seen.begin / kN, (seen.end + kN - 1) / kN, [&](auto vectors, uint32_t v) {
      Scores<count, vectors>(decoded + v * panel, panel, a.q + r * a.q_stride, a.q_stride, a.head_dim,
                             to + v * kN, next_keys);
    });
    Softmax<count>(to, ranges, a.state.max + r, a.state.sum + r, rescale + r);
  });

  DecodeValues(v_type, a.v + tile * a.v_stride, a.v_stride, seen.begin, seen.end, a.head_dim, decoded);
  rows.ForBlocks([&](auto count, uint32_t r, const Range* ranges) {
    float* acc = a.state.acc + r * a.state.acc_stride;
    ForVectors<kVectors<count>>(0, padded / kN, [&](auto vectors, uint32_t v) {
      Accumulate<count, vectors>(decoded + v * kN, padded, scores + size_t{r} * kKvTile, rescale + r, ranges,
                                 acc + v * kN, a.state.acc_stride, next_values);
    });
  });
}

inline void Attention(DType k_type, DType v_type, const AttentionArgs& a) {
  for (uint32_t r = 0; r < a.rows; ++r) {
    a.state.max[r] = -__builtin_inff();
    a.state.sum[r] = 0.0f;
    __builtin_memset(a.state.acc + r * a.state.acc_stride, 0, sizeof(float) * AttentionPadded(a.head_dim));
  }
  for (uint32_t tile = 0; tile < a.positions; tile += kKvTile) AttendTile(k_type, v_type, a, tile);
}

inline void MergeAttention(const AttentionState& earlier, const AttentionState& later, uint32_t rows,
                           uint32_t head_dim) {
  const DF d;
  for (uint32_t r = 0; r < rows; ++r) {
    // A row that saw nothing on one side keeps the other's bits.
    if (later.sum[r] == 0.0f) continue;
    const bool first = earlier.sum[r] == 0.0f;
    const float top = later.max[r] > earlier.max[r] ? later.max[r] : earlier.max[r];
    const VF shift = hn::Max(hn::Set(d, top), hn::Set(d, -__FLT_MAX__));
    const VF a = Exp2(hn::Sub(hn::Set(d, earlier.max[r]), shift));
    const VF b = first ? hn::Set(d, 1.0f) : Exp2(hn::Sub(hn::Set(d, later.max[r]), shift));
    float* to = earlier.acc + r * earlier.acc_stride;
    const float* from = later.acc + r * later.acc_stride;
    for (uint32_t i = 0; i < head_dim; i += kN) {
      const VF scaled = hn::Mul(hn::LoadU(d, from + i), b);
      hn::StoreU(first ? scaled : hn::MulAdd(hn::LoadU(d, to + i), a, scaled), d, to + i);
    }
    earlier.sum[r] = first ? later.sum[r]
                           : earlier.sum[r] * hn::GetLane(a) + later.sum[r] * hn::GetLane(b);
    earlier.max[r] = first ? later.max[r] : top;
  }
}

}  // namespace
}  // namespace edgewise::kernels
