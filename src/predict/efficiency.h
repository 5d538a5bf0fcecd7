// Which part of a device's peaks a program reaches: explicit factors, each with where it comes from.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/function_ref.h"
#include "machine/device.h"
#include "quant/dtype.h"

namespace edgewise {

class PublishedTable;
struct Observation;

// The time of a matrix product of m rows with W weights is the longer of
//   reading     bytes / (memory_share * bandwidth)
//   computing   W * (first + (m - 1) * mac),  first = 2 / (OneRowPeak * decode_share): unpacked and
//   multiplied,
//               mac = min(first, 2 / (ArithmeticPeak * compute_share)): multiplied again
// and op_s more; the peaks are of the threads that run.
struct Efficiency {
  double memory_share = 0.6;   // of memory bandwidth, reading weights and KV
  double compute_share = 0.5;  // of the arithmetic peak, in products of many rows
  double decode_share = 0.1;   // of the peak for one row, in products of one row: unpacking a weight costs
                               // more than multiplying it once
  double op_s = 0;             // per operator of the step's list: a launch, a barrier
  double error = 0.5;          // three of four rows took 1 - error to 1 + error times what was predicted
  std::string from;            // "54 published rows of nvidia-gpu x llama.cpp x 4-bit"
  uint32_t rows = 0;           // of measurements behind it; 0: assumed
};

// Multiply-adds counted twice: the rate of the arithmetic that programs use for weights of `type`. CPUs
// multiply quantised weights by 8-bit activations; everything else in halves, or floats where the device
// has no halves.
double ArithmeticPeak(const Device& device, DType type);

// The same for products of one row: instructions that multiply matrices (SMMLA) are of no use there, and
// those that multiply vectors of bytes do at most four times what vectors of floats do.
double OneRowPeak(const Device& device, DType type);

// What published rows say of a program on a device: the first of these groups that has kLeastRows rows -
// the device's own with this program (on anything but a CPU, if they tell launches from bytes, see
// FitDecode); its family's with this program; its family's; its kind's - and else assumptions. On CPUs a
// family first means those members that multiply bytes, or those that do not. Rows of all formats count
// together, so that the formats of one device are priced alike: one with fewer bytes is never slower.
// compute_share is the median of the first group where kLeastRows rows know their prefill, and gives all
// formats the same speed (as far as the format's peak allows). `error` is from leaving out one device at a
// time (one row, of the device's own). `recipe` is one of AllRecipes(); throws Error(kUsage) for others.
Efficiency EfficiencyFor(const Device& device, std::string_view engine, std::string_view recipe,
                         const PublishedTable& table);
// The same from those rows only that `uses` says true of: for scores, which leave out. `error` stays as
// assumed.
using UsesRow = FunctionRef<bool(const Observation&)>;
Efficiency EfficiencyFor(const Device& device, std::string_view engine, std::string_view recipe,
                         const PublishedTable& table, UsesRow uses);

// The parts of it, which scores use too.

// A token's time as seconds = max(read_s / memory_share, multiply_s / decode_share) + ops * op_s.
struct DecodeFit {
  double read = 1;      // 1 / memory_share
  double multiply = 0;  // 1 / decode_share; 0: reading always takes longer
  double op_s = 0;
};
// The factors that make the sum of relative deviations smallest, rows' times and fit's times in either
// order. On a CPU few threads may be bound by unpacking, so `multiply` is fitted too, given three rows; on
// anything else launches take time, so op_s is, given five rows whose bytes for each operator differ by two
// or more. Requires a row, and rows of one kind of device.
DecodeFit FitDecode(std::span<const Observation* const> rows);
// The factors for pricing. compute_share is the median of prefill shares that rows know, else assumed;
// decode_share the same where unpacking does not show.
Efficiency EfficiencyFrom(std::span<const Observation* const> rows);
// The error that three of four rows keep below when all rows of their device are left out; not below what is
// assumed where rows are of fewer than three devices.
double ErrorBand(std::span<const Observation* const> rows);

}  // namespace edgewise
