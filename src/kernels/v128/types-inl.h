// Unpacking of weight blocks into vectors of 16 codes, per type, and the scales. What the bytes mean
// is defined in quant/blocks.h.
//
// A 32-block type gives
//   Codes<j>(block)  codes 16 j .. 16 j + 15, unsigned, or signed where the type has no zero point
//   kZero            taken off every code
// A K type gives
//   Codes<j>(block)  the same
//   Scales(block)    sixteen bytes, one per 16 codes
//   Mins(block)      the same, where the type has a minimum
//   kSub             codes per scale: 32 where neighbours are equal
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/v128/vector-inl.h"
#include "quant/blocks.h"

namespace edgewise::kernels::v128 {
namespace {

[[gnu::always_inline]] inline uint32_t LoadU32(const void* p) {
  uint32_t x;
  std::memcpy(&x, p, sizeof x);
  return x;
}

template <int j>
[[gnu::always_inline]] inline Bytes Nibbles(const uint8_t* qs) {
  return BitsOf<4 * j, 4>(LoadBytes(qs));
}

// Bits 16 j + i of qh as 16 in byte i.
template <int j>
[[gnu::always_inline]] inline Bytes FifthBits(const uint8_t qh[4]) {
  const uint64_t low = 0x0101010101010101u * qh[2 * j], high = 0x0101010101010101u * qh[2 * j + 1];
  const uint64_t bit = 0x8040201008040201u;
  return And(HasBits(TwoWords(low, high), TwoWords(bit, bit)), SetBytes(16));
}

struct TypeQ4_0 {
  using Block = BlockQ4_0;
  static constexpr int kZero = 8, kMaxCode = 15;
  static constexpr bool kSigned = false, kMin = false;
  template <int j>
  static Bytes Codes(const Block& b) {
    return Nibbles<j>(b.qs);
  }
};

struct TypeQ4_1 {
  using Block = BlockQ4_1;
  static constexpr int kZero = 0, kMaxCode = 15;
  static constexpr bool kSigned = false, kMin = true;
  template <int j>
  static Bytes Codes(const Block& b) {
    return Nibbles<j>(b.qs);
  }
};

struct TypeQ5_0 {
  using Block = BlockQ5_0;
  static constexpr int kZero = 16, kMaxCode = 31;
  static constexpr bool kSigned = false, kMin = false;
  template <int j>
  static Bytes Codes(const Block& b) {
    return Or(Nibbles<j>(b.qs), FifthBits<j>(b.qh));
  }
};

struct TypeQ5_1 {
  using Block = BlockQ5_1;
  static constexpr int kZero = 0, kMaxCode = 31;
  static constexpr bool kSigned = false, kMin = true;
  template <int j>
  static Bytes Codes(const Block& b) {
    return Or(Nibbles<j>(b.qs), FifthBits<j>(b.qh));
  }
};

struct TypeQ8_0 {
  using Block = BlockQ8_0;
  static constexpr int kZero = 0, kMaxCode = 128;
  static constexpr bool kSigned = true, kMin = false;
  template <int j>
  static Bytes Codes(const Block& b) {
    return LoadBytes(b.qs + 16 * j);
  }
};

struct TypeIQ4_NL {
  using Block = BlockIQ4_NL;
  static constexpr int kZero = 0, kMaxCode = 128;
  static constexpr bool kSigned = true, kMin = false;
  template <int j>
  static Bytes Codes(const Block& b) {
    return LookUp(LoadBytes(kIq4NlValues), Nibbles<j>(b.qs));
  }
};

// Eight 6-bit scales, or mins, of Q4_K and Q5_K, each twice: the bits that UnpackScalesMins takes,
// four at a time.
[[gnu::always_inline]] inline Bytes SixBitScales(const uint8_t packed[12]) {
  const uint32_t a = LoadU32(packed), c = LoadU32(packed + 8);
  const uint32_t high = (c & 0x0f0f0f0f) | ((a >> 6 & 0x03030303) << 4);
  return Doubled(TwoWords(uint64_t{high} << 32 | (a & 0x3f3f3f3f), 0));
}
[[gnu::always_inline]] inline Bytes SixBitMins(const uint8_t packed[12]) {
  const uint32_t b = LoadU32(packed + 4), c = LoadU32(packed + 8);
  const uint32_t high = (c >> 4 & 0x0f0f0f0f) | ((b >> 6 & 0x03030303) << 4);
  return Doubled(TwoWords(uint64_t{high} << 32 | (b & 0x3f3f3f3f), 0));
}

struct TypeQ4_K {
  using Block = BlockQ4_K;
  static constexpr int kSub = 32, kZero = 0, kMaxCode = 15;
  static constexpr bool kMin = true;
  template <int j>
  static Bytes Codes(const Block& b) {
    return BitsOf<j / 2 % 2 * 4, 4>(LoadBytes(b.qs + j / 4 * 32 + j % 2 * 16));
  }
  static Bytes Scales(const Block& b) { return SixBitScales(b.scales); }
  static Bytes Mins(const Block& b) { return SixBitMins(b.scales); }
};

struct TypeQ5_K {
  using Block = BlockQ5_K;
  static constexpr int kSub = 32, kZero = 0, kMaxCode = 31;
  static constexpr bool kMin = true;
  template <int j>
  static Bytes Codes(const Block& b) {
    const Bytes low = BitsOf<j / 2 % 2 * 4, 4>(LoadBytes(b.qs + j / 4 * 32 + j % 2 * 16));
    return Or(low, ShiftUp<4>(BitsOf<j / 2, 1>(LoadBytes(b.qh + j % 2 * 16))));
  }
  static Bytes Scales(const Block& b) { return SixBitScales(b.scales); }
  static Bytes Mins(const Block& b) { return SixBitMins(b.scales); }
};

struct TypeQ6_K {
  using Block = BlockQ6_K;
  static constexpr int kSub = 16, kZero = 32, kMaxCode = 63;
  static constexpr bool kMin = false;
  template <int j>
  static Bytes Codes(const Block& b) {
    constexpr int half = j / 8, quarter = j % 8 / 2, side = j % 2;
    const Bytes low =
        BitsOf<quarter / 2 * 4, 4>(LoadBytes(b.ql + 64 * half + 32 * (quarter % 2) + 16 * side));
    const Bytes high = BitsOf<2 * quarter, 2>(LoadBytes(b.qh + 32 * half + 16 * side));
    return Or(low, ShiftUp<4>(high));
  }
  static Bytes Scales(const Block& b) { return LoadBytes(b.scales); }
};

struct TypeQ2_K {
  using Block = BlockQ2_K;
  static constexpr int kSub = 16, kZero = 0, kMaxCode = 3;
  static constexpr bool kMin = true;
  template <int j>
  static Bytes Codes(const Block& b) {
    return BitsOf<j % 8 / 2 * 2, 2>(LoadBytes(b.qs + j / 8 * 32 + j % 2 * 16));
  }
  static Bytes Scales(const Block& b) { return BitsOf<0, 4>(LoadBytes(b.scales)); }
  static Bytes Mins(const Block& b) { return BitsOf<4, 4>(LoadBytes(b.scales)); }
};

struct TypeQ3_K {
  using Block = BlockQ3_K;
  static constexpr int kSub = 16, kZero = 4, kMaxCode = 7;
  static constexpr bool kMin = false;
  template <int j>
  static Bytes Codes(const Block& b) {
    const Bytes low = BitsOf<j % 8 / 2 * 2, 2>(LoadBytes(b.qs + j / 8 * 32 + j % 2 * 16));
    return Or(low, ShiftUp<2>(BitsOf<j / 2, 1>(LoadBytes(b.hmask + j % 2 * 16))));
  }
  static Bytes Scales(const Block& b) {
    int8_t scales[16];
    UnpackQ3Scales(b.scales, scales);
    return LoadBytes(scales);
  }
};

// Codes as the dots want them. Where zero points are not folded in, they are taken off here, and every
// code is signed.
template <typename Type, int j>
[[gnu::always_inline]] inline Bytes Operand(const typename Type::Block& b) {
  const Bytes codes = Type::template Codes<j>(b);
  if constexpr (kFoldsZero || Type::kZero == 0) return codes;
  return Sub(codes, SetBytes(Type::kZero));
}
// The zero point that is left to fold in.
template <typename Type>
constexpr int kFoldedZero = kFoldsZero ? Type::kZero : 0;
// The largest magnitude of an operand.
template <typename Type>
constexpr int kLargest = kFoldsZero || Type::kZero == 0 ? Type::kMaxCode : Type::kZero;

}  // namespace
}  // namespace edgewise::kernels::v128
