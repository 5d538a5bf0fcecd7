// Designs and data for the tests of this folder.
#pragma once

#include <random>
#include <vector>

#include "machine/chip.h"

namespace edgewise::chip {

// The documented chip as its RTL behaves: C is cleared at every start, nothing is interlocked.
inline ChipDesign Compact() {
  ChipDesign d;
  d.name = "compact";
  d.start_cycles = 1;
  d.result_cycles = 2;
  d.host = HostInterface::kAxiLite;
  d.host_add_cycles = 10;
  return d;
}

inline ChipDesign Compact16Mac() {
  ChipDesign d;
  d.name = "compact-16mac";
  d.start_cycles = 1;
  d.macs = 16;
  d.accumulate = true;
  d.host = HostInterface::kAxiLite;
  return d;
}

inline ChipDesign Compact532() {
  ChipDesign d;
  d.name = "compact-532";
  d.start_cycles = 20;
  return d;
}

inline ChipDesign Streaming(ArrayKind kind = ArrayKind::kOutputStationary) {
  ChipDesign d;
  d.name = "systolic";
  d.kind = kind;
  d.accumulate = true;
  d.datapath = Datapath::kInt8;
  d.host = HostInterface::kDma;
  d.bus_bytes = 8;
  d.scratch_words = 2048;
  d.scratch_word_bits = 64;
  return d;
}

inline ChipDesign Buffered(bool double_buffer, ArrayKind kind = ArrayKind::kWeightStationary) {
  ChipDesign d = Streaming(kind);
  d.name = "buffered";
  d.double_buffer = double_buffer;
  return d;
}

// Every design above and what differs in more than a number.
inline std::vector<ChipDesign> AllDesigns() {
  std::vector<ChipDesign> all = {Compact(),
                                 Compact16Mac(),
                                 Compact532(),
                                 Streaming(),
                                 Streaming(ArrayKind::kVector),
                                 Buffered(false),
                                 Buffered(true),
                                 Buffered(true, ArrayKind::kSequential)};
  ChipDesign units = Compact();
  units.arrays = 4;
  all.push_back(units);
  units = Compact16Mac();
  units.arrays = 3;
  all.push_back(units);
  ChipDesign wide = Streaming();
  wide.rows = 4;
  wide.cols = 16;
  wide.depth = 4;
  wide.arrays = 2;
  wide.scratch_words = 12;  // 24 columns of A
  all.push_back(wide);
  return all;
}

template <typename T>
std::vector<T> RandomValues(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<T> values(count);
  for (T& v : values) v = static_cast<T>(random());
  return values;
}

}  // namespace edgewise::chip
