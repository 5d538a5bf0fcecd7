// What both families of products with quantised weights share: groups of weight rows, their codes as
// operands of the dot instruction, and fetching ahead.
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

// The first `left` of a group's sums, or all of them.
template <int kRows>
[[gnu::always_inline]] inline void StoreRows(const float sums[kRows], uint32_t left, float* y) {
  if (left >= kRows) {
    __builtin_memcpy(y, sums, sizeof(float) * kRows);
    return;
  }
  for (uint32_t r = 0; r < left; ++r) y[r] = sums[r];
}

// The next group of rows, fetched while this one is computed: a group's rows are short streams that
// the hardware's prefetchers have hardly learnt when they end (6.5 to 12 GB/s without this).
template <typename Block, int kRows>
class NextRows {
 public:
  NextRows(const MatMulArgs& a, uint32_t first, bool wanted)
      : at_(reinterpret_cast<const char*>(a.w) + (size_t{first} + kRows) * a.w_stride),
        step_(wanted && first + kRows < a.rows ? kRows * sizeof(Block) : 0),
        fits_l1_(kRows * a.w_stride <= kL1Share) {}
  // Once per block of the group.
  [[gnu::always_inline]] void Fetch() {
    if (step_ == 0) return;
    for (size_t line = 0; line < kRows * sizeof(Block); line += 64) {
      if (fits_l1_) {
        _mm_prefetch(at_ + line, _MM_HINT_T0);
      } else {
        _mm_prefetch(at_ + line, _MM_HINT_T1);
      }
    }
    at_ += step_;
  }

 private:
  // Two groups and the activations share 32 KiB of L1; a longer group waits in L2 (Q8_0 rows of
  // 2176 bytes: 13.5 GB/s through L1, 20 through L2; Q4_0 rows of 1152 bytes: 14 and 12).
  static constexpr size_t kL1Share = 12 * 1024;
  const char* at_;
  size_t step_;
  bool fits_l1_;
};

}  // namespace
}  // namespace edgewise::kernels
