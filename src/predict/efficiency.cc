#include "predict/efficiency.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <vector>

#include "base/error.h"
#include "base/strings.h"
#include "predict/published.h"
#include "predict/statistics.h"

namespace edgewise {
namespace {

using Rows = std::vector<const Observation*>;

constexpr double kLeastSpread = 2;
constexpr size_t kRowsForOverhead = 5;
constexpr size_t kLeastDevices = 3;  // fewer say little of another one

double TimeOf(const DecodeFit& fit, const Observation& o) {
  return std::max(fit.read * o.read_s, fit.multiply * o.multiply_s) + fit.op_s * o.ops;
}

// Rows tell launches from bytes where there are enough, whose bytes for each operator differ.
bool TellLaunches(std::span<const Observation* const> rows) {
  if (rows.size() < kRowsForOverhead) return false;
  const auto bytes = [](const Observation* o) { return o->read_s / o->ops; };
  const auto [least, most] = std::ranges::minmax(rows, {}, bytes);
  return bytes(most) / bytes(least) >= kLeastSpread;
}

// Least sum of absolute deviations: the best fit of p factors goes through p of the rows, so all such fits
// are tried. Deviant rows pull it less than squares would let them.
class DecodeFitter {
 public:
  explicit DecodeFitter(std::span<const Observation* const> observations) {
    for (const Observation* o : observations) {
      rows_.push_back({o->read_s / o->seconds, o->multiply_s / o->seconds, o->ops / o->seconds});
    }
    // memory_share cannot exceed 1.
    for (const Row& row : rows_) Try({.read = ReadThrough(row)});
    if (observations[0]->device.kind == DeviceKind::kCpu) {
      if (rows_.size() >= kLeastRows) TryUnpacking();
    } else if (TellLaunches(observations)) {
      TryOverhead();
    }
  }
  const DecodeFit& best() const { return best_; }

 private:
  // What its parts would take at the peaks, of the seconds it took.
  struct Row {
    double read, multiply, ops;
  };

  static double ReadThrough(const Row& row) { return std::max(1.0, 1 / row.read); }

  void Try(const DecodeFit& fit) {
    double sum = 0;
    for (const Row& row : rows_) {
      sum += Deviation(std::max(fit.read * row.read, fit.multiply * row.multiply) + fit.op_s * row.ops);
      if (least_ >= 0 && sum >= least_) return;
    }
    least_ = sum, best_ = fit;
  }

  // Of rows that one factor alone takes for longer than they took: no other factor can mend that.
  double Excess(double factor, double Row::*part) const {
    double sum = 0;
    for (const Row& row : rows_) sum += std::max(factor * (row.*part) - 1, 0.0);
    return sum;
  }

  void TryUnpacking() {
    std::vector<double> multiplies;
    for (const Row& row : rows_) {
      const double multiply = 1 / row.multiply;
      if (Excess(multiply, &Row::multiply) < least_) multiplies.push_back(multiply);
    }
    for (const Row& row : rows_) {
      const double read = ReadThrough(row);
      if (Excess(read, &Row::read) >= least_) continue;
      for (const double multiply : multiplies) Try({.read = read, .multiply = multiply});
    }
  }

  void TryOverhead() {
    for (const Row& a : rows_) {
      Try({.read = 1, .op_s = std::max(0.0, (1 - a.read) / a.ops)});
      for (const Row& b : rows_) {
        const double determinant = a.read * b.ops - b.read * a.ops;
        if (&a == &b || determinant == 0) continue;
        const double read = (b.ops - a.ops) / determinant;
        const double op_s = (a.read - b.read) / determinant;
        if (read >= 1 && op_s >= 0) Try({.read = read, .op_s = op_s});
      }
    }
  }

  std::vector<Row> rows_;
  double least_ = -1;
  DecodeFit best_;
};

// How far a group of rows is off for devices (or rows) that it has not seen.
double ErrorOf(std::span<const Observation* const> rows, bool by_device) {
  std::vector<double> errors;
  std::map<std::string_view, DecodeFit> without;  // each device (or row)
  for (const Observation* left_out : rows) {
    const auto key = [&](const Observation* o) -> std::string_view {
      return by_device ? o->row.device : o->row.id;
    };
    if (!without.contains(key(left_out))) {
      Rows rest;
      for (const Observation* row : rows) {
        if (key(row) != key(left_out)) rest.push_back(row);
      }
      if (rest.empty()) return Efficiency().error;
      without[key(left_out)] = FitDecode(rest);
    }
    errors.push_back(std::abs(left_out->seconds / TimeOf(without[key(left_out)], *left_out) - 1));
  }
  const double band = BandOf(std::move(errors));
  return by_device && without.size() < kLeastDevices ? std::max(band, Efficiency().error) : band;
}

std::vector<double> PrefillShares(std::span<const Observation* const> rows) {
  std::vector<double> shares;
  for (const Observation* row : rows) {
    if (row->prefill_share > 0) shares.push_back(row->prefill_share);
  }
  return shares;
}

// What prefill is priced by, whatever the format: programs reach about as many operations a second with
// any (58.9 and 58.2 tok/s with 4 and 16 bits on an M2 Pro's cores), and on CPUs a share of the peak of
// floats that differs less between machines with 8-bit products and without than one of the peak of bytes.
double CommonPeak(const Device& device) {
  const bool floats = device.kind == DeviceKind::kCpu && device.f32_ops_s.has_value();
  return floats ? device.f32_ops_s->value : ArithmeticPeak(device, DType::kF16);
}

std::vector<double> CommonShares(std::span<const Observation* const> rows) {
  std::vector<double> shares;
  for (const Observation* row : rows) {
    if (row->prefill_share == 0) continue;
    const double peak = ArithmeticPeak(row->device, FindRecipe(row->row.recipe)->base);
    shares.push_back(row->prefill_share * peak / CommonPeak(row->device));
  }
  return shares;
}

// A group of rows that may speak for a device, nearest first. Rows of all formats together: what a device
// reaches of its bandwidth and a launch takes are its own, and factors fitted to formats apart would make one
// format of a device faster than a smaller one where the rows are of different devices.
struct Group {
  std::string name;
  std::function<bool(const Observation&)> has;
};

std::vector<Group> GroupsFor(const Device& device, std::string_view engine) {
  const auto family = [&device](const Observation& o) {
    return o.device.family == device.family && o.device.kind == device.kind;
  };
  const auto by_engine = [engine](const Observation& o) { return o.row.engine == engine; };
  // One row at a time, processors without products of bytes are another class: unpacking costs them more.
  const bool has_bytes = device.int8_ops_s.has_value(), cpu = device.kind == DeviceKind::kCpu;
  const auto arithmetic = [=](const Observation& o) {
    return !cpu || o.device.int8_ops_s.has_value() == has_bytes;
  };
  const std::string alike = StrCat(device.family, cpu && !has_bytes ? " without 8-bit products" : "");
  return {
      {StrCat(device.published_as, " x ", engine),
       [=, &device](const Observation& o) { return o.row.device == device.published_as && by_engine(o); }},
      {StrCat(alike, " x ", engine),
       [=](const Observation& o) { return family(o) && arithmetic(o) && by_engine(o); }},
      {alike, [=](const Observation& o) { return family(o) && arithmetic(o); }},
      {StrCat("all ", device.family), family},
      {StrCat("any ", NameOf(device.kind)),
       [kind = device.kind](const Observation& o) { return o.device.kind == kind; }},
  };
}

Rows RowsOf(const PublishedTable& table, const Group& group, UsesRow uses) {
  Rows rows;
  for (const Observation& o : table.observations()) {
    if (o.row.unscored.empty() && group.has(o) && uses(o)) rows.push_back(&o);
  }
  return rows;
}

const Recipe& RecipeNamed(std::string_view name) {
  const Recipe* found = FindRecipe(name);
  if (found != nullptr) return *found;
  throw Error(ErrorCode::kUsage,
              StrCat("no recipe is named '", Printable(name), "': known are ", RecipeNames()));
}

// fit_group(rows, name, whether they are the device's own): the factors of a group.
using FitGroup = FunctionRef<Efficiency(const Rows& rows, const std::string& name, bool own)>;

Efficiency FromGroups(const Device& device, std::string_view engine, const Recipe& recipe,
                      const PublishedTable& table, UsesRow uses, FitGroup fit_group) {
  Efficiency e;
  e.from = "assumed";
  bool own = true, prefill_known = false;
  for (const Group& group : GroupsFor(device, engine)) {
    const Rows rows = RowsOf(table, group, uses);
    // On a GPU a few rows of one size of model would take launches for slow memory, and so halves for slow.
    const bool enough =
        own && device.kind != DeviceKind::kCpu ? TellLaunches(rows) : rows.size() >= kLeastRows;
    const bool new_fit = e.rows == 0 && enough;
    if (new_fit) {
      e = fit_group(rows, group.name, own);
      e.from = StrCat(rows.size(), " published rows of ", group.name);
    }
    const std::vector<double> shares = CommonShares(rows);
    if (!prefill_known && shares.size() >= kLeastRows) {
      const bool unpacking_shows = device.kind == DeviceKind::kCpu && e.decode_share != e.compute_share;
      const double rate = Median(shares) * CommonPeak(device);
      e.compute_share = std::min(1.0, rate / ArithmeticPeak(device, recipe.base));
      if (!unpacking_shows) e.decode_share = e.compute_share;
      if (!new_fit) e.from += StrCat("; prefill: ", shares.size(), " of ", group.name);
      prefill_known = true;
    }
    own = false;
  }
  return e;
}

}  // namespace

double ArithmeticPeak(const Device& device, DType type) {
  const bool bytes =
      device.kind == DeviceKind::kCpu && 8.0 * static_cast<double>(RowBytes(type, 256)) / 256 < 16;
  if (bytes && device.int8_ops_s) return device.int8_ops_s->value;
  if (device.f16_ops_s) return device.f16_ops_s->value;
  if (device.f32_ops_s) return device.f32_ops_s->value;
  // Accelerators that only know integers.
  if (device.int8_ops_s) return device.int8_ops_s->value;
  EDGEWISE_CHECK(device.int4_ops_s.has_value());
  return device.int4_ops_s->value;
}

double OneRowPeak(const Device& device, DType type) {
  const double peak = ArithmeticPeak(device, type);
  if (device.kind != DeviceKind::kCpu || !device.f32_ops_s) return peak;
  return std::min(peak, 4 * device.f32_ops_s->value);
}

DecodeFit FitDecode(std::span<const Observation* const> rows) {
  EDGEWISE_CHECK(!rows.empty());
  return DecodeFitter(rows).best();
}

Efficiency EfficiencyFrom(std::span<const Observation* const> rows) {
  const DecodeFit fit = FitDecode(rows);
  Efficiency e;
  const std::vector<double> prefill = PrefillShares(rows);
  if (!prefill.empty()) e.compute_share = std::min(1.0, Median(prefill));
  e.memory_share = 1 / fit.read;
  e.decode_share = fit.multiply > 0 ? 1 / fit.multiply : e.compute_share;
  e.op_s = fit.op_s;
  e.rows = static_cast<uint32_t>(rows.size());
  return e;
}

double ErrorBand(std::span<const Observation* const> rows) { return ErrorOf(rows, true); }

Efficiency EfficiencyFor(const Device& device, std::string_view engine, std::string_view recipe,
                         const PublishedTable& table) {
  const auto all = [](const Observation&) { return true; };
  const auto fit_group = [&](const Rows& rows, const std::string& name, bool own) {
    return table.Remember(StrCat(NameOf(device.kind), "|", name), [&] {
      Efficiency e = EfficiencyFrom(rows);
      e.error = ErrorOf(rows, !own);
      return e;
    });
  };
  return FromGroups(device, engine, RecipeNamed(recipe), table, all, fit_group);
}

Efficiency EfficiencyFor(const Device& device, std::string_view engine, std::string_view recipe,
                         const PublishedTable& table, UsesRow uses) {
  return FromGroups(device, engine, RecipeNamed(recipe), table, uses,
                    [](const Rows& rows, const std::string&, bool) { return EfficiencyFrom(rows); });
}

}  // namespace edgewise
