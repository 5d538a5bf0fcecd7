#include "machine/chip.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"

namespace edgewise {
namespace {

constexpr uint64_t kMostDimension = 1 << 12;
constexpr uint64_t kMostArrays = 1 << 16;
constexpr uint64_t kMostChips = 1 << 12;
constexpr uint64_t kMostCycles = 1 << 24;   // of one of the fixed delays
constexpr uint64_t kMostWordBits = 1 << 16;
constexpr uint64_t kMostWords = uint64_t{1} << 40;
constexpr uint64_t kMostMacs = uint64_t{1} << 32;  // a cycle
constexpr double kMostHz = 10e9;
// Slower than any memory is. With the largest beat and clock a beat still takes less than 2^63 cycles.
constexpr double kLeastBytesPerSecond = 1e3;
constexpr double kMostRate = 1e18;

[[noreturn]] void Refuse(const std::string& what) { throw Error(ErrorCode::kUsage, what); }

void CheckRange(const char* field, uint64_t value, uint64_t least, uint64_t most) {
  if (value >= least && value <= most) return;
  Refuse(StrCat(field, " is ", value, ": it must be ", least, " to ", most));
}

void CheckReal(const char* field, double value, double least, double most) {
  if (value >= least && value <= most) return;  // false for NaN
  Refuse(StrCat(field, " is ", value, ": it must be ", least, " to ", most));
}

// 0 means "none", so what lies between it and `least` is a slip of the unit.
void CheckRate(const char* field, double value, double least) {
  if (value == 0 || (value >= least && value <= kMostRate)) return;
  Refuse(StrCat(field, " is ", value, ": it must be 0 (none) or ", least, " to ", kMostRate));
}

void CheckSizes(const ChipDesign& d) {
  CheckRange("array.rows", d.rows, 1, kMostDimension);
  CheckRange("array.cols", d.cols, 1, kMostDimension);
  CheckRange("array.depth", d.depth, 1, kMostDimension);
  CheckRange("array.macs", d.macs, 1, kMostMacs);
  CheckRange("array.arrays", d.arrays, 1, kMostArrays);
  CheckReal("array.clock_hz", d.clock_hz, 1, kMostHz);
  CheckRange("timing.start_cycles", d.start_cycles, 0, kMostCycles);
  CheckRange("timing.result_cycles", d.result_cycles, 0, kMostCycles);
  CheckRange("scratchpad.words", d.scratch_words, 1, kMostWords);
  CheckRange("scratchpad.word_bits", d.scratch_word_bits, 1, kMostWordBits);
  CheckRange("scratchpad.ports", d.scratch_ports, 1, 16);
  CheckRange("host.write_cycles", d.write_cycles, 1, kMostCycles);
  CheckRange("host.read_cycles", d.read_cycles, 1, kMostCycles);
  CheckRange("host.control_cycles", d.control_cycles, 1, kMostCycles);
  CheckReal("host.add_cycles", d.host_add_cycles, 0, 1e6);
  CheckRate("host.macs_s", d.host_macs_s, 1);
  CheckRange("memory.bus_bytes", d.bus_bytes, 0, kMostWordBits);
  CheckRate("memory.bytes_s", d.memory_bytes_s, kLeastBytesPerSecond);
  CheckRange("memory.latency_cycles", d.latency_cycles, 0, kMostCycles);
  CheckRange("chips.count", d.chips, 1, kMostChips);
  CheckRate("chips.link_bytes_s", d.link_bytes_s, 1);
  CheckReal("chips.link_latency_s", d.link_latency_s, 0, 1e3);
}

void CheckConstants(const ChipDesign& d) {
  CheckReal("energy.mac_pj", d.mac_pj, 0, 1e9);
  CheckReal("energy.scratch_pj_byte", d.scratch_pj_byte, 0, 1e9);
  CheckReal("energy.memory_pj_byte", d.memory_pj_byte, 0, 1e9);
  CheckReal("energy.link_pj_byte", d.link_pj_byte, 0, 1e9);
  CheckReal("energy.static_w", d.static_w, 0, 1e6);
  CheckReal("area.mac_um2", d.mac_um2, 0, 1e9);
  CheckReal("area.sram_um2_bit", d.sram_um2_bit, 0, 1e6);
  CheckReal("area.fixed_mm2", d.fixed_mm2, 0, 1e6);
}

void CheckSequential(const ChipDesign& d) {
  if (d.kind != ArrayKind::kSequential) {
    const char* field = d.macs != 1           ? "array.macs"
                        : d.start_cycles != 0  ? "timing.start_cycles"
                        : d.result_cycles != 0 ? "timing.result_cycles"
                                               : nullptr;
    if (field == nullptr) return;
    Refuse(StrCat(field, " is set, but array.kind is ", NameOf(d.kind), ": only a sequential array has it; ",
                  "multiply-adds and delays of the others follow from their size"));
  }
  const uint64_t tile = uint64_t{d.rows} * d.cols * d.depth;
  if (d.macs > tile) {
    Refuse(StrCat("array.macs is ", d.macs, ": a tile of ", d.rows, " x ", d.cols, " x ", d.depth,
                  " has only ", tile, " multiply-adds"));
  }
}

void CheckInterface(const ChipDesign& d) {
  const bool sequential = d.kind == ArrayKind::kSequential;
  const bool buffered = sequential || d.kind == ArrayKind::kWeightStationary;
  if (d.host != HostInterface::kDma && !sequential) {
    Refuse(StrCat("host.interface is ", NameOf(d.host), ", but array.kind is ", NameOf(d.kind),
                  ": an array that streams its operands needs \"dma\""));
  }
  if (d.double_buffer && !(d.host == HostInterface::kDma && buffered)) {
    Refuse(StrCat("array.double_buffer is true: it needs host.interface \"dma\" and an array that holds a "
                  "weight tile (sequential, weight-stationary); this one is ",
                  NameOf(d.kind), " with ", NameOf(d.host)));
  }
  if (d.zero_skip == ZeroSkip::kElement && !sequential) {
    Refuse(StrCat("array.zero_skip is element, but array.kind is ", NameOf(d.kind),
                  ": only a sequential array can pass over one multiply-add"));
  }
  if (d.zero_skip == ZeroSkip::kTile && !buffered) {
    Refuse(StrCat("array.zero_skip is tile, but array.kind is ", NameOf(d.kind),
                  ": it streams weights and holds no tile"));
  }
  if (d.host != HostInterface::kDma) return;
  if (d.bus_bytes == 0) Refuse("memory.bus_bytes is 0, but host.interface is dma: a DMA needs a bus");
  if (!d.accumulate) {
    Refuse("array.accumulate is false, but host.interface is dma: it writes finished sums back, and nobody "
           "would add the partial ones");
  }
  const uint64_t k = d.kind == ArrayKind::kOutputStationary ? 1 : d.depth;  // of A that a step takes
  const uint64_t needed = d.rows * k * ActivationBits(d.datapath);
  const uint64_t bits = d.scratch_words * d.scratch_word_bits;
  if (bits < needed) {
    Refuse(StrCat("scratchpad.words is ", d.scratch_words, " of ", d.scratch_word_bits, " bits: one step of ",
                  d.rows, " rows needs ", needed, " bits"));
  }
}

}  // namespace

uint32_t WeightBits(Datapath datapath) {
  static constexpr std::array<uint32_t, 5> kBits = {32, 16, 8, 4, 2};
  return kBits[static_cast<size_t>(datapath)];
}

uint32_t ActivationBits(Datapath datapath) {
  static constexpr std::array<uint32_t, 5> kBits = {32, 16, 8, 8, 8};
  return kBits[static_cast<size_t>(datapath)];
}

uint64_t PeakMacs(const ChipDesign& design) {
  const uint64_t rows = design.rows, cols = design.cols, depth = design.depth;
  uint64_t macs = 0;
  switch (design.kind) {
    case ArrayKind::kSequential: macs = design.macs; break;
    case ArrayKind::kOutputStationary: macs = rows * cols; break;
    case ArrayKind::kWeightStationary: macs = depth * cols; break;
    case ArrayKind::kVector: macs = rows * cols * depth; break;
  }
  return macs * design.arrays;
}

uint64_t ActivationBeatBytes(const ChipDesign& design) {
  const uint64_t columns = design.kind == ArrayKind::kVector ? design.depth : 1;
  return (design.rows * columns * ActivationBits(design.datapath) + 7) / 8;
}

uint64_t WeightBeatBytes(const ChipDesign& design) {
  const uint64_t depth = design.kind == ArrayKind::kVector ? design.depth : 1;
  return (uint64_t{design.cols} * design.arrays * depth * WeightBits(design.datapath) + 7) / 8;
}

uint64_t BeatCycles(const ChipDesign& design, uint64_t bytes) {
  uint64_t cycles = std::max<uint64_t>(1, (bytes + design.bus_bytes - 1) / design.bus_bytes);
  if (design.memory_bytes_s > 0) {
    const double beat = static_cast<double>(bytes) * design.clock_hz / design.memory_bytes_s;
    cycles = std::max(cycles, static_cast<uint64_t>(std::ceil(beat)));
  }
  return cycles;
}

void CheckDesign(const ChipDesign& design) {
  CheckSizes(design);
  CheckConstants(design);
  CheckSequential(design);
  CheckInterface(design);
  // Dimensions are at most 2^12 and arrays 2^16 here, so this product is below 2^53.
  if (PeakMacs(design) > kMostMacs) {
    Refuse(StrCat("array.arrays is ", design.arrays, ": with arrays of this size that is ", PeakMacs(design),
                  " multiply-adds a cycle, of at most ", kMostMacs));
  }
}

const char* NameOf(ArrayKind kind) {
  static constexpr std::array<const char*, 4> kNames = {"sequential", "output-stationary",
                                                        "weight-stationary", "vector"};
  return kNames[static_cast<size_t>(kind)];
}

const char* NameOf(Datapath datapath) {
  static constexpr std::array<const char*, 5> kNames = {"int32", "int16", "int8", "int4", "ternary"};
  return kNames[static_cast<size_t>(datapath)];
}

const char* NameOf(HostInterface host) {
  static constexpr std::array<const char*, 3> kNames = {"none", "axi-lite", "dma"};
  return kNames[static_cast<size_t>(host)];
}

const char* NameOf(ZeroSkip skip) {
  static constexpr std::array<const char*, 4> kNames = {"none", "element", "tile", "2:4"};
  return kNames[static_cast<size_t>(skip)];
}

}  // namespace edgewise
