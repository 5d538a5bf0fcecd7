// What devices draw while they decode, from published watts.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "machine/device.h"
#include "predict/efficiency.h"

namespace edgewise {

struct Watts {
  double watts = 0;   // 0: nobody knows
  double error = 0;   // as Efficiency::error
  std::string from;   // "8 published rows of nvidia-gpu x llama.cpp-vulkan: 232 W + 0.10 x 450 W"
  uint32_t rows = 0;  // of measurements behind it; 0: the device's own figure as it is
};
// Of the whole machine, at the wall: the first of these that has kLeastRows rows - the device's own rows
// (their median), family x engine, family, kind - and else the device's own figure. A figure that was
// measured is taken as it is; a device without one has only its rows.
Watts WattsFor(const Device& device, std::string_view engine, const PublishedTable& table);

// Says what its maker says: of a figure that was measured while decoding, a fit would learn nothing.
bool HasRating(const Device& device);

// One row: the device's own figure and what was measured.
struct PowerPoint {
  double rated = 0, drawn = 0;  // watts
};
// drawn = base + share * rated: what the rest of the machine takes, and the part of its rating that
// decoding makes the device draw.
struct PowerFit {
  double base = 0, share = 1;
};
// The factors with the least sum of deviations. The base is fitted given five rows whose ratings differ by
// two or more, else 0. Requires a row.
PowerFit FitPower(std::span<const PowerPoint> rows);

}  // namespace edgewise
