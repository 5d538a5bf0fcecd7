// Hand-made streams for the systolic chip.
#pragma once

#include <cstdint>
#include <vector>

#include "chip/lower.h"
#include "rtl_chip.h"

namespace edgewise::chip {

using Stream = std::vector<Beat>;

inline Beat Header(uint8_t op, uint8_t flags, uint8_t rows, uint32_t count, uint32_t base = 0) {
  return {{op, flags, rows, 0, static_cast<uint8_t>(count), static_cast<uint8_t>(count >> 8),
           static_cast<uint8_t>(base), static_cast<uint8_t>(base >> 8)}};
}

// Beat b of a payload is column b of an 8 x k matrix, row-major.
inline void AppendColumns(Stream& stream, const std::vector<int8_t>& matrix, uint32_t k, uint32_t from,
                          uint32_t count) {
  for (uint32_t column = from; column < from + count; ++column) {
    Beat beat;
    for (uint32_t row = 0; row < kArray; ++row)
      beat.bytes.push_back(static_cast<uint8_t>(matrix[row * k + column]));
    stream.push_back(beat);
  }
}

}  // namespace edgewise::chip
