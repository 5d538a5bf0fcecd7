// Where everything of a running engine lies: the layout is computed by the same code that plans it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/memory.h"
#include "engine/engine.h"
#include "kernels/kernels.h"

namespace edgewise {

inline constexpr size_t kActivationFormats = 3;
// The format in which the input of a product with k-wide rows of `weight` is prepared.
inline kernels::ActivationFormat FormatFor(const EngineOptions& options, DType weight, uint32_t k) {
  return options.backend != nullptr ? kernels::ActivationFormat::kF32
                                    : kernels::ActivationFormatFor(weight, k);
}

// Rounded (or plain) activation rows in one format.
struct ActivationRows {
  std::byte* data = nullptr;
  size_t stride = 0;  // bytes; 0: the model has no weights of this format
};
using ActivationSet = std::array<ActivationRows, kActivationFormats>;  // by ActivationFormat

// Of one worker thread.
struct WorkerBuffers {
  float* row = nullptr;          // [width]: a normed row before rounding
  ActivationSet single;          // one row: what decode prepares, by each worker for itself
  // Attention over one block of query rows of the heads that share a KV head: R = kQueryBlock * group
  float* query = nullptr;              // [R, head_dim], scaled
  kernels::AttentionState attended;    // [R]: over the spans until now
  kernels::AttentionState span;        // [R]: over one span
  uint32_t* begin = nullptr;           // [R]
  uint32_t* end = nullptr;             // [R]
  float* attention_scratch = nullptr;
};

// Steps of up to so many rows share the spans of a head's positions among the workers. Larger ones have
// blocks of query rows enough; 8 is what speculation and small batches bring, and bounds `spans` below,
// which has a state for every such row, head and span: 2 MiB for a row of 32 heads of 64 at 128k.
inline constexpr uint32_t kSplitRows = 8;

// Of a step; B = options.batch.
struct StepBuffers {
  TokenId* tokens = nullptr;       // [B]
  uint32_t* positions = nullptr;   // [B]
  uint32_t* slots = nullptr;       // [B]
  uint32_t* logit_row = nullptr;   // [logit_rows]: which rows of the step want logits
  float* cos = nullptr;            // [B, rope.dims / 2]
  float* sin = nullptr;            // [B, rope.dims / 2]
  float* residual = nullptr;       // [B, width]
  float* query = nullptr;          // [B, q_width]: then the attended values, in place
  float* key = nullptr;            // [B, kv_width]
  float* value = nullptr;          // [B, kv_width]
  float* projected = nullptr;      // [B, width]
  float* gate = nullptr;           // [B, ffn]: then the gated values, in place
  float* up = nullptr;             // [B, ffn]
  float* logits = nullptr;         // [logit_rows, vocab]
  ActivationSet activations;       // [B, widest k]
  // S = split_rows * heads
  uint32_t split_rows = 0;         // min(B, kSplitRows)
  kernels::AttentionState spans;   // [spans of the context, S]
  uint32_t* spans_done = nullptr;  // [S]: by blocks of query rows, at the place of the first; 0 between uses
};

// Takes the step's buffers and `threads` workers' from the arena. With an arena over nullptr it only
// measures.
void LayOut(const Model& model, const EngineOptions& options, Arena& arena, StepBuffers& step,
            std::span<WorkerBuffers> workers);

// The KV cache: K of all layers, then V; within each [layer][slot][kv_head][position] rows, so that
// one head's positions are contiguous.
class KvCache {
 public:
  KvCache(const ModelConfig& config, const EngineOptions& options)
      : k_row_(KvRowBytes(options.k_type, config.head_dim)),
        v_row_(KvRowBytes(options.v_type, config.head_dim)),
        context_(options.context),
        slots_(options.slots),
        kv_heads_(config.kv_heads),
        v_start_(uint64_t{config.layers} * slots_ * kv_heads_ * context_ * k_row_),
        bytes_(v_start_ + uint64_t{config.layers} * slots_ * kv_heads_ * context_ * v_row_) {}

  uint64_t bytes() const { return bytes_; }
  size_t k_row() const { return k_row_; }
  size_t v_row() const { return v_row_; }

  // Offsets of a row in the cache's memory.
  uint64_t K(uint32_t layer, uint32_t slot, uint32_t head, uint32_t position) const {
    return Row(layer, slot, head, position) * k_row_;
  }
  uint64_t V(uint32_t layer, uint32_t slot, uint32_t head, uint32_t position) const {
    return v_start_ + Row(layer, slot, head, position) * v_row_;
  }

 private:
  uint64_t Row(uint32_t layer, uint32_t slot, uint32_t head, uint32_t position) const {
    return ((uint64_t{layer} * slots_ + slot) * kv_heads_ + head) * context_ + position;
  }

  uint64_t k_row_, v_row_;
  uint32_t context_, slots_, kv_heads_;
  uint64_t v_start_, bytes_;
};

}  // namespace edgewise
