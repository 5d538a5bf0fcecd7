// The closed forms of a chip's timing: cycles, phases and traffic of one product on one chip (its share of
// the columns), for each kind of machine. Rules of timing stand in docs/chip.md; each function derives what
// follows from them.
#pragma once

#include <cstdint>

#include "machine/chip.h"
#include "machine/chip_cost.h"

namespace edgewise {

// Wide enough for any sum here: tiles are below 2^56 and what one costs below 2^64.
using Wide = unsigned __int128;
// Throws Error(kLimit) unless `value` is below 2^63.
uint64_t Narrow(Wide value);

// The loop nest of a product on one chip.
struct TileGrid {
  uint64_t m = 0, k = 0;   // k as the chip sees it: half of it when weights are stored two of four
  uint64_t rows = 0, cols = 0, depth = 0;  // of a tile; cols of all arrays that work in lockstep (kDma)
  uint64_t units = 1;      // arrays that are started one by one (kNone, kAxiLite)
  uint64_t row_blocks = 0, column_tiles = 0, k_tiles = 0;

  uint64_t last_rows() const { return m - (row_blocks - 1) * rows; }  // real rows of the last row block
  uint64_t tiles() const { return row_blocks * column_tiles * k_tiles; }
};

// Throws as PriceProduct; `n` are the columns of this chip.
TileGrid GridOf(const ChipDesign& design, uint64_t m, uint64_t n, uint64_t k);

// Fills cycles, phases, traffic, tiles, padded_macs and scratch_bytes.
ChipCost TimeGrid(const ChipDesign& design, const TileGrid& grid);

// The part of TimeGrid() for arrays with weight buffers (chip_timing_buffered.cc).
void TimeBuffered(const ChipDesign& design, const TileGrid& grid, ChipCost& cost);
// Multiply cycles of a tile whose row block has `rows` real rows: sequential and weight-stationary arrays.
uint64_t TileCycles(const ChipDesign& design, uint64_t rows);
// Cycles that a row of results takes on its way out.
uint64_t ResultRowCycles(const ChipDesign& design, const TileGrid& grid);
// Columns of A that the scratchpad holds at once: all, or a multiple of what the array takes in one step.
uint64_t ScratchColumns(const ChipDesign& design, const TileGrid& grid);

}  // namespace edgewise
