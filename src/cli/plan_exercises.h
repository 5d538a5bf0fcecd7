// The documents' exercises that are a computation: what they answer, and what is right.
#pragma once

#include <functional>
#include <span>

#include "cli/plan_options.h"
#include "cli/plan_setup.h"

namespace edgewise {

struct Exercise {
  const char* name;  // "exercise-2"
  int (*print)(const PlanFlags& flags);
};
std::span<const Exercise> Exercises();

// Prices at the peaks of a device: what no program can exceed.
class Ceilings {
 public:
  explicit Ceilings(const PlanSetup& setup);
  Evaluator& evaluator() { return evaluator_; }

 private:
  std::function<MemoryNeed(const Model&, const Usage&)> memory_;
  Evaluator evaluator_;
};

}  // namespace edgewise
