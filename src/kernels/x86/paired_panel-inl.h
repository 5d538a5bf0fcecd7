// Products of signed codes of 8 bits with many columns on AVX2 without VNNI: 24 instructions for 32 codes of
// 8 rows and a column, of which 16 need one of the two multipliers.
//
// vpmaddubsw multiplies unsigned by signed bytes, adds two neighbours' products, and saturates at 16 bits.
// Weights with 128 added can exceed that, 2 * 255 * 127, but not where the two products have opposite signs,
// for then their sum is no larger than one of them. So every column gives the two codes of a pair opposite
// signs: where x_a and x_b have the same, x_b is negated and its weight complemented,
//   (255 - u) * -x_b = u * x_b - 255 * x_b        u = w + 128
// and the dot begins with what makes that good, and the 128 * sum(x). A word of four codes has two pairs, so
// the panel holds each word in four variants, and each word of a column says which it takes.
//
// What this replaced took 31, codes widened to 16 bits, 16 madds and 15 adds, as do bytes whose signs are
// moved to the other operand for each product (psign, maddubs, madd, add for four codes). In cycles for 8
// rows, a column and a block, its float operations included: 12.4 then, 9.8 now, where 27 instructions on
// three ports are 9. With all that is around them 1.15 to 1.2 times the speed.
#pragma once

#include <cstring>
#include <type_traits>

#include "kernels/x86/many_columns-inl.h"

namespace edgewise::kernels {
namespace {

#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
template <typename T>
using PanelFor32 = Panel32<T>;
#else
template <typename T>
struct PairedPanel32 {
  using Type = T;
  static constexpr uint32_t kBlockSize = kBlock32;
  static constexpr const char* kHow = "interleaved panels, tiles of 64 x 1, vpmaddubsw of paired signs";
  // Eight sums, a word of the column, ones and some products are 12 to 16 registers; tiles of 32 rows are no
  // faster. A group's codes are 32 KiB. All that is computed for a column, once for both groups, takes 6
  // cycles for a block, 3% of its products.
  static constexpr int kVectors = 8;
  static constexpr uint32_t kGroupRows = kVectors * kLanes, kGroups = 2, kRows = kGroups * kGroupRows;
  static constexpr uint32_t kBlocks = 4;  // SetBlocks adds up four at once
  // A group is read from L1 by so many columns: with 16 of them 3% slower, with 64 the same.
  static constexpr uint32_t kMostColumns = 32;
  static constexpr int kWords = kBlock32 / 4, kVariants = 4;
  static constexpr int kVariantBytes = 4 * kGroupRows, kWordBytes = kVariants * kVariantBytes;

  alignas(64) int8_t codes[kGroups][kBlocks][kWords * kWordBytes];
  alignas(64) float d[kGroups][kBlocks][kGroupRows];

  // Eight rows of a group, from its row `at` on.
  void Fill(const typename T::Block* const rows[8], uint32_t first, uint32_t blocks, uint32_t group,
            uint32_t at) {
    EightHalves scales[kBlocks];
    for (uint32_t b = 0; b < blocks; ++b) {
      __m256i bytes[8];
#pragma GCC unroll 8
      for (int r = 0; r < 8; ++r) {
        const auto& block = rows[r][first + b];
        bytes[r] = T::Codes(block);
        scales[b].h[r] = block.d;
      }
      int8_t* to = codes[group][b] + 4 * at;
      Interleave8(bytes, [to](int g, __m256i four) {
#pragma GCC unroll 4
        for (int v = 0; v < kVariants; ++v) {
          const uint32_t flip = 0x80808080u ^ (v & 1 ? 0xff00u : 0) ^ (v & 2 ? 0xff000000u : 0);
          Store256(to + g * kWordBytes + v * kVariantBytes,
                   _mm256_xor_si256(four, _mm256_set1_epi32(static_cast<int32_t>(flip))));
        }
      });
    }
    for (uint32_t b = 0; b < blocks; ++b) scales[b].Widen(d[group][b] + at);
  }

  // The codes alone: with the 16 bytes of scales and of sums, too, 3% slower.
  static void FetchColumn(const std::byte* row, uint32_t k, uint32_t first, uint32_t blocks) {
    Fetch(ViewQ8_0(row, k).codes + first * kBlock32, blocks * kBlock32);
  }

  struct Columns {
    alignas(32) int8_t codes[kMostColumns][kBlocks * kBlock32];
    alignas(32) uint32_t offsets[kMostColumns][kBlocks * kWords];  // of each word's variant in its block
    alignas(32) int32_t start[kMostColumns][kBlocks];
    const float* scales[kMostColumns];

    void Set(int c, const std::byte* row, uint32_t k, uint32_t first, uint32_t blocks) {
      const ActivationQ8_0 x = ViewQ8_0(row, k);
      scales[c] = x.scales + first;
      if (blocks == kBlocks) return SetBlocks(c, x.codes + size_t{first} * kBlock32, x.sums + first);
      int8_t last_codes[kBlocks * kBlock32] = {};
      int32_t last_sums[kBlocks] = {};
      std::memcpy(last_codes, x.codes + size_t{first} * kBlock32, blocks * kBlock32);
      std::memcpy(last_sums, x.sums + first, blocks * sizeof(int32_t));
      SetBlocks(c, last_codes, last_sums);
    }

    [[gnu::always_inline]] void SetBlocks(int c, const int8_t* from, const int32_t sums_from[kBlocks]) {
      const __m256i words = _mm256_mullo_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7),
                                               _mm256_set1_epi32(kWordBytes));
      const __m256i variants = _mm256_set1_epi32((-kVariantBytes & 0xffff) | -2 * kVariantBytes * 65536);
      __m256i after[kBlocks];  // sums of eight codes, 128 added to each, some negated before
#pragma GCC unroll 4
      for (uint32_t b = 0; b < kBlocks; ++b) {
        const __m256i bytes = Load256(from + b * kBlock32);
        const __m256i differ = _mm256_xor_si256(bytes, _mm256_slli_epi16(bytes, 8));
        const __m256i same = _mm256_cmpgt_epi16(differ, _mm256_set1_epi16(-1));
        const __m256i negate = _mm256_slli_epi16(same, 8);
        const __m256i opposite = _mm256_sub_epi8(_mm256_xor_si256(bytes, negate), negate);
        Store256(codes[c] + b * kBlock32, opposite);
        Store256(offsets[c] + b * kWords, _mm256_add_epi32(words, _mm256_madd_epi16(same, variants)));
        const __m256i plus128 = _mm256_xor_si256(opposite, _mm256_set1_epi8(-128));
        after[b] = _mm256_sad_epu8(plus128, _mm256_setzero_si256());
      }
      const __m256i a = _mm256_or_si256(after[0], _mm256_slli_epi64(after[1], 32));
      const __m256i b = _mm256_or_si256(after[2], _mm256_slli_epi64(after[3], 32));
      const __m256i both = _mm256_add_epi32(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
      const __m128i sums = Load128(sums_from);
      const __m128i twice =  // the sum of those that were negated, as they were
          _mm_sub_epi32(_mm_add_epi32(sums, _mm_set1_epi32(128 * kBlock32)),
                        _mm_add_epi32(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1)));
      const __m128i begins = _mm_add_epi32(_mm_sub_epi32(_mm_set1_epi32(kMagicBits), _mm_slli_epi32(sums, 7)),
                                          _mm_srai_epi32(_mm_mullo_epi32(twice, _mm_set1_epi32(255)), 1));
      _mm_store_si128(reinterpret_cast<__m128i*>(start[c]), begins);
    }
  };

  // Brings a column's sums up to date with `blocks` blocks of a group of rows.
  [[gnu::noinline]] void AddColumn(const Columns& x, uint32_t c, uint32_t group, uint32_t blocks,
                                   float* y) const {
    for (uint32_t b = 0; b < blocks; ++b) {
      Ints dot[kVectors];
      const Ints start = Broadcast(x.start[c] + b);
#pragma GCC unroll 8
      for (int g = 0; g < kWords; ++g) {
        const int8_t* w = codes[group][b] + x.offsets[c][b * kWords + g];
        __asm__("" : "+r"(w));  // one register: instructions with an index in their address are split
        const Ints four = Broadcast(x.codes[c] + b * kBlock32 + 4 * g);
#pragma GCC unroll 8
        for (int v = 0; v < kVectors; ++v) {
          const Ints pairs = _mm256_maddubs_epi16(LoadInts(w + 4 * kLanes * v), four);
          dot[v] = Add(g == 0 ? start : dot[v], _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
          Pin(dot[v]);
        }
      }
      const Floats scale = SetFloats(x.scales[c][b]);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) {
        const Floats value = Sub(AsFloats(dot[v]), SetFloats(kMagic));
        const Floats factor = Mul(scale, LoadFloats(d[group][b] + v * kLanes));
        StoreFloats(y + v * kLanes, MulAdd(factor, value, LoadFloats(y + v * kLanes)));
      }
    }
  }

  void AddTile(const Columns& x, uint32_t columns, uint32_t group, uint32_t blocks, float* y) const {
    for (uint32_t c = 0; c < columns; ++c) AddColumn(x, c, group, blocks, y + c * kRows);
  }
};

template <typename T>
using PanelFor32 = std::conditional_t<kSignTrick<T>, PairedPanel32<T>, Panel32<T>>;
#endif

}  // namespace
}  // namespace edgewise::kernels
