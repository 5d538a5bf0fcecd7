// The roofline: two resources that work at the same time, and who waits for whom. Rates in operations (a
// multiply-add counts twice) and bytes a second.
#pragma once

#include <algorithm>

#include "predict/op_time.h"

namespace edgewise {

// Operations a second that `intensity` operations a byte can reach.
constexpr double Attainable(double peak_ops_s, double bytes_s, double intensity) {
  return std::min(peak_ops_s, bytes_s * intensity);
}

// How much faster work becomes whose computing and moving get faster by different factors: the longer of two
// times before by the longer after, never the product of the factors.
inline double TwoResourceSpeedup(double compute_s, double memory_s, double compute_gain, double memory_gain) {
  return OpTime::Overlapping(memory_s, compute_s).seconds() /
         OpTime::Overlapping(memory_s / memory_gain, compute_s / compute_gain).seconds();
}

// C = A B of n x n matrices: each read or written once, elements of so many bytes.
constexpr double GemmBytes(double n, double element_bytes) { return 3 * n * n * element_bytes; }
constexpr double GemmIntensity(double n, double element_bytes) {
  return 2 * n * n * n / GemmBytes(n, element_bytes);
}

// Decoding a token of each of `batch` sequences reads each weight once and multiplies it `batch` times.
constexpr double DecodeIntensity(double batch, double weight_bytes) { return 2 * batch / weight_bytes; }
// Sequences at which computing takes as long as reading the weights.
constexpr double RidgeBatch(double peak_ops_s, double bytes_s, double weight_bytes) {
  return peak_ops_s * weight_bytes / (2 * bytes_s);
}

// Tokens a second at most when each reads so many bytes.
constexpr double TokensBoundByMemory(double bytes_s, double bytes_per_token) {
  return bytes_s / bytes_per_token;
}

}  // namespace edgewise
