// Weight rows as lanes: which rows are computed side by side, how they are fetched, and their packed
// bytes transposed in registers.
#pragma once

#include "kernels/kernels.h"
#include "kernels/x86/unpack-inl.h"
#include "kernels/x86/vectors-inl.h"

namespace edgewise::kernels {
namespace {

// The rows of a call, kLanes at a time. A lane walks rows of its own that follow one another, so that it is
// one long stream, which hardware prefetchers learn and which is asked for prefetch_bytes before its use.
// (The groups of neighbouring rows that this replaced are kLanes streams of one row each: 8 to 9 GB/s of
// the 16 that a plain loop reads, and 9 to 12 with the next group prefetched in any manner. Shares of a
// plain loop's speed with two threads, calls of 256 rows of 1152 bytes: 90% with 512 bytes ahead, 86% with
// a row, 80% with 4096 bytes; of 64 rows: 88%, 79% and 71%. Of whole models, in single runs, 256 to 1024
// bytes were the same within their spread of 5%, and 2048 lost 10%.)
template <typename Block>
class LaneRows {
 public:
  // The lanes of vector `part` of `parts` that are computed side by side.
  explicit LaneRows(const MatMulArgs& a, uint32_t part = 0, uint32_t parts = 1)
      : args_(a),
        ahead_(a.prefetch_bytes),
        first_lane_(part * kLanes),
        steps_(RowsOfLane(a.rows, parts * kLanes, a.w_stride)) {}

  // Every lane's number of rows.
  uint32_t steps() const { return steps_; }

  // Goes to row `step` of every lane. Beyond the last row it is the last one again, not stored.
  [[gnu::always_inline]] void Go(uint32_t step) {
#pragma GCC unroll 16
    for (uint32_t r = 0; r < kLanes; ++r) {
      const uint32_t wanted = (first_lane_ + r) * steps_ + step;
      const uint32_t i = wanted < args_.rows ? wanted : args_.rows - 1;
      rows_[r] = reinterpret_cast<const Block*>(args_.w + i * args_.w_stride);
    }
  }

  // Asks for the lines of kBytes, as far ahead, from the beginning of lane r's block b on.
  template <size_t kBytes>
  [[gnu::always_inline]] void Fetch(int r, uint32_t b) const {
#pragma GCC unroll 4
    for (size_t line = 0; line < kBytes; line += kLine) {
      _mm_prefetch(reinterpret_cast<const char*>(rows_[r] + b) + ahead_ + line, _MM_HINT_T0);
    }
  }

  // What Fetch of as many bytes from there on asks for first.
  [[gnu::always_inline]] const char* Ahead(int r, uint32_t b) const {
    return reinterpret_cast<const char*>(rows_[r] + b) + ahead_;
  }

  // The same with blocks below a line: every lane's next line, in as many turns as blocks lie in a line.
  [[gnu::always_inline]] void FetchTurn(uint32_t b) const {
    constexpr uint32_t kTurns = sizeof(Block) > 32 ? 2 : 4;
#pragma GCC unroll 16
    for (uint32_t r = 0; r < kLanes / kTurns; ++r) {
      Fetch<1>(static_cast<int>(b % kTurns * (kLanes / kTurns) + r), b);
    }
  }

  [[gnu::always_inline]] const uint8_t* At(int r, uint32_t b, size_t offset) const {
    return reinterpret_cast<const uint8_t*>(rows_[r] + b) + offset;
  }

  // y of row `step` of every lane.
  [[gnu::always_inline]] void Store(uint32_t step, uint32_t column, Floats sum) const {
    float sums[kLanes];
    StoreFloats(sums, sum);
    float* y = args_.y + column * args_.y_stride;
#pragma GCC unroll 16
    for (uint32_t r = 0; r < kLanes; ++r) {
      const uint32_t i = (first_lane_ + r) * steps_ + step;
      if (i < args_.rows) y[i] = sums[r];
    }
  }

 private:
  static constexpr size_t kLine = 64;
  const MatMulArgs& args_;
  const size_t ahead_;
  const uint32_t first_lane_, steps_;
  const Block* rows_[kLanes];
};

// Words: lane r of a vector holds four bytes of row r, so products need no sum across lanes.
// out[i] = bytes offset + 4 i .. offset + 4 i + 3 of block b of every row, i < 4.
//
// Rows are paired (AVX-512: four of them) by inserting a load into the upper lanes, which costs no
// shuffle; eight shuffles then transpose 16 bytes of every row, less than adding across lanes would cost
// for a single column (three hadds of three instructions each, and their permutes).
template <typename Block>
[[gnu::always_inline]] inline void Words(const LaneRows<Block>& rows, uint32_t b, size_t offset,
                                         Ints out[4]) {
  Ints a[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const __m256i pair =
        _mm256_inserti128_si256(_mm256_castsi128_si256(Load128(rows.At(i, b, offset))),
                                Load128(rows.At(4 + i, b, offset)), 1);
#if defined(__AVX512VNNI__)
    a[i] = _mm512_inserti32x4(_mm512_castsi256_si512(pair), Load128(rows.At(8 + i, b, offset)), 2);
    a[i] = _mm512_inserti32x4(a[i], Load128(rows.At(12 + i, b, offset)), 3);
#else
    a[i] = pair;
#endif
  }
  const Ints t0 = UnpackLow32(a[0], a[1]), t1 = UnpackHigh32(a[0], a[1]);
  const Ints t2 = UnpackLow32(a[2], a[3]), t3 = UnpackHigh32(a[2], a[3]);
  out[0] = UnpackLow64(t0, t2);
  out[1] = UnpackHigh64(t0, t2);
  out[2] = UnpackLow64(t1, t3);
  out[3] = UnpackHigh64(t1, t3);
}

[[gnu::always_inline]] inline __m128i LoadWord(const void* p) {
  return _mm_cvtsi32_si128(static_cast<int>(LoadU32(p)));
}

// The four bytes at `offset` of block b of every row.
template <typename Block>
[[gnu::always_inline]] inline Ints Word(const LaneRows<Block>& rows, uint32_t b, size_t offset) {
  __m128i four[kLanes / 4];
#pragma GCC unroll 4
  for (int q = 0; q < kLanes / 4; ++q) {
    const int r = 4 * q;
    four[q] = _mm_unpacklo_epi64(
        _mm_unpacklo_epi32(LoadWord(rows.At(r, b, offset)), LoadWord(rows.At(r + 1, b, offset))),
        _mm_unpacklo_epi32(LoadWord(rows.At(r + 2, b, offset)),
                           LoadWord(rows.At(r + 3, b, offset))));
  }
  const __m256i low = _mm256_inserti128_si256(_mm256_castsi128_si256(four[0]), four[1], 1);
#if defined(__AVX512VNNI__)
  const __m256i high = _mm256_inserti128_si256(_mm256_castsi128_si256(four[2]), four[3], 1);
  return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
#else
  return low;
#endif
}

// The binary16 at `offset` of block b of every row, as floats. (Two-byte stores that a 16-byte load
// gathers cannot be forwarded: half of a Q4_0 block's time.)
template <typename Block>
[[gnu::always_inline]] inline Floats Halves(const LaneRows<Block>& rows, uint32_t b,
                                            size_t offset) {
  __m128i eight[kLanes / 8];
#pragma GCC unroll 2
  for (int q = 0; q < kLanes / 8; ++q) {
    __m128i two[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const int r = 8 * q + 2 * i;
      two[i] = _mm_unpacklo_epi16(LoadWord(rows.At(r, b, offset)),
                                  LoadWord(rows.At(r + 1, b, offset)));
    }
    eight[q] = _mm_unpacklo_epi64(_mm_unpacklo_epi32(two[0], two[1]),
                                  _mm_unpacklo_epi32(two[2], two[3]));
  }
#if defined(__AVX512VNNI__)
  return _mm512_cvtph_ps(
      _mm256_inserti128_si256(_mm256_castsi128_si256(eight[0]), eight[1], 1));
#else
  return _mm256_cvtph_ps(eight[0]);
#endif
}

// The lower and the upper half of every lane, binary16 as floats.
[[gnu::always_inline]] inline Floats LowHalves(Ints words) {
#if defined(__AVX512VNNI__)
  return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(words));
#else
  const Ints packed = PickBytes(
      words, Repeat128(_mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, -1, -1, -1, -1, -1, -1, -1, -1)));
  return _mm256_cvtph_ps(_mm256_castsi256_si128(_mm256_permute4x64_epi64(packed, 0x08)));
#endif
}
[[gnu::always_inline]] inline Floats HighHalves(Ints words) {
  return LowHalves(ShiftRight<16>(words));
}

}  // namespace
}  // namespace edgewise::kernels
