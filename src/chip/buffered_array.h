// Arrays that compute from buffers: one weight tile with one row block, step by step.
#pragma once

#include <cstdint>
#include <vector>

#include "chip/sequential_array.h"
#include "chip/simulation.h"
#include "chip/stream_parts.h"
#include "machine/chip.h"

namespace edgewise::chip {

// One weight tile with one row block, and where its operands and sums are.
struct BufferedStep {
  uint32_t rows = 0;   // of A that are real
  uint64_t a_row = 0;  // of the scratchpad: the first of `depth` columns of A
  uint64_t w_row = 0;  // of the weight buffer: the first of `depth` rows of weights
  uint32_t sums_slot = 0;
  bool first = false, last = false;  // of an output tile
  uint64_t loads = 0;                // that must have ended before
  uint64_t drains = 0;               // that must have ended before
  uint64_t cycles = 0;               // that it takes: only of the weight-stationary array
};

// Weight-stationary: depth x cols elements hold a weight each; activations move right, partial sums down.
//
// From the edge 0 after which a step can start: row i of A enters the skew registers at edge i+1, element
// (d, j) works on it at edge i+d+j+2, and what leaves column j at the bottom joins its sum there: the last
// at edge rows + depth + cols - 1.
template <typename T>
class WeightStationaryArray {
 public:
  explicit WeightStationaryArray(const ChipDesign& design, uint32_t slots);

  void Start(const BufferedStep& step, const Scratchpad<T>& scratchpad, const Scratchpad<T>& weights);
  // Works one cycle of the step; true if it was the last.
  bool Tick(const BufferedStep& step, const Scratchpad<T>& scratchpad, const Scratchpad<T>& weights);
  void Commit() {}
  const uint32_t* sums(uint32_t slot) const { return &sums_[size_t{slot} * rows_ * lanes_]; }

  void ResetCounters();
  void Count(SimCounters& counters) const;

 private:
  void Work(const BufferedStep& step, const Scratchpad<T>& weights);
  void Accumulate(const BufferedStep& step);
  size_t Slot(uint32_t age) const { return (ring_head_ + age) & (ring_size_ - 1); }

  const uint32_t rows_, cols_, depth_, arrays_, lanes_;  // lanes: columns of all arrays
  const uint32_t ring_size_;
  uint64_t cycle_ = 0;  // of the step

  // Seen by the array alone, and within it by neighbours: now and after the edge.
  std::vector<T> ring_;  // the skew registers: depth row d sees what entered d edges before the latest
  uint32_t ring_head_ = 0;
  std::vector<T> a_now_, a_next_;  // [depth][arrays][1 + cols], left of column 0 the skew register
  std::vector<uint32_t> psum_now_, psum_next_;  // [1 + depth][lanes], zeros on top
  std::vector<uint32_t> sums_;                  // [slots][rows][lanes]
  std::vector<uint64_t> useful_;                // [depth][lanes]
  uint64_t busy_cycles_ = 0, multiply_adds_ = 0;
};

// Sequential arrays in lockstep, each with its columns of the weight tile.
template <typename T>
class LockstepArray {
 public:
  explicit LockstepArray(const ChipDesign& design, uint32_t slots);

  void Start(const BufferedStep& step, const Scratchpad<T>& scratchpad, const Scratchpad<T>& weights);
  bool Tick(const BufferedStep& step, const Scratchpad<T>& scratchpad, const Scratchpad<T>& weights);
  void Commit();
  const uint32_t* sums(uint32_t slot) const { return &sums_[size_t{slot} * rows_ * cols_ * arrays_.size()]; }

  void ResetCounters();
  void Count(SimCounters& counters) const { SequentialArray::Count(arrays_, counters); }

 private:
  const uint32_t rows_, cols_, depth_;
  std::vector<SequentialArray> arrays_;
  std::vector<uint32_t> sums_;  // [slots][rows][cols of all arrays]: finished output tiles
  bool finished_ = false;       // an output tile, at this edge
  uint32_t finished_slot_ = 0;
};

}  // namespace edgewise::chip
