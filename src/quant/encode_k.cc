// The K-quants: 256 weights in sub-blocks whose own scales are small integers times one or two
// half-precision scales. Three steps: the best scale of each sub-block on its own; the common
// scale that makes the largest of them representable; then, alternating, the integer scales by
// trial of their neighbours and the common scales by least squares.
#include <algorithm>
#include <cstring>

#include "quant/encode_blocks.h"
#include "quant/scale_search.h"

namespace edgewise::quant_internal {
namespace {

constexpr size_t kN = kBlockK;

// Rounds of trying integer scales and refitting the common ones, and how far from the present
// integer to try. Measured on Q4_K: a third round gains 0.1% of the error, a reach of 2 gains 0.3%
// at twice the time.
constexpr int kRounds = 3;
constexpr int kReach = 1;

struct SuperBlock {
  SuperBlock(const float* src, const float* importance) : half(BlockExponent<kN>(src)) {
    ScaleBlock<kN>(src, half.exponent(), x);
    has_importance = importance != nullptr && NormaliseImportance<kN>(importance, w);
  }
  HalfScale half;
  float x[kN];
  float w[kN];
  bool has_importance;
};

// w = d * scale * q, q in kLo..kHi. Errors are weighted with x^2 and half its mean.
template <int kLo, int kHi, int kScaleLo, int kScaleHi>
struct SymmetricSuper {
  static constexpr size_t kSub = 16;
  static constexpr size_t kGroups = kN / kSub;
  static constexpr float kWeightShare = 0.5f;
  using Levels = IntegerLevels<kLo, kHi>;

  uint16_t d = 0;
  int scales[kGroups] = {};
  int codes[kN] = {};

  void Encode(SuperBlock& b) {
    float ideal[kGroups];
    float peak = 0;
    for (size_t j = 0; j < kGroups; ++j) {
      const float* x = b.x + j * kSub;
      float* w = b.w + j * kSub;
      if (!b.has_importance) SquareWeights<kSub>(x, kWeightShare, w);
      ideal[j] = FindSymmetricScale<Levels, kSub>(x, w);
      if (std::fabs(ideal[j]) > std::fabs(peak)) peak = ideal[j];
    }
    float best_error = INFINITY;
    float common = peak / kScaleLo;
    int trial[kGroups] = {};
    for (int round = 0; round < kRounds; ++round) {
      const uint16_t bits = b.half.Bits(common);
      const float value = b.half.Value(bits);
      const float inverse = Reciprocal(value);
      float error = 0;
      for (size_t j = 0; j < kGroups; ++j) {
        const float centre = round == 0 ? Nearest(Clamp(ideal[j] * inverse, kScaleLo, kScaleHi))
                                        : static_cast<float>(trial[j]);
        error += BestScale(b, j, value, centre, trial[j]);
      }
      if (!(error < best_error)) break;
      best_error = error;
      d = bits;
      std::copy(trial, trial + kGroups, scales);
      common = Refit(b, value);
    }
    const float value = b.half.Value(d);
    for (size_t i = 0; i < kN; ++i) {
      const float inverse = Reciprocal(value * static_cast<float>(scales[i / kSub]));
      codes[i] = static_cast<int>(Levels::Snap(b.x[i] * inverse));
    }
  }

 private:
  static float BestScale(const SuperBlock& b, size_t j, float value, float centre, int& scale) {
    float best = INFINITY;
    for (float s = centre - kReach; s <= centre + kReach; ++s) {
      if (s < kScaleLo || s > kScaleHi) continue;
      const float error = SymmetricError<Levels, kSub>(b.x + j * kSub, b.w + j * kSub, value * s);
      if (error < best) {
        best = error;
        scale = static_cast<int>(s);
      }
    }
    return best;
  }

  float Refit(const SuperBlock& b, float value) const {
    float sum_xa = 0, sum_aa = 0;
    for (size_t j = 0; j < kGroups; ++j) {
      const float s = static_cast<float>(scales[j]);
      const float inverse = Reciprocal(value * s);
      float xa[kSub], aa[kSub];
      for (size_t i = 0; i < kSub; ++i) {
        const float x = b.x[j * kSub + i];
        const float a = s * Levels::Snap(x * inverse);
        const float wa = b.w[j * kSub + i] * a;
        xa[i] = wa * x;
        aa[i] = wa * a;
      }
      sum_xa += Sum(xa);
      sum_aa += Sum(aa);
    }
    return sum_aa > 0 ? sum_xa / sum_aa : 0;
  }
};

// w = d * scale * q - dmin * min, q in 0..kMax. Errors are weighted with |x| and the root mean
// square; with four levels only, little of the latter: large weights are what such a row keeps.
template <size_t kSub, int kMax, int kScaleMax>
struct AffineSuper {
  static constexpr size_t kGroups = kN / kSub;
  static constexpr float kWeightShare = kMax > 3 ? 1.0f : 0.1f;

  uint16_t d = 0;
  uint16_t dmin = 0;
  int scales[kGroups] = {};
  int mins[kGroups] = {};
  int codes[kN] = {};

  void Encode(SuperBlock& b) {
    Affine ideal[kGroups];
    float top_scale = 0, top_min = 0;
    for (size_t j = 0; j < kGroups; ++j) {
      const float* x = b.x + j * kSub;
      float* w = b.w + j * kSub;
      if (!b.has_importance) LinearWeights<kSub>(x, kWeightShare, w);
      ideal[j] = AffineSearch<kMax, kSub, true>(x, w).Find();
      top_scale = std::max(top_scale, ideal[j].scale);
      top_min = std::max(top_min, -ideal[j].min);
    }
    float best_error = INFINITY;
    float common = top_scale / kScaleMax, common_min = top_min / kScaleMax;
    int trial[kGroups] = {}, trial_min[kGroups] = {};
    for (int round = 0; round < kRounds; ++round) {
      const uint16_t bits = b.half.Bits(common);
      const uint16_t min_bits = b.half.Bits(common_min);
      const float value = b.half.Value(bits);
      const float min_value = b.half.Value(min_bits);
      float error = 0;
      for (size_t j = 0; j < kGroups; ++j) {
        if (round == 0) {
          trial[j] =
              static_cast<int>(Nearest(Clamp(ideal[j].scale * Reciprocal(value), 0, kScaleMax)));
          trial_min[j] =
              static_cast<int>(Nearest(Clamp(-ideal[j].min * Reciprocal(min_value), 0, kScaleMax)));
        }
        error += BestPair(b, j, value, min_value, trial[j], trial_min[j]);
      }
      if (!(error < best_error)) break;
      best_error = error;
      d = bits;
      dmin = min_bits;
      std::copy(trial, trial + kGroups, scales);
      std::copy(trial_min, trial_min + kGroups, mins);
      Refit(b, value, min_value, common, common_min);
    }
    const float value = b.half.Value(d);
    const float min_value = b.half.Value(dmin);
    for (size_t i = 0; i < kN; ++i) {
      const float inverse = Reciprocal(value * static_cast<float>(scales[i / kSub]));
      const float min = min_value * static_cast<float>(mins[i / kSub]);
      codes[i] = static_cast<int>(Nearest(Clamp((b.x[i] + min) * inverse, 0, kMax)));
    }
  }

 private:
  static float BestPair(const SuperBlock& b, size_t j, float value, float min_value, int& scale,
                        int& min) {
    const int s0 = scale, m0 = min;
    float best = INFINITY;
    for (int s = std::max(s0 - kReach, 0); s <= std::min(s0 + kReach, kScaleMax); ++s) {
      for (int m = std::max(m0 - kReach, 0); m <= std::min(m0 + kReach, kScaleMax); ++m) {
        const Affine a = {value * static_cast<float>(s), -min_value * static_cast<float>(m)};
        const float error = AffineError<kMax, kSub>(b.x + j * kSub, b.w + j * kSub, a);
        if (error < best) {
          best = error;
          scale = s;
          min = m;
        }
      }
    }
    return best;
  }

  // x ~ common * (s q) - common_min * m for the levels that the present scales give.
  void Refit(const SuperBlock& b, float value, float min_value, float& common,
             float& common_min) const {
    float sum_xa = 0, sum_xm = 0, sum_aa = 0, sum_am = 0, sum_mm = 0;
    for (size_t j = 0; j < kGroups; ++j) {
      const float s = static_cast<float>(scales[j]);
      const float m = static_cast<float>(mins[j]);
      const float inverse = Reciprocal(value * s);
      float xa[kSub], aa[kSub], wt[kSub], wx[kSub], wa[kSub];
      for (size_t i = 0; i < kSub; ++i) {
        const float x = b.x[j * kSub + i];
        const float a = s * Nearest(Clamp((x + min_value * m) * inverse, 0, kMax));
        wt[i] = b.w[j * kSub + i];
        wa[i] = wt[i] * a;
        wx[i] = wt[i] * x;
        xa[i] = wa[i] * x;
        aa[i] = wa[i] * a;
      }
      sum_xa += Sum(xa);
      sum_aa += Sum(aa);
      sum_am += m * Sum(wa);
      sum_xm += m * Sum(wx);
      sum_mm += m * m * Sum(wt);
    }
    const float det = sum_aa * sum_mm - sum_am * sum_am;
    if (det > 1e-6f * sum_aa * sum_mm) {
      common = (sum_xa * sum_mm - sum_xm * sum_am) / det;
      common_min = (sum_xa * sum_am - sum_xm * sum_aa) / det;
    } else if (sum_aa > 0) {
      common = sum_xa / sum_aa;
      common_min = 0;
    }
    common = std::max(common, 0.0f);
    common_min = std::max(common_min, 0.0f);
  }
};

// Two bits of each weight, four weights 32 apart in a byte (Q2_K, Q3_K).
void PackPlanes(const int* codes, uint8_t* qs) {
  for (int h = 0; h < 2; ++h) {
    for (int l = 0; l < 32; ++l) {
      const int* c = codes + 128 * h + l;
      qs[32 * h + l] =
          static_cast<uint8_t>((c[0] & 3) | (c[32] & 3) << 2 | (c[64] & 3) << 4 | (c[96] & 3) << 6);
    }
  }
}

// Low four bits, weights 32 apart in a byte (Q4_K, Q5_K).
void PackNibbles(const int* codes, uint8_t* qs) {
  for (int c = 0; c < 4; ++c) {
    for (int l = 0; l < 32; ++l) {
      qs[32 * c + l] =
          static_cast<uint8_t>((codes[64 * c + l] & 15) | (codes[64 * c + 32 + l] & 15) << 4);
    }
  }
}

// The inverse of UnpackScalesMins.
void PackScalesMins(const int* scales, const int* mins, uint8_t packed[12]) {
  for (int j = 0; j < 4; ++j) {
    packed[j] = static_cast<uint8_t>(scales[j] | scales[4 + j] >> 4 << 6);
    packed[4 + j] = static_cast<uint8_t>(mins[j] | mins[4 + j] >> 4 << 6);
    packed[8 + j] = static_cast<uint8_t>((scales[4 + j] & 15) | (mins[4 + j] & 15) << 4);
  }
}

}  // namespace

void Encode(const float* x, const float* importance, BlockQ2_K& out) {
  SuperBlock b(x, importance);
  AffineSuper<16, 3, 15> s;
  s.Encode(b);
  out.d = s.d;
  out.dmin = s.dmin;
  for (int j = 0; j < 16; ++j) out.scales[j] = static_cast<uint8_t>(s.scales[j] | s.mins[j] << 4);
  PackPlanes(s.codes, out.qs);
}

void Encode(const float* x, const float* importance, BlockQ3_K& out) {
  SuperBlock b(x, importance);
  SymmetricSuper<-4, 3, -32, 31> s;
  s.Encode(b);
  out.d = s.d;
  for (int& code : s.codes) code += 4;
  PackPlanes(s.codes, out.qs);
  std::memset(out.hmask, 0, sizeof(out.hmask));
  for (int i = 0; i < 256; ++i) {
    out.hmask[i % 32] |= static_cast<uint8_t>((s.codes[i] >> 2) << (i / 32));
  }
  std::memset(out.scales, 0, sizeof(out.scales));
  for (int j = 0; j < 16; ++j) {
    const int scale = s.scales[j] + 32;
    out.scales[j % 8] |= static_cast<uint8_t>((scale & 15) << (j / 8 * 4));
    out.scales[8 + j % 4] |= static_cast<uint8_t>((scale >> 4) << (j / 4 * 2));
  }
}

void Encode(const float* x, const float* importance, BlockQ4_K& out) {
  SuperBlock b(x, importance);
  AffineSuper<32, 15, 63> s;
  s.Encode(b);
  out.d = s.d;
  out.dmin = s.dmin;
  PackScalesMins(s.scales, s.mins, out.scales);
  PackNibbles(s.codes, out.qs);
}

void Encode(const float* x, const float* importance, BlockQ5_K& out) {
  SuperBlock b(x, importance);
  AffineSuper<32, 31, 63> s;
  s.Encode(b);
  out.d = s.d;
  out.dmin = s.dmin;
  PackScalesMins(s.scales, s.mins, out.scales);
  PackNibbles(s.codes, out.qs);
  std::memset(out.qh, 0, sizeof(out.qh));
  for (int i = 0; i < 256; ++i) {
    out.qh[i % 32] |= static_cast<uint8_t>((s.codes[i] >> 4) << (i / 32));
  }
}

void Encode(const float* x, const float* importance, BlockQ6_K& out) {
  SuperBlock b(x, importance);
  SymmetricSuper<-32, 31, -128, 127> s;
  s.Encode(b);
  out.d = s.d;
  for (int j = 0; j < 16; ++j) out.scales[j] = static_cast<int8_t>(s.scales[j]);
  std::memset(out.qh, 0, sizeof(out.qh));
  for (int h = 0; h < 2; ++h) {
    for (int l = 0; l < 32; ++l) {
      int q[4];
      for (int r = 0; r < 4; ++r) q[r] = s.codes[128 * h + 32 * r + l] + 32;
      out.ql[64 * h + l] = static_cast<uint8_t>((q[0] & 15) | (q[2] & 15) << 4);
      out.ql[64 * h + 32 + l] = static_cast<uint8_t>((q[1] & 15) | (q[3] & 15) << 4);
      for (int r = 0; r < 4; ++r) out.qh[32 * h + l] |= static_cast<uint8_t>(q[r] >> 4 << (2 * r));
    }
  }
}

}  // namespace edgewise::quant_internal
