// Products of quantised weights with many columns: a panel of rows is unpacked once and interleaved into
// the stack, in tiles whose products with some columns fill the registers, so that no sum across lanes
// is needed. Bound by the dot instruction. The arithmetic is that of plain_matmul.cc, bit for bit. Rows
// beyond the last are the last row again, computed and not stored; so are columns.
//
// A vector of sums holds kVectorRows rows of kVectorColumns columns; a tile is kTileVectors of them
// down and 1 .. kTileColumnVectors across.
#pragma once

#include <utility>

#include "kernels/activation.h"
#include "kernels/v128/weight_rows-inl.h"

namespace edgewise::kernels::v128 {
namespace {

constexpr int kTileRows = kTileVectors * kVectorRows;
constexpr int kTileColumns = kTileColumnVectors * kVectorColumns;
constexpr int kTileLanes = kTileVectors * 4;
constexpr int kPanelRows = kTileRows * kPanelTiles;

// Writes codes 16 j .. 16 j + 15, for every j, of a tile's blocks to `out`.
template <typename Type, int... j>
[[gnu::always_inline]] inline void FillCodes(const typename Type::Block* const blocks[kTileRows], int8_t* out,
                                             std::integer_sequence<int, j...>) {
  const auto fill = [&](int at, const Bytes four[4], int q) __attribute__((always_inline)) {
    Interleave(four, out + at * 16 * kTileRows + q * 64 / kVectorRows, 16 * kTileVectors);
  };
#pragma GCC unroll 2
  for (int q = 0; q < kTileRows / 4; ++q) {
    const auto* const* block = blocks + 4 * q;
    const auto four = [&](auto index) __attribute__((always_inline)) {
      constexpr int kAt = decltype(index)::value;
      const Bytes codes[4] = {Operand<Type, kAt>(*block[0]), Operand<Type, kAt>(*block[1]),
                              Operand<Type, kAt>(*block[2]), Operand<Type, kAt>(*block[3])};
      fill(kAt, codes, q);
    };
    (four(std::integral_constant<int, j>()), ...);
  }
}

// A tile's rows, kPanelDepth codes of each.
template <typename T>
struct Tile32 {
  using Type = T;
  using Block = typename T::Block;
  using View = ActivationQ8_0;
  using Columns = Columns32;
  static constexpr uint32_t kBlockSize = kBlock32;
  static constexpr uint32_t kBlocks = kPanelDepth / kBlockSize;
  alignas(16) int8_t codes[kBlocks][kBlockSize * kTileRows];
  alignas(16) float d[kBlocks][kTileLanes];
  alignas(16) float m[T::kMin ? kBlocks : 1][kTileLanes];

  static View ViewRow(const std::byte* row, uint32_t k, uint32_t first) {
    const View x = ViewQ8_0(row, k);
    return {x.codes + size_t{first} * kBlock32, x.scales + first, x.sums + first};
  }

  void Fill(uint32_t b, const Block* const blocks[kTileRows]) {
    FillCodes<T>(blocks, codes[b], std::make_integer_sequence<int, 2>());
#pragma GCC unroll 2
    for (int q = 0; q < kTileRows / 4; ++q) {
      const Block* const* four = blocks + 4 * q;
      const uint16_t scales[4] = {four[0]->d, four[1]->d, four[2]->d, four[3]->d};
      StoreLanes(d[b], q, LoadHalves(scales));
      if constexpr (T::kMin) {
        const uint16_t mins[4] = {four[0]->m, four[1]->m, four[2]->m, four[3]->m};
        StoreLanes(m[b], q, LoadHalves(mins));
      }
    }
  }

  // Brings kColumns vectors of columns of y up to date with `count` blocks.
  //   y  the chains so far, kTileRows floats per column; zero at the first panel of a row
  template <int kColumns>
  void Run(uint32_t count, const Columns x[], float* const y[]) const;
};

template <typename T>
template <int kColumns>
[[gnu::noinline]] void Tile32<T>::Run(uint32_t count, const Columns x[], float* const y[]) const {
  Chain sum[kTileVectors][kColumns];
#pragma GCC unroll 8
  for (int v = 0; v < kTileVectors; ++v) {
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) sum[v][c] = LoadChain(y, v, c);
  }
  for (uint32_t b = 0; b < count; ++b) {
    const int8_t* column[kColumns];
    Ints dot[kTileVectors][kColumns];
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) {
      column[c] = x[c].codes + size_t{b} * kBlockSize * kVectorColumns;
#pragma GCC unroll 8
      for (int v = 0; v < kTileVectors; ++v) {
        dot[v][c] = kFoldedZero<T> != 0 ? SumsOf(x[c], b, -kFoldedZero<T>) : NoDot();
      }
    }
    AddDots<kTileVectors, kColumns, kLargest<T>, T::kSigned>(codes[b], column, dot);
#pragma GCC unroll 8
    for (int v = 0; v < kTileVectors; ++v) {
      const Floats scales = LoadFloats(d[b] + 4 * v);
#pragma GCC unroll 8
      for (int c = 0; c < kColumns; ++c) {
        sum[v][c] = MulAddDot(TimesScale(scales, x[c], b), dot[v][c], sum[v][c]);
        if constexpr (T::kMin) {
          const Floats mins = LoadFloats(m[b] + 4 * v);
          sum[v][c] = MulAddInt(TimesScale(mins, x[c], b), SumsOf(x[c], b, 1), sum[v][c]);
        }
      }
    }
  }
#pragma GCC unroll 8
  for (int v = 0; v < kTileVectors; ++v) {
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) StoreChain(y, v, c, sum[v][c]);
  }
}

template <typename T>
struct TileK {
  using Type = T;
  using Block = typename T::Block;
  using View = ActivationQ8_K;
  using Columns = ColumnsK;
  static constexpr uint32_t kBlockSize = kBlockK;
  static constexpr uint32_t kBlocks = kPanelDepth / kBlockSize;
  static constexpr int kSubs = 256 / T::kSub;
  static constexpr bool kHasOffsets = T::kMin || kFoldedZero<T> != 0;
  alignas(16) int8_t codes[kBlocks][kBlockSize * kTileRows];
  alignas(16) int32_t scales[kBlocks][kSubs][kTileLanes];
  PanelOffsets<T::kSub> offsets[kHasOffsets ? kBlocks : 1];
  alignas(16) float d[kBlocks][kTileLanes];
  alignas(16) float dmin[T::kMin ? kBlocks : 1][kTileLanes];

  static View ViewRow(const std::byte* row, uint32_t k, uint32_t first) {
    const View x = ViewQ8_K(row, k);
    return {x.codes + size_t{first} * kBlockK, x.scales + first, x.sums + size_t{first} * 16};
  }

  void Fill(uint32_t b, const Block* const blocks[kTileRows]) {
    FillCodes<T>(blocks, codes[b], std::make_integer_sequence<int, 16>());
    for (int r = 0; r < kTileRows; ++r) {
      int8_t row[16 + 16];  // of 16 codes each, and a zero after the last
      StoreBytes(row, T::Scales(*blocks[r]));
      StoreBytes(row + 16, SetBytes(0));
      for (int s = 0; s < kSubs; ++s) {
        const int32_t scale = PanelScale(row[s * T::kSub / 16], row[(s + 1) * T::kSub / 16]);
        for (int i = 0; i < kVectorColumns; ++i) scales[b][s][r * kVectorColumns + i] = scale;
      }
      if constexpr (T::kMin) StoreBytes(row, T::Mins(*blocks[r]));
      if constexpr (kHasOffsets) {
        constexpr int kFactor = T::kMin ? 1 : kFoldedZero<T>;
        for (int s = 0; s < 16; ++s) offsets[b].Set(s, r, row[s] * kFactor);
      }
    }
#pragma GCC unroll 2
    for (int q = 0; q < kTileRows / 4; ++q) {
      const Block* const* four = blocks + 4 * q;
      const uint16_t factors[4] = {four[0]->d, four[1]->d, four[2]->d, four[3]->d};
      StoreLanes(d[b], q, LoadHalves(factors));
      if constexpr (T::kMin) {
        const uint16_t mins[4] = {four[0]->dmin, four[1]->dmin, four[2]->dmin, four[3]->dmin};
        StoreLanes(dmin[b], q, LoadHalves(mins));
      }
    }
  }

  template <int kColumns>
  void Run(uint32_t count, const Columns x[], float* const y[]) const;
};

template <typename T>
template <int kColumns>
[[gnu::noinline]] void TileK<T>::Run(uint32_t count, const Columns x[], float* const y[]) const {
  for (uint32_t b = 0; b < count; ++b) {
    const int8_t* column[kColumns];
    Ints dot[kTileVectors][kColumns], total[kTileVectors][kColumns];
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) {
      column[c] = x[c].codes + size_t{b} * kBlockSize * kVectorColumns;
#pragma GCC unroll 8
      for (int v = 0; v < kTileVectors; ++v) dot[v][c] = total[v][c] = ZeroInts();
    }
    const int8_t* sub_codes = codes[b];
#pragma GCC unroll 1
    for (int s = 0; s < kSubs; ++s) {
      AddScaledDots<kTileVectors, kColumns, T::kSub, kLargest<T>>(sub_codes, column, scales[b][s], dot, total);
      sub_codes += T::kSub * kTileRows;
#pragma GCC unroll 8
      for (int c = 0; c < kColumns; ++c) column[c] += T::kSub * kVectorColumns;
    }
    Ints offset[kTileVectors][kColumns];
    if constexpr (kHasOffsets) OffsetDots<kTileVectors, kColumns>(offsets[b], x, b, offset);
#pragma GCC unroll 8
    for (int v = 0; v < kTileVectors; ++v) {
      const Floats factors = LoadFloats(d[b] + 4 * v);
#pragma GCC unroll 8
      for (int c = 0; c < kColumns; ++c) {
        if constexpr (kFoldedZero<T> != 0) total[v][c] = SubInts(total[v][c], offset[v][c]);
        Chain sum = MulAddInt(TimesScale(factors, x[c], b), total[v][c], LoadChain(y, v, c));
        if constexpr (T::kMin) {
          const Floats mins = LoadFloats(dmin[b] + 4 * v);
          sum = MulAddDot(Negated(TimesScale(mins, x[c], b)), offset[v][c], sum);
        }
        StoreChain(y, v, c, sum);
      }
    }
  }
}

// One tile with 1 .. kTileColumnVectors vectors of columns, by a body compiled for that number.
template <typename Tile>
void RunTile(int columns, const Tile& tile, uint32_t count, const typename Tile::Columns x[],
             float* const y[]) {
  static_assert(kTileColumnVectors <= 4);
  switch (columns) {
    case 1: return tile.template Run<1>(count, x, y);
    case 2: return tile.template Run<2>(count, x, y);
    case 3:
      if constexpr (kTileColumnVectors > 2) return tile.template Run<3>(count, x, y);
      break;
    case 4:
      if constexpr (kTileColumnVectors > 2) return tile.template Run<4>(count, x, y);
  }
}

// A tile's products with `columns` columns, whose chains are at y, y_stride apart. Only `rows` rows of
// them exist.
template <typename Tile>
void RunColumns(const Tile& tile, uint32_t count, const typename Tile::Columns x[], uint32_t columns,
                bool first, uint32_t rows, float* y, size_t y_stride) {
  const int vectors = static_cast<int>((columns + kVectorColumns - 1) / kVectorColumns);
  float* chains[kTileColumns];
  alignas(16) float partial[kTileColumns][kTileRows];
  const bool whole = rows >= kTileRows;
  for (uint32_t c = 0; c < static_cast<uint32_t>(vectors * kVectorColumns); ++c) {
    const bool direct = whole && c < columns;
    chains[c] = direct ? y + c * y_stride : partial[c];
    for (uint32_t r = 0; first && r < kTileRows; r += 4) StoreFloats(chains[c] + r, Floats{});
    const uint32_t known = first || direct || c >= columns ? 0 : rows;
    for (uint32_t r = 0; r < known; ++r) partial[c][r] = y[c * y_stride + r];
  }
  RunTile(vectors, tile, count, x, chains);
  for (uint32_t c = 0; !whole && c < columns; ++c) {
    for (uint32_t r = 0; r < rows; ++r) y[c * y_stride + r] = partial[c][r];
  }
}

// The loop over panels and tiles, for either shape of block.
template <typename Tile>
void ManyColumns(const MatMulArgs& a) {
  using Block = typename Tile::Block;
  Tile panel[kPanelTiles];
  static_assert(sizeof panel <= 24 * 1024);
  const uint32_t blocks = a.k / Tile::kBlockSize;
  // Tiles as even as can be, in vectors of columns: 5 are 3 and 2, not 4 and 1.
  const uint32_t vectors = (a.m + kVectorColumns - 1) / kVectorColumns;
  const uint32_t tiles = (vectors + kTileColumnVectors - 1) / kTileColumnVectors;
  for (uint32_t i = 0; i < a.rows; i += kPanelRows) {
    const Block* rows[kPanelRows];
    RowPointers<Block, kPanelRows>(a, i, rows);
    const int row_tiles = a.rows - i < kPanelRows ? static_cast<int>((a.rows - i + kTileRows - 1) / kTileRows)
                                                  : kPanelTiles;
    for (uint32_t b = 0; b < blocks; b += Tile::kBlocks) {
      const uint32_t count = blocks - b < Tile::kBlocks ? blocks - b : Tile::kBlocks;
      for (uint32_t at = 0; at < count; ++at) {
        const Block* column[kPanelRows];
        for (int r = 0; r < kPanelRows; ++r) column[r] = rows[r] + b + at;
        for (int p = 0; p < row_tiles; ++p) panel[p].Fill(at, column + p * kTileRows);
      }
      for (uint32_t t = 0; t < tiles; ++t) {
        const uint32_t j = static_cast<uint32_t>(uint64_t{vectors} * t / tiles) * kVectorColumns;
        const uint32_t end = static_cast<uint32_t>(uint64_t{vectors} * (t + 1) / tiles) * kVectorColumns;
        const uint32_t columns = (end < a.m ? end : a.m) - j;
        typename Tile::Columns x[kTileColumnVectors];
        ColumnStore<Tile> store[kTileColumnVectors];
        for (uint32_t c = 0; c < end - j; c += kVectorColumns) {
          typename Tile::View views[kVectorColumns];
          for (uint32_t l = 0; l < kVectorColumns; ++l) {
            const uint32_t column = j + c + l < a.m ? j + c + l : a.m - 1;
            views[l] = Tile::ViewRow(a.x + column * a.x_stride, a.k, b);
          }
          x[c / kVectorColumns] = PackColumns(views, count, store[c / kVectorColumns]);
        }
        for (int p = 0; p < row_tiles; ++p) {
          const uint32_t row = i + p * kTileRows;
          RunColumns(panel[p], count, x, columns, b == 0, a.rows - row, a.y + j * a.y_stride + row,
                     a.y_stride);
        }
      }
    }
  }
}

}  // namespace
}  // namespace edgewise::kernels::v128
