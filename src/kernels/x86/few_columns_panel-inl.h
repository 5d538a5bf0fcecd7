// Products of unsigned codes with several columns on AVX2 without VNNI, which computing bounds. Rows are
// fetched and transposed as in few_columns-inl.h, but two vectors of them, and they go to a panel of some
// blocks in L1, over which tiles of columns pass as in many_columns-inl.h, sums in registers. For 8 rows, a
// block and a column these are 28 instructions instead of 38, 20 of them for the three vector ports, and for
// 8 rows and a block the panel's stores. With panels of 4 blocks slower than without any; 8 are like 16.
//
// Memory is asked for while tiles are multiplied. Asked for while a panel is filled, which is a third to a
// fifth of the time, it was waited for. Q4_0 in nanoseconds for 8 rows and a block, alone on a core of 2.8
// GHz, 4 and 8 columns: from memory 17.0 and 26.4 then, 14.9 and 24.1 now. From L2 13.3 and 22.3, where 20
// instructions a column and 33 to fill the panel take three ports 13.5 and 23: the rest is arithmetic. No
// gain: scales collected by way of memory, tiles of 4 columns.
//
// Signed codes stay with few_columns-inl.h. With a panel of four variants (paired_panel-inl.h) and columns
// prepared once for all rows, 8 columns of Q8_0 take the same 36.8 ns, 4 columns 23 to 27 instead of 21: less
// for a column, 3.3 instead of 3.9, but 10 instead of 6 for the panel. Nor do signs moved by xor instead of
// psign, and the magnitudes of negative weights added up to make it good: 4 to 9% slower.
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
  // Of every lane, a piece's lines; a tile of columns asks for its share of one lane's with each block.
  static_assert(Panel::kBlocks == kQuantTileRows);
  constexpr uint32_t kLines = (Panel::kBlocks * sizeof(Block) + 63) / 64;
  Panel panel;  // its first group
  typename Panel::Columns x;
  alignas(64) float y[kFewColumns][kQuantPanelRows];
  const uint32_t blocks = a.k / kBlock32, tiles = (a.m + kQuantTileColumns - 1) / kQuantTileColumns;
  const uint32_t share = (kLines + tiles - 1) / tiles;  // 2 or 3: of 2 or 3 tiles
  LaneRows<Block> rows[] = {LaneRows<Block>(a, 0, kRowVectors), LaneRows<Block>(a, 1, kRowVectors)};
  for (uint32_t step = 0; step < rows[0].steps(); ++step) {
    for (LaneRows<Block>& vector : rows) vector.Go(step);
    std::memset(y, 0, a.m * sizeof y[0]);
    for (uint32_t first = 0; first < blocks; first += Panel::kBlocks) {
      const uint32_t piece = blocks - first < Panel::kBlocks ? blocks - first : Panel::kBlocks;
      const char* ahead[kQuantTileRows];
#pragma GCC unroll 2
      for (int v = 0; v < kRowVectors; ++v) {
#pragma GCC unroll 8
        for (int r = 0; r < kLanes; ++r) ahead[v * kLanes + r] = rows[v].Ahead(r, first);
        for (uint32_t b = 0; b < piece; ++b) {
          const uint32_t at = first + b;
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
        // Inlined, or g++ takes it for a function without effect and leaves it out.
        panel.AddTile(x, width, 0, piece, y[j], [&](uint32_t b) __attribute__((always_inline)) {
          const char* at = ahead[b] + t * share * 64;
          _mm_prefetch(at, _MM_HINT_T0);
          _mm_prefetch(at + 64, _MM_HINT_T0);
          if (share > 2) _mm_prefetch(at + 128, _MM_HINT_T0);
        });
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
