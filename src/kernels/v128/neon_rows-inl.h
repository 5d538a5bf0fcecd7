// Tiles of many columns for NEON: lanes are rows, four codes of each in a vector, and a column's codes
// are broadcast four at a time. Included by neon-inl.h.
//
// FEAT_DotProd: sdot takes the four codes as a lane of its operand, so nothing is broadcast.
// Without it: smull and smlal into 16 bits, two partial sums per row, as many groups of four as fit;
// then pairs are added into 32 bits.
#pragma once

namespace edgewise::kernels::v128 {
namespace {

constexpr int kVectorRows = 4, kVectorColumns = 1;
#if defined(__ARM_FEATURE_DOTPROD)
constexpr const char* kOneHow = "4 rows at once, sdot";
constexpr const char* kManyHow = "interleaved on the fly, sdot by lane";
// Of 32 registers: 8 integer and 8 float sums, four columns' codes, two of weights, the scales. Eight
// chains of sdot hide its latency of 3 cycles at two a cycle.
constexpr int kTileVectors = 2, kTileColumnVectors = 4;
constexpr int kPanelTiles = 1;
#else
constexpr const char* kOneHow = "4 rows at once, smull and smlal";
constexpr const char* kManyHow = "interleaved on the fly, smlal";
constexpr int kTileVectors = 1, kTileColumnVectors = 4;  // 8 sums in 16 bits, 4 in 32, 4 of floats
constexpr int kPanelTiles = 2;
#endif
constexpr uint32_t kPanelDepth = 1024;  // 8 rows: 8 KiB, which with a tile's columns stay in L1

// Writes 16 codes of each of four rows as four vectors, `stride` bytes apart: vector g holds bytes
// 4 g .. 4 g + 3 of every row, rows in order.
[[gnu::always_inline]] inline void Interleave(const Bytes rows[4], int8_t* out, size_t stride) {
  const Ints a = vreinterpretq_s32_s8(rows[0]), b = vreinterpretq_s32_s8(rows[1]);
  const Ints c = vreinterpretq_s32_s8(rows[2]), d = vreinterpretq_s32_s8(rows[3]);
  const int64x2_t ab_even = vreinterpretq_s64_s32(vtrn1q_s32(a, b));
  const int64x2_t ab_odd = vreinterpretq_s64_s32(vtrn2q_s32(a, b));
  const int64x2_t cd_even = vreinterpretq_s64_s32(vtrn1q_s32(c, d));
  const int64x2_t cd_odd = vreinterpretq_s64_s32(vtrn2q_s32(c, d));
  StoreBytes(out, vreinterpretq_s8_s64(vtrn1q_s64(ab_even, cd_even)));
  StoreBytes(out + stride, vreinterpretq_s8_s64(vtrn1q_s64(ab_odd, cd_odd)));
  StoreBytes(out + 2 * stride, vreinterpretq_s8_s64(vtrn2q_s64(ab_even, cd_even)));
  StoreBytes(out + 3 * stride, vreinterpretq_s8_s64(vtrn2q_s64(ab_odd, cd_odd)));
}

#if defined(__ARM_FEATURE_DOTPROD)
// dot[v][c] += the dot of 4 codes of rows 4 v .. 4 v + 3 with lane kLane of column c's 16 codes.
template <int kLane, int kVectors, int kColumns>
[[gnu::always_inline]] inline void AddGroup(const int8_t* codes, const Bytes x[kColumns],
                                            Ints (&dot)[kVectors][kColumns]) {
#pragma GCC unroll 8
  for (int v = 0; v < kVectors; ++v) {
    const Bytes w = LoadBytes(codes + 16 * (kVectors * kLane + v));
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) dot[v][c] = vdotq_laneq_s32(dot[v][c], w, x[c], kLane);
  }
}

// dot[v][c] += the dot of kCodes interleaved codes with those of column c.
template <int kCodes, int /*kMaxCode*/, int kVectors, int kColumns>
[[gnu::always_inline]] inline void AddCodes(const int8_t* codes, const int8_t* const x[],
                                            Ints (&dot)[kVectors][kColumns]) {
#pragma GCC unroll 8
  for (int k = 0; k < kCodes; k += 16) {
    Bytes columns[kColumns];
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) columns[c] = LoadBytes(x[c] + k);
    const int8_t* four = codes + k * 4 * kVectors;
    AddGroup<0>(four, columns, dot);
    AddGroup<1>(four, columns, dot);
    AddGroup<2>(four, columns, dot);
    AddGroup<3>(four, columns, dot);
  }
}
#else
template <int kCodes, int kMaxCode, int kVectors, int kColumns>
[[gnu::always_inline]] inline void AddCodes(const int8_t* codes, const int8_t* const x[],
                                            Ints (&dot)[kVectors][kColumns]) {
  static_assert(kVectors == 1);
  constexpr int kGroups = kCodes / 4, kFit = 32767 / (kMaxCode * 127);
  constexpr int kStep = kFit < kGroups ? kFit / 2 * 2 : kGroups;
  static_assert(kGroups % kStep == 0);
#pragma GCC unroll 8
  for (int g0 = 0; g0 < kGroups; g0 += kStep) {
    int16x8_t low[kColumns], high[kColumns];  // rows 0, 1 and 2, 3: four partial sums each
#pragma GCC unroll 8
    for (int g = g0; g < g0 + kStep; ++g) {
      const Bytes w = LoadBytes(codes + 16 * g);
#pragma GCC unroll 8
      for (int c = 0; c < kColumns; ++c) {
        int32_t word;
        __builtin_memcpy(&word, x[c] + 4 * g, sizeof word);
        const Bytes four = vreinterpretq_s8_s32(vdupq_n_s32(word));
        if (g == g0) {
          low[c] = vmull_s8(vget_low_s8(w), vget_low_s8(four));
          high[c] = vmull_high_s8(w, four);
        } else {
          low[c] = vmlal_s8(low[c], vget_low_s8(w), vget_low_s8(four));
          high[c] = vmlal_high_s8(high[c], w, four);
        }
      }
    }
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) {
      if constexpr (2 * kMaxCode * 127 * kStep <= 32767) {
        dot[0][c] = vpadalq_s16(dot[0][c], vpaddq_s16(low[c], high[c]));
      } else {
        dot[0][c] = vaddq_s32(dot[0][c], vpaddq_s32(vpaddlq_s16(low[c]), vpaddlq_s16(high[c])));
      }
    }
  }
}
#endif

// A tile's factors of the activations' sums, one per row and 16 or 32 codes.
template <int kSub>
struct PanelOffsets {
  alignas(16) int16_t factors[256 / kSub][4 * kTileVectors];
  [[gnu::always_inline]] void Set(int sub, int row, int factor) {
    factors[sub * 16 / kSub][row] = static_cast<int16_t>(factor);
  }
};

// A function of its own: clang's intrinsics by lane are macros that no parameter pack can expand in.
template <int kLane>
[[gnu::always_inline]] inline Ints AddLane(Ints dot, const int16_t* factors, int16x8_t sums) {
  return vmlal_laneq_s16(dot, vld1_s16(factors), sums, kLane);
}
template <int kFirst, int kVectors, int kColumns, typename Factors, int... kLane>
[[gnu::always_inline]] inline void AddOffsets(const Factors& factors, const int16x8_t sums[kColumns],
                                              Ints (&dot)[kVectors][kColumns],
                                              std::integer_sequence<int, kLane...>) {
#pragma GCC unroll 8
  for (int v = 0; v < kVectors; ++v) {
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) {
      ((dot[v][c] = AddLane<kLane>(dot[v][c], factors[kFirst + kLane] + 4 * v, sums[c])), ...);
    }
  }
}

// dot[v][c] = the factors' dot with the sums of column c, from NoDot on.
template <int kVectors, int kColumns, int kSub>
[[gnu::always_inline]] inline void OffsetDots(const PanelOffsets<kSub>& offsets, const ActivationQ8_K x[],
                                              uint32_t b, Ints (&dot)[kVectors][kColumns]) {
  int16x8_t low[kColumns], high[kColumns];
#pragma GCC unroll 8
  for (int c = 0; c < kColumns; ++c) {
    low[c] = vld1q_s16(x[c].sums + size_t{b} * 16);
    high[c] = vld1q_s16(x[c].sums + size_t{b} * 16 + 8);
    if constexpr (kSub == 32) low[c] = vpaddq_s16(low[c], high[c]);
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) dot[v][c] = NoDot();
  }
  const std::make_integer_sequence<int, 8> eight;
  AddOffsets<0>(offsets.factors, low, dot, eight);
  if constexpr (kSub == 16) AddOffsets<8>(offsets.factors, high, dot, eight);
}

// What a tile reads of a column: the activation row itself.
using Columns32 = ActivationQ8_0;
using ColumnsK = ActivationQ8_K;
template <typename Type>
struct ColumnStore {};
template <typename Type, typename View>
[[gnu::always_inline]] inline View PackColumns(const View* x, uint32_t, ColumnStore<Type>&) {
  return *x;
}
template <typename View>
[[gnu::always_inline]] inline Floats TimesScale(Floats a, const View& x, uint32_t b) {
  return vmulq_n_f32(a, x.scales[b]);
}
// The sum of block b's codes, times `factor`, in every lane.
[[gnu::always_inline]] inline Ints SumsOf(const Columns32& x, uint32_t b, int factor) {
  return SetInts(factor * x.sums[b]);
}

// Four rows' floats as the lanes of a tile: those of its rows 4 q .. 4 q + 3.
[[gnu::always_inline]] inline void StoreLanes(float* lanes, int q, Floats rows) {
  StoreFloats(lanes + 4 * q, rows);
}

// The chains of rows 4 v .. 4 v + 3 of column c.
[[gnu::always_inline]] inline Chain LoadChain(float* const y[], int v, int c) {
  return vld1q_f32(y[c] + 4 * v);
}
[[gnu::always_inline]] inline void StoreChain(float* const y[], int v, int c, Chain sum) {
  vst1q_f32(y[c] + 4 * v, sum);
}

}  // namespace
}  // namespace edgewise::kernels::v128
