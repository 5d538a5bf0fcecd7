// The table of one x86 instruction set. Each of avx2.cc, avx2vnni.cc and avx512vnni.cc includes
// this once and is compiled with its own flags (CMakeLists.txt).
#pragma once

#include "kernels/attention-inl.h"
#include "kernels/float_matmul-inl.h"
#include "kernels/kernels.h"
#include "kernels/row_ops-inl.h"
#include "kernels/x86/few_columns_k-inl.h"
#include "kernels/x86/few_columns_panel-inl.h"
#include "kernels/x86/one_column-inl.h"
#include "kernels/x86/paired_panel-inl.h"

namespace edgewise::kernels {
namespace {

constexpr const char* kFewHow =
    kLanes == 16 ? "16 rows transposed in registers" : "8 rows transposed in registers";
constexpr const char* kFewPanelHow = "16 rows transposed to a panel, tiles of 16 x 3, vpmaddubsw";

template <typename T>
MatMulKernel Kernel32(MatMulShape shape) {
  switch (shape) {
    case MatMulShape::kOne:
      if constexpr (kSplitPairs<T>) return {OneColumnPairs<T>, kFewHow};
      return {FewColumns32<T, true>, kFewHow};
    case MatMulShape::kFew:
      if constexpr (kFewByPanel<T>) return {FewColumnsPanel<T>, kFewPanelHow};
      return {FewColumns32<T, false>, kFewHow};
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

inline MatMulKernel MatMulFor(DType weight, MatMulShape shape) {
  switch (weight) {
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16: return FloatMatMulFor(weight, shape);
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
  }
  return {};
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
