// few_columns-inl.h for the K-quants. A superblock's packed bytes are transposed into the stack first (1
// to 3 KiB in L1); its scales are unpacked for all rows at once, four to a word.
#pragma once

#include "kernels/x86/few_columns-inl.h"

namespace edgewise::kernels {
namespace {

constexpr int kPartsK = kBlockK / kBlock32;  // stretches of 32 codes in a superblock

// kCount words of a superblock, from `offset` on.
template <int kCount, typename Block>
[[gnu::always_inline]] inline void ManyWords(const LaneRows<Block>& rows, uint32_t b, size_t offset,
                                             Ints out[kCount]) {
#pragma GCC unroll 12
  for (int i = 0; i < kCount; i += 4) Words(rows, b, offset + 4 * i, out + i);
}

// What a type says about its superblock:
//   kWords                   words of packed codes per row
//   Load(rows, b, words)     brings them
//   Code(words, s, g)        codes 32 s + 4 g .. + 3 of every row, unsigned
//   LoadScales(rows, b)      its scales and mins
template <typename Type>
struct LanesK;

// Scale i is byte i % 4 of scales[i / 4]; so are the mins.
struct ScaleWords {
  Ints scales[4];
  Ints mins[4];
  Floats d, dmin;
};

// Q4_K and Q5_K: d, dmin and eight 6-bit scales and mins are the first 16 bytes. The same bits as
// UnpackScalesMins takes, for four of all rows at a time.
template <typename Block>
[[gnu::always_inline]] inline void LoadScales6(const LaneRows<Block>& rows, uint32_t b,
                                               ScaleWords& to) {
  static_assert(offsetof(Block, d) == 0 && offsetof(Block, scales) == 4);
  Ints head[4];
  Words(rows, b, 0, head);
  const Ints six = SetBytes(63), four = SetBytes(15), top = SetBytes(48);
  to.scales[0] = And(head[1], six);
  to.mins[0] = And(head[2], six);
  to.scales[1] = Or(And(head[3], four), And(ShiftRight16(head[1], 2), top));
  to.mins[1] = Or(And(ShiftRight16(head[3], 4), four), And(ShiftRight16(head[2], 2), top));
  to.d = LowHalves(head[0]);
  to.dmin = HighHalves(head[0]);
}

template <>
struct LanesK<TypeQ4_K> {
  using Block = BlockQ4_K;
  static constexpr int kWords = 32;
  static constexpr int kOffsetShift = 0;
  static constexpr bool kSignedScales = false;
  [[gnu::always_inline]] static void Load(const LaneRows<Block>& rows, uint32_t b, Ints words[]) {
    ManyWords<kWords>(rows, b, offsetof(Block, qs), words);
  }
  [[gnu::always_inline]] static Ints Code(const Ints words[], int s, int g) {
    return BitsOf(words[8 * (s / 2) + g], s % 2 * 4, 15);
  }
  [[gnu::always_inline]] static void LoadScales(const LaneRows<Block>& rows, uint32_t b,
                                                ScaleWords& to) {
    LoadScales6(rows, b, to);
  }
};

template <>
struct LanesK<TypeQ5_K> {
  using Block = BlockQ5_K;
  static constexpr int kWords = 40;  // 8 of qh, 32 of qs
  static constexpr int kOffsetShift = 0;
  static constexpr bool kSignedScales = false;
  [[gnu::always_inline]] static void Load(const LaneRows<Block>& rows, uint32_t b, Ints words[]) {
    static_assert(offsetof(Block, qs) == offsetof(Block, qh) + 32);
    ManyWords<kWords>(rows, b, offsetof(Block, qh), words);
  }
  [[gnu::always_inline]] static Ints Code(const Ints words[], int s, int g) {
    const Ints low = BitsOf(words[8 + 8 * (s / 2) + g], s % 2 * 4, 15);
    const Ints high = s < 4 ? ShiftLeft16(words[g], 4 - s) : ShiftRight16(words[g], s - 4);
    return Or(low, And(high, SetBytes(16)));
  }
  [[gnu::always_inline]] static void LoadScales(const LaneRows<Block>& rows, uint32_t b,
                                                ScaleWords& to) {
    LoadScales6(rows, b, to);
  }
};

template <>
struct LanesK<TypeQ6_K> {
  using Block = BlockQ6_K;
  static constexpr int kWords = 48;  // 32 of ql, 16 of qh
  static constexpr int kOffsetShift = 5;  // zero point 32
  static constexpr bool kSignedScales = true;
  [[gnu::always_inline]] static void Load(const LaneRows<Block>& rows, uint32_t b, Ints words[]) {
    static_assert(offsetof(Block, ql) == 0 && offsetof(Block, qh) == 128);
    ManyWords<kWords>(rows, b, 0, words);
  }
  [[gnu::always_inline]] static Ints Code(const Ints words[], int s, int g) {
    const int half = s / 4, quarter = s % 4;
    const Ints low = BitsOf(words[16 * half + 8 * (quarter % 2) + g], quarter / 2 * 4, 15);
    const Ints qh = words[32 + 8 * half + g];
    const Ints high = quarter < 2    ? ShiftLeft16(qh, 4 - 2 * quarter)
                      : quarter == 2 ? qh
                                     : ShiftRight16(qh, 2);
    return Or(low, And(high, SetBytes(48)));
  }
  [[gnu::always_inline]] static void LoadScales(const LaneRows<Block>& rows, uint32_t b,
                                                ScaleWords& to) {
    Words(rows, b, offsetof(Block, scales), to.scales);
    to.d = HighHalves(Word(rows, b, offsetof(Block, d) - 2));
  }
};

template <>
struct LanesK<TypeQ2_K> {
  using Block = BlockQ2_K;
  static constexpr int kWords = 16;
  static constexpr int kOffsetShift = 0;
  static constexpr bool kSignedScales = false;
  [[gnu::always_inline]] static void Load(const LaneRows<Block>& rows, uint32_t b, Ints words[]) {
    ManyWords<kWords>(rows, b, offsetof(Block, qs), words);
  }
  [[gnu::always_inline]] static Ints Code(const Ints words[], int s, int g) {
    return BitsOf(words[8 * (s / 4) + g], 2 * (s % 4), 3);
  }
  [[gnu::always_inline]] static void LoadScales(const LaneRows<Block>& rows, uint32_t b,
                                                ScaleWords& to) {
    static_assert(offsetof(Block, dmin) == offsetof(Block, d) + 2);
    Ints both[4];
    Words(rows, b, offsetof(Block, scales), both);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      to.scales[i] = BitsOf(both[i], 0, 15);
      to.mins[i] = BitsOf(both[i], 4, 15);
    }
    const Ints d = Word(rows, b, offsetof(Block, d));
    to.d = LowHalves(d);
    to.dmin = HighHalves(d);
  }
};

template <>
struct LanesK<TypeQ3_K> {
  using Block = BlockQ3_K;
  static constexpr int kWords = 24;  // 8 of hmask, 16 of qs
  static constexpr int kOffsetShift = 2;  // zero point 4
  static constexpr bool kSignedScales = true;
  [[gnu::always_inline]] static void Load(const LaneRows<Block>& rows, uint32_t b, Ints words[]) {
    static_assert(offsetof(Block, hmask) == 0 && offsetof(Block, qs) == 32);
    ManyWords<kWords>(rows, b, 0, words);
  }
  [[gnu::always_inline]] static Ints Code(const Ints words[], int s, int g) {
    const Ints low = BitsOf(words[8 + 8 * (s / 4) + g], 2 * (s % 4), 3);
    const Ints high = s < 2    ? ShiftLeft16(words[g], 2 - s)
                      : s == 2 ? words[g]
                               : ShiftRight16(words[g], s - 2);
    return Or(low, And(high, SetBytes(4)));
  }
  // The same bits as UnpackQ3Scales takes.
  [[gnu::always_inline]] static void LoadScales(const LaneRows<Block>& rows, uint32_t b,
                                                ScaleWords& to) {
    Ints packed[4];  // from four bytes before the scales
    Words(rows, b, offsetof(Block, scales) - 4, packed);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const Ints low = BitsOf(packed[1 + i % 2], i / 2 * 4, 15);
      const Ints high = i < 2    ? ShiftLeft16(packed[3], 4 - 2 * i)
                        : i == 2 ? packed[3]
                                 : ShiftRight16(packed[3], 2);
      to.scales[i] = SubBytes(Or(low, And(high, SetBytes(48))), SetBytes(32));
    }
    to.d = HighHalves(Word(rows, b, offsetof(Block, d) - 2));
  }
};

// Bytes `low` and `high` of every word as two 16-bit numbers.
template <bool kSigned>
[[gnu::always_inline]] inline Ints Pair(Ints words, int low, int high) {
  const int zero = 0x80;
  const int at = kSigned ? zero | low << 8 | zero << 16 | high << 24
                         : low | zero << 8 | high << 16 | zero << 24;
  const int each = 0x04000400 >> (kSigned ? 0 : 8);
  const Ints pair = PickBytes(
      words, Repeat128(_mm_setr_epi32(at, at + each, at + 2 * each, at + 3 * each)));
  return kSigned ? SignedRight16(pair, 8) : pair;
}

// Byte i of every word as DotWords wants a factor.
template <bool kSigned>
[[gnu::always_inline]] inline Ints Factor(Ints words, int i) {
  if constexpr (!kVnni) return Pair<kSigned>(words, i, i);
  const int zero = 0x80;
  const int at = kSigned ? zero | zero << 8 | zero << 16 | i << 24
                         : i | zero << 8 | zero << 16 | zero << 24;
  const int each = kSigned ? 0x04000000 : 0x04;
  const Ints wide = PickBytes(
      words, Repeat128(_mm_setr_epi32(at, at + each, at + 2 * each, at + 3 * each)));
  return kSigned ? ShiftRight<24>(wide) : wide;
}

// Factors p of the activations' sums: x.sums[2 p] and x.sums[2 p + 1] have one each.
template <typename Type>
[[gnu::always_inline]] inline Ints SumFactors(const ScaleWords& scales, int p) {
  const Ints* words = Type::kMin ? scales.mins : scales.scales;
  constexpr bool kSigned = !Type::kMin && LanesK<Type>::kSignedScales;
  if constexpr (Type::kSub == 32) return Pair<kSigned>(words[p / 4], p % 4, p % 4);
  return Pair<kSigned>(words[p / 2], p % 2 * 2, p % 2 * 2 + 1);
}

template <typename Type, bool kOne>
void FewColumnsK(const MatMulArgs& a) {
  using Block = typename Type::Block;
  using Lanes = LanesK<Type>;
  constexpr int kGroups = Type::kSub / kCodesPerWord;
  const uint32_t blocks = a.k / kBlockK, columns = kOne ? 1 : a.m;
  LaneRows<Block> rows(a);
  for (uint32_t step = 0; step < rows.steps(); ++step) {
    rows.Go(step);
    Floats sum[kOne ? 1 : kFewColumns];
    for (uint32_t j = 0; j < columns; ++j) sum[j] = ZeroFloats();
    for (uint32_t b = 0; b < blocks; ++b) {
      Ints words[Lanes::kWords];
      Lanes::Load(rows, b, words);
      ScaleWords scales;
      Lanes::LoadScales(rows, b, scales);
      Ints dot[kOne ? 1 : kFewColumns], sum_factors[kPartsK];
      for (uint32_t j = 0; j < columns; ++j) dot[j] = ZeroInts();
#pragma GCC unroll 8
      for (int s = 0; s < kPartsK; ++s) {
#pragma GCC unroll 2
        for (int r = s; r < kLanes; r += kPartsK) rows.template Fetch<sizeof(Block)>(r, b);
        Ints codes[kWords32], factors[kWords32 / kGroups];
#pragma GCC unroll 8
        for (int g = 0; g < kWords32; ++g) codes[g] = Lanes::Code(words, s, g);
#pragma GCC unroll 2
        for (int f = 0; f < kWords32 / kGroups; ++f) {
          const int at = s * kWords32 / kGroups + f;
          factors[f] = Factor<Lanes::kSignedScales>(scales.scales[at / 4], at % 4);
        }
        sum_factors[s] = SumFactors<Type>(scales, s);
        const std::byte* column = a.x;
#pragma GCC unroll 2
        for (uint32_t j = 0; j < columns; ++j, column += a.x_stride) {
          const ActivationQ8_K x = ViewQ8_K(column, a.k);
          const int8_t* x_codes = x.codes + size_t{b} * kBlockK + s * kBlock32;
#pragma GCC unroll 2
          for (int f = 0; f < kWords32 / kGroups; ++f) {
            dot[j] = DotWords<kGroups, Type::kMaxCode, false, true>(
                codes + kGroups * f, x_codes + Type::kSub * f, factors[f], dot[j]);
          }
        }
      }
      const std::byte* column = a.x;
      for (uint32_t j = 0; j < columns; ++j, column += a.x_stride) {
        const ActivationQ8_K x = ViewQ8_K(column, a.k);
        Ints offset = ZeroInts();
#pragma GCC unroll 8
        for (int s = 0; s < kPartsK; ++s) {
          offset = PairDotAdd(offset, sum_factors[s], Broadcast(x.sums + size_t{b} * 16 + 2 * s));
        }
        if constexpr (!Type::kMin) dot[j] = Sub(dot[j], ShiftLeft<Lanes::kOffsetShift>(offset));
        const Floats scale = SetFloats(x.scales[b]);
        sum[j] = MulAdd(Mul(scales.d, scale), ToFloats(dot[j]), sum[j]);
        if constexpr (Type::kMin) {
          sum[j] = NegMulAdd(Mul(scales.dmin, scale), ToFloats(offset), sum[j]);
        }
      }
    }
    for (uint32_t j = 0; j < columns; ++j) rows.Store(step, j, sum[j]);
  }
}

}  // namespace
}  // namespace edgewise::kernels
