// Products of quantised weights with one to a few columns: bound by memory, if the rest stays below it.
// Lanes are rows: kLanes rows are transposed in registers (row_lanes-inl.h), block by block, and every
// column broadcasts its codes against them, so that unpacking is paid once for all columns. The
// arithmetic is that of plain_matmul.cc, bit for bit: exact integer dots per block, one chain of fused
// multiply-adds over the blocks of a row. Rows beyond the last are the last row again, computed and not
// stored.
#pragma once

#include "kernels/activation.h"
#include "kernels/x86/row_lanes-inl.h"
#include "kernels/x86/weight_rows-inl.h"

namespace edgewise::kernels {
namespace {

constexpr int kCodesPerWord = 4;
constexpr int kWords32 = kBlock32 / kCodesPerWord;

// ---- 32-blocks: out[g] = codes 4 g .. 4 g + 3 of block b of every row ----

template <typename Block>
[[gnu::always_inline]] inline void NibbleWords(const LaneRows<Block>& rows, uint32_t b,
                                               Ints out[kWords32]) {
  Ints packed[4];
  Words(rows, b, offsetof(Block, qs), packed);
#pragma GCC unroll 4
  for (int g = 0; g < 4; ++g) {
    out[g] = BitsOf(packed[g], 0, 15);
    out[4 + g] = BitsOf(packed[g], 4, 15);
  }
}

// Adds bit i of qh as 16 to code i: its byte is spread over the four bytes of a word, and what is left of
// it by masking out one bit each is at least 16 or nothing.
template <typename Block>
[[gnu::always_inline]] inline void AddFifthBits(const LaneRows<Block>& rows, uint32_t b,
                                                Ints codes[kWords32]) {
  const Ints odd = Word(rows, b, offsetof(Block, qh));
  const Ints even = ShiftLeft<4>(odd);
  const Ints one_each = SetInts(static_cast<int32_t>(0x80402010));
#pragma GCC unroll 8
  for (int g = 0; g < kWords32; ++g) {
    const int at = g / 2 * 0x01010101;
    const Ints spread = PickBytes(
        g % 2 == 0 ? even : odd,
        Repeat128(_mm_setr_epi32(at, at + 0x04040404, at + 0x08080808, at + 0x0c0c0c0c)));
    codes[g] = Or(codes[g], LeastBytes(And(spread, one_each), SetBytes(16)));
  }
}

[[gnu::always_inline]] inline void CodeWords(const LaneRows<BlockQ4_0>& rows, uint32_t b,
                                             Ints out[kWords32]) {
  NibbleWords(rows, b, out);
}
[[gnu::always_inline]] inline void CodeWords(const LaneRows<BlockQ4_1>& rows, uint32_t b,
                                             Ints out[kWords32]) {
  NibbleWords(rows, b, out);
}
[[gnu::always_inline]] inline void CodeWords(const LaneRows<BlockQ5_0>& rows, uint32_t b,
                                             Ints out[kWords32]) {
  NibbleWords(rows, b, out);
  AddFifthBits(rows, b, out);
}
[[gnu::always_inline]] inline void CodeWords(const LaneRows<BlockQ5_1>& rows, uint32_t b,
                                             Ints out[kWords32]) {
  NibbleWords(rows, b, out);
  AddFifthBits(rows, b, out);
}
// Signed codes: with 128 added for VNNI.
[[gnu::always_inline]] inline void CodeWords(const LaneRows<BlockQ8_0>& rows, uint32_t b,
                                             Ints out[kWords32]) {
  Words(rows, b, offsetof(BlockQ8_0, qs), out);
  Words(rows, b, offsetof(BlockQ8_0, qs) + 16, out + 4);
#pragma GCC unroll 8
  for (int g = 0; kVnni && g < kWords32; ++g) out[g] = Xor(out[g], SetBytes(-128));
}
[[gnu::always_inline]] inline void CodeWords(const LaneRows<BlockIQ4_NL>& rows, uint32_t b,
                                             Ints out[kWords32]) {
  NibbleWords(rows, b, out);
  const Ints levels = Repeat128(
      _mm_xor_si128(Load128(kIq4NlValues), _mm_set1_epi8(static_cast<char>(kVnni ? 128 : 0))));
#pragma GCC unroll 8
  for (int g = 0; g < kWords32; ++g) out[g] = PickBytes(levels, out[g]);
}

// sum + the dot of kGroups words of codes with the words of x at at[0], at[1], ..., times `factor` when
// kScaled.
//   factor  per row: 32 bits wide for VNNI, else 16 bits twice
//   kMaxCode  largest unsigned code: how many products AVX2 may add in 16 bits before widening
//   kSigned   the codes are signed bytes (AVX2 only)
template <int kGroups, int kMaxCode, bool kSigned, bool kScaled>
[[gnu::always_inline]] inline Ints DotWords(const Ints codes[kGroups], const int8_t* const at[kGroups],
                                            [[maybe_unused]] Ints factor, Ints sum) {
#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
  // One chain: other columns and blocks fill its waits (two chains and their sum: 3% slower on AVX-512).
  Ints dot = kScaled ? ZeroInts() : sum;
#pragma GCC unroll 8
  for (int g = 0; g < kGroups; ++g) {
    dot = DotStep(dot, codes[g], Broadcast(at[g]));
  }
  return kScaled ? Add(sum, Mul(dot, factor)) : dot;
#else
  constexpr int kStep = kSigned ? 1 : GroupsThatFit(kMaxCode, kGroups);
  static_assert(kGroups % kStep == 0);
  if constexpr (!kScaled) factor = _mm256_set1_epi16(1);
#pragma GCC unroll 8
  for (int g0 = 0; g0 < kGroups; g0 += kStep) {
    Ints pairs{};
#pragma GCC unroll 8
    for (int g = g0; g < g0 + kStep; ++g) {
      const Ints four = Broadcast(at[g]);
      const Ints p = kSigned ? _mm256_maddubs_epi16(_mm256_abs_epi8(codes[g]),
                                                    _mm256_sign_epi8(four, codes[g]))
                             : _mm256_maddubs_epi16(codes[g], four);
      pairs = g == g0 ? p : _mm256_add_epi16(pairs, p);
    }
    sum = Add(sum, _mm256_madd_epi16(pairs, factor));
  }
  return sum;
#endif
}
// The same of words of x that follow one another.
template <int kGroups, int kMaxCode, bool kSigned, bool kScaled>
[[gnu::always_inline]] inline Ints DotWords(const Ints codes[kGroups], const int8_t* x, Ints factor,
                                            Ints sum) {
  const int8_t* at[kGroups];
#pragma GCC unroll 8
  for (int g = 0; g < kGroups; ++g) at[g] = x + kCodesPerWord * g;
  return DotWords<kGroups, kMaxCode, kSigned, kScaled>(codes, at, factor, sum);
}

// One column (kOne) keeps its sums in registers; of several, up to kFewColumns, they lie in L1.
template <typename Type, bool kOne>
void FewColumns32(const MatMulArgs& a) {
  using Block = typename Type::Block;
  const uint32_t blocks = a.k / kBlock32, columns = kOne ? 1 : a.m;
  LaneRows<Block> rows(a);
  for (uint32_t step = 0; step < rows.steps(); ++step) {
    rows.Go(step);
    Floats sum[kOne ? 1 : kFewColumns];
    for (uint32_t j = 0; j < columns; ++j) sum[j] = ZeroFloats();
    for (uint32_t b = 0; b < blocks; ++b) {
      rows.FetchTurn(b);
      Ints codes[kWords32];
      CodeWords(rows, b, codes);
      const Floats d = Halves(rows, b, offsetof(Block, d));
      [[maybe_unused]] Floats m;
      if constexpr (Type::kMin) m = Halves(rows, b, offsetof(Block, m));
      const std::byte* column = a.x;
      // Two columns' instructions in one stretch fill the ports better: 5 to 10% at 4 and 8 columns. Not all
      // eight: sums of a known number of columns go to registers that are not there (4 columns: 20% slower).
#pragma GCC unroll 2
      for (uint32_t j = 0; j < columns; ++j, column += a.x_stride) {
        const ActivationQ8_0 x = ViewQ8_0(column, a.k);
        Ints dot = ZeroInts();
        // -kZero * sum as a pair dot: the sum fits the lower 16 bits, and the upper factor is zero.
        if constexpr (kZeroOf<Type> != 0) {
          dot = PairDotAdd(dot, SetInts(-kZeroOf<Type> & 0xffff), Broadcast(x.sums + b));
        }
        dot = DotWords<kWords32, Type::kMaxCode, kSignTrick<Type>, false>(
            codes, x.codes + size_t{b} * kBlock32, ZeroInts(), dot);
        const Floats scale = SetFloats(x.scales[b]);
        sum[j] = MulAdd(Mul(d, scale), ToFloats(dot), sum[j]);
        if constexpr (Type::kMin) {
          sum[j] = MulAdd(Mul(m, scale), ToFloats(Broadcast(x.sums + b)), sum[j]);
        }
      }
    }
    for (uint32_t j = 0; j < columns; ++j) rows.Store(step, j, sum[j]);
  }
}

}  // namespace
}  // namespace edgewise::kernels
