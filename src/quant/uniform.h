// Uniform quantisation: x becomes code * scale, codes are the integers from -most to most.
#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>

namespace edgewise {

// Rounded to nearest, ties to even; what is beyond the last code saturates there. Requires finite x,
// scale > 0, a whole `most` below 2^22.
template <std::floating_point T>
T UniformCode(T x, T scale, T most) {
  // The sum's unit in the last place is 1; std::nearbyint is a library call on baseline x86-64.
  constexpr T kMagic = T{1.5} * static_cast<T>(uint64_t{1} << (std::numeric_limits<T>::digits - 1));
  return (std::clamp(x / scale, -most, most) + kMagic) - kMagic;
}

// |x - code * scale|: at most scale / 2, and more only where x saturates.
template <std::floating_point T>
T UniformError(T x, T scale, T most) {
  return std::abs(x - UniformCode(x, scale, most) * scale);
}

}  // namespace edgewise
