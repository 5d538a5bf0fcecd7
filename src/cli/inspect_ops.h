// The operator list of one step with the cost of each operator, for `inspect --ops`.
#pragma once

#include <cstdint>

#include "cli/json.h"
#include "model/model.h"

namespace edgewise {

struct StepShape {
  uint32_t rows = 1;   // tokens of the step, the last of which wants logits
  uint32_t depth = 0;  // positions in the cache before it
  DType k_type = DType::kF16, v_type = DType::kF16;
};

// Layers that are alike are shown once, with their number.
std::string OpsText(const Model& model, const StepShape& shape);
// All operators, and the totals.
Json OpsJson(const Model& model, const StepShape& shape);

}  // namespace edgewise
