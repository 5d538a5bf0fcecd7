// From timings of probe models to the rates of a machine's kernels (machine/device.h): arithmetic only, no
// clock.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "machine/device.h"
#include "quant/dtype.h"

namespace edgewise {

// One run of products of one weight type with so many rows.
struct ProductSample {
  uint32_t rows = 1;
  bool cached = false;      // the weights lay in a core's own cache: what is seen is arithmetic alone
  double weights = 0;       // n * k of all products
  double outputs = 0;       // n of all of them: of each row
  double bytes = 0;         // of the weights
  double seconds = 0;       // of the whole team
  double roof_bytes_s = 0;  // that the team read beside it, of so many bytes
  double pace = 1;          // of the arithmetic beside it, over that of the moment the rates are for
};
// Rates that meet the medians of the samples wherever there are both kinds, and in between follow the straight
// line. The cached ones are of two lengths of sums: they tell what an output costs besides its weights. Where
// reading takes longer than the arithmetic, it decides the memory share; where it does not, the share of fewer
// rows holds, and the arithmetic is what was measured with the weights in memory. Requires samples of one row.
std::vector<ProductRate> FitProducts(DType type, std::span<const ProductSample> samples);

// One run of attention over caches of one type.
struct AttentionSample {
  uint32_t sharing = 1;  // query rows that share what is read of a KV head
  bool decode = true;
  double pieces = 0;     // KV heads of blocks of rows
  double kv_values = 0;  // read: each once for the query rows that share it
  double macs = 0;       // query heads x visible positions x head dimension
  double seconds = 0;    // at the pace of the moment the rates are for
};
// Of a token (decode): for each number of rows that share, what a piece and a value of the cache cost, from
// the medians at the fewest and the most positions; between those numbers the straight line. Of prompts: one
// rate, pieces x each + kv_values x unpack + macs x mac by least squares of the relative error of medians,
// none of them negative.
std::vector<AttentionRate> FitAttention(DType type, std::span<const AttentionSample> samples);

// What a whole step took beyond its operators: phases * phase_s + step_s.
struct OverheadSample {
  uint32_t phases = 0;
  double seconds = 0;
};
struct Overhead {
  double phase_s = 0, step_s = 0;
};
// From the medians of the samples with the fewest and the most phases. Neither result is negative.
Overhead FitOverhead(std::span<const OverheadSample> samples);

}  // namespace edgewise
