// How a model's numbers become the small integers that a chip multiplies, and its sums floats
// again. The scheme belongs to whoever drives the chip: the chip knows integers only.
//
//   activations  int8 per token: x = scale * code, scale = max |x| / 127, rounded to nearest
//   weights      by groups along k: w = scale * code + min, a plane of codes for each group
//
// Each group is a product of its own, and its sums are scaled on the host:
//   y[j] = x_scale * sum over groups (scale[j] * sum(code * x_code) + min[j] * sum(x_code))
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "chip/matrix.h"
#include "machine/chip.h"
#include "model/model.h"

namespace edgewise::chip {

enum class WeightScheme : uint8_t {
  kFile,  // the file's own blocks: codes and scales by 16 or 32 weights. Floats: groups of 32, the
          // last short
  kRow,   // one scale a row, converted on load: a single group, so that K accumulates on the chip
};

// Activations of some rows.
struct ActivationCodes {
  void Quantise(const float* x, size_t stride, uint32_t rows, uint32_t k);

  std::vector<int8_t> codes;  // [rows][k]
  std::vector<float> scales;  // by row; NaN for one with a NaN or an infinity, whose codes are 0
};

// A weight matrix as planes of codes.
struct WeightPlanes {
  uint32_t n = 0, k = 0;
  uint32_t group = 0;         // weights along k of a plane; the last plane may have fewer
  std::vector<int8_t> codes;  // plane g: [n][GroupSize(g)], from n * g * group on
  std::vector<float> scales;  // [planes][n]
  std::vector<float> mins;    // [planes][n], or empty

  uint32_t planes() const { return (k + group - 1) / group; }
  uint32_t GroupSize(uint32_t plane) const { return std::min(group, k - plane * group); }
  const int8_t* Plane(uint32_t plane) const { return codes.data() + uint64_t{n} * plane * group; }
  uint64_t bytes() const { return codes.size() + (scales.size() + mins.size()) * sizeof(float); }
};

// Bytes of the planes that this weight would have.
uint64_t PlaneBytes(const Weight& weight, WeightScheme scheme);

// Throws Error(kUnsupported), naming the tensor, when the codes of its type do not fit the
// datapath: only the row scheme rounds anew (int8: max |w| / 127; int4: / 7; ternary: the mean of
// |w|, as BitNet does).
void CheckScheme(const Weight& weight, WeightScheme scheme, Datapath datapath);

// Requires CheckScheme to pass.
WeightPlanes PlanesOf(const Weight& weight, WeightScheme scheme, Datapath datapath,
                      ThreadPool& pool);

}  // namespace edgewise::chip
