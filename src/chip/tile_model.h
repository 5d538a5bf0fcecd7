// The fast level: exact arithmetic over whole tiles, and cycles by recurrences over the tile
// program, without ticking. Results and cycles equal those of the cycle simulator and of the RTL,
// stalls included.
#pragma once

#include <cstdint>
#include <span>

#include "base/thread_pool.h"
#include "chip/matrix.h"
#include "chip/program.h"
#include "chip/tiler.h"
#include "machine/chip.h"

namespace edgewise::chip {

// Where a program's cycles go; they add up to TileCost::cycles, but for host and link.
struct PhaseCycles {
  uint64_t load = 0;     // operands and commands come in, and the array has none to work on
  uint64_t compute = 0;  // the array works, and a host waits for it
  uint64_t drain = 0;    // results leave, and the array waits for that or is done
  uint64_t stall = 0;    // listed stalls and memory latency that nothing hid
  uint64_t host = 0;     // after the chip: adding partial sums along k
  uint64_t link = 0;     // after the chip: gathering the columns of several chips

  PhaseCycles& operator+=(const PhaseCycles& other);
  friend bool operator==(const PhaseCycles&, const PhaseCycles&) = default;
};

// Bytes that crossed the chip's pins, as its interface moves them (kAxiLite: a word each).
struct Traffic {
  uint64_t activations = 0, weights = 0, control = 0, results = 0;

  uint64_t in() const { return activations + weights + control; }
  Traffic& operator+=(const Traffic& other);
  friend bool operator==(const Traffic&, const Traffic&) = default;
};

struct TileCost {
  uint64_t cycles = 0;  // Outcome::cycles of the lowered program; of the slowest of several chips
  PhaseCycles phases;
  Traffic traffic;     // of all chips
  uint64_t tiles = 0;  // handed to arrays: those of zeros that a chip leaves out are not counted
  uint64_t useful_macs = 0;  // m n k, without padding; two of four: of the weights that are stored

  // Adds a cost that comes after this one.
  TileCost& operator+=(const TileCost& other);
  uint64_t total_cycles() const { return cycles + phases.host + phases.link; }
};

// Share of the multiply-adds that the chips could have done in these cycles which a product needed;
// more than 1 when zeros are left out.
double Utilisation(const ChipDesign& design, const TileCost& cost);

// Multiply-adds that a product got out of each byte of operands that it moved.
double Reuse(const TileCost& cost);

// The cost of one chip's tile program. `stalls` count the transactions or beats of the lowered
// program (program.h); kNone has none. `output_stalls` hold back rows of results that a stream
// gives: row number `index` is taken that many cycles later than it could have been.
TileCost TimeTiles(const ChipDesign& design, const Tiling& tiling,
                   std::span<const Stall> stalls = {}, std::span<const Stall> output_stalls = {});
// The cost of a product on all of the design's chips. w, when its zeros matter.
TileCost TimeProduct(const ChipDesign& design, const Product& product, const Integers* w = nullptr,
                     std::span<const Stall> stalls = {});

// C = A W^T tile by tile; sums wrap at 32 bits. Returns the tiles executed, counted one by one.
uint64_t ExecuteTiles(const Tiling& tiling, const Integers& a, const Integers& w, const Results& c,
                      ThreadPool& pool);

// Outputs whose exact sum does not fit 32 bits. Costs nothing when no sum of k such values can:
// int8 up to k = 2^17 - 1.
uint64_t CountOverflows(const Product& product, const Integers& a, const Integers& w);

struct TileRun {
  TileCost cost;
  uint64_t executed_tiles = 0;
  uint64_t overflows = 0;

  TileRun& operator+=(const TileRun& other);
};

// Both, for one product on all of the design's chips. Throws Error(kUnsupported) for values wider
// than the datapath, and what TileProduct throws.
TileRun RunTiles(const ChipDesign& design, const Product& product, const Integers& a,
                 const Integers& w, const Results& c, std::span<const Stall> stalls,
                 ThreadPool& pool);

// FNV-1a over C row by row, four bytes a value, little-endian.
uint64_t HashOf(const Product& product, const Results& c);

}  // namespace edgewise::chip
