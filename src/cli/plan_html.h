// A plan as a page: the roofline with every operator, where the time goes, what the memory holds.
#pragma once

#include <span>

#include "cli/plan_report.h"
#include "cli/report_html.h"

namespace edgewise {

Report PlanReport(const PlanView& view, const Model& model, const Candidate& now,
                  std::span<const Advised> advised);

}  // namespace edgewise
