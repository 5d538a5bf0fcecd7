// The blocks of the quantised types, byte for byte as GGUF stores them (source: the block layouts
// of ggml, which fixes the formats). A row of k weights is k / kWeights blocks, contiguous.
//
// All scales (d, dmin, m) are IEEE binary16; every multi-byte field is little-endian. w[i] below
// is the i-th weight of a block, evaluated in float in the order written; x >> n & mask takes bits.
// Structs have alignment 1 or 2, never more: GGUF aligns tensors to at least 8 bytes and every
// block's size is even, so a block in a mapped file may be read through a pointer.
#pragma once

#include <cstdint>

namespace edgewise {

inline constexpr uint32_t kBlock32 = 32;  // weights of a Q4_0 to Q8_0 or IQ4_NL block
inline constexpr uint32_t kBlockK = 256;  // weights of a K-quant super-block

// 4.5 bits: w[i] = (q[i] - 8) * d. Symmetric, q in 0..15.
//   q[i] = qs[i] & 15 for i < 16, qs[i - 16] >> 4 for the rest: a byte holds weights 16 apart.
struct BlockQ4_0 {
  uint16_t d;
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ4_0) == 18);

// 5 bits: w[i] = q[i] * d + m. q in 0..15, packed as in Q4_0.
struct BlockQ4_1 {
  uint16_t d;
  uint16_t m;
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ4_1) == 20);

// 5.5 bits: w[i] = (q[i] - 16) * d, q in 0..31.
//   Low four bits as in Q4_0; bit 4 of q[i] is bit i of qh read as a little-endian uint32.
struct BlockQ5_0 {
  uint16_t d;
  uint8_t qh[4];
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ5_0) == 22);

// 6 bits: w[i] = q[i] * d + m, q in 0..31, packed as in Q5_0.
struct BlockQ5_1 {
  uint16_t d;
  uint16_t m;
  uint8_t qh[4];
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ5_1) == 24);

// 8.5 bits: w[i] = qs[i] * d.
struct BlockQ8_0 {
  uint16_t d;
  int8_t qs[32];
};
static_assert(sizeof(BlockQ8_0) == 34);

// 4.5 bits: w[i] = d * kIq4NlValues[q[i]], q packed as in Q4_0.
struct BlockIQ4_NL {
  uint16_t d;
  uint8_t qs[16];
};
static_assert(sizeof(BlockIQ4_NL) == 18);

// The non-uniform levels of IQ4_NL: dense near zero, where a bell-shaped row has its weights.
inline constexpr int8_t kIq4NlValues[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                            1,    13,   25,  38,  53,  69,  89,  113};

// 2.625 bits: 16 sub-blocks s of 16 weights.
//   w[16 s + l] = (d * (scales[s] & 15)) * q - dmin * (scales[s] >> 4), q in 0..3.
//   With half h = s / 8, plane p = s % 8 / 2 and side = s % 2:
//   q = qs[32 h + 16 side + l] >> 2 p & 3: a byte holds four weights 32 apart.
struct BlockQ2_K {
  uint8_t scales[16];
  uint8_t qs[64];
  uint16_t d;
  uint16_t dmin;
};
static_assert(sizeof(BlockQ2_K) == 84);

// 3.4375 bits: 16 sub-blocks s of 16 weights.
//   w[16 s + l] = (d * (scale(s) - 32)) * (q - 4), q in 0..7, scale in 0..63 (UnpackQ3Scales).
//   Low two bits of q as in Q2_K; bit 2 is hmask[16 side + l] >> (4 h + p) & 1.
struct BlockQ3_K {
  uint8_t hmask[32];
  uint8_t qs[64];
  uint8_t scales[12];
  uint16_t d;
};
static_assert(sizeof(BlockQ3_K) == 110);

// 4.5 bits: 8 sub-blocks j of 32 weights.
//   w[32 j + l] = (d * scale(j)) * q - dmin * min(j), q in 0..15; six-bit scale and min
//   (UnpackScalesMins).
//   q = qs[32 (j / 2) + l], low nibble for even j, high nibble for odd.
struct BlockQ4_K {
  uint16_t d;
  uint16_t dmin;
  uint8_t scales[12];
  uint8_t qs[128];
};
static_assert(sizeof(BlockQ4_K) == 144);

// 5.5 bits: as Q4_K with q in 0..31; bit 4 of q is qh[l] >> j & 1.
struct BlockQ5_K {
  uint16_t d;
  uint16_t dmin;
  uint8_t scales[12];
  uint8_t qh[32];
  uint8_t qs[128];
};
static_assert(sizeof(BlockQ5_K) == 176);

// 6.5625 bits: 16 sub-blocks of 16 weights, w[i] = (d * scales[i / 16]) * (q[i] - 32), q in 0..63.
//   For half h = i / 128, quarter r = i % 128 / 32, l = i % 32:
//   low four bits: ql[64 h + 32 (r % 2) + l], low nibble for r < 2, high nibble for r >= 2;
//   high two bits: qh[32 h + l] >> 2 r & 3.
struct BlockQ6_K {
  uint8_t ql[128];
  uint8_t qh[64];
  int8_t scales[16];
  uint16_t d;
};
static_assert(sizeof(BlockQ6_K) == 210);

// The twelve bytes of Q4_K and Q5_K: eight scales and eight mins of six bits. Bytes 0..3 hold
// scales 0..3 and bytes 4..7 mins 0..3 in their low six bits; byte 8 + j holds the low nibbles of
// scale 4 + j and min 4 + j; the top two bits of bytes j and 4 + j are theirs too.
[[gnu::always_inline]] inline void UnpackScalesMins(const uint8_t packed[12], uint8_t scales[8],
                                                    uint8_t mins[8]) {
  for (int j = 0; j < 4; ++j) {
    scales[j] = packed[j] & 63;
    mins[j] = packed[4 + j] & 63;
    scales[4 + j] = static_cast<uint8_t>((packed[8 + j] & 15) | (packed[j] >> 6 << 4));
    mins[4 + j] = static_cast<uint8_t>((packed[8 + j] >> 4) | (packed[4 + j] >> 6 << 4));
  }
}

// The twelve bytes of Q3_K: sixteen scales of six bits, returned less 32 (-32..31). Byte s % 8
// holds the low nibble of scales s < 8 and the high nibble of s >= 8; the two upper bits of
// scale s are byte 8 + s % 4 >> 2 (s / 4) & 3.
[[gnu::always_inline]] inline void UnpackQ3Scales(const uint8_t packed[12], int8_t scales[16]) {
  for (int s = 0; s < 16; ++s) {
    const int low = s < 8 ? packed[s] & 15 : packed[s - 8] >> 4;
    const int high = packed[8 + s % 4] >> (2 * (s / 4)) & 3;
    scales[s] = static_cast<int8_t>((low | high << 4) - 32);
  }
}

}  // namespace edgewise
