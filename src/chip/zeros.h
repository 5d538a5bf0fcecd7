// What zero skipping could save on given weights: zeros by element, by tile and by four along k.
#pragma once

#include <cstdint>

#include "chip/matrix.h"
#include "chip/number_scheme.h"

namespace edgewise::chip {

struct ZeroCounts {
  uint64_t weights = 0, zeros = 0;
  uint64_t tiles = 0, zero_tiles = 0;       // of cols outputs x depth, edge tiles padded with zeros
  uint64_t fours = 0, complying_fours = 0;  // four weights along k, of which two at least are zero

  // How many times fewer multiply-adds, tiles, or (all fours complying) stored weights.
  double ElementGain() const;
  double TileGain() const;
  double TwoOfFourGain() const { return complying_fours == fours ? 2 : 1; }

  ZeroCounts& operator+=(const ZeroCounts& other);
};

// Of W [n, k].
ZeroCounts CountZeros(const Integers& w, uint64_t n, uint64_t k, uint32_t cols, uint32_t depth);
ZeroCounts CountZeros(const WeightPlanes& planes, uint32_t cols, uint32_t depth);

}  // namespace edgewise::chip
