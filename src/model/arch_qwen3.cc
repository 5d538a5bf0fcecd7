// Qwen3 (dense): no biases, RMSNorm over each head of Q and K, head size independent of the width.
#include "model/architecture.h"

namespace edgewise {

const Architecture kQwen3 = {
    .name = "qwen3",
    .interleaved_rope = false,
    .qkv_bias = Presence::kAbsent,
    .other_bias = Presence::kAbsent,
    .qk_norm = true,
    .read = nullptr,
};

}  // namespace edgewise
