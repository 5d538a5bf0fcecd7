// The flags of `plan`, and what they ask for.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/flags.h"
#include "predict/battery.h"
#include "predict/search.h"

namespace edgewise {

inline constexpr const char* kDefaultRecipe = "Q4_0";

struct PlanFlags {
  std::optional<std::string> model, shape;
  std::optional<std::string> device;  // host when not given
  std::optional<std::string> type, k_type, v_type;
  std::optional<uint32_t> context, chunk, threads;
  uint32_t prompt = 128, generate = 128, sequences = 1;
  uint32_t draft = 0, prefix = 0, window = 0;
  double acceptance = 0.5;
  // Limits and wishes.
  std::optional<std::string> memory, ttft, tok_s, watts, loss;
  std::vector<std::string> want;
  // Energy.
  std::optional<std::string> battery, clock, duty;
  // What else can be asked.
  std::optional<std::string> preset, table, rules, html;
  bool cold = false, remeasure = false, fresh = false, json = false;

  void AddTo(Flags& flags);
};

// --mem --ttft --tok-s --watts --max-ppl-loss. Throws Error(kUsage) for what is no number with its unit.
Limits LimitsOf(const PlanFlags& flags);
bool IsAny(const Limits& limits);
// --want tok_s=5, ttft_ms=500, ttft=500ms, mem=4G, watts=5, loss=3%. Throws Error(kUsage) for anything else
// or one twice.
Limits WantsOf(const PlanFlags& flags);

// What the device runs from, and for how much of the time.
struct EnergyOptions {
  std::optional<Battery> battery;
  double duty_share = 1;   // of the time that it works
};
EnergyOptions EnergyOptionsOf(const PlanFlags& flags);
// --dvfs: of the full clock; 1 when not given.
double ClockShareOf(const PlanFlags& flags);

// -p -n -b --batch -ctk -ctv and the techniques. Checked. Throws Error(kUsage).
Usage UsageOf(const PlanFlags& flags);

}  // namespace edgewise
