// The vector engine: `rows` rows of activations meet cols x depth weights a cycle in adder trees.
//
// A beat that is accepted at edge t is registered there; products are registered after t+1, each level of
// the trees one edge later, and after t + 2 + ceil(log2(depth)) it is added to the sums - which it restarts
// when it is the `first` of a tile, and which are captured for the drain when it is the `last`. One beat a
// cycle.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

#include "chip/simulation.h"
#include "machine/chip.h"

namespace edgewise::chip {

template <typename T>
class VectorArray {
 public:
  explicit VectorArray(const ChipDesign& design);

  // A beat's activations [rows][depth] and weights [cols of all arrays][depth], or null.
  void Tick(const T* activations, const T* weights, bool first, bool last);
  void Commit() { captured_now_ = captured_next_; }
  // Edges from now on at which nothing happens here as long as no beat is accepted: all, once it is empty.
  uint64_t QuietEdges() const;
  void Skip(uint64_t) {}

  bool captured() const { return captured_now_; }              // for one cycle
  const uint32_t* results() const { return results_.data(); }  // [rows][cols of all arrays]

  void ResetCounters();
  void Count(SimCounters& counters) const;

 private:
  struct Marks {
    bool valid = false, first = false, last = false;
  };

  void Multiply();
  void AddPairs(uint32_t level);
  void Accumulate();

  const uint32_t rows_, cols_, depth_;
  const uint32_t levels_;  // of the adder trees

  // The pipeline is seen by nobody else, so its stages tick from the last to the first, each reading what its
  // predecessor held before the edge.
  std::vector<T> a_, w_;  // the input registers
  std::vector<std::vector<uint32_t>>
      trees_;                            // level l: [rows][cols][ceil(depth / 2^l)]; level 0: the products
  std::vector<Marks> marks_;             // what is in the input registers, then in each level
  std::vector<uint32_t> sums_, useful_;  // [rows][cols]; useful: of a run, fewer than 2^32 / depth beats

  std::vector<uint32_t> results_;  // as in the systolic array, the interlock keeps it until it is drained
  bool captured_now_ = false, captured_next_ = false;
  uint64_t beats_ = 0;
};

template <typename T>
VectorArray<T>::VectorArray(const ChipDesign& design)
    : rows_(design.rows),
      cols_(design.cols * design.arrays),
      depth_(design.depth),
      levels_(static_cast<uint32_t>(std::bit_width(depth_ - 1))),
      a_(size_t{rows_} * depth_),
      w_(size_t{cols_} * depth_),
      marks_(levels_ + 2),
      sums_(size_t{rows_} * cols_),
      useful_(sums_.size()),
      results_(sums_.size()) {
  for (uint32_t level = 0; level <= levels_; ++level) {
    trees_.emplace_back(sums_.size() * ((depth_ + (size_t{1} << level) - 1) >> level));
  }
}

template <typename T>
void VectorArray<T>::Tick(const T* activations, const T* weights, bool first, bool last) {
  // 1. The roots of the trees join the sums.
  captured_next_ = false;
  if (marks_.back().valid) Accumulate();

  // 2. Each level of the trees adds pairs of the level before.
  for (uint32_t level = levels_; level > 0; --level) {
    marks_[level + 1] = marks_[level];
    if (marks_[level].valid) AddPairs(level);
  }

  // 3. The input registers are multiplied.
  marks_[1] = marks_[0];
  if (marks_[0].valid) Multiply();

  // 4. A beat enters.
  marks_[0] = {activations != nullptr, first, last};
  if (activations == nullptr) return;
  std::copy_n(activations, a_.size(), a_.begin());
  std::copy_n(weights, w_.size(), w_.begin());
  ++beats_;
}

template <typename T>
uint64_t VectorArray<T>::QuietEdges() const {
  const bool empty =
      !captured_now_ && std::none_of(marks_.begin(), marks_.end(), [](const Marks& m) { return m.valid; });
  return empty ? kNever : 0;
}

template <typename T>
void VectorArray<T>::Multiply() {
  uint32_t* product = trees_[0].data();
  for (uint32_t i = 0; i < rows_; ++i) {
    const T* a = &a_[size_t{i} * depth_];
    for (uint32_t j = 0; j < cols_; ++j, product += depth_) {
      const T* w = &w_[size_t{j} * depth_];
      uint32_t useful = 0;
      for (uint32_t k = 0; k < depth_; ++k) {
        if constexpr (sizeof(T) == 2) {
          product[k] = static_cast<uint32_t>(int32_t{a[k]} * int32_t{w[k]});
        } else {
          product[k] = static_cast<uint32_t>(a[k]) * static_cast<uint32_t>(w[k]);
        }
        useful += (a[k] != 0) & (w[k] != 0);
      }
      useful_[size_t{i} * cols_ + j] += useful;
    }
  }
}

template <typename T>
void VectorArray<T>::AddPairs(uint32_t level) {
  const size_t from_width = trees_[level - 1].size() / sums_.size(),
               width = trees_[level].size() / sums_.size();
  const uint32_t* from = trees_[level - 1].data();
  uint32_t* to = trees_[level].data();
  for (size_t tree = 0; tree < sums_.size(); ++tree, from += from_width, to += width) {
    for (size_t node = 0; node < from_width / 2; ++node) to[node] = from[2 * node] + from[2 * node + 1];
    if (from_width % 2 != 0) to[width - 1] = from[from_width - 1];
  }
}

template <typename T>
void VectorArray<T>::Accumulate() {
  const std::vector<uint32_t>& roots = trees_[levels_];
  for (size_t i = 0; i < sums_.size(); ++i) sums_[i] = (marks_.back().first ? 0 : sums_[i]) + roots[i];
  if (!marks_.back().last) return;
  results_ = sums_;
  captured_next_ = true;
}

template <typename T>
void VectorArray<T>::ResetCounters() {
  std::fill(useful_.begin(), useful_.end(), 0);
  beats_ = 0;
}

template <typename T>
void VectorArray<T>::Count(SimCounters& counters) const {
  counters.element_rows = rows_;
  counters.element_cols = cols_;
  counters.busy_cycles = beats_;
  counters.multiply_adds = beats_ * rows_ * cols_ * depth_;
  counters.useful.assign(useful_.begin(), useful_.end());
}

}  // namespace edgewise::chip
