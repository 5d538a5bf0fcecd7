// Unpacking of weight blocks into vectors, per type: 32 codes as unsigned bytes (signed where the
// type has no small zero point), and the scales. What the bytes mean is defined in quant/blocks.h.
//
// A 32-block type gives
//   Codes(block)        32 codes, in order
//   kZero               taken off every code: Q4_0's 8; folded into the products by sum(x)
// A K type gives
//   Codes(block, j)     codes 32 j .. 32 j + 31
//   Scales(block)       sixteen 16-bit scales, one per 16 codes
//   Offsets(block)      sixteen 16-bit factors of the activation sums: the mins (kMin), or the
//                       zero point times the scales
//   kSub                codes per scale: 32 where neighbours are equal
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "kernels/x86/vectors-inl.h"
#include "quant/blocks.h"

namespace edgewise::kernels {
namespace {

[[gnu::always_inline]] inline __m256i Load256(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}
[[gnu::always_inline]] inline __m128i Load128(const void* p) {
  return _mm_loadu_si128(static_cast<const __m128i*>(p));
}
[[gnu::always_inline]] inline uint32_t LoadU32(const void* p) {
  uint32_t x;
  std::memcpy(&x, p, sizeof x);
  return x;
}

// 16 bytes to 32 nibbles: the low ones, then the high ones.
[[gnu::always_inline]] inline __m256i Nibbles(const uint8_t* qs) {
  const __m128i bytes = Load128(qs);
  const __m256i both =
      _mm256_inserti128_si256(_mm256_castsi128_si256(bytes), _mm_srli_epi16(bytes, 4), 1);
  return _mm256_and_si256(both, _mm256_set1_epi8(15));
}

// 32 bytes, the two or four bits from `shift` on of each.
[[gnu::always_inline]] inline __m256i Bits(__m256i bytes, int shift, int mask) {
  return _mm256_and_si256(_mm256_srl_epi16(bytes, _mm_cvtsi32_si128(shift)),
                          _mm256_set1_epi8(static_cast<char>(mask)));
}

// Bit i of qh as 16 in byte i.
[[gnu::always_inline]] inline __m256i FifthBits(const uint8_t qh[4]) {
  const __m256i spread = _mm256_shuffle_epi8(
      _mm256_set1_epi32(static_cast<int32_t>(LoadU32(qh))),
      _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303));
  const __m256i bit = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201));
  const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(spread, bit), bit);
  return _mm256_and_si256(set, _mm256_set1_epi8(16));
}

struct TypeQ4_0 {
  using Block = BlockQ4_0;
  static constexpr int kZero = 8, kMaxCode = 15;
  static constexpr bool kSigned = false, kMin = false;
  static __m256i Codes(const Block& b) { return Nibbles(b.qs); }
};

struct TypeQ4_1 {
  using Block = BlockQ4_1;
  static constexpr int kZero = 0, kMaxCode = 15;
  static constexpr bool kSigned = false, kMin = true;
  static __m256i Codes(const Block& b) { return Nibbles(b.qs); }
};

struct TypeQ5_0 {
  using Block = BlockQ5_0;
  static constexpr int kZero = 16, kMaxCode = 31;
  static constexpr bool kSigned = false, kMin = false;
  static __m256i Codes(const Block& b) { return _mm256_or_si256(Nibbles(b.qs), FifthBits(b.qh)); }
};

struct TypeQ5_1 {
  using Block = BlockQ5_1;
  static constexpr int kZero = 0, kMaxCode = 31;
  static constexpr bool kSigned = false, kMin = true;
  static __m256i Codes(const Block& b) { return _mm256_or_si256(Nibbles(b.qs), FifthBits(b.qh)); }
};

struct TypeQ8_0 {
  using Block = BlockQ8_0;
  static constexpr int kZero = 0, kMaxCode = 128;
  static constexpr bool kSigned = true, kMin = false;
  static __m256i Codes(const Block& b) { return Load256(b.qs); }
};

struct TypeIQ4_NL {
  using Block = BlockIQ4_NL;
  static constexpr int kZero = 0, kMaxCode = 128;
  static constexpr bool kSigned = true, kMin = false;
  static __m256i Codes(const Block& b) {
    const __m256i levels = _mm256_broadcastsi128_si256(Load128(kIq4NlValues));
    return _mm256_shuffle_epi8(levels, Nibbles(b.qs));
  }
};

// Eight 6-bit scales (low half) and eight mins (high half) of Q4_K and Q5_K, as bytes. The same
// bits as UnpackScalesMins takes, four at a time.
[[gnu::always_inline]] inline __m128i ScalesMins(const uint8_t packed[12]) {
  const uint32_t a = LoadU32(packed), b = LoadU32(packed + 4), c = LoadU32(packed + 8);
  const uint32_t six = 0x3f3f3f3f, four = 0x0f0f0f0f, two = 0x03030303;
  const uint32_t scales_high = (c & four) | ((a >> 6 & two) << 4);
  const uint32_t mins_high = (c >> 4 & four) | ((b >> 6 & two) << 4);
  return _mm_setr_epi32(static_cast<int>(a & six), static_cast<int>(scales_high),
                        static_cast<int>(b & six), static_cast<int>(mins_high));
}

// Eight bytes, each twice, widened to 16 bits.
[[gnu::always_inline]] inline __m256i Doubled(__m128i bytes) {
  return _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(bytes, bytes));
}

struct TypeQ4_K {
  using Block = BlockQ4_K;
  static constexpr int kSub = 32, kMaxCode = 15;
  static constexpr bool kMin = true;
  static __m256i Codes(const Block& b, int j) {
    return Bits(Load256(b.qs + j / 2 * 32), j % 2 * 4, 15);
  }
  static __m256i Scales(const Block& b) { return Doubled(ScalesMins(b.scales)); }
  static __m256i Offsets(const Block& b, __m256i) {
    return Doubled(_mm_srli_si128(ScalesMins(b.scales), 8));
  }
};

struct TypeQ5_K {
  using Block = BlockQ5_K;
  static constexpr int kSub = 32, kMaxCode = 31;
  static constexpr bool kMin = true;
  static __m256i Codes(const Block& b, int j) {
    const __m256i low = Bits(Load256(b.qs + j / 2 * 32), j % 2 * 4, 15);
    return _mm256_or_si256(low, _mm256_slli_epi16(Bits(Load256(b.qh), j, 1), 4));
  }
  static __m256i Scales(const Block& b) { return Doubled(ScalesMins(b.scales)); }
  static __m256i Offsets(const Block& b, __m256i) {
    return Doubled(_mm_srli_si128(ScalesMins(b.scales), 8));
  }
};

struct TypeQ6_K {
  using Block = BlockQ6_K;
  static constexpr int kSub = 16, kMaxCode = 63;
  static constexpr bool kMin = false;
  static __m256i Codes(const Block& b, int j) {
    const int half = j / 4, quarter = j % 4;
    const __m256i low = Bits(Load256(b.ql + 64 * half + 32 * (quarter % 2)), quarter / 2 * 4, 15);
    const __m256i high = Bits(Load256(b.qh + 32 * half), 2 * quarter, 3);
    return _mm256_or_si256(low, _mm256_slli_epi16(high, 4));
  }
  static __m256i Scales(const Block& b) { return _mm256_cvtepi8_epi16(Load128(b.scales)); }
  static __m256i Offsets(const Block&, __m256i scales) {
    return _mm256_slli_epi16(scales, 5);  // zero point 32; 32 * 128 fits 16 bits
  }
};

struct TypeQ2_K {
  using Block = BlockQ2_K;
  static constexpr int kSub = 16, kMaxCode = 3;
  static constexpr bool kMin = true;
  static __m256i Codes(const Block& b, int j) {
    return Bits(Load256(b.qs + 32 * (j / 4)), 2 * (j % 4), 3);
  }
  static __m256i Scales(const Block& b) {
    return _mm256_cvtepu8_epi16(_mm_and_si128(Load128(b.scales), _mm_set1_epi8(15)));
  }
  static __m256i Offsets(const Block& b, __m256i) {
    const __m128i high = _mm_srli_epi16(Load128(b.scales), 4);
    return _mm256_cvtepu8_epi16(_mm_and_si128(high, _mm_set1_epi8(15)));
  }
};

// The sixteen scales of Q3_K, less 32, as bytes: what UnpackQ3Scales returns.
[[gnu::always_inline]] inline __m128i Q3Scales(const uint8_t packed[12]) {
  const uint32_t a = LoadU32(packed), b = LoadU32(packed + 4);
  const __m128i nibbles = _mm_setr_epi32(static_cast<int>(a), static_cast<int>(b),
                                         static_cast<int>(a >> 4), static_cast<int>(b >> 4));
  const __m128i planes = _mm_srlv_epi32(_mm_set1_epi32(static_cast<int>(LoadU32(packed + 8))),
                                        _mm_setr_epi32(0, 2, 4, 6));
  const __m128i high = _mm_slli_epi16(_mm_and_si128(planes, _mm_set1_epi8(3)), 4);
  const __m128i low = _mm_and_si128(nibbles, _mm_set1_epi8(15));
  return _mm_sub_epi8(_mm_or_si128(low, high), _mm_set1_epi8(32));
}

struct TypeQ3_K {
  using Block = BlockQ3_K;
  static constexpr int kSub = 16, kMaxCode = 7;
  static constexpr bool kMin = false;
  static __m256i Codes(const Block& b, int j) {
    const __m256i low = Bits(Load256(b.qs + 32 * (j / 4)), 2 * (j % 4), 3);
    const __m256i high = Bits(Load256(b.hmask), j, 1);
    return _mm256_or_si256(low, _mm256_slli_epi16(high, 2));
  }
  static __m256i Scales(const Block& b) { return _mm256_cvtepi8_epi16(Q3Scales(b.scales)); }
  static __m256i Offsets(const Block&, __m256i scales) {
    return _mm256_slli_epi16(scales, 2);  // zero point 4
  }
};

}  // namespace
}  // namespace edgewise::kernels
