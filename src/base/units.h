// Units are types: adding bytes to operations does not compile, dividing gives a rate.
#pragma once

#include <compare>
#include <cstdint>

namespace edgewise {

template <typename Tag, typename Rep>
class Unit {
 public:
  constexpr Unit() = default;
  constexpr explicit Unit(Rep value) : value_(value) {}
  constexpr Rep value() const { return value_; }

  constexpr Unit& operator+=(Unit other) {
    value_ += other.value_;
    return *this;
  }
  friend constexpr Unit operator+(Unit a, Unit b) { return Unit(a.value_ + b.value_); }
  friend constexpr Unit operator-(Unit a, Unit b) { return Unit(a.value_ - b.value_); }
  friend constexpr Unit operator*(Unit a, Rep n) { return Unit(a.value_ * n); }
  friend constexpr auto operator<=>(Unit, Unit) = default;

 private:
  Rep value_{};
};

using Bytes = Unit<struct BytesTag, uint64_t>;
using Flops = Unit<struct FlopsTag, uint64_t>;  // a multiply-add counts twice
using Seconds = Unit<struct SecondsTag, double>;

// Per second, as a double: the caller says GB/s or GOP/s when printing.
constexpr double operator/(Bytes b, Seconds s) { return static_cast<double>(b.value()) / s.value(); }
constexpr double operator/(Flops f, Seconds s) { return static_cast<double>(f.value()) / s.value(); }

}  // namespace edgewise
