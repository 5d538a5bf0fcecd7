// What a product costs on a chip design, in closed form: cycles, bytes, joules, seconds, area. No tile is
// visited and nothing is computed, so a whole model is priced in microseconds; chip/ walks and ticks the same
// timing, and a test holds all of them equal. chip_timing.h derives the cycles.
//
// Weights are taken to be dense: what their zeros save is data, which chip/ counts. Only two-of-four chips
// are priced as if the weights complied (k counts half).
#pragma once

#include <cstdint>
#include <vector>

#include "graph/workload.h"
#include "machine/chip.h"

namespace edgewise {

// Where cycles go. The first four add up to ChipCost::cycles.
struct ChipPhases {
  uint64_t load = 0;     // operands and commands come in, and the array does nothing
  uint64_t compute = 0;  // the array works, or the host waits for it
  uint64_t drain = 0;    // results leave, and the array does nothing
  uint64_t stall = 0;    // memory latency that nothing hid
  uint64_t host = 0;     // after the chip: adding partial sums along k

  ChipPhases& operator+=(const ChipPhases& other);
  friend bool operator==(const ChipPhases&, const ChipPhases&) = default;
};

// Bytes across the pins, as the interface moves them (kAxiLite: a word each; kNone: packed).
struct ChipTraffic {
  uint64_t activations = 0, weights = 0, control = 0, results = 0;
  uint64_t link = 0;  // between chips

  uint64_t in() const { return activations + weights + control; }
  ChipTraffic& operator+=(const ChipTraffic& other);
  friend bool operator==(const ChipTraffic&, const ChipTraffic&) = default;
};

struct ChipJoules {
  double mac = 0, scratch = 0, memory = 0, link = 0, leakage = 0;

  double total() const { return mac + scratch + memory + link + leakage; }
  ChipJoules& operator+=(const ChipJoules& other);
};

struct ChipCost {
  uint64_t cycles = 0;  // to the last result; of the slowest of several chips
  ChipPhases phases;
  ChipTraffic traffic;  // of all chips, as the counts below
  uint64_t tiles = 0;
  uint64_t useful_macs = 0;  // m n k, without padding
  uint64_t padded_macs = 0;  // what the arrays did, padding included
  double scratch_bytes = 0;  // read and written in the chips' own memories
  double peak_macs = 0;      // what the chips could have done in `seconds`
  double link_s = 0;         // gathering the columns of several chips
  double seconds = 0;        // cycles, host and link one after the other
  ChipJoules joules;

  // Share of the multiply-adds that the chips could have done in this time.
  double utilisation() const { return peak_macs == 0 ? 0 : static_cast<double>(useful_macs) / peak_macs; }
  // Share of what the arrays did that was no padding: one token on an 8 x 8 x 8 tile fills 1/8.
  double fill() const {
    return padded_macs == 0 ? 0 : static_cast<double>(useful_macs) / static_cast<double>(padded_macs);
  }
  double ops_per_second() const { return seconds == 0 ? 0 : 2 * static_cast<double>(useful_macs) / seconds; }

  // Adds a cost that comes after this one. Throws Error(kLimit) when a count no longer fits 64 bits.
  ChipCost& operator+=(const ChipCost& other);
};

// C [m, n] = A [m, k] W [n, k]^T, `count` times one after the other.
struct ProductShape {
  uint64_t m = 0, n = 0, k = 0;
  uint64_t count = 1;
};

// Throws Error(kUsage) for a zero dimension; Error(kLimit) for a product of more than 2^56 multiply-adds,
// padding included, or counts that do not fit 64 bits. The design must have passed CheckDesign.
ChipCost PriceProduct(const ChipDesign& design, const ProductShape& shape);

// What happens to the products of attention (scores and values), whose "weights" are the KV cache.
enum class AttentionOn : uint8_t {
  kNothing,  // left out, as the documents did
  kChip,     // multiplied as any other product
  kHost,     // by the host, at the design's host_macs_s
};

struct WorkloadCost {
  std::vector<ChipCost> products;  // in the order of the workload; zero for those not on the chip
  ChipCost total;                  // their sum
  double host_s = 0;               // attention, when the host does it: after the chip

  double seconds() const { return total.seconds + host_s; }
};

// Throws Error(kUsage) also for kHost when the design does not say how fast the host is.
WorkloadCost PriceWorkload(const ChipDesign& design, const Workload& workload, AttentionOn attention);

// Silicon of all chips of a design in mm2: multiply-adders, scratchpad, operand and result buffers, the rest.
double ChipArea(const ChipDesign& design);

// How much faster a chip gets that leaves out weight tiles of zeros, when each weight is zero with
// probability `zeros`, independently: 1 / (1 - zeros^(cols depth)). 90% zeros give 1.0012 at 8 x 8.
double RandomTileSkip(const ChipDesign& design, double zeros);

}  // namespace edgewise
