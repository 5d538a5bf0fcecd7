#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <iterator>

#include "base/strings.h"
#include "jinja/builtins.h"
#include "jinja/text.h"

namespace edgewise::jinja {
namespace {

// A string's own method, applied to the subject as printed.
Value ViaMethod(Run& run, const Value& subject, std::string_view method, const Args& args) {
  const Value text = subject.is(Type::kString) ? subject : run.String(ToText(run, subject));
  const Value bound = GetAttribute(run, text, method);
  return CallMethod(run, static_cast<const Method&>(*bound.object()), args);
}

Value Trim(Run& run, const Value& subject, const Args& args) {
  return ViaMethod(run, subject, "strip", args);
}
Value ToUpper(Run& run, const Value& subject, const Args& args) {
  return ViaMethod(run, subject, "upper", args);
}
Value ToLower(Run& run, const Value& subject, const Args& args) {
  return ViaMethod(run, subject, "lower", args);
}
Value ToCapital(Run& run, const Value& subject, const Args& args) {
  return ViaMethod(run, subject, "capitalize", args);
}

// Unlike the method of that name: words begin behind white space, '-' or an opening bracket only.
Value ToTitle(Run& run, const Value& subject, const Args& args) {
  ArgReader(run, "title", args, {});
  const std::string text = ToText(run, subject);
  run.Step(1 + text.size() / 64);
  std::string out;
  bool inside = false;
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const uint32_t c = NextCodePoint(text, at);
    const std::string_view character = std::string_view(text).substr(begin, at - begin);
    const bool separates = IsSpace(c) || (c < 0x80 && std::string_view("-({[<").find(
                                                          static_cast<char>(c)) != std::string::npos);
    out += inside || separates ? Lower(character) : Upper(character);
    inside = !separates;
  }
  return run.String(std::move(out));
}

Value Replace(Run& run, const Value& subject, const Args& args) {
  const ArgReader reader(run, "replace", args, {"old", "new", "count"}, 2);
  Args texts;
  for (size_t i = 0; i < 2; ++i) texts.positional.push_back(run.String(ToText(run, reader[i])));
  if (reader.Find(2) != nullptr && !reader[2].is(Type::kNone)) texts.positional.push_back(reader[2]);
  return ViaMethod(run, subject, "replace", texts);
}

Value ToStringFilter(Run& run, const Value& subject, const Args& args) {
  ArgReader(run, "string", args, {});
  return subject.is(Type::kString) ? subject : run.String(ToText(run, subject));
}

Value Safe(Run& run, const Value& subject, const Args& args) {
  ArgReader(run, "safe", args, {});
  return run.Markup(ToText(run, subject));
}

Value Escape(Run& run, const Value& subject, const Args& args) {
  ArgReader(run, "escape", args, {});
  return subject.markup() ? subject : run.Markup(EscapeHtml(ToText(run, subject)));
}

Value Indent(Run& run, const Value& subject, const Args& args) {
  const ArgReader reader(run, "indent", args, {"width", "first", "blank"});
  if (!subject.is(Type::kString)) run.FailType(StrCat("indent of ", TypeName(subject)));
  const bool by_text = reader.Find(0) != nullptr && reader[0].is(Type::kString);
  const int64_t width = by_text ? 0 : std::max<int64_t>(reader.Integer(0, 4), 0);
  run.CheckString(static_cast<uint64_t>(width));
  const std::string indention =
      by_text ? reader.Text(0, "") : std::string(static_cast<size_t>(width), ' ');
  Args none;
  const Value lines =
      ViaMethod(run, run.String(subject.text() + "\n"), "splitlines", none);
  TextBuilder out(run);
  if (reader.Flag(1, false)) out.Append(indention);
  const bool blank = reader.Flag(2, false);
  bool first = true;
  for (const Value& line : lines.sequence().items) {
    if (!first) {
      out.Append("\n");
      if (blank || !line.text().empty()) out.Append(indention);
    }
    out.Append(line.text());
    first = false;
  }
  return run.String(out.Take());
}

Value Default(Run& run, const Value& subject, const Args& args) {
  const ArgReader reader(run, "default", args, {"default_value", "boolean"});
  if (!subject.is(Type::kUndefined) && !(reader.Flag(1, false) && !Truth(subject))) return subject;
  return reader.Find(0) != nullptr ? reader[0] : run.String("");
}

Value Length(Run& run, const Value& subject, const Args& args) {
  ArgReader(run, "length", args, {});
  switch (subject.type()) {
    case Type::kUndefined: return Value::Int(0);
    case Type::kString:
      run.Step(1 + subject.text().size() / 64);
      return Value::Int(static_cast<int64_t>(CountCodePoints(subject.text())));
    case Type::kDict: return Value::Int(static_cast<int64_t>(subject.dict().entries.size()));
    case Type::kSequence:
      if (subject.sequence().kind == SequenceKind::kGenerator) break;
      return Value::Int(static_cast<int64_t>(subject.sequence().items.size()));
    default: break;
  }
  run.FailType(StrCat(TypeName(subject), " has no length"));
}

// Python's int() and float() read decimal digits with white space around and '_' between.
std::string NumberText(std::string_view text) {
  const std::string_view stripped = StripRight(StripLeft(text));
  std::string out;
  for (size_t i = 0; i < stripped.size(); ++i) {
    const bool between = i > 0 && i + 1 < stripped.size() && std::isdigit(uint8_t(stripped[i - 1])) &&
                         std::isdigit(uint8_t(stripped[i + 1]));
    if (stripped[i] != '_' || !between) out += stripped[i];
  }
  return out.starts_with('+') && !out.starts_with("+-") ? out.substr(1) : out;
}

bool ReadFloat(std::string_view text, double& number) {
  std::string digits = NumberText(text);
  std::transform(digits.begin(), digits.end(), digits.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  if (digits.find('(') != digits.npos) return false;  // from_chars would take nan(...)
  const char* last = digits.data() + digits.size();
  const auto [end, error] = std::from_chars(digits.data(), last, number);
  if (end != last || error == std::errc::invalid_argument) return false;
  if (error == std::errc::result_out_of_range) number = std::strtod(digits.c_str(), nullptr);
  return true;
}

Value IntegerOf(Run& run, double number) {
  if (!(std::abs(number) < 0x1p63)) run.Fail(ErrorCode::kLimit, "an integer beyond 64 bits");
  return Value::Int(static_cast<int64_t>(number));
}

Value ToInt(Run& run, const Value& subject, const Args& args) {
  const ArgReader reader(run, "int", args, {"default", "base"});
  const Value otherwise = reader.Find(0) != nullptr ? reader[0] : Value::Int(0);
  const int64_t base = reader.Integer(1, 10);
  if (base < 2 || base > 36) run.Fail(ErrorCode::kUnsupported, "int with a base outside 2 to 36");
  if (subject.is_integer()) return Value::Int(subject.integer());
  if (subject.is(Type::kUndefined)) {
    run.FailType(StrCat(SayUndefined(subject), ", so is no number"));
  }
  double number = 0;
  if (subject.is(Type::kFloat)) {
    number = subject.number();
  } else if (subject.is(Type::kString)) {
    run.Step(1 + subject.text().size() / 64);
    const std::string digits = NumberText(subject.text());
    const char* last = digits.data() + digits.size();
    int64_t integer = 0;
    const auto [end, error] =
        std::from_chars(digits.data(), last, integer, static_cast<int>(base));
    if (end == last && error == std::errc()) return Value::Int(integer);
    if (end == last && error == std::errc::result_out_of_range) {
      run.Fail(ErrorCode::kLimit, "an integer beyond 64 bits");
    }
    if (!ReadFloat(subject.text(), number)) return otherwise;
  } else {
    return otherwise;
  }
  return std::isfinite(number) ? IntegerOf(run, number) : otherwise;
}

Value ToFloat(Run& run, const Value& subject, const Args& args) {
  const ArgReader reader(run, "float", args, {"default"});
  if (subject.is_number()) return Value::Float(subject.number());
  if (subject.is(Type::kUndefined)) {
    run.FailType(StrCat(SayUndefined(subject), ", so is no number"));
  }
  double number = 0;
  if (subject.is(Type::kString) && ReadFloat(subject.text(), number)) return Value::Float(number);
  return reader.Find(0) != nullptr ? reader[0] : Value::Float(0);
}

Value Absolute(Run& run, const Value& subject, const Args& args) {
  ArgReader(run, "abs", args, {});
  if (subject.is(Type::kFloat)) return Value::Float(std::abs(subject.number()));
  if (!subject.is_integer()) run.FailType(StrCat("abs of ", TypeName(subject)));
  return subject.integer() < 0 ? Negative(run, subject) : Positive(run, subject);
}

Value Round(Run& run, const Value& subject, const Args& args) {
  const ArgReader reader(run, "round", args, {"precision", "method"});
  const int64_t precision = reader.Integer(0, 0);
  const std::string method = reader.Text(1, "common");
  if (!subject.is_number()) run.FailType(StrCat("round of ", TypeName(subject)));
  if (precision < 0 || precision > 15) {
    run.Fail(ErrorCode::kUnsupported, "round to a precision outside 0 to 15");
  }
  const double number = subject.number();
  if (method == "common") {
    if (subject.is_integer()) return Value::Int(subject.integer());
    if (!std::isfinite(number)) return subject;
    // printf rounds the exact binary value, halves to even, as Python does.
    std::array<char, 400> buffer;
    std::snprintf(buffer.data(), buffer.size(), "%.*f", static_cast<int>(precision), number);
    return Value::Float(std::strtod(buffer.data(), nullptr));
  }
  const double scale = std::pow(10.0, static_cast<double>(precision));
  if (method == "ceil") return Value::Float(std::ceil(number * scale) / scale);
  if (method == "floor") return Value::Float(std::floor(number * scale) / scale);
  run.FailType("round by a method other than common, ceil and floor");
}

Value ToJsonFilter(Run& run, const Value& subject, const Args& args) {
  const ArgReader reader(run, "tojson", args, {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ascii = reader.Flag(0, false);
  style.sort_keys = reader.Flag(3, false);
  if (reader.Find(1) != nullptr && !reader[1].is(Type::kNone)) {
    const int64_t indent = reader.Integer(1, 0);
    if (indent < 0 || indent > 64) run.Fail(ErrorCode::kUnsupported, "tojson with such an indent");
    style.indent = static_cast<int>(indent);
    style.item_separator.assign(1, ',');  // = "," makes g++ 12 warn of an impossible overlap
  }
  if (reader.Find(2) != nullptr && !reader[2].is(Type::kNone)) {
    const std::vector<Value> separators = Elements(run, reader[2]);
    if (separators.size() != 2 || !separators[0].is(Type::kString) ||
        !separators[1].is(Type::kString)) {
      run.FailType("tojson takes separators as a pair of strings");
    }
    style.item_separator = separators[0].text();
    style.key_separator = separators[1].text();
  }
  return run.String(ToJson(run, subject, style));
}

Value Attribute(Run& run, const Value& subject, const Args& args) {
  const ArgReader reader(run, "attr", args, {"name"}, 1);
  const std::string name = reader.Text(0, "");
  if (subject.is(Type::kUndefined)) run.FailType("attr of an undefined value");
  if (subject.is(Type::kDict)) return Value();  // attr never looks at a dict's keys
  const Value value = GetAttribute(run, subject, name);
  return value.is(Type::kUndefined) ? Value() : value;
}

constexpr NamedFilter kFilters[] = {
    {"abs", Absolute}, {"attr", Attribute}, {"capitalize", ToCapital}, {"count", Length},
    {"d", Default}, {"default", Default}, {"e", Escape}, {"escape", Escape}, {"float", ToFloat},
    {"indent", Indent}, {"int", ToInt}, {"length", Length}, {"lower", ToLower},
    {"replace", Replace}, {"round", Round}, {"safe", Safe}, {"string", ToStringFilter},
    {"title", ToTitle}, {"tojson", ToJsonFilter}, {"trim", Trim}, {"upper", ToUpper}};

FilterFunction FindFilter(std::string_view name) {
  const auto at = std::find_if(std::begin(kFilters), std::end(kFilters),
                               [name](const NamedFilter& filter) { return filter.name == name; });
  return at == std::end(kFilters) ? FindSequenceFilter(name) : at->apply;
}

}  // namespace

bool HasFilter(std::string_view name) { return FindFilter(name) != nullptr; }

Value ApplyFilter(Run& run, std::string_view name, const Value& subject, const Args& args) {
  const FilterFunction apply = FindFilter(name);
  if (apply == nullptr) {
    run.Fail(ErrorCode::kUnsupported, StrCat("the filter '", Printable(name), "' is not supported"));
  }
  return apply(run, subject, args);
}

}  // namespace edgewise::jinja
