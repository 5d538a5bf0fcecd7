// From a product's shape to a tile program: which tiles, in which order, what stays on chip.
//
// There is one loop nest, ForEachRound; the lowering (lower.h), the tile model (tile_model.h) and
// `explain` walk it, so that they cannot disagree about what is loaded when.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "chip/matrix.h"
#include "machine/chip.h"

namespace edgewise::chip {

// C [m, n] = A [m, k] W [n, k]^T.
struct Product {
  uint64_t m = 0, n = 0, k = 0;

  friend bool operator==(const Product&, const Product&) = default;
};

enum class LoopOrder : uint8_t {
  kAStationary,       // row block, k tile, column tile: A is loaded once per row block and k tile
  kBStationary,       // k tile, column tile, row block: W is loaded once
  kOutputStationary,  // row block, column tile, k tile: sums stay on chip
};

const char* NameOf(LoopOrder order);  // "A-stationary", "B-stationary", "output-stationary"

// The loop nest of one product on one chip.
struct Tiling {
  Product product;         // k as the chip sees it: half of it when weights are stored two of four
  uint64_t operand_k = 0;  // of A and W
  LoopOrder order = LoopOrder::kAStationary;
  uint32_t rows = 0, cols = 0, depth = 0;  // of a tile; kDma: cols of all arrays, in lockstep
  uint32_t units = 1;  // arrays that are started one by one (kNone, kAxiLite)
  uint64_t row_blocks = 0, column_tiles = 0, k_tiles = 0;
  uint64_t k_chunk = 0;  // kDma: columns of A that the scratchpad holds at once; k when all fit
  uint64_t k_step = 0;  // k that one step covers: a tile's depth, or a chunk in the streaming kinds
  // Weights other than zero in weight tile column_tile * k_tiles + k_tile; empty unless the chip
  // skips zeros.
  std::vector<uint32_t> nonzeros;
  bool skip_zero_tiles = false;

  uint64_t tiles() const { return row_blocks * column_tiles * k_tiles; }
  uint64_t k_steps() const { return (product.k + k_step - 1) / k_step; }
  // Two of four: a tile spans twice its depth of the operands' k.
  bool half_k() const { return product.k != operand_k; }
  // Real rows of A in a row block, and real columns of A in a chunk.
  uint32_t RowsOf(uint64_t row_block) const;
  uint64_t ChunkBegin(uint64_t chunk) const { return chunk * k_chunk; }
  uint64_t ChunkSize(uint64_t chunk) const;
  bool Skips(uint64_t column_tile, uint64_t k_tile) const {
    return skip_zero_tiles && nonzeros[column_tile * k_tiles + k_tile] == 0;
  }
};

// True for the kinds that take a self-describing stream of beats: output-stationary and vector with
// kDma.
bool IsStreaming(const ChipDesign& design);
// kAxiLite: a chip that accumulates answers no access to its registers while it computes; one that
// does not has no interlock, and its host counts cycles.
inline bool HasInterlock(const ChipDesign& design) { return design.accumulate; }

// Without weights nothing is known to be zero, and weights are taken to comply with two of four.
// With them (w is [n, k]) zeros are counted tile by tile, and k is halved only when every four
// weights along k have two zeros. Throws Error(kUsage) for a zero dimension, a product whose tiles
// or operations do not fit 64 bits, or a scratchpad smaller than one step needs.
Tiling TileProduct(const ChipDesign& design, const Product& product);
Tiling TileProduct(const ChipDesign& design, const Product& product, const Integers& w);

// The shares of a product when design.chips of them split its columns: [first, first + n) of each,
// in order; chips without columns are left out. One share, all of it, when results could not be
// gathered.
struct Share {
  uint64_t first = 0, n = 0;
};
std::vector<Share> SharesOf(const ChipDesign& design, const Product& product);

// Multiply cycles of one weight tile with a row block: start, macs and result (sequential arrays),
// or the skewed array's fill (weight-stationary). Streaming kinds have none of their own.
uint64_t ComputeCycles(const ChipDesign& design, const Tiling& tiling, uint64_t column_tile,
                       uint64_t k_tile, uint32_t real_rows);

// What one unit does in a round.
struct TileStep {
  uint32_t unit = 0;
  uint64_t column_tile = 0;
  bool load_a =
      false;  // the row block's A must be loaded before: a tile (kAxiLite) or a chunk (kDma)
  bool load_w = false;   // false: W is still there, or the tile is left out
  bool compute = false;  // false: a weight tile of zeros, left out
  bool first = false;    // the first computed tile of these outputs: sums begin at zero
  bool read = false;     // results leave the chip after this round
};

// Up to Tiling::units steps that run side by side: all are loaded and started in order, then
// results are read in order. One row block, one step along k.
struct Round {
  uint64_t row_block = 0, k_step = 0;
  uint32_t rows = 0;   // of A that are real
  uint64_t chunk = 0;  // of A, kDma
  std::span<const TileStep> steps;
};

// Calls f(round) for each round in program order. Rounds without steps are left out.
template <typename F>
void ForEachRound(const ChipDesign& design, const Tiling& tiling, F&& f);

}  // namespace edgewise::chip

#include "chip/tiler-inl.h"
