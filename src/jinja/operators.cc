#include <algorithm>
#include <cmath>
#include <limits>

#include "base/strings.h"
#include "jinja/builtins.h"
#include "jinja/text.h"

namespace edgewise::jinja {
namespace {

std::string_view Symbol(Op op) {
  static constexpr std::string_view kSymbols[] = {"+",  "-",  "*", "/",  "//", "%",  "**",    "==",
                                                  "!=", "<",  "<=", ">", ">=", "in", "not in"};
  return kSymbols[static_cast<size_t>(op)];
}

[[noreturn]] void FailOperands(Run& run, Op op, const Value& left, const Value& right) {
  for (const Value* value : {&left, &right}) {
    if (value->is(Type::kUndefined)) {
      run.FailType(StrCat(SayUndefined(*value), ", in an operation '", Symbol(op), "'"));
    }
  }
  run.FailType(StrCat("no operation '", Symbol(op), "' between ", TypeName(left), " and ",
                      TypeName(right)));
}

[[noreturn]] void FailOverflow(Run& run) { run.Fail(ErrorCode::kLimit, "an integer beyond 64 bits"); }

int64_t FloorDivide(Run& run, int64_t a, int64_t b) {
  if (b == -1) return a == std::numeric_limits<int64_t>::min() ? (FailOverflow(run), 0) : -a;
  const int64_t quotient = a / b;
  return quotient * b != a && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

int64_t Modulo(int64_t a, int64_t b) {
  if (b == -1) return 0;
  const int64_t rest = a % b;
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

double Modulo(double a, double b) {
  const double rest = std::fmod(a, b);
  if (rest == 0) return std::copysign(0.0, b);
  return (rest < 0) != (b < 0) ? rest + b : rest;
}

double FloorDivide(double a, double b) {
  // As Python: by the exact remainder, not by rounding a quotient.
  double quotient = (a - Modulo(a, b)) / b;
  if (quotient == 0) return std::copysign(0.0, a / b);
  const double floor = std::floor(quotient);
  return quotient - floor > 0.5 ? floor + 1 : floor;
}

Value IntegerPower(Run& run, int64_t base, int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) run.FailType("0 to a negative power");
    return Value::Float(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  int64_t result = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) FailOverflow(run);
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) FailOverflow(run);
  }
  return Value::Int(result);
}

Value IntegerArithmetic(Run& run, Op op, int64_t a, int64_t b) {
  int64_t result = 0;
  bool overflow = false;
  switch (op) {
    case Op::kAdd: overflow = __builtin_add_overflow(a, b, &result); break;
    case Op::kSubtract: overflow = __builtin_sub_overflow(a, b, &result); break;
    case Op::kMultiply: overflow = __builtin_mul_overflow(a, b, &result); break;
    case Op::kPower: return IntegerPower(run, a, b);
    default:
      if (b == 0) run.FailType("division by zero");
      if (op == Op::kDivide) return Value::Float(static_cast<double>(a) / static_cast<double>(b));
      return Value::Int(op == Op::kModulo ? Modulo(a, b) : FloorDivide(run, a, b));
  }
  if (overflow) FailOverflow(run);
  return Value::Int(result);
}

Value FloatArithmetic(Run& run, Op op, double a, double b) {
  switch (op) {
    case Op::kAdd: return Value::Float(a + b);
    case Op::kSubtract: return Value::Float(a - b);
    case Op::kMultiply: return Value::Float(a * b);
    case Op::kPower: {
      const double result = std::pow(a, b);
      if ((a == 0 && b < 0) || (std::isnan(result) && !std::isnan(a) && !std::isnan(b)) ||
          (std::isinf(result) && std::isfinite(a) && std::isfinite(b))) {
        run.FailType("a power without a finite real value");
      }
      return Value::Float(result);
    }
    default:
      if (b == 0) run.FailType("division by zero");
      if (op == Op::kDivide) return Value::Float(a / b);
      return Value::Float(op == Op::kModulo ? Modulo(a, b) : FloorDivide(a, b));
  }
}

Value Repeat(Run& run, const Value& value, int64_t count) {
  const uint64_t times = count > 0 ? static_cast<uint64_t>(count) : 0;
  if (value.is(Type::kString)) {
    const std::string& text = value.text();
    if (!text.empty()) run.CheckString(times > run.limits().string_bytes ? times : times * text.size());
    if (text.size() == 1) return run.String(std::string(times, text[0]));
    std::string out;
    for (uint64_t i = 0; i < times && !text.empty(); ++i) out += text;
    return run.String(std::move(out));
  }
  const Sequence& source = value.sequence();
  std::vector<Value> items;
  for (uint64_t i = 0; i < times && !source.items.empty(); ++i) {
    run.Step(source.items.size());
    run.Charge(source.items.size() * sizeof(Value));  // as it grows, not only when it is complete
    items.insert(items.end(), source.items.begin(), source.items.end());
  }
  run.Release(items.size() * sizeof(Value));
  return run.MakeSequence(source.kind, std::move(items));
}

Value AddStrings(Run& run, const Value& left, const Value& right) {
  run.CheckString(left.text().size() + right.text().size());
  if (!left.markup() && !right.markup()) return run.String(left.text() + right.text());
  const auto safe = [](const Value& v) { return v.markup() ? v.text() : EscapeHtml(v.text()); };
  return run.Markup(safe(left) + safe(right));
}

bool IsListOrTuple(const Value& value) {
  return value.is(Type::kSequence) && value.sequence().kind <= SequenceKind::kTuple;
}

// The elements of a Python slice: first index, step, count.
struct SliceRange {
  int64_t begin, step;
  uint64_t count;
};

SliceRange ResolveSlice(Run& run, const Value& begin, const Value& end, const Value& step,
                        int64_t length) {
  for (const Value* part : {&begin, &end, &step}) {
    const bool left_out = part->is(Type::kNone);
    if (!left_out && !part->is_integer()) {
      run.FailType(StrCat("a slice's bounds are integers, not ", TypeName(*part)));
    }
  }
  const int64_t by = step.is(Type::kNone) ? 1 : step.integer();
  if (by == 0) run.FailType("a slice's step is zero");
  const int64_t low = by > 0 ? 0 : -1, high = by > 0 ? length : length - 1;
  const auto resolve = [&](const Value& bound, int64_t otherwise) {
    if (bound.is(Type::kNone)) return otherwise;
    const int64_t at = bound.integer() < 0 ? bound.integer() + length : bound.integer();
    return std::clamp(at, low, high);
  };
  const int64_t first = resolve(begin, by > 0 ? low : high);
  const int64_t last = resolve(end, by > 0 ? high : low);
  const int64_t distance = by > 0 ? last - first : first - last;
  if (distance <= 0) return {first, by, 0};
  const uint64_t stride = by > 0 ? static_cast<uint64_t>(by) : uint64_t{0} - static_cast<uint64_t>(by);
  return {first, by, (static_cast<uint64_t>(distance) - 1) / stride + 1};
}

// Where each character of `text` begins, and its end.
std::vector<size_t> CharacterOffsets(std::string_view text) {
  std::vector<size_t> offsets;
  for (size_t at = 0; at < text.size();) {
    offsets.push_back(at);
    NextCodePoint(text, at);
  }
  offsets.push_back(text.size());
  return offsets;
}

std::string SliceText(Run& run, std::string_view text, const Value& begin, const Value& end,
                      const Value& step) {
  run.Step(1 + text.size() / 64);
  std::vector<size_t> offsets;
  if (!IsAscii(text)) offsets = CharacterOffsets(text);
  const size_t length = offsets.empty() ? text.size() : offsets.size() - 1;
  const SliceRange range = ResolveSlice(run, begin, end, step, static_cast<int64_t>(length));
  std::string out;
  int64_t at = range.begin;
  for (uint64_t i = 0; i < range.count; ++i) {
    const size_t index = static_cast<size_t>(at);
    if (offsets.empty()) {
      out += text[index];
    } else {
      out += text.substr(offsets[index], offsets[index + 1] - offsets[index]);
    }
    if (i + 1 < range.count) at += range.step;
  }
  return out;
}

Value Character(Run& run, std::string_view text, int64_t index) {
  run.Step(text.size() / 64);
  const int64_t length = static_cast<int64_t>(CountCodePoints(text));
  if (index < 0) index += length;
  if (index < 0 || index >= length) return Value();
  size_t at = 0;
  for (; index > 0; --index) NextCodePoint(text, at);
  const size_t begin = at;
  NextCodePoint(text, at);
  return run.String(std::string(text.substr(begin, at - begin)));
}

}  // namespace

Value Arithmetic(Run& run, Op op, const Value& left, const Value& right) {
  if (left.is_integer() && right.is_integer()) {
    return IntegerArithmetic(run, op, left.integer(), right.integer());
  }
  if (left.is_number() && right.is_number()) {
    return FloatArithmetic(run, op, left.number(), right.number());
  }
  if (op == Op::kAdd && left.is(Type::kString) && right.is(Type::kString)) {
    return AddStrings(run, left, right);
  }
  if (op == Op::kAdd && IsListOrTuple(left) && IsListOrTuple(right) &&
      left.sequence().kind == right.sequence().kind) {
    std::vector<Value> items = left.sequence().items;
    const auto& more = right.sequence().items;
    items.insert(items.end(), more.begin(), more.end());
    return run.MakeSequence(left.sequence().kind, std::move(items));
  }
  if (op == Op::kMultiply) {
    if ((left.is(Type::kString) || IsListOrTuple(left)) && right.is_integer()) {
      return Repeat(run, left, right.integer());
    }
    if (left.is_integer() && (right.is(Type::kString) || IsListOrTuple(right))) {
      return Repeat(run, right, left.integer());
    }
  }
  if (op == Op::kModulo && left.is(Type::kString)) {
    run.Fail(ErrorCode::kUnsupported, "formatting with '%' is not supported");
  }
  FailOperands(run, op, left, right);
}

Value Negative(Run& run, const Value& value) {
  if (value.is(Type::kFloat)) return Value::Float(-value.number());
  if (value.is_integer()) return IntegerArithmetic(run, Op::kSubtract, 0, value.integer());
  run.FailType(StrCat("no '-' of ", TypeName(value)));
}

Value Positive(Run& run, const Value& value) {
  if (value.is(Type::kFloat)) return value;
  if (value.is_integer()) return Value::Int(value.integer());
  run.FailType(StrCat("no '+' of ", TypeName(value)));
}

bool Contains(Run& run, const Value& container, const Value& wanted) {
  switch (container.type()) {
    case Type::kString:
      if (!wanted.is(Type::kString)) FailOperands(run, Op::kIn, wanted, container);
      run.Step(1 + container.text().size() / 64);
      return container.text().find(wanted.text()) != std::string::npos;
    case Type::kDict: return run.Find(container.dict(), wanted) != nullptr;
    case Type::kSequence:
    case Type::kUndefined: {
      const std::vector<Value> items = Elements(run, container);
      return std::any_of(items.begin(), items.end(),
                         [&](const Value& item) { return Equal(run, item, wanted); });
    }
    default: FailOperands(run, Op::kIn, wanted, container);
  }
}

bool Compare(Run& run, Op op, const Value& left, const Value& right) {
  switch (op) {
    case Op::kEqual: return Equal(run, left, right);
    case Op::kNotEqual: return !Equal(run, left, right);
    case Op::kIn: return Contains(run, right, left);
    case Op::kNotIn: return !Contains(run, right, left);
    default: break;
  }
  if (left.is_number() && right.is_number() &&
      (std::isnan(left.number()) || std::isnan(right.number()))) {
    return false;
  }
  switch (op) {
    case Op::kLess: return Less(run, left, right);
    case Op::kLessEqual: return !Less(run, right, left);
    case Op::kGreater: return Less(run, right, left);
    default: return !Less(run, left, right);
  }
}

Value GetItem(Run& run, const Value& object, const Value& key) {
  switch (object.type()) {
    case Type::kUndefined:
      run.FailType(StrCat(SayUndefined(object), ", so has no elements"));
    case Type::kString:
      if (key.is_integer()) return Character(run, object.text(), key.integer());
      break;
    case Type::kSequence: {
      const Sequence& sequence = object.sequence();
      if (!key.is_integer() || sequence.kind > SequenceKind::kRange) break;
      const int64_t length = static_cast<int64_t>(sequence.items.size());
      const int64_t index = key.integer() < 0 ? key.integer() + length : key.integer();
      if (index < 0 || index >= length) return Value();
      return sequence.items[static_cast<size_t>(index)];
    }
    case Type::kDict:
      if (const Value* found = run.Find(object.dict(), key)) return *found;
      break;
    default: break;
  }
  if (!key.is(Type::kString)) return Value();
  // The name of an undefined value must outlive it, and the key may not.
  const Value attribute = GetAttribute(run, object, key.text());
  return attribute.is(Type::kUndefined) ? Value() : attribute;
}

Value GetSlice(Run& run, const Value& object, const Value& begin, const Value& end,
               const Value& step) {
  if (object.is(Type::kString)) {
    return run.String(SliceText(run, object.text(), begin, end, step));
  }
  if (!object.is(Type::kSequence) || object.sequence().kind > SequenceKind::kRange) {
    run.FailType(StrCat("no slice of ", TypeName(object)));
  }
  const Sequence& source = object.sequence();
  const SliceRange range =
      ResolveSlice(run, begin, end, step, static_cast<int64_t>(source.items.size()));
  std::vector<Value> items;
  int64_t at = range.begin;
  for (uint64_t i = 0; i < range.count; ++i) {
    items.push_back(source.items[static_cast<size_t>(at)]);
    if (i + 1 < range.count) at += range.step;
  }
  return run.MakeSequence(source.kind, std::move(items));
}

}  // namespace edgewise::jinja
