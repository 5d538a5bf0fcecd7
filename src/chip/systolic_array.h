// The output-stationary systolic array, element by element: rows x cols elements keep their sums while
// activations move right and weights move down, one element a cycle.
//
// A beat that is accepted at edge t enters the skew registers there; element (i, j) multiplies it at edge
// t+1+i+j. With the beat travel two marks, along the diagonals: `first` restarts the sum, `last` captures
// it for the drain. All sums of a tile are captured after edge t_last + 1 + (rows-1) + (cols-1). Arrays
// side by side work in lockstep on the same activations.
//
// T holds an operand: int16_t where products fit 32 bits without wrapping, else int32_t.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <utility>
#include <vector>

#include "chip/simulation.h"
#include "machine/chip.h"

namespace edgewise::chip {

template <typename T>
class SystolicArray {
 public:
  explicit SystolicArray(const ChipDesign& design);

  // A beat's activations [rows] and weights [cols of all arrays], or null when none was accepted.
  void Tick(const T* activations, const T* weights, bool first, bool last);
  void Commit();
  uint64_t QuietEdges() const { return 0; }  // operands always move
  void Skip(uint64_t) {}

  // For one cycle after the edge that captured a tile's final element.
  bool captured() const { return captured_now_; }
  const uint32_t* results() const { return results_.data(); }  // [rows][cols of all arrays]

  void ResetCounters();
  void Count(SimCounters& counters) const;

 private:
  static constexpr uint32_t kLanes =
      8;  // elements that are worked at once; rows of elements are padded to it
  static constexpr uint32_t kIdle = ~0u;

  void WorkRow(uint32_t array, uint32_t i);
  static void WorkLanes(const T* __restrict left, const T* __restrict above, const uint32_t* __restrict keep,
                        T* __restrict right, T* __restrict below, uint32_t* __restrict sums,
                        uint32_t* __restrict useful);
  void Capture(uint32_t diagonal);
  size_t At(uint32_t array, uint32_t i) const { return (size_t{array} * rows_ + i) * pitch_; }
  // The skew registers are a ring of beats: row i sees the beat that entered i edges before the latest.
  size_t Slot(uint32_t age) const { return (ring_head_ + age) & (ring_size_ - 1); }

  const uint32_t rows_, cols_, arrays_;
  const uint32_t pitch_;  // of a row of elements; the element left of column 0 is the skew register's output
  const uint32_t ring_size_;

  std::vector<T> ring_a_, ring_w_;  // ring_size x rows, ring_size x cols of all arrays
  uint32_t ring_head_ = 0;
  // Which sums go on (all ones) or restart (0), by diagonal: a window that moves down through a longer
  // buffer.
  std::vector<uint32_t> keep_;
  size_t keep_head_;

  // Registers of the elements, [arrays][rows][pitch], now and after the edge.
  std::vector<T> a_now_, a_next_;
  std::vector<T> w_now_, w_next_;  // with one row more on top, the skew registers' outputs
  // Seen by the element alone.
  std::vector<uint32_t> sums_, useful_;  // useful: of a run, fewer than 2^32 beats

  // Written by the diagonal that `last` has reached. The interlock lets no second tile come here before the
  // first is drained, so this needs no two phases.
  std::vector<uint32_t> results_;
  uint32_t last_age_ = kIdle;  // edges since a `last` entered
  bool captured_now_ = false, captured_next_ = false;
  uint64_t beats_ = 0;
  bool entered_ = false;
};

template <typename T>
SystolicArray<T>::SystolicArray(const ChipDesign& design)
    : rows_(design.rows),
      cols_(design.cols),
      arrays_(design.arrays),
      pitch_(kLanes + (design.cols + kLanes - 1) / kLanes * kLanes),
      ring_size_(std::bit_ceil(std::max(rows_, cols_) + 1)),
      ring_a_(size_t{ring_size_} * rows_),
      ring_w_(size_t{ring_size_} * cols_ * arrays_),
      keep_(rows_ + pitch_ + 1024, ~0u),
      keep_head_(1024),
      a_now_(At(arrays_, 0)),
      a_next_(a_now_.size()),
      w_now_(a_now_.size() + size_t{arrays_} * pitch_),
      w_next_(w_now_.size()),
      sums_(a_now_.size()),
      useful_(a_now_.size()),
      results_(size_t{rows_} * cols_ * arrays_) {}

template <typename T>
void SystolicArray<T>::Tick(const T* activations, const T* weights, bool first, bool last) {
  // 1. Every element multiplies what its neighbours hold, and passes it on.
  for (uint32_t array = 0; array < arrays_; ++array) {
    for (uint32_t i = 0; i < rows_; ++i) WorkRow(array, i);
  }

  // 2. The sums on the diagonal that a `last` has reached are captured.
  captured_next_ = false;
  if (last_age_ != kIdle) {
    Capture(last_age_);
    captured_next_ = last_age_ == rows_ + cols_ - 2;
    last_age_ = captured_next_ ? kIdle : last_age_ + 1;
  }

  // 3. A beat enters the skew registers, or a bubble of zeros, which leaves all sums as they are.
  const size_t slot = Slot(ring_size_ - 1);
  const size_t lanes = size_t{cols_} * arrays_;
  entered_ = activations != nullptr;
  if (entered_) {
    std::copy_n(activations, rows_, &ring_a_[slot * rows_]);
    std::copy_n(weights, lanes, &ring_w_[slot * lanes]);
    ++beats_;
    if (last) last_age_ = 0;
  } else {
    std::fill_n(&ring_a_[slot * rows_], rows_, T{0});
    std::fill_n(&ring_w_[slot * lanes], lanes, T{0});
  }
  keep_[keep_head_ - 1] = entered_ && first ? 0 : ~0u;
}

// Parameters, because compilers heed `__restrict` there; with it the loop becomes vector instructions at -O2.
template <typename T>
inline void SystolicArray<T>::WorkLanes(const T* __restrict left, const T* __restrict above,
                                        const uint32_t* __restrict keep, T* __restrict right,
                                        T* __restrict below, uint32_t* __restrict sums,
                                        uint32_t* __restrict useful) {
  for (uint32_t j = 0; j < kLanes; ++j) {
    uint32_t product;
    if constexpr (sizeof(T) == 2) {
      product = static_cast<uint32_t>(int32_t{left[j]} * int32_t{above[j]});
      useful[j] += product != 0 ? 1 : 0;
    } else {
      product = static_cast<uint32_t>(left[j]) * static_cast<uint32_t>(above[j]);
      useful[j] += (left[j] != 0 ? 1 : 0) & (above[j] != 0 ? 1 : 0);
    }
    sums[j] = (sums[j] & keep[j]) + product;
    right[j] = left[j];
    below[j] = above[j];
  }
}

template <typename T>
void SystolicArray<T>::WorkRow(uint32_t array, uint32_t i) {
  const size_t row = At(array, i) + kLanes;
  const size_t w_row = row + size_t{array} * pitch_;  // of the row above
  for (uint32_t block = 0; block + kLanes < pitch_; block += kLanes) {
    WorkLanes(&a_now_[row + block - 1], &w_now_[w_row + block], &keep_[keep_head_ + i + block],
              &a_next_[row + block], &w_next_[w_row + pitch_ + block], &sums_[row + block],
              &useful_[row + block]);
  }
}

template <typename T>
void SystolicArray<T>::Capture(uint32_t diagonal) {
  for (uint32_t i = diagonal < cols_ ? 0 : diagonal - cols_ + 1; i < std::min(rows_, diagonal + 1); ++i) {
    for (uint32_t array = 0; array < arrays_; ++array) {
      const uint32_t j = diagonal - i;
      results_[(size_t{i} * arrays_ + array) * cols_ + j] = sums_[At(array, i) + kLanes + j];
    }
  }
}

template <typename T>
void SystolicArray<T>::Commit() {
  std::swap(a_now_, a_next_);
  std::swap(w_now_, w_next_);
  captured_now_ = captured_next_;

  // The skew registers move on: their outputs are the elements beside and above the array.
  ring_head_ = static_cast<uint32_t>(Slot(ring_size_ - 1));
  for (uint32_t array = 0; array < arrays_; ++array) {
    for (uint32_t i = 0; i < rows_; ++i) a_now_[At(array, i) + kLanes - 1] = ring_a_[Slot(i) * rows_ + i];
    T* top = &w_now_[At(array, 0) + size_t{array} * pitch_ + kLanes];
    const T* lane = &ring_w_[size_t{array} * cols_];
    for (uint32_t j = 0; j < cols_; ++j) top[j] = lane[Slot(j) * cols_ * arrays_ + j];
  }
  if (--keep_head_ == 0) {
    const size_t window = keep_.size() - 1024;
    std::copy_backward(keep_.begin(), keep_.begin() + window, keep_.end());
    keep_head_ = 1024;
  }
}

template <typename T>
void SystolicArray<T>::ResetCounters() {
  std::fill(useful_.begin(), useful_.end(), 0);
  beats_ = 0;
}

template <typename T>
void SystolicArray<T>::Count(SimCounters& counters) const {
  counters.element_rows = rows_;
  counters.element_cols = cols_ * arrays_;
  counters.busy_cycles = beats_;
  counters.multiply_adds = beats_ * rows_ * cols_ * arrays_;
  counters.useful.clear();
  for (uint32_t i = 0; i < rows_; ++i) {
    for (uint32_t array = 0; array < arrays_; ++array) {
      const auto row = useful_.begin() + static_cast<ptrdiff_t>(At(array, i)) + kLanes;
      counters.useful.insert(counters.useful.end(), row, row + cols_);
    }
  }
}

}  // namespace edgewise::chip
