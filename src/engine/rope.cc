#include "engine/rope.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>

namespace edgewise {
namespace {

// YaRN: the pair index at which a frequency makes `rotations` turns within the original context.
double PairOfRotations(const RopeConfig& rope, double rotations) {
  return rope.dims * std::log(rope.original_context / (rotations * 2 * std::numbers::pi)) /
         (2 * std::log(static_cast<double>(rope.base)));
}

}  // namespace

RopeAngles MakeRopeAngles(const Model& model) {
  const RopeConfig& rope = model.config().rope;
  const uint32_t pairs = rope.dims / 2;
  RopeAngles angles;
  angles.frequency.resize(pairs);
  for (uint32_t i = 0; i < pairs; ++i) {
    angles.frequency[i] = std::pow(static_cast<double>(rope.base), -2.0 * i / rope.dims);
  }
  if (model.rope_factors() != TensorId::kNone) {
    const std::byte* data = model.weight(model.rope_factors()).data;
    for (uint32_t i = 0; i < pairs; ++i) {
      float factor;
      std::memcpy(&factor, data + i * sizeof(float), sizeof(float));
      angles.frequency[i] /= factor;
    }
  }
  if (rope.scaling == RopeConfig::Scaling::kLinear) {
    for (double& f : angles.frequency) f /= rope.factor;
  }
  if (rope.scaling == RopeConfig::Scaling::kYarn) {
    // Fast pairs keep their frequency, slow ones are interpolated, a ramp lies between.
    const double low = std::max(0.0, std::floor(PairOfRotations(rope, rope.beta_fast)));
    const double high =
        std::min(rope.dims - 1.0, std::ceil(PairOfRotations(rope, rope.beta_slow)));
    for (uint32_t i = 0; i < pairs; ++i) {
      const double ramp = std::clamp((i - low) / std::max(0.001, high - low), 0.0, 1.0);
      const double interpolated = angles.frequency[i] / rope.factor;
      angles.frequency[i] = interpolated * ramp + angles.frequency[i] * (1 - ramp);
    }
    angles.magnitude = rope.attention_factor * (1.0 + 0.1 * std::log(rope.factor));
  }
  return angles;
}

void FillRotation(const RopeAngles& angles, uint32_t position, std::span<float> cos,
                  std::span<float> sin) {
  for (size_t i = 0; i < angles.frequency.size(); ++i) {
    const double angle = position * angles.frequency[i];
    cos[i] = static_cast<float>(std::cos(angle) * angles.magnitude);
    sin[i] = static_cast<float>(std::sin(angle) * angles.magnitude);
  }
}

}  // namespace edgewise
