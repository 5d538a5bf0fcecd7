// One block from its weights: what EncodeRow calls. Internal to quant/.
//
// x: the block's weights, finite. importance: null or as many column weights.
#pragma once

#include "quant/blocks.h"

namespace edgewise::quant_internal {

void Encode(const float* x, const float* importance, BlockQ4_0& out);
void Encode(const float* x, const float* importance, BlockQ4_1& out);
void Encode(const float* x, const float* importance, BlockQ5_0& out);
void Encode(const float* x, const float* importance, BlockQ5_1& out);
void Encode(const float* x, const float* importance, BlockQ8_0& out);
void Encode(const float* x, const float* importance, BlockIQ4_NL& out);
void Encode(const float* x, const float* importance, BlockQ2_K& out);
void Encode(const float* x, const float* importance, BlockQ3_K& out);
void Encode(const float* x, const float* importance, BlockQ4_K& out);
void Encode(const float* x, const float* importance, BlockQ5_K& out);
void Encode(const float* x, const float* importance, BlockQ6_K& out);

}  // namespace edgewise::quant_internal
