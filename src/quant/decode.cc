#include <cstring>

#include "base/error.h"
#include "quant/blocks.h"
#include "quant/codec.h"
#include "quant/half.h"

namespace edgewise {
namespace {

void Decode(const BlockQ4_0& b, float* w) {
  const float d = F16ToF32(b.d);
  for (int i = 0; i < 16; ++i) {
    w[i] = static_cast<float>((b.qs[i] & 15) - 8) * d;
    w[i + 16] = static_cast<float>((b.qs[i] >> 4) - 8) * d;
  }
}

void Decode(const BlockQ4_1& b, float* w) {
  const float d = F16ToF32(b.d);
  const float m = F16ToF32(b.m);
  for (int i = 0; i < 16; ++i) {
    w[i] = static_cast<float>(b.qs[i] & 15) * d + m;
    w[i + 16] = static_cast<float>(b.qs[i] >> 4) * d + m;
  }
}

// Bit i of the 32 fifth bits, as 0 or 16.
int FifthBit(const uint8_t qh[4], int i) { return (qh[i / 8] >> (i % 8) & 1) << 4; }

void Decode(const BlockQ5_0& b, float* w) {
  const float d = F16ToF32(b.d);
  for (int i = 0; i < 16; ++i) {
    w[i] = static_cast<float>(((b.qs[i] & 15) | FifthBit(b.qh, i)) - 16) * d;
    w[i + 16] = static_cast<float>(((b.qs[i] >> 4) | FifthBit(b.qh, i + 16)) - 16) * d;
  }
}

void Decode(const BlockQ5_1& b, float* w) {
  const float d = F16ToF32(b.d);
  const float m = F16ToF32(b.m);
  for (int i = 0; i < 16; ++i) {
    w[i] = static_cast<float>((b.qs[i] & 15) | FifthBit(b.qh, i)) * d + m;
    w[i + 16] = static_cast<float>((b.qs[i] >> 4) | FifthBit(b.qh, i + 16)) * d + m;
  }
}

void Decode(const BlockQ8_0& b, float* w) {
  const float d = F16ToF32(b.d);
  for (int i = 0; i < 32; ++i) w[i] = static_cast<float>(b.qs[i]) * d;
}

void Decode(const BlockIQ4_NL& b, float* w) {
  const float d = F16ToF32(b.d);
  for (int i = 0; i < 16; ++i) {
    w[i] = d * static_cast<float>(kIq4NlValues[b.qs[i] & 15]);
    w[i + 16] = d * static_cast<float>(kIq4NlValues[b.qs[i] >> 4]);
  }
}

void Decode(const BlockQ2_K& b, float* w) {
  const float d = F16ToF32(b.d);
  const float dmin = F16ToF32(b.dmin);
  for (int s = 0; s < 16; ++s) {
    const float scale = d * static_cast<float>(b.scales[s] & 15);
    const float min = dmin * static_cast<float>(b.scales[s] >> 4);
    const uint8_t* q = b.qs + s / 8 * 32 + s % 2 * 16;
    const int shift = s % 8 / 2 * 2;
    for (int l = 0; l < 16; ++l) {
      w[16 * s + l] = scale * static_cast<float>(q[l] >> shift & 3) - min;
    }
  }
}

void Decode(const BlockQ3_K& b, float* w) {
  const float d = F16ToF32(b.d);
  int8_t scales[16];
  UnpackQ3Scales(b.scales, scales);
  for (int s = 0; s < 16; ++s) {
    const float scale = d * static_cast<float>(scales[s]);
    const uint8_t* q = b.qs + s / 8 * 32 + s % 2 * 16;
    const uint8_t* high = b.hmask + s % 2 * 16;
    const int plane = s % 8 / 2;
    const int bit = s / 8 * 4 + plane;
    for (int l = 0; l < 16; ++l) {
      const int code = (q[l] >> (2 * plane) & 3) | (high[l] >> bit & 1) << 2;
      w[16 * s + l] = scale * static_cast<float>(code - 4);
    }
  }
}

void Decode(const BlockQ4_K& b, float* w) {
  const float d = F16ToF32(b.d);
  const float dmin = F16ToF32(b.dmin);
  uint8_t scales[8], mins[8];
  UnpackScalesMins(b.scales, scales, mins);
  for (int j = 0; j < 8; ++j) {
    const float scale = d * static_cast<float>(scales[j]);
    const float min = dmin * static_cast<float>(mins[j]);
    const uint8_t* q = b.qs + j / 2 * 32;
    const int shift = j % 2 * 4;
    for (int l = 0; l < 32; ++l) {
      w[32 * j + l] = scale * static_cast<float>(q[l] >> shift & 15) - min;
    }
  }
}

void Decode(const BlockQ5_K& b, float* w) {
  const float d = F16ToF32(b.d);
  const float dmin = F16ToF32(b.dmin);
  uint8_t scales[8], mins[8];
  UnpackScalesMins(b.scales, scales, mins);
  for (int j = 0; j < 8; ++j) {
    const float scale = d * static_cast<float>(scales[j]);
    const float min = dmin * static_cast<float>(mins[j]);
    const uint8_t* q = b.qs + j / 2 * 32;
    const int shift = j % 2 * 4;
    for (int l = 0; l < 32; ++l) {
      const int code = (q[l] >> shift & 15) | (b.qh[l] >> j & 1) << 4;
      w[32 * j + l] = scale * static_cast<float>(code) - min;
    }
  }
}

void Decode(const BlockQ6_K& b, float* w) {
  const float d = F16ToF32(b.d);
  for (int s = 0; s < 16; ++s) {
    const float scale = d * static_cast<float>(b.scales[s]);
    const int quarter = s % 8 / 2;
    const uint8_t* low = b.ql + s / 8 * 64 + quarter % 2 * 32 + s % 2 * 16;
    const uint8_t* high = b.qh + s / 8 * 32 + s % 2 * 16;
    const int nibble = quarter / 2 * 4;
    for (int l = 0; l < 16; ++l) {
      const int code = (low[l] >> nibble & 15) | (high[l] >> (2 * quarter) & 3) << 4;
      w[16 * s + l] = scale * static_cast<float>(code - 32);
    }
  }
}

// The bytes of a row come from a file or a test's buffer and may have any alignment.
template <typename Block, uint32_t kWeights>
void DecodeBlocks(std::span<const std::byte> src, std::span<float> out) {
  const std::byte* in = src.data();
  for (size_t i = 0; i < out.size(); i += kWeights, in += sizeof(Block)) {
    Block block;
    std::memcpy(&block, in, sizeof(block));
    Decode(block, out.data() + i);
  }
}

template <float (*kConvert)(uint16_t)>
void Decode16(std::span<const std::byte> src, std::span<float> out) {
  for (size_t i = 0; i < out.size(); ++i) {
    uint16_t bits;
    std::memcpy(&bits, src.data() + 2 * i, sizeof(bits));
    out[i] = kConvert(bits);
  }
}

float WidenF16(uint16_t bits) { return F16ToF32(bits); }
float WidenBf16(uint16_t bits) { return Bf16ToF32(bits); }

}  // namespace

void DecodeRow(DType type, std::span<const std::byte> src, std::span<float> out) {
  EDGEWISE_CHECK(out.size() % InfoOf(type).block == 0);
  EDGEWISE_CHECK(src.size() == RowBytes(type, out.size()));
  if (out.empty()) return;
  switch (type) {
    case DType::kF32:
      std::memcpy(out.data(), src.data(), src.size());
      return;
    case DType::kF16:
      return Decode16<WidenF16>(src, out);
    case DType::kBF16:
      return Decode16<WidenBf16>(src, out);
    case DType::kQ4_0:
      return DecodeBlocks<BlockQ4_0, kBlock32>(src, out);
    case DType::kQ4_1:
      return DecodeBlocks<BlockQ4_1, kBlock32>(src, out);
    case DType::kQ5_0:
      return DecodeBlocks<BlockQ5_0, kBlock32>(src, out);
    case DType::kQ5_1:
      return DecodeBlocks<BlockQ5_1, kBlock32>(src, out);
    case DType::kQ8_0:
      return DecodeBlocks<BlockQ8_0, kBlock32>(src, out);
    case DType::kIQ4_NL:
      return DecodeBlocks<BlockIQ4_NL, kBlock32>(src, out);
    case DType::kQ2_K:
      return DecodeBlocks<BlockQ2_K, kBlockK>(src, out);
    case DType::kQ3_K:
      return DecodeBlocks<BlockQ3_K, kBlockK>(src, out);
    case DType::kQ4_K:
      return DecodeBlocks<BlockQ4_K, kBlockK>(src, out);
    case DType::kQ5_K:
      return DecodeBlocks<BlockQ5_K, kBlockK>(src, out);
    case DType::kQ6_K:
      return DecodeBlocks<BlockQ6_K, kBlockK>(src, out);
  }
}

}  // namespace edgewise
