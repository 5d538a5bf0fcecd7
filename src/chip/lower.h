// A tile program as the chip's pins see it: bus transactions, or beats of a stream, every word with its data.
// The RTL and the cycle simulator run it. Only for small products.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "chip/matrix.h"
#include "chip/program.h"
#include "chip/tiler.h"
#include "machine/chip.h"

namespace edgewise::chip {

// Register addresses of unit u are those of program.h plus u * kUnitStride.
inline constexpr uint32_t kUnitStride = 0x400;

// Commands of a stream's header beats.
inline constexpr uint8_t kLoadA = 1, kMac = 2;
inline constexpr uint8_t kMacFirst = 1, kMacLast = 2;  // flags
inline constexpr uint64_t kMostBeats = 65535;          // of one command

// kAxiLite. A [m, k] and W [n, k] as in the tiling's product. Idle cycles are counted for a host whose
// transactions are not stalled, as the chip's programmer would. Throws Error(kUnsupported) for tiles of more
// than 256 words, which the register map cannot hold, and for values wider than the datapath.
std::vector<BusOp> LowerToBus(const ChipDesign& design, const Tiling& tiling, const Integers& a,
                              const Integers& w);

// kDma. Streaming kinds get commands, each a header beat and its payload; buffered kinds (weight-stationary,
// sequential) know the tiling and get payload only: where a round says load_a, the chunk's columns of A, one
// a beat; where it says load_w, `depth` beats of cols weights, one k each.
// A beat holds its values packed, lane 0 first: int16 and int32 little-endian, int4 two a byte, the lower
// nibble first, ternary four a byte (0, 1, and 2 for -1). Column b of A: rows 0.. in order. Beat b of W:
// outputs 0.. in order; vector: depth weights of output 0, then of output 1, and so on, as A has depth
// activations of row 0, then of row 1. All beats are as wide as the widest, at least 8 bytes.
std::vector<Beat> LowerToStream(const ChipDesign& design, const Tiling& tiling, const Integers& a,
                                const Integers& w);
// Bytes of a beat of A and of W, before padding to the stream's width.
uint64_t ABeatBytes(const ChipDesign& design);
uint64_t WBeatBytes(const ChipDesign& design);

// Puts what the chip gave back, in program order, into c [m, n], adding partial sums as the host does
// (modulo 2^32). Requires exactly as many results as the program reads.
void GatherResults(const ChipDesign& design, const Tiling& tiling, std::span<const uint32_t> results,
                   const Results& c);

}  // namespace edgewise::chip
