#include "cli/host_fit.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <optional>
#include <utility>

#include "base/error.h"
#include "cli/bench_run.h"
#include "kernels/kernels.h"

namespace edgewise {
namespace {

// Nearer to the arithmetic than this, a product in memory is taken to be bound by it: the longer of both
// times is what the formula takes, and near their crossing what is measured is longer than either.
constexpr double kMemoryBound = 1.15;

using Values = std::map<uint32_t, std::vector<double>>;  // by number of rows, of phases

std::map<uint32_t, double> MediansOf(const Values& values) {
  std::map<uint32_t, double> medians;
  for (const auto& [key, all] : values) medians[key] = SpreadOf(all).median;
  return medians;
}

// ---- products ----

// What arithmetic alone takes at the pace of the rates, with all rows.
struct Arithmetic {
  double weight_s = 0;
  double output_s = 0;  // of a row of weights besides them
};

// From products in cache whose sums differ in length.
std::map<uint32_t, Arithmetic> ArithmeticOf(std::span<const ProductSample> samples) {
  std::map<uint32_t, std::map<double, std::vector<double>>> by_rows;  // then by length
  for (const ProductSample& s : samples) {
    if (s.cached) by_rows[s.rows][s.weights / s.outputs].push_back(s.seconds * s.pace / s.outputs);
  }
  std::map<uint32_t, Arithmetic> result;
  for (const auto& [rows, by_length] : by_rows) {
    const auto& [few, few_runs] = *by_length.begin();
    const auto& [many, many_runs] = *by_length.rbegin();
    const double few_s = SpreadOf(few_runs).median, many_s = SpreadOf(many_runs).median;
    // Short sums that take longer than long ones, or less than their part, are noise.
    const double weight_s = many == few ? 0 : (many_s - few_s) / (many - few);
    Arithmetic& a = result[rows];
    a.weight_s = weight_s > 0 ? std::min(weight_s, many_s / many) : many_s / many;
    a.output_s = std::max(0.0, many_s - many * a.weight_s);
  }
  return result;
}

// Products whose weights come from memory: seconds of a weight if arithmetic were all, the share of the roof
// if reading were.
struct Streamed {
  std::map<uint32_t, double> weight_s, memory_share;
  double outputs = 0;  // of a weight
};

Streamed StreamedOf(std::span<const ProductSample> samples) {
  Values seconds, share;
  Streamed streamed;
  for (const ProductSample& s : samples) {
    if (s.cached) continue;
    seconds[s.rows].push_back(s.seconds * s.pace / s.weights);
    share[s.rows].push_back(s.bytes / s.seconds / s.roof_bytes_s);
    streamed.outputs = s.outputs / s.weights;
  }
  streamed.weight_s = MediansOf(seconds);
  streamed.memory_share = MediansOf(share);
  return streamed;
}

uint32_t MostRows(kernels::MatMulShape shape) {
  switch (shape) {
    case kernels::MatMulShape::kOne: return 1;
    case kernels::MatMulShape::kFew: return kernels::kFewColumns;
    case kernels::MatMulShape::kMany: break;
  }
  return UINT32_MAX;
}

// The straight line through the times at two numbers of rows, kept from negative parts.
void SetLine(ProductRate& rate, uint32_t low, double low_s, uint32_t high, double high_s) {
  rate.mac_s = high == low ? 0 : std::max(0.0, (high_s - low_s) / (high - low));
  rate.unpack_s = high_s - high * rate.mac_s;
  if (rate.unpack_s >= 0) return;
  rate.unpack_s = 0;
  rate.mac_s = high_s / high;
}

// ---- attention ----

// Of runs of the same work one, with their median time; by rows that share, then by values.
std::vector<AttentionSample> MediansOf(std::span<const AttentionSample> samples, bool decode) {
  std::map<std::pair<uint32_t, double>, std::pair<AttentionSample, std::vector<double>>> by_work;
  for (const AttentionSample& s : samples) {
    if (s.decode != decode) continue;
    auto& [sample, seconds] = by_work[{s.sharing, s.kv_values}];
    sample = s;
    seconds.push_back(s.seconds);
  }
  std::vector<AttentionSample> medians;
  for (const auto& [work, runs] : by_work) {
    medians.push_back(runs.first);
    medians.back().seconds = SpreadOf(runs.second).median;
  }
  return medians;
}

std::vector<AttentionRate> FitDecode(DType type, std::span<const AttentionSample> samples) {
  const std::vector<AttentionSample> medians = MediansOf(samples, true);
  std::vector<AttentionRate> rates;
  double last_macs = 0, last_s = 0;  // of a value, with fewer rows
  for (size_t i = 0, end; i < medians.size(); i = end) {
    const AttentionSample& few = medians[i];
    for (end = i + 1; end < medians.size() && medians[end].sharing == few.sharing;) ++end;
    const AttentionSample& many = medians[end - 1];
    // A piece's seconds over its values: a straight line.
    const double few_s = few.seconds / few.pieces, few_values = few.kv_values / few.pieces;
    const double many_s = many.seconds / many.pieces, many_values = many.kv_values / many.pieces;
    double value_s = many_values == few_values ? 0 : (many_s - few_s) / (many_values - few_values);
    const double most_s = many_s / many_values;
    if (value_s <= 0 || value_s > most_s) value_s = most_s;  // one depth, or noise
    AttentionRate rate = {.type = type, .most_rows = few.sharing};
    rate.least_rows = rates.empty() ? 1 : rates.back().most_rows + 1;
    rate.each_s = std::max(0.0, many_s - many_values * value_s);
    // A value's seconds over the multiply-adds that it is in: from one number of rows to the next.
    const double macs = many.macs / many.kv_values;
    if (!rates.empty()) rate.mac_s = std::max(0.0, (value_s - last_s) / (macs - last_macs));
    rate.unpack_s = value_s - macs * rate.mac_s;
    if (rate.unpack_s < 0) rate.unpack_s = 0, rate.mac_s = value_s / macs;
    last_macs = macs, last_s = value_s;
    rates.push_back(rate);
  }
  return rates;
}

using Unknowns = std::array<double, 3>;

// Least squares of f . x = 1 over the rows f, where only the chosen unknowns may differ from 0: normal
// equations. Nothing where the rows do not tell them apart.
std::optional<Unknowns> FitChosen(std::span<const Unknowns> rows, unsigned chosen) {
  double a[3][4] = {};
  for (size_t i = 0; i < 3; ++i) {
    if ((chosen >> i & 1) == 0) {
      a[i][i] = 1;
      continue;
    }
    for (const Unknowns& f : rows) {
      for (size_t j = 0; j < 3; ++j) a[i][j] += (chosen >> j & 1) != 0 ? f[i] * f[j] : 0;
      a[i][3] += f[i];
    }
  }
  for (size_t p = 0; p < 3; ++p) {
    const double whole = a[p][p];
    // Once the unknowns before are taken out, what is left of the diagonal is positive if they are independent.
    for (size_t q = 0; q < p; ++q) {
      const double factor = a[p][q] / a[q][q];
      for (size_t j = q; j < 4; ++j) a[p][j] -= factor * a[q][j];
    }
    if (a[p][p] <= 1e-9 * whole) return {};
  }
  Unknowns x{};
  for (size_t i = 3; i-- > 0;) {
    x[i] = a[i][3];
    for (size_t j = i + 1; j < 3; ++j) x[i] -= a[i][j] * x[j];
    x[i] /= a[i][i];
  }
  return x;
}

// The same with any choice, and nothing negative: the best of the seven.
Unknowns FitNonNegative(std::span<const Unknowns> rows) {
  Unknowns best{};
  double least = INFINITY;
  for (unsigned chosen = 1; chosen < 8; ++chosen) {
    const auto x = FitChosen(rows, chosen);
    if (!x || std::ranges::any_of(*x, [](double value) { return value < 0; })) continue;
    double error = 0;
    for (const Unknowns& f : rows) {
      const double off = f[0] * (*x)[0] + f[1] * (*x)[1] + f[2] * (*x)[2] - 1;
      error += off * off;
    }
    if (error < least) least = error, best = *x;
  }
  return best;
}

}  // namespace

std::vector<ProductRate> FitProducts(DType type, std::span<const ProductSample> samples) {
  const std::map<uint32_t, Arithmetic> cached = ArithmeticOf(samples);
  const Streamed streamed = StreamedOf(samples);
  EDGEWISE_CHECK(streamed.weight_s.contains(1) && cached.contains(1));
  // What the arithmetic takes at each number of rows that was measured, and the share to read with.
  struct Point {
    uint32_t rows;
    double weight_s, each_s, share;
  };
  std::vector<Point> points;
  double share = std::min(streamed.memory_share.at(1), 1.0);
  for (const auto& [rows, all_s] : streamed.weight_s) {
    const auto alone = cached.find(rows);
    if (alone == cached.end()) continue;
    const auto [weight_s, output_s] = alone->second;
    const double outputs_s = streamed.outputs * output_s;
    const bool few = kernels::ShapeOf(rows) != kernels::MatMulShape::kMany;
    const bool by_memory = few && all_s > kMemoryBound * (weight_s + outputs_s);
    if (by_memory) share = std::min(streamed.memory_share.at(rows), 1.0);
    points.push_back({rows, by_memory ? weight_s : std::max(0.0, all_s - outputs_s), output_s / rows, share});
  }
  std::vector<ProductRate> rates;
  for (size_t i = 0; i < points.size(); ++i) {
    const auto shape = kernels::ShapeOf(points[i].rows);
    // Kernels change where few columns become many: no line runs across.
    const bool first = i == 0 || kernels::ShapeOf(points[i - 1].rows) != shape;
    const bool last = i + 1 == points.size() || kernels::ShapeOf(points[i + 1].rows) != shape;
    const Point& low = first ? points[i] : points[i - 1];
    ProductRate rate = {.type = type, .memory_share = points[i].share, .each_s = points[i].each_s};
    rate.least_rows = rates.empty() ? 1 : rates.back().most_rows + 1;
    rate.most_rows = !last ? points[i].rows : MostRows(shape);
    SetLine(rate, low.rows, low.weight_s, points[i].rows, points[i].weight_s);
    rates.push_back(rate);
  }
  return rates;
}

std::vector<AttentionRate> FitAttention(DType type, std::span<const AttentionSample> samples) {
  std::vector<AttentionRate> rates = FitDecode(type, samples);
  std::vector<Unknowns> prompts;
  for (const AttentionSample& s : MediansOf(samples, false)) {
    prompts.push_back({s.pieces / s.seconds, s.kv_values / s.seconds, s.macs / s.seconds});
  }
  if (!prompts.empty()) {
    const auto [each_s, unpack_s, mac_s] = FitNonNegative(prompts);
    AttentionRate rate = {.type = type, .unpack_s = unpack_s, .mac_s = mac_s, .each_s = each_s};
    rate.least_rows = rates.empty() ? 1 : rates.back().most_rows + 1;
    rates.push_back(rate);
  }
  if (!rates.empty()) rates.back().most_rows = UINT32_MAX;
  return rates;
}

Overhead FitOverhead(std::span<const OverheadSample> samples) {
  EDGEWISE_CHECK(!samples.empty());
  Values by_phases;
  for (const OverheadSample& s : samples) by_phases[s.phases].push_back(s.seconds);
  const std::map<uint32_t, double> medians = MediansOf(by_phases);
  const auto& [few, few_s] = *medians.begin();
  const auto& [many, many_s] = *medians.rbegin();
  const double phase_s = many == few ? many_s / many : (many_s - few_s) / (many - few);
  Overhead overhead;
  overhead.phase_s = std::max(0.0, phase_s);
  overhead.step_s = std::max(0.0, few_s - few * overhead.phase_s);
  return overhead;
}

}  // namespace edgewise
