// Shapes of published models, by name: what it takes to price one, or to make a file of random
// weights in its dimensions, without having the model.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/config.h"
#include "quant/recipe.h"

namespace edgewise {

struct ModelShape {
  ModelConfig config;
  bool tied_output = false;
  // Llama 3.1 and 3.2 stretch low frequencies by this factor (a tensor of factors in the file);
  // 0: they do not.
  float llama3_rope_factor = 0;
};

// All names, in the order of the table (shapes.cc).
std::vector<std::string_view> ShapeNames();
// Throws Error(kUsage) naming it and listing those known.
ModelShape ShapeNamed(std::string_view name);

// What quantisation recipes ask of it.
RecipeModel RecipeModelOf(const ModelShape& shape);

// Throws Error(kUsage), saying which dimension and why, for a shape that cannot be a model: a zero,
// KV heads that do not divide the heads, an odd head size, a dimension above the reader's limits.
void CheckShape(const ModelShape& shape);

// The divisors of a head's rope.dims / 2 frequencies that Llama 3.x stores as rope_freqs.weight:
// 1 for wavelengths below a quarter of the original context of 8192 positions, `factor` for those
// above it, in between interpolated. Requires shape.llama3_rope_factor > 0.
std::vector<float> Llama3RopeFactors(const ModelShape& shape);

}  // namespace edgewise
