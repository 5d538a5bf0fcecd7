// Reports as pages that open offline: one file of HTML with its style, drawings (SVG) and a few lines of
// script for what appears under the pointer; light or dark as the reader's system is.
#pragma once

#include <cstdint>
#include <string>

#include "graph/workload.h"
#include "machine/chip.h"
#include "machine/chip_sweep.h"

namespace edgewise {

// The array as a grid of rows x cols elements of which the first `lit` rows work, as a picture of its own: at
// most 16 of each are drawn.
std::string LitRowsSvg(uint32_t rows, uint32_t cols, uint32_t lit);

// A step of `tokens` rows on a chip: the array with its lit rows, time by phase, every product. `first` is
// the first thing to say of it. Attention is priced on the chip.
std::string ChipHtml(const ChipDesign& design, const Workload& work, uint64_t tokens,
                     const std::string& first);

// A sweep: speed against area of all designs, energy as colour, the front with hover and as a table.
std::string SweepHtml(const SweepPlan& plan, const SweepResult& result);

// Whole or not at all. Throws Error(kIo).
void WriteHtml(const std::string& path, const std::string& html);

}  // namespace edgewise
