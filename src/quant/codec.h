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

// Rounds a row to `type`, searching scales as the ecosystem's encoders do (weighted least squares for
// K-quants and IQ4_NL; x^2-type weights when `importance` is empty).
// importance: empty, or one non-negative weight per column.
// Requires dst.size() == RowBytes(type, src.size()) and finite src.
void EncodeRow(DType type, std::span<const float> src, std::span<std::byte> dst,
               std::span<const float> importance = {});

}  // namespace edgewise
