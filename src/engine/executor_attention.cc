// The attention group of a step: blocks of query rows that share a KV head, over tiles of the cache.
#include <algorithm>
#include <cmath>

#include "engine/executor.h"

namespace edgewise {

void Executor::Attention(const Op& op) {
  const auto blocks = [](const Sequence& s) { return (s.rows + kQueryBlock - 1) / kQueryBlock; };
  const uint32_t kv_heads = op.attention.kv_heads;
  uint32_t total = 0;
  for (const Sequence& s : c_.step.sequences) total += blocks(s) * kv_heads;
  worker_.ForChunks(total, 1, [&](uint32_t index, uint32_t) {
    for (const Sequence& s : c_.step.sequences) {
      const uint32_t count = blocks(s) * kv_heads;
      if (index >= count) {
        index -= count;
        continue;
      }
      // The last block sees the most positions: it goes first, so that the workers end together.
      const uint32_t block = blocks(s) - 1 - index / kv_heads;
      return AttendBlock(op, s, index % kv_heads, block * kQueryBlock);
    }
  });
}

void Executor::AttendBlock(const Op& op, const Sequence& sequence, uint32_t kv_head,
                           uint32_t first_row) {
  const AttentionShape& shape = op.attention;
  const uint32_t dim = shape.head_dim, group = shape.heads / shape.kv_heads;
  const uint32_t positions = std::min(kQueryBlock, sequence.rows - first_row);
  const uint32_t rows = positions * group;
  const uint32_t first_position = sequence.kv_len + first_row;
  const float scale = 1.0f / std::sqrt(static_cast<float>(dim));
  // Row r of the block is position r / group, query head kv_head * group + r % group.
  const auto query_row = [&](uint32_t r) {
    return c_.buffers.query + size_t{sequence.first_row + first_row + r / group} * op.n +
           (kv_head * group + r % group) * dim;
  };
  for (uint32_t r = 0; r < rows; ++r) {
    const float* q = query_row(r);
    for (uint32_t d = 0; d < dim; ++d) own_.query[size_t{r} * dim + d] = q[d] * scale;
    own_.max[r] = -INFINITY;
    own_.sum[r] = 0;
  }
  std::fill_n(own_.acc, size_t{rows} * dim, 0.0f);

  const uint32_t visible_begin = FirstVisible(first_position, shape.window);
  const uint32_t visible_end = first_position + positions;
  // Tiles start at multiples of kKvTile whatever the chunk: a row's sums never depend on its company.
  for (uint32_t tile = visible_begin / kernels::kKvTile * kernels::kKvTile; tile < visible_end;
       tile += kernels::kKvTile) {
    const uint32_t end = std::min(tile + kernels::kKvTile, visible_end);
    for (uint32_t r = 0; r < rows; ++r) {
      const uint32_t position = first_position + r / group;
      const uint32_t from = std::max(FirstVisible(position, shape.window), tile);
      const uint32_t to = std::min(position + 1, end);
      own_.begin[r] = from - tile;
      own_.end[r] = std::max(to, from) - tile;
      if (to > from) Count(op.role).flops += Flops(uint64_t{4} * dim * (to - from));
    }
    const kernels::AttentionTileArgs args = {
        .q = own_.query,
        .q_stride = dim,
        .k = c_.kv + c_.cache.K(op.layer, sequence.slot, kv_head, tile),
        .k_stride = c_.cache.k_row(),
        .v = c_.kv + c_.cache.V(op.layer, sequence.slot, kv_head, tile),
        .v_stride = c_.cache.v_row(),
        .begin = own_.begin,
        .end = own_.end,
        .max = own_.max,
        .sum = own_.sum,
        .acc = own_.acc,
        .acc_stride = dim,
        .scratch = own_.tile_scratch,
        .rows = rows,
        .positions = end - tile,
        .head_dim = dim};
    c_.kernels.attention_tile(shape.k_type, shape.v_type, args);
    const uint32_t read = end - std::max(tile, visible_begin);
    Count(op.role).kv_read += Bytes(read * (args.k_stride + args.v_stride));
  }
  for (uint32_t r = 0; r < rows; ++r) {
    float* out = query_row(r);
    const float inverse = 1.0f / own_.sum[r];
    for (uint32_t d = 0; d < dim; ++d) out[d] = own_.acc[size_t{r} * dim + d] * inverse;
  }
}

}  // namespace edgewise
