#include "jinja/value.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "base/strings.h"
#include "jinja/text.h"

namespace edgewise::jinja {
namespace {

// A string object, its reference count and its place in a container.
constexpr size_t kTextOverhead = 96;

std::string IntRepr(int64_t value) { return std::to_string(value); }

}  // namespace

Text::~Text() {
  if (owner != nullptr) owner->Release(bytes.size() + kTextOverhead);
}

Value Value::Undefined(std::string_view name) {
  Value value;
  value.name_ = name;
  return value;
}

Value Value::Bool(bool boolean) {
  Value value(Type::kBool);
  value.integer_ = boolean ? 1 : 0;
  return value;
}

Value Value::Int(int64_t integer) {
  Value value(Type::kInt);
  value.integer_ = integer;
  return value;
}

Value Value::Float(double number) {
  Value value(Type::kFloat);
  value.float_ = number;
  return value;
}

Value Value::Constant(std::string bytes) {
  return String(std::make_shared<const Text>(std::move(bytes), nullptr));
}

Value Value::String(std::shared_ptr<const Text> text) {
  Value value(Type::kString);
  value.text_ = std::move(text);
  return value;
}

Value Value::Of(Type type, Object* object) {
  Value value(type);
  value.object_ = object;
  return value;
}

Sequence& Value::sequence() const { return static_cast<Sequence&>(*object_); }
Dict& Value::dict() const { return static_cast<Dict&>(*object_); }

void Run::Fail(ErrorCode code, std::string_view message) const {
  throw Error(code, StrCat("chat template, line ", line, ": ", message));
}

void Run::FailSteps() const {
  Fail(ErrorCode::kLimit, StrCat("more than ", limits_.steps, " steps; the template does not end"));
}

void Run::Charge(size_t bytes) {
  if (bytes > limits_.live_bytes - std::min(live_, limits_.live_bytes)) {
    Fail(ErrorCode::kLimit,
         StrCat("the template needs more than ", HumanBytes(limits_.live_bytes), " of memory"));
  }
  live_ += bytes;
}

void Run::CheckString(uint64_t bytes) {
  if (bytes > limits_.string_bytes) {
    Fail(ErrorCode::kLimit,
         StrCat("a text of more than ", HumanBytes(limits_.string_bytes), "; shorten the messages"));
  }
}

Value Run::String(std::string bytes) {
  CheckString(bytes.size());
  Step(1 + bytes.size() / 64);
  Charge(bytes.size() + kTextOverhead);
  return Value::String(std::make_shared<const Text>(std::move(bytes), this));
}

Value Run::Markup(std::string bytes) {
  CheckString(bytes.size());
  Step(1 + bytes.size() / 64);
  Charge(bytes.size() + kTextOverhead);
  auto text = std::make_shared<Text>(std::move(bytes), this);
  text->markup = true;
  return Value::String(std::move(text));
}

Value Run::MakeSequence(SequenceKind kind, std::vector<Value> items) {
  Step(1 + items.size());
  Charge(items.size() * sizeof(Value));
  auto sequence = std::make_unique<Sequence>();
  sequence->kind = kind;
  sequence->items = std::move(items);
  return Value::Of(Type::kSequence, Adopt(std::move(sequence)));
}

Value Run::MakeDict() { return Value::Of(Type::kDict, Adopt(std::make_unique<Dict>())); }
Value Run::MakeNamespace() { return Value::Of(Type::kNamespace, Adopt(std::make_unique<Dict>())); }

void Run::Set(Dict& dict, const Value& key, Value value) {
  const bool hashable =
      !key.is(Type::kDict) &&
      !(key.is(Type::kSequence) && key.sequence().kind == SequenceKind::kList);
  if (!hashable) FailType(StrCat(TypeName(key), " cannot be the key of a dict"));
  for (auto& [known, slot] : dict.entries) {
    if (Equal(*this, known, key)) {
      slot = std::move(value);
      return;
    }
  }
  Charge(2 * sizeof(Value));
  dict.entries.emplace_back(key, std::move(value));
}

const Value* Run::Find(const Dict& dict, const Value& key) {
  for (const auto& [known, value] : dict.entries) {
    if (Equal(*this, known, key)) return &value;
  }
  return nullptr;
}

const Value* Run::Find(const Dict& dict, std::string_view key) {
  for (const auto& [known, value] : dict.entries) {
    Step();
    if (known.is(Type::kString) && known.text() == key) return &value;
  }
  return nullptr;
}

Nested::Nested(Run& run) : run_(run) {
  if (run_.depth >= run_.limits().depth) {
    run_.Fail(ErrorCode::kLimit,
              StrCat("nested more than ", run_.limits().depth, " deep (a macro without end?)"));
  }
  ++run_.depth;
}

std::string_view TypeName(const Value& value) {
  switch (value.type()) {
    case Type::kUndefined: return "an undefined value";
    case Type::kNone: return "None";
    case Type::kBool: return "a bool";
    case Type::kInt: return "an int";
    case Type::kFloat: return "a float";
    case Type::kString: return "a string";
    case Type::kDict: return "a dict";
    case Type::kNamespace: return "a namespace";
    case Type::kMacro: return "a macro";
    case Type::kFunction: return "a function";
    case Type::kMethod: return "a method";
    case Type::kLoop: return "a loop";
    case Type::kSequence: break;
  }
  switch (value.sequence().kind) {
    case SequenceKind::kList: return "a list";
    case SequenceKind::kTuple: return "a tuple";
    case SequenceKind::kRange: return "a range";
    case SequenceKind::kGenerator: return "a generator";
    default: return "a view of a dict";
  }
}

std::string SayUndefined(const Value& undefined) {
  const std::string_view name = undefined.undefined_name();
  return name.empty() ? "an element that is not there" : StrCat("'", Printable(name), "' is undefined");
}

bool Truth(const Value& value) {
  switch (value.type()) {
    case Type::kUndefined:
    case Type::kNone: return false;
    case Type::kBool:
    case Type::kInt: return value.integer() != 0;
    case Type::kFloat: return value.number() != 0;
    case Type::kString: return !value.text().empty();
    case Type::kSequence:
      return value.sequence().kind == SequenceKind::kGenerator || !value.sequence().items.empty();
    case Type::kDict: return !value.dict().entries.empty();
    default: return true;
  }
}

namespace {

bool EqualDicts(Run& run, const Dict& a, const Dict& b) {
  if (a.entries.size() != b.entries.size()) return false;
  for (const auto& [key, value] : a.entries) {
    const Value* other = run.Find(b, key);
    if (other == nullptr || !Equal(run, value, *other)) return false;
  }
  return true;
}

bool EqualSequences(Run& run, const Sequence& a, const Sequence& b) {
  if (&a == &b) return true;
  const bool comparable = a.kind == SequenceKind::kList || a.kind == SequenceKind::kTuple ||
                          a.kind == SequenceKind::kRange;
  if (!comparable || a.kind != b.kind || a.items.size() != b.items.size()) return false;
  for (size_t i = 0; i < a.items.size(); ++i) {
    if (!Equal(run, a.items[i], b.items[i])) return false;
  }
  return true;
}

}  // namespace

bool Equal(Run& run, const Value& a, const Value& b) {
  run.Step();
  if (a.is_integer() && b.is_integer()) return a.integer() == b.integer();
  if (a.is_number() && b.is_number()) return a.number() == b.number();
  if (a.type() != b.type()) return false;
  switch (a.type()) {
    case Type::kUndefined:
    case Type::kNone: return true;
    case Type::kString:
      run.Step(std::min(a.text().size(), b.text().size()) / 64);
      return a.text() == b.text();
    case Type::kSequence: {
      const Nested nested(run);
      return EqualSequences(run, a.sequence(), b.sequence());
    }
    case Type::kDict: {
      const Nested nested(run);
      return EqualDicts(run, a.dict(), b.dict());
    }
    default: return a.object() == b.object();
  }
}

bool Less(Run& run, const Value& a, const Value& b) {
  run.Step();
  if (a.is_integer() && b.is_integer()) return a.integer() < b.integer();
  if (a.is_number() && b.is_number()) return a.number() < b.number();
  if (a.is(Type::kString) && b.is(Type::kString)) {
    run.Step(std::min(a.text().size(), b.text().size()) / 64);
    return a.text() < b.text();  // bytes of UTF-8 are in the order of code points
  }
  if (a.is(Type::kSequence) && b.is(Type::kSequence) && a.sequence().kind == b.sequence().kind &&
      a.sequence().kind <= SequenceKind::kTuple) {
    const Nested nested(run);
    const auto &x = a.sequence().items, &y = b.sequence().items;
    for (size_t i = 0; i < x.size() && i < y.size(); ++i) {
      if (!Equal(run, x[i], y[i])) return Less(run, x[i], y[i]);
    }
    return x.size() < y.size();
  }
  run.FailType(StrCat("'<' is not defined between ", TypeName(a), " and ", TypeName(b)));
}

std::string FloatRepr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  // Shortest digits that read back equal, laid out by Python's rule: an exponent is written below
  // 1e-4 and from 1e16 on.
  std::array<char, 32> buffer;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                                 std::chars_format::scientific).ptr;
  std::string_view text(buffer.data(), static_cast<size_t>(end - buffer.data()));
  std::string out;
  if (text.front() == '-') {
    out += '-';
    text.remove_prefix(1);
  }
  const size_t e = text.find('e');
  const int exponent = std::atoi(std::string(text.substr(e + 1)).c_str());
  std::string digits(1, text[0]);
  if (e > 2) digits += text.substr(2, e - 2);
  if (exponent < -4 || exponent >= 16) {
    out += digits[0];
    if (digits.size() > 1) out += "." + digits.substr(1);
    const std::string magnitude = std::to_string(std::abs(exponent));
    return out + (exponent < 0 ? "e-" : "e+") + (magnitude.size() < 2 ? "0" : "") + magnitude;
  }
  if (exponent < 0) return out + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  const size_t whole = static_cast<size_t>(exponent) + 1;
  if (digits.size() < whole) digits.resize(whole, '0');
  const std::string fraction = digits.substr(whole);
  return out + digits.substr(0, whole) + "." + (fraction.empty() ? "0" : fraction);
}

namespace {

void AppendRepr(Run& run, TextBuilder& out, const Value& value);

void AppendDict(Run& run, TextBuilder& out, const Dict& dict) {
  out.Append("{");
  std::string_view separator;
  for (const auto& [key, value] : dict.entries) {
    out.Append(separator);
    AppendRepr(run, out, key);
    out.Append(": ");
    AppendRepr(run, out, value);
    separator = ", ";
  }
  out.Append("}");
}

void AppendItems(Run& run, TextBuilder& out, const Sequence& sequence) {
  std::string_view separator;
  for (const Value& item : sequence.items) {
    out.Append(separator);
    AppendRepr(run, out, item);
    separator = ", ";
  }
}

void AppendSequence(Run& run, TextBuilder& out, const Sequence& sequence) {
  const auto wrap = [&](std::string_view open, std::string_view close) {
    out.Append(open);
    AppendItems(run, out, sequence);
    out.Append(close);
  };
  switch (sequence.kind) {
    case SequenceKind::kList: return wrap("[", "]");
    case SequenceKind::kTuple: return wrap("(", sequence.items.size() == 1 ? ",)" : ")");
    case SequenceKind::kItems: return wrap("dict_items([", "])");
    case SequenceKind::kKeys: return wrap("dict_keys([", "])");
    case SequenceKind::kValues: return wrap("dict_values([", "])");
    default: run.Fail(ErrorCode::kUnsupported, "printing a range or a generator; use the list filter");
  }
}

void AppendRepr(Run& run, TextBuilder& out, const Value& value) {
  run.Step();
  switch (value.type()) {
    case Type::kUndefined: out.Append("Undefined"); return;
    case Type::kNone: out.Append("None"); return;
    case Type::kBool: out.Append(value.boolean() ? "True" : "False"); return;
    case Type::kInt: out.Append(IntRepr(value.integer())); return;
    case Type::kFloat: out.Append(FloatRepr(value.number())); return;
    case Type::kString:
      run.Step(value.text().size() / 64);
      if (value.markup()) out.Append("Markup(");
      out.Append(Quoted(value.text()));
      if (value.markup()) out.Append(")");
      return;
    case Type::kSequence: {
      const Nested nested(run);
      AppendSequence(run, out, value.sequence());
      return;
    }
    case Type::kDict: {
      const Nested nested(run);
      AppendDict(run, out, value.dict());
      return;
    }
    case Type::kNamespace: {
      const Nested nested(run);
      out.Append("<Namespace ");
      AppendDict(run, out, value.dict());
      out.Append(">");
      return;
    }
    default:
      run.Fail(ErrorCode::kUnsupported, StrCat("printing ", TypeName(value)));
  }
}

class JsonWriter {
 public:
  JsonWriter(Run& run, const JsonStyle& style) : run_(run), style_(style), out_(run) {}

  std::string Write(const Value& value) {
    Append(value, 0);
    return out_.Take();
  }

 private:
  void NewLine(size_t level) {
    if (style_.indent < 0) return;
    out_.Append("\n");
    for (size_t i = 0; i < level; ++i) {
      run_.Step();
      out_.Append(std::string(static_cast<size_t>(style_.indent), ' '));
    }
  }

  std::string Scalar(const Value& value) {
    switch (value.type()) {
      case Type::kNone: return "null";
      case Type::kBool: return value.boolean() ? "true" : "false";
      case Type::kInt: return IntRepr(value.integer());
      case Type::kFloat: {
        const double number = value.number();
        if (std::isnan(number)) return "NaN";
        if (std::isinf(number)) return number < 0 ? "-Infinity" : "Infinity";
        return FloatRepr(number);
      }
      default: run_.FailType(StrCat("tojson cannot write ", TypeName(value)));
    }
  }

  void AppendString(std::string_view text) {
    run_.Step(text.size() / 64);
    out_.Append(JsonString(text, style_.ascii));
  }

  // Elements of a list or dict, `count` of them, each written by `element(i)`.
  template <typename Element>
  void Enclose(std::string_view brackets, size_t count, size_t level, Element&& element) {
    out_.Append(brackets.substr(0, 1));
    for (size_t i = 0; i < count; ++i) {
      if (i > 0) out_.Append(style_.item_separator);
      NewLine(level + 1);
      element(i);
    }
    if (count > 0) NewLine(level);
    out_.Append(brackets.substr(1));
  }

  void Append(const Value& value, size_t level) {
    run_.Step();
    if (value.is(Type::kString)) return AppendString(value.text());
    if (value.is(Type::kSequence) && value.sequence().kind <= SequenceKind::kTuple) {
      const Nested nested(run_);
      const auto& items = value.sequence().items;
      return Enclose("[]", items.size(), level, [&](size_t i) { Append(items[i], level + 1); });
    }
    if (value.is(Type::kDict)) {
      const Nested nested(run_);
      auto entries = value.dict().entries;
      run_.Step(entries.size());
      if (style_.sort_keys) {
        std::stable_sort(entries.begin(), entries.end(), [this](const auto& a, const auto& b) {
          return Less(run_, a.first, b.first);
        });
      }
      return Enclose("{}", entries.size(), level, [&](size_t i) {
        const Value& key = entries[i].first;
        AppendString(key.is(Type::kString) ? key.text() : Scalar(key));
        out_.Append(style_.key_separator);
        Append(entries[i].second, level + 1);
      });
    }
    out_.Append(Scalar(value));
  }

  Run& run_;
  const JsonStyle& style_;
  TextBuilder out_;
};

}  // namespace

std::string Repr(Run& run, const Value& value) {
  TextBuilder out(run);
  AppendRepr(run, out, value);
  return out.Take();
}

std::string ToText(Run& run, const Value& value) {
  if (value.is(Type::kString)) return value.text();
  if (value.is(Type::kUndefined)) return "";
  return Repr(run, value);
}

std::string ToJson(Run& run, const Value& value, const JsonStyle& style) {
  return JsonWriter(run, style).Write(value);
}

bool IsIterable(const Value& value) {
  return value.is(Type::kUndefined) || value.is(Type::kString) || value.is(Type::kSequence) ||
         value.is(Type::kDict);
}

std::vector<Value> Elements(Run& run, const Value& value) {
  switch (value.type()) {
    case Type::kUndefined: return {};
    case Type::kSequence: {
      Sequence& sequence = value.sequence();
      run.Step(1 + sequence.items.size());
      if (sequence.kind == SequenceKind::kGenerator) {
        if (sequence.used_up) return {};
        sequence.used_up = true;
      }
      return sequence.items;
    }
    case Type::kDict: {
      std::vector<Value> keys;
      run.Step(1 + value.dict().entries.size());
      for (const auto& entry : value.dict().entries) keys.push_back(entry.first);
      return keys;
    }
    case Type::kString: {
      std::vector<Value> characters;
      const std::string_view text = value.text();
      for (size_t at = 0; at < text.size();) {
        const size_t begin = at;
        NextCodePoint(text, at);
        characters.push_back(run.String(std::string(text.substr(begin, at - begin))));
      }
      return characters;
    }
    default: run.FailType(StrCat(TypeName(value), " is not iterable"));
  }
}

}  // namespace edgewise::jinja
