// Scalar unpacking of one weight block into the two shapes in which every quantised product is
// computed: small integer codes with their zero point taken off, and float scales.
//
//   32-blocks   w[i] = d * codes[i] + m
//   K-blocks    w[16 s + l] = d * scales[s] * codes[16 s + l] - dmin * mins[s]
//
// What a block's bytes mean is defined in quant/blocks.h.
#pragma once

#include <cstdint>

#include "quant/blocks.h"
#include "quant/half.h"

namespace edgewise {

struct Unpacked32 {
  int8_t codes[kBlock32];
  float d;
  float m;
};

struct UnpackedK {
  int8_t codes[kBlockK];
  int16_t scales[16];
  int16_t mins[16];
  float d;
  float dmin;
};

// Types with a minimum (m, or dmin and mins): their products need the activations' sums.
template <typename Block>
inline constexpr bool kHasMin = false;
template <>
inline constexpr bool kHasMin<BlockQ4_1> = true;
template <>
inline constexpr bool kHasMin<BlockQ5_1> = true;
template <>
inline constexpr bool kHasMin<BlockQ2_K> = true;
template <>
inline constexpr bool kHasMin<BlockQ4_K> = true;
template <>
inline constexpr bool kHasMin<BlockQ5_K> = true;

namespace unpack_internal {

inline void Nibbles(const uint8_t qs[16], int zero, int8_t codes[32]) {
  for (int i = 0; i < 16; ++i) {
    codes[i] = static_cast<int8_t>((qs[i] & 15) - zero);
    codes[i + 16] = static_cast<int8_t>((qs[i] >> 4) - zero);
  }
}

inline void AddFifthBits(const uint8_t qh[4], int8_t codes[32]) {
  for (int i = 0; i < 32; ++i) {
    codes[i] = static_cast<int8_t>(codes[i] + ((qh[i / 8] >> (i % 8) & 1) << 4));
  }
}

}  // namespace unpack_internal

inline void Unpack(const BlockQ4_0& b, Unpacked32& u) {
  u.d = F16ToF32(b.d);
  u.m = 0;
  unpack_internal::Nibbles(b.qs, 8, u.codes);
}

inline void Unpack(const BlockQ4_1& b, Unpacked32& u) {
  u.d = F16ToF32(b.d);
  u.m = F16ToF32(b.m);
  unpack_internal::Nibbles(b.qs, 0, u.codes);
}

inline void Unpack(const BlockQ5_0& b, Unpacked32& u) {
  u.d = F16ToF32(b.d);
  u.m = 0;
  unpack_internal::Nibbles(b.qs, 16, u.codes);
  unpack_internal::AddFifthBits(b.qh, u.codes);
}

inline void Unpack(const BlockQ5_1& b, Unpacked32& u) {
  u.d = F16ToF32(b.d);
  u.m = F16ToF32(b.m);
  unpack_internal::Nibbles(b.qs, 0, u.codes);
  unpack_internal::AddFifthBits(b.qh, u.codes);
}

inline void Unpack(const BlockQ8_0& b, Unpacked32& u) {
  u.d = F16ToF32(b.d);
  u.m = 0;
  for (int i = 0; i < 32; ++i) u.codes[i] = b.qs[i];
}

inline void Unpack(const BlockIQ4_NL& b, Unpacked32& u) {
  u.d = F16ToF32(b.d);
  u.m = 0;
  for (int i = 0; i < 16; ++i) {
    u.codes[i] = kIq4NlValues[b.qs[i] & 15];
    u.codes[i + 16] = kIq4NlValues[b.qs[i] >> 4];
  }
}

inline void Unpack(const BlockQ2_K& b, UnpackedK& u) {
  u.d = F16ToF32(b.d);
  u.dmin = F16ToF32(b.dmin);
  for (int s = 0; s < 16; ++s) {
    u.scales[s] = b.scales[s] & 15;
    u.mins[s] = b.scales[s] >> 4;
  }
  for (int i = 0; i < 256; ++i) {
    const int half = i / 128, plane = i % 128 / 32, l = i % 32;
    u.codes[i] = static_cast<int8_t>(b.qs[32 * half + l] >> (2 * plane) & 3);
  }
}

inline void Unpack(const BlockQ3_K& b, UnpackedK& u) {
  u.d = F16ToF32(b.d);
  u.dmin = 0;
  int8_t scales[16];
  UnpackQ3Scales(b.scales, scales);
  for (int s = 0; s < 16; ++s) {
    u.scales[s] = scales[s];
    u.mins[s] = 0;
  }
  for (int i = 0; i < 256; ++i) {
    const int half = i / 128, plane = i % 128 / 32, l = i % 32;
    const int low = b.qs[32 * half + l] >> (2 * plane) & 3;
    const int high = b.hmask[l] >> (4 * half + plane) & 1;
    u.codes[i] = static_cast<int8_t>((low | high << 2) - 4);
  }
}

inline void Unpack(const BlockQ4_K& b, UnpackedK& u) {
  u.d = F16ToF32(b.d);
  u.dmin = F16ToF32(b.dmin);
  uint8_t scales[8], mins[8];
  UnpackScalesMins(b.scales, scales, mins);
  for (int s = 0; s < 16; ++s) {
    u.scales[s] = scales[s / 2];
    u.mins[s] = mins[s / 2];
  }
  for (int i = 0; i < 256; ++i) {
    u.codes[i] = static_cast<int8_t>(b.qs[i / 64 * 32 + i % 32] >> (i / 32 % 2 * 4) & 15);
  }
}

inline void Unpack(const BlockQ5_K& b, UnpackedK& u) {
  u.d = F16ToF32(b.d);
  u.dmin = F16ToF32(b.dmin);
  uint8_t scales[8], mins[8];
  UnpackScalesMins(b.scales, scales, mins);
  for (int s = 0; s < 16; ++s) {
    u.scales[s] = scales[s / 2];
    u.mins[s] = mins[s / 2];
  }
  for (int i = 0; i < 256; ++i) {
    const int low = b.qs[i / 64 * 32 + i % 32] >> (i / 32 % 2 * 4) & 15;
    const int high = b.qh[i % 32] >> (i / 32) & 1;
    u.codes[i] = static_cast<int8_t>(low | high << 4);
  }
}

inline void Unpack(const BlockQ6_K& b, UnpackedK& u) {
  u.d = F16ToF32(b.d);
  u.dmin = 0;
  for (int s = 0; s < 16; ++s) {
    u.scales[s] = b.scales[s];
    u.mins[s] = 0;
  }
  for (int i = 0; i < 256; ++i) {
    const int half = i / 128, quarter = i % 128 / 32, l = i % 32;
    const int low = b.ql[64 * half + 32 * (quarter % 2) + l] >> (quarter / 2 * 4) & 15;
    const int high = b.qh[32 * half + l] >> (2 * quarter) & 3;
    u.codes[i] = static_cast<int8_t>((low | high << 4) - 32);
  }
}

}  // namespace edgewise
