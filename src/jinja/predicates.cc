#include <algorithm>
#include <iterator>

#include "base/strings.h"
#include "jinja/builtins.h"

namespace edgewise::jinja {
namespace {

using TestFunction = bool (*)(Run& run, const Value& subject, const Args& args);

const Value& OnlyArgument(Run& run, std::string_view test, const Args& args) {
  if (args.positional.size() != 1 || !args.named.empty()) {
    run.FailType(StrCat("the test '", test, "' takes one argument"));
  }
  return args.positional[0];
}

// A test without arguments by the type of its subject.
template <bool (*kHolds)(const Value&)>
bool OfType(Run& run, const Value& subject, const Args& args) {
  ArgReader(run, "a test of a type", args, {});
  return kHolds(subject);
}

bool IsDefined(const Value& v) { return !v.is(Type::kUndefined); }
bool IsUndefined(const Value& v) { return v.is(Type::kUndefined); }
bool IsNone(const Value& v) { return v.is(Type::kNone); }
bool IsBoolean(const Value& v) { return v.is(Type::kBool); }
bool IsTrue(const Value& v) { return v.is(Type::kBool) && v.boolean(); }
bool IsFalse(const Value& v) { return v.is(Type::kBool) && !v.boolean(); }
bool IsInteger(const Value& v) { return v.is(Type::kInt); }
bool IsFloat(const Value& v) { return v.is(Type::kFloat); }
bool IsNumber(const Value& v) { return v.is_number(); }
bool IsString(const Value& v) { return v.is(Type::kString); }
bool IsMapping(const Value& v) { return v.is(Type::kDict); }
// Jinja asks for a length and an index, which its undefined value has too.
bool IsSequence(const Value& v) {
  if (v.is(Type::kSequence)) return v.sequence().kind <= SequenceKind::kRange;
  return v.is(Type::kUndefined) || v.is(Type::kString) || v.is(Type::kDict);
}
bool IsCallable(const Value& v) {
  return v.is(Type::kUndefined) || v.is(Type::kMacro) || v.is(Type::kFunction) || v.is(Type::kMethod);
}

template <Op kOp>
bool Comparison(Run& run, const Value& subject, const Args& args) {
  return Compare(run, kOp, subject, OnlyArgument(run, "comparison", args));
}

bool IsIn(Run& run, const Value& subject, const Args& args) {
  return Contains(run, OnlyArgument(run, "in", args), subject);
}

bool DividesBy(Run& run, const Value& subject, const Value& divisor) {
  return Equal(run, Arithmetic(run, Op::kModulo, subject, divisor), Value::Int(0));
}

bool IsDivisible(Run& run, const Value& subject, const Args& args) {
  return DividesBy(run, subject, OnlyArgument(run, "divisibleby", args));
}
bool IsEven(Run& run, const Value& subject, const Args& args) {
  ArgReader(run, "even", args, {});
  return DividesBy(run, subject, Value::Int(2));
}
bool IsOdd(Run& run, const Value& subject, const Args& args) {
  ArgReader(run, "odd", args, {});
  return Equal(run, Arithmetic(run, Op::kModulo, subject, Value::Int(2)), Value::Int(1));
}

bool IsSame(Run& run, const Value& subject, const Args& args) {
  const Value& other = OnlyArgument(run, "sameas", args);
  if (subject.type() != other.type()) return false;
  switch (subject.type()) {
    case Type::kNone: return true;
    case Type::kBool: return subject.boolean() == other.boolean();
    case Type::kInt:
    case Type::kFloat:
    case Type::kString:
    case Type::kUndefined:
      run.Fail(ErrorCode::kUnsupported, StrCat("the test 'sameas' of ", TypeName(subject)));
    default: return subject.object() == other.object();
  }
}

bool HasCase(Run& run, const Value& subject, const Args& args, std::string_view method) {
  const Value text = run.String(ToText(run, subject));
  const Value bound = GetAttribute(run, text, method);
  return CallMethod(run, static_cast<const Method&>(*bound.object()), args).boolean();
}
bool IsLower(Run& run, const Value& subject, const Args& args) {
  return HasCase(run, subject, args, "islower");
}
bool IsUpper(Run& run, const Value& subject, const Args& args) {
  return HasCase(run, subject, args, "isupper");
}

bool IsFilter(Run& run, const Value& subject, const Args& args) {
  ArgReader(run, "filter", args, {});
  return subject.is(Type::kString) && HasFilter(subject.text());
}
bool IsTest(Run& run, const Value& subject, const Args& args) {
  ArgReader(run, "test", args, {});
  return subject.is(Type::kString) && HasTest(subject.text());
}

struct NamedTest {
  std::string_view name;
  TestFunction holds;
};
constexpr NamedTest kTests[] = {
    {"!=", Comparison<Op::kNotEqual>}, {"<", Comparison<Op::kLess>},
    {"<=", Comparison<Op::kLessEqual>}, {"==", Comparison<Op::kEqual>},
    {">", Comparison<Op::kGreater>}, {">=", Comparison<Op::kGreaterEqual>},
    {"boolean", OfType<IsBoolean>}, {"callable", OfType<IsCallable>},
    {"defined", OfType<IsDefined>}, {"divisibleby", IsDivisible}, {"eq", Comparison<Op::kEqual>},
    {"equalto", Comparison<Op::kEqual>}, {"even", IsEven}, {"false", OfType<IsFalse>},
    {"filter", IsFilter}, {"float", OfType<IsFloat>}, {"ge", Comparison<Op::kGreaterEqual>},
    {"greaterthan", Comparison<Op::kGreater>}, {"gt", Comparison<Op::kGreater>}, {"in", IsIn},
    {"integer", OfType<IsInteger>}, {"iterable", OfType<IsIterable>},
    {"le", Comparison<Op::kLessEqual>}, {"lessthan", Comparison<Op::kLess>}, {"lower", IsLower},
    {"lt", Comparison<Op::kLess>}, {"mapping", OfType<IsMapping>},
    {"ne", Comparison<Op::kNotEqual>}, {"none", OfType<IsNone>}, {"number", OfType<IsNumber>},
    {"odd", IsOdd}, {"sameas", IsSame}, {"sequence", OfType<IsSequence>},
    {"string", OfType<IsString>}, {"test", IsTest}, {"true", OfType<IsTrue>},
    {"undefined", OfType<IsUndefined>}, {"upper", IsUpper}};

TestFunction FindTest(std::string_view name) {
  const auto at = std::find_if(std::begin(kTests), std::end(kTests),
                               [name](const NamedTest& test) { return test.name == name; });
  return at == std::end(kTests) ? nullptr : at->holds;
}

}  // namespace

bool HasTest(std::string_view name) { return FindTest(name) != nullptr; }

bool ApplyTest(Run& run, std::string_view name, const Value& subject, const Args& args) {
  const TestFunction holds = FindTest(name);
  if (holds == nullptr) {
    run.Fail(ErrorCode::kUnsupported, StrCat("the test '", Printable(name), "' is not supported"));
  }
  return holds(run, subject, args);
}

}  // namespace edgewise::jinja
