// What `plan` says, in words and in JSON.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cli/json.h"
#include "cli/plan_options.h"
#include "cli/plan_setup.h"
#include "cli/text.h"
#include "engine/memory_plan.h"
#include "predict/advice.h"

namespace edgewise {

// A configuration on a device with all that is said of it.
struct PlanView {
  Device device;
  Configuration configuration;
  std::string model;       // its name
  std::string model_file;  // "" for shapes
  uint64_t parameters = 0;
  uint32_t made_for = 0;  // positions that it was trained for
  Prediction prediction;
  std::optional<Efficiency> efficiency;  // of its peaks; absent of measured machines and chips
  Figures figures;
  MemoryPlan memory;
  EnergyOptions energy;
  std::string loss_from;  // whose losses of number formats these are; "" where there is none
  double least_joules = 0;  // of a token, in any silicon (predict/energy.h)
};

// Watts and what follows from them, at the clock and duty that were asked for; absent where nobody knows the
// watts.
struct EnergyFigures {
  double load_watts = 0, mean_watts = 0, joules_per_token = 0;
  double hours = 0;  // of the battery; 0 without one
  double tokens_per_charge = 0;
};
std::optional<EnergyFigures> EnergyOf(const PlanView& view);

std::string GainText(double before, double after);  // "2.1x", "-40%", "same"
// "Q4_0, KV Q8_0, context 2048, 2 threads, speculating 4"
std::string ConfigurationText(const Configuration& configuration);
// The commands that make (for shapes) and run it.
std::string CommandText(const PlanView& view);

// How much the prediction is worth, and why.
std::string BasisText(const PlanView& view);
std::string ViewText(const PlanView& view);
Json ViewJson(const PlanView& view);

// What is worth showing: at most so many of a kind, and of all; nothing that changes nothing.
std::vector<const Advised*> Selected(const Candidate& now, std::span<const Advised> advised);
std::string AdviceText(const Candidate& now, std::span<const Advised> advised);
Json AdviceJson(const Candidate& now, std::span<const Advised> advised);
std::string LeastChangeText(const Limits& want, const LeastChange& answer);
Json LeastChangeJson(const Limits& want, const LeastChange& answer);
std::string ChipChangeText(const ChipDesign& design, double tok_s, const SearchResult& result);

std::string SearchText(std::span<const ModelChoice> models, const Device& device, const Limits& limits,
                       const SearchAnswer& answer);
Json SearchJson(std::span<const ModelChoice> models, const Device& device, const Limits& limits,
                const SearchAnswer& answer);

// "1.2%", "none", "unknown"
std::string LossText(double loss);
// Relative: "1.025", "?"
std::string PerplexityText(double perplexity);
// "4.00 GB", "5 tok/s"
std::string FigureText(LimitKind kind, double value);

}  // namespace edgewise
