// Products of quantised weights with many columns. Lanes are rows: a panel of rows is unpacked into the
// stack, four codes of every row side by side, so that no sum across lanes is needed, and tiles of columns
// pass over it. Bound by the multiply-add units. The arithmetic is that of plain_matmul.cc, bit for bit.
// Rows beyond the last are the last row again, computed and not stored.
//
// Of the loops, from the outside: kQuantBlockColumns columns, whose activations stay in L2;
// kQuantPanelRows rows; a piece of their length, whose panel fills half of a 32 KiB L1; the tile's columns,
// whose share of the piece stays in L1 too, and for which what a product needs beside the codes is computed
// once; the panel's groups of kTileRows rows.
#pragma once

#include <cstring>

#include "kernels/activation.h"
#include "kernels/x86/tile_dot-inl.h"
#include "kernels/x86/weight_rows-inl.h"

namespace edgewise::kernels {
namespace {

constexpr uint32_t kQuantPanelRows = 32, kPanelGroups = kQuantPanelRows / kTileRows;
constexpr uint32_t kPanelCodeBytes = 16 * 1024;
// Filling a panel costs as much as two or three columns of products.
constexpr uint32_t kQuantBlockColumns = 256;

template <typename T>
struct Panel32 {
  using Type = T;
  using View = ActivationQ8_0;
  static constexpr uint32_t kBlockSize = kBlock32;
  static constexpr bool kWide = kSignTrick<T>;
  static constexpr size_t kBlockBytes = kBlock32 * kTileRows * (kWide ? 2 : 1);
  static constexpr uint32_t kBlocks = kPanelCodeBytes / (kBlockBytes * kPanelGroups);

  alignas(64) int8_t codes[kPanelGroups][kBlocks][kBlockBytes];
  alignas(64) float d[kPanelGroups][kBlocks][kTileRows];
  alignas(64) float m[kPanelGroups][T::kMin ? kBlocks : 1][kTileRows];

  // Vector v of the rows of a group.
  void Fill(const typename T::Block* const rows[kLanes], uint32_t first, uint32_t blocks, uint32_t group,
            int v) {
    for (uint32_t b = 0; b < blocks; ++b) {
      __m256i bytes[kLanes];
      alignas(32) uint16_t d16[kLanes];
      [[maybe_unused]] alignas(32) uint16_t m16[kLanes];
#pragma GCC unroll 16
      for (int r = 0; r < kLanes; ++r) {
        const auto& block = rows[r][first + b];
        bytes[r] = Operand<T>(block);
        d16[r] = block.d;
        if constexpr (T::kMin) m16[r] = block.m;
      }
      int8_t* to = codes[group][b] + v * 4 * kLanes;
      Interleave(bytes, [to](int g, Ints four) {
        if constexpr (kWide) {
          StoreInts(to + 2 * g * kGroupBytes, EvenBytes(four));
          StoreInts(to + (2 * g + 1) * kGroupBytes, OddBytes(four));
        } else {
          StoreInts(to + g * kGroupBytes, four);
        }
      });
      StoreFloats(d[group][b] + v * kLanes, LoadHalves(d16));
      if constexpr (T::kMin) StoreFloats(m[group][b] + v * kLanes, LoadHalves(m16));
    }
  }

  // A tile's columns.
  struct Columns {
    static constexpr bool kStart = kZeroOf<T> != 0;
    const int8_t* codes[kQuantTileColumns];
    const float* scales[kQuantTileColumns];
    alignas(32) int32_t start[kQuantTileColumns][kStart ? kBlocks : 1];  // kMagicBits - zero point * sum
    alignas(32) float total[kQuantTileColumns][T::kMin ? kBlocks : 1];
    alignas(32) int16_t wide[kQuantTileColumns][kWide ? kBlocks * kBlock32 : 1];

    void Set(int c, const std::byte* row, uint32_t k, uint32_t first, uint32_t blocks) {
      const View x = ViewQ8_0(row, k);
      codes[c] = x.codes + size_t{first} * kBlock32;
      scales[c] = x.scales + first;
      const int32_t* sums = x.sums + first;
      if constexpr (kStart) {
        for (uint32_t b = 0; b < blocks; ++b) start[c][b] = kMagicBits - kZeroOf<T> * sums[b];
      }
      if constexpr (T::kMin) {
        for (uint32_t b = 0; b < blocks; ++b) total[c][b] = static_cast<float>(sums[b]);
      }
      if constexpr (kWide) {
        for (uint32_t b = 0; b < blocks; ++b) {
          const Ints bytes = LoadInts(codes[c] + b * kBlock32);
          StoreInts(wide[c] + b * kBlock32, EvenBytes(bytes));
          StoreInts(wide[c] + b * kBlock32 + kBlock32 / 2, OddBytes(bytes));
        }
        codes[c] = reinterpret_cast<const int8_t*>(wide[c]);
      }
    }
  };

  // Brings kColumns columns of sums up to date with `blocks` blocks of the panel.
  //   y  sums of a group's rows, kQuantPanelRows floats apart
  template <int kColumns>
  [[gnu::noinline]] void AddProducts(const Columns& x, uint32_t group, uint32_t blocks, float* y) const {
    constexpr bool kIsMagic = kVnni || Columns::kStart;
    Floats sum[kRowVectors][kColumns];
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) {
#pragma GCC unroll 2
      for (int v = 0; v < kRowVectors; ++v) sum[v][c] = LoadFloats(y + c * kQuantPanelRows + v * kLanes);
    }
    for (uint32_t b = 0; b < blocks; ++b) {
      const int8_t* at[kColumns];
      const int32_t* start[kColumns];
#pragma GCC unroll 8
      for (int c = 0; c < kColumns; ++c) {
        at[c] = x.codes[c] + b * kBlock32 * (kWide ? 2 : 1);
        start[c] = x.start[c] + (Columns::kStart ? b : 0);
      }
      Ints dot[kRowVectors][kColumns];
      Dot32<kColumns, T::kMaxCode, kWide, Columns::kStart>(codes[group][b], at, start, dot);
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
};

template <typename T>
struct PanelK {
  using Type = T;
  using View = ActivationQ8_K;
  static constexpr uint32_t kBlockSize = kBlockK;
  static constexpr uint32_t kBlocks = kPanelCodeBytes / (kBlockK * kQuantPanelRows);
  static constexpr int kScales = static_cast<int>(kBlockK) / T::kSub;
  static constexpr int kOffsets = kScales / 2;  // two 16-bit factors in each

  alignas(64) int8_t codes[kPanelGroups][kBlocks][kBlockK * kTileRows];
  alignas(64) int32_t scales[kPanelGroups][kBlocks][kScales][kTileRows];  // as AddScaledDots wants them
  alignas(64) int32_t offsets[kPanelGroups][kBlocks][kOffsets][kTileRows];  // of zero points negative
  alignas(64) float d[kPanelGroups][kBlocks][kTileRows];
  alignas(64) float dmin[kPanelGroups][kBlocks][kTileRows];

  void Fill(const typename T::Block* const rows[kLanes], uint32_t first, uint32_t blocks, uint32_t group,
            int v) {
    for (uint32_t b = 0; b < blocks; ++b) {
      __m256i lanes[kLanes];
      for (int j = 0; j < 8; ++j) {
#pragma GCC unroll 16
        for (int r = 0; r < kLanes; ++r) lanes[r] = T::Codes(rows[r][first + b], j);
        int8_t* to = codes[group][b] + j * kBlock32 * kTileRows + v * 4 * kLanes;
        Interleave(lanes, [to](int g, Ints four) { StoreInts(to + g * kGroupBytes, four); });
      }
      alignas(32) uint16_t d16[kLanes];
      [[maybe_unused]] alignas(32) uint16_t dmin16[kLanes];
      __m256i scales16[kLanes];
      for (int r = 0; r < kLanes; ++r) {
        const auto& block = rows[r][first + b];
        scales16[r] = T::Scales(block);
        lanes[r] = T::Offsets(block, scales16[r]);
        if constexpr (!T::kMin) lanes[r] = _mm256_sub_epi16(_mm256_setzero_si256(), lanes[r]);
        d16[r] = block.d;
        if constexpr (T::kMin) dmin16[r] = block.dmin;
      }
      Interleave(scales16, [&](int p, Ints pair) { FillScales(scales[group][b], v, p, pair); });
      Ints even = ZeroInts();
      Interleave(lanes, [&](int p, Ints pair) {
        if constexpr (T::kSub == 32) {
          if (p % 2 == 0) {
            even = pair;
          } else {
            StoreInts(offsets[group][b][p / 2] + v * kLanes, JoinLow16(even, pair));
          }
        } else {
          StoreInts(offsets[group][b][p] + v * kLanes, pair);
        }
      });
      StoreFloats(d[group][b] + v * kLanes, LoadHalves(d16));
      if constexpr (T::kMin) StoreFloats(dmin[group][b] + v * kLanes, LoadHalves(dmin16));
    }
  }

  // pair  scales 2 p and 2 p + 1 of every row, 16 bits each
  [[gnu::always_inline]] static void FillScales(int32_t scales[][kTileRows], int v, int p, Ints pair) {
    const Ints low = SetInts(0xffff), odd = ShiftRight<16>(pair);
    if constexpr (T::kSub == 32) {
      StoreInts(scales[p] + v * kLanes, kVnni ? And(pair, low) : pair);
    } else if constexpr (!kVnni) {
      StoreInts(scales[2 * p] + v * kLanes, JoinLow16(pair, pair));
      StoreInts(scales[2 * p + 1] + v * kLanes, JoinLow16(odd, odd));
    } else {
      constexpr bool kPair = kPairScale<T::kMaxCode>;
      StoreInts(scales[2 * p] + v * kLanes,
                kPair ? And(pair, low) : ShiftRight<16>(ShiftLeft<16>(pair)));
      StoreInts(scales[2 * p + 1] + v * kLanes, kPair ? And(odd, low) : odd);
    }
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
        AddScaledDots<kColumns, T::kSub, T::kMaxCode>(codes[group][b] + s * T::kSub * kTileRows, at,
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
        }
      }
    }
  }
};

// The body compiled for a number of columns.
template <typename Panel>
void AddTile(const Panel& panel, const typename Panel::Columns& x, uint32_t columns, uint32_t group,
             uint32_t blocks, float* y) {
  switch (columns) {
    case 1: return panel.template AddProducts<1>(x, group, blocks, y);
    case 2: return panel.template AddProducts<2>(x, group, blocks, y);
    case 3: return panel.template AddProducts<3>(x, group, blocks, y);
#if defined(__AVX512VNNI__)
    case 4: return panel.template AddProducts<4>(x, group, blocks, y);
    case 5: return panel.template AddProducts<5>(x, group, blocks, y);
    case 6: return panel.template AddProducts<6>(x, group, blocks, y);
#endif
  }
}

// Columns first_column .. first_column + columns of ManyColumns; at most kQuantBlockColumns.
template <typename Panel>
void ColumnBlock(const MatMulArgs& a, uint32_t first_column, uint32_t columns) {
  using Block = typename Panel::Type::Block;
  Panel panel;
  typename Panel::Columns x;
  alignas(64) float y[kQuantBlockColumns][kQuantPanelRows];
  const uint32_t blocks = a.k / Panel::kBlockSize;
  // Tiles as even as can be: 9 columns are 5 and 4, not 6 and 3.
  const uint32_t tiles = (columns + kQuantTileColumns - 1) / kQuantTileColumns;
  for (uint32_t i = 0; i < a.rows; i += kQuantPanelRows) {
    const Block* rows[kQuantPanelRows];
    RowPointers<Block, kQuantPanelRows>(a, i, rows);
    const uint32_t count = a.rows - i < kQuantPanelRows ? a.rows - i : kQuantPanelRows;
    const uint32_t groups = (count + kTileRows - 1) / kTileRows;
    std::memset(y, 0, columns * sizeof y[0]);
    for (uint32_t b = 0; b < blocks; b += Panel::kBlocks) {
      const uint32_t piece = blocks - b < Panel::kBlocks ? blocks - b : Panel::kBlocks;
      for (uint32_t v = 0; v < groups * kRowVectors; ++v) {
        panel.Fill(rows + v * kLanes, b, piece, v / kRowVectors, v % kRowVectors);
      }
      for (uint32_t t = 0; t < tiles; ++t) {
        const uint32_t j = static_cast<uint32_t>(uint64_t{columns} * t / tiles);
        const uint32_t width = static_cast<uint32_t>(uint64_t{columns} * (t + 1) / tiles) - j;
        for (uint32_t c = 0; c < width; ++c) {
          x.Set(static_cast<int>(c), a.x + (first_column + j + c) * a.x_stride, a.k, b, piece);
        }
        for (uint32_t g = 0; g < groups; ++g) AddTile(panel, x, width, g, piece, y[j] + g * kTileRows);
      }
    }
    for (uint32_t j = 0; j < columns; ++j) {
      std::memcpy(a.y + (first_column + j) * a.y_stride + i, y[j], count * sizeof(float));
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

template <typename T>
using Shape32 = Panel32<T>;
template <typename T>
using ShapeK = PanelK<T>;

}  // namespace
}  // namespace edgewise::kernels
