// A model or network as the matrix products of one step: what it takes to price it where nothing else
// matters, without weights and without a file. Decoders come from a shape (and agree with BuildStep, which a
// test holds); networks of other kinds are listed in workload.cc with their sources.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/shapes.h"

namespace edgewise {

enum class ProductRole : uint8_t {
  kProjection,   // Q, K, V, output of attention
  kFeedForward,
  kHead,         // vocabulary or classes
  kConvolution,  // by im2col: m positions, n filters, k inputs of a filter
  kScore,        // of attention: Q K^T
  kValue,        // of attention: probabilities times V
};
inline bool IsAttention(ProductRole role) {
  return role == ProductRole::kScore || role == ProductRole::kValue;
}
const char* NameOf(ProductRole role);

// C [m, n] = A [m, k] W [n, k]^T, `count` times in a step. In attention W is the cache: keys, or values
// transposed.
struct WorkProduct {
  std::string name;   // "q", "ffn_up", ...; the same in all layers
  ProductRole role;
  uint64_t count = 1; // layers, times KV heads in attention, times channels in depthwise convolutions
  uint64_t m = 0, n = 0, k = 0;
};
// Multiply-adds. Throws Error(kLimit) when they do not fit 64 bits.
uint64_t MacsOf(const WorkProduct& product);

struct Workload {
  std::string name;
  std::string unit;  // what a step is, for people: "step of 8 tokens", "image"
  uint32_t layers = 0;
  std::vector<WorkProduct> products;

  // Multiply-adds of the products; of attention only on request.
  uint64_t macs(bool with_attention) const;
  // Weights, each counted once (K and V are none).
  uint64_t weights() const;
};

// What a step brings. Decoders: tokens, on top of a context, of which the last logit_rows want logits.
// Encoders read `rows` tokens; of images or windows `rows` are taken together.
struct WorkStep {
  uint64_t rows = 1;
  uint64_t context = 0;     // tokens already in the cache, for attention
  uint64_t logit_rows = 1;  // 0 in a prefill chunk that is not the last
};

// Attention is grouped-query: the query heads that share a KV head are rows of one product. Scores are taken
// over all positions of the step, masked ones too, as hardware that works on whole tiles does; a window
// limits them to the positions that any row sees. Throws as CheckShape; Error(kUsage) for a step without rows
// or with more logits than rows, Error(kLimit) beyond 2^32 positions.
Workload WorkloadOf(const ModelConfig& config, const WorkStep& step);

// Whisper's encoder over `positions` (half as many as mel frames): two convolutions and `layers` layers.
Workload WhisperEncoder(uint32_t width, uint32_t layers, uint32_t positions, uint32_t mels);

// The networks of workload.cc, then ShapeNames() but for those that workload.cc has itself.
std::vector<std::string> WorkloadNames();
// Throws Error(kUsage) for an unknown name, listing those known, and as WorkloadOf.
Workload WorkloadNamed(std::string_view name, const WorkStep& step);

}  // namespace edgewise
