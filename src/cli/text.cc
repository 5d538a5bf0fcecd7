#include "cli/text.h"

#include <array>
#include <cmath>
#include <cstdio>
#include <span>

#include "base/error.h"
#include "cli/table.h"

namespace edgewise {
namespace {

struct Prefix {
  double unit;
  const char* name;
};

// `value` in the largest unit that leaves it at least 1, with four digits.
std::string WithUnit(double value, std::span<const Prefix> prefixes) {
  if (value == 0) return StrCat("0 ", prefixes[0].name);
  const Prefix* prefix = &prefixes.back();
  for (const Prefix& one : prefixes) {
    if (value < one.unit) continue;
    prefix = &one;
    break;
  }
  const double scaled = value / prefix->unit;
  if (scaled >= 999.5) {
    const std::string digits = scaled < 1e18 ? Grouped(static_cast<uint64_t>(std::llround(scaled)))
                                             : Number(scaled, "%.4g");
    return StrCat(digits, " ", prefix->name);
  }
  const char* format = scaled >= 99.995 ? "%.1f" : scaled >= 9.9995 ? "%.2f" : "%.3f";
  return StrCat(Number(scaled, format), " ", prefix->name);
}

}  // namespace

std::string Number(double value, const char* format) {
  std::array<char, 48> text;
  std::snprintf(text.data(), text.size(), format, value);
  return text.data();
}

std::string HumanSeconds(double seconds) {
  static constexpr Prefix kUnits[] = {{1, "s"}, {1e-3, "ms"}, {1e-6, "us"}, {1e-9, "ns"}};
  return WithUnit(seconds, kUnits);
}

std::string HumanJoules(double joules) {
  static constexpr Prefix kUnits[] = {{1, "J"}, {1e-3, "mJ"}, {1e-6, "uJ"}, {1e-9, "nJ"}, {1e-12, "pJ"}};
  return WithUnit(joules, kUnits);
}

std::string PercentText(double share) { return Number(share * 100, share < 0.0995 ? "%.2f%%" : "%.1f%%"); }

std::string RateText(double tok_s) {
  if (tok_s >= 1000) return Grouped(static_cast<uint64_t>(std::llround(tok_s)));
  return Number(tok_s, tok_s >= 100 ? "%.0f" : "%.3g");
}

std::string GigabyteText(double bytes) {
  if (bytes >= 1e9) return Number(bytes / 1e9, bytes >= 1e11 ? "%.0f GB" : "%.3g GB");
  return Number(bytes / 1e6, "%.3g MB");
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return lower;
}

}  // namespace edgewise
