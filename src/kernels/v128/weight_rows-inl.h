// Groups of weight rows, and fetching ahead.
#pragma once

#include "kernels/kernels.h"
#include "kernels/v128/types-inl.h"

namespace edgewise::kernels::v128 {
namespace {

// The rows of a group, the last repeated beyond it.
template <typename Block, int kRows>
[[gnu::always_inline]] inline void RowPointers(const MatMulArgs& a, uint32_t first, const Block* rows[kRows]) {
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
    const uint32_t i = first + r < a.rows ? first + r : a.rows - 1;
    rows[r] = reinterpret_cast<const Block*>(a.w + size_t{i} * a.w_stride);
  }
}

// The group of rows after this one, if there is one, fetched while this one is computed: a group's rows are
// short streams that the hardware's prefetchers have hardly learnt when they end.
template <typename Block, int kRows>
class NextRows {
 public:
  NextRows(const MatMulArgs& a, uint32_t first) {
    const uint32_t from = first + kRows < a.rows ? first + kRows : a.rows;
    const uint32_t to = from + kRows < a.rows ? from + kRows : a.rows;
    at_ = a.w + size_t{from} * a.w_stride;
    end_ = a.w + size_t{to} * a.w_stride;
  }
  // Once per block of the group.
  [[gnu::always_inline]] void Fetch() {
    for (size_t line = 0; line < kRows * sizeof(Block) && at_ + line < end_; line += 64) {
      __builtin_prefetch(at_ + line);
    }
    at_ += kRows * sizeof(Block);
  }

 private:
  const std::byte* at_;
  const std::byte* end_;
};

}  // namespace
}  // namespace edgewise::kernels::v128
