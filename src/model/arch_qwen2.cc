// Qwen2 and Qwen2.5: biases on Q, K and V; small ones tie the output matrix to the embedding.
#include "model/architecture.h"

namespace edgewise {

const Architecture kQwen2 = {
    .name = "qwen2",
    .interleaved_rope = false,
    .qkv_bias = Presence::kRequired,
    .other_bias = Presence::kOptional,
    .qk_norm = false,
    .read = nullptr,
};

}  // namespace edgewise
