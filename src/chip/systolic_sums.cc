#include "chip/systolic_sums.h"

namespace edgewise::chip {
namespace {

// kLanes elements of a row meet `beats` beats: a[beat * a_stride] with w[beat * w_stride + lane]. Compilers
// heed
// `__restrict` of parameters: sums then stay in vector registers, 24 instructions a row and beat with SSE2.
template <typename T, uint32_t kLanes>
void MeetBeats(const T* __restrict a, size_t a_stride, const T* __restrict w, size_t w_stride, uint32_t beats,
               uint32_t* __restrict sums, uint32_t* __restrict useful) {
  for (uint32_t beat = 0; beat < beats; ++beat, a += a_stride, w += w_stride) {
    const T left = *a;
    for (uint32_t j = 0; j < kLanes; ++j) {
      uint32_t product;
      if constexpr (sizeof(T) == 2) {
        product = static_cast<uint32_t>(int32_t{left} * int32_t{w[j]});
        useful[j] += product != 0 ? 1 : 0;
      } else {
        product = static_cast<uint32_t>(left) * static_cast<uint32_t>(w[j]);
        useful[j] += (left != 0 ? 1 : 0) & (w[j] != 0 ? 1 : 0);
      }
      sums[j] += product;
    }
  }
}

}  // namespace

template <typename T>
SystolicSums<T>::SystolicSums(const ChipDesign& design)
    : rows_(design.rows),
      cols_(design.cols * design.arrays),
      pitch_((cols_ + kLanes - 1) / kLanes * kLanes),
      latency_(design.rows + design.cols - 1),
      a_(size_t{kRecord} * rows_),
      w_(size_t{kRecord} * pitch_),
      sums_(size_t{rows_} * pitch_),
      useful_(sums_.size()),
      results_(size_t{rows_} * cols_) {}

template <typename T>
void SystolicSums<T>::Tick(const T* activations, const T* weights, bool first, bool last) {
  // 1. The last beat of a tile moves on towards the last element, which is captured once.
  edges_left_next_ = edges_left_ == 0 || edges_left_ == kNever ? kNever : edges_left_ - 1;
  if (activations == nullptr) return;

  // 2. A beat enters. The first of a tile restarts the sums behind those before it.
  if (first) {
    Work();
    std::fill(sums_.begin(), sums_.end(), 0);
  }
  std::copy_n(activations, rows_, &a_[size_t{recorded_} * rows_]);
  std::copy_n(weights, cols_, &w_[size_t{recorded_} * pitch_]);
  ++beats_;
  if (++recorded_ == kRecord || last) Work();
  if (!last) return;

  // 3. Sums that are to be captured are taken now: no tile can end before this one has left.
  for (uint32_t i = 0; i < rows_; ++i)
    std::copy_n(&sums_[size_t{i} * pitch_], cols_, &results_[size_t{i} * cols_]);
  edges_left_next_ = latency_;
}

template <typename T>
void SystolicSums<T>::Work() {
  for (uint32_t i = 0; i < rows_; ++i) {
    for (uint32_t j = 0; j < pitch_; j += kLanes) {
      const size_t element = size_t{i} * pitch_ + j;
      MeetBeats<T, kLanes>(&a_[i], rows_, &w_[j], pitch_, recorded_, &sums_[element], &useful_[element]);
    }
  }
  recorded_ = 0;
}

template <typename T>
void SystolicSums<T>::ResetCounters() {
  std::fill(useful_.begin(), useful_.end(), 0);
  beats_ = 0;
}

template <typename T>
void SystolicSums<T>::Count(SimCounters& counters) {
  Work();
  counters.element_rows = rows_;
  counters.element_cols = cols_;
  counters.busy_cycles = beats_;
  counters.multiply_adds = beats_ * rows_ * cols_;
  counters.useful.clear();
  for (uint32_t i = 0; i < rows_; ++i) {
    const auto row = useful_.begin() + static_cast<ptrdiff_t>(size_t{i} * pitch_);
    counters.useful.insert(counters.useful.end(), row, row + cols_);
  }
}

template class SystolicSums<int16_t>;
template class SystolicSums<int32_t>;

}  // namespace edgewise::chip
