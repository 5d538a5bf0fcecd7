// The integer dots of a tile: kQuantTileRows rows by one to kQuantTileColumns columns. Lanes are rows. A
// word of a column's codes is broadcast once for kRowVectors vectors of weights, and a vector of weights is
// loaded once for all columns, so that loads (two in a cycle on most cores) are fewer than products.
//
// What a dot of 32 codes of 8 rows and a column costs on AVX2, beside its loads:
//   4 bits   8 maddubs, 7 adds in 16 bits, 1 madd: sixteen products of 15 * 127 fit 16 bits
//   5 bits   8 maddubs, 6 adds in 16 bits, 2 madds, 1 add
//   6 bits   8 maddubs, 4 adds in 16 bits, 4 madds, 3 adds
//   8 bits   8 maddubs, 8 madds, 8 adds: paired_panel-inl.h
// With VNNI 8 dpbusd.
#pragma once

#include "kernels/x86/vectors-inl.h"

namespace edgewise::kernels {
namespace {

constexpr int kRowVectors = 2;
constexpr int kQuantTileRows = kRowVectors * kLanes;
// 2 x 3 sums of each of two kinds, two vectors of weights, a broadcast and a product: 16 registers.
// AVX-512 has 32, and no product of its own.
constexpr int kQuantTileColumns = kLanes == 16 ? 6 : 3;
constexpr size_t kGroupBytes = 4 * kQuantTileRows;  // four codes of every row of a tile

// Keeps a sum in its register and the order of additions as written: g++ would add up a tree of all
// products at the end, keep them on the stack until then, and take twice as long.
[[gnu::always_inline]] inline void Pin(Ints& sum) {
#if defined(__AVX512VNNI__)
  __asm__("" : "+v"(sum));
#else
  __asm__("" : "+x"(sum));
#endif
}

// Added to a dot before it is reinterpreted as a float, 1.5 * 2^23 taken off again gives the dot: for
// |dot| <= 2^22 exact, as a conversion is. Where there is a start value to add anyway it replaces a
// conversion, which competes with the multiplications, by a subtraction, which does not on all cores.
constexpr int32_t kMagicBits = 0x4b400000;
constexpr float kMagic = 12582912.0f;

// Whether sixteen products fit 16 bits: then a pair dot multiplies their sum by the scale and adds, one
// instruction for the multiplication of 32 bits and the addition, which are three.
template <int kMaxCode>
constexpr bool kPairScale = kVnni && kMaxCode * 127 * 16 <= 32767;

// sum += codes . x over kGroups groups of four. AVX2: sum = codes . x, even and odd products apart, in 16
// bits, of as many groups as fit.
template <int kColumns, int kGroups>
[[gnu::always_inline]] inline void AddDots(const int8_t* w, const int8_t* const x[],
                                           Ints sum[kRowVectors][kColumns]) {
#pragma GCC unroll 8
  for (int g = 0; g < kGroups; ++g) {
    Ints codes[kRowVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kRowVectors; ++v) {
      codes[v] = LoadInts(w + g * kGroupBytes + v * 4 * kLanes);
    }
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) {
      const Ints four = Broadcast(x[c] + 4 * g);
#pragma GCC unroll 2
      for (int v = 0; v < kRowVectors; ++v) {
#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
        sum[v][c] = DotStep(sum[v][c], codes[v], four);
#else
        const Ints pairs = _mm256_maddubs_epi16(codes[v], four);
        sum[v][c] = g == 0 ? pairs : _mm256_add_epi16(sum[v][c], pairs);
        Pin(sum[v][c]);
#endif
      }
    }
  }
}

#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
// dot = start + codes . x for a block of 32. kStart: start[c] is added, else kMagicBits.
template <int kColumns, int kMaxCode, bool kStart>
[[gnu::always_inline]] inline void Dot32(const int8_t* w, const int8_t* const x[],
                                         const int32_t* const start[],
                                         Ints dot[kRowVectors][kColumns]) {
#pragma GCC unroll 8
  for (int c = 0; c < kColumns; ++c) {
#pragma GCC unroll 2
    for (int v = 0; v < kRowVectors; ++v) {
      dot[v][c] = kStart ? Broadcast(start[c]) : SetInts(kMagicBits);
    }
  }
  AddDots<kColumns, 8>(w, x, dot);
}

// dot += scale * (codes . x) for kSub codes with one scale in a row.
//   scales  kQuantTileRows of them: 32 bits, with kPairScale the upper half zero
template <int kColumns, int kSub, int kMaxCode>
[[gnu::always_inline]] inline void AddScaledDots(const int8_t* w, const int8_t* const x[],
                                                 const int32_t* scales,
                                                 Ints dot[kRowVectors][kColumns]) {
  constexpr int kCodes = kPairScale<kMaxCode> ? 16 : kSub;
#pragma GCC unroll 2
  for (int s = 0; s < kSub; s += kCodes) {
    Ints part[kRowVectors][kColumns];
    const int8_t* at[kColumns];
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) {
      at[c] = x[c] + s;
#pragma GCC unroll 2
      for (int v = 0; v < kRowVectors; ++v) part[v][c] = ZeroInts();
    }
    AddDots<kColumns, kCodes / 4>(w + s * kQuantTileRows, at, part);
#pragma GCC unroll 2
    for (int v = 0; v < kRowVectors; ++v) {
      const Ints scale = LoadInts(scales + v * kLanes);
#pragma GCC unroll 8
      for (int c = 0; c < kColumns; ++c) {
        dot[v][c] = kPairScale<kMaxCode> ? PairDotAdd(dot[v][c], part[v][c], scale)
                                         : Add(dot[v][c], Mul(part[v][c], scale));
      }
    }
  }
}

#else

// dot = start + codes . x for a block of 32. kStart: start[c] is added, else nothing.
template <int kColumns, int kMaxCode, bool kStart>
[[gnu::always_inline]] inline void Dot32(const int8_t* w, const int8_t* const x[],
                                         const int32_t* const start[],
                                         __m256i dot[kRowVectors][kColumns]) {
  constexpr int kStep = GroupsThatFit(kMaxCode, 8);
#pragma GCC unroll 8
  for (int g = 0; g < 8; g += kStep) {
    const int8_t* at[kColumns];
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) at[c] = x[c] + 4 * g;
    __m256i sum[kRowVectors][kColumns];
    AddDots<kColumns, kStep>(w + g * kGroupBytes, at, sum);
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) {
#pragma GCC unroll 2
      for (int v = 0; v < kRowVectors; ++v) {
        const __m256i wide = _mm256_madd_epi16(sum[v][c], _mm256_set1_epi16(1));
        dot[v][c] = g == 0 ? wide : Add(dot[v][c], wide);
        Pin(dot[v][c]);
      }
    }
  }
  if constexpr (kStart) {
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) {
      const __m256i first = Broadcast(start[c]);
#pragma GCC unroll 2
      for (int v = 0; v < kRowVectors; ++v) dot[v][c] = Add(dot[v][c], first);
    }
  }
}

// dot += scale * (codes . x) for kSub codes with one scale in a row.
//   scales  kQuantTileRows of them, each twice in 16 bits
template <int kColumns, int kSub, int kMaxCode>
[[gnu::always_inline]] inline void AddScaledDots(const int8_t* w, const int8_t* const x[],
                                                 const int32_t* scales,
                                                 __m256i dot[kRowVectors][kColumns]) {
  constexpr int kStep = GroupsThatFit(kMaxCode, kSub / 4);
#pragma GCC unroll 8
  for (int g = 0; g < kSub / 4; g += kStep) {
    const int8_t* at[kColumns];
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) at[c] = x[c] + 4 * g;
    __m256i sum[kRowVectors][kColumns];
    AddDots<kColumns, kStep>(w + g * kGroupBytes, at, sum);
#pragma GCC unroll 2
    for (int v = 0; v < kRowVectors; ++v) {
      const __m256i scale = LoadInts(scales + v * kLanes);
#pragma GCC unroll 8
      for (int c = 0; c < kColumns; ++c) {
        dot[v][c] = PairDotAdd(dot[v][c], sum[v][c], scale);
        Pin(dot[v][c]);
      }
    }
  }
}

#endif

}  // namespace
}  // namespace edgewise::kernels
