#include "chip/buffered_array.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace edgewise::chip {

template <typename T>
WeightStationaryArray<T>::WeightStationaryArray(const ChipDesign& design, uint32_t slots)
    : rows_(design.rows),
      cols_(design.cols),
      depth_(design.depth),
      arrays_(design.arrays),
      lanes_(cols_ * arrays_),
      ring_size_(std::bit_ceil(depth_ + 1)),
      ring_(size_t{ring_size_} * depth_),
      a_now_(size_t{depth_} * arrays_ * (cols_ + 1)),
      a_next_(a_now_.size()),
      psum_now_(size_t{depth_ + 1} * lanes_),
      psum_next_(psum_now_.size()),
      sums_(size_t{slots} * rows_ * lanes_),
      useful_(size_t{depth_} * lanes_) {}

template <typename T>
void WeightStationaryArray<T>::Start(const BufferedStep&, const Scratchpad<T>&, const Scratchpad<T>&) {
  cycle_ = 0;
}

template <typename T>
bool WeightStationaryArray<T>::Tick(const BufferedStep& step, const Scratchpad<T>& scratchpad,
                                    const Scratchpad<T>& weights) {
  ++cycle_;
  // 1. Every element multiplies, and passes on its activation and the partial sum.
  Work(step, weights);

  // 2. What left the bottom joins the sums.
  Accumulate(step);

  // 3. A row of A enters the skew registers, or zeros once all have.
  T* slot = &ring_[Slot(ring_size_ - 1) * depth_];
  for (uint32_t d = 0; d < depth_; ++d) {
    slot[d] = cycle_ <= step.rows ? scratchpad.row(step.a_row + d)[cycle_ - 1] : T{0};
  }

  // 4. The registers move on.
  ring_head_ = static_cast<uint32_t>(Slot(ring_size_ - 1));
  std::swap(a_now_, a_next_);
  std::swap(psum_now_, psum_next_);
  for (uint32_t d = 0; d < depth_; ++d) {
    const T skewed = ring_[Slot(d) * depth_ + d];
    for (uint32_t u = 0; u < arrays_; ++u) a_now_[(size_t{d} * arrays_ + u) * (cols_ + 1)] = skewed;
  }
  ++busy_cycles_;
  return cycle_ == step.cycles;
}

template <typename T>
void WeightStationaryArray<T>::Work(const BufferedStep& step, const Scratchpad<T>& weights) {
  for (uint32_t d = 0; d < depth_; ++d) {
    for (uint32_t u = 0; u < arrays_; ++u) {
      const size_t lane = size_t{d} * lanes_ + u * cols_;
      const T* __restrict w = weights.row(step.w_row + d) + u * cols_;
      const T* __restrict a = &a_now_[(size_t{d} * arrays_ + u) * (cols_ + 1)];
      T* __restrict right = &a_next_[(size_t{d} * arrays_ + u) * (cols_ + 1) + 1];
      const uint32_t* __restrict above = &psum_now_[lane];
      uint32_t* __restrict below = &psum_next_[lane + lanes_];
      uint64_t* __restrict useful = &useful_[lane];
      for (uint32_t j = 0; j < cols_; ++j) {
        below[j] = above[j] + static_cast<uint32_t>(a[j]) * static_cast<uint32_t>(w[j]);
        right[j] = a[j];
        useful[j] += (a[j] != 0) & (w[j] != 0);
      }
    }
  }
}

// Row i of A has met column j's bottom element at cycle i + depth + j + 1.
template <typename T>
void WeightStationaryArray<T>::Accumulate(const BufferedStep& step) {
  for (uint32_t j = 0; j < cols_; ++j) {
    const uint64_t i = cycle_ - 1 - depth_ - j;  // wraps, to no row, while the first is on its way
    if (i >= step.rows) continue;
    for (uint32_t u = 0; u < arrays_; ++u) {
      const size_t lane = u * cols_ + j;
      uint32_t& sum = sums_[(size_t{step.sums_slot} * rows_ + i) * lanes_ + lane];
      sum = (step.first ? 0 : sum) + psum_next_[size_t{depth_} * lanes_ + lane];
    }
  }
  if (cycle_ == step.cycles) multiply_adds_ += uint64_t{step.rows} * depth_ * lanes_;
}

template <typename T>
void WeightStationaryArray<T>::ResetCounters() {
  std::fill(useful_.begin(), useful_.end(), 0);
  busy_cycles_ = multiply_adds_ = 0;
}

template <typename T>
void WeightStationaryArray<T>::Count(SimCounters& counters) const {
  counters.element_rows = depth_;
  counters.element_cols = lanes_;
  counters.busy_cycles = busy_cycles_;
  counters.multiply_adds = multiply_adds_;
  counters.useful = useful_;
}

template <typename T>
LockstepArray<T>::LockstepArray(const ChipDesign& design, uint32_t slots)
    : rows_(design.rows),
      cols_(design.cols),
      depth_(design.depth),
      arrays_(design.arrays, SequentialArray(design)),
      sums_(size_t{slots} * rows_ * cols_ * design.arrays) {}

template <typename T>
void LockstepArray<T>::Start(const BufferedStep& step, const Scratchpad<T>& scratchpad,
                             const Scratchpad<T>& weights) {
  for (size_t u = 0; u < arrays_.size(); ++u) {
    SequentialArray& array = arrays_[u];
    for (uint32_t k = 0; k < depth_; ++k) {
      const T* column = scratchpad.row(step.a_row + k);
      for (uint32_t i = 0; i < rows_; ++i) array.a()[i * depth_ + k] = static_cast<uint32_t>(column[i]);
      const T* w = weights.row(step.w_row + k) + u * cols_;
      for (uint32_t j = 0; j < cols_; ++j) array.b()[k * cols_ + j] = static_cast<uint32_t>(w[j]);
    }
    array.Start(!step.first);
  }
}

template <typename T>
bool LockstepArray<T>::Tick(const BufferedStep& step, const Scratchpad<T>&, const Scratchpad<T>&) {
  bool ends = true;
  for (SequentialArray& array : arrays_) {
    array.Tick({});
    ends = ends && array.finishing();
  }
  finished_ = ends && step.last;
  finished_slot_ = step.sums_slot;
  return ends;
}

template <typename T>
void LockstepArray<T>::Commit() {
  for (SequentialArray& array : arrays_) array.Commit();
  if (!finished_) return;
  uint32_t* row = &sums_[size_t{finished_slot_} * rows_ * cols_ * arrays_.size()];
  for (uint32_t i = 0; i < rows_; ++i) {
    for (const SequentialArray& array : arrays_) row = std::copy_n(array.c() + i * cols_, cols_, row);
  }
  finished_ = false;
}

template <typename T>
void LockstepArray<T>::ResetCounters() {
  for (SequentialArray& array : arrays_) array.ResetCounters();
}

template class WeightStationaryArray<int16_t>;
template class WeightStationaryArray<int32_t>;
template class LockstepArray<int16_t>;
template class LockstepArray<int32_t>;

}  // namespace edgewise::chip
