// The attention group of a step: blocks of query rows that share a KV head, over spans of the cache.
//
// Positions are cut into spans of kKvSpan at absolute places. Each span leaves a state for each query
// row, and states are merged with positions ascending, whoever computes them: a row's bits depend neither
// on its company in the step nor on the number of threads.
#include <algorithm>
#include <atomic>
#include <cmath>

#include "engine/executor.h"

namespace edgewise {

using kernels::AttentionState;
using kernels::kKvSpan;

// Up to kQueryBlock rows of a sequence, with all query heads that share a KV head: query row r of the
// block is row r / group, head kv_head * group + r % group.
struct Executor::QueryBlock {
  QueryBlock(const Op& operation, const Sequence& s, uint32_t head, uint32_t first_of_sequence)
      : op(operation),
        sequence(s),
        kv_head(head),
        first_row(first_of_sequence),
        group(op.attention.heads / op.attention.kv_heads),
        rows(std::min(kQueryBlock, s.rows - first_row) * group),
        first_position(s.kv_len + first_row),
        visible_begin(FirstVisible(first_position, op.attention.window)),
        visible_end(first_position + rows / group),
        first_span(visible_begin / kKvSpan),
        spans((visible_end - 1) / kKvSpan + 1 - first_span) {}

  const Op& op;
  const Sequence& sequence;
  uint32_t kv_head, first_row, group, rows;
  uint32_t first_position;
  uint32_t visible_begin, visible_end;  // positions that any of the rows sees
  uint32_t first_span, spans;
};

void Executor::Attention(const Op& op) {
  const uint32_t kv_heads = op.attention.kv_heads;
  uint32_t step_rows = 0, total = 0;
  for (const Sequence& s : c_.step.sequences) step_rows += s.rows;
  const bool split = step_rows <= c_.buffers.split_rows;
  // Of a sequence: blocks of rows with all their spans, or a single block span by span.
  const auto parts = [&](const Sequence& s) {
    return split ? QueryBlock(op, s, 0, 0).spans : (s.rows + kQueryBlock - 1) / kQueryBlock;
  };
  for (const Sequence& s : c_.step.sequences) total += parts(s) * kv_heads;
  worker_.ForChunks(total, 1, [&](uint32_t index, uint32_t) {
    for (const Sequence& s : c_.step.sequences) {
      const uint32_t count = parts(s);
      if (index >= count * kv_heads) {
        index -= count * kv_heads;
        continue;
      }
      return Timed(Role::kAttention, [&] {
        if (split) return AttendOneSpan(QueryBlock(op, s, index / count, 0), index % count);
        // The last block sees the most positions: it goes first, so that the workers end together.
        const uint32_t block = count - 1 - index / kv_heads;
        AttendBlock(QueryBlock(op, s, index % kv_heads, block * kQueryBlock));
      });
    }
  });
}

void Executor::AttendBlock(const QueryBlock& block) {
  ScaleQueries(block);
  for (uint32_t i = 0; i < block.spans; ++i) {
    AttendSpan(block, block.first_span + i, i == 0 ? own_.attended : own_.span);
    if (i != 0) {
      c_.kernels.merge_attention(own_.attended, own_.span, block.rows, block.op.attention.head_dim);
    }
  }
  Finish(block, own_.attended);
}

void Executor::AttendOneSpan(const QueryBlock& block, uint32_t span) {
  ScaleQueries(block);
  if (block.spans == 1) {
    AttendSpan(block, block.first_span, own_.attended);
    return Finish(block, own_.attended);
  }
  const size_t states = size_t{c_.buffers.split_rows} * block.op.attention.heads;
  const size_t first = block.sequence.first_row * block.op.attention.heads + block.kv_head * block.rows;
  AttendSpan(block, block.first_span + span, c_.buffers.spans.From(span * states + first));
  // Whoever ends last sees the states of all, merges them, and leaves the counter as it was.
  std::atomic_ref<uint32_t> done(c_.buffers.spans_done[first]);
  if (done.fetch_add(1, std::memory_order_acq_rel) + 1 != block.spans) return;
  done.store(0, std::memory_order_relaxed);
  const AttentionState all = c_.buffers.spans.From(first);
  for (uint32_t i = 1; i < block.spans; ++i) {
    c_.kernels.merge_attention(all, c_.buffers.spans.From(i * states + first), block.rows,
                               block.op.attention.head_dim);
  }
  Finish(block, all);
}

void Executor::ScaleQueries(const QueryBlock& block) {
  const uint32_t dim = block.op.attention.head_dim;
  // Scores in base 2, which spares the kernels a multiplication for each.
  const float scale = static_cast<float>(M_LOG2E / std::sqrt(static_cast<double>(dim)));
  for (uint32_t r = 0; r < block.rows; ++r) {
    const float* q = QueryRow(block, r);
    for (uint32_t d = 0; d < dim; ++d) own_.query[size_t{r} * dim + d] = q[d] * scale;
  }
}

void Executor::AttendSpan(const QueryBlock& block, uint32_t span, const AttentionState& state) {
  const AttentionShape& shape = block.op.attention;
  const uint32_t layer = block.op.layer, slot = block.sequence.slot, dim = shape.head_dim;
  const uint32_t first = span * kKvSpan;
  const uint32_t last = std::min(first + kKvSpan, block.visible_end);
  for (uint32_t r = 0; r < block.rows; ++r) {
    const uint32_t position = block.first_position + r / block.group;
    const uint32_t from = std::clamp(FirstVisible(position, shape.window), first, last);
    const uint32_t to = std::clamp(position + 1, from, last);
    own_.begin[r] = from - first;
    own_.end[r] = to - first;
    Count(Role::kAttention).flops += Flops(uint64_t{4} * dim * (to - from));
  }
  const kernels::AttentionArgs args = {.q = own_.query,
                                       .q_stride = dim,
                                       .k = c_.kv + c_.cache.K(layer, slot, block.kv_head, first),
                                       .k_stride = c_.cache.k_row(),
                                       .v = c_.kv + c_.cache.V(layer, slot, block.kv_head, first),
                                       .v_stride = c_.cache.v_row(),
                                       .begin = own_.begin,
                                       .end = own_.end,
                                       .state = state,
                                       .scratch = own_.attention_scratch,
                                       .rows = block.rows,
                                       .positions = last - first,
                                       .head_dim = dim};
  c_.kernels.attention(shape.k_type, shape.v_type, args);
  const uint32_t read = last - std::max(first, block.visible_begin);
  Count(Role::kAttention).kv_read += Bytes(read * (args.k_stride + args.v_stride));
}

// The attended values take the place of the queries.
void Executor::Finish(const QueryBlock& block, const AttentionState& state) {
  const uint32_t dim = block.op.attention.head_dim;
  for (uint32_t r = 0; r < block.rows; ++r) {
    float* out = QueryRow(block, r);
    const float* acc = state.acc + r * state.acc_stride;
    const float inverse = 1.0f / state.sum[r];
    for (uint32_t d = 0; d < dim; ++d) out[d] = acc[d] * inverse;
  }
}

float* Executor::QueryRow(const QueryBlock& block, uint32_t r) {
  const uint32_t row = block.sequence.first_row + block.first_row + r / block.group;
  const uint32_t head = block.kv_head * block.group + r % block.group;
  return c_.buffers.query + size_t{row} * block.op.n + head * block.op.attention.head_dim;
}

}  // namespace edgewise
