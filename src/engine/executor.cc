#include "engine/executor.h"

#include <algorithm>
#include <cstring>

#include "base/clock.h"
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

// Rows in the smallest piece of work: two groups of the kernels for one column.
constexpr uint32_t kPieceRows = 16;
// Rows that are left when a worker looks for what it will read next: about a microsecond of reading.
constexpr uint32_t kLastRows = 16;
// What is fetched of a piece's weights while its input is normed and rounded, about 2 microseconds.
constexpr size_t kFetchBytes = 8192;

void FetchAhead(std::span<const std::byte> bytes) {
  const size_t end = std::min(bytes.size(), kFetchBytes);
  for (size_t at = 0; at < end; at += 64) __builtin_prefetch(bytes.data() + at, 0, 2);
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

template <typename F>
void Executor::Timed(Role role, F&& f) {
  if (!c_.options.profile) return f();
  const Seconds start = Now();
  f();
  counted_[static_cast<size_t>(role)].busy += Now() - start;
}

// ---- phase 1 ----

template <typename Source, typename First, typename Outputs>
void Executor::Products(std::span<const Op> ops, uint32_t m, uint32_t k, uint32_t total,
                        uint32_t grain, Source&& source, First&& first, Outputs&& outputs) {
  std::array<bool, kActivationFormats> needed{};
  for (const Op& op : ops) {
    if (op.kind != OpKind::kMatMul) continue;
    needed[static_cast<size_t>(kernels::ActivationFormatFor(op.weight, op.k))] = true;
  }
  // The first operator: a norm, or the product whose input is only rounded.
  const Role role = ops.front().role;
  const ActivationSet& set = m == 1 ? own_.single : c_.buffers.activations;
  const auto prepare = [&](uint32_t row) {
    const float* x = source(row, own_.row);
    for (size_t f = 0; f < kActivationFormats; ++f) {
      if (!needed[f]) continue;
      c_.kernels.quantize(static_cast<kernels::ActivationFormat>(f), x, k,
                          set[f].data + row * set[f].stride);
    }
  };
  if (m > 1) {
    worker_.ForChunks(m, 4, [&](uint32_t begin, uint32_t end) {
      Timed(role, [&] {
        for (uint32_t row = begin; row < end; ++row) prepare(row);
      });
    });
  }
  worker_.ForShares(
      total, grain, MostPerPiece(m, total),
      [&](uint32_t begin, uint32_t) {
        if (m <= kernels::kFewColumns) first(begin);
        if (m == 1) Timed(role, [&] { prepare(0); });
      },
      [&](uint32_t begin, uint32_t end) { outputs(begin, end, set); });
}

const float* Executor::NormedRow(const Op& norm, uint32_t index, uint32_t residual_row,
                                 float* buffer) {
  const Weight& w = c_.model.weight(norm.weights);
  c_.kernels.rms_norm(c_.buffers.residual + size_t{residual_row} * w.k,
                      reinterpret_cast<const float*>(w.data), c_.model.config().norm_eps, w.k,
                      buffer);
  // Counted once for all rows, which share these weights.
  if (index == 0 && norm.m > 1) Count(norm.role).weight_bytes += Bytes(w.bytes());
  return buffer;
}

// A single row is normed by every worker for itself: counted by whoever computes the first outputs.
void Executor::CountSingleNorm(const Op& norm) {
  if (norm.m == 1) Count(norm.role).weight_bytes += Bytes(c_.model.weight(norm.weights).bytes());
}

// ---- products ----

template <typename Next>
void Executor::MatMul(const Op& op, const ActivationSet& x, uint32_t begin, uint32_t end, float* y,
                      size_t y_stride, Next&& next) {
  const Weight& w = c_.model.weight(op.weights);
  const ActivationRows& rows = x[static_cast<size_t>(kernels::ActivationFormatFor(op.weight, op.k))];
  const auto run = [&](uint32_t from, uint32_t to, std::span<const std::byte> following) {
    const kernels::MatMulArgs args = {.w = w.data + from * w.row_bytes(),
                                      .w_stride = w.row_bytes(),
                                      .x = rows.data,
                                      .x_stride = rows.stride,
                                      .y = y + (from - begin),
                                      .y_stride = y_stride,
                                      .rows = to - from,
                                      .k = w.k,
                                      .m = op.m,
                                      .next = following.data(),
                                      .next_bytes = following.size()};
    kernels::MatMul(c_.kernels, w.type, args);
    Count(op.role).weight_bytes += Bytes(args.rows * args.w_stride);
    Count(op.role).flops += Flops(uint64_t{2} * args.rows * args.k * args.m);
  };
  Timed(op.role, [&] {
    if (op.m > kernels::kFewColumns) {
      run(begin, end, {});
    } else {
      // What comes next is known well only when the end is near.
      const uint32_t split = end - begin > kLastRows ? end - kLastRows : begin;
      if (split > begin) run(begin, split, RowsFrom(op, split));
      run(split, end, next());
    }
    if (op.bias == TensorId::kNone) return;
    const float* bias = reinterpret_cast<const float*>(c_.model.weight(op.bias).data) + begin;
    for (uint32_t j = 0; j < op.m; ++j) c_.kernels.add(bias, end - begin, y + j * y_stride);
    Count(op.role).weight_bytes += Bytes((end - begin) * sizeof(float));
  });
}

std::span<const std::byte> Executor::RowsFrom(const Op& op, uint32_t begin) const {
  const Weight& w = c_.model.weight(op.weights);
  if (begin >= op.n) return {};
  return {w.data + begin * w.row_bytes(), (op.n - begin) * w.row_bytes()};
}

// Decoding reads each weight once, so a piece is as large as an even share allows. In prefill 128 rows
// keep a piece's weights in L2 while all rows of the step pass over them, and a core that a neighbour
// takes holds the others up for a millisecond or so.
uint32_t Executor::MostPerPiece(uint32_t m, uint32_t total) const {
  return m <= kernels::kFewColumns ? total : 128;
}

void Executor::ProjectToResidual(std::span<const Op> ops, const float* source) {
  const Op& op = ops.front();
  const uint32_t width = op.n;
  Products(
      ops, op.m, op.k, width, kPieceRows,
      [&](uint32_t row, float*) { return source + size_t{row} * op.k; },
      [&](uint32_t begin) { FetchAhead(RowsFrom(op, begin)); },
      [&](uint32_t begin, uint32_t end, const ActivationSet& x) {
        float* y = c_.buffers.projected + begin;
        MatMul(op, x, begin, end, y, width, [&] { return RowsFrom(op, worker_.Upcoming()); });
        Timed(ops[1].role, [&] {
          for (uint32_t j = 0; j < op.m; ++j) {
            c_.kernels.add(y + size_t{j} * width, end - begin,
                           c_.buffers.residual + size_t{j} * width + begin);
          }
        });
      });
}

// ---- groups ----

void Executor::Embed(const Op& op) {
  const Weight& w = c_.model.weight(op.weights);
  const uint32_t pairs = c_.model.config().rope.dims / 2;
  worker_.ForChunks(op.m, 1, [&](uint32_t row, uint32_t) {
    Timed(op.role, [&] {
      const std::span<const std::byte> source(
          w.data + static_cast<size_t>(c_.buffers.tokens[row]) * w.row_bytes(), w.row_bytes());
      DecodeRow(w.type, source, {c_.buffers.residual + size_t{row} * w.k, w.k});
      Count(op.role).weight_bytes += Bytes(source.size());
      FillRotation(c_.angles, c_.buffers.positions[row], {c_.buffers.cos + row * pairs, pairs},
                   {c_.buffers.sin + row * pairs, pairs});
    });
  });
}

void Executor::Qkv(std::span<const Op> ops) {
  const ModelConfig& config = c_.model.config();
  const Op& norm = OpOf(ops, Role::kAttnNorm);
  Products(
      ops, norm.m, config.width, config.heads + 2 * config.kv_heads, 1,
      [&](uint32_t row, float* buffer) { return NormedRow(norm, row, row, buffer); },
      [&](uint32_t head) {
        const HeadOf h = FindHead(ops, head);
        FetchAhead(RowsFrom(h.product, h.head * config.head_dim));
      },
      [&](uint32_t begin, uint32_t end, const ActivationSet& x) {
        if (begin == 0) CountSingleNorm(norm);
        for (uint32_t head = begin; head < end; ++head) QkvHead(ops, x, head, head + 1 == end);
      });
}

Executor::HeadOf Executor::FindHead(std::span<const Op> ops, uint32_t head) const {
  const ModelConfig& config = c_.model.config();
  if (head < config.heads) return {OpOf(ops, Role::kQ), head, true, false};
  head -= config.heads;
  if (head < config.kv_heads) return {OpOf(ops, Role::kK), head, false, true};
  return {OpOf(ops, Role::kV), head - config.kv_heads, false, false};
}

// last: of a piece.
void Executor::QkvHead(std::span<const Op> ops, const ActivationSet& x, uint32_t head, bool last) {
  const ModelConfig& config = c_.model.config();
  const StepBuffers& b = c_.buffers;
  const uint32_t dim = config.head_dim;
  const auto [product, h, is_q, is_k] = FindHead(ops, head);
  const size_t stride = product.n;
  float* y = (is_q ? b.query : is_k ? b.key : b.value) + size_t{h} * dim;

  MatMul(product, x, h * dim, (h + 1) * dim, y, stride, [&]() -> std::span<const std::byte> {
    const uint32_t next = last ? worker_.Upcoming() : head + 1;
    if (next >= config.heads + 2 * config.kv_heads) return {};
    const HeadOf following = FindHead(ops, next);
    return RowsFrom(following.product, following.head * dim);
  });

  if (const Op* norm = is_q   ? FindRole(ops, Role::kQNorm)
                       : is_k ? FindRole(ops, Role::kKNorm)
                              : nullptr) {
    Timed(norm->role, [&] {
      const Weight& w = c_.model.weight(norm->weights);
      for (uint32_t j = 0; j < product.m; ++j) {
        c_.kernels.rms_norm(y + j * stride, reinterpret_cast<const float*>(w.data),
                            config.norm_eps, dim, y + j * stride);
      }
      if (h == 0) Count(norm->role).weight_bytes += Bytes(w.bytes());
    });
  }
  if (is_q || is_k) {
    Timed(is_q ? Role::kQRope : Role::kKRope, [&] {
      const uint32_t pairs = config.rope.dims / 2;
      for (uint32_t j = 0; j < product.m; ++j) {
        c_.kernels.rope(y + j * stride, b.cos + j * pairs, b.sin + j * pairs, config.rope.dims,
                        config.rope.interleaved);
      }
    });
  }
  if (is_q) return;
  const Role role = is_k ? Role::kKStore : Role::kVStore;
  const DType type = is_k ? c_.options.k_type : c_.options.v_type;
  Timed(role, [&] {
    for (uint32_t j = 0; j < product.m; ++j) {
      const uint64_t at = is_k ? c_.cache.K(product.layer, b.slots[j], h, b.positions[j])
                               : c_.cache.V(product.layer, b.slots[j], h, b.positions[j]);
      c_.kernels.encode_kv_row(type, y + j * stride, dim, c_.kv + at);
      Count(role).kv_write += Bytes(is_k ? c_.cache.k_row() : c_.cache.v_row());
    }
  });
}

void Executor::Out(std::span<const Op> ops) { ProjectToResidual(ops, c_.buffers.query); }

void Executor::GateUp(std::span<const Op> ops) {
  const Op& norm = OpOf(ops, Role::kFfnNorm);
  const Op& gate = OpOf(ops, Role::kGate);
  const Op& up = OpOf(ops, Role::kUp);
  const uint32_t ffn = gate.n;
  Products(
      ops, norm.m, norm.k, ffn, kPieceRows,
      [&](uint32_t row, float* buffer) { return NormedRow(norm, row, row, buffer); },
      [&](uint32_t begin) { FetchAhead(RowsFrom(gate, begin)); },
      [&](uint32_t begin, uint32_t end, const ActivationSet& x) {
        if (begin == 0) CountSingleNorm(norm);
        float* g = c_.buffers.gate + begin;
        float* u = c_.buffers.up + begin;
        MatMul(gate, x, begin, end, g, ffn, [&] { return RowsFrom(up, begin); });
        MatMul(up, x, begin, end, u, ffn, [&] { return RowsFrom(gate, worker_.Upcoming()); });
        Timed(Role::kGated, [&] {
          for (uint32_t j = 0; j < gate.m; ++j) {
            float* row = g + size_t{j} * ffn;
            c_.kernels.swiglu(row, u + size_t{j} * ffn, end - begin, row);
          }
        });
      });
}

void Executor::Down(std::span<const Op> ops) { ProjectToResidual(ops, c_.buffers.gate); }

void Executor::Head(std::span<const Op> ops) {
  const Op& norm = OpOf(ops, Role::kOutputNorm);
  const Op& head = OpOf(ops, Role::kHead);
  Products(
      ops, norm.m, norm.k, head.n, kPieceRows,
      [&](uint32_t row, float* buffer) {
        return NormedRow(norm, row, c_.buffers.logit_row[row], buffer);
      },
      [&](uint32_t begin) { FetchAhead(RowsFrom(head, begin)); },
      [&](uint32_t begin, uint32_t end, const ActivationSet& x) {
        if (begin == 0) CountSingleNorm(norm);
        MatMul(head, x, begin, end, c_.buffers.logits + begin, head.n,
               [&] { return RowsFrom(head, worker_.Upcoming()); });
      });
}

}  // namespace edgewise
