// The table of one 128-bit instruction set. Each of the sources that include this is compiled with its
// own flags (CMakeLists.txt).
#pragma once

#if defined(__aarch64__)
// Where Highway could choose a target at run time, its functions demand the crypto extension, which
// not every core has. Without this header it cannot.
#define TOOLCHAIN_MISS_SYS_AUXV_H
#endif

#include "kernels/attention-inl.h"
#include "kernels/float_matmul-inl.h"
#include "kernels/kernels.h"
#include "kernels/row_ops-inl.h"
#include "kernels/v128/few_columns-inl.h"
#include "kernels/v128/many_columns-inl.h"

namespace edgewise::kernels {
namespace v128 {
namespace {

// From this many columns on, interleaving a panel pays.
constexpr uint32_t kPanelColumns = 3;

template <MatMulFn kFewRun, MatMulFn kManyRun>
MatMulKernel KernelOf(MatMulShape shape) {
  switch (shape) {
    case MatMulShape::kOne: return {kFewRun, kOneHow};
    case MatMulShape::kFew:
      return {[](const MatMulArgs& a) { a.m < kPanelColumns ? kFewRun(a) : kManyRun(a); }, kManyHow};
    case MatMulShape::kMany: break;
  }
  return {kManyRun, kManyHow};
}
template <typename T>
MatMulKernel Kernel32(MatMulShape shape) {
  return KernelOf<FewColumns32<T>, ManyColumns<Tile32<T>>>(shape);
}
template <typename T>
MatMulKernel KernelK(MatMulShape shape) {
  return KernelOf<FewColumnsK<T>, ManyColumns<TileK<T>>>(shape);
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

}  // namespace
}  // namespace v128

namespace {

// Highway's binary16 for SSE4 cuts off where it should round.
inline void EncodeRowRounded(DType type, const float* x, uint32_t n, std::byte* out) {
#if defined(__aarch64__)
  EncodeRow(type, x, n, out);
#else
  type == DType::kF16 ? EncodeKvRow(type, x, n, out) : EncodeRow(type, x, n, out);
#endif
}

constexpr KernelTable TableFor(Isa isa) {
  return {.isa = isa,
          .matmul = v128::MatMulFor,
          .quantize = Quantize,
          .attention = Attention,
          .merge_attention = MergeAttention,
          .encode_kv_row = EncodeRowRounded,
          .rms_norm = RmsNorm,
          .swiglu = SwiGlu,
          .add = AddTo,
          .rope = Rope};
}

}  // namespace
}  // namespace edgewise::kernels
