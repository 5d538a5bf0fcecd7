// The primitives of v128 kernels for SSE4 (with SSSE3: byte shuffles, maddubs).
//
// A dot step multiplies unsigned codes by signed ones and adds pairs in 16 bits with saturation, so
// codes * 127 * 2 must stay below 32768; codes of 8 bits take the sign trick, |w| * (x with w's sign).
// Zero points are folded in by the activations' sums.
#pragma once

#include <smmintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/activation.h"

namespace edgewise::kernels::v128 {
namespace {

constexpr const char* kOneHow = "4 rows at once, maddubs";
constexpr const char* kManyHow = "interleaved on the fly, maddubs";
constexpr bool kFoldsZero = true;  // codes stay unsigned
// Of 16 registers: four sums in 16 and four in 32 bits, two of weights, and operands on their way. Not 1 by
// 4: a column's codes are broadcast by a shuffle, which then serves one product only.
constexpr int kVectorRows = 4, kVectorColumns = 1;
constexpr int kTileVectors = 2, kTileColumnVectors = 2;
// A panel of 8 rows is 8 KiB, which with a tile's columns stay in L1.
constexpr int kPanelTiles = 1;
constexpr uint32_t kPanelDepth = 1024;

using Bytes = __m128i;
using Ints = __m128i;
using Floats = __m128;

[[gnu::always_inline]] inline Bytes LoadBytes(const void* p) {
  return _mm_loadu_si128(static_cast<const __m128i*>(p));
}
[[gnu::always_inline]] inline void StoreBytes(void* p, Bytes v) {
  _mm_storeu_si128(static_cast<__m128i*>(p), v);
}
[[gnu::always_inline]] inline Bytes SetBytes(int x) { return _mm_set1_epi8(static_cast<char>(x)); }
[[gnu::always_inline]] inline Bytes TwoWords(uint64_t low, uint64_t high) {
  return _mm_set_epi64x(static_cast<int64_t>(high), static_cast<int64_t>(low));
}
[[gnu::always_inline]] inline Bytes Or(Bytes a, Bytes b) { return _mm_or_si128(a, b); }
[[gnu::always_inline]] inline Bytes Sub(Bytes a, Bytes b) { return _mm_sub_epi8(a, b); }
[[gnu::always_inline]] inline Bytes LookUp(Bytes table, Bytes index) {
  return _mm_shuffle_epi8(table, index);
}
// Each byte twice, the lower eight of them.
[[gnu::always_inline]] inline Bytes Doubled(Bytes a) { return _mm_unpacklo_epi8(a, a); }
// The kCount bits from kShift on of every byte.
template <int kShift, int kCount>
[[gnu::always_inline]] inline Bytes BitsOf(Bytes a) {
  return _mm_and_si128(_mm_srli_epi16(a, kShift), SetBytes((1 << kCount) - 1));
}
// Bytes of few bits, moved up.
template <int kShift>
[[gnu::always_inline]] inline Bytes ShiftUp(Bytes a) {
  return _mm_slli_epi16(a, kShift);
}
// 0xff where a has a bit of b.
[[gnu::always_inline]] inline Bytes HasBits(Bytes a, Bytes b) {
  return _mm_xor_si128(_mm_cmpeq_epi8(_mm_and_si128(a, b), _mm_setzero_si128()), SetBytes(-1));
}
[[gnu::always_inline]] inline Bytes And(Bytes a, Bytes b) { return _mm_and_si128(a, b); }

[[gnu::always_inline]] inline Ints ZeroInts() { return _mm_setzero_si128(); }
[[gnu::always_inline]] inline Ints SetInts(int32_t x) { return _mm_set1_epi32(x); }
[[gnu::always_inline]] inline Ints AddInts(Ints a, Ints b) { return _mm_add_epi32(a, b); }
[[gnu::always_inline]] inline Ints SubInts(Ints a, Ints b) { return _mm_sub_epi32(a, b); }
[[gnu::always_inline]] inline Ints MulInts(Ints a, Ints b) { return _mm_mullo_epi32(a, b); }
[[gnu::always_inline]] inline Floats LoadFloats(const float* p) { return _mm_loadu_ps(p); }
[[gnu::always_inline]] inline void StoreFloats(float* p, Floats v) { _mm_storeu_ps(p, v); }

// Four binary16 values, as F16ToF32: the magnitude's bits are those of a float 2^112 too small.
[[gnu::always_inline]] inline Floats LoadHalves(const uint16_t* p) {
  const __m128i h = _mm_cvtepu16_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  const __m128i magnitude = _mm_and_si128(h, _mm_set1_epi32(0x7fff));
  const __m128i sign = _mm_slli_epi32(_mm_xor_si128(h, magnitude), 16);
  const __m128i special = _mm_and_si128(_mm_cmpgt_epi32(magnitude, _mm_set1_epi32(0x7bff)),
                                        _mm_set1_epi32(0x7f800000));
  const __m128 value = _mm_mul_ps(_mm_castsi128_ps(_mm_slli_epi32(magnitude, 13)),
                                  _mm_castsi128_ps(_mm_set1_epi32((127 + 112) << 23)));
  return _mm_or_ps(value, _mm_castsi128_ps(_mm_or_si128(sign, special)));
}

// Four chains of fused multiply-adds, whose values are floats held as doubles.
struct Chain {
  __m128d low, high;
};
[[gnu::always_inline]] inline Chain ToChain(Floats y) {
  return {_mm_cvtps_pd(y), _mm_cvtps_pd(_mm_movehl_ps(y, y))};
}
[[gnu::always_inline]] inline Floats ToFloats(Chain y) {
  return _mm_movelh_ps(_mm_cvtpd_ps(y.low), _mm_cvtpd_ps(y.high));
}

// Where the sum in double lies halfway between two floats, the bits lost before decide.
[[gnu::noinline, gnu::cold]] Chain FusedOneByOne(Floats a, Ints b, Chain y) {
  alignas(16) float factors[4], sums[4];
  alignas(16) int32_t dots[4];
  _mm_store_ps(factors, a);
  _mm_store_ps(sums, ToFloats(y));
  StoreBytes(dots, b);
  for (int i = 0; i < 4; ++i) {
    sums[i] = __builtin_fmaf(factors[i], static_cast<float>(dots[i]), sums[i]);
  }
  return ToChain(_mm_load_ps(sums));
}

// fma(a, float(b), y) without such an instruction. The product is exact in double; the sum rounded to
// double and then to float is the sum rounded to float unless the double lies halfway between two
// floats (its last 29 bits are 100..0), one case in 2^29. So rounding to float is adding half of its
// last place to the bits and cutting off; conversions there and back would take twice as long in all.
// Subnormal floats are multiples of 2^-149, as every term is, so sums there are exact and nothing is
// cut. A chain beyond the largest float becomes infinite when it is stored, not before.
// What the same bits cost here (a Xeon, one thread) against rounding twice: prefill 52 for 95 GOP/s with
// Q4_0, 37 for 58 with Q8_0; decode 7.1 for 8.1 and 8.0 for 8.7 GB/s; K types, with a chain of 256s, nothing.
[[gnu::always_inline]] inline Chain MulAddInt(Floats a, Ints b, Chain y) {
  const __m128d b_high = _mm_cvtepi32_pd(_mm_shuffle_epi32(b, _MM_SHUFFLE(3, 2, 3, 2)));
  const __m128d a_high = _mm_cvtps_pd(_mm_movehl_ps(a, a));
  const __m128d low = _mm_add_pd(_mm_mul_pd(_mm_cvtps_pd(a), _mm_cvtepi32_pd(b)), y.low);
  const __m128d high = _mm_add_pd(_mm_mul_pd(a_high, b_high), y.high);
  const __m128i words = _mm_castps_si128(
      _mm_shuffle_ps(_mm_castpd_ps(low), _mm_castpd_ps(high), _MM_SHUFFLE(2, 0, 2, 0)));
  const __m128i halfway =
      _mm_cmpeq_epi32(_mm_slli_epi32(words, 3), _mm_set1_epi32(static_cast<int>(0x80000000)));
  if (__builtin_expect(_mm_movemask_epi8(halfway) != 0, false)) return FusedOneByOne(a, b, y);
  const auto round = [](__m128d v) __attribute__((always_inline)) {
    const __m128i up = _mm_add_epi64(_mm_castpd_si128(v), _mm_set1_epi64x(0x10000000));
    return _mm_castsi128_pd(_mm_and_si128(up, _mm_set1_epi64x(~int64_t{0x1fffffff})));
  };
  return {round(low), round(high)};
}

// Sums of small products start from NoDot and go into a chain by MulAddDot: below 2^22 in magnitude.
[[gnu::always_inline]] inline Ints NoDot() { return ZeroInts(); }
[[gnu::always_inline]] inline Chain MulAddDot(Floats a, Ints dot, Chain y) { return MulAddInt(a, dot, y); }
[[gnu::always_inline]] inline Floats Scaled(Floats a, float b) { return _mm_mul_ps(a, _mm_set1_ps(b)); }
[[gnu::always_inline]] inline Floats Negated(Floats a) { return _mm_xor_ps(a, _mm_set1_ps(-0.0f)); }

[[gnu::always_inline]] inline Ints PairDots(Bytes w, Bytes x, bool is_signed) {
  return is_signed ? _mm_maddubs_epi16(_mm_abs_epi8(w), _mm_sign_epi8(x, w)) : _mm_maddubs_epi16(w, x);
}

// acc + the dot of kCount x 16 codes, in some split over the lanes.
template <int kCount, int kMaxCode, bool kSigned>
[[gnu::always_inline]] inline Ints DotAdd(Ints acc, const Bytes* w, const Bytes* x) {
  constexpr bool kFits = !kSigned && kMaxCode * 127 * 2 * kCount < 32768;
  Ints pairs = PairDots(w[0], x[0], kSigned);
#pragma GCC unroll 8
  for (int i = 1; i < kCount; ++i) {
    const Ints more = PairDots(w[i], x[i], kSigned);
    if constexpr (kFits) {
      pairs = _mm_add_epi16(pairs, more);
    } else {
      acc = AddInts(acc, _mm_madd_epi16(more, _mm_set1_epi16(1)));
    }
  }
  return AddInts(acc, _mm_madd_epi16(pairs, _mm_set1_epi16(1)));
}

// acc + scale * that dot.
template <int kCount, int kMaxCode>
[[gnu::always_inline]] inline Ints ScaledDotAdd(Ints acc, const Bytes* w, const Bytes* x, int scale) {
  static_assert(kMaxCode * 127 * 2 * kCount < 32768);
  Ints pairs = PairDots(w[0], x[0], false);
#pragma GCC unroll 8
  for (int i = 1; i < kCount; ++i) pairs = _mm_add_epi16(pairs, PairDots(w[i], x[i], false));
  return AddInts(acc, _mm_madd_epi16(pairs, _mm_set1_epi16(static_cast<int16_t>(scale))));
}

// The dot of 16 bytes with 16 sums, in some split over the lanes.
[[gnu::always_inline]] inline Ints ByteDot16(Bytes bytes, const int16_t* sums) {
  const Ints low = _mm_madd_epi16(_mm_cvtepi8_epi16(bytes), LoadBytes(sums));
  const Ints high = _mm_madd_epi16(_mm_cvtepi8_epi16(_mm_srli_si128(bytes, 8)), LoadBytes(sums + 8));
  return AddInts(low, high);
}

// Lane r = the sum of t[r]'s lanes.
[[gnu::always_inline]] inline Ints SumEach4(const Ints t[4]) {
  return _mm_hadd_epi32(_mm_hadd_epi32(t[0], t[1]), _mm_hadd_epi32(t[2], t[3]));
}

// Writes 16 codes of each of four rows as four vectors, `stride` bytes apart: vector g holds bytes
// 4 g .. 4 g + 3 of every row, rows in order.
[[gnu::always_inline]] inline void Interleave(const Bytes rows[4], int8_t* out, size_t stride) {
  const __m128i ab_low = _mm_unpacklo_epi32(rows[0], rows[1]);
  const __m128i ab_high = _mm_unpackhi_epi32(rows[0], rows[1]);
  const __m128i cd_low = _mm_unpacklo_epi32(rows[2], rows[3]);
  const __m128i cd_high = _mm_unpackhi_epi32(rows[2], rows[3]);
  StoreBytes(out, _mm_unpacklo_epi64(ab_low, cd_low));
  StoreBytes(out + stride, _mm_unpackhi_epi64(ab_low, cd_low));
  StoreBytes(out + 2 * stride, _mm_unpacklo_epi64(ab_high, cd_high));
  StoreBytes(out + 3 * stride, _mm_unpackhi_epi64(ab_high, cd_high));
}

// A row's scale of a sub-block as AddScaledDots wants it, twice in 16 bits; `next` is that of the sub-block
// after it.
[[gnu::always_inline]] inline int32_t PanelScale(int scale, int /*next*/) {
  return static_cast<int32_t>(static_cast<uint32_t>(scale) << 16 | (scale & 0xffff));
}

// 16-bit sums of kCount groups of interleaved codes with the columns x[c].
template <int kVectors, int kColumns, int kCount, bool kSigned>
[[gnu::always_inline]] inline void PairSums(const int8_t* codes, const int8_t* const x[], int first,
                                            Ints (&pairs)[kVectors][kColumns]) {
#pragma GCC unroll 8
  for (int g = first; g < first + kCount; ++g) {
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) {
      int32_t word;
      __builtin_memcpy(&word, x[c] + 4 * g, sizeof word);
      const Bytes four = _mm_set1_epi32(word);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) {
        const Ints p = PairDots(LoadBytes(codes + 16 * (kVectors * g + v)), four, kSigned);
        pairs[v][c] = g == first ? p : _mm_add_epi16(pairs[v][c], p);
      }
    }
  }
}

// How many groups 16 bits hold of kGroups.
template <int kGroups, int kMaxCode, bool kSigned>
constexpr int kStepOf = kSigned                                  ? 1
                        : kGroups < 32767 / (kMaxCode * 127 * 2) ? kGroups
                                                                 : 32767 / (kMaxCode * 127 * 2);

// sum[v][c] += factor[v] * the dot of kCodes interleaved codes of rows 4 v .. 4 v + 3 with those of column
// c; the factors lie twice in 16 bits, and multiplying by them is the pair dot itself.
template <int kCodes, int kMaxCode, bool kSigned, int kVectors, int kColumns>
[[gnu::always_inline]] inline void AddCodes(const int8_t* codes, const int8_t* const x[],
                                            const Ints factor[kVectors], Ints (&sum)[kVectors][kColumns]) {
  constexpr int kGroups = kCodes / 4, kStep = kStepOf<kGroups, kMaxCode, kSigned>;
#pragma GCC unroll 8
  for (int g = 0; g < kGroups; g += kStep) {
    Ints pairs[kVectors][kColumns];
    PairSums<kVectors, kColumns, kStep, kSigned>(codes, x, g, pairs);
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
#pragma GCC unroll 8
      for (int c = 0; c < kColumns; ++c) {
        sum[v][c] = AddInts(sum[v][c], _mm_madd_epi16(pairs[v][c], factor[v]));
      }
    }
  }
}

// dot[v][c] += the dot of a block of 32 codes of rows 4 v .. 4 v + 3 with those of column c.
template <int kVectors, int kColumns, int kMaxCode, bool kSigned>
[[gnu::always_inline]] inline void AddDots(const int8_t* codes, const int8_t* const x[],
                                           Ints (&dot)[kVectors][kColumns]) {
  const Ints ones[2] = {_mm_set1_epi16(1), _mm_set1_epi16(1)};
  AddCodes<32, kMaxCode, kSigned>(codes, x, ones, dot);
}

// The same for a sub-block of kSub codes, into total[v][c] and times its scale.
template <int kVectors, int kColumns, int kSub, int kMaxCode>
[[gnu::always_inline]] inline void AddScaledDots(const int8_t* codes, const int8_t* const x[],
                                                 const int32_t* scales, Ints (&)[kVectors][kColumns],
                                                 Ints (&total)[kVectors][kColumns]) {
  static_assert(kVectors == 2);
  const Ints factors[2] = {LoadBytes(scales), LoadBytes(scales + 4)};
  AddCodes<kSub, kMaxCode, false>(codes, x, factors, total);
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

// A panel's factors of the activations' sums, one per row and 16 codes.
template <int kSub>
struct PanelOffsets {
  alignas(16) int16_t pairs[8][4 * kTileVectors][2];
  [[gnu::always_inline]] void Set(int sub, int row, int factor) {
    pairs[sub / 2][row][sub % 2] = static_cast<int16_t>(factor);
  }
};

// dot[v][c] = the factors' dot with the sums of column c.
template <int kVectors, int kColumns, int kSub>
[[gnu::always_inline]] inline void OffsetDots(const PanelOffsets<kSub>& offsets, const ColumnsK x[],
                                              uint32_t b, Ints (&dot)[kVectors][kColumns]) {
#pragma GCC unroll 8
  for (int c = 0; c < kColumns; ++c) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) dot[v][c] = NoDot();
#pragma GCC unroll 8
    for (int p = 0; p < 8; ++p) {
      int32_t two;
      __builtin_memcpy(&two, x[c].sums + size_t{b} * 16 + 2 * p, sizeof two);
      const Ints sums = SetInts(two);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) {
        dot[v][c] = AddInts(dot[v][c], _mm_madd_epi16(LoadBytes(offsets.pairs[p][4 * v]), sums));
      }
    }
  }
}

template <typename View>
[[gnu::always_inline]] inline Floats TimesScale(Floats a, const View& x, uint32_t b) {
  return _mm_mul_ps(a, _mm_set1_ps(x.scales[b]));
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
  return ToChain(_mm_loadu_ps(y[c] + 4 * v));
}
[[gnu::always_inline]] inline void StoreChain(float* const y[], int v, int c, Chain sum) {
  _mm_storeu_ps(y[c] + 4 * v, ToFloats(sum));
}

}  // namespace
}  // namespace edgewise::kernels::v128
