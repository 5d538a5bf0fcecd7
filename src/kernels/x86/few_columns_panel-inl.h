// Products of unsigned codes with several columns on AVX2 without VNNI, which computing bounds. Rows are
// fetched and transposed as in few_columns-inl.h, but two vectors of them, and they go to a panel of some
// blocks in L1, over which tiles of columns pass as in many_columns-inl.h, sums in registers. For 8 rows, a
// block and a column these are 28 instructions instead of 38, and for 8 rows and a block the panel's stores.
// Q4_0 in nanoseconds for 8 rows and a block, 8 columns: 35 to 30 from cache, 41 to 36 from memory; 4 columns
// 20 to 19 and 24 to 24. With panels of 4 blocks slower than without any; 8 are like 16.
#pragma once

#include <cstring>

#include "kernels/x86/few_columns-inl.h"
#include "kernels/x86/many_columns-inl.h"

namespace edgewise::kernels {
namespace {

#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
template <typename T>
constexpr bool kFewByPanel = false;
template <typename T>
void FewColumnsPanel(const MatMulArgs&);
#else
template <typename T>
constexpr bool kFewByPanel = !kSignTrick<T>;

// What the panel costs is what it spares for three columns.
constexpr uint32_t kLeastPanelColumns = 4;

template <typename Type>
void FewColumnsPanel(const MatMulArgs& a) {
  using Block = typename Type::Block;
  using Panel = Panel32<Type>;
  if (a.m < kLeastPanelColumns) return FewColumns32<Type, false>(a);
  Panel panel;  // its first group
  typename Panel::Columns x;
  alignas(64) float y[kFewColumns][kQuantPanelRows];
  const uint32_t blocks = a.k / kBlock32, tiles = (a.m + kQuantTileColumns - 1) / kQuantTileColumns;
  LaneRows<Block> rows[] = {LaneRows<Block>(a, 0, kRowVectors), LaneRows<Block>(a, 1, kRowVectors)};
  for (uint32_t step = 0; step < rows[0].steps(); ++step) {
    for (LaneRows<Block>& vector : rows) vector.Go(step);
    std::memset(y, 0, a.m * sizeof y[0]);
    for (uint32_t first = 0; first < blocks; first += Panel::kBlocks) {
      const uint32_t piece = blocks - first < Panel::kBlocks ? blocks - first : Panel::kBlocks;
      for (uint32_t b = 0; b < piece; ++b) {
#pragma GCC unroll 2
        for (int v = 0; v < kRowVectors; ++v) {
          const uint32_t at = first + b;
          rows[v].FetchTurn(at);
          Ints words[kWords32];
          CodeWords(rows[v], at, words);
#pragma GCC unroll 8
          for (int g = 0; g < kWords32; ++g) {
            Store256(panel.codes[0][b] + g * kGroupBytes + v * sizeof(Ints), words[g]);
          }
          StoreFloats(panel.d[0][b] + v * kLanes, Halves(rows[v], at, offsetof(Block, d)));
          if constexpr (Type::kMin) {
            StoreFloats(panel.m[0][b] + v * kLanes, Halves(rows[v], at, offsetof(Block, m)));
          }
        }
      }
      for (uint32_t t = 0; t < tiles; ++t) {
        const uint32_t j = a.m * t / tiles, width = a.m * (t + 1) / tiles - j;
        for (uint32_t c = 0; c < width; ++c) {
          x.Set(static_cast<int>(c), a.x + (j + c) * a.x_stride, a.k, first, piece);
        }
        panel.AddTile(x, width, 0, piece, y[j]);
      }
    }
    for (uint32_t j = 0; j < a.m; ++j) {
#pragma GCC unroll 2
      for (int v = 0; v < kRowVectors; ++v) rows[v].Store(step, j, LoadFloats(y[j] + v * kLanes));
    }
  }
}

#endif

}  // namespace
}  // namespace edgewise::kernels
