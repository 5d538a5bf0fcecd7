// The tables of `plan`: sizes, and losses of number formats; and the documents' rules.
#pragma once

#include <string>

#include "cli/plan_options.h"
#include "cli/plan_setup.h"

namespace edgewise {

// "sizes": 7B to 65B by precision: bytes, and tokens per second on devices. "losses": perplexity by type.
// "energy": a token of the model by technology and DRAM. "formulas": those that the documents print beside
// what is so. Throws Error(kUsage) for another name.
int PrintPlanTable(const std::string& name, const PlanFlags& flags);

// --rules source: both rules as the documents write them, for this configuration, beside ours.
int PrintRules(PlanSetup& setup, const PlanFlags& flags);

}  // namespace edgewise
