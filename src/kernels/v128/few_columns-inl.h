// Products of quantised weights with one or a few columns. Lanes run along k: blocks are unpacked in
// registers straight from the mapped weights, and each block's dot is summed across its lanes. The
// arithmetic is that of plain_matmul.cc, bit for bit. Rows beyond the last are the last row again,
// computed and not stored.
#pragma once

#include <utility>

#include "kernels/activation.h"
#include "kernels/v128/weight_rows-inl.h"

namespace edgewise::kernels::v128 {
namespace {

constexpr int kGroupRows = 4;  // one vector of sums

// The sums of a group, as many of them as there are rows.
[[gnu::always_inline]] inline void StoreGroup(Floats sum, uint32_t rows, float* y) {
  if (rows >= kGroupRows) return StoreFloats(y, sum);
  float sums[kGroupRows];
  StoreFloats(sums, sum);
  for (uint32_t r = 0; r < rows; ++r) y[r] = sums[r];
}

template <typename Type>
void FewColumns32(const MatMulArgs& a) {
  using Block = typename Type::Block;
  const uint32_t blocks = a.k / kBlock32;
  for (uint32_t i = 0; i < a.rows; i += kGroupRows) {
    const Block* rows[kGroupRows];
    RowPointers<Block, kGroupRows>(a, i, rows);
    NextRows<Block, kGroupRows> next(a, i);
    for (uint32_t j = 0; j < a.m; ++j) {
      const ActivationQ8_0 x = ViewQ8_0(a.x + j * a.x_stride, a.k);
      Chain sum = ToChain(Floats{});
      for (uint32_t b = 0; b < blocks; ++b) {
        if (j == 0) next.Fetch();
        const int8_t* codes = x.codes + size_t{b} * kBlock32;
        const Bytes columns[2] = {LoadBytes(codes), LoadBytes(codes + 16)};
        Ints dots[kGroupRows];
        uint16_t d[kGroupRows];
        [[maybe_unused]] uint16_t m[kGroupRows];
#pragma GCC unroll 4
        for (int r = 0; r < kGroupRows; ++r) {
          const Block& block = rows[r][b];
          const Bytes w[2] = {Operand<Type, 0>(block), Operand<Type, 1>(block)};
          dots[r] = DotAdd<2, kLargest<Type>, Type::kSigned>(ZeroInts(), w, columns);
          d[r] = block.d;
          if constexpr (Type::kMin) m[r] = block.m;
        }
        Ints dot = SumEach4(dots);
        if constexpr (kFoldedZero<Type> != 0) dot = SubInts(dot, SetInts(kFoldedZero<Type> * x.sums[b]));
        sum = MulAddInt(Scaled(LoadHalves(d), x.scales[b]), dot, sum);
        if constexpr (Type::kMin) {
          sum = MulAddInt(Scaled(LoadHalves(m), x.scales[b]), SetInts(x.sums[b]), sum);
        }
      }
      StoreGroup(ToFloats(sum), a.rows - i, a.y + j * a.y_stride + i);
    }
  }
}

// The dot of a whole K block, every sub-block times its scale, in some split over the lanes.
template <typename Type, int... s>
[[gnu::always_inline]] inline Ints ScaledDots(const typename Type::Block& block, const int8_t scales[16],
                                              const int8_t* x, std::integer_sequence<int, s...>) {
  constexpr int kCount = Type::kSub / 16;
  Ints dot = ZeroInts();
  const auto add = [&](auto w0, auto w1, int sub) __attribute__((always_inline)) {
    const Bytes w[2] = {w0, w1};
    const Bytes columns[2] = {LoadBytes(x + sub * Type::kSub),
                              kCount == 2 ? LoadBytes(x + sub * Type::kSub + 16) : w1};
    dot = ScaledDotAdd<kCount, kLargest<Type>>(dot, w, columns, scales[sub * kCount]);
  };
  (add(Operand<Type, s * kCount>(block), Operand<Type, s * kCount + kCount - 1>(block), s), ...);
  return dot;
}

template <typename Type>
void FewColumnsK(const MatMulArgs& a) {
  using Block = typename Type::Block;
  const uint32_t blocks = a.k / kBlockK;
  for (uint32_t i = 0; i < a.rows; i += kGroupRows) {
    const Block* rows[kGroupRows];
    RowPointers<Block, kGroupRows>(a, i, rows);
    NextRows<Block, kGroupRows> next(a, i);
    for (uint32_t j = 0; j < a.m; ++j) {
      const ActivationQ8_K x = ViewQ8_K(a.x + j * a.x_stride, a.k);
      Chain sum = ToChain(Floats{});
      for (uint32_t b = 0; b < blocks; ++b) {
        if (j == 0) next.Fetch();
        const int8_t* codes = x.codes + size_t{b} * kBlockK;
        const int16_t* sums = x.sums + size_t{b} * 16;
        Ints dots[kGroupRows];
        [[maybe_unused]] Ints offsets[kGroupRows];
        uint16_t d[kGroupRows];
        [[maybe_unused]] uint16_t dmin[kGroupRows];
        for (int r = 0; r < kGroupRows; ++r) {
          const Block& block = rows[r][b];
          const Bytes scale_bytes = Type::Scales(block);
          alignas(16) int8_t scales[16];
          StoreBytes(scales, scale_bytes);
          const std::make_integer_sequence<int, 256 / Type::kSub> subs;
          dots[r] = ScaledDots<Type>(block, scales, codes, subs);
          d[r] = block.d;
          if constexpr (Type::kMin) {
            offsets[r] = ByteDot16(Type::Mins(block), sums);
            dmin[r] = block.dmin;
          } else if constexpr (kFoldedZero<Type> != 0) {
            const Ints zero = MulInts(ByteDot16(scale_bytes, sums), SetInts(kFoldedZero<Type>));
            dots[r] = SubInts(dots[r], zero);
          }
        }
        sum = MulAddInt(Scaled(LoadHalves(d), x.scales[b]), SumEach4(dots), sum);
        if constexpr (Type::kMin) {
          sum = MulAddInt(Negated(Scaled(LoadHalves(dmin), x.scales[b])), SumEach4(offsets), sum);
        }
      }
      StoreGroup(ToFloats(sum), a.rows - i, a.y + j * a.y_stride + i);
    }
  }
}

}  // namespace
}  // namespace edgewise::kernels::v128
