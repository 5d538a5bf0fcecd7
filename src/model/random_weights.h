// Random weights in any tensor type, made as fast as a disk takes them: random codes under valid
// scales, never a float rounded to a block.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "quant/dtype.h"

namespace edgewise {

// xoshiro256++ (Blackman and Vigna, public domain): 8 bytes in about a nanosecond. Not for secrets.
class RandomBits {
 public:
  explicit RandomBits(uint64_t seed);

  uint64_t Next() {
    const auto rotate = [](uint64_t x, int n) { return x << n | x >> (64 - n); };
    const uint64_t result = rotate(state_[0] + state_[3], 23) + state_[0];
    const uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = rotate(state_[3], 45);
    return result;
  }

 private:
  uint64_t state_[4];
};

// Weights of mean 0 and a given standard deviation, independent of each other but for the scale
// that those of a block share. Floats are normally distributed (4096 levels); codes are uniform,
// all of them occur, scales vary by a factor of two and have both signs where the encoders use
// both.
class RandomWeights {
 public:
  RandomWeights(DType type, double deviation);

  // Fills whole blocks; the same seed and size give the same bytes. Requires out.size() to be a
  // multiple of the type's block_bytes. Thread-safe.
  void Fill(uint64_t seed, std::span<std::byte> out) const;

 private:
  struct Scale {
    uint16_t d = 0, m = 0;  // f16; m: the block's second scale, where it has one
  };

  void SetScales(double deviation, double code_deviation, double m_per_d, bool both_signs);
  template <typename Block, typename Patch>
  static void FillBlocks(RandomBits& bits, std::span<std::byte> out, Patch patch);

  DType type_;
  std::array<Scale, 16> scales_;  // chosen by four random bits
  std::vector<uint32_t> levels_;  // of the float types, as stored
};

}  // namespace edgewise
