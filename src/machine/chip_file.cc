#include "machine/chip_file.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <limits>
#include <optional>
#include <type_traits>
#include <variant>

#include "base/error.h"
#include "base/nearest.h"
#include "base/toml.h"

namespace edgewise {
namespace {

using Member = std::variant<uint32_t ChipDesign::*, uint64_t ChipDesign::*, double ChipDesign::*,
                            bool ChipDesign::*, ArrayKind ChipDesign::*, Datapath ChipDesign::*,
                            HostInterface ChipDesign::*, ZeroSkip ChipDesign::*>;

struct Field {
  const char* table;
  const char* key;
  Member member;

  std::string name() const { return StrCat(table, ".", key); }
};

const Field kFields[] = {
    {"array", "kind", &ChipDesign::kind},
    {"array", "rows", &ChipDesign::rows},
    {"array", "cols", &ChipDesign::cols},
    {"array", "depth", &ChipDesign::depth},
    {"array", "macs", &ChipDesign::macs},
    {"array", "arrays", &ChipDesign::arrays},
    {"array", "clock_hz", &ChipDesign::clock_hz},
    {"array", "datapath", &ChipDesign::datapath},
    {"array", "accumulate", &ChipDesign::accumulate},
    {"array", "double_buffer", &ChipDesign::double_buffer},
    {"array", "zero_skip", &ChipDesign::zero_skip},
    {"timing", "start_cycles", &ChipDesign::start_cycles},
    {"timing", "result_cycles", &ChipDesign::result_cycles},
    {"scratchpad", "words", &ChipDesign::scratch_words},
    {"scratchpad", "word_bits", &ChipDesign::scratch_word_bits},
    {"scratchpad", "ports", &ChipDesign::scratch_ports},
    {"host", "interface", &ChipDesign::host},
    {"host", "write_cycles", &ChipDesign::write_cycles},
    {"host", "read_cycles", &ChipDesign::read_cycles},
    {"host", "control_cycles", &ChipDesign::control_cycles},
    {"host", "add_cycles", &ChipDesign::host_add_cycles},
    {"host", "macs_s", &ChipDesign::host_macs_s},
    {"memory", "bus_bytes", &ChipDesign::bus_bytes},
    {"memory", "bytes_s", &ChipDesign::memory_bytes_s},
    {"memory", "latency_cycles", &ChipDesign::latency_cycles},
    {"chips", "count", &ChipDesign::chips},
    {"chips", "link_bytes_s", &ChipDesign::link_bytes_s},
    {"chips", "link_latency_s", &ChipDesign::link_latency_s},
    {"energy", "mac_pj", &ChipDesign::mac_pj},
    {"energy", "scratch_pj_byte", &ChipDesign::scratch_pj_byte},
    {"energy", "memory_pj_byte", &ChipDesign::memory_pj_byte},
    {"energy", "link_pj_byte", &ChipDesign::link_pj_byte},
    {"energy", "static_w", &ChipDesign::static_w},
    {"area", "mac_um2", &ChipDesign::mac_um2},
    {"area", "sram_um2_bit", &ChipDesign::sram_um2_bit},
    {"area", "fixed_mm2", &ChipDesign::fixed_mm2},
};

// What a value may be read as: one from a file is of one type (a whole number is also a real one), text from
// a flag may be of several.
struct Scalar {
  std::optional<int64_t> whole;
  std::optional<double> real;
  std::optional<bool> truth;
  std::optional<std::string> text;
  std::string shown;
};

Scalar ScalarOf(const toml::node& node) {
  Scalar s{node.value_exact<int64_t>(), node.value_exact<double>(), node.value_exact<bool>(),
           node.value_exact<std::string>(), ""};
  if (s.whole) s.real = static_cast<double>(*s.whole);
  s.shown = s.text    ? StrCat("'", Printable(*s.text), "'")
            : s.truth ? (*s.truth ? "true" : "false")
            : s.whole ? StrCat(*s.whole)
            : s.real  ? StrCat(*s.real)
                      : "no single value";
  return s;
}

template <typename T>
std::optional<T> NumberIn(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Scalar ScalarIn(std::string_view text) {
  Scalar s{NumberIn<int64_t>(text), NumberIn<double>(text), std::nullopt, std::string(text),
           StrCat("'", Printable(text), "'")};
  if (text == "true" || text == "false") s.truth = text == "true";
  return s;
}

[[noreturn]] void RefuseValue(const std::string& field, const Scalar& value, const std::string& wanted) {
  throw Error(ErrorCode::kUsage, StrCat(field, " is ", value.shown, ": it must be ", wanted));
}

template <typename Enum>
Enum EnumIn(const std::string& field, const Scalar& value, Enum last) {
  std::string known;
  for (int i = 0; i <= static_cast<int>(last); ++i) {
    const Enum candidate = static_cast<Enum>(i);
    if (value.text == NameOf(candidate)) return candidate;
    known += StrCat(i == 0 ? "" : ", ", "\"", NameOf(candidate), "\"");
  }
  RefuseValue(field, value, StrCat("one of ", known));
}

void Assign(ChipDesign& design, const Field& field, const Scalar& value) {
  const std::string name = field.name();
  std::visit(
      [&](auto member) {
        auto& target = design.*member;
        using T = std::remove_reference_t<decltype(target)>;
        if constexpr (std::is_same_v<T, bool>) {
          if (!value.truth) RefuseValue(name, value, "true or false");
          target = *value.truth;
        } else if constexpr (std::is_same_v<T, double>) {
          if (!value.real) RefuseValue(name, value, "a number");
          target = *value.real;
        } else if constexpr (std::is_integral_v<T>) {
          if (!value.whole || *value.whole < 0) RefuseValue(name, value, "a whole number, not negative");
          if (static_cast<uint64_t>(*value.whole) > std::numeric_limits<T>::max()) {
            RefuseValue(name, value, StrCat("at most ", std::numeric_limits<T>::max()));
          }
          target = static_cast<T>(*value.whole);
        } else if constexpr (std::is_same_v<T, ArrayKind>) {
          target = EnumIn(name, value, ArrayKind::kVector);
        } else if constexpr (std::is_same_v<T, Datapath>) {
          target = EnumIn(name, value, Datapath::kTernary);
        } else if constexpr (std::is_same_v<T, HostInterface>) {
          target = EnumIn(name, value, HostInterface::kDma);
        } else {
          target = EnumIn(name, value, ZeroSkip::kTwoOfFour);
        }
      },
      field.member);
}

// As TOML writes it; enumerations in quotes.
std::string TextOf(const ChipDesign& design, const Field& field, bool quoted) {
  return std::visit(
      [&](auto member) -> std::string {
        const auto value = design.*member;
        using T = std::remove_const_t<decltype(value)>;
        if constexpr (std::is_same_v<T, bool>) {
          return value ? "true" : "false";
        } else if constexpr (std::is_enum_v<T>) {
          return quoted ? StrCat("\"", NameOf(value), "\"") : NameOf(value);
        } else {
          std::array<char, 32> digits;  // the shortest that reads back the same
          const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
          return std::string(digits.data(), end);
        }
      },
      field.member);
}

const Field& FieldNamed(std::string_view name) {
  const auto field = std::ranges::find(kFields, name, &Field::name);
  if (field != std::end(kFields)) return *field;
  const std::vector<std::string> known = ChipFields();
  const std::string_view near = Nearest(name, known);
  throw Error(ErrorCode::kUsage, StrCat("a chip has no field '", Printable(name), "'",
                                        near.empty() ? "" : StrCat(": did you mean ", near, "?")));
}

// ---- files ----

// "rows" at the top and "row" in [array] both meant array.rows.
std::string MeantBy(std::string_view table, std::string_view key) {
  std::vector<std::string> names = {"base", "summary", "source"};
  std::vector<std::string> keys = names, own;
  for (const Field& field : kFields) {
    names.push_back(field.name());
    keys.push_back(field.key);
    if (table == field.table) own.push_back(field.key);
  }
  if (const std::string_view near = Nearest(key, own); !near.empty()) {
    return StrCat(": did you mean ", near, "?");
  }
  if (const std::string_view near = Nearest(key, keys); !near.empty()) {
    const size_t at = static_cast<size_t>(std::ranges::find(keys, near) - keys.begin());
    return StrCat(": did you mean ", names[at], "?");
  }
  const std::vector<std::string>& all = own.empty() ? names : own;
  std::string list;
  for (const std::string& one : all) list += (list.empty() ? "" : ", ") + one;
  return StrCat(": known are ", list);
}

void ReadTable(const std::string& file, const std::string& name, const toml::table& table,
               ChipDesign& design) {
  for (const auto& [key, node] : table) {
    const std::string full = StrCat(name, ".", key.str());
    const auto field = std::ranges::find(kFields, full, &Field::name);
    if (field == std::end(kFields)) {
      FailAt(file, &node,
             StrCat("[", name, "] has no key '", Printable(key.str()), "'", MeantBy(name, key.str())));
    }
    try {
      Assign(design, *field, ScalarOf(node));
    } catch (const Error& error) {
      FailAt(file, &node, error.message());
    }
  }
}

bool IsTable(std::string_view name) {
  return std::ranges::any_of(kFields, [&](const Field& field) { return field.table == name; });
}

// A text as CheckDevice wants them: it is shown as it is, and what is written reads back.
std::string LineAt(const std::string& file, const toml::table& root, const char* key) {
  const std::string text = TextAt(file, root, key);
  if (!std::ranges::all_of(text, [](char c) { return c >= 0x20 && c <= 0x7e; })) {
    FailAt(file, root.get(key),
           StrCat(key, " has a character that is not printable ASCII: one line without such"));
  }
  return text;
}

}  // namespace

std::vector<std::string> ChipFields() {
  std::vector<std::string> names;
  for (const Field& field : kFields) names.push_back(field.name());
  return names;
}

void SetChipField(ChipDesign& design, std::string_view field, std::string_view value) {
  Assign(design, FieldNamed(field), ScalarIn(value));
}

std::string ChipFieldText(const ChipDesign& design, std::string_view field) {
  return TextOf(design, FieldNamed(field), false);
}

ChipDesign ParseChip(std::string_view text, const std::string& file,
                     FunctionRef<ChipDesign(const std::string& base)> find_base) {
  if (text.size() > kMostChipFileBytes) {
    throw Error(ErrorCode::kLimit, StrCat(Printable(file, 200), ": ", text.size(),
                                          " bytes, but a chip file has at most ", kMostChipFileBytes));
  }
  const toml::table root = ParseToml(text, file);
  for (const auto& [key, node] : root) {
    const std::string name(key.str());
    if (name == "base" || name == "summary" || name == "source") continue;
    if (!IsTable(name)) {
      FailAt(file, &node, StrCat("unknown key '", Printable(name), "'", MeantBy("", name)));
    }
    if (!node.is_table()) FailAt(file, &node, StrCat(name, " must be a table: [", name, "]"));
  }
  const std::string base = TextAt(file, root, "base");
  ChipDesign design;
  if (!base.empty()) {
    try {
      design = find_base(base);
    } catch (const Error& error) {
      FailAt(file, root.get("base"), StrCat("base: ", error.message()));
    }
    design.summary = StrCat(design.name, ", changed");
  } else if (!root["array"]["kind"]) {
    FailAt(file, nullptr, "it has neither a base nor array.kind: which chip is it?");
  }
  design.name = std::filesystem::path(file).stem().string();
  if (const std::string summary = LineAt(file, root, "summary"); !summary.empty()) design.summary = summary;
  if (const std::string source = LineAt(file, root, "source"); !source.empty()) design.source = source;
  for (const auto& [key, node] : root) {
    if (node.is_table()) ReadTable(file, std::string(key.str()), *node.as_table(), design);
  }
  try {
    CheckDesign(design);
  } catch (const Error& error) {  // which begins with the field's name
    const toml::node_view<const toml::node> field =
        root.at_path(std::string_view(error.message()).substr(0, error.message().find(' ')));
    FailAt(file, field.node(), error.message());
  }
  return design;
}

std::string WriteChip(const ChipDesign& design) {
  std::ostringstream out;
  out << toml::table{{"summary", design.summary}, {"source", design.source}} << "\n";
  std::string_view table;
  for (const Field& field : kFields) {
    if (table != field.table) out << "\n[" << field.table << "]\n";
    table = field.table;
    out << field.key << " = " << TextOf(design, field, true) << "\n";
  }
  return std::move(out).str();
}

}  // namespace edgewise
