#include <cmath>
#include <cstring>

#include "base/error.h"
#include "quant/codec.h"
#include "quant/encode_blocks.h"
#include "quant/half.h"

namespace edgewise {
namespace {

template <typename Block, uint32_t kWeights>
void EncodeBlocks(std::span<const float> src, std::span<std::byte> dst, const float* importance) {
  std::byte* out = dst.data();
  for (size_t i = 0; i < src.size(); i += kWeights, out += sizeof(Block)) {
    Block block;
    quant_internal::Encode(src.data() + i, importance ? importance + i : nullptr, block);
    std::memcpy(out, &block, sizeof(block));
  }
}

// A finite weight stays finite: beyond the largest half it becomes that, not infinity.
uint16_t NarrowF16(float x) {
  const uint16_t h = F32ToF16(x);
  return std::isfinite(x) && (h & 0x7fff) == 0x7c00 ? static_cast<uint16_t>(h - 1) : h;
}

uint16_t NarrowBf16(float x) {
  const uint16_t b = F32ToBf16(x);
  return std::isfinite(x) && (b & 0x7fff) == 0x7f80 ? static_cast<uint16_t>(b - 1) : b;
}

template <uint16_t (*kConvert)(float)>
void Encode16(std::span<const float> src, std::span<std::byte> dst) {
  for (size_t i = 0; i < src.size(); ++i) {
    const uint16_t bits = kConvert(src[i]);
    std::memcpy(dst.data() + 2 * i, &bits, sizeof(bits));
  }
}

}  // namespace

void EncodeRow(DType type, std::span<const float> src, std::span<std::byte> dst,
               std::span<const float> importance) {
  EDGEWISE_CHECK(src.size() % InfoOf(type).block == 0);
  EDGEWISE_CHECK(dst.size() == RowBytes(type, src.size()));
  EDGEWISE_CHECK(importance.empty() || importance.size() == src.size());
  if (src.empty()) return;
  const float* w = importance.empty() ? nullptr : importance.data();
  switch (type) {
    case DType::kF32:
      std::memcpy(dst.data(), src.data(), dst.size());
      return;
    case DType::kF16:
      return Encode16<NarrowF16>(src, dst);
    case DType::kBF16:
      return Encode16<NarrowBf16>(src, dst);
    case DType::kQ4_0:
      return EncodeBlocks<BlockQ4_0, kBlock32>(src, dst, w);
    case DType::kQ4_1:
      return EncodeBlocks<BlockQ4_1, kBlock32>(src, dst, w);
    case DType::kQ5_0:
      return EncodeBlocks<BlockQ5_0, kBlock32>(src, dst, w);
    case DType::kQ5_1:
      return EncodeBlocks<BlockQ5_1, kBlock32>(src, dst, w);
    case DType::kQ8_0:
      return EncodeBlocks<BlockQ8_0, kBlock32>(src, dst, w);
    case DType::kIQ4_NL:
      return EncodeBlocks<BlockIQ4_NL, kBlock32>(src, dst, w);
    case DType::kQ2_K:
      return EncodeBlocks<BlockQ2_K, kBlockK>(src, dst, w);
    case DType::kQ3_K:
      return EncodeBlocks<BlockQ3_K, kBlockK>(src, dst, w);
    case DType::kQ4_K:
      return EncodeBlocks<BlockQ4_K, kBlockK>(src, dst, w);
    case DType::kQ5_K:
      return EncodeBlocks<BlockQ5_K, kBlockK>(src, dst, w);
    case DType::kQ6_K:
      return EncodeBlocks<BlockQ6_K, kBlockK>(src, dst, w);
  }
}

}  // namespace edgewise
