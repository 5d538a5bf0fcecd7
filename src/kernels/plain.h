// The portable kernels: correct everywhere, fast nowhere. Also the pieces that every table shares.
#pragma once

#include "kernels/kernels.h"

namespace edgewise::kernels::plain {

MatMulKernel MatMulFor(DType weight, MatMulShape shape);
void Quantize(ActivationFormat format, const float* x, uint32_t k, std::byte* out);
void Attention(DType kv_type_k, DType kv_type_v, const AttentionArgs& args);
void MergeAttention(const AttentionState& earlier, const AttentionState& later, uint32_t rows,
                    uint32_t head_dim);
void EncodeKvRow(DType type, const float* x, uint32_t head_dim, std::byte* out);
void RmsNorm(const float* x, const float* weight, float eps, uint32_t n, float* y);
void SwiGlu(const float* gate, const float* up, uint32_t n, float* y);
void Add(const float* x, uint32_t n, float* y);
void Rope(float* x, const float* cos, const float* sin, uint32_t n, bool interleaved);

}  // namespace edgewise::kernels::plain
