#include "predict/efficiency.h"

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

using Rows = std::vector<const Observation*>;

constexpr double kLeastSpread = 2;
constexpr size_t kRowsForOverhead = 5;

double TimeOf(const DecodeFit& fit, const Observation& o) {
  return std::max(fit.read * o.read_s, fit.multiply * o.multiply_s) + fit.op_s * o.ops;
}

// Least sum of absolute deviations: the best fit of p factors goes through p of the rows, so all such fits
// are tried. Deviant rows pull it less than squares would let them.
class DecodeFitter {
 public:
  explicit DecodeFitter(std::span<const Observation* const> rows) : rows_(rows) {
    // memory_share cannot exceed 1.
    for (const Observation* row : rows) Try({.read = std::max(1.0, row->seconds / row->read_s)});
    if (rows[0]->device.kind == DeviceKind::kCpu) {
      if (rows.size() >= kLeastRows) TryUnpacking();
    } else if (rows.size() >= kRowsForOverhead && Spread() >= kLeastSpread) {
      TryOverhead();
    }
  }
  const DecodeFit& best() const { return best_; }

 private:
  void Try(const DecodeFit& fit) {
    double sum = 0;
    for (const Observation* row : rows_) sum += Deviation(TimeOf(fit, *row), row->seconds);
    if (least_ < 0 || sum < least_) least_ = sum, best_ = fit;
  }

  void TryUnpacking() {
    for (const Observation* a : rows_) {
      for (const Observation* b : rows_) {
        Try({.read = std::max(1.0, a->seconds / a->read_s), .multiply = b->seconds / b->multiply_s});
      }
    }
  }

  void TryOverhead() {
    for (const Observation* a : rows_) {
      Try({.read = 1, .op_s = std::max(0.0, (a->seconds - a->read_s) / a->ops)});
      for (const Observation* b : rows_) {
        const double determinant = a->read_s * b->ops - b->read_s * a->ops;
        if (a == b || determinant == 0) continue;
        const double read = (a->seconds * b->ops - b->seconds * a->ops) / determinant;
        const double op_s = (a->read_s * b->seconds - b->read_s * a->seconds) / determinant;
        if (read >= 1 && op_s >= 0) Try({.read = read, .op_s = op_s});
      }
    }
  }

  // Of bytes for each operator.
  double Spread() const {
    const auto bytes = [](const Observation* o) { return o->read_s / o->ops; };
    const auto [least, most] = std::ranges::minmax(rows_, {}, bytes);
    return bytes(most) / bytes(least);
  }

  std::span<const Observation* const> rows_;
  double least_ = -1;
  DecodeFit best_;
};

// How far a group of rows is off for devices (or rows) that it has not seen.
double ErrorOf(std::span<const Observation* const> rows, bool by_device) {
  std::vector<double> errors;
  Rows rest;
  for (const Observation* left_out : rows) {
    rest.clear();
    for (const Observation* row : rows) {
      const bool same = by_device ? row->row.device == left_out->row.device : row == left_out;
      if (!same) rest.push_back(row);
    }
    if (rest.empty()) return Efficiency().error;
    errors.push_back(std::abs(left_out->seconds / TimeOf(FitDecode(rest), *left_out) - 1));
  }
  return BandOf(std::move(errors));
}

std::vector<double> PrefillShares(std::span<const Observation* const> rows) {
  std::vector<double> shares;
  for (const Observation* row : rows) {
    if (row->prefill_share > 0) shares.push_back(row->prefill_share);
  }
  return shares;
}

// A group of rows that may speak for a device, nearest first.
struct Group {
  std::string name;
  std::function<bool(const Observation&)> has;
};

std::vector<Group> GroupsFor(const Device& device, std::string_view engine, BitClass bits) {
  const auto family = [&device](const Observation& o) { return o.device.family == device.family; };
  const auto by_engine = [engine](const Observation& o) { return o.row.engine == engine; };
  const auto by_bits = [bits](const Observation& o) { return o.bits == bits; };
  const auto kind = [&device](const Observation& o) { return o.device.kind == device.kind; };
  return {
      {StrCat(device.name, " x ", engine, " x ", NameOf(bits)),
       [=, &device](const Observation& o) {
         return o.row.device == device.name && by_engine(o) && by_bits(o);
       }},
      {StrCat(device.family, " x ", engine, " x ", NameOf(bits)),
       [=](const Observation& o) { return family(o) && kind(o) && by_engine(o) && by_bits(o); }},
      {StrCat(device.family, " x ", engine),
       [=](const Observation& o) { return family(o) && kind(o) && by_engine(o); }},
      {StrCat(device.family, " x ", NameOf(bits)),
       [=](const Observation& o) { return family(o) && kind(o) && by_bits(o); }},
      {StrCat("any ", NameOf(device.kind), " x ", NameOf(bits)),
       [=](const Observation& o) { return kind(o) && by_bits(o); }},
  };
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
  const std::string key =
      StrCat(device.name, "|", device.family, "|", NameOf(device.kind), "|", engine, "|", recipe);
  return table.Remember(key, [&] {
    return EfficiencyFor(device, engine, recipe, table, [](const Observation&) { return true; });
  });
}

Efficiency EfficiencyFor(const Device& device, std::string_view engine, std::string_view recipe,
                         const PublishedTable& table, UsesRow uses) {
  const Recipe* found = FindRecipe(recipe);
  if (found == nullptr) {
    throw Error(ErrorCode::kUsage,
                StrCat("no recipe is named '", Printable(recipe), "': known are ", RecipeNames()));
  }
  Efficiency e;
  e.from = "assumed";
  bool own = true, prefill_known = false;
  for (const Group& group : GroupsFor(device, engine, BitClassOf(*found))) {
    Rows rows;
    for (const Observation& o : table.observations()) {
      if (o.row.unscored.empty() && group.has(o) && uses(o)) rows.push_back(&o);
    }
    const size_t prefill_rows = PrefillShares(rows).size();
    if (e.rows == 0 && rows.size() >= kLeastRows) {
      e = EfficiencyFrom(rows);
      e.error = ErrorOf(rows, !own);
      e.from = StrCat(rows.size(), " published rows of ", group.name);
      prefill_known = prefill_rows > 0;
    } else if (e.rows > 0 && !prefill_known && prefill_rows >= kLeastRows) {
      const bool unpacking_shows = e.decode_share != e.compute_share;
      e.compute_share = EfficiencyFrom(rows).compute_share;
      if (!unpacking_shows) e.decode_share = e.compute_share;
      e.from += StrCat("; prefill: ", prefill_rows, " of ", group.name);
      prefill_known = true;
    }
    own = false;
  }
  return e;
}

}  // namespace edgewise
