// Products with quantised weights. The arithmetic is that of plain_matmul.cc, bit for bit: exact
// integer dots per block, one chain of fused multiply-adds over the blocks of a row.
//
// Two ways to the same bits:
//   few columns   lanes run along k: blocks are unpacked in registers straight from the mapped
//                 weights and each block's dot is summed across its lanes. Bound by memory.
//   many columns  lanes are rows: a panel of kLanes rows is unpacked once, interleaved four codes
//                 at a time into the stack, and a tile of columns broadcasts its codes against it,
//                 so no sum across lanes is needed. Bound by the dot instruction.
// Rows beyond the last are the last row again, computed and not stored.
#pragma once

#include "kernels/activation.h"
#include "kernels/kernels.h"
#include "kernels/x86/unpack-inl.h"

namespace edgewise::kernels {
namespace {

// From this many columns on, interleaving a panel pays: it costs about as much as six columns of
// products (three on AVX2), a column without a panel about as much as four (two).
constexpr uint32_t kPanelColumns = kLanes == 16 ? 2 : 3;
// Codes of one row in a panel: kLanes rows are 16 KiB, which with a tile's columns stay in L1.
constexpr uint32_t kPanelDepth = 16384 / kLanes;

// Signed codes go to the unsigned operand of VNNI with 128 added.
template <typename Type>
constexpr int kZeroOf = Type::kSigned ? (kVnni ? 128 : 0) : Type::kZero;
template <typename Type>
constexpr bool kSignTrick = Type::kSigned && !kVnni;

template <typename Type>
[[gnu::always_inline]] inline __m256i Operand(const typename Type::Block& b) {
  const __m256i codes = Type::Codes(b);
  return Type::kSigned && kVnni ? _mm256_xor_si256(codes, _mm256_set1_epi8(-128)) : codes;
}

// The rows of a group, the last repeated beyond `count`.
template <typename Block, int kRows>
[[gnu::always_inline]] inline void RowPointers(const MatMulArgs& a, uint32_t first,
                                               const Block* rows[kRows]) {
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    const uint32_t i = first + r < a.rows ? first + r : a.rows - 1;
    rows[r] = reinterpret_cast<const Block*>(a.w + size_t{i} * a.w_stride);
  }
}

// The first `left` of a group's sums, or all of them.
template <int kRows>
[[gnu::always_inline]] inline void StoreRows(const float sums[kRows], uint32_t left, float* y) {
  if (left >= kRows) {
    __builtin_memcpy(y, sums, sizeof(float) * kRows);
    return;
  }
  for (uint32_t r = 0; r < left; ++r) y[r] = sums[r];
}

// The next group of rows, fetched while this one is computed: a group's rows are short streams that
// the hardware's prefetchers have hardly learnt when they end (6.5 to 12 GB/s without this).
template <typename Block, int kRows>
class NextRows {
 public:
  NextRows(const MatMulArgs& a, uint32_t first, bool wanted)
      : at_(reinterpret_cast<const char*>(a.w) + (size_t{first} + kRows) * a.w_stride),
        step_(wanted && first + kRows < a.rows ? kRows * sizeof(Block) : 0),
        fits_l1_(kRows * a.w_stride <= kL1Share) {}
  // Once per block of the group.
  [[gnu::always_inline]] void Fetch() {
    if (step_ == 0) return;
    for (size_t line = 0; line < kRows * sizeof(Block); line += 64) {
      if (fits_l1_) {
        _mm_prefetch(at_ + line, _MM_HINT_T0);
      } else {
        _mm_prefetch(at_ + line, _MM_HINT_T1);
      }
    }
    at_ += step_;
  }

 private:
  // Two groups and the activations share 32 KiB of L1; a longer group waits in L2 (Q8_0 rows of
  // 2176 bytes: 13.5 GB/s through L1, 20 through L2; Q4_0 rows of 1152 bytes: 14 and 12).
  static constexpr size_t kL1Share = 12 * 1024;
  const char* at_;
  size_t step_;
  bool fits_l1_;
};

template <typename Type>
void FewColumns32(const MatMulArgs& a) {
  using Block = typename Type::Block;
  constexpr int kRows = 8;
  const uint32_t blocks = a.k / kBlock32;
  for (uint32_t i = 0; i < a.rows; i += kRows) {
    const Block* rows[kRows];
    RowPointers<Block, kRows>(a, i, rows);
    for (uint32_t j = 0; j < a.m; ++j) {
      const ActivationQ8_0 x = ViewQ8_0(a.x + j * a.x_stride, a.k);
      NextRows<Block, kRows> next(a, i, j == 0);
      __m256 sum = _mm256_setzero_ps();
      for (uint32_t b = 0; b < blocks; ++b) {
        next.Fetch();
        const __m256i codes = Load256(x.codes + size_t{b} * kBlock32);
        __m256i dots[kRows];
        alignas(16) uint16_t d[kRows];
        [[maybe_unused]] alignas(16) uint16_t m[kRows];
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) {
          const Block& block = rows[r][b];
          const __m256i w = Operand<Type>(block);
          dots[r] = kSignTrick<Type> ? DotAdd(_mm256_setzero_si256(), _mm256_abs_epi8(w),
                                              _mm256_sign_epi8(codes, w))
                                     : DotAdd(_mm256_setzero_si256(), w, codes);
          d[r] = block.d;
          if constexpr (Type::kMin) m[r] = block.m;
        }
        __m256i dot = SumEach8(dots);
        if constexpr (kZeroOf<Type> != 0) {
          dot = _mm256_sub_epi32(dot, _mm256_set1_epi32(kZeroOf<Type> * x.sums[b]));
        }
        const __m256 scale = _mm256_set1_ps(x.scales[b]);
        const __m256 d8 = _mm256_cvtph_ps(Load128(d));
        sum = _mm256_fmadd_ps(_mm256_mul_ps(d8, scale), _mm256_cvtepi32_ps(dot), sum);
        if constexpr (Type::kMin) {
          const __m256 total = _mm256_set1_ps(static_cast<float>(x.sums[b]));
          sum = _mm256_fmadd_ps(_mm256_mul_ps(_mm256_cvtph_ps(Load128(m)), scale), total, sum);
        }
      }
      float sums[kRows];
      _mm256_storeu_ps(sums, sum);
      StoreRows<kRows>(sums, a.rows - i, a.y + j * a.y_stride + i);
    }
  }
}

// Scale 2 j in the lower and 2 j + 1 in the upper half, as 16-bit factors.
template <int kSub>
[[gnu::always_inline]] inline __m256i Factor(const int16_t scales[16], int j) {
  if constexpr (kSub == 32) return _mm256_set1_epi16(scales[2 * j]);
  return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_set1_epi16(scales[2 * j])),
                                 _mm_set1_epi16(scales[2 * j + 1]), 1);
}

// Here maddubs serves VNNI too: K codes have at most six bits, and the multiplication by the
// sub-block's scale then is the pair dot itself.
template <typename Type>
void FewColumnsK(const MatMulArgs& a) {
  using Block = typename Type::Block;
  constexpr int kRows = 4;
  static_assert(Type::kMaxCode * 127 * 2 < 32768);
  const uint32_t blocks = a.k / kBlockK;
  for (uint32_t i = 0; i < a.rows; i += kRows) {
    const Block* rows[kRows];
    RowPointers<Block, kRows>(a, i, rows);
    for (uint32_t j = 0; j < a.m; ++j) {
      const ActivationQ8_K x = ViewQ8_K(a.x + j * a.x_stride, a.k);
      NextRows<Block, kRows> next(a, i, j == 0);
      __m128 sum = _mm_setzero_ps();
      for (uint32_t b = 0; b < blocks; ++b) {
        next.Fetch();
        const int8_t* codes = x.codes + size_t{b} * kBlockK;
        const __m256i sums16 = Load256(x.sums + size_t{b} * 16);
        __m256i dots[kRows], offsets[kRows];
        alignas(16) uint16_t d[8] = {};
        [[maybe_unused]] alignas(16) uint16_t dmin[8] = {};
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) {
          const Block& block = rows[r][b];
          const __m256i scales = Type::Scales(block);
          alignas(32) int16_t scale[16];
          _mm256_store_si256(reinterpret_cast<__m256i*>(scale), scales);
          __m256i dot = _mm256_setzero_si256();
#pragma GCC unroll 8
          for (int s = 0; s < 8; ++s) {
            const __m256i pairs =
                _mm256_maddubs_epi16(Type::Codes(block, s), Load256(codes + 32 * s));
            dot = PairDotAdd(dot, pairs, Factor<Type::kSub>(scale, s));
          }
          offsets[r] = _mm256_madd_epi16(Type::Offsets(block, scales), sums16);
          dots[r] = Type::kMin ? dot : _mm256_sub_epi32(dot, offsets[r]);
          d[r] = block.d;
          if constexpr (Type::kMin) dmin[r] = block.dmin;
        }
        const __m128 scale = _mm_set1_ps(x.scales[b]);
        const __m128 d4 = _mm_cvtph_ps(Load128(d));
        sum = _mm_fmadd_ps(_mm_mul_ps(d4, scale), _mm_cvtepi32_ps(SumEach4(dots)), sum);
        if constexpr (Type::kMin) {
          const __m128 dmin4 = _mm_cvtph_ps(Load128(dmin));
          sum = _mm_fnmadd_ps(_mm_mul_ps(dmin4, scale), _mm_cvtepi32_ps(SumEach4(offsets)), sum);
        }
      }
      float sums[kRows];
      _mm_storeu_ps(sums, sum);
      StoreRows<kRows>(sums, a.rows - i, a.y + j * a.y_stride + i);
    }
  }
}

// kLanes rows, kPanelDepth codes of each.
struct Panel32 {
  static constexpr uint32_t kBlocks = kPanelDepth / kBlock32;
  alignas(64) int8_t codes[kBlocks][kBlock32 * kLanes];
  alignas(64) float d[kBlocks][kLanes];
  alignas(64) float m[kBlocks][kLanes];
};

template <typename Type>
void Fill(Panel32& panel, const typename Type::Block* const rows[kLanes], uint32_t first,
          uint32_t blocks, NextRows<typename Type::Block, kLanes>& next) {
  for (uint32_t b = 0; b < blocks; ++b) {
    next.Fetch();
    __m256i codes[kLanes];
    alignas(32) uint16_t d[kLanes];
    [[maybe_unused]] alignas(32) uint16_t m[kLanes];
#pragma GCC unroll 16
    for (int r = 0; r < kLanes; ++r) {
      const auto& block = rows[r][first + b];
      codes[r] = Operand<Type>(block);
      d[r] = block.d;
      if constexpr (Type::kMin) m[r] = block.m;
    }
    Interleave(codes, panel.codes[b]);
    StoreFloats(panel.d[b], LoadHalves(d));
    if constexpr (Type::kMin) StoreFloats(panel.m[b], LoadHalves(m));
  }
}

// Brings kColumns columns of y up to date with `blocks` blocks of the panel.
//   y[c]  kLanes floats: the chain so far, zero at the first panel of a row
template <int kColumns, int kZero, int kMaxCode, bool kSigned, bool kMin>
void Tile32(const Panel32& panel, uint32_t blocks, const ActivationQ8_0 x[kColumns],
            float* const y[kColumns]) {
  Floats sum[kColumns];
#pragma GCC unroll 8
  for (int c = 0; c < kColumns; ++c) sum[c] = LoadFloats(y[c]);
  for (uint32_t b = 0; b < blocks; ++b) {
    const int8_t* codes[kColumns];
    Ints dot[kColumns];
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) {
      codes[c] = x[c].codes + size_t{b} * kBlock32;
      dot[c] = ZeroInts();
      // -kZero * sum as a pair dot: the sum fits the lower 16 bits, and the upper factor is zero.
      if constexpr (kZero != 0) {
        dot[c] = PairDotAdd(dot[c], SetInts(-kZero & 0xffff), Broadcast(x[c].sums + b));
      }
    }
    DotColumns<kColumns, 8, kMaxCode, kSigned, false>(panel.codes[b], codes, ZeroInts(), dot);
    const Floats d = LoadFloats(panel.d[b]);
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) {
      const Floats scale = SetFloats(x[c].scales[b]);
      sum[c] = MulAdd(Mul(d, scale), ToFloats(dot[c]), sum[c]);
      if constexpr (kMin) {
        const Floats total = SetFloats(static_cast<float>(x[c].sums[b]));
        sum[c] = MulAdd(Mul(LoadFloats(panel.m[b]), scale), total, sum[c]);
      }
    }
  }
#pragma GCC unroll 8
  for (int c = 0; c < kColumns; ++c) StoreFloats(y[c], sum[c]);
}

struct PanelK {
  static constexpr uint32_t kBlocks = kPanelDepth / kBlockK;
  alignas(64) int8_t codes[kBlocks][kBlockK * kLanes];
  alignas(64) int32_t scales[kBlocks][16][kLanes];  // as DotColumns wants them
  alignas(64) int32_t offsets[kBlocks][8][kLanes];  // two 16-bit factors in each
  alignas(64) float d[kBlocks][kLanes];
  alignas(64) float dmin[kBlocks][kLanes];
};

template <typename Type>
void Fill(PanelK& panel, const typename Type::Block* const rows[kLanes], uint32_t first,
          uint32_t blocks, NextRows<typename Type::Block, kLanes>& next) {
  for (uint32_t b = 0; b < blocks; ++b) {
    next.Fetch();
    __m256i lanes[kLanes];
    for (int j = 0; j < 8; ++j) {
#pragma GCC unroll 16
      for (int r = 0; r < kLanes; ++r) lanes[r] = Type::Codes(rows[r][first + b], j);
      Interleave(lanes, panel.codes[b] + j * kBlock32 * kLanes);
    }
    alignas(32) uint16_t d[kLanes];
    [[maybe_unused]] alignas(32) uint16_t dmin[kLanes];
    __m256i scales[kLanes];
    for (int r = 0; r < kLanes; ++r) {
      const auto& block = rows[r][first + b];
      scales[r] = Type::Scales(block);
      lanes[r] = Type::Offsets(block, scales[r]);
      d[r] = block.d;
      if constexpr (Type::kMin) dmin[r] = block.dmin;
    }
    Interleave(lanes, reinterpret_cast<int8_t*>(panel.offsets[b]));
    alignas(64) int8_t pairs[8][4 * kLanes];
    Interleave(scales, pairs[0]);
    for (int p = 0; p < 8; ++p) {
      const Ints pair = LoadInts(pairs[p]);
      const Ints even = ShiftRight<16>(ShiftLeft<16>(pair)), odd = ShiftRight<16>(pair);
      if constexpr (Type::kSub == 32) {
        StoreInts(panel.scales[b][p], kVnni ? odd : pair);
      } else if constexpr (kVnni) {
        StoreInts(panel.scales[b][2 * p], even);
        StoreInts(panel.scales[b][2 * p + 1], odd);
      } else {
        const Ints low = SetInts(0xffff);
        StoreInts(panel.scales[b][2 * p], Add(And(pair, low), ShiftLeft<16>(pair)));
        StoreInts(panel.scales[b][2 * p + 1], Add(And(odd, low), ShiftLeft<16>(odd)));
      }
    }
    StoreFloats(panel.d[b], LoadHalves(d));
    if constexpr (Type::kMin) StoreFloats(panel.dmin[b], LoadHalves(dmin));
  }
}

template <int kColumns, int kSub, int kMaxCode, bool kMin>
void TileK(const PanelK& panel, uint32_t blocks, const ActivationQ8_K x[kColumns],
           float* const y[kColumns]) {
  constexpr int kGroups = kSub / 4;
  Floats sum[kColumns];
#pragma GCC unroll 8
  for (int c = 0; c < kColumns; ++c) sum[c] = LoadFloats(y[c]);
  for (uint32_t b = 0; b < blocks; ++b) {
    const int8_t* codes[kColumns];
    Ints dot[kColumns], offset[kColumns];
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) {
      codes[c] = x[c].codes + size_t{b} * kBlockK;
      dot[c] = ZeroInts();
    }
    for (int s = 0; s < static_cast<int>(kBlockK) / kSub; ++s) {
      DotColumns<kColumns, kGroups, kMaxCode, false, true>(
          panel.codes[b] + s * kSub * kLanes, codes, LoadInts(panel.scales[b][s]), dot);
#pragma GCC unroll 8
      for (int c = 0; c < kColumns; ++c) codes[c] += kSub;
    }
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) offset[c] = ZeroInts();
    for (int p = 0; p < 8; ++p) {
      const Ints factors = LoadInts(panel.offsets[b][p]);
#pragma GCC unroll 8
      for (int c = 0; c < kColumns; ++c) {
        offset[c] = PairDotAdd(offset[c], factors, Broadcast(x[c].sums + size_t{b} * 16 + 2 * p));
      }
    }
    const Floats d = LoadFloats(panel.d[b]);
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) {
      const Floats scale = SetFloats(x[c].scales[b]);
      if constexpr (!kMin) dot[c] = Sub(dot[c], offset[c]);
      sum[c] = MulAdd(Mul(d, scale), ToFloats(dot[c]), sum[c]);
      if constexpr (kMin) {
        const Floats dmin = LoadFloats(panel.dmin[b]);
        sum[c] = NegMulAdd(Mul(dmin, scale), ToFloats(offset[c]), sum[c]);
      }
    }
  }
#pragma GCC unroll 8
  for (int c = 0; c < kColumns; ++c) StoreFloats(y[c], sum[c]);
}

// Moves a view of a whole row to its block `b`.
[[gnu::always_inline]] inline ActivationQ8_0 At(ActivationQ8_0 x, uint32_t b) {
  return {x.codes + size_t{b} * kBlock32, x.scales + b, x.sums + b};
}
[[gnu::always_inline]] inline ActivationQ8_K At(ActivationQ8_K x, uint32_t b) {
  return {x.codes + size_t{b} * kBlockK, x.scales + b, x.sums + size_t{b} * 16};
}

// One tile of 1 .. kTileColumns columns, by a body compiled for that number.
template <typename Shape>
void RunTile(uint32_t columns, const typename Shape::Panel& panel, uint32_t blocks,
             const typename Shape::View* x, float* const* y) {
  switch (columns) {
    case 1: return Shape::template Run<1>(panel, blocks, x, y);
    case 2: return Shape::template Run<2>(panel, blocks, x, y);
    case 3: return Shape::template Run<3>(panel, blocks, x, y);
    case 4: return Shape::template Run<4>(panel, blocks, x, y);
#if defined(__AVX512VNNI__)
    case 5: return Shape::template Run<5>(panel, blocks, x, y);
    case 6: return Shape::template Run<6>(panel, blocks, x, y);
    case 7: return Shape::template Run<7>(panel, blocks, x, y);
    case 8: return Shape::template Run<8>(panel, blocks, x, y);
#endif
  }
}

// The loop over panels and tiles, for either shape of block.
template <typename Shape>
void ManyColumns(const MatMulArgs& a) {
  using Block = typename Shape::Block;
  using Panel = typename Shape::Panel;
  Panel panel;
  const uint32_t blocks = a.k / Shape::kBlockSize;
  // Tiles as even as can be: 9 columns are 5 and 4, not 8 and 1.
  const uint32_t tiles = (a.m + kTileColumns - 1) / kTileColumns;
  for (uint32_t i = 0; i < a.rows; i += kLanes) {
    const Block* rows[kLanes];
    RowPointers<Block, kLanes>(a, i, rows);
    NextRows<Block, kLanes> next(a, i, true);
    const bool whole = a.rows - i >= kLanes;
    for (uint32_t b = 0; b < blocks; b += Panel::kBlocks) {
      const uint32_t count = blocks - b < Panel::kBlocks ? blocks - b : Panel::kBlocks;
      Fill<typename Shape::Type>(panel, rows, b, count, next);
      for (uint32_t t = 0; t < tiles; ++t) {
        const uint32_t j = static_cast<uint32_t>(uint64_t{a.m} * t / tiles);
        const uint32_t columns = static_cast<uint32_t>(uint64_t{a.m} * (t + 1) / tiles) - j;
        typename Shape::View x[kTileColumns];
        float* y[kTileColumns];
        alignas(64) float partial[kTileColumns][kLanes];
        for (uint32_t c = 0; c < columns; ++c) {
          x[c] = At(Shape::ViewRow(a.x + (j + c) * a.x_stride, a.k), b);
          float* to = a.y + (j + c) * a.y_stride + i;
          y[c] = whole ? to : partial[c];
          if (b == 0) {
            StoreFloats(y[c], ZeroFloats());
          } else if (!whole) {
            for (uint32_t r = 0; r < a.rows - i; ++r) partial[c][r] = to[r];
          }
        }
        RunTile<Shape>(columns, panel, count, x, y);
        for (uint32_t c = 0; !whole && c < columns; ++c) {
          float* to = a.y + (j + c) * a.y_stride + i;
          for (uint32_t r = 0; r < a.rows - i; ++r) to[r] = partial[c][r];
        }
      }
    }
  }
}

template <typename T>
struct Shape32 {
  using Type = T;
  using Block = typename T::Block;
  using Panel = Panel32;
  using View = ActivationQ8_0;
  static constexpr uint32_t kBlockSize = kBlock32;
  static View ViewRow(const std::byte* row, uint32_t k) { return ViewQ8_0(row, k); }
  template <int kColumns>
  static void Run(const Panel& panel, uint32_t blocks, const View* x, float* const* y) {
    Tile32<kColumns, kZeroOf<T>, T::kMaxCode, kSignTrick<T>, T::kMin>(panel, blocks, x, y);
  }
};

template <typename T>
struct ShapeK {
  using Type = T;
  using Block = typename T::Block;
  using Panel = PanelK;
  using View = ActivationQ8_K;
  static constexpr uint32_t kBlockSize = kBlockK;
  static View ViewRow(const std::byte* row, uint32_t k) { return ViewQ8_K(row, k); }
  template <int kColumns>
  static void Run(const Panel& panel, uint32_t blocks, const View* x, float* const* y) {
    TileK<kColumns, T::kSub, T::kMaxCode, T::kMin>(panel, blocks, x, y);
  }
};

template <typename Type>
void MatMul32(const MatMulArgs& a) {
  if (a.m < kPanelColumns) return FewColumns32<Type>(a);
  ManyColumns<Shape32<Type>>(a);
}

template <typename Type>
void MatMulK(const MatMulArgs& a) {
  if (a.m < kPanelColumns) return FewColumnsK<Type>(a);
  ManyColumns<ShapeK<Type>>(a);
}

// nullptr for the float types.
inline MatMulFn QuantMatMulFor(DType weight) {
  switch (weight) {
    case DType::kQ4_0: return MatMul32<TypeQ4_0>;
    case DType::kQ4_1: return MatMul32<TypeQ4_1>;
    case DType::kQ5_0: return MatMul32<TypeQ5_0>;
    case DType::kQ5_1: return MatMul32<TypeQ5_1>;
    case DType::kQ8_0: return MatMul32<TypeQ8_0>;
    case DType::kIQ4_NL: return MatMul32<TypeIQ4_NL>;
    case DType::kQ2_K: return MatMulK<TypeQ2_K>;
    case DType::kQ3_K: return MatMulK<TypeQ3_K>;
    case DType::kQ4_K: return MatMulK<TypeQ4_K>;
    case DType::kQ5_K: return MatMulK<TypeQ5_K>;
    case DType::kQ6_K: return MatMulK<TypeQ6_K>;
    default: return nullptr;
  }
}

}  // namespace
}  // namespace edgewise::kernels
