// Angles of rotary position embedding, with the scalings that models carry.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/model.h"

namespace edgewise {

// Position p turns pair i by p * frequency[i]; rotated values are multiplied by `magnitude`.
struct RopeAngles {
  std::vector<double> frequency;  // dims / 2
  double magnitude = 1.0;
};

// Sources: RoFormer (arXiv:2104.09864); linear position interpolation (arXiv:2306.15595); YaRN
// (arXiv:2309.00071); Llama 3's factors divide each frequency before scaling.
RopeAngles MakeRopeAngles(const Model& model);

// cos and sin of one position, dims / 2 each, times the magnitude.
void FillRotation(const RopeAngles& angles, uint32_t position, std::span<float> cos,
                  std::span<float> sin);

}  // namespace edgewise
