// The vectors that all x86 kernels of quantised weights are written in, for both widths, and the products
// that differ between the instruction sets. Included by one source per instruction set, compiled with that
// set's flags, so all is in an anonymous namespace: nothing here may become a symbol the linker shares.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace edgewise::kernels {
namespace {

#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
constexpr bool kVnni = true;
#else
constexpr bool kVnni = false;
#endif

// A vector with one lane per weight row: what a panel of interleaved rows is made of.
#if defined(__AVX512VNNI__)
constexpr int kLanes = 16;
using Ints = __m512i;
using Floats = __m512;

[[gnu::always_inline]] inline Ints ZeroInts() { return _mm512_setzero_si512(); }
[[gnu::always_inline]] inline Ints SetInts(int32_t x) { return _mm512_set1_epi32(x); }
[[gnu::always_inline]] inline Ints LoadInts(const void* p) { return _mm512_loadu_si512(p); }
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
// Bytes and 16-bit halves of a vector.
[[gnu::always_inline]] inline Ints SetBytes(int x) { return _mm512_set1_epi8(static_cast<char>(x)); }
[[gnu::always_inline]] inline Ints Or(Ints a, Ints b) { return _mm512_or_si512(a, b); }
[[gnu::always_inline]] inline Ints Xor(Ints a, Ints b) { return _mm512_xor_si512(a, b); }
[[gnu::always_inline]] inline Ints SubBytes(Ints a, Ints b) { return _mm512_sub_epi8(a, b); }
[[gnu::always_inline]] inline Ints LeastBytes(Ints a, Ints b) { return _mm512_min_epu8(a, b); }
[[gnu::always_inline]] inline Ints Repeat128(__m128i x) { return _mm512_broadcast_i32x4(x); }
[[gnu::always_inline]] inline Ints PickBytes(Ints from, Ints at) {
  return _mm512_shuffle_epi8(from, at);
}
[[gnu::always_inline]] inline Ints ShiftRight16(Ints a, int bits) {
  return _mm512_srli_epi16(a, static_cast<unsigned>(bits));
}
[[gnu::always_inline]] inline Ints ShiftLeft16(Ints a, int bits) {
  return _mm512_slli_epi16(a, static_cast<unsigned>(bits));
}
[[gnu::always_inline]] inline Ints SignedRight16(Ints a, int bits) {
  return _mm512_srai_epi16(a, static_cast<unsigned>(bits));
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
// Bytes and 16-bit halves of a vector.
[[gnu::always_inline]] inline Ints SetBytes(int x) { return _mm256_set1_epi8(static_cast<char>(x)); }
[[gnu::always_inline]] inline Ints Or(Ints a, Ints b) { return _mm256_or_si256(a, b); }
[[gnu::always_inline]] inline Ints Xor(Ints a, Ints b) { return _mm256_xor_si256(a, b); }
[[gnu::always_inline]] inline Ints SubBytes(Ints a, Ints b) { return _mm256_sub_epi8(a, b); }
[[gnu::always_inline]] inline Ints LeastBytes(Ints a, Ints b) { return _mm256_min_epu8(a, b); }
[[gnu::always_inline]] inline Ints Repeat128(__m128i x) { return _mm256_broadcastsi128_si256(x); }
[[gnu::always_inline]] inline Ints PickBytes(Ints from, Ints at) {
  return _mm256_shuffle_epi8(from, at);
}
[[gnu::always_inline]] inline Ints ShiftRight16(Ints a, int bits) {
  return _mm256_srli_epi16(a, bits);
}
[[gnu::always_inline]] inline Ints ShiftLeft16(Ints a, int bits) {
  return _mm256_slli_epi16(a, bits);
}
[[gnu::always_inline]] inline Ints SignedRight16(Ints a, int bits) {
  return _mm256_srai_epi16(a, bits);
}
#endif

// The bits of `mask` from `shift` on of every byte.
[[gnu::always_inline]] inline Ints BitsOf(Ints bytes, int shift, int mask) {
  return And(shift == 0 ? bytes : ShiftRight16(bytes, shift), SetBytes(mask));
}

// sum + four products u8 * s8 in each lane, exact for any operands. AVX2 without VNNI takes vpmaddubsw, which
// adds pairs of products in 16 bits with saturation, and vpmaddwd.
#if defined(__AVX512VNNI__)
[[gnu::always_inline]] inline Ints DotStep(Ints sum, Ints codes, Ints x) {
  return _mm512_dpbusd_epi32(sum, codes, x);
}
#elif defined(__AVXVNNI__)
[[gnu::always_inline]] inline Ints DotStep(Ints sum, Ints codes, Ints x) {
  return _mm256_dpbusd_avx_epi32(sum, codes, x);
}
#endif

// sum + two products s16 * s16 in each lane.
[[gnu::always_inline]] inline Ints PairDotAdd(Ints sum, Ints a, Ints b) {
#if defined(__AVX512VNNI__)
  return _mm512_dpwssd_epi32(sum, a, b);
#elif defined(__AVXVNNI__)
  return _mm256_dpwssd_avx_epi32(sum, a, b);
#else
  return Add(sum, _mm256_madd_epi16(a, b));
#endif
}

// How many groups of four products, of `groups`, vpmaddubsw may multiply and 16 bits add without saturation.
constexpr int GroupsThatFit(int max_code, int groups) {
  const int fit = 32767 / (max_code * 127 * 2);
  return fit < groups ? fit : groups;
}

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
