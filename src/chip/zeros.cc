#include "chip/zeros.h"

#include <algorithm>
#include <vector>

namespace edgewise::chip {
namespace {

double Gain(uint64_t all, uint64_t left_out) {
  return all == left_out ? 0 : static_cast<double>(all) / static_cast<double>(all - left_out);
}

}  // namespace

double ZeroCounts::ElementGain() const { return Gain(weights, zeros); }
double ZeroCounts::TileGain() const { return Gain(tiles, zero_tiles); }

ZeroCounts& ZeroCounts::operator+=(const ZeroCounts& other) {
  weights += other.weights;
  zeros += other.zeros;
  tiles += other.tiles;
  zero_tiles += other.zero_tiles;
  fours += other.fours;
  complying_fours += other.complying_fours;
  return *this;
}

ZeroCounts CountZeros(const Integers& w, uint64_t n, uint64_t k, uint32_t cols, uint32_t depth) {
  ZeroCounts counts;
  counts.weights = n * k;
  std::vector<bool> occupied((k + depth - 1) / depth);  // tiles along k of the current column tile
  for (uint64_t j = 0; j < n; ++j) {
    for (uint64_t l = 0; l < k; l += 4) {
      uint64_t zeros = 0;
      const uint64_t end = std::min(l + 4, k);
      for (uint64_t i = l; i < end; ++i) {
        const bool zero = w.at(j, i) == 0;
        zeros += zero;
        if (!zero) occupied[i / depth] = true;
      }
      counts.zeros += zeros;
      ++counts.fours;
      counts.complying_fours += end - l - zeros <= 2;
    }
    if ((j + 1) % cols != 0 && j + 1 < n) continue;
    counts.tiles += occupied.size();
    counts.zero_tiles += static_cast<uint64_t>(std::count(occupied.begin(), occupied.end(), false));
    std::fill(occupied.begin(), occupied.end(), false);
  }
  return counts;
}

ZeroCounts CountZeros(const WeightPlanes& planes, uint32_t cols, uint32_t depth) {
  ZeroCounts counts;
  for (uint32_t g = 0; g < planes.planes(); ++g) {
    const uint32_t k = planes.GroupSize(g);
    counts += CountZeros({planes.Plane(g), k}, planes.n, k, cols, depth);
  }
  return counts;
}

}  // namespace edgewise::chip
