// Who computes an operator's matrix products instead of the engine's kernels: a simulated chip, or
// the same integer arithmetic on the CPU. The engine asks, whoever implements it is chosen at
// start.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "graph/op.h"

namespace edgewise {

class ProductBackend {
 public:
  virtual ~ProductBackend() = default;

  // Throws Error(kUnsupported) naming the tensor when it cannot take one of the model's products.
  // Called before the first MatMul, outside the engine's workers.
  virtual void CheckModel() const = 0;

  // Memory that it will have taken once every product of the model was computed, in steps of at
  // most so many rows, of which so many want logits.
  virtual uint64_t PlannedBytes(uint32_t rows, uint32_t logit_rows) const = 0;

  // y[j * y_stride + i] = sum over k of W[i, k] * x[j * x_stride + k] for i < op.n, j < rows, as
  // the backend rounds it. Without bias. Called by one thread at a time, from the engine's workers
  // too: it does not throw. A row of x that holds a NaN or an infinity gives NaNs.
  virtual void MatMul(const Op& op, uint32_t rows, const float* x, size_t x_stride, float* y,
                      size_t y_stride) = 0;

  virtual std::string name() const = 0;  // "cpu-int", "chip:compact-rtl"
};

}  // namespace edgewise
