#include "engine/executor.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "quant/codec.h"

namespace edgewise {
namespace {

const Op* FindRole(std::span<const Op> ops, Role role) {
  for (const Op& op : ops) {
    if (op.role == role) return &op;
  }
  return nullptr;
}

const Op& OpOf(std::span<const Op> ops, Role role) {
  const Op* op = FindRole(ops, role);
  EDGEWISE_CHECK(op != nullptr);
  return *op;
}

}  // namespace

void Executor::Run(const Group& group) {
  const std::span<const Op> ops = std::span(c_.step.ops).subspan(group.first, group.count);
  switch (group.kind) {
    case GroupKind::kEmbed: return Embed(ops[0]);
    case GroupKind::kQkv: return Qkv(ops);
    case GroupKind::kAttention: return Attention(ops[0]);
    case GroupKind::kOut: return Out(ops);
    case GroupKind::kGateUp: return GateUp(ops);
    case GroupKind::kDown: return Down(ops);
    case GroupKind::kHead: return Head(ops);
  }
}

// ---- phase 1 ----

template <typename Source>
ActivationSet Executor::Prepare(std::span<const Op> ops, uint32_t m, uint32_t k, Source&& source) {
  std::array<bool, kActivationFormats> needed{};
  for (const Op& op : ops) {
    if (op.kind != OpKind::kMatMul) continue;
    needed[static_cast<size_t>(kernels::ActivationFormatFor(op.weight, op.k))] = true;
  }
  const ActivationSet& set = m == 1 ? own_.single : c_.buffers.activations;
  const auto prepare_row = [&](uint32_t row) {
    const float* x = source(row, own_.row);
    for (size_t f = 0; f < kActivationFormats; ++f) {
      if (!needed[f]) continue;
      c_.kernels.quantize(static_cast<kernels::ActivationFormat>(f), x, k,
                          set[f].data + row * set[f].stride);
    }
  };
  if (m == 1) {
    prepare_row(0);
  } else {
    worker_.ForChunks(m, 4, [&](uint32_t begin, uint32_t end) {
      for (uint32_t row = begin; row < end; ++row) prepare_row(row);
    });
  }
  return set;
}

const float* Executor::NormedRow(const Op& norm, uint32_t index, uint32_t residual_row,
                                 float* buffer) {
  const Weight& w = c_.model.weight(norm.weights);
  c_.kernels.rms_norm(c_.buffers.residual + size_t{residual_row} * w.k,
                      reinterpret_cast<const float*>(w.data), c_.model.config().norm_eps, w.k,
                      buffer);
  // A single row is normed by every worker: counted once, like the rows that share these weights.
  const bool counts = index == 0 && (norm.m > 1 || worker_.index() == 0);
  if (counts) counted_.weight_bytes += Bytes(w.bytes());
  return buffer;
}

// ---- products ----

void Executor::MatMul(const Op& op, const ActivationSet& x, uint32_t begin, uint32_t end, float* y,
                      size_t y_stride) {
  const Weight& w = c_.model.weight(op.weights);
  const ActivationRows& rows = x[static_cast<size_t>(kernels::ActivationFormatFor(op.weight, op.k))];
  const kernels::MatMulArgs args = {.w = w.data + begin * w.row_bytes(),
                                    .w_stride = w.row_bytes(),
                                    .x = rows.data,
                                    .x_stride = rows.stride,
                                    .y = y,
                                    .y_stride = y_stride,
                                    .rows = end - begin,
                                    .k = w.k,
                                    .m = op.m};
  kernels::MatMul(c_.kernels, w.type, args);
  counted_.weight_bytes += Bytes(args.rows * args.w_stride);
  counted_.flops += Flops(uint64_t{2} * args.rows * args.k * args.m);
  if (op.bias == TensorId::kNone) return;
  const float* bias = reinterpret_cast<const float*>(c_.model.weight(op.bias).data) + begin;
  for (uint32_t j = 0; j < op.m; ++j) c_.kernels.add(bias, args.rows, y + j * y_stride);
  counted_.weight_bytes += Bytes(args.rows * sizeof(float));
}

// Eight chunks for each worker let a slow core take fewer; 16 rows at least keep the hand-out cheap,
// 128 at most keep a chunk's weights in L2 while all rows of the step pass over them.
uint32_t Executor::RowsPerChunk(uint32_t rows) const {
  const uint32_t share = rows / (static_cast<uint32_t>(worker_.count()) * 8);
  return std::clamp(share / 16 * 16, 16u, 128u);
}

void Executor::ProjectToResidual(const Op& op, const ActivationSet& x) {
  const uint32_t width = op.n;
  worker_.ForChunks(width, RowsPerChunk(width), [&](uint32_t begin, uint32_t end) {
    float* y = c_.buffers.projected + begin;
    MatMul(op, x, begin, end, y, width);
    for (uint32_t j = 0; j < op.m; ++j) {
      c_.kernels.add(y + size_t{j} * width, end - begin,
                     c_.buffers.residual + size_t{j} * width + begin);
    }
  });
}

// ---- groups ----

void Executor::Embed(const Op& op) {
  const Weight& w = c_.model.weight(op.weights);
  const uint32_t pairs = c_.model.config().rope.dims / 2;
  worker_.ForChunks(op.m, 1, [&](uint32_t row, uint32_t) {
    const std::span<const std::byte> source(
        w.data + static_cast<size_t>(c_.buffers.tokens[row]) * w.row_bytes(), w.row_bytes());
    DecodeRow(w.type, source, {c_.buffers.residual + size_t{row} * w.k, w.k});
    counted_.weight_bytes += Bytes(source.size());
    FillRotation(c_.angles, c_.buffers.positions[row], {c_.buffers.cos + row * pairs, pairs},
                 {c_.buffers.sin + row * pairs, pairs});
  });
}

void Executor::Qkv(std::span<const Op> ops) {
  const ModelConfig& config = c_.model.config();
  const Op& norm = OpOf(ops, Role::kAttnNorm);
  const ActivationSet x =
      Prepare(ops, norm.m, config.width, [&](uint32_t row, float* buffer) {
        return NormedRow(norm, row, row, buffer);
      });
  worker_.ForChunks(config.heads + 2 * config.kv_heads, 1,
                    [&](uint32_t head, uint32_t) { QkvHead(ops, x, head); });
}

// `head` counts through the heads of Q, then K, then V.
void Executor::QkvHead(std::span<const Op> ops, const ActivationSet& x, uint32_t head) {
  const ModelConfig& config = c_.model.config();
  const StepBuffers& b = c_.buffers;
  const uint32_t dim = config.head_dim;
  const bool is_q = head < config.heads;
  const bool is_k = !is_q && head < config.heads + config.kv_heads;
  const uint32_t h = is_q ? head : is_k ? head - config.heads : head - config.heads - config.kv_heads;
  const Op& product = OpOf(ops, is_q ? Role::kQ : is_k ? Role::kK : Role::kV);
  const size_t stride = product.n;
  float* y = (is_q ? b.query : is_k ? b.key : b.value) + size_t{h} * dim;

  MatMul(product, x, h * dim, (h + 1) * dim, y, stride);

  if (const Op* norm = is_q   ? FindRole(ops, Role::kQNorm)
                       : is_k ? FindRole(ops, Role::kKNorm)
                              : nullptr) {
    const Weight& w = c_.model.weight(norm->weights);
    for (uint32_t j = 0; j < product.m; ++j) {
      c_.kernels.rms_norm(y + j * stride, reinterpret_cast<const float*>(w.data), config.norm_eps,
                          dim, y + j * stride);
    }
    if (h == 0) counted_.weight_bytes += Bytes(w.bytes());
  }
  if (is_q || is_k) {
    const uint32_t pairs = config.rope.dims / 2;
    for (uint32_t j = 0; j < product.m; ++j) {
      c_.kernels.rope(y + j * stride, b.cos + j * pairs, b.sin + j * pairs, config.rope.dims,
                      config.rope.interleaved);
    }
  }
  if (is_q) return;
  const DType type = is_k ? c_.options.k_type : c_.options.v_type;
  for (uint32_t j = 0; j < product.m; ++j) {
    const uint64_t at = is_k ? c_.cache.K(product.layer, b.slots[j], h, b.positions[j])
                             : c_.cache.V(product.layer, b.slots[j], h, b.positions[j]);
    c_.kernels.encode_kv_row(type, y + j * stride, dim, c_.kv + at);
    counted_.kv_write += Bytes(is_k ? c_.cache.k_row() : c_.cache.v_row());
  }
}

void Executor::Out(std::span<const Op> ops) {
  const Op& out = OpOf(ops, Role::kOut);
  const ActivationSet x = Prepare(ops, out.m, out.k, [&](uint32_t row, float*) {
    return c_.buffers.query + size_t{row} * out.k;
  });
  ProjectToResidual(out, x);
}

void Executor::GateUp(std::span<const Op> ops) {
  const Op& norm = OpOf(ops, Role::kFfnNorm);
  const Op& gate = OpOf(ops, Role::kGate);
  const Op& up = OpOf(ops, Role::kUp);
  const ActivationSet x = Prepare(ops, norm.m, norm.k, [&](uint32_t row, float* buffer) {
    return NormedRow(norm, row, row, buffer);
  });
  const uint32_t ffn = gate.n;
  worker_.ForChunks(ffn, RowsPerChunk(ffn), [&](uint32_t begin, uint32_t end) {
    float* g = c_.buffers.gate + begin;
    float* u = c_.buffers.up + begin;
    MatMul(gate, x, begin, end, g, ffn);
    MatMul(up, x, begin, end, u, ffn);
    for (uint32_t j = 0; j < gate.m; ++j) {
      float* row = g + size_t{j} * ffn;
      c_.kernels.swiglu(row, u + size_t{j} * ffn, end - begin, row);
    }
  });
}

void Executor::Down(std::span<const Op> ops) {
  const Op& down = OpOf(ops, Role::kDown);
  const ActivationSet x = Prepare(ops, down.m, down.k, [&](uint32_t row, float*) {
    return c_.buffers.gate + size_t{row} * down.k;
  });
  ProjectToResidual(down, x);
}

void Executor::Head(std::span<const Op> ops) {
  const Op& norm = OpOf(ops, Role::kOutputNorm);
  const Op& head = OpOf(ops, Role::kHead);
  const ActivationSet x = Prepare(ops, norm.m, norm.k, [&](uint32_t row, float* buffer) {
    return NormedRow(norm, row, c_.buffers.logit_row[row], buffer);
  });
  worker_.ForChunks(head.n, RowsPerChunk(head.n), [&](uint32_t begin, uint32_t end) {
    MatMul(head, x, begin, end, c_.buffers.logits + begin, head.n);
  });
}

}  // namespace edgewise
