// The documents' scenarios and exercises: what they answer, and what the predictor says of it.
#pragma once

#include <string>

#include "cli/plan_options.h"

namespace edgewise {

// Throws Error(kUsage) for an unknown name, listing those known.
int PrintPreset(const std::string& name, const PlanFlags& flags);

}  // namespace edgewise
