// Products of one column with blocks of 18 bytes, a binary16 scale and 32 nibbles (Q4_0, IQ4_NL). Lanes are
// rows as in few_columns-inl.h and the arithmetic is the same, but eight blocks are fetched at a time: whole
// words, nine for a pair of blocks,
//   [d q q] [q q q q] [q q q q] [q q q q] [q q d'] [q' q' q' q'] ...
// so scales are transposed with the codes and cost 4 more vector instructions a block, not 18; pointers are
// loaded once for 144 bytes of a row.
//
// Nanoseconds for 16 rows and a block from cache, in a fast and in a slow minute of a shared core, before
// and now: AVX-512 Q4_0 11.5 to 9.6 and 17.1 to 12.2, IQ4_NL 12.6 to 10.9 and 18.1 to 15.1; AVX2 Q4_0 14.3
// to 12.6 and 18.4 to 16.0, IQ4_NL 19.8 to 18.2 and 25.8 to 21.8. Memory takes 21, which a kernel of 17 does
// not reach. Layers from a mapped file as a share of a plain loop's speed, medians of 60 and 30 turns with 2
// and 1 threads: AVX-512 Q4_0 85 to 92% and 91 to 97%, IQ4_NL 82 to 91% and 92 to 96%; AVX2 Q4_0 86 to 89%
// and 86 to 93%, IQ4_NL 66 to 74% and 65 to 74%.
#pragma once

#include "kernels/x86/few_columns_k-inl.h"

namespace edgewise::kernels {
namespace {

template <typename Type>
constexpr bool kSplitPairs = sizeof(typename Type::Block) == 18;

// The lower half of every word of `low`, the upper of `high`.
[[gnu::always_inline]] inline Ints MergeHalves(Ints low, Ints high) {
#if defined(__AVX512VNNI__)
  return _mm512_mask_blend_epi16(0xaaaaaaaa, low, high);
#else
  return _mm256_blend_epi16(low, high, 0xaa);
#endif
}

// The lower and the upper half of every word, binary16 as floats.
[[gnu::always_inline]] inline void BothHalves(Ints words, Floats out[2]) {
#if defined(__AVX512VNNI__)
  const Ints even_odd = _mm512_set_epi16(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1,  //
                                         30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
  const Ints sorted = _mm512_permutexvar_epi16(even_odd, words);
  out[0] = _mm512_cvtph_ps(_mm512_castsi512_si256(sorted));
  out[1] = _mm512_cvtph_ps(_mm512_extracti64x4_epi64(sorted, 1));
#else
  const Ints even_odd = Repeat128(_mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15));
  const Ints sorted = _mm256_permute4x64_epi64(PickBytes(words, even_odd), 0xd8);
  out[0] = _mm256_cvtph_ps(_mm256_castsi256_si128(sorted));
  out[1] = _mm256_cvtph_ps(_mm256_extracti128_si256(sorted, 1));
#endif
}

// The codes of the low nibbles and of the high ones.
template <typename Type>
[[gnu::always_inline]] inline void NibbleCodes(Ints packed, Ints& low, Ints& high) {
  low = BitsOf(packed, 0, 15);
  high = BitsOf(packed, 4, 15);
  if constexpr (Type::kSigned) {
    const Ints levels =
        Repeat128(_mm_xor_si128(Load128(kIq4NlValues), _mm_set1_epi8(static_cast<char>(kVnni ? 128 : 0))));
    low = PickBytes(levels, low);
    high = PickBytes(levels, high);
  }
}

// sum + the product of block b, whose codes[g] are multiplied with the four of x at at[g].
template <typename Type>
[[gnu::always_inline]] inline Floats AddBlock(const ActivationQ8_0& x, uint32_t b, Floats d,
                                              const Ints codes[kWords32], const int8_t* const at[kWords32],
                                              Floats sum) {
  Ints dot = ZeroInts();
  if constexpr (kZeroOf<Type> != 0) {
    dot = PairDotAdd(dot, SetInts(-kZeroOf<Type> & 0xffff), Broadcast(x.sums + b));
  }
  dot = DotWords<kWords32, Type::kMaxCode, kSignTrick<Type>, false>(codes, at, ZeroInts(), dot);
  return MulAdd(Mul(d, SetFloats(x.scales[b])), ToFloats(dot), sum);
}

template <typename Type>
void OneColumnPairs(const MatMulArgs& a) {
  using Block = typename Type::Block;
  static_assert(kSplitPairs<Type> && offsetof(Block, d) == 0 && offsetof(Block, qs) == 2);
  constexpr uint32_t kGroup = 8, kPairs = kGroup / 2;
  constexpr int kPairWords = 2 * sizeof(Block) / 4;
  const uint32_t blocks = a.k / kBlock32;
  const ActivationQ8_0 x = ViewQ8_0(a.x, a.k);
  LaneRows<Block> rows(a);
  for (uint32_t step = 0; step < rows.steps(); ++step) {
    rows.Go(step);
    Floats sum = ZeroFloats();
    uint32_t b = 0;
    for (; b + kGroup <= blocks; b += kGroup) {
      Ints words[kPairs * kPairWords];
      ManyWords<kPairs * kPairWords>(rows, b, 0, words);
#pragma GCC unroll 4
      for (uint32_t p = 0; p < kPairs; ++p) {
        const Ints* w = words + kPairWords * p;
        const int8_t* pair_x = x.codes + size_t{b + 2 * p} * kBlock32;
        // The first block begins in the middle of a word. Its last two bytes and its first two make one word,
        // and codes 14, 15, 0 and 1 of either half of x the other factors.
        const Ints split = MergeHalves(w[4], w[0]);
        alignas(32) int8_t split_x[kBlock32];
        const int at14 = 0x01000f0e;
        _mm256_store_si256(reinterpret_cast<__m256i*>(split_x),
                           _mm256_shuffle_epi8(Load256(pair_x), _mm256_set1_epi32(at14)));
        Floats d[2];
        BothHalves(MergeHalves(w[0], w[4]), d);
#pragma GCC unroll 2
        for (uint32_t odd = 0; odd < 2; ++odd) {
          // Every lane's lines of what is so far ahead, some lanes with each block.
#pragma GCC unroll 2
          for (uint32_t r = 2 * p + odd; r < kLanes; r += kGroup) {
            rows.template Fetch<kGroup * sizeof(Block)>(static_cast<int>(r), b);
          }
          Ints codes[kWords32];
          const int8_t* at[kWords32];
#pragma GCC unroll 4
          for (int g = 0; g < 4; ++g) {
            const bool is_split = odd == 0 && g == 0;
            NibbleCodes<Type>(is_split ? split : w[5 * odd + g], codes[g], codes[4 + g]);
            const int8_t* low = pair_x + (odd == 0 ? 4 * g - 2 : kBlock32 + 4 * g);
            at[g] = is_split ? split_x : low;
            at[4 + g] = (is_split ? split_x : low) + 16;
          }
          sum = AddBlock<Type>(x, b + 2 * p + odd, d[odd], codes, at, sum);
        }
      }
    }
    for (; b < blocks; ++b) {
      rows.FetchTurn(b);
      Ints codes[kWords32];
      CodeWords(rows, b, codes);
      const int8_t* at[kWords32];
#pragma GCC unroll 8
      for (int g = 0; g < kWords32; ++g) at[g] = x.codes + size_t{b} * kBlock32 + kCodesPerWord * g;
      sum = AddBlock<Type>(x, b, Halves(rows, b, offsetof(Block, d)), codes, at, sum);
    }
    rows.Store(step, 0, sum);
  }
}

}  // namespace
}  // namespace edgewise::kernels
