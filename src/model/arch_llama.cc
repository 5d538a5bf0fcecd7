// Llama 1, 2 and 3.x, TinyLlama, SmolLM2, Mistral (with its sliding window).
#include "model/architecture.h"

namespace edgewise {

const Architecture kLlama = {
    .name = "llama",
    .interleaved_rope = true,  // the converter permutes Q and K so that pairs are neighbours
    .qkv_bias = Presence::kOptional,
    .other_bias = Presence::kOptional,
    .qk_norm = false,
    .read = nullptr,
};

}  // namespace edgewise
