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

// Pieces of decode are long, because kernels read them as many streams at once, each of which the
// prefetchers of a core must learn: pieces of 64 rows end at 76% of a plain loop's speed, of 256 at 87%, of
// 1024 at 90% (Q4_0 rows of 1152 bytes). At the end of a phase they are short: the others wait at most so
// long as this takes, 4 microseconds (16 KiB: 3% slower). Rounded down to whole units of kStreams rows, but
// never below one.
constexpr size_t kLeastPieceBytes = 64 << 10;
// What is fetched of the beginning of every stream, of the next piece while this one is computed and of the
// first before the phase begins. 2048 bytes are 4% slower.
constexpr size_t kFetchBytes = 512;
// Streams of the widest kernels: fewer rows leave lanes empty.
constexpr uint32_t kStreams = 16;
// Pieces of prefill are what a core that a neighbour takes may hold up, a millisecond or so: with 64 rows
// Q4_0 and Q8_0 are 7 and 12% slower, with 32 rows 20%.
constexpr uint32_t kPrefillRows = 128;

void FetchAhead(std::span<const std::byte> weights, size_t row_bytes) {
  const size_t rows = weights.size() / row_bytes;
  const size_t step = kernels::RowsOfLane(static_cast<uint32_t>(rows), kStreams, row_bytes);
  for (size_t row = 0; row < rows; row += step) {
    const std::byte* at = weights.data() + row * row_bytes;
    for (size_t i = 0; i < std::min(kFetchBytes, row_bytes); i += 64) {
      __builtin_prefetch(at + i, 0, 2);
    }
  }
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

template <typename Source, typename Ahead, typename Outputs>
void Executor::Products(std::span<const Op> ops, uint32_t m, uint32_t k, uint32_t total,
                        uint32_t rows, Source&& source, Ahead&& ahead, Outputs&& outputs) {
  std::array<bool, kActivationFormats> needed{};
  size_t row_bytes = 0;
  for (const Op& op : ops) {
    if (op.kind != OpKind::kMatMul) continue;
    needed[static_cast<size_t>(FormatFor(c_.options, op.weight, op.k))] = true;
    row_bytes = std::max(row_bytes, c_.model.weight(op.weights).row_bytes());
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
  const bool decode = m <= kernels::kFewColumns;
  const bool whole = decode || c_.options.backend != nullptr;  // whose lone worker gets all outputs at once
  const uint32_t unit = std::max((decode ? kStreams : kPrefillRows) / rows, 1u);
  const auto least = static_cast<uint32_t>(kLeastPieceBytes / (unit * rows * row_bytes));
  worker_.ForShares(
      total, whole ? Shares{unit, std::max(least, 1u) * unit, total} : Shares{unit, unit, unit},
      [&](uint32_t begin, uint32_t end) {
        if (decode) ahead(begin, end);
      },
      [&] {
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

void Executor::MatMul(const Op& op, const ActivationSet& x, uint32_t begin, uint32_t end, float* y,
                      size_t y_stride) {
  const Weight& w = c_.model.weight(op.weights);
  const ActivationRows& rows = x[static_cast<size_t>(FormatFor(c_.options, op.weight, op.k))];
  const kernels::MatMulArgs args = {.w = w.data + begin * w.row_bytes(),
                                    .w_stride = w.row_bytes(),
                                    .x = rows.data,
                                    .x_stride = rows.stride,
                                    .y = y,
                                    .y_stride = y_stride,
                                    .rows = end - begin,
                                    .k = w.k,
                                    .m = op.m,
                                    .prefetch_bytes = c_.options.prefetch_bytes};
  Timed(op.role, [&] {
    if (c_.options.backend != nullptr) {
      EDGEWISE_CHECK(begin == 0 && end == op.n);
      c_.options.backend->MatMul(op, op.m, reinterpret_cast<const float*>(rows.data),
                                 rows.stride / sizeof(float), y, y_stride);
    } else {
      kernels::MatMul(c_.kernels, w.type, args);
    }
    if (op.bias == TensorId::kNone) return;
    const float* bias = reinterpret_cast<const float*>(c_.model.weight(op.bias).data) + begin;
    for (uint32_t j = 0; j < op.m; ++j) c_.kernels.add(bias, args.rows, y + j * y_stride);
    Count(op.role).weight_bytes += Bytes(args.rows * sizeof(float));
  });
  Count(op.role).weight_bytes += Bytes(args.rows * args.w_stride);
  Count(op.role).flops += Flops(uint64_t{2} * args.rows * args.k * args.m);
}

std::span<const std::byte> Executor::Rows(const Op& op, uint32_t begin, uint32_t end) const {
  const Weight& w = c_.model.weight(op.weights);
  return {w.data + begin * w.row_bytes(), (end - begin) * w.row_bytes()};
}

void Executor::Fetch(const Op& op, uint32_t begin, uint32_t end) {
  Timed(op.role, [&] { FetchAhead(Rows(op, begin, end), c_.model.weight(op.weights).row_bytes()); });
}

void Executor::ProjectToResidual(std::span<const Op> ops, const float* source) {
  const Op& op = ops.front();
  const uint32_t width = op.n;
  Products(
      ops, op.m, op.k, width, 1,
      [&](uint32_t row, float*) { return source + size_t{row} * op.k; },
      [&](uint32_t begin, uint32_t end) { Fetch(op, begin, end); },
      [&](uint32_t begin, uint32_t end, const ActivationSet& x) {
        float* y = c_.buffers.projected + begin;
        MatMul(op, x, begin, end, y, width);
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
  // Pieces count through the heads of Q, then K, then V; f gets the part that each of them has.
  const auto for_parts = [&](uint32_t begin, uint32_t end, auto&& f) {
    uint32_t base = 0;
    for (const Role role : {Role::kQ, Role::kK, Role::kV}) {
      const uint32_t heads = role == Role::kQ ? config.heads : config.kv_heads;
      const uint32_t from = std::max(begin, base), to = std::min(end, base + heads);
      if (from < to) f(OpOf(ops, role), from - base, to - base);
      base += heads;
    }
  };
  Products(
      ops, norm.m, config.width, config.heads + 2 * config.kv_heads, config.head_dim,
      [&](uint32_t row, float* buffer) { return NormedRow(norm, row, row, buffer); },
      [&](uint32_t begin, uint32_t end) {
        for_parts(begin, end, [&](const Op& product, uint32_t from, uint32_t to) {
          Fetch(product, from * config.head_dim, to * config.head_dim);
        });
      },
      [&](uint32_t begin, uint32_t end, const ActivationSet& x) {
        if (begin == 0) CountSingleNorm(norm);
        for_parts(begin, end, [&](const Op& product, uint32_t from, uint32_t to) {
          QkvHeads(ops, product, x, from, to);
        });
      });
}

// Heads [begin, end) of one product: normed, rotated, stored.
void Executor::QkvHeads(std::span<const Op> ops, const Op& product, const ActivationSet& x,
                        uint32_t begin, uint32_t end) {
  const ModelConfig& config = c_.model.config();
  const StepBuffers& b = c_.buffers;
  const uint32_t dim = config.head_dim;
  const bool is_q = product.role == Role::kQ, is_k = product.role == Role::kK;
  const size_t stride = product.n;
  float* y = is_q ? b.query : is_k ? b.key : b.value;

  MatMul(product, x, begin * dim, end * dim, y + size_t{begin} * dim, stride);

  const auto for_each_head = [&](auto&& f) {
    for (uint32_t j = 0; j < product.m; ++j) {
      for (uint32_t h = begin; h < end; ++h) f(y + j * stride + size_t{h} * dim, j, h);
    }
  };
  if (const Op* norm = is_q   ? FindRole(ops, Role::kQNorm)
                       : is_k ? FindRole(ops, Role::kKNorm)
                              : nullptr) {
    Timed(norm->role, [&] {
      const Weight& w = c_.model.weight(norm->weights);
      for_each_head([&](float* head, uint32_t, uint32_t) {
        c_.kernels.rms_norm(head, reinterpret_cast<const float*>(w.data), config.norm_eps, dim,
                            head);
      });
      if (begin == 0) Count(norm->role).weight_bytes += Bytes(w.bytes());
    });
  }
  if (is_q || is_k) {
    Timed(is_q ? Role::kQRope : Role::kKRope, [&] {
      const uint32_t pairs = config.rope.dims / 2;
      for_each_head([&](float* head, uint32_t j, uint32_t) {
        c_.kernels.rope(head, b.cos + j * pairs, b.sin + j * pairs, config.rope.dims,
                        config.rope.interleaved);
      });
    });
  }
  if (is_q) return;
  const Role role = is_k ? Role::kKStore : Role::kVStore;
  const DType type = is_k ? c_.options.k_type : c_.options.v_type;
  Timed(role, [&] {
    for_each_head([&](const float* head, uint32_t j, uint32_t h) {
      const uint64_t at = is_k ? c_.cache.K(product.layer, b.slots[j], h, b.positions[j])
                               : c_.cache.V(product.layer, b.slots[j], h, b.positions[j]);
      c_.kernels.encode_kv_row(type, head, dim, c_.kv + at);
      Count(role).kv_write += Bytes(is_k ? c_.cache.k_row() : c_.cache.v_row());
    });
  });
}

void Executor::Out(std::span<const Op> ops) { ProjectToResidual(ops, c_.buffers.query); }

void Executor::GateUp(std::span<const Op> ops) {
  const Op& norm = OpOf(ops, Role::kFfnNorm);
  const Op& gate = OpOf(ops, Role::kGate);
  const Op& up = OpOf(ops, Role::kUp);
  const uint32_t ffn = gate.n;
  Products(
      ops, norm.m, norm.k, ffn, 1,
      [&](uint32_t row, float* buffer) { return NormedRow(norm, row, row, buffer); },
      [&](uint32_t begin, uint32_t end) { Fetch(gate, begin, end); },
      [&](uint32_t begin, uint32_t end, const ActivationSet& x) {
        if (begin == 0) CountSingleNorm(norm);
        float* g = c_.buffers.gate + begin;
        float* u = c_.buffers.up + begin;
        if (gate.m <= kernels::kFewColumns) Fetch(up, begin, end);
        MatMul(gate, x, begin, end, g, ffn);
        MatMul(up, x, begin, end, u, ffn);
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
      ops, norm.m, norm.k, head.n, 1,
      [&](uint32_t row, float* buffer) {
        return NormedRow(norm, row, c_.buffers.logit_row[row], buffer);
      },
      [&](uint32_t begin, uint32_t end) { Fetch(head, begin, end); },
      [&](uint32_t begin, uint32_t end, const ActivationSet& x) {
        if (begin == 0) CountSingleNorm(norm);
        MatMul(head, x, begin, end, c_.buffers.logits + begin, head.n);
      });
}

}  // namespace edgewise
