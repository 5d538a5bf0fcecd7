// The integer primitives that differ between the x86 instruction sets; everything above them is
// written once. Included by one source per instruction set, compiled with that set's flags, so all
// is in an anonymous namespace: nothing here may become a symbol the linker shares.
//
// A dot step multiplies unsigned codes by signed ones, four per 32-bit lane:
//   VNNI   dpbusd: exact for any operands
//   AVX2   maddubs + madd: pairs are added in 16 bits with saturation, so |w| * 127 * 2 must stay
//          below 32768; codes of 8 bits take the sign trick, |w| * (x with the sign of w)
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace edgewise::kernels {
namespace {

#if defined(__AVX512VNNI__)
constexpr bool kVnni = true;
#elif defined(__AVXVNNI__)
constexpr bool kVnni = true;
#else
constexpr bool kVnni = false;
#endif

// acc + sums of four products u8 * s8. On AVX2 the codes must be at most 7 bits.
[[gnu::always_inline]] inline __m256i DotAdd(__m256i acc, __m256i codes, __m256i x) {
#if defined(__AVX512VNNI__)
  return _mm256_dpbusd_epi32(acc, codes, x);
#elif defined(__AVXVNNI__)
  return _mm256_dpbusd_avx_epi32(acc, codes, x);
#else
  return _mm256_add_epi32(acc,
                          _mm256_madd_epi16(_mm256_maddubs_epi16(codes, x), _mm256_set1_epi16(1)));
#endif
}

// acc + sums of two products s16 * s16.
[[gnu::always_inline]] inline __m256i PairDotAdd(__m256i acc, __m256i a, __m256i b) {
#if defined(__AVX512VNNI__)
  return _mm256_dpwssd_epi32(acc, a, b);
#elif defined(__AVXVNNI__)
  return _mm256_dpwssd_avx_epi32(acc, a, b);
#else
  return _mm256_add_epi32(acc, _mm256_madd_epi16(a, b));
#endif
}

// Lane r = the sum of t[r]'s lanes.
[[gnu::always_inline]] inline __m256i SumEach8(const __m256i t[8]) {
  const __m256i a = _mm256_hadd_epi32(_mm256_hadd_epi32(t[0], t[1]), _mm256_hadd_epi32(t[2], t[3]));
  const __m256i b = _mm256_hadd_epi32(_mm256_hadd_epi32(t[4], t[5]), _mm256_hadd_epi32(t[6], t[7]));
  return _mm256_add_epi32(_mm256_permute2x128_si256(a, b, 0x20),
                          _mm256_permute2x128_si256(a, b, 0x31));
}

[[gnu::always_inline]] inline __m128i SumEach4(const __m256i t[4]) {
  const __m256i a = _mm256_hadd_epi32(_mm256_hadd_epi32(t[0], t[1]), _mm256_hadd_epi32(t[2], t[3]));
  return _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
}

// A vector with one lane per weight row: what a panel of interleaved rows is made of.
#if defined(__AVX512VNNI__)
constexpr int kLanes = 16;
using Ints = __m512i;
using Floats = __m512;

[[gnu::always_inline]] inline Ints ZeroInts() { return _mm512_setzero_si512(); }
[[gnu::always_inline]] inline Ints SetInts(int32_t x) { return _mm512_set1_epi32(x); }
[[gnu::always_inline]] inline Ints LoadInts(const void* p) { return _mm512_loadu_si512(p); }
[[gnu::always_inline]] inline void StoreInts(void* p, Ints x) { _mm512_storeu_si512(p, x); }
[[gnu::always_inline]] inline Ints Add(Ints a, Ints b) { return _mm512_add_epi32(a, b); }
[[gnu::always_inline]] inline Ints Sub(Ints a, Ints b) { return _mm512_sub_epi32(a, b); }
[[gnu::always_inline]] inline Ints And(Ints a, Ints b) { return _mm512_and_si512(a, b); }
[[gnu::always_inline]] inline Ints Mul(Ints a, Ints b) { return _mm512_mullo_epi32(a, b); }
template <int kBits>
[[gnu::always_inline]] inline Ints ShiftLeft(Ints a) {
  return _mm512_slli_epi32(a, kBits);
}
template <int kBits>
[[gnu::always_inline]] inline Ints ShiftRight(Ints a) {
  return _mm512_srai_epi32(a, kBits);
}
[[gnu::always_inline]] inline Ints UnpackLow32(Ints a, Ints b) {
  return _mm512_unpacklo_epi32(a, b);
}
[[gnu::always_inline]] inline Ints UnpackHigh32(Ints a, Ints b) {
  return _mm512_unpackhi_epi32(a, b);
}
[[gnu::always_inline]] inline Ints UnpackLow64(Ints a, Ints b) {
  return _mm512_unpacklo_epi64(a, b);
}
[[gnu::always_inline]] inline Ints UnpackHigh64(Ints a, Ints b) {
  return _mm512_unpackhi_epi64(a, b);
}
[[gnu::always_inline]] inline Ints PairDotAdd(Ints acc, Ints a, Ints b) {
  return _mm512_dpwssd_epi32(acc, a, b);
}
[[gnu::always_inline]] inline Floats ToFloats(Ints a) { return _mm512_cvtepi32_ps(a); }
[[gnu::always_inline]] inline Floats AsFloats(Ints a) { return _mm512_castsi512_ps(a); }
[[gnu::always_inline]] inline Floats Sub(Floats a, Floats b) { return _mm512_sub_ps(a, b); }
[[gnu::always_inline]] inline Floats ZeroFloats() { return _mm512_setzero_ps(); }
[[gnu::always_inline]] inline Floats SetFloats(float x) { return _mm512_set1_ps(x); }
[[gnu::always_inline]] inline Floats LoadFloats(const float* p) { return _mm512_loadu_ps(p); }
[[gnu::always_inline]] inline void StoreFloats(float* p, Floats x) { _mm512_storeu_ps(p, x); }
[[gnu::always_inline]] inline Floats Mul(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
[[gnu::always_inline]] inline Floats MulAdd(Floats a, Floats b, Floats c) {
  return _mm512_fmadd_ps(a, b, c);
}
[[gnu::always_inline]] inline Floats NegMulAdd(Floats a, Floats b, Floats c) {
  return _mm512_fnmadd_ps(a, b, c);
}
// kLanes binary16 values.
[[gnu::always_inline]] inline Floats LoadHalves(const uint16_t* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
#else
constexpr int kLanes = 8;
using Ints = __m256i;
using Floats = __m256;

[[gnu::always_inline]] inline Ints ZeroInts() { return _mm256_setzero_si256(); }
[[gnu::always_inline]] inline Ints SetInts(int32_t x) { return _mm256_set1_epi32(x); }
[[gnu::always_inline]] inline Ints LoadInts(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}
[[gnu::always_inline]] inline void StoreInts(void* p, Ints x) {
  _mm256_storeu_si256(static_cast<__m256i*>(p), x);
}
[[gnu::always_inline]] inline Ints Add(Ints a, Ints b) { return _mm256_add_epi32(a, b); }
[[gnu::always_inline]] inline Ints Sub(Ints a, Ints b) { return _mm256_sub_epi32(a, b); }
[[gnu::always_inline]] inline Ints And(Ints a, Ints b) { return _mm256_and_si256(a, b); }
[[gnu::always_inline]] inline Ints Mul(Ints a, Ints b) { return _mm256_mullo_epi32(a, b); }
template <int kBits>
[[gnu::always_inline]] inline Ints ShiftLeft(Ints a) {
  return _mm256_slli_epi32(a, kBits);
}
template <int kBits>
[[gnu::always_inline]] inline Ints ShiftRight(Ints a) {
  return _mm256_srai_epi32(a, kBits);
}
[[gnu::always_inline]] inline Ints UnpackLow32(Ints a, Ints b) {
  return _mm256_unpacklo_epi32(a, b);
}
[[gnu::always_inline]] inline Ints UnpackHigh32(Ints a, Ints b) {
  return _mm256_unpackhi_epi32(a, b);
}
[[gnu::always_inline]] inline Ints UnpackLow64(Ints a, Ints b) {
  return _mm256_unpacklo_epi64(a, b);
}
[[gnu::always_inline]] inline Ints UnpackHigh64(Ints a, Ints b) {
  return _mm256_unpackhi_epi64(a, b);
}
[[gnu::always_inline]] inline Floats ToFloats(Ints a) { return _mm256_cvtepi32_ps(a); }
[[gnu::always_inline]] inline Floats AsFloats(Ints a) { return _mm256_castsi256_ps(a); }
[[gnu::always_inline]] inline Floats Sub(Floats a, Floats b) { return _mm256_sub_ps(a, b); }
[[gnu::always_inline]] inline Floats ZeroFloats() { return _mm256_setzero_ps(); }
[[gnu::always_inline]] inline Floats SetFloats(float x) { return _mm256_set1_ps(x); }
[[gnu::always_inline]] inline Floats LoadFloats(const float* p) { return _mm256_loadu_ps(p); }
[[gnu::always_inline]] inline void StoreFloats(float* p, Floats x) { _mm256_storeu_ps(p, x); }
[[gnu::always_inline]] inline Floats Mul(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
[[gnu::always_inline]] inline Floats MulAdd(Floats a, Floats b, Floats c) {
  return _mm256_fmadd_ps(a, b, c);
}
[[gnu::always_inline]] inline Floats NegMulAdd(Floats a, Floats b, Floats c) {
  return _mm256_fnmadd_ps(a, b, c);
}
[[gnu::always_inline]] inline Floats LoadHalves(const uint16_t* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
#endif

// The 32-bit word at p in every lane.
[[gnu::always_inline]] inline Ints Broadcast(const void* p) {
  int32_t word;
  __builtin_memcpy(&word, p, sizeof word);
  return SetInts(word);
}

// The 32 bytes of each of eight rows as eight vectors: store(g, v), where v holds bytes 4 g .. 4 g + 3 of
// every row, rows in order.
template <typename Store>
[[gnu::always_inline]] inline void Interleave8(const __m256i rows[8], Store store) {
#pragma GCC unroll 2
  for (int half = 0; half < 2; ++half) {
    __m256i a[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      a[i] = half == 0 ? _mm256_permute2x128_si256(rows[i], rows[4 + i], 0x20)
                       : _mm256_permute2x128_si256(rows[i], rows[4 + i], 0x31);
    }
    const __m256i t0 = _mm256_unpacklo_epi32(a[0], a[1]), t1 = _mm256_unpackhi_epi32(a[0], a[1]);
    const __m256i t2 = _mm256_unpacklo_epi32(a[2], a[3]), t3 = _mm256_unpackhi_epi32(a[2], a[3]);
    store(4 * half, _mm256_unpacklo_epi64(t0, t2));
    store(4 * half + 1, _mm256_unpackhi_epi64(t0, t2));
    store(4 * half + 2, _mm256_unpacklo_epi64(t1, t3));
    store(4 * half + 3, _mm256_unpackhi_epi64(t1, t3));
  }
}

}  // namespace
}  // namespace edgewise::kernels
