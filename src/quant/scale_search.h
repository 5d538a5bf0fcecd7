// The search for scales that the encoders share. Internal to quant/.
//
// A group of N weights x is written as x[i] ~ scale * q[i] (symmetric) or scale * q[i] + min
// (affine) with few integer levels q. Everything here minimises sum of w[i] * (x[i] - x'[i])^2.
// For given levels the best scale is a least-squares fit; for a given scale the best levels are the
// nearest ones; the joint optimum is found by starting from several scales, alternating the two,
// and keeping the best. Loops are element-wise over fixed N, so that the compiler vectorises them.
//
// Inputs are finite and scaled by the caller so that the largest |x| of a block is in [0.5, 1):
// no square overflows, and thresholds mean the same for every row.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "quant/half.h"

namespace edgewise::quant_internal {

// Nearest integer, ties to even, for |x| < 2^22: the sum's unit in the last place is 1.
// (std::nearbyint is a library call on baseline x86-64.)
inline float Nearest(float x) {
  constexpr float kMagic = 12582912.0f;  // 1.5 * 2^23
  return (x + kMagic) - kMagic;
}

// NaN gives lo, so a conversion to integer after it is always defined.
inline float Clamp(float x, float lo, float hi) {
  x = x > lo ? x : lo;
  return x < hi ? x : hi;
}

inline float Reciprocal(float x) { return x != 0 ? 1 / x : 0; }

// Pairwise, destroying t: fixed order, vectorisable, error log2(N) roundings.
template <size_t N>
float Sum(float (&t)[N]) {
  if constexpr (N > 1) {
    float half[N / 2];
    for (size_t i = 0; i < N / 2; ++i) half[i] = t[i] + t[i + N / 2];
    return Sum(half);
  } else {
    return t[0];
  }
}

template <size_t N>
float MaxAbs(const float* x) {
  float t[N];
  for (size_t i = 0; i < N; ++i) t[i] = std::fabs(x[i]);
  float max = 0;
  for (size_t i = 0; i < N; ++i) max = t[i] > max ? t[i] : max;
  return max;
}

// The e for which the largest |x| * 2^-e is in [0.5, 1). Blocks too small for any half-precision
// scale to be non-zero (below 2^-25) keep e = -30, so that powers of two stay in range.
template <size_t N>
int BlockExponent(const float* x) {
  int exponent = 0;
  std::frexp(Clamp(MaxAbs<N>(x), 0.0f, 3.4028235e38f), &exponent);
  return exponent > -30 ? exponent : -30;
}

template <size_t N>
void ScaleBlock(const float* x, int exponent, float* out) {
  // Two factors: 2^-128 alone would be subnormal.
  const float a = std::ldexp(1.0f, -exponent / 2);
  const float b = std::ldexp(1.0f, -(exponent - exponent / 2));
  for (size_t i = 0; i < N; ++i) out[i] = x[i] * a * b;
}

// importance / its maximum, and no less than 1e-6 of it: columns that calibration never saw still
// have a say where nothing else does. False when there is no usable maximum.
template <size_t N>
bool NormaliseImportance(const float* importance, float* w) {
  const float max = MaxAbs<N>(importance);
  if (!(max > 0 && max <= 3.4028235e38f)) return false;
  for (size_t i = 0; i < N; ++i) w[i] = Clamp(importance[i] / max, 1e-6f, 1.0f);
  return true;
}

// Weights of the squared errors when the caller knows nothing of the activations. Large weights
// matter more than their share of the plain error says (clipping them costs perplexity), so the
// errors are weighted with the magnitude, and some of the group's mean so that small weights are
// not given up.
//   linear: |x| + share * sqrt(mean x^2).   square: x^2 + share * mean x^2.
template <size_t N>
float MeanSquare(const float* x) {
  float xx[N];
  for (size_t i = 0; i < N; ++i) xx[i] = x[i] * x[i];
  return Sum(xx) / N;
}

template <size_t N>
void LinearWeights(const float* x, float share, float* w) {
  const float common = share * std::sqrt(MeanSquare<N>(x));
  for (size_t i = 0; i < N; ++i) w[i] = std::fabs(x[i]) + common;
}

template <size_t N>
void SquareWeights(const float* x, float share, float* w) {
  const float common = share * MeanSquare<N>(x);
  for (size_t i = 0; i < N; ++i) w[i] = x[i] * x[i] + common;
}

// Half-precision scales of a block whose weights were multiplied by 2^-exponent.
class HalfScale {
 public:
  explicit HalfScale(int exponent) : exponent_(exponent) {}
  int exponent() const { return exponent_; }

  // The f16 nearest to the true scale; one too large becomes the largest finite, NaN and -0 zero.
  uint16_t Bits(float scale) const {
    const float value = std::ldexp(scale, exponent_);
    const uint16_t bits = F32ToF16(Clamp(value, -kLargest, kLargest));
    return value == value && (bits & 0x7fff) != 0 ? bits : uint16_t{0};
  }
  // What those bits mean to the multiplied weights. Exact.
  float Value(uint16_t bits) const { return std::ldexp(F16ToF32(bits), -exponent_); }

 private:
  static constexpr float kLargest = 65504;
  int exponent_;
};

// Levels lo..hi, all integers.
template <int kLo, int kHi>
struct IntegerLevels {
  static constexpr float kLargest = kHi > -kLo ? kHi : kLo;  // the level of largest magnitude
  static float Snap(float x) { return Nearest(Clamp(x, kLo, kHi)); }
};

// What a scale leaves: sum of w (x - scale * nearest level)^2.
template <typename Levels, size_t N>
float SymmetricError(const float* x, const float* w, float scale) {
  const float inverse = Reciprocal(scale);
  float t[N];
  for (size_t i = 0; i < N; ++i) {
    const float e = x[i] - scale * Levels::Snap(x[i] * inverse);
    t[i] = w[i] * e * e;
  }
  return Sum(t);
}

// Least-squares scale for the levels nearest under `inverse`. `gain` is the part of sum w x^2 that
// the fit explains: the larger, the better.
struct SymmetricFit {
  float scale = 0;
  float gain = 0;
};

template <typename Levels, size_t N>
SymmetricFit FitSymmetric(const float* x, const float* w, float inverse) {
  float xq[N], qq[N];
  for (size_t i = 0; i < N; ++i) {
    const float q = Levels::Snap(x[i] * inverse);
    const float wq = w[i] * q;
    xq[i] = wq * x[i];
    qq[i] = wq * q;
  }
  const float sum_xq = Sum(xq);
  const float sum_qq = Sum(qq);
  if (!(sum_qq > 0)) return {};
  return {sum_xq / sum_qq, sum_xq * sum_xq / sum_qq};
}

// The best of several fits, alternated until it stays. The starts put the largest weight at
// 0.85 to 1.25 times the level of largest magnitude, with either sign: below 1 the peak gets a
// finer place than the last level, above 1 it is clipped for the sake of the others.
template <typename Levels, size_t N>
float FindSymmetricScale(const float* x, const float* w) {
  constexpr float kFrom = 0.85f, kTo = 1.25f;
  constexpr int kSteps = 16;  // twice as many gain 0.1% of the error
  float peak = 0;
  for (size_t i = 0; i < N; ++i) peak = std::fabs(x[i]) > std::fabs(peak) ? x[i] : peak;
  if (peak == 0) return 0;
  SymmetricFit best;
  float best_inverse = 0;
  constexpr float kSigns[] = {1.0f, -1.0f};
  for (int step = 0; step <= kSteps; ++step) {
    const float stretch = kFrom + (kTo - kFrom) * static_cast<float>(step) / kSteps;
    const float inverse = Levels::kLargest * stretch / peak;
    for (const float sign : kSigns) {
      const float signed_inverse = sign * inverse;
      const SymmetricFit fit = FitSymmetric<Levels, N>(x, w, signed_inverse);
      if (fit.gain > best.gain) {
        best = fit;
        best_inverse = signed_inverse;
      }
    }
  }
  for (int i = 0; i < 4 && best.scale != 0; ++i) {
    const float inverse = 1 / best.scale;
    if (inverse == best_inverse) break;
    const SymmetricFit fit = FitSymmetric<Levels, N>(x, w, inverse);
    if (!(fit.gain > best.gain)) break;
    best = fit;
    best_inverse = inverse;
  }
  return best.scale;
}

// x ~ scale * q + min, q in 0..kMax.
struct Affine {
  float scale = 0;
  float min = 0;
};

template <int kMax, size_t N>
float AffineError(const float* x, const float* w, Affine a) {
  const float inverse = Reciprocal(a.scale);
  float t[N];
  for (size_t i = 0; i < N; ++i) {
    const float q = Nearest(Clamp((x[i] - a.min) * inverse, 0, kMax));
    const float e = x[i] - (a.scale * q + a.min);
    t[i] = w[i] * e * e;
  }
  return Sum(t);
}

// Fits of x ~ scale * q + min by weighted least squares. kMinAtMostZero: the K-quants store the
// min as a non-positive offset.
template <int kMax, size_t N, bool kMinAtMostZero>
class AffineSearch {
 public:
  AffineSearch(const float* x, const float* w) : w_(w) {
    low_ = high_ = x[0];
    for (size_t i = 1; i < N; ++i) {
      low_ = x[i] < low_ ? x[i] : low_;
      high_ = x[i] > high_ ? x[i] : high_;
    }
    if (kMinAtMostZero && low_ > 0) low_ = 0;
    // Sums are taken of x - low: with a common offset far above the spread they would cancel.
    float wt[N], wx[N], xx[N];
    for (size_t i = 0; i < N; ++i) {
      x_[i] = x[i] - low_;
      wt[i] = w[i];
      wx[i] = w[i] * x_[i];
      xx[i] = wx[i] * x_[i];
    }
    sum_w_ = Sum(wt);
    sum_x_ = Sum(wx);
    sum_xx_ = Sum(xx);
  }

  // The best of several fits, alternated until it stays. The starts stretch the range of x over
  // kMax - 1 to kMax + 1 levels.
  Affine Find() const {
    constexpr int kSteps = 20;  // half as many cost 0.5% in the error of Q4_K
    const float range = high_ - low_;
    if (!(range > 0)) return {0, low_};
    Candidate best{{range / kMax, 0}, INFINITY};
    for (int step = 0; step <= kSteps; ++step) {
      const float t = 2 * static_cast<float>(step) / kSteps - 1;
      const Candidate c = Fit((kMax + t) / range, 0);
      if (c.error < best.error) best = c;
    }
    for (int i = 0; i < 4; ++i) {
      const Candidate c = Fit(1 / best.a.scale, best.a.min);
      if (!(c.error < best.error)) break;
      best = c;
    }
    return {best.a.scale, best.a.min + low_};
  }

 private:
  struct Candidate {
    Affine a;  // for x - low
    float error = INFINITY;
  };

  Candidate Fit(float inverse, float min) const {
    float q1[N], q2[N], xq[N];
    for (size_t i = 0; i < N; ++i) {
      const float q = Nearest(Clamp((x_[i] - min) * inverse, 0, kMax));
      const float wq = w_[i] * q;
      q1[i] = wq;
      q2[i] = wq * q;
      xq[i] = wq * x_[i];
    }
    const float sum_q = Sum(q1);
    const float sum_qq = Sum(q2);
    const float sum_xq = Sum(xq);
    const float det = sum_w_ * sum_qq - sum_q * sum_q;
    if (!(det > 0)) return {};
    float m = (sum_qq * sum_x_ - sum_q * sum_xq) / det;
    if (kMinAtMostZero && m > -low_) m = -low_;
    const float s = (sum_xq - m * sum_q) / sum_qq;
    if (!(s > 0)) return {};
    const float error =
        sum_xx_ - 2 * (s * sum_xq + m * sum_x_ - s * m * sum_q) + s * s * sum_qq + m * m * sum_w_;
    return {{s, m}, error};
  }

  const float* w_;
  float x_[N];
  float low_, high_;
  float sum_w_, sum_x_, sum_xx_;
};

}  // namespace edgewise::quant_internal
