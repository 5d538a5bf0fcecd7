// Products of quantised weights with many columns. Lanes are rows: a panel of rows is unpacked into the
// stack, four codes of every row side by side, so that no sum across lanes is needed, and tiles of columns
// pass over it. Bound by the multiply-add units. The arithmetic is that of plain_matmul.cc, bit for bit.
// Rows beyond the last are the last row again, computed and not stored.
//
// Panel32 and PanelK are here, AVX2's panel for signed codes is in paired_panel-inl.h.
// Of the loops, from the outside: kQuantBlockColumns columns, whose activations stay in L2; a panel's rows;
// a piece of their length, whose panel lies in L1, or is read from L2 where L1 has 32 KiB, in order, 15
// bytes in a cycle at most; the tile's columns, whose share of the piece stays in L1, and for which what a
// product needs beside the codes is computed once; the panel's groups of rows.
#pragma once

#include <cstring>

#include "kernels/activation.h"
#include "kernels/x86/tile_dot-inl.h"
#include "kernels/x86/weight_rows-inl.h"

namespace edgewise::kernels {
namespace {

// With half as many rows, what is not the tiles' products took 16% of a prefill of Q8_0 on AVX2, half of it
// the wait for the first bytes of a tile's columns.
constexpr uint32_t kQuantPanelRows = 64, kPanelGroups = kQuantPanelRows / kQuantTileRows;
constexpr uint32_t kPanelCodeBytes = 32 * 1024;
// Filling a panel costs as much as two or three columns of products.
constexpr uint32_t kQuantBlockColumns = 256;

constexpr const char* kPanelHow = kLanes == 16 ? "interleaved panels, tiles of 32 x 6, vpdpbusd"
                                  : kVnni      ? "interleaved panels, tiles of 16 x 3, vpdpbusd"
                                               : "interleaved panels, tiles of 16 x 3, vpmaddubsw";

[[gnu::always_inline]] inline void Store256(void* p, __m256i x) {
  _mm256_storeu_si256(static_cast<__m256i*>(p), x);
}
[[gnu::always_inline]] inline void Fetch(const void* p, size_t bytes) {
  for (size_t i = 0; i < bytes; i += 64) _mm_prefetch(static_cast<const char*>(p) + i, _MM_HINT_T0);
}
// binary16 numbers of eight rows, collected one by one: widened later than the next are collected, so that
// the load finds them in the cache, not in eight stores that it would have to wait for.
struct EightHalves {
  alignas(16) uint16_t h[8];
  [[gnu::always_inline]] void Widen(float* to) const { _mm256_storeu_ps(to, _mm256_cvtph_ps(Load128(h))); }
};

// f<width>() for the number of columns of a tile.
template <int kMost = kQuantTileColumns, typename F>
[[gnu::always_inline]] inline void WithWidth(uint32_t width, const F& f) {
  if constexpr (kMost > 0) {
    if (width == kMost) return f.template operator()<kMost>();
    WithWidth<kMost - 1>(width, f);
  }
}

template <typename T>
struct Panel32 {
  using Type = T;
  using View = ActivationQ8_0;
  static constexpr uint32_t kBlockSize = kBlock32;
  static constexpr uint32_t kRows = kQuantPanelRows, kGroupRows = kQuantTileRows;
  static constexpr uint32_t kMostColumns = kQuantTileColumns;
  static constexpr const char* kHow = kPanelHow;
  static constexpr size_t kBlockBytes = kBlock32 * kQuantTileRows;
  static constexpr uint32_t kBlocks = kPanelCodeBytes / (kBlockBytes * kPanelGroups);
  static_assert(kBlocks % 8 == 0);

  alignas(64) int8_t codes[kPanelGroups][kBlocks][kBlockBytes];
  alignas(64) float d[kPanelGroups][kBlocks][kQuantTileRows];
  alignas(64) float m[kPanelGroups][T::kMin ? kBlocks : 1][kQuantTileRows];

  // Eight rows of a group, from its row `at` on.
  void Fill(const typename T::Block* const rows[8], uint32_t first, uint32_t blocks, uint32_t group,
            uint32_t at) {
    EightHalves scales[kBlocks], mins[kBlocks];
    for (uint32_t b = 0; b < blocks; ++b) {
      __m256i bytes[8];
#pragma GCC unroll 8
      for (int r = 0; r < 8; ++r) {
        const auto& block = rows[r][first + b];
        bytes[r] = Operand<T>(block);
        scales[b].h[r] = block.d;
        if constexpr (T::kMin) mins[b].h[r] = block.m;
      }
      int8_t* to = codes[group][b] + 4 * at;
      Interleave8(bytes, [to](int g, __m256i four) { Store256(to + g * kGroupBytes, four); });
    }
    for (uint32_t b = 0; b < blocks; ++b) {
      scales[b].Widen(d[group][b] + at);
      if constexpr (T::kMin) mins[b].Widen(m[group][b] + at);
    }
  }

  static void FetchColumn(const std::byte* row, uint32_t k, uint32_t first, uint32_t blocks) {
    const View x = ViewQ8_0(row, k);
    Fetch(x.codes + first * kBlock32, blocks * kBlock32);
    Fetch(x.scales + first, blocks * sizeof(float));
    Fetch(x.sums + first, blocks * sizeof(int32_t));
  }

  // A tile's columns.
  struct Columns {
    static constexpr bool kStart = kZeroOf<T> != 0;
    const int8_t* codes[kQuantTileColumns];
    alignas(32) float scales[kQuantTileColumns][kBlocks];
    alignas(32) int32_t start[kQuantTileColumns][kStart ? kBlocks : 1];  // kMagicBits - zero point * sum
    alignas(32) float total[kQuantTileColumns][T::kMin ? kBlocks : 1];

    void Set(int c, const std::byte* row, uint32_t k, uint32_t first, uint32_t blocks) {
      const View x = ViewQ8_0(row, k);
      codes[c] = x.codes + size_t{first} * kBlock32;
      const int32_t* sums = x.sums + first;
      uint32_t b = 0;
      for (; b + 8 <= blocks; b += 8) SetBlocks(c, b, x.scales + first + b, sums + b);
      if (b < blocks) {
        float last_scales[8] = {};
        int32_t last_sums[8] = {};
        for (uint32_t i = 0; b + i < blocks; ++i) {
          last_scales[i] = x.scales[first + b + i];
          last_sums[i] = sums[b + i];
        }
        SetBlocks(c, b, last_scales, last_sums);
      }
    }

    [[gnu::always_inline]] void SetBlocks(int c, uint32_t b, const float eight_scales[8],
                                          const int32_t eight_sums[8]) {
      _mm256_store_ps(scales[c] + b, _mm256_loadu_ps(eight_scales));
      [[maybe_unused]] const __m256i sums = Load256(eight_sums);
      if constexpr (kStart) {
        const __m256i zeros = _mm256_mullo_epi32(sums, _mm256_set1_epi32(kZeroOf<T>));
        _mm256_store_si256(reinterpret_cast<__m256i*>(start[c] + b),
                           _mm256_sub_epi32(_mm256_set1_epi32(kMagicBits), zeros));
      }
      if constexpr (T::kMin) _mm256_store_ps(total[c] + b, _mm256_cvtepi32_ps(sums));
    }
  };

  // Brings kColumns columns of sums up to date with `blocks` blocks of the panel.
  //   y  sums of a group's rows, kQuantPanelRows floats apart
  //   meanwhile(b)  is called before block b
  template <int kColumns, typename Meanwhile>
  [[gnu::noinline]] void AddProducts(const Columns& x, uint32_t group, uint32_t blocks, float* y,
                                     const Meanwhile& meanwhile) const {
    constexpr bool kIsMagic = kVnni || Columns::kStart;
    Floats sum[kRowVectors][kColumns];
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) {
#pragma GCC unroll 2
      for (int v = 0; v < kRowVectors; ++v) sum[v][c] = LoadFloats(y + c * kQuantPanelRows + v * kLanes);
    }
    for (uint32_t b = 0; b < blocks; ++b) {
      meanwhile(b);
      const int8_t* at[kColumns];
      const int32_t* start[kColumns];
#pragma GCC unroll 8
      for (int c = 0; c < kColumns; ++c) {
        at[c] = x.codes[c] + b * kBlock32;
        start[c] = x.start[c] + (Columns::kStart ? b : 0);
      }
      Ints dot[kRowVectors][kColumns];
      Dot32<kColumns, T::kMaxCode, Columns::kStart>(codes[group][b], at, start, dot);
#pragma GCC unroll 8
      for (int c = 0; c < kColumns; ++c) {
        const Floats scale = SetFloats(x.scales[c][b]);
#pragma GCC unroll 2
        for (int v = 0; v < kRowVectors; ++v) {
          const Floats value =
              kIsMagic ? Sub(AsFloats(dot[v][c]), SetFloats(kMagic)) : ToFloats(dot[v][c]);
          const Floats factor = Mul(scale, LoadFloats(d[group][b] + v * kLanes));
          sum[v][c] = MulAdd(factor, value, sum[v][c]);
          if constexpr (T::kMin) {
            const Floats min = Mul(scale, LoadFloats(m[group][b] + v * kLanes));
            sum[v][c] = MulAdd(min, SetFloats(x.total[c][b]), sum[v][c]);
          }
        }
      }
    }
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) {
#pragma GCC unroll 2
      for (int v = 0; v < kRowVectors; ++v) StoreFloats(y + c * kQuantPanelRows + v * kLanes, sum[v][c]);
    }
  }

  // AddProducts compiled for a number of columns.
  template <typename Meanwhile>
  void AddTile(const Columns& x, uint32_t columns, uint32_t group, uint32_t blocks, float* y,
               const Meanwhile& meanwhile) const {
    WithWidth(columns, [&]<int kColumns>() { AddProducts<kColumns>(x, group, blocks, y, meanwhile); });
  }
  void AddTile(const Columns& x, uint32_t columns, uint32_t group, uint32_t blocks, float* y) const {
    AddTile(x, columns, group, blocks, y, [](uint32_t) {});
  }
};

template <typename T>
struct PanelK {
  using Type = T;
  using View = ActivationQ8_K;
  static constexpr uint32_t kBlockSize = kBlockK;
  static constexpr uint32_t kRows = kQuantPanelRows, kGroupRows = kQuantTileRows;
  static constexpr uint32_t kMostColumns = kQuantTileColumns;
  static constexpr const char* kHow = kPanelHow;
  static constexpr uint32_t kBlocks = kPanelCodeBytes / (kBlockK * kQuantPanelRows);
  static constexpr int kScales = static_cast<int>(kBlockK) / T::kSub;
  static constexpr int kOffsets = kScales / 2;  // two 16-bit factors in each

  alignas(64) int8_t codes[kPanelGroups][kBlocks][kBlockK * kQuantTileRows];
  alignas(64) int32_t scales[kPanelGroups][kBlocks][kScales][kQuantTileRows];  // as AddScaledDots wants them
  alignas(64) int32_t offsets[kPanelGroups][kBlocks][kOffsets][kQuantTileRows];  // of zero points negative
  alignas(64) float d[kPanelGroups][kBlocks][kQuantTileRows];
  alignas(64) float dmin[kPanelGroups][kBlocks][kQuantTileRows];

  // Eight rows of a group, from its row `at` on.
  void Fill(const typename T::Block* const rows[8], uint32_t first, uint32_t blocks, uint32_t group,
            uint32_t at) {
    EightHalves ds[kBlocks], dmins[kBlocks];
    for (uint32_t b = 0; b < blocks; ++b) {
      __m256i lanes[8], scales16[8];
      for (int j = 0; j < 8; ++j) {
#pragma GCC unroll 8
        for (int r = 0; r < 8; ++r) lanes[r] = T::Codes(rows[r][first + b], j);
        int8_t* to = codes[group][b] + j * kBlock32 * kQuantTileRows + 4 * at;
        Interleave8(lanes, [to](int g, __m256i four) { Store256(to + g * kGroupBytes, four); });
      }
      for (int r = 0; r < 8; ++r) {
        const auto& block = rows[r][first + b];
        scales16[r] = T::Scales(block);
        lanes[r] = T::Offsets(block, scales16[r]);
        if constexpr (!T::kMin) lanes[r] = _mm256_sub_epi16(_mm256_setzero_si256(), lanes[r]);
        ds[b].h[r] = block.d;
        if constexpr (T::kMin) dmins[b].h[r] = block.dmin;
      }
      Interleave8(scales16, [&](int p, __m256i pair) { FillScales(scales[group][b], at, p, pair); });
      __m256i even = _mm256_setzero_si256();
      Interleave8(lanes, [&](int p, __m256i pair) {
        if constexpr (T::kSub == 16) {
          Store256(offsets[group][b][p] + at, pair);
        } else if (p % 2 == 0) {
          even = pair;
        } else {
          Store256(offsets[group][b][p / 2] + at, _mm256_blend_epi16(even, pair, 0xaa));
        }
      });
    }
    for (uint32_t b = 0; b < blocks; ++b) {
      ds[b].Widen(d[group][b] + at);
      if constexpr (T::kMin) dmins[b].Widen(dmin[group][b] + at);
    }
  }

  // pair  scales 2 p and 2 p + 1 of eight rows, 16 bits each
  [[gnu::always_inline]] static void FillScales(int32_t scales[][kQuantTileRows], uint32_t at, int p,
                                                __m256i pair) {
    const __m256i zero = _mm256_setzero_si256(), left = _mm256_slli_epi32(pair, 16);
    if constexpr (T::kSub == 32) {
      Store256(scales[p] + at, kVnni ? _mm256_blend_epi16(pair, zero, 0xaa) : pair);
    } else if constexpr (!kVnni) {
      const __m256i right = _mm256_srli_epi32(pair, 16);
      Store256(scales[2 * p] + at, _mm256_blend_epi16(pair, left, 0xaa));
      Store256(scales[2 * p + 1] + at, _mm256_blend_epi16(right, pair, 0xaa));
    } else if constexpr (kPairScale<T::kMaxCode>) {
      Store256(scales[2 * p] + at, _mm256_blend_epi16(pair, zero, 0xaa));
      Store256(scales[2 * p + 1] + at, _mm256_srli_epi32(pair, 16));
    } else {
      Store256(scales[2 * p] + at, _mm256_srai_epi32(left, 16));
      Store256(scales[2 * p + 1] + at, _mm256_srai_epi32(pair, 16));
    }
  }

  static void FetchColumn(const std::byte* row, uint32_t k, uint32_t first, uint32_t blocks) {
    const View x = ViewQ8_K(row, k);
    Fetch(x.codes + first * kBlockK, blocks * kBlockK);
    Fetch(x.scales + first, blocks * sizeof(float));
    Fetch(x.sums + first * 16, blocks * 16 * sizeof(int16_t));
  }

  struct Columns {
    const int8_t* codes[kQuantTileColumns];
    const float* scales[kQuantTileColumns];
    const int16_t* sums[kQuantTileColumns];  // of kSub codes each
    alignas(16) int16_t joined[kQuantTileColumns][T::kSub == 32 ? kBlocks * 8 : 1];

    void Set(int c, const std::byte* row, uint32_t k, uint32_t first, uint32_t blocks) {
      const View x = ViewQ8_K(row, k);
      codes[c] = x.codes + size_t{first} * kBlockK;
      scales[c] = x.scales + first;
      sums[c] = x.sums + size_t{first} * 16;
      if constexpr (T::kSub == 32) {
        for (uint32_t b = 0; b < blocks; ++b) {
          const __m256i sums16 = Load256(sums[c] + b * 16);
          const __m256i sums32 = _mm256_permute4x64_epi64(_mm256_hadd_epi16(sums16, sums16), 0x08);
          _mm_storeu_si128(reinterpret_cast<__m128i*>(joined[c] + b * 8),
                           _mm256_castsi256_si128(sums32));
        }
        sums[c] = joined[c];
      }
    }
  };

  template <int kColumns>
  [[gnu::noinline]] void AddProducts(const Columns& x, uint32_t group, uint32_t blocks, float* y) const {
    for (uint32_t b = 0; b < blocks; ++b) {
      const int8_t* at[kColumns];
      Ints dot[kRowVectors][kColumns];
#pragma GCC unroll 8
      for (int c = 0; c < kColumns; ++c) {
        at[c] = x.codes[c] + b * kBlockK;
#pragma GCC unroll 2
        for (int v = 0; v < kRowVectors; ++v) dot[v][c] = ZeroInts();
      }
      if constexpr (!T::kMin) AddOffsets<kColumns>(x, group, b, dot);
      for (int s = 0; s < kScales; ++s) {
        AddScaledDots<kColumns, T::kSub, T::kMaxCode>(codes[group][b] + s * T::kSub * kQuantTileRows, at,
                                                      scales[group][b][s], dot);
#pragma GCC unroll 8
        for (int c = 0; c < kColumns; ++c) at[c] += T::kSub;
      }
      Floats sum[kRowVectors][kColumns];
#pragma GCC unroll 8
      for (int c = 0; c < kColumns; ++c) {
        const Floats scale = SetFloats(x.scales[c][b]);
#pragma GCC unroll 2
        for (int v = 0; v < kRowVectors; ++v) {
          const Floats factor = Mul(scale, LoadFloats(d[group][b] + v * kLanes));
          sum[v][c] =
              MulAdd(factor, ToFloats(dot[v][c]), LoadFloats(y + c * kQuantPanelRows + v * kLanes));
          dot[v][c] = ZeroInts();
        }
      }
      if constexpr (T::kMin) {
        AddOffsets<kColumns>(x, group, b, dot);
#pragma GCC unroll 8
        for (int c = 0; c < kColumns; ++c) {
          const Floats scale = SetFloats(x.scales[c][b]);
#pragma GCC unroll 2
          for (int v = 0; v < kRowVectors; ++v) {
            const Floats factor = Mul(scale, LoadFloats(dmin[group][b] + v * kLanes));
            sum[v][c] = NegMulAdd(factor, ToFloats(dot[v][c]), sum[v][c]);
          }
        }
      }
#pragma GCC unroll 8
      for (int c = 0; c < kColumns; ++c) {
#pragma GCC unroll 2
        for (int v = 0; v < kRowVectors; ++v) StoreFloats(y + c * kQuantPanelRows + v * kLanes, sum[v][c]);
      }
    }
  }

  // offset += factors . sums
  template <int kColumns>
  [[gnu::always_inline]] void AddOffsets(const Columns& x, uint32_t group, uint32_t b,
                                         Ints offset[kRowVectors][kColumns]) const {
#pragma GCC unroll 8
    for (int p = 0; p < kOffsets; ++p) {
      Ints factors[kRowVectors];
#pragma GCC unroll 2
      for (int v = 0; v < kRowVectors; ++v) {
        factors[v] = LoadInts(offsets[group][b][p] + v * kLanes);
      }
#pragma GCC unroll 8
      for (int c = 0; c < kColumns; ++c) {
        const Ints two = Broadcast(x.sums[c] + b * (2 * kOffsets) + 2 * p);
#pragma GCC unroll 2
        for (int v = 0; v < kRowVectors; ++v) {
          offset[v][c] = PairDotAdd(offset[v][c], factors[v], two);
          Pin(offset[v][c]);
        }
      }
    }
  }

  // AddProducts compiled for a number of columns.
  void AddTile(const Columns& x, uint32_t columns, uint32_t group, uint32_t blocks, float* y) const {
    WithWidth(columns, [&]<int kColumns>() { AddProducts<kColumns>(x, group, blocks, y); });
  }
};

// Columns first_column .. first_column + columns of ManyColumns; at most kQuantBlockColumns.
template <typename Panel>
void ColumnBlock(const MatMulArgs& a, uint32_t first_column, uint32_t columns) {
  using Block = typename Panel::Type::Block;
  Panel panel;
  typename Panel::Columns x;
  alignas(64) float y[kQuantBlockColumns][Panel::kRows];
  const uint32_t blocks = a.k / Panel::kBlockSize;
  // Tiles as even as can be: 9 columns are 5 and 4, not 6 and 3.
  const uint32_t tiles = (columns + Panel::kMostColumns - 1) / Panel::kMostColumns;
  for (uint32_t i = 0; i < a.rows; i += Panel::kRows) {
    const Block* rows[Panel::kRows];
    RowPointers<Block, Panel::kRows>(a, i, rows);
    const uint32_t count = a.rows - i < Panel::kRows ? a.rows - i : Panel::kRows;
    const uint32_t groups = (count + Panel::kGroupRows - 1) / Panel::kGroupRows;
    std::memset(y, 0, columns * sizeof y[0]);
    for (uint32_t b = 0; b < blocks; b += Panel::kBlocks) {
      const uint32_t piece = blocks - b < Panel::kBlocks ? blocks - b : Panel::kBlocks;
      for (uint32_t r = 0; r < groups * Panel::kGroupRows; r += 8) {
        panel.Fill(rows + r, b, piece, r / Panel::kGroupRows, r % Panel::kGroupRows);
      }
      for (uint32_t t = 0; t < tiles; ++t) {
        const uint32_t j = static_cast<uint32_t>(uint64_t{columns} * t / tiles);
        const uint32_t width = static_cast<uint32_t>(uint64_t{columns} * (t + 1) / tiles) - j;
        const std::byte* column = a.x + (first_column + j) * a.x_stride;
        for (uint32_t c = 0; c < width; ++c) {
          x.Set(static_cast<int>(c), column + c * a.x_stride, a.k, b, piece);
        }
        // The next tile's columns: pieces too short for the hardware's prefetchers to foresee.
        if (t + 1 < tiles) {
          for (uint32_t c = 0; c < width; ++c) {
            Panel::FetchColumn(column + (width + c) * a.x_stride, a.k, b, piece);
          }
        }
        for (uint32_t g = 0; g < groups; ++g) panel.AddTile(x, width, g, piece, y[j] + g * Panel::kGroupRows);
      }
    }
    for (uint32_t j = 0; j < columns; ++j) {
      float* to = a.y + (first_column + j) * a.y_stride + i;
      if (count == Panel::kRows) {
#pragma GCC unroll 4
        for (uint32_t r = 0; r < Panel::kRows; r += kLanes) StoreFloats(to + r, LoadFloats(y[j] + r));
      } else {
        std::memcpy(to, y[j], count * sizeof(float));
      }
    }
  }
}

template <typename Panel>
void ManyColumns(const MatMulArgs& a) {
  const uint32_t parts = (a.m + kQuantBlockColumns - 1) / kQuantBlockColumns;
  for (uint32_t p = 0; p < parts; ++p) {
    const uint32_t first = static_cast<uint32_t>(uint64_t{a.m} * p / parts);
    ColumnBlock<Panel>(a, first, static_cast<uint32_t>(uint64_t{a.m} * (p + 1) / parts) - first);
  }
}

}  // namespace
}  // namespace edgewise::kernels
