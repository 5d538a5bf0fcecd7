// Products with F32, F16 and BF16 weights. Lane l of one vector accumulates the products with index
// l, l + kN, l + 2 kN, ...; then the lanes are added as a tree: the same order for every row and
// column, whatever tile they are computed in.
#pragma once

#include "kernels/kernels.h"
#include "kernels/simd-inl.h"
#include "quant/half.h"

namespace edgewise::kernels {
namespace {

// A tile of kFloatRows x kFloatColumns accumulators, one vector of each row and one of a column fit
// the registers: 24 + 4 + 1 of 32, 12 + 3 + 1 of 16.
constexpr int kFloatRows = HWY_TARGET <= HWY_AVX3 ? 4 : 3;
constexpr int kFloatColumns = HWY_TARGET <= HWY_AVX3 ? 6 : 4;
// Weights that stay in L2 while all columns pass over them.
constexpr size_t kFloatRowBytes = 256 * 1024;

struct WeightF32 {
  static constexpr size_t kBytes = 4;
  static VF Load(const std::byte* row, size_t i) {
    return hn::LoadU(DF(), reinterpret_cast<const float*>(row) + i);
  }
  static float Get(const std::byte* row, size_t i) {
    return reinterpret_cast<const float*>(row)[i];
  }
};

struct WeightF16 {
  static constexpr size_t kBytes = 2;
  static VF Load(const std::byte* row, size_t i) {
    const hn::Rebind<hwy::float16_t, DF> half;
    return hn::PromoteTo(DF(), hn::LoadU(half, reinterpret_cast<const hwy::float16_t*>(row) + i));
  }
  static float Get(const std::byte* row, size_t i) {
    return F16ToF32(reinterpret_cast<const uint16_t*>(row)[i]);
  }
};

struct WeightBF16 {
  static constexpr size_t kBytes = 2;
  static VF Load(const std::byte* row, size_t i) {
    const hn::Rebind<hwy::bfloat16_t, DF> half;
    return hn::PromoteTo(DF(), hn::LoadU(half, reinterpret_cast<const hwy::bfloat16_t*>(row) + i));
  }
  static float Get(const std::byte* row, size_t i) {
    return Bf16ToF32(reinterpret_cast<const uint16_t*>(row)[i]);
  }
};

template <typename Weight, int kRows, int kColumns>
void FloatTile(const std::byte* const rows[], const float* const x[], size_t k, float* y,
               size_t y_stride) {
  const DF d;
  VF sum[kRows][kColumns];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) sum[r][c] = hn::Zero(d);
  }
  size_t i = 0;
  for (; i + kN <= k; i += kN) {
    VF w[kRows];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) w[r] = Weight::Load(rows[r], i);
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) {
      const VF column = hn::LoadU(d, x[c] + i);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) sum[r][c] = hn::MulAdd(w[r], column, sum[r][c]);
    }
  }
  if (i < k) {
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      float last[kN] = {};
      for (size_t l = i; l < k; ++l) last[l - i] = Weight::Get(rows[r], l);
      const VF w = hn::LoadU(d, last);
#pragma GCC unroll 8
      for (int c = 0; c < kColumns; ++c) {
        sum[r][c] = hn::MulAdd(w, LoadFirst(x[c] + i, k - i), sum[r][c]);
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) {
      y[c * y_stride + r] = hn::GetLane(hn::SumOfLanes(d, sum[r][c]));
    }
  }
}

template <typename Weight, int kColumns>
void FloatRows(const MatMulArgs& a, uint32_t first, uint32_t last, uint32_t j) {
  const float* x[kColumns];
#pragma GCC unroll 8
  for (int c = 0; c < kColumns; ++c) {
    x[c] = reinterpret_cast<const float*>(a.x + (size_t{j} + c) * a.x_stride);
  }
  for (uint32_t i = first; i < last;) {
    const std::byte* rows[kFloatRows];
    for (int r = 0; r < kFloatRows; ++r) rows[r] = a.w + (size_t{i} + r) * a.w_stride;
    float* y = a.y + j * a.y_stride + i;
    if (last - i >= kFloatRows) {
      FloatTile<Weight, kFloatRows, kColumns>(rows, x, a.k, y, a.y_stride);
      i += kFloatRows;
    } else {
      FloatTile<Weight, 1, kColumns>(rows, x, a.k, y, a.y_stride);
      ++i;
    }
  }
}

template <typename Weight>
void MatMulFloat(const MatMulArgs& a) {
  const size_t fit = kFloatRowBytes / (a.k * Weight::kBytes + 1);
  const uint32_t step =
      static_cast<uint32_t>(fit > kFloatRows ? fit / kFloatRows * kFloatRows : kFloatRows);
  const uint32_t tiles = (a.m + kFloatColumns - 1) / kFloatColumns;
  for (uint32_t i = 0; i < a.rows; i += step) {
    const uint32_t last = a.rows - i < step ? a.rows : i + step;
    for (uint32_t t = 0; t < tiles; ++t) {
      const uint32_t j = static_cast<uint32_t>(uint64_t{a.m} * t / tiles);
      const uint32_t columns = static_cast<uint32_t>(uint64_t{a.m} * (t + 1) / tiles) - j;
      switch (columns) {
        case 1: FloatRows<Weight, 1>(a, i, last, j); break;
        case 2: FloatRows<Weight, 2>(a, i, last, j); break;
        case 3: FloatRows<Weight, 3>(a, i, last, j); break;
        case 4: FloatRows<Weight, 4>(a, i, last, j); break;
#if HWY_TARGET <= HWY_AVX3
        case 5: FloatRows<Weight, 5>(a, i, last, j); break;
        case 6: FloatRows<Weight, 6>(a, i, last, j); break;
#endif
      }
    }
  }
}

// No kernel for the quantised types.
inline MatMulKernel FloatMatMulFor(DType weight, MatMulShape /*shape*/) {
  constexpr const char* kHow = "tiles of rows and columns, fused multiply-add";
  switch (weight) {
    case DType::kF32: return {MatMulFloat<WeightF32>, kHow};
    case DType::kF16: return {MatMulFloat<WeightF16>, kHow};
    case DType::kBF16: return {MatMulFloat<WeightBF16>, kHow};
    default: return {};
  }
}

}  // namespace
}  // namespace edgewise::kernels
