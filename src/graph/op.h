// One step of a model as a flat list of operators. engine/ executes it, chip/ simulates it, predict/
// prices it: so no pointer, duration or result lives here.
//
// A step brings some rows (tokens) of one or several sequences through all layers: chunks of prefill
// and single decoded tokens together. The list is canonical and unfused; `groups` partitions it into
// runs that an executor may fuse.
#pragma once

#include <cstdint>
#include <vector>

#include "model/model.h"
#include "quant/dtype.h"

namespace edgewise {

enum class OpKind : uint8_t {
  kEmbed,      // rows of the embedding matrix
  kRmsNorm,    // x / rms(x) * weight, over `k` values; per head when role is kQNorm or kKNorm
  kMatMul,     // result[m, n] = in[m, k] * weights[n, k]^T (+ bias)
  kRope,       // rotates the heads of Q or K by position
  kStoreKv,    // rounds K or V to the KV type and appends it to the cache
  kAttention,  // softmax(Q K^T / sqrt(head_dim)) V over the cache
  kSwiGlu,     // silu(gate) * up
  kAdd,        // residual += in
};

enum class Role : uint8_t {
  kEmbedding, kAttnNorm, kQ, kK, kV, kQNorm, kKNorm, kQRope, kKRope, kKStore, kVStore, kAttention,
  kOut, kOutAdd, kFfnNorm, kGate, kUp, kGated, kDown, kDownAdd, kOutputNorm, kHead,
};
inline constexpr size_t kRoles = static_cast<size_t>(Role::kHead) + 1;

// Activations of a step; each is one buffer that all layers reuse.
enum class Value : uint8_t {
  kNone,
  kTokens,    // ids of the step's rows
  kResidual,  // [m, width]
  kNormed,    // [m, width]
  kQuery,     // [m, heads * head_dim]
  kKey,       // [m, kv_heads * head_dim]
  kVal,       // [m, kv_heads * head_dim]
  kCache,     // KV of this layer
  kAttended,  // [m, heads * head_dim]
  kProjected, // [m, width]
  kGate,      // [m, ffn]
  kUp,        // [m, ffn]
  kGated,     // [m, ffn]
  kLogits,    // [rows that want logits, vocab]
};

struct AttentionShape {
  uint32_t heads = 0, kv_heads = 0, head_dim = 0;
  uint32_t window = 0;  // 0: all positions
  DType k_type = DType::kF16, v_type = DType::kF16;
};

struct Op {
  OpKind kind;
  Role role;
  uint16_t layer = 0;                // 0 for operators outside the layers
  uint32_t m = 0, n = 0, k = 0;      // rows of this step, outputs, inputs
  DType weight = DType::kF32;        // of `weights`; activations are F32
  TensorId weights = TensorId::kNone, bias = TensorId::kNone;
  Value in[3] = {Value::kNone, Value::kNone, Value::kNone};
  Value result = Value::kNone;
  AttentionShape attention = {};     // kRope, kStoreKv, kAttention
};

// The rows that a sequence brings to a step.
struct Sequence {
  uint32_t slot = 0;       // of the KV cache
  uint32_t first_row = 0;  // of the step
  uint32_t rows = 0;
  uint32_t kv_len = 0;     // positions in the cache before this step; row r has position kv_len + r
  uint32_t logit_rows = 0; // the last so many rows want logits
};

// A run of operators that is executed together.
enum class GroupKind : uint8_t { kEmbed, kQkv, kAttention, kOut, kGateUp, kDown, kHead };

struct Group {
  GroupKind kind;
  uint16_t layer = 0;
  uint32_t first = 0, count = 0;  // operators
};

struct Step {
  std::vector<Op> ops;
  std::vector<Sequence> sequences;
  std::vector<Group> groups;
  uint32_t rows = 0, logit_rows = 0;
};

// Fills `step` with the list for these sequences (first_row is filled in). Reuses its capacity: a
// second step of the same model allocates nothing. Requires at least one row.
void BuildStep(const Model& model, DType k_type, DType v_type, std::span<const Sequence> sequences,
               Step& step);

const char* NameOf(OpKind kind);
const char* NameOf(Role role);

}  // namespace edgewise
