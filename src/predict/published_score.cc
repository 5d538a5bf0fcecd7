#include "predict/published_score.h"

#include <cmath>
#include <map>
#include <set>

#include "base/strings.h"
#include "model/model.h"
#include "model/shapes.h"
#include "predict/op_time.h"
#include "predict/statistics.h"

namespace edgewise {
namespace {

using Rows = std::vector<const Observation*>;

double MedianOf(const std::vector<double>& values) { return values.empty() ? 0 : Median(values); }

std::map<std::string, Rows> ClassesOf(const PublishedTable& table) {
  std::map<std::string, Rows> classes;
  for (const Observation& o : table.observations()) {
    if (o.row.unscored.empty()) classes[o.ClassName()].push_back(&o);
  }
  return classes;
}

// Predicted by the others: all but this row, or all but its device.
std::optional<double> SpeedWithout(const Rows& rows, const Observation& left_out, bool by_device) {
  Rows rest;
  for (const Observation* row : rows) {
    if (by_device ? row->row.device != left_out.row.device : row != &left_out) rest.push_back(row);
  }
  if (rest.empty()) return std::nullopt;
  return PricedSpeed(left_out, EfficiencyFrom(rest));
}

SpeedScore ScoreRow(const Observation& o, const Rows& rows) {
  SpeedScore score = {.row = &o, .class_rows = rows.size()};
  score.scored = o.row.unscored.empty() && rows.size() >= kLeastRows;
  if (!score.scored) return score;
  score.tok_s = *SpeedWithout(rows, o, false);
  score.error = score.tok_s / o.row.tok_s - 1;
  if (const auto tok_s = SpeedWithout(rows, o, true)) score.device_error = *tok_s / o.row.tok_s - 1;
  return score;
}

// Tokens a second by all other rows: of the class or not, of the device or not.
double SpeedByOthers(const PublishedTable& table, const Observation& left_out, bool by_device) {
  const auto others = [&](const Observation& o) {
    return by_device ? o.row.device != left_out.row.device : &o != &left_out;
  };
  const PublishedSpeed& row = left_out.row;
  return PricedSpeed(left_out, EfficiencyFor(left_out.device, row.engine, row.recipe, table, others));
}

// The watts of a row from the others of its class, all of its device left out or not: of the same device
// where there are enough, else by its rating, as WattsFor does. None without either.
std::optional<double> WattsWithout(const std::vector<EnergyScore*>& rows, const EnergyScore& left_out,
                                   bool by_device) {
  std::vector<double> own;
  std::vector<PowerPoint> points;
  for (const EnergyScore* one : rows) {
    const Device& device = one->row->device;
    const bool same_device = device.name == left_out.row->device.name;
    if (by_device ? same_device : one == &left_out) continue;
    if (same_device) own.push_back(one->energy->watts);
    if (HasRating(device)) points.push_back({device.watts->value, one->energy->watts});
  }
  if (own.size() >= kLeastRows) return Median(own);
  if (points.empty() || !HasRating(left_out.row->device)) return std::nullopt;
  const PowerFit fit = FitPower(points);
  return fit.base + fit.share * left_out.row->device.watts->value;
}

void ScoreRow(const PublishedTable& table, const std::vector<EnergyScore*>& rows, EnergyScore& score) {
  score.class_rows = rows.size();
  const std::optional<double> watts = WattsWithout(rows, score, false);
  score.scored = rows.size() >= kLeastRows && watts.has_value();
  if (!score.scored) return;
  score.watts = *watts;
  score.watts_error = score.watts / score.energy->watts - 1;
  score.joules = *watts / SpeedByOthers(table, *score.row, false);
  score.error = score.joules / score.measured - 1;
  if (const std::optional<double> strange = WattsWithout(rows, score, true)) {
    score.device_error = *strange / SpeedByOthers(table, *score.row, true) / score.measured - 1;
  }
}

}  // namespace

double PricedSpeed(const Observation& row, const Efficiency& efficiency) {
  const Model model = Model::FromShape(ShapeNamed(row.row.shape), row.row.recipe);
  // In the middle of the generation, as the row was counted.
  const Sequence sequence = {.rows = 1, .kv_len = row.row.generated / 2, .logit_rows = 1};
  Step step;
  BuildStep(model, DType::kF16, DType::kF16, {&sequence, 1}, step);
  const OpPricer pricer(row.device, model, {.threads = row.row.threads, .efficiency = efficiency});
  return 1 / PriceStep(pricer, step).total.seconds();
}

SpeedScores ScoreSpeeds(const PublishedTable& table) {
  SpeedScores scores;
  const std::map<std::string, Rows> classes = ClassesOf(table);
  std::map<std::string, std::vector<double>> errors;
  std::vector<double> all, by_device, general;
  for (const Observation& o : table.observations()) {
    const auto found = classes.find(o.ClassName());
    SpeedScore& score =
        scores.rows.emplace_back(ScoreRow(o, found == classes.end() ? Rows() : found->second));
    if (o.row.unscored.empty()) {
      score.general_error = SpeedByOthers(table, o, false) / o.row.tok_s - 1;
      general.push_back(std::abs(*score.general_error));
    }
    if (!score.scored) continue;
    all.push_back(std::abs(score.error));
    errors[found->first].push_back(all.back());
    if (score.device_error) by_device.push_back(std::abs(*score.device_error));
    scores.within_20 += all.back() <= 0.2;
  }
  for (const auto& [name, rows] : classes) {
    SpeedClass& one = scores.classes.emplace_back();
    one.name = name;
    one.rows = rows.size();
    one.scored = rows.size() >= kLeastRows;
    std::set<std::string> devices;
    for (const Observation* row : rows) {
      devices.insert(row->row.device);
      one.prefill_rows += row->prefill_share > 0;
    }
    one.devices = devices.size();
    one.median = MedianOf(errors[name]);
    one.efficiency = EfficiencyFrom(rows);
    one.efficiency.error = ErrorBand(rows);
  }
  scores.scored = all.size();
  scores.median = MedianOf(all);
  scores.device_median = MedianOf(by_device);
  scores.general_median = MedianOf(general);
  return scores;
}

EnergyScores ScoreEnergy(const PublishedTable& table) {
  EnergyScores scores;
  scores.rows.reserve(table.energy().size());
  std::map<std::string, std::vector<EnergyScore*>> classes;
  for (const PublishedEnergy& energy : table.energy()) {
    EnergyScore& score = scores.rows.emplace_back();
    score.row = &table.Find(energy.speed);
    score.energy = &energy;
    score.measured = energy.watts / score.row->row.tok_s;
    score.class_name = StrCat(score.row->device.family, " x ", score.row->row.engine, " x ", energy.where);
    if (score.row->row.unscored.empty()) classes[score.class_name].push_back(&score);
  }
  std::vector<double> errors, by_device, watts_errors;
  for (const auto& [name, rows] : classes) {
    for (EnergyScore* score : rows) {
      ScoreRow(table, rows, *score);
      if (!score->scored) continue;
      errors.push_back(std::abs(score->error));
      watts_errors.push_back(std::abs(score->watts_error));
      if (score->device_error) by_device.push_back(std::abs(*score->device_error));
      scores.within_35 += errors.back() <= 0.35;
    }
  }
  scores.scored = errors.size();
  scores.median = MedianOf(errors);
  scores.device_median = MedianOf(by_device);
  scores.watts_median = MedianOf(watts_errors);
  return scores;
}

}  // namespace edgewise
