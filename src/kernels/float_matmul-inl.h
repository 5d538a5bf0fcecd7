// Products with F32, F16 and BF16 weights.
//
// One order of summation for every shape. A row is cut into parts of kPart weights; within a part,
// lane l of one vector accumulates the products l, l + kN, l + 2 kN, ...; the lanes of a part are
// added as SumsOf4 states, and the parts are added up in order.
//
// One and few columns multiply the rows as they lie in memory, converted on their way into registers.
// For many columns a panel of rows is converted once for kBlockColumns of them.
#pragma once

#include <utility>

#include "kernels/kernels.h"
#include "kernels/simd-inl.h"
#include "quant/half.h"

namespace edgewise::kernels {
namespace {

// A tile's accumulators, one vector of each column and one of a row fit the registers: 24 + 6 + 1 of
// 32, 12 + 3 + 1 of 16. Lanes lie along k, so 10 loads feed 24 multiply-adds, or 7 feed 12.
constexpr bool kManyRegisters = HWY_ARCH_ARM_A64 || (HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3);
constexpr int kFloatRows = 4;
constexpr uint32_t kFloatColumns = kManyRegisters ? 6 : 3;

// A panel is 24 KiB of floats and stays in L1 beside a tile's columns. Adding up the lanes costs a tile
// of 4 x 3 some 30 cycles for each part, 8% at 512 weights; parts of 1024 and panels of 8 rows gained
// nothing at 256 bits and lost 5% at 512, where they leave no room in L1.
constexpr uint32_t kPart = 512;
constexpr uint32_t kFloatPanelRows = 12;
static_assert(kFloatColumns * kFloatRows % kFloatPanelRows == 0);  // a group's share of the columns to fetch
// Columns whose parts stay in L2 (256 KiB) while rows pass over them. Half as many: the same speed;
// twice as many: 5% slower with 2 MiB of L2.
constexpr uint32_t kBlockColumns = 126;

struct WeightF32 {
  static constexpr size_t kBytes = 4;
  [[gnu::always_inline]] static VF Load(const std::byte* row, size_t i) {
    return hn::LoadU(DF(), reinterpret_cast<const float*>(row) + i);
  }
  static float Get(const std::byte* row, size_t i) {
    return reinterpret_cast<const float*>(row)[i];
  }
};

struct WeightF16 {
  static constexpr size_t kBytes = 2;
  [[gnu::always_inline]] static VF Load(const std::byte* row, size_t i) {
    return LoadHalves(DF(), row + i * kBytes);
  }
  static float Get(const std::byte* row, size_t i) {
    return F16ToF32(reinterpret_cast<const uint16_t*>(row)[i]);
  }
};

struct WeightBF16 {
  static constexpr size_t kBytes = 2;
  [[gnu::always_inline]] static VF Load(const std::byte* row, size_t i) {
    const hn::Rebind<hwy::bfloat16_t, DF> half;
    return hn::PromoteTo(DF(), hn::LoadU(half, reinterpret_cast<const hwy::bfloat16_t*>(row) + i));
  }
  static float Get(const std::byte* row, size_t i) {
    return Bf16ToF32(reinterpret_cast<const uint16_t*>(row)[i]);
  }
};

// The last n < kN weights of a row, then zeros.
template <typename Weight>
[[gnu::always_inline]] inline VF LoadLast(const std::byte* row, size_t i, size_t n) {
  if constexpr (Weight::kBytes == sizeof(float)) {
    return LoadFirst(reinterpret_cast<const float*>(row) + i, n);
  } else {
    float last[kN] = {};
    for (size_t l = 0; l < n; ++l) last[l] = Weight::Get(row, i + l);
    return hn::LoadU(DF(), last);
  }
}

// ---- sums of lanes ----

using D4 = hn::FixedTag<float, 4>;
using V4 = hn::Vec<D4>;

template <size_t kLanes, class V>
[[gnu::always_inline]] inline V4 SumOfBlocks(V v) {
  if constexpr (kLanes == 4) {
    return v;
  } else {
    const hn::FixedTag<float, kLanes / 2> half;
    return SumOfBlocks<kLanes / 2>(hn::Add(hn::LowerHalf(half, v), hn::UpperHalf(half, v)));
  }
}

// The sum of each vector's lanes. In a block of four lanes (l0 + l2) + (l1 + l3), then the upper half
// of the blocks onto the lower: 11 instructions for four sums of 8 lanes, where one alone takes 6.
[[gnu::always_inline]] inline V4 SumsOf4(VF a, VF b, VF c, VF d) {
  const DF df;
  const VF ac = hn::Add(hn::InterleaveLower(df, a, c), hn::InterleaveUpper(df, a, c));
  const VF bd = hn::Add(hn::InterleaveLower(df, b, d), hn::InterleaveUpper(df, b, d));
  return SumOfBlocks<kN>(hn::Add(hn::InterleaveLower(df, ac, bd), hn::InterleaveUpper(df, ac, bd)));
}

// ---- a tile: one part of kRows rows times kColumns columns ----

#define EDGEWISE_INLINE __attribute__((always_inline))

// f<0>(), f<1>(), ... f<kCount - 1>(). With loops instead, even unrolled ones, g++ 12 takes arrays of
// vectors for memory and reads or writes them in each step: 91 GFLOP/s where this gives 102.
template <int kCount, typename F>
[[gnu::always_inline]] inline void Each(const F& f) {
  [&]<int... i>(std::integer_sequence<int, i...>) EDGEWISE_INLINE {
    (f.template operator()<i>(), ...);
  }(std::make_integer_sequence<int, kCount>());
}

// While a part is multiplied, kRows rows of what comes later are fetched, line by line.
template <int kRows>
struct FetchRows {
  const std::byte* at = nullptr;
  size_t stride = 0;
  [[gnu::always_inline]] void Line(size_t offset) const {
    if (offset % 64 != 0) return;
    Each<kRows>([&]<int r>() EDGEWISE_INLINE { __builtin_prefetch(at + r * stride + offset); });
  }
};

// sum[c * kRows + r] = the lanes of row r times column c, of n <= kPart weights. The loop is not
// unrolled: twice or four times ran out of sixteen registers.
template <typename Weight, int kRows, int kColumns, int kFetched>
[[gnu::always_inline]] inline void MultiplyPart(const std::byte* const rows[kRows],
                                                const float* const x[kColumns], size_t n,
                                                const FetchRows<kFetched>& fetch,
                                                VF sum[kRows * kColumns]) {
  const DF d;
  Each<kRows * kColumns>([&]<int s>() EDGEWISE_INLINE { sum[s] = hn::Zero(d); });
  size_t i = 0;
  for (; i + kN <= n; i += kN) {
    fetch.Line(i * Weight::kBytes);
    VF column[kColumns];
    Each<kColumns>([&]<int c>() EDGEWISE_INLINE { column[c] = hn::LoadU(d, x[c] + i); });
    Each<kRows>([&]<int r>() EDGEWISE_INLINE {
      const VF w = Weight::Load(rows[r], i);
      Each<kColumns>([&]<int c>() EDGEWISE_INLINE {
        sum[c * kRows + r] = hn::MulAdd(w, column[c], sum[c * kRows + r]);
      });
    });
  }
  if (i == n) return;
  Each<kRows>([&]<int r>() EDGEWISE_INLINE {
    const VF w = LoadLast<Weight>(rows[r], i, n - i);
    Each<kColumns>([&]<int c>() EDGEWISE_INLINE {
      sum[c * kRows + r] = hn::MulAdd(w, LoadFirst(x[c] + i, n - i), sum[c * kRows + r]);
    });
  });
}

// Adds a part's sums to y, of which the first `left` rows are wanted.
template <int kColumns>
[[gnu::always_inline]] inline void AddToOutputs(const VF sum[kFloatRows * kColumns], bool first,
                                                uint32_t left, float* y, size_t y_stride) {
  const D4 d4;
  Each<kColumns>([&]<int c>() EDGEWISE_INLINE {
    const V4 part = SumsOf4(sum[4 * c], sum[4 * c + 1], sum[4 * c + 2], sum[4 * c + 3]);
    float* out = y + c * y_stride;
    if (left >= kFloatRows) {
      hn::StoreU(hn::Add(first ? hn::Zero(d4) : hn::LoadU(d4, out), part), d4, out);
    } else {
      alignas(16) float parts[kFloatRows];
      hn::Store(part, d4, parts);
      for (uint32_t r = 0; r < left; ++r) out[r] = (first ? 0.0f : out[r]) + parts[r];
    }
  });
}

// f<columns>() for the number of columns of a tile.
template <int kMost = kFloatColumns, typename F>
[[gnu::always_inline]] inline void WithColumns(uint32_t columns, const F& f) {
  if constexpr (kMost > 0) {
    if (columns == kMost) return f.template operator()<kMost>();
    WithColumns<kMost - 1>(columns, f);
  }
}

template <int kColumns>
[[gnu::always_inline]] inline void ColumnPointers(const MatMulArgs& a, uint32_t j, size_t part,
                                                  const float* x[kColumns]) {
  Each<kColumns>([&]<int c>() EDGEWISE_INLINE {
    x[c] = reinterpret_cast<const float*>(a.x + (size_t{j} + c) * a.x_stride) + part;
  });
}

// ---- one and few columns ----

// Each of the kFloatRows rows multiplied together belongs to a long stream of its own: a share of the
// piece's rows, one after the other in memory. Every line is asked for ahead of its use, across the ends of
// rows: twice as far as in the quantised kernels, whose streams are at least twice as many (F16, 2 threads:
// 512 bytes 11.5 tokens/s, 1024 12.8, 4096 12.6), and four times for one column: over layers from a mapped
// file 512, 1024, 2048 and 4096 bytes reach 85, 92, 96 and 96% of a plain loop's speed with 2 threads, 85,
// 88, 97 and 93% with 1 (medians of 30 and 15 turns).

// One part of rows i, i + share, i + 2 share, ... times columns [j, j + kColumns); a row beyond the last
// is the last one again.
template <typename Weight, int kColumns, int kFetched>
[[gnu::always_inline]] inline void MultiplyRows(const MatMulArgs& a, uint32_t i, uint32_t share,
                                                uint32_t j, size_t part) {
  const std::byte* rows[kFloatRows];
  Each<kFloatRows>([&]<int r>() EDGEWISE_INLINE {
    const uint32_t row = i + r * share < a.rows ? i + r * share : a.rows - 1;
    rows[r] = a.w + row * a.w_stride + part * Weight::kBytes;
  });
  const float* x[kColumns];
  ColumnPointers<kColumns>(a, j, part, x);
  const size_t n = a.k - part < kPart ? a.k - part : kPart;
  VF sum[kFloatRows * kColumns];
  const size_t ahead = (kColumns == 1 ? 4 : 2) * a.prefetch_bytes;
  const FetchRows<kFetched> fetch{rows[0] + ahead, share * a.w_stride};
  MultiplyPart<Weight, kFloatRows, kColumns>(rows, x, n, fetch, sum);
  for (int c = 0; c < kColumns; ++c) {
    alignas(16) float parts[kFloatRows];
    const VF* s = sum + c * kFloatRows;
    hn::Store(SumsOf4(s[0], s[1], s[2], s[3]), D4(), parts);
    float* out = a.y + (j + c) * a.y_stride + i;
    for (uint32_t r = 0; r < kFloatRows && i + r * share < a.rows; ++r) {
      out[r * share] = (part == 0 ? 0.0f : out[r * share]) + parts[r];
    }
  }
}

// Whole rows, though the columns then come from L2 when they are many: a part of all rows first, for
// columns in L1, reads memory in pieces too short (four columns 18 GB/s, not 20). Several tiles convert
// the same weights again, which then lie in L1: cheaper than a panel.
template <typename Weight, uint32_t kTiles>
[[gnu::always_inline]] inline void FloatTiles(const MatMulArgs& a) {
  const uint32_t share = (a.rows + kFloatRows - 1) / kFloatRows;
  for (uint32_t i = 0; i < share; ++i) {
    for (size_t part = 0; part < a.k; part += kPart) {
      Each<kTiles>([&]<int t>() EDGEWISE_INLINE {
        const uint32_t j = a.m * t / kTiles;
        WithColumns(a.m * (t + 1) / kTiles - j, [&]<int kColumns>() EDGEWISE_INLINE {
          MultiplyRows<Weight, kColumns, t == 0 ? kFloatRows : 0>(a, i, share, j, part);
        });
      });
    }
  }
}

template <typename Weight>
void FloatOneColumn(const MatMulArgs& a) {
  const uint32_t share = (a.rows + kFloatRows - 1) / kFloatRows;
  for (uint32_t i = 0; i < share; ++i) {
    for (size_t part = 0; part < a.k; part += kPart) {
      MultiplyRows<Weight, 1, kFloatRows>(a, i, share, 0, part);
    }
  }
}

template <typename Weight>
void FloatFewColumns(const MatMulArgs& a) {
  static_assert(kFewColumns <= 3 * kFloatColumns);
  switch ((a.m + kFloatColumns - 1) / kFloatColumns) {
    case 1: return FloatTiles<Weight, 1>(a);
    case 2: return FloatTiles<Weight, 2>(a);
    case 3: return FloatTiles<Weight, 3>(a);
  }
}

// ---- many columns ----

// n weights of a row, as floats.
template <typename Weight>
[[gnu::always_inline]] inline void Convert(const std::byte* row, size_t n, float* out) {
  size_t i = 0;
  for (; i + kN <= n; i += kN) hn::StoreU(Weight::Load(row, i), DF(), out + i);
  for (; i < n; ++i) out[i] = Weight::Get(row, i);
}

// A part of `count` rows from `first` on, in floats, rows kPart apart.
struct FloatPanel {
  const float* floats;
  uint32_t first, count;
  size_t part, n;
};

// Columns from j on; those from `next` on are fetched meanwhile, a share by each group of rows (5 to 8%, and
// then 95% of what two multiply-adds in a cycle give). Not inlined: it is the same for all weight types.
template <int kColumns>
[[gnu::noinline]] void MultiplyFloatPanel(const MatMulArgs& a, const FloatPanel& p, uint32_t j,
                                          uint32_t next) {
  constexpr int kShare = kFloatColumns * kFloatRows / kFloatPanelRows;
  const std::byte* ahead = a.x + next * a.x_stride + p.part * sizeof(float);
  const float* x[kColumns];
  ColumnPointers<kColumns>(a, j, p.part, x);
  for (uint32_t g = 0; g < p.count; g += kFloatRows) {
    const std::byte* rows[kFloatRows];
    Each<kFloatRows>([&]<int r>() EDGEWISE_INLINE {
      const uint32_t row = g + r < p.count ? g + r : g;
      rows[r] = reinterpret_cast<const std::byte*>(p.floats + row * kPart);
    });
    VF sum[kFloatRows * kColumns];
    const FetchRows<kShare> fetch{ahead + g / kFloatRows * kShare * a.x_stride, a.x_stride};
    MultiplyPart<WeightF32, kFloatRows, kColumns>(rows, x, p.n, fetch, sum);
    AddToOutputs<kColumns>(sum, p.part == 0, p.count - g, a.y + j * a.y_stride + p.first + g,
                           a.y_stride);
  }
}

template <typename Weight>
void FloatManyColumns(const MatMulArgs& a) {
  alignas(64) float floats[kFloatPanelRows * kPart];
  for (uint32_t begin = 0; begin < a.m; begin += kBlockColumns) {
    const uint32_t columns = a.m - begin < kBlockColumns ? a.m - begin : kBlockColumns;
    const uint32_t tiles = (columns + kFloatColumns - 1) / kFloatColumns;
    for (size_t part = 0; part < a.k; part += kPart) {
      for (uint32_t i = 0; i < a.rows; i += kFloatPanelRows) {
        const FloatPanel panel = {.floats = floats,
                             .first = i,
                             .count = a.rows - i < kFloatPanelRows ? a.rows - i : kFloatPanelRows,
                             .part = part,
                             .n = a.k - part < kPart ? a.k - part : kPart};
        for (uint32_t r = 0; r < panel.count; ++r) {
          Convert<Weight>(a.w + size_t{i + r} * a.w_stride + part * Weight::kBytes, panel.n,
                          floats + r * kPart);
        }
        for (uint32_t t = 0; t < tiles; ++t) {
          const uint32_t j = columns * t / tiles, end = columns * (t + 1) / tiles;
          const uint32_t next = begin + (end < columns ? end : 0);
          WithColumns(end - j, [&]<int kColumns>() EDGEWISE_INLINE {
            MultiplyFloatPanel<kColumns>(a, panel, begin + j, next);
          });
        }
      }
    }
  }
}

#undef EDGEWISE_INLINE

template <typename Weight>
MatMulKernel FloatKernel(MatMulShape shape) {
  switch (shape) {
    case MatMulShape::kOne: return {FloatOneColumn<Weight>, "4 rows at once, lanes along k"};
    case MatMulShape::kFew:
      return {FloatFewColumns<Weight>, kManyRegisters ? "4 rows at once times up to 6 columns"
                                                 : "4 rows at once times up to 3 columns"};
    case MatMulShape::kMany: break;
  }
  return {FloatManyColumns<Weight>, kManyRegisters ? "panels in floats, tiles of 4 rows x 6 columns"
                                              : "panels in floats, tiles of 4 rows x 3 columns"};
}

// No kernel for the quantised types.
inline MatMulKernel FloatMatMulFor(DType weight, MatMulShape shape) {
  switch (weight) {
    case DType::kF32: return FloatKernel<WeightF32>(shape);
    case DType::kF16: return FloatKernel<WeightF16>(shape);
    case DType::kBF16: return FloatKernel<WeightBF16>(shape);
    default: return {};
  }
}

}  // namespace
}  // namespace edgewise::kernels
