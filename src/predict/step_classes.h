// A step by classes of operators. Layers differ in nothing that costs but the types of some weights, so a
// step of hundreds of operators has a few dozen that differ. Classes know no device: searches make them once
// and price them on many.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "graph/cost.h"
#include "graph/op.h"

namespace edgewise {

struct OpClass {
  Op op;  // the first of them
  OpCost cost;
  uint32_t count = 0;
};

struct StepClasses {
  std::vector<OpClass> ops;  // all but attention
  Op attention = {};         // of a layer, the same in each; what it costs depends on the depth
  uint32_t layers = 0;
  uint32_t phases = 0;  // PhasesOf the step
  std::vector<Sequence> sequences;
};

// As BuildStep.
StepClasses ClassesOf(const Model& model, DType k_type, DType v_type, std::span<const Sequence> sequences);

}  // namespace edgewise
