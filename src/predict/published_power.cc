#include "predict/published_power.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "base/error.h"
#include "base/strings.h"
#include "predict/published.h"
#include "predict/statistics.h"

namespace edgewise {
namespace {

constexpr size_t kRowsForBase = 5;  // of a fit
constexpr size_t kRowsOfGroup = 5;  // for another device: machines around one processor differ
constexpr double kLeastSpread = 2;

// Rows of one device differ by that much: a Raspberry Pi 5 drew 10.9 to 13.9 W.
constexpr double kOwnError = 0.15;

double DrawnBy(const PowerFit& fit, double rated) { return fit.base + fit.share * rated; }

// A row of the watts with its device.
struct PowerRow {
  PowerPoint point;
  std::string device;
};

double ErrorOf(const std::vector<PowerRow>& rows) {
  std::vector<double> errors;
  for (const PowerRow& left_out : rows) {
    std::vector<PowerPoint> rest;
    for (const PowerRow& row : rows) {
      if (row.device != left_out.device) rest.push_back(row.point);
    }
    if (rest.empty()) return Efficiency().error;
    errors.push_back(std::abs(left_out.point.drawn / DrawnBy(FitPower(rest), left_out.point.rated) - 1));
  }
  return BandOf(std::move(errors));
}

Watts OfOwnRows(const Device& device, const std::vector<double>& drawn) {
  Watts watts;
  watts.watts = Median(drawn);
  std::vector<double> errors;
  for (const double one : drawn) errors.push_back(std::abs(one / watts.watts - 1));
  watts.error = BandOf(std::move(errors));
  watts.rows = static_cast<uint32_t>(drawn.size());
  watts.from = StrCat(watts.rows, " published rows of ", device.published_as);
  return watts;
}

std::string Round(double value, double unit) { return StrCat(std::round(value / unit) * unit); }

}  // namespace

bool HasRating(const Device& device) { return device.watts && device.watts->from != Provenance::kMeasured; }

PowerFit FitPower(std::span<const PowerPoint> rows) {
  EDGEWISE_CHECK(!rows.empty());
  PowerFit best;
  double least = -1;
  const auto try_fit = [&](const PowerFit& fit) {
    double sum = 0;
    for (const PowerPoint& row : rows) sum += Deviation(DrawnBy(fit, row.rated), row.drawn);
    if (least < 0 || sum < least) least = sum, best = fit;
  };
  for (const PowerPoint& row : rows) try_fit({.base = 0, .share = row.drawn / row.rated});
  const auto [smallest, largest] = std::ranges::minmax(rows, {}, &PowerPoint::rated);
  if (rows.size() < kRowsForBase || largest.rated < kLeastSpread * smallest.rated) return best;
  for (const PowerPoint& a : rows) {
    try_fit({.base = a.drawn, .share = 0});
    for (const PowerPoint& b : rows) {
      if (a.rated == b.rated) continue;
      const double share = (a.drawn - b.drawn) / (a.rated - b.rated);
      const double base = a.drawn - share * a.rated;
      if (share >= 0 && base >= 0) try_fit({.base = base, .share = share});
    }
  }
  return best;
}

Watts WattsFor(const Device& device, std::string_view engine, const PublishedTable& table) {
  std::vector<double> own;
  struct Group {
    std::string name;
    std::function<bool(const Observation&)> has;
    std::vector<PowerRow> rows;
  };
  const auto family = [&](const Observation& o) { return o.device.family == device.family; };
  Group groups[] = {
      {StrCat(device.family, " x ", engine),
       [&](const Observation& o) { return family(o) && o.row.engine == engine; },
       {}},
      {device.family, family, {}},
  };
  for (const PublishedEnergy& energy : table.energy()) {
    const Observation& o = table.Find(energy.speed);
    if (energy.where != "wall") continue;
    if (o.row.device == device.published_as) own.push_back(energy.watts);
    if (!HasRating(o.device)) continue;
    for (Group& group : groups) {
      if (group.has(o)) group.rows.push_back({{o.device.watts->value, energy.watts}, o.row.device});
    }
  }
  if (own.size() >= kLeastRows) return OfOwnRows(device, own);
  if (!device.watts) return {.watts = 0, .error = 0, .from = "nobody says", .rows = 0};
  const double rated = device.watts->value;
  if (!HasRating(device)) {
    return {.watts = rated, .error = kOwnError, .from = "the device's own figure, measured", .rows = 0};
  }
  for (const Group& group : groups) {
    if (group.rows.size() < kRowsOfGroup) continue;
    std::vector<PowerPoint> points;
    for (const PowerRow& row : group.rows) points.push_back(row.point);
    const PowerFit fit = FitPower(points);
    return {.watts = DrawnBy(fit, rated),
            .error = ErrorOf(group.rows),
            .from = StrCat(points.size(), " published rows of ", group.name, ": ", Round(fit.base, 1),
                           " W + ", Round(fit.share, 0.01), " x ", Round(rated, 0.1), " W"),
            .rows = static_cast<uint32_t>(points.size())};
  }
  return {.watts = rated, .error = Efficiency().error, .from = "the device's own figure", .rows = 0};
}

}  // namespace edgewise
