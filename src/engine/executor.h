// Executes one step, group by group, on a team of workers.
//
// A group is one or two phases. Phase 1 prepares the input rows of its products (norm, rounding to
// the activation format) - a single row by every worker for itself, when it has got its first piece of
// phase 2, which is cheaper than a barrier; more rows shared among them. Phase 2 hands out outputs: heads
// of Q, K and V (each rotated, normed and stored by whoever computed it), blocks of query rows for
// attention, blocks of matrix rows elsewhere.
//
// A worker that was not scheduled for a while passes through phases that others have finished
// (base/thread_pool.h), so everything shared is read and written inside pieces of work only.
#pragma once

#include <cstdint>
#include <span>

#include "base/clock.h"
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

using RoleCounts = std::array<RoleCount, kRoles>;

// One worker's part in a step. All workers make the same calls.
class Executor {
 public:
  Executor(const StepContext& context, Worker& worker, const WorkerBuffers& own,
           RoleCounts& counted)
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

  // Both phases of a group of products that read rows prepared alike: outputs [0, total), each of
  // `rows` matrix rows. source(row, buffer) returns row's k floats (in `buffer` or elsewhere), which are
  // rounded to every format that a product among `ops` reads; ahead(begin, end) fetches the beginning of a
  // piece's weights; outputs(begin, end, x) computes it.
  template <typename Source, typename Ahead, typename Outputs>
  void Products(std::span<const Op> ops, uint32_t m, uint32_t k, uint32_t total, uint32_t rows,
                Source&& source, Ahead&& ahead, Outputs&& outputs);
  // The normed row of the residual stream that is row `index` of the norm's m rows.
  const float* NormedRow(const Op& norm, uint32_t index, uint32_t residual_row, float* buffer);
  void CountSingleNorm(const Op& norm);
  // A plain product of `source`'s rows, then added to the residual stream.
  void ProjectToResidual(std::span<const Op> ops, const float* source);

  // y[j * y_stride + i - begin] for outputs i in [begin, end), all m rows; bias added.
  void MatMul(const Op& op, const ActivationSet& x, uint32_t begin, uint32_t end, float* y,
              size_t y_stride);
  std::span<const std::byte> Rows(const Op& op, uint32_t begin, uint32_t end) const;
  void Fetch(const Op& op, uint32_t begin, uint32_t end);

  void QkvHeads(std::span<const Op> ops, const Op& product, const ActivationSet& x, uint32_t begin,
                uint32_t end);

  // Attention (executor_attention.cc).
  struct QueryBlock;
  void AttendBlock(const QueryBlock& block);
  void AttendOneSpan(const QueryBlock& block, uint32_t span);
  void ScaleQueries(const QueryBlock& block);
  void AttendSpan(const QueryBlock& block, uint32_t span, const kernels::AttentionState& state);
  void Finish(const QueryBlock& block, const kernels::AttentionState& state);
  float* QueryRow(const QueryBlock& block, uint32_t r);

  OpCost& Count(Role role) { return counted_[static_cast<size_t>(role)].cost; }
  // Runs f, and with options.profile adds its time to the role's.
  template <typename F>
  void Timed(Role role, F&& f) {
    if (!c_.options.profile) return f();
    const Seconds start = Now();
    f();
    counted_[static_cast<size_t>(role)].busy += Now() - start;
  }

  const StepContext& c_;
  Worker& worker_;
  const WorkerBuffers& own_;
  RoleCounts& counted_;
};

}  // namespace edgewise
