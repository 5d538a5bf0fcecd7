// The table of one x86 instruction set. Each of avx2.cc, avx2vnni.cc and avx512vnni.cc includes
// this once and is compiled with its own flags (CMakeLists.txt).
#pragma once

#include "kernels/attention-inl.h"
#include "kernels/float_matmul-inl.h"
#include "kernels/kernels.h"
#include "kernels/row_ops-inl.h"
#include "kernels/x86/quant_matmul-inl.h"

namespace edgewise::kernels {
namespace {

inline MatMulKernel MatMulFor(DType weight, MatMulShape shape) {
  const MatMulKernel quantised = QuantMatMulFor(weight, shape);
  return quantised.run != nullptr ? quantised : FloatMatMulFor(weight, shape);
}

constexpr KernelTable TableFor(Isa isa) {
  return {.isa = isa,
          .matmul = MatMulFor,
          .quantize = Quantize,
          .attention = Attention,
          .merge_attention = MergeAttention,
          .encode_kv_row = EncodeRow,
          .rms_norm = RmsNorm,
          .swiglu = SwiGlu,
          .add = AddTo,
          .rope = Rope};
}

}  // namespace
}  // namespace edgewise::kernels
