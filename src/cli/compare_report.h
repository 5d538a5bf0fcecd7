// What `compare` found, as text, JSON and a page.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "cli/compare_run.h"
#include "cli/json.h"
#include "cli/report_html.h"
#include "machine/device.h"

namespace edgewise {

// A model's comparisons. Of a chip the times are also simulated, and what is measured is this machine.
struct ComparedModel {
  std::string name;  // of the file
  std::string type;  // "Q4_0"
  std::vector<Comparison> tests;
  ReportMemory memory;  // the plan's
  std::string no_energy;
};

// The table of predictions, to be printed before anything is measured.
std::string PredictionText(const std::string& model, const std::vector<TestPrediction>& predictions);
// Totals of all tests; `operators`: each test by role too.
std::string ComparisonText(std::span<const ComparedModel> models, bool operators);
// Median and worst errors by kind of test (decode, prefill); "" for fewer than three tests.
std::string ScoreText(std::span<const ComparedModel> models);
Json ComparisonJson(const ComparedModel& model);

// Rooflines of one number of threads: the device's own roof, for each arithmetic that the tests used.
Report ComparisonReport(const Device& device, std::span<const ComparedModel> models,
                        const std::vector<MachineRoof>& roofs);

}  // namespace edgewise
