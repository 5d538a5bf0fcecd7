#include "predict/step_classes.h"

#include <algorithm>

#include "predict/op_time.h"

namespace edgewise {

StepClasses ClassesOf(const Model& model, DType k_type, DType v_type, std::span<const Sequence> sequences) {
  Step step;
  BuildStep(model, k_type, v_type, sequences, step);
  StepClasses classes;
  classes.layers = model.config().layers;
  classes.phases = PhasesOf(step);
  for (const Op& op : step.ops) {
    if (op.kind == OpKind::kAttention) {
      classes.attention = op;
      continue;
    }
    const OpCost cost = CostOf(model, op, step);
    const auto same = std::ranges::find_if(classes.ops, [&](const OpClass& one) {
      return one.op.role == op.role && one.op.weight == op.weight && one.op.m == op.m && one.op.n == op.n &&
             one.op.k == op.k && one.cost == cost;
    });
    if (same != classes.ops.end()) {
      ++same->count;
    } else {
      classes.ops.push_back({op, cost, 1});
    }
  }
  classes.sequences = std::move(step.sequences);
  return classes;
}

}  // namespace edgewise
