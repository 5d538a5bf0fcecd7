// What a model is, apart from its weights: the shapes and constants of a decoder-only transformer
// with RMSNorm, rotary positions, grouped-query attention and a gated feed-forward layer.
#pragma once

#include <cstdint>
#include <string>

namespace edgewise {

struct RopeConfig {
  enum class Scaling : uint8_t { kNone, kLinear, kYarn };

  float base = 10000.0f;
  uint32_t dims = 0;          // of each head that rotate; the rest pass through
  bool interleaved = true;    // pairs (2i, 2i+1); otherwise (i, i + dims/2)
  Scaling scaling = Scaling::kNone;
  float factor = 1.0f;             // context extension: positions shrink by it
  uint32_t original_context = 0;   // YaRN: context before extension
  float attention_factor = 1.0f;   // YaRN: further scale of the rotated values
  float beta_fast = 32.0f, beta_slow = 1.0f;  // YaRN: rotations that bound its ramp
};

struct ModelConfig {
  std::string architecture;  // "llama", "qwen2", "qwen3"
  std::string name;          // general.name, may be empty
  uint32_t vocab = 0;
  uint32_t context = 0;      // tokens it was trained for
  uint32_t width = 0;        // of the residual stream (embedding length)
  uint32_t layers = 0;
  uint32_t heads = 0;
  uint32_t kv_heads = 0;     // divides heads
  uint32_t head_dim = 0;     // independent of width
  uint32_t ffn = 0;          // feed-forward length
  float norm_eps = 1e-5f;
  uint32_t window = 0;       // attention sees this many last positions, itself included; 0: all
  RopeConfig rope;

  uint32_t q_width() const { return heads * head_dim; }
  uint32_t kv_width() const { return kv_heads * head_dim; }
  uint32_t group() const { return heads / kv_heads; }  // query heads that share a KV head
};

}  // namespace edgewise
