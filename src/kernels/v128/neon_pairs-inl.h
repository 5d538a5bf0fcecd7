// Tiles of many columns for NEON with the matrix product (FEAT_I8MM): smmla multiplies 2 rows of 8 codes
// by 2 columns of 8 codes into 4 sums, twice the work of sdot. So a vector of sums is 2 rows by 2
// columns, lanes r0c0 r0c1 r1c0 r1c1, and whatever is per row or per column lies twice. Included by
// neon-inl.h.
//
// A pair of columns is interleaved once per panel, for its two tiles of rows: done in the tile's loop,
// zip instructions took a quarter as many vector slots as its products.
#pragma once

namespace edgewise::kernels::v128 {
namespace {

constexpr int kVectorRows = 2, kVectorColumns = 2;
constexpr const char* kOneHow = "4 rows at once, sdot";
constexpr const char* kManyHow = "interleaved on the fly, smmla";
// 8 rows by 4 columns: of 32 registers, 8 integer and 8 float sums, and operands on their way.
constexpr int kTileVectors = 4, kTileColumnVectors = 2;
constexpr int kPanelTiles = 2;
constexpr uint32_t kPanelDepth = 512;  // 16 rows: 8 KiB

// Writes 16 codes of each of four rows: 8 of rows 0 and 1, 8 of rows 2 and 3, and `stride` bytes on the
// next 8 of them.
[[gnu::always_inline]] inline void InterleavePair(Bytes a, Bytes b, int8_t* out, size_t stride) {
  const int64x2_t x = vreinterpretq_s64_s8(a), y = vreinterpretq_s64_s8(b);
  StoreBytes(out, vreinterpretq_s8_s64(vzip1q_s64(x, y)));
  StoreBytes(out + stride, vreinterpretq_s8_s64(vzip2q_s64(x, y)));
}
[[gnu::always_inline]] inline void Interleave(const Bytes rows[4], int8_t* out, size_t stride) {
  InterleavePair(rows[0], rows[1], out, stride);
  InterleavePair(rows[2], rows[3], out + 16, stride);
}

// dot[v][c] += the dot of kCodes interleaved codes with those of column pair c.
template <int kCodes, int /*kMaxCode*/, int kVectors, int kColumns>
[[gnu::always_inline]] inline void AddCodes(const int8_t* codes, const int8_t* const x[],
                                            Ints (&dot)[kVectors][kColumns]) {
#pragma GCC unroll 8
  for (int g = 0; g < kCodes / 8; ++g) {
    Bytes columns[kColumns];
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) columns[c] = LoadBytes(x[c] + 16 * g);
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      const Bytes w = LoadBytes(codes + 16 * (g * kVectors + v));
#pragma GCC unroll 8
      for (int c = 0; c < kColumns; ++c) dot[v][c] = vmmlaq_s32(dot[v][c], w, columns[c]);
    }
  }
}

// A pair of columns, interleaved.
struct Columns32 {
  const int8_t* codes;       // 8 of either in turn
  const float (*scales)[4];  // per block, as the lanes of a vector
  const int32_t (*sums)[4];
};
struct ColumnsK {
  const int8_t* codes;
  const float (*scales)[4];
  const int8_t* sums;  // SumParts(kSub) times per block: 8 sums of either, low seven bits, then the rest
};

// The sums that go with sub-blocks of kSub codes are below 2^12 in magnitude: two bytes, the upper signed.
// smmla takes 8 of them at a time.
constexpr int SumParts(int sub) { return 256 / sub / 8; }

template <typename Tile>
struct ColumnStore {
  alignas(16) int8_t codes[2 * kPanelDepth];
  alignas(16) float scales[Tile::kBlocks][4];
  alignas(16) int32_t sums[Tile::kBlocks][16];  // four per block, or SumParts times two vectors of bytes
};

template <typename View, typename Tile>
[[gnu::always_inline]] inline void PackCodes(const View x[2], uint32_t blocks, ColumnStore<Tile>& to) {
  for (uint32_t i = 0; i < blocks * Tile::kBlockSize; i += 16) {
    InterleavePair(LoadBytes(x[0].codes + i), LoadBytes(x[1].codes + i), to.codes + 2 * i, 16);
  }
  for (uint32_t b = 0; b < blocks; ++b) {
    for (int lane = 0; lane < 4; ++lane) to.scales[b][lane] = x[lane % 2].scales[b];
  }
}

template <typename Tile>
Columns32 PackColumns(const ActivationQ8_0 x[2], uint32_t blocks, ColumnStore<Tile>& to) {
  PackCodes(x, blocks, to);
  auto* sums = reinterpret_cast<int32_t(*)[4]>(to.sums);
  for (uint32_t b = 0; Tile::Type::kMin && b < blocks; ++b) {
    for (int lane = 0; lane < 4; ++lane) sums[b][lane] = x[lane % 2].sums[b];
  }
  return {to.codes, to.scales, sums};
}

template <typename Tile>
ColumnsK PackColumns(const ActivationQ8_K x[2], uint32_t blocks, ColumnStore<Tile>& to) {
  PackCodes(x, blocks, to);
  auto* sums = reinterpret_cast<int8_t*>(to.sums);
  int8_t* out = sums;
  for (uint32_t b = 0; Tile::Type::kMin && b < blocks; ++b) {
    for (int part = 0; part < SumParts(Tile::Type::kSub); ++part, out += 32) {
      int16x8_t eight[2];
      for (int c = 0; c < 2; ++c) {
        const int16_t* from = x[c].sums + size_t{b} * 16 + 8 * part;
        eight[c] = vld1q_s16(from);
        if constexpr (Tile::Type::kSub == 32) eight[c] = vpaddq_s16(eight[c], vld1q_s16(from + 8));
      }
      const int16x8_t seven_bits = vdupq_n_s16(127);
      const auto bytes = [](int16x8_t a, int16x8_t b) __attribute__((always_inline)) {
        return vuzp1q_s8(vreinterpretq_s8_s16(a), vreinterpretq_s8_s16(b));
      };
      StoreBytes(out, bytes(vandq_s16(eight[0], seven_bits), vandq_s16(eight[1], seven_bits)));
      StoreBytes(out + 16, bytes(vshrq_n_s16(eight[0], 7), vshrq_n_s16(eight[1], 7)));
    }
  }
  return {to.codes, to.scales, sums};
}

template <typename View>
[[gnu::always_inline]] inline Floats TimesScale(Floats a, const View& x, uint32_t b) {
  return vmulq_f32(a, vld1q_f32(x.scales[b]));
}
// The sums of block b's codes, times `factor`.
[[gnu::always_inline]] inline Ints SumsOf(const Columns32& x, uint32_t b, int factor) {
  return vmulq_n_s32(vld1q_s32(x.sums[b]), factor);
}

// A tile's factors of the activations' sums, one per row and 16 or 32 codes: eight of either row of a pair.
template <int kSub>
struct PanelOffsets {
  alignas(16) int8_t factors[SumParts(kSub)][kTileVectors][16];
  [[gnu::always_inline]] void Set(int sub, int row, int factor) {
    const int at = sub * 16 / kSub;
    factors[at / 8][row / 2][row % 2 * 8 + at % 8] = static_cast<int8_t>(factor);
  }
};

// dot[v][c] = the factors' dot with the sums of column pair c, from NoDot on: the upper bytes', moved
// up, and the lower ones'.
template <int kVectors, int kColumns, int kSub>
[[gnu::always_inline]] inline void OffsetDots(const PanelOffsets<kSub>& offsets, const ColumnsK x[],
                                              uint32_t b, Ints (&dot)[kVectors][kColumns]) {
  constexpr int kParts = SumParts(kSub);
#pragma GCC unroll 8
  for (int c = 0; c < kColumns; ++c) {
    const int8_t* sums = x[c].sums + size_t{b} * 32 * kParts;
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      Ints high = vshrq_n_s32(NoDot(), 7);  // loses no bit
#pragma GCC unroll 2
      for (int p = 0; p < kParts; ++p) {
        high = vmmlaq_s32(high, LoadBytes(offsets.factors[p][v]), LoadBytes(sums + 32 * p + 16));
      }
      dot[v][c] = vshlq_n_s32(high, 7);
#pragma GCC unroll 2
      for (int p = 0; p < kParts; ++p) {
        dot[v][c] = vmmlaq_s32(dot[v][c], LoadBytes(offsets.factors[p][v]), LoadBytes(sums + 32 * p));
      }
    }
  }
}

// Four rows' floats as the lanes of a tile: those of its rows 4 q .. 4 q + 3.
[[gnu::always_inline]] inline void StoreLanes(float* lanes, int q, Floats rows) {
  StoreFloats(lanes + 8 * q, vzip1q_f32(rows, rows));
  StoreFloats(lanes + 8 * q + 4, vzip2q_f32(rows, rows));
}

// The chains of rows 2 v and 2 v + 1 of columns 2 c and 2 c + 1.
[[gnu::always_inline]] inline Chain LoadChain(float* const y[], int v, int c) {
  const float32x2_t a = vld1_f32(y[2 * c] + 2 * v), b = vld1_f32(y[2 * c + 1] + 2 * v);
  return vcombine_f32(vzip1_f32(a, b), vzip2_f32(a, b));
}
[[gnu::always_inline]] inline void StoreChain(float* const y[], int v, int c, Chain sum) {
  const float32x2_t low = vget_low_f32(sum), high = vget_high_f32(sum);
  vst1_f32(y[2 * c] + 2 * v, vuzp1_f32(low, high));
  vst1_f32(y[2 * c + 1] + 2 * v, vuzp2_f32(low, high));
}

}  // namespace
}  // namespace edgewise::kernels::v128
