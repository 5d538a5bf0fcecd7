// Executes one step, group by group, on a team of workers.
//
// A group is one or two phases. Phase 1 prepares the input rows of its products (norm, rounding to
// the activation format) - a single row by every worker for itself, which is cheaper than a barrier,
// more rows shared among them. Phase 2 hands out outputs: heads of Q, K and V (each rotated, normed and
// stored by whoever computed it), blocks of query rows for attention, blocks of matrix rows elsewhere.
#pragma once

#include <cstdint>
#include <span>

#include "base/thread_pool.h"
#include "engine/buffers.h"
#include "engine/engine.h"
#include "engine/rope.h"
#include "graph/cost.h"
#include "graph/op.h"
#include "kernels/kernels.h"
#include "model/model.h"

namespace edgewise {

// What the workers of a step share.
struct StepContext {
  const Model& model;
  const EngineOptions& options;
  const kernels::KernelTable& kernels;
  const RopeAngles& angles;
  const KvCache& cache;
  std::byte* kv;
  const StepBuffers& buffers;
  const Step& step;
};

// One worker's part in a step. All workers make the same calls.
class Executor {
 public:
  Executor(const StepContext& context, Worker& worker, const WorkerBuffers& own, OpCost& counted)
      : c_(context), worker_(worker), own_(own), counted_(counted) {}

  void Run(const Group& group);

 private:
  void Embed(const Op& op);
  void Qkv(std::span<const Op> ops);
  void Attention(const Op& op);
  void Out(std::span<const Op> ops);
  void GateUp(std::span<const Op> ops);
  void Down(std::span<const Op> ops);
  void Head(std::span<const Op> ops);

  // Phase 1. source(row, buffer) returns the row's k floats (in `buffer` or elsewhere); they are
  // rounded to every format that a product among `ops` reads.
  template <typename Source>
  ActivationSet Prepare(std::span<const Op> ops, uint32_t m, uint32_t k, Source&& source);
  // The normed row of the residual stream that is row `index` of the norm's m rows.
  const float* NormedRow(const Op& norm, uint32_t index, uint32_t residual_row, float* buffer);
  // Phase 2 of a plain product: rows of op.weights in blocks, result added to the residual stream.
  void ProjectToResidual(const Op& op, const ActivationSet& x);

  // y[j * y_stride + i - begin] for outputs i in [begin, end), all m rows; bias added.
  void MatMul(const Op& op, const ActivationSet& x, uint32_t begin, uint32_t end, float* y,
              size_t y_stride);
  uint32_t RowsPerChunk(uint32_t rows) const;

  void QkvHead(std::span<const Op> ops, const ActivationSet& x, uint32_t head);
  void AttendBlock(const Op& op, const Sequence& sequence, uint32_t kv_head, uint32_t first_row);

  const StepContext& c_;
  Worker& worker_;
  const WorkerBuffers& own_;
  OpCost& counted_;
};

}  // namespace edgewise
