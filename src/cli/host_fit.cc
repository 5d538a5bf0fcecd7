#include "cli/host_fit.h"

#include <algorithm>
#include <map>

#include "base/error.h"
#include "cli/bench_run.h"
#include "kernels/kernels.h"

namespace edgewise {
namespace {

// Nearer to the arithmetic than this, a product in memory is taken to be bound by it: the longer of both
// times is what the formula takes, and near their crossing what is measured is longer than either.
constexpr double kMemoryBound = 1.15;

// Seconds per weight if arithmetic were all and its pace that of the rates; medians by number of rows.
struct Times {
  std::map<uint32_t, double> cached, streamed;
  std::map<uint32_t, double> memory_share;  // if all of the streamed time were reading
};

Times TimesOf(std::span<const ProductSample> samples) {
  std::map<uint32_t, std::vector<double>> cached, streamed, share;
  for (const ProductSample& s : samples) {
    (s.cached ? cached : streamed)[s.rows].push_back(s.seconds * s.pace / s.weights);
    if (!s.cached) share[s.rows].push_back(s.bytes / s.seconds / s.roof_bytes_s);
  }
  Times times;
  for (const auto& [rows, values] : cached) times.cached[rows] = SpreadOf(values).median;
  for (const auto& [rows, values] : streamed) times.streamed[rows] = SpreadOf(values).median;
  for (const auto& [rows, values] : share) times.memory_share[rows] = SpreadOf(values).median;
  return times;
}

double LowerQuartile(std::vector<double> values) {
  std::ranges::sort(values);
  return values[(values.size() - 1) / 4];
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

}  // namespace

std::vector<ProductRate> FitProducts(DType type, std::span<const ProductSample> samples) {
  const Times times = TimesOf(samples);
  EDGEWISE_CHECK(times.streamed.contains(1) && times.cached.contains(1));
  // What the arithmetic takes at each number of rows that was measured, and the share to read with.
  struct Point {
    uint32_t rows;
    double compute_s, share;
  };
  std::vector<Point> points;
  double share = std::min(times.memory_share.at(1), 1.0);
  for (const auto& [rows, streamed] : times.streamed) {
    const auto cached = times.cached.find(rows);
    const bool by_memory = cached != times.cached.end() && streamed > kMemoryBound * cached->second;
    if (by_memory) share = std::min(times.memory_share.at(rows), 1.0);
    points.push_back({rows, by_memory ? cached->second : streamed, share});
  }
  std::vector<ProductRate> rates;
  for (size_t i = 0; i < points.size(); ++i) {
    const auto shape = kernels::ShapeOf(points[i].rows);
    // Kernels change where few columns become many: no line runs across.
    const bool first = i == 0 || kernels::ShapeOf(points[i - 1].rows) != shape;
    const bool last = i + 1 == points.size() || kernels::ShapeOf(points[i + 1].rows) != shape;
    const Point& low = first ? points[i] : points[i - 1];
    ProductRate rate = {.type = type, .memory_share = points[i].share};
    rate.least_rows = rates.empty() ? 1 : rates.back().most_rows + 1;
    rate.most_rows = !last ? points[i].rows : MostRows(shape);
    SetLine(rate, low.rows, low.compute_s, points[i].rows, points[i].compute_s);
    rates.push_back(rate);
  }
  return rates;
}

std::vector<AttentionRate> FitAttention(DType type, std::span<const AttentionSample> samples) {
  std::vector<AttentionRate> rates;
  for (const bool decode : {true, false}) {
    // Least squares of seconds / sample.seconds against 1, two unknowns: normal equations.
    double xx = 0, xy = 0, yy = 0, x1 = 0, y1 = 0;
    for (const AttentionSample& s : samples) {
      if ((s.rows == 1) != decode) continue;
      const double x = s.kv_values / s.seconds, y = s.macs / s.seconds;
      xx += x * x, xy += x * y, yy += y * y, x1 += x, y1 += y;
    }
    if (yy == 0) continue;
    AttentionRate rate = {.type = type, .least_rows = decode ? 1u : 2u, .most_rows = decode ? 1 : UINT32_MAX};
    const double determinant = xx * yy - xy * xy;
    // All samples alike: one unknown is as good as two.
    if (determinant > 1e-9 * xx * yy) {
      rate.unpack_s = (x1 * yy - y1 * xy) / determinant;
      rate.mac_s = (y1 * xx - x1 * xy) / determinant;
    }
    if (rate.mac_s <= 0) rate.mac_s = 0, rate.unpack_s = x1 / xx;
    if (rate.unpack_s <= 0) rate.unpack_s = 0, rate.mac_s = y1 / yy;
    rates.push_back(rate);
  }
  return rates;
}

Overhead FitOverhead(std::span<const OverheadSample> samples) {
  EDGEWISE_CHECK(!samples.empty());
  std::map<uint32_t, std::vector<double>> by_groups;
  for (const OverheadSample& s : samples) by_groups[s.groups].push_back(s.seconds);
  const double few = by_groups.begin()->first, many = by_groups.rbegin()->first;
  const double few_s = std::max(0.0, LowerQuartile(by_groups.begin()->second));
  const double many_s = std::max(0.0, LowerQuartile(by_groups.rbegin()->second));
  Overhead overhead;
  overhead.group_s = many == few ? many_s / many : std::max(0.0, (many_s - few_s) / (many - few));
  overhead.step_s = std::max(0.0, few_s - few * overhead.group_s);
  return overhead;
}

}  // namespace edgewise
