// From a product's shape to a tile program: which tiles, in which order, what stays on chip.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "chip/program.h"
#include "machine/chip.h"

namespace edgewise::chip {

// C [m, n] = A [m, k] W [n, k]^T.
struct Product {
  uint64_t m = 0, n = 0, k = 0;
};

enum class LoopOrder : uint8_t {
  kAStationary,       // row block, k tile, column tile: A is loaded once per row block and k tile
  kBStationary,       // k tile, column tile, row block: W is loaded once
  kOutputStationary,  // row block, column tile, k tile: sums stay on chip
};

// The loop nest of one product on one design (of one chip: its share of the columns).
struct Tiling {
  Product product;
  LoopOrder order = LoopOrder::kAStationary;
  uint64_t row_blocks = 0, column_tiles = 0, k_tiles = 0;  // a column tile spans the arrays in lockstep (kDma)
  uint64_t k_chunk = 0;  // kDma: columns of A that the scratchpad holds at once; k when all fit

  uint64_t tiles() const { return row_blocks * column_tiles * k_tiles; }
};

// Throws Error(kUsage) for a zero dimension or a product whose tiles or operations do not fit 64 bits.
Tiling TileProduct(const ChipDesign& design, const Product& product);

// The program's pins' view, for kAxiLite and for the streaming kinds with kDma. a is [m, k], w [n, k].
// Only for small products: a program holds every word.
std::vector<BusOp> LowerToBus(const ChipDesign& design, const Tiling& tiling, std::span<const int32_t> a,
                              std::span<const int32_t> w);
std::vector<Beat> LowerToStream(const ChipDesign& design, const Tiling& tiling, std::span<const int32_t> a,
                                std::span<const int32_t> w);
// Puts what the chip gave back, in program order, into c [m, n], adding partial sums as the host does
// (modulo 2^32).
void GatherResults(const ChipDesign& design, const Tiling& tiling, std::span<const uint32_t> results,
                   std::span<int32_t> c);

}  // namespace edgewise::chip
