// The kernels of the quantised weight types, by type and shape.
#pragma once

#include "kernels/x86/few_columns_k-inl.h"
#include "kernels/x86/paired_panel-inl.h"

namespace edgewise::kernels {
namespace {

constexpr const char* kFewHow =
    kLanes == 16 ? "16 rows transposed in registers" : "8 rows transposed in registers";

template <typename T>
MatMulKernel Kernel32(MatMulShape shape) {
  switch (shape) {
    case MatMulShape::kOne: return {FewColumns32<T, true>, kFewHow};
    case MatMulShape::kFew: return {FewColumns32<T, false>, kFewHow};
    case MatMulShape::kMany: break;
  }
  return {ManyColumns<PanelFor32<T>>, PanelFor32<T>::kHow};
}

template <typename T>
MatMulKernel KernelK(MatMulShape shape) {
  switch (shape) {
    case MatMulShape::kOne: return {FewColumnsK<T, true>, kFewHow};
    case MatMulShape::kFew: return {FewColumnsK<T, false>, kFewHow};
    case MatMulShape::kMany: break;
  }
  return {ManyColumns<PanelK<T>>, PanelK<T>::kHow};
}

// No kernel for the float types.
inline MatMulKernel QuantMatMulFor(DType weight, MatMulShape shape) {
  switch (weight) {
    case DType::kQ4_0: return Kernel32<TypeQ4_0>(shape);
    case DType::kQ4_1: return Kernel32<TypeQ4_1>(shape);
    case DType::kQ5_0: return Kernel32<TypeQ5_0>(shape);
    case DType::kQ5_1: return Kernel32<TypeQ5_1>(shape);
    case DType::kQ8_0: return Kernel32<TypeQ8_0>(shape);
    case DType::kIQ4_NL: return Kernel32<TypeIQ4_NL>(shape);
    case DType::kQ2_K: return KernelK<TypeQ2_K>(shape);
    case DType::kQ3_K: return KernelK<TypeQ3_K>(shape);
    case DType::kQ4_K: return KernelK<TypeQ4_K>(shape);
    case DType::kQ5_K: return KernelK<TypeQ5_K>(shape);
    case DType::kQ6_K: return KernelK<TypeQ6_K>(shape);
    default: return {};
  }
}

}  // namespace
}  // namespace edgewise::kernels
