// Types of the KV cache: F32, F16, Q8_0, Q4_0. A row is one head of one position.
//
// Rows of Q8_0 and Q4_0 are blocks of 32 values, each its f16 scale and then its codes, as in
// blocks.h. A head size that is no multiple of 32 ends in a short block: the scale and only its own n
// codes; in Q4_0 value i < h = ceil(n / 2) sits in the low half of byte i, value i >= h in the high
// half of byte i - h (h = 16 gives the full block's layout).
#pragma once

#include <cstdint>

#include "quant/dtype.h"

namespace edgewise {

bool IsKvType(DType type);

// Bytes of one row. Requires IsKvType(type).
uint64_t KvRowBytes(DType type, uint32_t head_dim);

}  // namespace edgewise
