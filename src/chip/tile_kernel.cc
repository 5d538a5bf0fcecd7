#include "chip/tile_kernel.h"

#include <algorithm>
#include <utility>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace edgewise::chip {
namespace {

uint64_t RunPlain(const BlockRun& b) {
  for (uint64_t block = 0; block < b.blocks; ++block) {
    for (uint32_t j = 0; j < kBlockSide; ++j) {
      int16_t w[kBlockSide];
      for (uint32_t l = 0; l < kBlockSide; ++l) w[l] = b.w[j * b.w_stride + block * kBlockSide + l];
      for (uint32_t i = 0; i < b.rows; ++i) {
        const int16_t* a = b.a + i * b.a_stride + block * kBlockSide;
        int32_t sum = 0;  // of eight products of 2^15 2^7 at most
        for (uint32_t l = 0; l < kBlockSide; ++l) sum += a[l] * w[l];
        b.sums[i * kBlockSide + j] += static_cast<uint32_t>(sum);
      }
    }
  }
  return b.blocks;
}

#if defined(__x86_64__)

// A block of W is transposed in registers to pairs along k, side by side for its 8 rows: a pair of
// A, broadcast, meets them in one multiply-add, and sums stay apart by output. No sum across lanes.
template <int kRows>
__attribute__((target("avx2"))) uint64_t RunAvx2(const BlockRun& b) {
  __m256i sums[kRows];
  for (int i = 0; i < kRows; ++i) {
    sums[i] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b.sums + i * kBlockSide));
  }
  uint64_t executed = 0;
  for (; executed < b.blocks; ++executed) {
    const int8_t* w = b.w + executed * kBlockSide;
    __m128i rows[8];
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) {
      rows[j] = _mm_loadl_epi64(
          reinterpret_cast<const __m128i*>(w + static_cast<size_t>(j) * b.w_stride));
    }
    __m128i quads[4];  // rows 0..3 of pairs 0 and 1, of pairs 2 and 3; the same of rows 4..7
#pragma GCC unroll 2
    for (int h = 0; h < 2; ++h) {
      const __m128i first = _mm_unpacklo_epi16(rows[4 * h], rows[4 * h + 1]);
      const __m128i second = _mm_unpacklo_epi16(rows[4 * h + 2], rows[4 * h + 3]);
      quads[2 * h] = _mm_unpacklo_epi32(first, second);
      quads[2 * h + 1] = _mm_unpackhi_epi32(first, second);
    }
    const __m256i pairs[4] = {_mm256_cvtepi8_epi16(_mm_unpacklo_epi64(quads[0], quads[2])),
                              _mm256_cvtepi8_epi16(_mm_unpackhi_epi64(quads[0], quads[2])),
                              _mm256_cvtepi8_epi16(_mm_unpacklo_epi64(quads[1], quads[3])),
                              _mm256_cvtepi8_epi16(_mm_unpackhi_epi64(quads[1], quads[3]))};
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
      const int16_t* a = b.a + static_cast<size_t>(i) * b.a_stride + executed * kBlockSide;
#pragma GCC unroll 4
      for (int p = 0; p < 4; ++p) {
        int32_t pair;
        __builtin_memcpy(&pair, a + 2 * p, sizeof(pair));
        sums[i] = _mm256_add_epi32(sums[i], _mm256_madd_epi16(pairs[p], _mm256_set1_epi32(pair)));
      }
    }
  }
  for (int i = 0; i < kRows; ++i) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(b.sums + i * kBlockSide), sums[i]);
  }
  return executed;
}

uint64_t RunAvx2OfRows(const BlockRun& b) {
  switch (b.rows) {
    case 1: return RunAvx2<1>(b);
    case 2: return RunAvx2<2>(b);
    case 3: return RunAvx2<3>(b);
    case 4: return RunAvx2<4>(b);
    case 5: return RunAvx2<5>(b);
    case 6: return RunAvx2<6>(b);
    case 7: return RunAvx2<7>(b);
    default: return RunAvx2<8>(b);
  }
}

#endif

std::vector<BlockKernel> FindKernels() {
  std::vector<BlockKernel> kernels;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) kernels.push_back({"avx2", RunAvx2OfRows});
#endif
  kernels.push_back({"plain", RunPlain});
  return kernels;
}

}  // namespace

std::span<const BlockKernel> BlockKernels() {
  static const std::vector<BlockKernel> kernels = FindKernels();
  return kernels;
}

}  // namespace edgewise::chip
