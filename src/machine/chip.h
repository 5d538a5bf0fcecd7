// What an accelerator chip is: the numbers that decide its results, cycles, energy and area. chip/ executes
// designs, chip_cost.h prices them in closed form; neither knows where a design came from.
//
// One chip multiplies activations A [m, k] by weights W [n, k] (row-major, as in a model file) into
// C [m, n] of 32-bit integers that wrap, tile by tile. docs/chip.md explains the kinds of arrays and their
// timing; chips/*.toml hold the named designs.
#pragma once

#include <cstdint>
#include <string>

namespace edgewise {

enum class ArrayKind : uint8_t {
  kSequential,        // `macs` multiply-adds a cycle walk through a tile: k fastest, then column, then row
  kOutputStationary,  // systolic: rows x cols elements keep their sums while A and W stream through
  kWeightStationary,  // systolic: depth x cols elements keep their weights while rows of A stream through
  kVector,            // cols x depth weights a cycle meet `rows` rows of A in adder trees: made for M = 1
};

// Width of both operands in bits; products are summed in 32 bits. Int4 and ternary (-1, 0, 1; 2 bits) are
// widths of weights: both meet int8 activations, as 4-bit activations cost a language model too much.
enum class Datapath : uint8_t { kInt32, kInt16, kInt8, kInt4, kTernary };

enum class HostInterface : uint8_t {
  kNone,     // operands appear and results vanish for free: what a document assumes that counts compute only
  kAxiLite,  // the host writes and reads word by word, one transaction at a time
  kDma,      // the chip fetches its operands in bursts and writes results back
};

enum class ZeroSkip : uint8_t {
  kNone,
  kElement,    // a multiply-add with a zero weight takes no cycle (sequential arrays)
  kTile,       // a weight tile of zeros is neither loaded nor computed
  kTwoOfFour,  // of four weights along k at most two are stored and multiplied
};

struct ChipDesign {
  std::string name;
  std::string summary;  // one line for people
  std::string source;   // where the figures come from

  // The array.
  ArrayKind kind = ArrayKind::kSequential;
  uint32_t rows = 8, cols = 8, depth = 8;  // of a tile: rows of A, columns of C, k
  uint32_t macs = 1;            // a cycle, of a sequential array; the other kinds follow from their size
  uint32_t arrays = 1;          // side by side along n (kDma: in lockstep on a wider stream)
  uint32_t start_cycles = 0;    // sequential: from the start write to the first multiply-add
  uint32_t result_cycles = 0;   // sequential: from the last multiply-add until the last result can be read
  bool accumulate = false;      // C += A W; otherwise C = A W and the host adds the partial sums along k
  bool double_buffer = false;   // the next weight tile loads while this one computes (kWeightStationary,
                                // kSequential with kDma; the streaming kinds need no weight buffer)
  Datapath datapath = Datapath::kInt32;
  ZeroSkip zero_skip = ZeroSkip::kNone;
  double clock_hz = 100e6;

  // On-chip memory for activations (kDma): when a row block of A, rows x k, does not fit, A is read again
  // for every column tile.
  uint64_t scratch_words = 512;
  uint32_t scratch_word_bits = 32;
  uint32_t scratch_ports = 1;   // 1: filling it and computing from it exclude each other

  // Transfers.
  HostInterface host = HostInterface::kNone;
  uint32_t write_cycles = 1, read_cycles = 2, control_cycles = 1;  // kAxiLite, per 32-bit word
  double host_add_cycles = 0;   // kAxiLite: host cycles (at clock_hz) to add one partial sum, after its read
  uint32_t bus_bytes = 8;       // kDma: most bytes a cycle, in and (a second channel) out
  double memory_bytes_s = 0;    // kDma: external memory; 0: as fast as the bus
  uint32_t latency_cycles = 0;  // kDma: from request to first beat

  // Several chips share a product's columns and gather the results over a link.
  uint32_t chips = 1;
  double link_bytes_s = 0;      // 0 with chips > 1: results cannot be gathered, so nothing is gained
  double link_latency_s = 0;

  // Work left to the host CPU (attention scores, norms, rescaling): multiply-adds a second.
  double host_macs_s = 0;

  // Energy and area constants, each with its source in the file's comments.
  double mac_pj = 0, scratch_pj_byte = 0, memory_pj_byte = 0, link_pj_byte = 0, static_w = 0;
  double mac_um2 = 0, sram_um2_bit = 0, fixed_mm2 = 0;

  friend bool operator==(const ChipDesign&, const ChipDesign&) = default;
};

// Bits of a weight and of an activation as stored and moved.
uint32_t WeightBits(Datapath datapath);
uint32_t ActivationBits(Datapath datapath);
// Multiply-adds a cycle of one chip at best.
uint64_t PeakMacs(const ChipDesign& design);
// Bytes of one column of A (kVector: of `depth` columns) for a row block, and of the weights that all arrays
// take together at one k (kVector: at `depth`), packed: what a DMA moves as one beat.
uint64_t ActivationBeatBytes(const ChipDesign& design);
uint64_t WeightBeatBytes(const ChipDesign& design);
// Cycles from the acceptance of a beat to the next, of so many bytes: what bus and memory take, no less than
// one. Beats are not packed.
uint64_t BeatCycles(const ChipDesign& design, uint64_t bytes);

// Throws Error(kUsage) naming the field, as chip files call it, and the reason: a zero or absurd size (above
// 2^12 in a dimension, 2^16 arrays, 10 GHz, ...), products that overflow, combinations that cannot be
// (element skipping in a systolic array, a DMA without a bus, ...).
void CheckDesign(const ChipDesign& design);

const char* NameOf(ArrayKind kind);  // "sequential", "output-stationary", "weight-stationary", "vector"
const char* NameOf(Datapath datapath);
const char* NameOf(HostInterface host);
const char* NameOf(ZeroSkip skip);

}  // namespace edgewise
