// Which part of a device's peaks a program reaches: explicit factors, each with where it comes from.
#pragma once

#include <cstdint>
#include <string>

#include "machine/device.h"
#include "quant/dtype.h"

namespace edgewise {

// The time of a matrix product of m rows with W weights is the longer of
//   reading     bytes / (memory_share * bandwidth)
//   computing   W * (unpack + m * mac),  mac = 2 / (peak * compute_share),
//               unpack = max(0, 2 / (peak * decode_share) - mac)
// and op_s more; peak is ArithmeticPeak, of the threads that run.
struct Efficiency {
  double memory_share = 0.6;    // of memory bandwidth, reading weights and KV
  double compute_share = 0.5;   // of the arithmetic peak, in products of many rows
  double decode_share = 0.1;    // of the arithmetic peak, in products of one row: unpacking a weight costs more
                                // than multiplying it once
  double op_s = 0;              // per operator of the step's list: a launch, a barrier
  double error = 0.5;           // relative: a band of time from 1 - error to 1 + error
  std::string from;             // "7 published rows of nvidia-gpu x llama.cpp x 4-bit"
  uint32_t rows = 0;            // of measurements behind it; 0: assumed
};

// Multiply-adds counted twice: the rate of the arithmetic that programs use for weights of `type`. CPUs multiply
// quantised weights by 8-bit activations; everything else in halves, or floats where the device has no halves.
double ArithmeticPeak(const Device& device, DType type);

}  // namespace edgewise
