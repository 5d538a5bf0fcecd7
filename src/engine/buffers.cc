#include "engine/buffers.h"

#include <algorithm>

namespace edgewise {
namespace {

// For each format, the widest input of a matrix that reads it; 0 when none does.
std::array<uint32_t, kActivationFormats> WidestInputs(const Model& model,
                                                      const EngineOptions& options) {
  std::array<uint32_t, kActivationFormats> widest{};
  // By role and not by shape: a matrix may have one row, as when the file says that the width or the
  // feed-forward length is 1.
  const auto widen = [&](const Linear& linear) {
    const Weight& w = model.weight(linear.weight);
    uint32_t& k = widest[static_cast<size_t>(FormatFor(options, w.type, w.k))];
    k = std::max(k, w.k);
  };
  for (const LayerWeights& layer : model.layers()) {
    for (const Linear* linear :
         {&layer.q, &layer.k, &layer.v, &layer.out, &layer.gate, &layer.up, &layer.down}) {
      widen(*linear);
    }
  }
  widen(model.head());
  return widest;
}

ActivationSet TakeActivations(const std::array<uint32_t, kActivationFormats>& widest, size_t rows,
                              Arena& arena) {
  ActivationSet set;
  for (size_t f = 0; f < kActivationFormats; ++f) {
    if (widest[f] == 0) continue;
    set[f].stride =
        kernels::ActivationBytes(static_cast<kernels::ActivationFormat>(f), widest[f]);
    set[f].data = arena.Take<std::byte>(rows * set[f].stride);
  }
  return set;
}

kernels::AttentionState TakeState(size_t rows, uint32_t head_dim, Arena& arena) {
  const size_t stride = kernels::AttentionPadded(head_dim);
  kernels::AttentionState state;
  state.max = arena.Take<float>(rows);
  state.sum = arena.Take<float>(rows);
  state.acc = arena.Take<float>(rows * stride);
  state.acc_stride = stride;
  return state;
}

}  // namespace

void LayOut(const Model& model, const EngineOptions& options, Arena& arena, StepBuffers& step,
            std::span<WorkerBuffers> workers) {
  const ModelConfig& c = model.config();
  const size_t batch = options.batch;
  const auto widest = WidestInputs(model, options);

  step.tokens = arena.Take<TokenId>(batch);
  step.positions = arena.Take<uint32_t>(batch);
  step.slots = arena.Take<uint32_t>(batch);
  step.logit_row = arena.Take<uint32_t>(options.logit_rows);
  step.cos = arena.Take<float>(batch * (c.rope.dims / 2));
  step.sin = arena.Take<float>(batch * (c.rope.dims / 2));
  step.residual = arena.Take<float>(batch * c.width);
  step.query = arena.Take<float>(batch * c.q_width());
  step.key = arena.Take<float>(batch * c.kv_width());
  step.value = arena.Take<float>(batch * c.kv_width());
  step.projected = arena.Take<float>(batch * c.width);
  step.gate = arena.Take<float>(batch * c.ffn);
  step.up = arena.Take<float>(batch * c.ffn);
  step.logits = arena.Take<float>(size_t{options.logit_rows} * c.vocab);
  step.activations = TakeActivations(widest, batch, arena);
  step.split_rows = static_cast<uint32_t>(std::min<size_t>(batch, kSplitRows));
  const size_t split_states = size_t{step.split_rows} * c.heads;
  const size_t spans = (size_t{options.context} + kernels::kKvSpan - 1) / kernels::kKvSpan;
  step.spans = TakeState(spans * split_states, c.head_dim, arena);
  step.spans_done = arena.Take<uint32_t>(split_states);

  const uint32_t query_rows = kQueryBlock * c.group();
  for (WorkerBuffers& w : workers) {
    w.row = arena.Take<float>(c.width);
    w.single = TakeActivations(widest, 1, arena);
    w.query = arena.Take<float>(size_t{query_rows} * c.head_dim);
    w.attended = TakeState(query_rows, c.head_dim, arena);
    w.span = TakeState(query_rows, c.head_dim, arena);
    w.begin = arena.Take<uint32_t>(query_rows);
    w.end = arena.Take<uint32_t>(query_rows);
    w.attention_scratch = arena.Take<float>(kernels::AttentionScratchFloats(c.head_dim, query_rows));
  }
}

}  // namespace edgewise
