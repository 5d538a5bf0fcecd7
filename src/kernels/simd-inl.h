// Highway in static mode, for the float kernels: one source per instruction set includes this,
// compiled with that set's flags, so Highway's static target is that set.
#pragma once

#define HWY_COMPILE_ONLY_STATIC
// Only float and conversion operations are used; the AVX2 target must not demand AES.
#define HWY_DISABLE_PCLMUL_AES
#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>

namespace edgewise::kernels {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

using DF = hn::ScalableTag<float>;
using DI = hn::RebindToSigned<DF>;
using DU = hn::RebindToUnsigned<DF>;
using VF = hn::Vec<DF>;
constexpr size_t kN = hn::MaxLanes(DF());

// f16 to float. Highway's conversion for SSE4 continues the exponents: infinity becomes 65536, NaN a number
// above.
template <typename D, typename V>
[[gnu::always_inline]] inline hn::Vec<D> FromHalves(D d, V halves) {
  const hn::Vec<D> value = hn::PromoteTo(d, halves);
  if constexpr (HWY_ARCH_X86 && HWY_TARGET > HWY_AVX2) {
    const auto beyond = hn::Ge(hn::Abs(value), hn::Set(d, 65536.0f));
    return hn::Or(value, hn::IfThenElseZero(beyond, hn::Set(d, __builtin_inff())));
  }
  return value;
}
template <typename D>
[[gnu::always_inline]] inline hn::Vec<D> LoadHalves(D d, const void* from) {
  const hn::Rebind<hwy::float16_t, D> d16;
  return FromHalves(d, hn::LoadU(d16, static_cast<const hwy::float16_t*>(from)));
}

// Masked loads and stores leave the lanes that are not wanted alone from AVX2 on; below, Highway reads
// and writes whole vectors, beyond the row's end.
constexpr bool kMasksMemory = HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2;

[[gnu::always_inline]] inline VF LoadFirst(const float* p, size_t n) {
  const DF d;
  if (n >= kN) return hn::LoadU(d, p);
  if constexpr (kMasksMemory) return hn::MaskedLoad(hn::FirstN(d, n), d, p);
  float first[kN] = {};
  for (size_t i = 0; i < n; ++i) first[i] = p[i];
  return hn::LoadU(d, first);
}

[[gnu::always_inline]] inline void StoreFirst(VF v, float* p, size_t n) {
  const DF d;
  if (n >= kN) {
    hn::StoreU(v, d, p);
  } else if constexpr (kMasksMemory) {
    hn::BlendedStore(v, hn::FirstN(d, n), d, p);
  } else {
    float first[kN];
    hn::StoreU(v, d, first);
    for (size_t i = 0; i < n; ++i) p[i] = first[i];
  }
}

// e^x. Relative error below 1.5e-7 where the result is normal (kernels_test sweeps it); 0 below
// -104, infinity above 88.73, NaN for NaN.
//   x = n ln 2 + r, |r| <= ln 2 / 2: the Taylor remainder after r^7 is below 2.2e-4 / 8! = 5e-9;
//   2^n in two factors, so that neither leaves the normal range.
[[gnu::always_inline]] inline VF Exp(VF x) {
  const DF d;
  const DI di;
  const VF in = hn::Min(hn::Max(x, hn::Set(d, -104.0f)), hn::Set(d, 89.0f));
  const VF n = hn::Round(hn::Mul(in, hn::Set(d, 1.44269504f)));
  // ln 2 in two parts; the first has few enough bits for n * part to be exact.
  VF r = hn::NegMulAdd(n, hn::Set(d, 0.693359375f), in);
  r = hn::NegMulAdd(n, hn::Set(d, -2.12194440e-4f), r);
  VF p = hn::Set(d, 1.0f / 5040);
  p = hn::MulAdd(p, r, hn::Set(d, 1.0f / 720));
  p = hn::MulAdd(p, r, hn::Set(d, 1.0f / 120));
  p = hn::MulAdd(p, r, hn::Set(d, 1.0f / 24));
  p = hn::MulAdd(p, r, hn::Set(d, 1.0f / 6));
  p = hn::MulAdd(p, r, hn::Set(d, 0.5f));
  p = hn::MulAdd(p, r, hn::Set(d, 1.0f));
  p = hn::MulAdd(p, r, hn::Set(d, 1.0f));
  const auto power = hn::ConvertTo(di, n);
  const auto half = hn::ShiftRight<1>(power);
  const auto bias = hn::Set(di, 127);
  const auto low = hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(half, bias)));
  const auto high = hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(hn::Sub(power, half), bias)));
  return hn::IfThenElse(hn::IsNaN(x), x, hn::Mul(hn::Mul(p, low), high));
}

}  // namespace
}  // namespace edgewise::kernels
