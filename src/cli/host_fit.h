// From timings of probe models to the rates of a machine's kernels (machine/device.h): arithmetic only, no
// clock.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "machine/device.h"
#include "quant/dtype.h"

namespace edgewise {

// One run of the products of one weight type with so many rows.
struct ProductSample {
  uint32_t rows = 1;
  bool cached = false;      // the weights lay in a core's own cache: what is seen is arithmetic alone
  double weights = 0;       // n * k of all products
  double bytes = 0;         // of the weights
  double seconds = 0;       // of the whole team
  double roof_bytes_s = 0;  // that the team read beside it, of so many bytes
  double pace = 1;          // of the arithmetic beside it, over that of the moment the rates are for
};
// Rates that meet the medians of the samples wherever there are some, and in between follow the straight
// line. Up to kFewColumns rows both kinds of samples are needed, beyond only those that are not cached. Where
// reading takes longer than the arithmetic, it decides the memory share; where it does not, the share of
// fewer rows holds, and the arithmetic is what was measured with the weights in memory. Requires samples of
// one row.
std::vector<ProductRate> FitProducts(DType type, std::span<const ProductSample> samples);

// One run of attention over caches of one type.
struct AttentionSample {
  uint32_t rows = 1;     // of a sequence
  double kv_values = 0;  // read: each once for the query heads and rows that share it
  double macs = 0;       // query heads x visible positions x head dimension
  double seconds = 0;    // at the pace of the moment the rates are for
};
// One row (decode) and more (prefill): time = kv_values * unpack + macs * mac, by least squares of the
// relative error. The samples must differ in how many query heads share a KV head.
std::vector<AttentionRate> FitAttention(DType type, std::span<const AttentionSample> samples);

// What a whole step took beyond its operators: groups * group_s + step_s.
struct OverheadSample {
  uint32_t groups = 0;
  double seconds = 0;
};
struct Overhead {
  double group_s = 0, step_s = 0;
};
// From the samples with the fewest and the most groups, of each the lower quartile: what disturbs a wait only
// makes it longer. Neither result is negative.
Overhead FitOverhead(std::span<const OverheadSample> samples);

}  // namespace edgewise
