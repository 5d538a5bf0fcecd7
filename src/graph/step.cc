#include <array>

#include "base/error.h"
#include "graph/op.h"

namespace edgewise {
namespace {

// Appends operators and closes groups, so that BuildStep reads as the model does.
class Builder {
 public:
  Builder(const Model& model, DType k_type, DType v_type, Step& step)
      : model_(model), c_(model.config()), step_(step) {
    attention_ = {c_.heads, c_.kv_heads, c_.head_dim, c_.window, k_type, v_type};
  }

  void Embed() {
    Add({.kind = OpKind::kEmbed,
         .role = Role::kEmbedding,
         .m = step_.rows,
         .n = c_.width,
         .k = 1,
         .weight = model_.weight(model_.embedding()).type,
         .weights = model_.embedding(),
         .in = {Value::kTokens},
         .result = Value::kResidual});
  }
  void Norm(Role role, TensorId weights, uint32_t m, uint32_t heads, Value in, Value result) {
    const uint32_t k = model_.weight(weights).k;
    Add({.kind = OpKind::kRmsNorm,
         .role = role,
         .m = m,
         .n = heads * k,
         .k = k,
         .weights = weights,
         .in = {in},
         .result = result});
  }
  void MatMul(Role role, const Linear& linear, uint32_t m, Value in, Value result) {
    const Weight& w = model_.weight(linear.weight);
    Add({.kind = OpKind::kMatMul,
         .role = role,
         .m = m,
         .n = w.rows,
         .k = w.k,
         .weight = w.type,
         .weights = linear.weight,
         .bias = linear.bias,
         .in = {in},
         .result = result});
  }
  void Rope(Role role, uint32_t heads, Value value) {
    Add({.kind = OpKind::kRope,
         .role = role,
         .m = step_.rows,
         .n = heads * c_.head_dim,
         .k = c_.rope.dims,
         .in = {value},
         .result = value,
         .attention = attention_});
  }
  void StoreKv(Role role, Value value) {
    Add({.kind = OpKind::kStoreKv,
         .role = role,
         .m = step_.rows,
         .n = c_.kv_width(),
         .k = 1,
         .in = {value},
         .result = Value::kCache,
         .attention = attention_});
  }
  void Attention() {
    Add({.kind = OpKind::kAttention,
         .role = Role::kAttention,
         .m = step_.rows,
         .n = c_.q_width(),
         .k = c_.head_dim,
         .in = {Value::kQuery, Value::kCache},
         .result = Value::kAttended,
         .attention = attention_});
  }
  void Elementwise(OpKind kind, Role role, uint32_t width, Value a, Value b, Value result) {
    Add({.kind = kind,
         .role = role,
         .m = step_.rows,
         .n = width,
         .k = 1,
         .in = {a, b},
         .result = result});
  }
  void EndGroup(GroupKind kind) {
    const auto end = static_cast<uint32_t>(step_.ops.size());
    step_.groups.push_back({kind, layer_, group_start_, end - group_start_});
    group_start_ = end;
  }
  void BeginLayer(uint32_t layer) { layer_ = static_cast<uint16_t>(layer); }

 private:
  void Add(Op op) {
    op.layer = layer_;
    step_.ops.push_back(op);
  }

  const Model& model_;
  const ModelConfig& c_;
  Step& step_;
  AttentionShape attention_;
  uint16_t layer_ = 0;
  uint32_t group_start_ = 0;
};

}  // namespace

void BuildStep(const Model& model, DType k_type, DType v_type, std::span<const Sequence> sequences,
               Step& step) {
  const ModelConfig& c = model.config();
  step.ops.clear();
  step.groups.clear();
  step.sequences.assign(sequences.begin(), sequences.end());
  step.rows = step.logit_rows = 0;
  for (Sequence& s : step.sequences) {
    EDGEWISE_CHECK(s.rows > 0 && s.logit_rows <= s.rows);
    s.first_row = step.rows;
    step.rows += s.rows;
    step.logit_rows += s.logit_rows;
  }
  EDGEWISE_CHECK(step.rows > 0);
  const uint32_t m = step.rows;

  Builder b(model, k_type, v_type, step);
  b.Embed();
  b.EndGroup(GroupKind::kEmbed);
  for (uint32_t i = 0; i < c.layers; ++i) {
    const LayerWeights& layer = model.layers()[i];
    b.BeginLayer(i);
    b.Norm(Role::kAttnNorm, layer.attn_norm, m, 1, Value::kResidual, Value::kNormed);
    b.MatMul(Role::kQ, layer.q, m, Value::kNormed, Value::kQuery);
    b.MatMul(Role::kK, layer.k, m, Value::kNormed, Value::kKey);
    b.MatMul(Role::kV, layer.v, m, Value::kNormed, Value::kVal);
    if (layer.q_norm != TensorId::kNone) {
      b.Norm(Role::kQNorm, layer.q_norm, m, c.heads, Value::kQuery, Value::kQuery);
      b.Norm(Role::kKNorm, layer.k_norm, m, c.kv_heads, Value::kKey, Value::kKey);
    }
    b.Rope(Role::kQRope, c.heads, Value::kQuery);
    b.Rope(Role::kKRope, c.kv_heads, Value::kKey);
    b.StoreKv(Role::kKStore, Value::kKey);
    b.StoreKv(Role::kVStore, Value::kVal);
    b.EndGroup(GroupKind::kQkv);
    b.Attention();
    b.EndGroup(GroupKind::kAttention);
    b.MatMul(Role::kOut, layer.out, m, Value::kAttended, Value::kProjected);
    b.Elementwise(OpKind::kAdd, Role::kOutAdd, c.width, Value::kProjected, Value::kResidual,
                  Value::kResidual);
    b.EndGroup(GroupKind::kOut);
    b.Norm(Role::kFfnNorm, layer.ffn_norm, m, 1, Value::kResidual, Value::kNormed);
    b.MatMul(Role::kGate, layer.gate, m, Value::kNormed, Value::kGate);
    b.MatMul(Role::kUp, layer.up, m, Value::kNormed, Value::kUp);
    b.Elementwise(OpKind::kSwiGlu, Role::kGated, c.ffn, Value::kGate, Value::kUp, Value::kGated);
    b.EndGroup(GroupKind::kGateUp);
    b.MatMul(Role::kDown, layer.down, m, Value::kGated, Value::kProjected);
    b.Elementwise(OpKind::kAdd, Role::kDownAdd, c.width, Value::kProjected, Value::kResidual,
                  Value::kResidual);
    b.EndGroup(GroupKind::kDown);
  }
  if (step.logit_rows == 0) return;  // a prefill chunk that is not the last needs no head
  b.BeginLayer(0);
  b.Norm(Role::kOutputNorm, model.output_norm(), step.logit_rows, 1, Value::kResidual,
         Value::kNormed);
  b.MatMul(Role::kHead, model.head(), step.logit_rows, Value::kNormed, Value::kLogits);
  b.EndGroup(GroupKind::kHead);
}

const char* NameOf(OpKind kind) {
  static constexpr std::array<const char*, 8> kNames = {
      "embed", "rms_norm", "matmul", "rope", "store_kv", "attention", "swiglu", "add"};
  return kNames[static_cast<size_t>(kind)];
}

const char* NameOf(Role role) {
  static constexpr std::array<const char*, 22> kNames = {
      "embedding", "attn_norm", "q",       "k",       "v",         "q_norm",  "k_norm",  "q_rope",
      "k_rope",    "k_store",   "v_store", "attention", "out",     "out_add", "ffn_norm", "gate",
      "up",        "gated",     "down",    "down_add", "output_norm", "head"};
  return kNames[static_cast<size_t>(role)];
}

}  // namespace edgewise
