// The few statistics that fits and scores share.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "base/error.h"

namespace edgewise {

// Relative, the same for twice and half: 1 for both.
inline double Deviation(double ratio) { return std::max(ratio, 1 / ratio) - 1; }
inline double Deviation(double a, double b) { return Deviation(a / b); }

// By linear interpolation between the two values around it. Requires a value.
inline double Quantile(std::vector<double> values, double share) {
  EDGEWISE_CHECK(!values.empty());
  std::ranges::sort(values);
  const double at = share * static_cast<double>(values.size() - 1);
  const size_t below = static_cast<size_t>(at);
  const size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (at - static_cast<double>(below)) * (values[above] - values[below]);
}
inline double Median(std::vector<double> values) { return Quantile(std::move(values), 0.5); }

// A band of 1 - band to 1 + band times the prediction, from errors measured / predicted - 1: three of four
// keep it. Below 1, so that it ends above nothing.
inline double BandOf(std::vector<double> errors) { return std::min(0.95, Quantile(std::move(errors), 0.75)); }

}  // namespace edgewise
