// The one formula for operations and bytes of an operator. The engine's and the chip's counters,
// which add up what they really handed to kernels and tiles, must equal it.
//
// flops         a multiply-add counts twice. Products 2 m n k; attention 4 head_dim per query head and
//               visible position (Q K^T and P V). Norms, rotation, softmax and element-wise work
//               count 0: under 0.1% of any model here.
// weight_bytes  compulsory traffic: every weight byte once per step, in its stored type; of the
//               embedding only the rows looked up.
// kv_read       keys and values read: each block of kQueryBlock rows of a sequence reads the positions
//               that any of its rows sees, once for all query heads that share a KV head.
// kv_write      keys and values stored.
// activation_bytes  F32 inputs read and results written, as if none stayed in cache. Not counted by
//               the executors: what really moves depends on caches.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/units.h"
#include "graph/op.h"

namespace edgewise {

// Query rows (positions) of one sequence that read the KV cache together. 32 positions of 1 to 8
// heads amortise decoding a KV tile; more would outgrow L2 with their running results.
inline constexpr uint32_t kQueryBlock = 32;

struct OpCost {
  Flops flops;
  Bytes weight_bytes, kv_read, kv_write, activation_bytes;

  OpCost& operator+=(const OpCost& other) {
    flops += other.flops;
    weight_bytes += other.weight_bytes;
    kv_read += other.kv_read;
    kv_write += other.kv_write;
    activation_bytes += other.activation_bytes;
    return *this;
  }
  friend bool operator==(const OpCost&, const OpCost&) = default;
};

OpCost CostOf(const Model& model, const Op& op, const Step& step);
OpCost CostOf(const Model& model, const Step& step);
// The part of one sequence in an attention operator (first_row does not matter).
OpCost AttentionCost(const Op& op, const Sequence& sequence);

// Positions that a query at `position` sees: [first, position].
inline uint32_t FirstVisible(uint32_t position, uint32_t window) {
  return window == 0 || position < window ? 0 : position + 1 - window;
}

}  // namespace edgewise
