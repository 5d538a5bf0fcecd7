#include "graph/cost.h"

#include "quant/kv_type.h"

namespace edgewise {
namespace {

constexpr uint64_t kFloat = sizeof(float);

}  // namespace

OpCost AttentionCost(const Op& op, const Sequence& s) {
  const AttentionShape& a = op.attention;
  const uint64_t position_bytes =
      a.kv_heads * (KvRowBytes(a.k_type, a.head_dim) + KvRowBytes(a.v_type, a.head_dim));
  uint64_t pairs = 0, positions_read = 0;
  for (uint32_t r = 0; r < s.rows; ++r) {
    const uint32_t position = s.kv_len + r;
    pairs += position + 1 - FirstVisible(position, a.window);
  }
  for (uint32_t first = 0; first < s.rows; first += kQueryBlock) {
    const uint32_t last = std::min(first + kQueryBlock, s.rows) - 1;
    positions_read += s.kv_len + last + 1 - FirstVisible(s.kv_len + first, a.window);
  }
  OpCost cost;
  cost.flops = Flops(4 * pairs * a.heads * a.head_dim);
  cost.kv_read = Bytes(positions_read * position_bytes);
  cost.activation_bytes = Bytes(2 * kFloat * s.rows * op.n);
  return cost;
}

OpCost CostOf(const Model& model, const Op& op, const Step& step) {
  OpCost cost;
  const uint64_t m = op.m, n = op.n, k = op.k;
  switch (op.kind) {
    case OpKind::kEmbed:
      cost.weight_bytes = Bytes(m * model.weight(op.weights).row_bytes());
      cost.activation_bytes = Bytes(kFloat * m * n);
      break;
    case OpKind::kRmsNorm:
      cost.weight_bytes = Bytes(model.weight(op.weights).bytes());
      cost.activation_bytes = Bytes(2 * kFloat * m * n);
      break;
    case OpKind::kMatMul:
      cost.flops = Flops(2 * m * n * k);
      cost.weight_bytes = Bytes(model.weight(op.weights).bytes());
      if (op.bias != TensorId::kNone) cost.weight_bytes += Bytes(model.weight(op.bias).bytes());
      cost.activation_bytes = Bytes(kFloat * m * (n + k));
      break;
    case OpKind::kRope:
      cost.activation_bytes = Bytes(2 * kFloat * m * n);
      break;
    case OpKind::kStoreKv: {
      const AttentionShape& a = op.attention;
      const DType type = op.role == Role::kKStore ? a.k_type : a.v_type;
      cost.kv_write = Bytes(m * a.kv_heads * KvRowBytes(type, a.head_dim));
      cost.activation_bytes = Bytes(kFloat * m * n);
      break;
    }
    case OpKind::kAttention:
      for (const Sequence& s : step.sequences) cost += AttentionCost(op, s);
      break;
    case OpKind::kSwiGlu:
    case OpKind::kAdd:
      cost.activation_bytes = Bytes(3 * kFloat * m * n);
      break;
  }
  return cost;
}

OpCost CostOf(const Model& model, const Step& step) {
  OpCost sum;
  for (const Op& op : step.ops) sum += CostOf(model, op, step);
  return sum;
}

}  // namespace edgewise
