// A tile program as the chip's pins see it: bus transactions, or beats of a stream, every word with
// its data. The RTL and the cycle simulator run it. Only for small products.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "chip/matrix.h"
#include "chip/program.h"
#include "chip/tiler.h"
#include "machine/chip.h"

namespace edgewise::chip {

// The register map of kAxiLite chips in words: windows as wide as the largest of the matrices
// needs, a power of two and at least 256 words, which gives an 8 x 8 chip the addresses of
// program.h. Unit u begins at u * unit_stride.
struct RegisterMap {
  uint32_t a, b, c, control, status, unit_stride;
};
RegisterMap MapOf(const ChipDesign& design);

// Commands of a stream's header beats.
inline constexpr uint8_t kLoadA = 1, kMac = 2;
inline constexpr uint8_t kMacFirst = 1, kMacLast = 2;  // flags

// kAxiLite. A [m, k] and W [n, k] as in the tiling's product. Idle cycles are counted for a host
// whose transactions are not stalled, as the chip's programmer would. Throws Error(kUnsupported)
// for values wider than the datapath.
std::vector<BusOp> LowerToBus(const ChipDesign& design, const Tiling& tiling, const Integers& a,
                              const Integers& w);

// kDma. Streaming kinds get commands, each a header beat and its payload; buffered kinds
// (weight-stationary, sequential) know the tiling and get payload only: where a round says load_a,
// the chunk's columns of A, one a beat; where it says load_w, `depth` beats of cols weights, one k
// each.
// A beat holds its values packed in two's complement, lane l at bit l * width: int4 two a
// byte, ternary four. Column b of A: rows 0.. in order. Beat b of W: outputs 0.. in order; vector:
// depth weights of output 0, then of output 1, and so on, as A has depth activations of row 0, then
// of row 1. All beats are as wide as the widest, at least 8 bytes.
std::vector<Beat> LowerToStream(const ChipDesign& design, const Tiling& tiling, const Integers& a,
                                const Integers& w);
// Bytes of every beat of the stream.
uint64_t StreamBytes(const ChipDesign& design);
// Throws Error(kUnsupported) naming a value that is wider than the datapath.
void CheckOperands(const ChipDesign& design, const Product& product, const Integers& a,
                   const Integers& w);

// Puts what the chip gave back, in program order, into c [m, n], adding partial sums as the host
// does (modulo 2^32). Requires exactly as many results as the program reads.
void GatherResults(const ChipDesign& design, const Tiling& tiling,
                   std::span<const uint32_t> results, const Results& c);

}  // namespace edgewise::chip
