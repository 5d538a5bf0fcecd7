// Which part of a device's peaks a program reaches: explicit factors, each with where it comes from.
#pragma once

#include <cstdint>
#include <string>

#include "machine/device.h"
#include "quant/dtype.h"

namespace edgewise {

struct Efficiency {
  double memory_share = 0.6;   // of memory bandwidth, reading weights and KV
  double compute_share = 0.5;  // of the peak of the arithmetic used, in products of many rows
  double op_s = 0;             // per operator: a launch, a barrier
  double error = 0.5;          // relative: a band of time from 1 - error to 1 + error
  std::string from;            // "median of 7 published rows of nvidia x llama.cpp x Q4_0"
  uint32_t rows = 0;           // of measurements behind it; 0: assumed
};

}  // namespace edgewise
