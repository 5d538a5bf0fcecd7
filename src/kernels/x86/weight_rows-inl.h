// What both families of products with quantised weights share: weight rows, and their codes as operands
// of the dot instruction.
#pragma once

#include "kernels/kernels.h"
#include "kernels/x86/unpack-inl.h"

namespace edgewise::kernels {
namespace {

// Signed codes go to the unsigned operand of VNNI with 128 added.
template <typename Type>
constexpr int kZeroOf = Type::kSigned ? (kVnni ? 128 : 0) : Type::kZero;
template <typename Type>
constexpr bool kSignTrick = Type::kSigned && !kVnni;

template <typename Type>
[[gnu::always_inline]] inline __m256i Operand(const typename Type::Block& b) {
  const __m256i codes = Type::Codes(b);
  return Type::kSigned && kVnni ? _mm256_xor_si256(codes, _mm256_set1_epi8(-128)) : codes;
}

// The rows of a group, the last repeated beyond `count`.
template <typename Block, int kRows>
[[gnu::always_inline]] inline void RowPointers(const MatMulArgs& a, uint32_t first,
                                               const Block* rows[kRows]) {
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    const uint32_t i = first + r < a.rows ? first + r : a.rows - 1;
    rows[r] = reinterpret_cast<const Block*>(a.w + size_t{i} * a.w_stride);
  }
}

}  // namespace
}  // namespace edgewise::kernels
