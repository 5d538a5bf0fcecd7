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
// Of 16 registers: four sums in 16 and four in 32 bits, the codes, and operands on their way.
constexpr int kVectorRows = 4, kVectorColumns = 1;
constexpr int kTileVectors = 1, kTileColumnVectors = 4;
// A panel of 8 rows is 8 KiB, which with a tile's columns stay in L1.
constexpr int kPanelTiles = 2;
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

// Where the sum in double lies halfway between two floats, the bits lost before decide.
[[gnu::noinline, gnu::cold]] Floats FusedOneByOne(Floats a, Ints b, Floats y) {
  alignas(16) float factors[4], sums[4];
  alignas(16) int32_t dots[4];
  _mm_store_ps(factors, a);
  _mm_store_ps(sums, y);
  StoreBytes(dots, b);
  for (int i = 0; i < 4; ++i) {
    sums[i] = __builtin_fmaf(factors[i], static_cast<float>(dots[i]), sums[i]);
  }
  return _mm_load_ps(sums);
}

// fma(a, float(b), y), rounded once though there is no such instruction: the product of two floats is
// exact in double, and a sum rounded to double and then to float is the sum rounded to float unless
// the double lies halfway between two floats (29 bits 100..0), which is one case in 2^29. Subnormal
// floats need no care: all terms are multiples of 2^-149, so their sums are exact there.
[[gnu::always_inline]] inline Floats MulAdd(Floats a, Floats b, Ints b_ints, Floats y) {
  const __m128d low = _mm_add_pd(_mm_mul_pd(_mm_cvtps_pd(a), _mm_cvtps_pd(b)), _mm_cvtps_pd(y));
  const __m128d high =
      _mm_add_pd(_mm_mul_pd(_mm_cvtps_pd(_mm_movehl_ps(a, a)), _mm_cvtps_pd(_mm_movehl_ps(b, b))),
                 _mm_cvtps_pd(_mm_movehl_ps(y, y)));
  const __m128i words = _mm_castps_si128(
      _mm_shuffle_ps(_mm_castpd_ps(low), _mm_castpd_ps(high), _MM_SHUFFLE(2, 0, 2, 0)));
  const __m128i halfway =
      _mm_cmpeq_epi32(_mm_slli_epi32(words, 3), _mm_set1_epi32(static_cast<int>(0x80000000)));
  if (__builtin_expect(!_mm_testz_si128(halfway, halfway), false)) {
    return FusedOneByOne(a, b_ints, y);
  }
  return _mm_movelh_ps(_mm_cvtpd_ps(low), _mm_cvtpd_ps(high));
}

// Sums of small products start from NoDot and go into a chain by MulAddDot: below 2^22 in magnitude.
[[gnu::always_inline]] inline Ints NoDot() { return ZeroInts(); }
[[gnu::always_inline]] inline Floats MulAddDot(Floats a, Ints dot, Floats y) {
  return MulAdd(a, _mm_cvtepi32_ps(dot), dot, y);
}
[[gnu::always_inline]] inline Floats MulAddInt(Floats a, Ints b, Floats y) {
  return MulAdd(a, _mm_cvtepi32_ps(b), b, y);
}
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
template <int kColumns, int kCount, bool kSigned>
[[gnu::always_inline]] inline void PairSums(const int8_t* codes, const int8_t* const x[], int first,
                                            Ints pairs[kColumns]) {
#pragma GCC unroll 8
  for (int g = first; g < first + kCount; ++g) {
    const Bytes w = LoadBytes(codes + 16 * g);
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) {
      int32_t four;
      __builtin_memcpy(&four, x[c] + 4 * g, sizeof four);
      const Ints p = PairDots(w, _mm_set1_epi32(four), kSigned);
      pairs[c] = g == first ? p : _mm_add_epi16(pairs[c], p);
    }
  }
}

// How many groups 16 bits hold of kGroups.
template <int kGroups, int kMaxCode, bool kSigned>
constexpr int kStepOf = kSigned                                  ? 1
                        : kGroups < 32767 / (kMaxCode * 127 * 2) ? kGroups
                                                                 : 32767 / (kMaxCode * 127 * 2);

// dot[0][c] += the dot of 32 interleaved codes of four rows with those of column c.
template <int kVectors, int kColumns, int kMaxCode, bool kSigned>
[[gnu::always_inline]] inline void AddDots(const int8_t* codes, const int8_t* const x[],
                                           Ints (&dot)[kVectors][kColumns]) {
  static_assert(kVectors == 1);
  constexpr int kStep = kStepOf<8, kMaxCode, kSigned>;
#pragma GCC unroll 8
  for (int g = 0; g < 8; g += kStep) {
    Ints pairs[kColumns];
    PairSums<kColumns, kStep, kSigned>(codes, x, g, pairs);
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) {
      dot[0][c] = AddInts(dot[0][c], _mm_madd_epi16(pairs[c], _mm_set1_epi16(1)));
    }
  }
}

// total[0][c] += scale * that of a sub-block of kSub codes; multiplying is the pair dot itself.
template <int kVectors, int kColumns, int kSub, int kMaxCode>
[[gnu::always_inline]] inline void AddScaledDots(const int8_t* codes, const int8_t* const x[],
                                                 const int32_t* scales, Ints (&)[kVectors][kColumns],
                                                 Ints (&total)[kVectors][kColumns]) {
  static_assert(kVectors == 1);
  constexpr int kGroups = kSub / 4, kStep = kStepOf<kGroups, kMaxCode, false>;
  const Ints factor = LoadBytes(scales);
#pragma GCC unroll 8
  for (int g = 0; g < kGroups; g += kStep) {
    Ints pairs[kColumns];
    PairSums<kColumns, kStep, false>(codes, x, g, pairs);
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) {
      total[0][c] = AddInts(total[0][c], _mm_madd_epi16(pairs[c], factor));
    }
  }
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
  alignas(16) int16_t pairs[8][4][2];
  [[gnu::always_inline]] void Set(int sub, int row, int factor) {
    pairs[sub / 2][row][sub % 2] = static_cast<int16_t>(factor);
  }
};

// dot[0][c] = the factors' dot with the sums of column c.
template <int kVectors, int kColumns, int kSub>
[[gnu::always_inline]] inline void OffsetDots(const PanelOffsets<kSub>& offsets, const ColumnsK x[],
                                              uint32_t b, Ints (&dot)[kVectors][kColumns]) {
#pragma GCC unroll 8
  for (int c = 0; c < kColumns; ++c) dot[0][c] = NoDot();
#pragma GCC unroll 8
  for (int p = 0; p < 8; ++p) {
    const Ints factors = LoadBytes(offsets.pairs[p]);
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) {
      int32_t two;
      __builtin_memcpy(&two, x[c].sums + size_t{b} * 16 + 2 * p, sizeof two);
      dot[0][c] = AddInts(dot[0][c], _mm_madd_epi16(factors, SetInts(two)));
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
[[gnu::always_inline]] inline Floats LoadChain(float* const y[], int v, int c) {
  return _mm_loadu_ps(y[c] + 4 * v);
}
[[gnu::always_inline]] inline void StoreChain(float* const y[], int v, int c, Floats sum) {
  _mm_storeu_ps(y[c] + 4 * v, sum);
}

}  // namespace
}  // namespace edgewise::kernels::v128
