// The output-stationary systolic array, followed by what can be seen of it: same ports, same edges as
// systolic_array.h, but elements keep no registers for what passes through them.
//
// Element (i, j) multiplies the beat that entered i + j edges before, so operands travel without any choice
// of their own, and of all that happens between a tile's first beat and its last one nothing can be seen
// until the last element is captured. Beats are therefore recorded, and the elements' sums brought up to date
// when a tile ends, a new one begins, or the record is full. The edge of the capture is counted.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "chip/simulation.h"
#include "machine/chip.h"

namespace edgewise::chip {

template <typename T>
class SystolicSums {
 public:
  explicit SystolicSums(const ChipDesign& design);

  // A beat's activations [rows] and weights [cols of all arrays], or null when none was accepted.
  void Tick(const T* activations, const T* weights, bool first, bool last);
  void Commit() { edges_left_ = edges_left_next_; }
  // Edges from now on of which nothing can be seen as long as no beat is accepted.
  uint64_t QuietEdges() const { return edges_left_; }
  void Skip(uint64_t edges) {
    if (edges_left_ != kNever) edges_left_next_ = edges_left_ -= edges;
  }

  // For one cycle after the edge that captured a tile's final element.
  bool captured() const { return edges_left_ == 0; }
  const uint32_t* results() const { return results_.data(); }  // [rows][cols of all arrays]

  void ResetCounters();
  void Count(SimCounters& counters);

 private:
  static constexpr uint32_t kRecord = 64;  // beats: 2 KB of an 8 x 8 array
  static constexpr uint32_t kLanes = 8;    // columns that are worked at once; they are padded to it

  void Work();

  const uint32_t rows_, cols_;  // of all arrays
  const uint32_t pitch_;        // of columns
  const uint64_t latency_;      // edges from the one that accepts a tile's last beat to the capture
  uint64_t edges_left_ = kNever, edges_left_next_ = kNever;  // until the capture

  std::vector<T> a_, w_;  // [beats][rows], [beats][pitch]
  uint32_t recorded_ = 0;
  std::vector<uint32_t> sums_, useful_;  // [rows][pitch]; useful: of a run, fewer than 2^32 beats
  std::vector<uint32_t> results_;        // the interlock lets no tile end before the one before is drained
  uint64_t beats_ = 0;
};

}  // namespace edgewise::chip
