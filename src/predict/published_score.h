// How well published rows are predicted by the others of their class: each is left out in turn, the factors
// are fitted to the rest, and the product's own formula (op_time.h) prices it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "predict/efficiency.h"
#include "predict/published.h"
#include "predict/published_power.h"

namespace edgewise {

struct SpeedScore {
  const Observation* row = nullptr;
  size_t class_rows = 0;  // that count, of its class, it included
  bool scored = false;    // it counts, in a class of at least kLeastRows
  double tok_s = 0;       // predicted, where scored
  double error = 0;       // predicted / measured - 1
  // The same with all rows of its device left out; none without others.
  std::optional<double> device_error = std::nullopt;
  // What EfficiencyFor makes of all other rows, of whatever class; none of rows that do not count.
  std::optional<double> general_error = std::nullopt;
};
struct SpeedClass {
  std::string name;
  size_t rows = 0;          // that count
  size_t devices = 0;       // that they are of: with one, the band is assumed
  size_t prefill_rows = 0;  // that know a prefill share: without, compute_share is assumed
  bool scored = false;
  double median = 0;      // absolute errors
  Efficiency efficiency;  // of all its rows; its error is of devices left out
};
struct SpeedScores {
  std::vector<SpeedScore> rows;     // as in the table
  std::vector<SpeedClass> classes;  // by name
  double median = 0, device_median = 0, general_median = 0;
  size_t scored = 0, within_20 = 0;
};
// The table must outlive it.
SpeedScores ScoreSpeeds(const PublishedTable& table);

struct EnergyScore {
  const Observation* row = nullptr;
  const PublishedEnergy* energy = nullptr;
  std::string class_name;  // "nvidia-gpu x llama.cpp-vulkan x wall"
  size_t class_rows = 0;
  bool scored = false;
  double measured = 0;  // joules of a token
  double joules = 0;    // predicted, where scored: watts and speed both without the row
  double watts = 0;     // predicted
  double error = 0, watts_error = 0;
  std::optional<double> device_error = std::nullopt;  // as SpeedScore's
};
struct EnergyScores {
  std::vector<EnergyScore> rows;
  double median = 0, device_median = 0, watts_median = 0;
  size_t scored = 0, within_35 = 0;
};
EnergyScores ScoreEnergy(const PublishedTable& table);

// Tokens a second of a row's run, priced operator by operator.
double PricedSpeed(const Observation& row, const Efficiency& efficiency);

}  // namespace edgewise
