// Products of quantised weights with many columns. Lanes are rows: a panel of kLanes rows is unpacked
// once, interleaved four codes at a time into the stack, and a tile of columns broadcasts its codes
// against it, so no sum across lanes is needed. Bound by the dot instruction. The arithmetic is that of
// plain_matmul.cc, bit for bit. Rows beyond the last are the last row again, computed and not stored.
#pragma once

#include "kernels/activation.h"
#include "kernels/x86/weight_rows-inl.h"

namespace edgewise::kernels {
namespace {

// Codes of one row in a panel: kLanes rows are 16 KiB, which with a tile's columns stay in L1.
constexpr uint32_t kPanelDepth = 16384 / kLanes;

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

}  // namespace
}  // namespace edgewise::kernels
