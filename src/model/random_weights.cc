#include "model/random_weights.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "quant/blocks.h"
#include "quant/half.h"

namespace edgewise {
namespace {

constexpr size_t kLevels = 4096;

// Quantiles (i + 1/2) / 4096 of the standard normal distribution, scaled to variance 1 exactly.
const std::array<float, kLevels>& NormalLevels() {
  static const std::array<float, kLevels> levels = [] {
    std::array<double, kLevels> z;
    double squares = 0;
    for (size_t i = 0; i < kLevels / 2; ++i) {
      const double upper_tail = (static_cast<double>(i) + 0.5) / kLevels;
      double low = 0, high = 10;  // P(X > x) falls with x; 60 halvings reach double precision
      for (int step = 0; step < 60; ++step) {
        const double middle = (low + high) / 2;
        (std::erfc(middle / std::sqrt(2.0)) / 2 > upper_tail ? low : high) = middle;
      }
      z[i] = -low;
      z[kLevels - 1 - i] = low;
      squares += 2 * low * low;
    }
    std::array<float, kLevels> out;
    const double unit = std::sqrt(kLevels / squares);
    for (size_t i = 0; i < kLevels; ++i) out[i] = static_cast<float>(z[i] * unit);
    return out;
  }();
  return levels;
}

// Root mean square of the integers lo..hi, equally likely.
constexpr double SumOfSquares(int lo, int hi) {
  double sum = 0;
  for (int i = lo; i <= hi; ++i) sum += static_cast<double>(i) * i;
  return sum;
}
double Rms(int lo, int hi) { return std::sqrt(SumOfSquares(lo, hi) / (hi - lo + 1)); }

// Deviation of a uniform code of `n` levels about its mean.
double UniformDeviation(int n) { return std::sqrt((static_cast<double>(n) * n - 1) / 12); }

void FillBytes(RandomBits& bits, std::byte* out, size_t bytes) {
  size_t i = 0;
  for (; i + 8 <= bytes; i += 8) {
    const uint64_t word = bits.Next();
    std::memcpy(out + i, &word, 8);
  }
  if (i < bytes) {
    const uint64_t word = bits.Next();
    std::memcpy(out + i, &word, bytes - i);
  }
}

// Levels chosen by 16 random bits each, of which 12 count.
template <typename T>
void FillFloats(RandomBits& bits, const std::vector<uint32_t>& levels, std::span<std::byte> out) {
  constexpr size_t kPerStore = 8 / sizeof(T), kStores = 4 / kPerStore;
  size_t at = 0;
  while (at < out.size()) {
    const uint64_t word = bits.Next();
    for (size_t s = 0; s < kStores && at < out.size(); ++s) {
      uint64_t packed = 0;  // put together in a register: one store of 8 bytes, not four of 2
      for (size_t i = 0; i < kPerStore; ++i) {
        const uint64_t level = levels[word >> (16 * (s * kPerStore + i)) & (kLevels - 1)];
        packed |= level << (8 * sizeof(T) * i);
      }
      const size_t bytes = std::min(sizeof(packed), out.size() - at);
      std::memcpy(out.data() + at, &packed, bytes);
      at += bytes;
    }
  }
}

// Q4_K and Q5_K: eight scales in 32..63 and mins equal to them, in the packing of blocks.h: the
// random bytes already there supply the bits, bytes 4..7 repeat 0..3, nibbles repeat in 8..11.
void SetEqualScalesAndMins(uint8_t packed[12]) {
  for (int j = 0; j < 4; ++j) {
    packed[j] |= 0xa0;  // bit 5 of scale j and of scale 4 + j
    packed[4 + j] = packed[j];
    packed[8 + j] = static_cast<uint8_t>((packed[8 + j] & 15) * 0x11);
  }
}

}  // namespace

RandomBits::RandomBits(uint64_t seed) {
  // splitmix64, as the generator's authors advise: no seed gives the forbidden all-zero state.
  for (uint64_t& word : state_) {
    seed += 0x9e3779b97f4a7c15u;
    uint64_t z = seed;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    word = z ^ (z >> 31);
  }
}

void RandomWeights::SetScales(double deviation, double code_deviation, double m_per_d,
                              bool both_signs) {
  // Eight magnitudes in [2/3, 4/3], scaled so that the mean square is 1.
  std::array<double, 8> magnitudes;
  double squares = 0;
  for (int i = 0; i < 8; ++i) {
    magnitudes[i] = (2.0 + 2.0 * i / 7) / 3;
    squares += magnitudes[i] * magnitudes[i];
  }
  const double unit = deviation / code_deviation / std::sqrt(squares / 8);
  for (int i = 0; i < 16; ++i) {
    const double d = magnitudes[i % 8] * unit * (both_signs && i >= 8 ? -1 : 1);
    scales_[i] = {F32ToF16(static_cast<float>(d)), F32ToF16(static_cast<float>(d * m_per_d))};
  }
}

RandomWeights::RandomWeights(DType type, double deviation) : type_(type) {
  const double scales_6bit = std::sqrt(SumOfSquares(32, 63) / 32);
  switch (type) {
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
      for (const float level : NormalLevels()) {
        const float w = level * static_cast<float>(deviation);
        levels_.push_back(type == DType::kF32   ? std::bit_cast<uint32_t>(w)
                          : type == DType::kF16 ? F32ToF16(w)
                                                : F32ToBf16(w));
      }
      break;
    // Where zero is not in the middle of the codes, the sign of the scale is random: else all
    // weights share an offset, which a deep network amplifies until every token gives the same
    // logits.
    case DType::kQ4_0:
      SetScales(deviation, Rms(-8, 7), 0, true);
      break;
    case DType::kQ5_0:
      SetScales(deviation, Rms(-16, 15), 0, true);
      break;
    case DType::kQ8_0:
      SetScales(deviation, Rms(-127, 127), 0, false);
      break;
    case DType::kIQ4_NL: {
      double squares = 0;
      for (const int8_t level : kIq4NlValues) squares += static_cast<double>(level) * level;
      SetScales(deviation, std::sqrt(squares / 16), 0, true);
      break;
    }
    case DType::kQ3_K:
      SetScales(deviation, Rms(-32, 31) * Rms(-4, 3), 0, true);
      break;
    case DType::kQ6_K:
      SetScales(deviation, Rms(-128, 127) * Rms(-32, 31), 0, true);
      break;
    // Where there is a min, it puts zero in the middle of the codes.
    case DType::kQ4_1:
      SetScales(deviation, UniformDeviation(16), -7.5, false);
      break;
    case DType::kQ5_1:
      SetScales(deviation, UniformDeviation(32), -15.5, false);
      break;
    case DType::kQ2_K:
      SetScales(deviation, std::sqrt(SumOfSquares(8, 15) / 8) * UniformDeviation(4), 1.5, false);
      break;
    case DType::kQ4_K:
      SetScales(deviation, scales_6bit * UniformDeviation(16), 7.5, false);
      break;
    case DType::kQ5_K:
      SetScales(deviation, scales_6bit * UniformDeviation(32), 15.5, false);
      break;
  }
}

template <typename Block, typename Patch>
void RandomWeights::FillBlocks(RandomBits& bits, std::span<std::byte> out, Patch patch) {
  // A stretch at a time: random bytes, then scales over them while they are in L1.
  constexpr size_t kStretch = std::max<size_t>(4096 / sizeof(Block), 1) * sizeof(Block);
  for (size_t begin = 0; begin < out.size(); begin += kStretch) {
    const size_t bytes = std::min(kStretch, out.size() - begin);
    FillBytes(bits, out.data() + begin, bytes);
    Block* const blocks = reinterpret_cast<Block*>(out.data() + begin);
    for (size_t i = 0; i < bytes / sizeof(Block); ++i) patch(blocks[i]);
  }
}

void RandomWeights::Fill(uint64_t seed, std::span<std::byte> out) const {
  EDGEWISE_CHECK(out.size() % InfoOf(type_).block_bytes == 0);
  RandomBits bits(seed);
  const auto set_d = [this](auto& block) { block.d = scales_[block.d & 15].d; };
  const auto set_d_m = [this](auto& block) {
    const Scale& scale = scales_[block.d & 15];
    block.d = scale.d;
    block.m = scale.m;
  };
  const auto set_d_dmin = [this](auto& block) {
    const Scale& scale = scales_[block.d & 15];
    block.d = scale.d;
    block.dmin = scale.m;
  };
  switch (type_) {
    case DType::kF32:
      return FillFloats<uint32_t>(bits, levels_, out);
    case DType::kF16:
    case DType::kBF16:
      return FillFloats<uint16_t>(bits, levels_, out);
    case DType::kQ4_0:
      return FillBlocks<BlockQ4_0>(bits, out, set_d);
    case DType::kQ5_0:
      return FillBlocks<BlockQ5_0>(bits, out, set_d);
    case DType::kIQ4_NL:
      return FillBlocks<BlockIQ4_NL>(bits, out, set_d);
    case DType::kQ3_K:
      return FillBlocks<BlockQ3_K>(bits, out, set_d);
    case DType::kQ6_K:
      return FillBlocks<BlockQ6_K>(bits, out, set_d);
    case DType::kQ8_0:
      return FillBlocks<BlockQ8_0>(bits, out, [&](BlockQ8_0& block) {
        set_d(block);
        // No encoder writes -128: the range is symmetric.
        for (int8_t& q : block.qs) q = static_cast<int8_t>(q == -128 ? -127 : q);
      });
    case DType::kQ4_1:
      return FillBlocks<BlockQ4_1>(bits, out, set_d_m);
    case DType::kQ5_1:
      return FillBlocks<BlockQ5_1>(bits, out, set_d_m);
    case DType::kQ2_K:
      return FillBlocks<BlockQ2_K>(bits, out, [&](BlockQ2_K& block) {
        set_d_dmin(block);
        for (uint8_t& s : block.scales) s = static_cast<uint8_t>(((s & 7) | 8) * 0x11);
      });
    case DType::kQ4_K:
      return FillBlocks<BlockQ4_K>(bits, out, [&](BlockQ4_K& block) {
        set_d_dmin(block);
        SetEqualScalesAndMins(block.scales);
      });
    case DType::kQ5_K:
      return FillBlocks<BlockQ5_K>(bits, out, [&](BlockQ5_K& block) {
        set_d_dmin(block);
        SetEqualScalesAndMins(block.scales);
      });
  }
}

}  // namespace edgewise
