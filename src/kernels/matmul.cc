#include <algorithm>
#include <array>

#include "kernels/kernels.h"
#include "quant/codec.h"

namespace edgewise::kernels {

ActivationFormat ActivationFormatFor(DType weight, uint32_t k) {
  return k < kLeastIntegerRow ? ActivationFormat::kF32 : ActivationFormatOf(weight);
}

void MatMul(const KernelTable& kernels, DType weight, const MatMulArgs& args) {
  if (ActivationFormatFor(weight, args.k) == ActivationFormatOf(weight)) {
    kernels.matmul(weight, ShapeOf(args.m)).run(args);
    return;
  }
  // The float kernel sums a row in one order whatever its company, so blocks of rows give its bits.
  constexpr uint32_t kRows = 8;
  std::array<float, kRows * kLeastIntegerRow> floats;
  for (uint32_t first = 0; first < args.rows; first += kRows) {
    const uint32_t rows = std::min(kRows, args.rows - first);
    for (uint32_t i = 0; i < rows; ++i) {
      DecodeRow(weight, {args.w + (first + i) * args.w_stride, RowBytes(weight, args.k)},
                {floats.data() + size_t{i} * args.k, args.k});
    }
    MatMulArgs block = args;
    block.w = reinterpret_cast<const std::byte*>(floats.data());
    block.w_stride = args.k * sizeof(float);
    block.y = args.y + first;
    block.rows = rows;
    kernels.matmul(DType::kF32, ShapeOf(args.m)).run(block);
  }
}

}  // namespace edgewise::kernels
