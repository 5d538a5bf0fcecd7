#include "kernels/plain.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "kernels/activation.h"
#include "kernels/kv_row.h"

namespace edgewise::kernels::plain {
namespace {

// Returns the scale; codes are written.
float QuantizeBlock(const float* x, uint32_t n, int8_t* codes) {
  // As integers, the magnitudes of floats keep their order, with infinity and NaN above all.
  uint32_t amax_bits = 0;
  for (uint32_t i = 0; i < n; ++i) {
    const uint32_t bits = std::bit_cast<uint32_t>(x[i]) & 0x7fffffffu;
    if (bits > amax_bits) amax_bits = bits;
  }
  const float amax = std::bit_cast<float>(amax_bits);
  if (amax_bits >= 0x7f800000u || amax < kTinyAmax) {
    for (uint32_t i = 0; i < n; ++i) codes[i] = 0;
    return amax < kTinyAmax ? 0.0f : std::numeric_limits<float>::quiet_NaN();
  }
  const float inverse = 127.0f / amax;
  for (uint32_t i = 0; i < n; ++i) {
    codes[i] = static_cast<int8_t>(std::nearbyint(x[i] * inverse));
  }
  return amax / 127.0f;
}

void ScaleAndAdd(float scale, const float* v, uint32_t n, float* acc) {
  for (uint32_t i = 0; i < n; ++i) acc[i] += scale * v[i];
}

}  // namespace

void Quantize(ActivationFormat format, const float* x, uint32_t k, std::byte* out) {
  if (format == ActivationFormat::kF32) {
    std::memcpy(out, x, sizeof(float) * k);
    return;
  }
  auto* codes = reinterpret_cast<int8_t*>(out);
  if (format == ActivationFormat::kQ8_0) {
    const uint32_t blocks = k / kActivationBlock32;
    auto* scales = reinterpret_cast<float*>(out + k);
    auto* sums = reinterpret_cast<int32_t*>(scales + blocks);
    for (uint32_t b = 0; b < blocks; ++b) {
      int8_t* block = codes + size_t{b} * kActivationBlock32;
      scales[b] = QuantizeBlock(x + size_t{b} * kActivationBlock32, kActivationBlock32, block);
      sums[b] = 0;
      for (uint32_t i = 0; i < kActivationBlock32; ++i) sums[b] += block[i];
    }
    return;
  }
  const uint32_t blocks = k / kActivationBlockK;
  auto* scales = reinterpret_cast<float*>(out + k);
  auto* sums = reinterpret_cast<int16_t*>(scales + blocks);
  for (uint32_t b = 0; b < blocks; ++b) {
    int8_t* block = codes + size_t{b} * kActivationBlockK;
    scales[b] = QuantizeBlock(x + size_t{b} * kActivationBlockK, kActivationBlockK, block);
  }
  for (uint32_t s = 0; s < k / 16; ++s) {
    int sum = 0;
    for (uint32_t i = 0; i < 16; ++i) sum += codes[s * 16 + i];
    sums[s] = static_cast<int16_t>(sum);
  }
}

namespace {

constexpr float kLowest = -std::numeric_limits<float>::infinity();

// Where max = -inf there is nothing to weigh by, and exp2(-inf - -inf) would be NaN.
float Weight(float score, float max) { return max == kLowest ? 0.0f : std::exp2(score - max); }

void AttendTile(DType k_type, DType v_type, const AttentionArgs& a, uint32_t tile) {
  float* decoded = a.scratch;
  float* scores = decoded + size_t{kKvTile} * a.head_dim;
  const uint32_t last = std::min(tile + kKvTile, a.positions);
  for (uint32_t t = tile; t < last; ++t) {
    DecodeKvRow(k_type, a.k + t * a.k_stride, a.head_dim, decoded + size_t{t - tile} * a.head_dim);
  }
  for (uint32_t r = 0; r < a.rows; ++r) {
    const float* q = a.q + r * a.q_stride;
    float* weights = scores + size_t{r} * kKvTile;
    const uint32_t begin = std::max(a.begin[r], tile), end = std::min(a.end[r], last);
    float max = a.state.max[r];
    for (uint32_t t = begin; t < end; ++t) {
      const float* key = decoded + size_t{t - tile} * a.head_dim;
      float score = 0;
      for (uint32_t i = 0; i < a.head_dim; ++i) score += q[i] * key[i];
      weights[t - tile] = score;
      if (score > max) max = score;
    }
    if (begin >= end) continue;
    const float rescale = Weight(a.state.max[r], max);
    float sum = a.state.sum[r] * rescale;
    for (uint32_t t = begin; t < end; ++t) sum += weights[t - tile] = Weight(weights[t - tile], max);
    for (uint32_t i = 0; i < a.head_dim; ++i) a.state.acc[r * a.state.acc_stride + i] *= rescale;
    a.state.max[r] = max;
    a.state.sum[r] = sum;
  }
  for (uint32_t t = tile; t < last; ++t) {
    DecodeKvRow(v_type, a.v + t * a.v_stride, a.head_dim, decoded + size_t{t - tile} * a.head_dim);
  }
  for (uint32_t r = 0; r < a.rows; ++r) {
    for (uint32_t t = std::max(a.begin[r], tile); t < std::min(a.end[r], last); ++t) {
      ScaleAndAdd(scores[size_t{r} * kKvTile + t - tile], decoded + size_t{t - tile} * a.head_dim,
                  a.head_dim, a.state.acc + r * a.state.acc_stride);
    }
  }
}

}  // namespace

void Attention(DType kv_type_k, DType kv_type_v, const AttentionArgs& a) {
  for (uint32_t r = 0; r < a.rows; ++r) {
    a.state.max[r] = kLowest;
    a.state.sum[r] = 0;
    std::fill_n(a.state.acc + r * a.state.acc_stride, AttentionPadded(a.head_dim), 0.0f);
  }
  for (uint32_t tile = 0; tile < a.positions; tile += kKvTile) AttendTile(kv_type_k, kv_type_v, a, tile);
}

void MergeAttention(const AttentionState& earlier, const AttentionState& later, uint32_t rows,
                    uint32_t head_dim) {
  for (uint32_t r = 0; r < rows; ++r) {
    // A row that saw nothing on one side keeps the other's bits.
    if (later.sum[r] == 0) continue;
    float* to = earlier.acc + r * earlier.acc_stride;
    const float* from = later.acc + r * later.acc_stride;
    if (earlier.sum[r] == 0) {
      std::copy_n(from, head_dim, to);
      earlier.sum[r] = later.sum[r];
      earlier.max[r] = later.max[r];
      continue;
    }
    const float max = std::max(earlier.max[r], later.max[r]);
    const float a = Weight(earlier.max[r], max), b = Weight(later.max[r], max);
    for (uint32_t i = 0; i < head_dim; ++i) to[i] = to[i] * a + from[i] * b;
    earlier.sum[r] = earlier.sum[r] * a + later.sum[r] * b;
    earlier.max[r] = max;
  }
}

void EncodeKvRow(DType type, const float* x, uint32_t head_dim, std::byte* out) {
  kernels::EncodeKvRow(type, x, head_dim, out);
}

void RmsNorm(const float* x, const float* weight, float eps, uint32_t n, float* y) {
  double squares = 0;
  for (uint32_t i = 0; i < n; ++i) squares += static_cast<double>(x[i]) * x[i];
  const float scale = static_cast<float>(1.0 / std::sqrt(squares / n + eps));
  for (uint32_t i = 0; i < n; ++i) y[i] = x[i] * scale * weight[i];
}

void SwiGlu(const float* gate, const float* up, uint32_t n, float* y) {
  for (uint32_t i = 0; i < n; ++i) y[i] = gate[i] / (1.0f + std::exp(-gate[i])) * up[i];
}

void Add(const float* x, uint32_t n, float* y) {
  for (uint32_t i = 0; i < n; ++i) y[i] += x[i];
}

void Rope(float* x, const float* cos, const float* sin, uint32_t n, bool interleaved) {
  const uint32_t step = interleaved ? 2 : 1, other = interleaved ? 1 : n / 2;
  for (uint32_t i = 0; i < n / 2; ++i) {
    float& a = x[i * step];
    float& b = x[i * step + other];
    const float rotated = a * cos[i] - b * sin[i];
    b = a * sin[i] + b * cos[i];
    a = rotated;
  }
}

}  // namespace edgewise::kernels::plain
