// Products in ordinary C++: the fallback, and the statement of the arithmetic that every
// instruction set follows.
//
// A quantised output is a chain over the blocks of its row, in order, of fused multiply-adds onto
// one float: y = fma(d * dx, float(exact integer dot of the block), y), then, for types with a
// minimum, one more for it. The integer parts are exact, so their order is free, and the chain is
// the same for one column or many, for lanes along k or along rows: all instruction sets give the
// same bits.
#include <cmath>
#include <cstring>

#include "kernels/activation.h"
#include "kernels/plain.h"
#include "quant/unpack.h"

namespace edgewise::kernels::plain {
namespace {

constexpr int kLanes = 16;         // partial sums of a float product
constexpr uint32_t kColumns = 16;  // columns that share one unpacked block

template <typename Block>
void MatMul32(const MatMulArgs& a) {
  const uint32_t blocks = a.k / kBlock32;
  for (uint32_t i = 0; i < a.rows; ++i) {
    const auto* row = reinterpret_cast<const Block*>(a.w + i * a.w_stride);
    for (uint32_t j0 = 0; j0 < a.m; j0 += kColumns) {
      const uint32_t columns = a.m - j0 < kColumns ? a.m - j0 : kColumns;
      float y[kColumns] = {};
      for (uint32_t b = 0; b < blocks; ++b) {
        Unpacked32 u;
        Unpack(row[b], u);
        for (uint32_t j = 0; j < columns; ++j) {
          const ActivationQ8_0 x = ViewQ8_0(a.x + (j0 + j) * a.x_stride, a.k);
          const int8_t* codes = x.codes + size_t{b} * kBlock32;
          int32_t dot = 0;
          for (uint32_t l = 0; l < kBlock32; ++l) dot += u.codes[l] * codes[l];
          y[j] = std::fma(u.d * x.scales[b], static_cast<float>(dot), y[j]);
          if constexpr (kHasMin<Block>) {
            y[j] = std::fma(u.m * x.scales[b], static_cast<float>(x.sums[b]), y[j]);
          }
        }
      }
      for (uint32_t j = 0; j < columns; ++j) a.y[(j0 + j) * a.y_stride + i] = y[j];
    }
  }
}

template <typename Block>
void MatMulK(const MatMulArgs& a) {
  const uint32_t blocks = a.k / kBlockK;
  for (uint32_t i = 0; i < a.rows; ++i) {
    const auto* row = reinterpret_cast<const Block*>(a.w + i * a.w_stride);
    for (uint32_t j0 = 0; j0 < a.m; j0 += kColumns) {
      const uint32_t columns = a.m - j0 < kColumns ? a.m - j0 : kColumns;
      float y[kColumns] = {};
      for (uint32_t b = 0; b < blocks; ++b) {
        UnpackedK u;
        Unpack(row[b], u);
        for (uint32_t j = 0; j < columns; ++j) {
          const ActivationQ8_K x = ViewQ8_K(a.x + (j0 + j) * a.x_stride, a.k);
          const int8_t* codes = x.codes + size_t{b} * kBlockK;
          const int16_t* sums = x.sums + size_t{b} * 16;
          int32_t dot = 0, min = 0;
          for (int s = 0; s < 16; ++s) {
            int32_t sub = 0;
            for (int l = 0; l < 16; ++l) sub += u.codes[16 * s + l] * codes[16 * s + l];
            dot += sub * u.scales[s];
            min += sums[s] * u.mins[s];
          }
          y[j] = std::fma(u.d * x.scales[b], static_cast<float>(dot), y[j]);
          if constexpr (kHasMin<Block>) {
            y[j] = std::fma(-(u.dmin * x.scales[b]), static_cast<float>(min), y[j]);
          }
        }
      }
      for (uint32_t j = 0; j < columns; ++j) a.y[(j0 + j) * a.y_stride + i] = y[j];
    }
  }
}

struct WeightF32 {
  static float Get(const std::byte* row, uint32_t i) {
    return reinterpret_cast<const float*>(row)[i];
  }
};
struct WeightF16 {
  static float Get(const std::byte* row, uint32_t i) {
    return F16ToF32(reinterpret_cast<const uint16_t*>(row)[i]);
  }
};
struct WeightBF16 {
  static float Get(const std::byte* row, uint32_t i) {
    return Bf16ToF32(reinterpret_cast<const uint16_t*>(row)[i]);
  }
};

// Lane l adds up the products with index l, l + 16, l + 32, ...; the lanes are added as a tree.
template <typename Weight>
void MatMulFloat(const MatMulArgs& a) {
  for (uint32_t i = 0; i < a.rows; ++i) {
    const std::byte* row = a.w + i * a.w_stride;
    for (uint32_t j = 0; j < a.m; ++j) {
      const auto* x = reinterpret_cast<const float*>(a.x + j * a.x_stride);
      float lanes[kLanes] = {};
      uint32_t p = 0;
      for (; p + kLanes <= a.k; p += kLanes) {
        for (uint32_t l = 0; l < kLanes; ++l) lanes[l] += Weight::Get(row, p + l) * x[p + l];
      }
      for (; p < a.k; ++p) lanes[p % kLanes] += Weight::Get(row, p) * x[p];
      for (int half = kLanes / 2; half > 0; half /= 2) {
        for (int l = 0; l < half; ++l) lanes[l] += lanes[l + half];
      }
      a.y[j * a.y_stride + i] = lanes[0];
    }
  }
}

}  // namespace

MatMulKernel MatMulFor(DType weight, MatMulShape /*shape*/) {
  switch (weight) {
    case DType::kF32: return {MatMulFloat<WeightF32>, "portable loops"};
    case DType::kF16: return {MatMulFloat<WeightF16>, "portable loops"};
    case DType::kBF16: return {MatMulFloat<WeightBF16>, "portable loops"};
    case DType::kQ4_0: return {MatMul32<BlockQ4_0>, "portable loops"};
    case DType::kQ4_1: return {MatMul32<BlockQ4_1>, "portable loops"};
    case DType::kQ5_0: return {MatMul32<BlockQ5_0>, "portable loops"};
    case DType::kQ5_1: return {MatMul32<BlockQ5_1>, "portable loops"};
    case DType::kQ8_0: return {MatMul32<BlockQ8_0>, "portable loops"};
    case DType::kIQ4_NL: return {MatMul32<BlockIQ4_NL>, "portable loops"};
    case DType::kQ2_K: return {MatMulK<BlockQ2_K>, "portable loops"};
    case DType::kQ3_K: return {MatMulK<BlockQ3_K>, "portable loops"};
    case DType::kQ4_K: return {MatMulK<BlockQ4_K>, "portable loops"};
    case DType::kQ5_K: return {MatMulK<BlockQ5_K>, "portable loops"};
    case DType::kQ6_K: return {MatMulK<BlockQ6_K>, "portable loops"};
  }
  return {};
}

}  // namespace edgewise::kernels::plain
