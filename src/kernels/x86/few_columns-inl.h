// Products of quantised weights with one or a few columns. Lanes run along k: blocks are unpacked in
// registers straight from the mapped weights, and each block's dot is summed across its lanes. Bound by
// memory. The arithmetic is that of plain_matmul.cc, bit for bit: exact integer dots per block, one
// chain of fused multiply-adds over the blocks of a row. Rows beyond the last are the last row again,
// computed and not stored.
#pragma once

#include "kernels/activation.h"
#include "kernels/x86/weight_rows-inl.h"

namespace edgewise::kernels {
namespace {

template <typename Type>
void FewColumns32(const MatMulArgs& a) {
  using Block = typename Type::Block;
  constexpr int kRows = 8;
  const uint32_t blocks = a.k / kBlock32;
  for (uint32_t i = 0; i < a.rows; i += kRows) {
    const Block* rows[kRows];
    RowPointers<Block, kRows>(a, i, rows);
    for (uint32_t j = 0; j < a.m; ++j) {
      const ActivationQ8_0 x = ViewQ8_0(a.x + j * a.x_stride, a.k);
      NextRows<Block, kRows> next(a, i, j == 0);
      __m256 sum = _mm256_setzero_ps();
      for (uint32_t b = 0; b < blocks; ++b) {
        next.Fetch();
        const __m256i codes = Load256(x.codes + size_t{b} * kBlock32);
        __m256i dots[kRows];
        alignas(16) uint16_t d[kRows];
        [[maybe_unused]] alignas(16) uint16_t m[kRows];
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) {
          const Block& block = rows[r][b];
          const __m256i w = Operand<Type>(block);
          dots[r] = kSignTrick<Type> ? DotAdd(_mm256_setzero_si256(), _mm256_abs_epi8(w),
                                              _mm256_sign_epi8(codes, w))
                                     : DotAdd(_mm256_setzero_si256(), w, codes);
          d[r] = block.d;
          if constexpr (Type::kMin) m[r] = block.m;
        }
        __m256i dot = SumEach8(dots);
        if constexpr (kZeroOf<Type> != 0) {
          dot = _mm256_sub_epi32(dot, _mm256_set1_epi32(kZeroOf<Type> * x.sums[b]));
        }
        const __m256 scale = _mm256_set1_ps(x.scales[b]);
        const __m256 d8 = _mm256_cvtph_ps(Load128(d));
        sum = _mm256_fmadd_ps(_mm256_mul_ps(d8, scale), _mm256_cvtepi32_ps(dot), sum);
        if constexpr (Type::kMin) {
          const __m256 total = _mm256_set1_ps(static_cast<float>(x.sums[b]));
          sum = _mm256_fmadd_ps(_mm256_mul_ps(_mm256_cvtph_ps(Load128(m)), scale), total, sum);
        }
      }
      float sums[kRows];
      _mm256_storeu_ps(sums, sum);
      StoreRows<kRows>(sums, a.rows - i, a.y + j * a.y_stride + i);
    }
  }
}

// Scale 2 j in the lower and 2 j + 1 in the upper half, as 16-bit factors.
template <int kSub>
[[gnu::always_inline]] inline __m256i Factor(const int16_t scales[16], int j) {
  if constexpr (kSub == 32) return _mm256_set1_epi16(scales[2 * j]);
  return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_set1_epi16(scales[2 * j])),
                                 _mm_set1_epi16(scales[2 * j + 1]), 1);
}

// Here maddubs serves VNNI too: K codes have at most six bits, and the multiplication by the
// sub-block's scale then is the pair dot itself.
template <typename Type>
void FewColumnsK(const MatMulArgs& a) {
  using Block = typename Type::Block;
  constexpr int kRows = 4;
  static_assert(Type::kMaxCode * 127 * 2 < 32768);
  const uint32_t blocks = a.k / kBlockK;
  for (uint32_t i = 0; i < a.rows; i += kRows) {
    const Block* rows[kRows];
    RowPointers<Block, kRows>(a, i, rows);
    for (uint32_t j = 0; j < a.m; ++j) {
      const ActivationQ8_K x = ViewQ8_K(a.x + j * a.x_stride, a.k);
      NextRows<Block, kRows> next(a, i, j == 0);
      __m128 sum = _mm_setzero_ps();
      for (uint32_t b = 0; b < blocks; ++b) {
        next.Fetch();
        const int8_t* codes = x.codes + size_t{b} * kBlockK;
        const __m256i sums16 = Load256(x.sums + size_t{b} * 16);
        __m256i dots[kRows], offsets[kRows];
        alignas(16) uint16_t d[8] = {};
        [[maybe_unused]] alignas(16) uint16_t dmin[8] = {};
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) {
          const Block& block = rows[r][b];
          const __m256i scales = Type::Scales(block);
          alignas(32) int16_t scale[16];
          _mm256_store_si256(reinterpret_cast<__m256i*>(scale), scales);
          __m256i dot = _mm256_setzero_si256();
#pragma GCC unroll 8
          for (int s = 0; s < 8; ++s) {
            const __m256i pairs =
                _mm256_maddubs_epi16(Type::Codes(block, s), Load256(codes + 32 * s));
            dot = PairDotAdd(dot, pairs, Factor<Type::kSub>(scale, s));
          }
          offsets[r] = _mm256_madd_epi16(Type::Offsets(block, scales), sums16);
          dots[r] = Type::kMin ? dot : _mm256_sub_epi32(dot, offsets[r]);
          d[r] = block.d;
          if constexpr (Type::kMin) dmin[r] = block.dmin;
        }
        const __m128 scale = _mm_set1_ps(x.scales[b]);
        const __m128 d4 = _mm_cvtph_ps(Load128(d));
        sum = _mm_fmadd_ps(_mm_mul_ps(d4, scale), _mm_cvtepi32_ps(SumEach4(dots)), sum);
        if constexpr (Type::kMin) {
          const __m128 dmin4 = _mm_cvtph_ps(Load128(dmin));
          sum = _mm_fnmadd_ps(_mm_mul_ps(dmin4, scale), _mm_cvtepi32_ps(SumEach4(offsets)), sum);
        }
      }
      float sums[kRows];
      _mm_storeu_ps(sums, sum);
      StoreRows<kRows>(sums, a.rows - i, a.y + j * a.y_stride + i);
    }
  }
}

}  // namespace
}  // namespace edgewise::kernels
