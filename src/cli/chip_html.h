// Reports as pages that open offline: one file of HTML with its style, drawings (SVG) and a few lines of
// script for what appears under the pointer; light or dark as the reader's system is.
#pragma once

#include <cstdint>
#include <string>

#include "cli/html.h"
#include "graph/workload.h"
#include "machine/chip.h"
#include "machine/chip_sweep.h"

namespace edgewise {

// The array as a grid of rows x cols elements of which the first `lit` rows work.
struct ArrayPicture {
  uint32_t rows = 8, cols = 8, lit = 1;
  std::string noun = "token";  // what a row is
  std::string note = {};       // what more rows would cost, when some are idle
};
// A picture of its own; at most 16 rows and columns are drawn.
std::string LitRowsSvg(const ArrayPicture& array);

// A step of `tokens` rows on a chip: the array with its lit rows, time by phase, every product. `first` is
// the first thing to say of it. Attention is priced on the chip.
std::string ChipHtml(const ChipDesign& design, const Workload& work, uint64_t tokens,
                     const std::string& first);

// A sweep: speed against area of all designs, energy as colour, the front with hover and as a table.
std::string SweepHtml(const SweepPlan& plan, const SweepResult& result);

}  // namespace edgewise
