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
// Of the whole machine, at the wall: the median of the device's own rows where there are kLeastRows; a figure
// of its own that was measured; its rating by its family x engine or its family, whichever first has five
// rows; else its rating as it is. What a machine takes around the processor differs too much between
// families. Above the rating of a processor, since the wall also feeds memory, fans and the power supply
// itself. Nobody knows without rows and without a figure.
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
