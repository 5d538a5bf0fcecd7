// Scalar encode and decode of rows: the only definition of what a block's bytes mean. SIMD kernels
// are tested against DecodeRow.
#pragma once

#include <cstddef>
#include <span>

#include "quant/dtype.h"

namespace edgewise {

// out[i] = weight i of the row. Requires src.size() == RowBytes(type, out.size()).
// Never fails: every bit pattern decodes to some float (NaN and infinite scales included).
void DecodeRow(DType type, std::span<const std::byte> src, std::span<float> out);

// Rounds a row to `type`: the scales of each block are those that minimise the sum of w * error^2,
// searched and refitted by least squares; Q8_0 is the ecosystem's plain rounding, bit for bit.
// importance: empty, or one non-negative weight w per column (the mean square of the activations
// that meet it). When it is empty, or zero throughout a block, w grows with the weight's own
// magnitude. Q8_0 and the float types ignore it.
// Finite rows decode to finite rows: a half-precision value or scale that would overflow becomes
// the largest finite one. A block with NaN or infinities encodes to something defined but useless.
// Blocks are independent, so rows may be cut between them and encoded by several threads.
// Requires dst.size() == RowBytes(type, src.size()).
void EncodeRow(DType type, std::span<const float> src, std::span<std::byte> dst,
               std::span<const float> importance = {});

}  // namespace edgewise
