#include "quant/kv_type.h"

#include "base/error.h"

namespace edgewise {

bool IsKvType(DType type) {
  return type == DType::kF32 || type == DType::kF16 || type == DType::kQ8_0 || type == DType::kQ4_0;
}

uint64_t KvRowBytes(DType type, uint32_t head_dim) {
  EDGEWISE_CHECK(IsKvType(type));
  constexpr uint32_t kBlock = 32, kScaleBytes = 2;
  const uint64_t scales = uint64_t{(head_dim + kBlock - 1) / kBlock} * kScaleBytes;
  switch (type) {
    case DType::kF32: return uint64_t{4} * head_dim;
    case DType::kF16: return uint64_t{2} * head_dim;
    case DType::kQ8_0: return scales + head_dim;
    // Full blocks are 16 bytes, the short one half its values rounded up.
    default: return scales + head_dim / kBlock * 16 + (head_dim % kBlock + 1) / 2;
  }
}

}  // namespace edgewise
