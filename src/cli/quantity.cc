#include "cli/quantity.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <initializer_list>
#include <optional>

#include "base/error.h"
#include "cli/text.h"

namespace edgewise {
namespace {

struct UnitName {
  const char* name;  // in lower case
  double factor;
};

struct Range {
  double least, most;
  const char* text;  // "1 MB to 2^50 bytes"
};

[[noreturn]] void Refuse(std::string_view flag, std::string_view text, const std::string& expected) {
  throw Error(ErrorCode::kUsage, StrCat(flag, ": '", Printable(text), "' is not ", expected));
}

// A number and one of the units directly behind it; nullopt when it is none.
std::optional<double> Parse(std::string_view text, std::initializer_list<UnitName> units) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || !std::isfinite(number)) return std::nullopt;
  const std::string unit = Lower(text.substr(static_cast<size_t>(end - text.data())));
  const auto found = std::ranges::find(units, unit, &UnitName::name);
  if (found == units.end()) return std::nullopt;
  return number * found->factor;
}

double ParseWithin(std::string_view flag, std::string_view text, const std::string& expected,
                   const Range& range, std::initializer_list<UnitName> units) {
  const auto value = Parse(text, units);
  if (!value) Refuse(flag, text, expected);
  if (*value < range.least || *value > range.most) {
    throw Error(ErrorCode::kUsage, StrCat(flag, ": ", Printable(text), " is outside ", range.text));
  }
  return *value;
}

}  // namespace

double ParseBytes(std::string_view flag, std::string_view text) {
  return ParseWithin(flag, text, "an amount of memory such as 4G, 512M or 4GiB",
                     {1e6, 0x1p50, "1 MB to 2^50 bytes"},
                     {{"m", 1e6},
                      {"mb", 1e6},
                      {"mib", 0x1p20},
                      {"g", 1e9},
                      {"gb", 1e9},
                      {"gib", 0x1p30},
                      {"t", 1e12},
                      {"tb", 1e12}});
}

double ParseSeconds(std::string_view flag, std::string_view text) {
  return ParseWithin(flag, text, "a time such as 500ms or 2s", {1e-6, 1e6, "1 us to a million seconds"},
                     {{"us", 1e-6}, {"ms", 1e-3}, {"s", 1}, {"min", 60}});
}

double ParsePercent(std::string_view flag, std::string_view text) {
  return ParseWithin(flag, text, "a share in percent such as 3%", {0, 10, "0% to 1000%"}, {{"%", 0.01}});
}

double ParseWatts(std::string_view flag, std::string_view text) {
  return ParseWithin(flag, text, "a power such as 5W or 500mW", {1e-6, 1e5, "a microwatt to 100 kW"},
                     {{"", 1}, {"w", 1}, {"mw", 1e-3}});
}

double ParseRate(std::string_view flag, std::string_view text) {
  return ParseWithin(flag, text, "a number of tokens per second",
                     {1e-6, 1e6, "one in a million seconds to a million"}, {{"", 1}});
}

double ParseShare(std::string_view flag, std::string_view text) {
  return ParseWithin(flag, text, "a share such as 0.25 or 25%", {1e-4, 1, "0.01% to 100%"},
                     {{"", 1}, {"%", 0.01}});
}

Battery ParseBattery(std::string_view flag, std::string_view text) {
  const std::string expected = "a battery such as 3000mAh@3.7V";
  const size_t at = text.find('@');
  if (at == std::string_view::npos) Refuse(flag, text, expected);
  const auto charge = Parse(text.substr(0, at), {{"mah", 1e-3}, {"ah", 1}});
  const auto volts = Parse(text.substr(at + 1), {{"v", 1}});
  if (!charge || !volts) Refuse(flag, text, expected);
  const bool possible = *charge >= 1e-4 && *charge <= 1e5 && *volts >= 0.1 && *volts <= 1000;
  if (!possible) {
    throw Error(ErrorCode::kUsage,
                StrCat(flag, ": no battery has ", Printable(text), ": 0.1 mAh to 100,000 Ah, 0.1 to 1000 V"));
  }
  return {.ampere_hours = *charge, .volts = *volts};
}

std::vector<std::string> SplitNames(std::string_view flag, std::string_view text) {
  std::vector<std::string> names;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t comma = std::min(text.find(',', begin), text.size());
    const std::string name(text.substr(begin, comma - begin));
    if (name.empty()) {
      throw Error(ErrorCode::kUsage, StrCat(flag, ": a name is empty: give names with commas between them"));
    }
    if (std::ranges::find(names, name) != names.end()) {
      throw Error(ErrorCode::kUsage, StrCat(flag, ": ", Printable(name), " is there twice"));
    }
    names.push_back(name);
    begin = comma + 1;
  }
  return names;
}

}  // namespace edgewise
