#include "jinja/expr_parser.h"

#include <algorithm>

#include "base/strings.h"
#include "jinja/builtins.h"
#include "jinja/parser.h"

namespace edgewise::jinja {

namespace {

constexpr OperatorName kComparisons[] = {{"==", Op::kEqual},   {"!=", Op::kNotEqual},
                                         {"<", Op::kLess},     {"<=", Op::kLessEqual},
                                         {">", Op::kGreater},  {">=", Op::kGreaterEqual}};
constexpr OperatorName kSums[] = {{"+", Op::kAdd}, {"-", Op::kSubtract}};
constexpr OperatorName kProducts[] = {{"*", Op::kMultiply}, {"/", Op::kDivide},
                                      {"//", Op::kFloorDivide}, {"%", Op::kModulo}};
constexpr OperatorName kPowers[] = {{"**", Op::kPower}};

}  // namespace

ExprParser::Level::Level(ExprParser& parser) : parser_(parser) {
  if (parser_.level_ >= kMaxNesting) {
    parser_.Fail(ErrorCode::kLimit, StrCat("nested more than ", kMaxNesting, " deep"));
  }
  ++parser_.level_;
}

void ExprParser::Fail(ErrorCode code, std::string_view message) const {
  throw Error(code, StrCat("chat template, line ", Now().line, ": ", message));
}

void ExprParser::FailExpected(std::string_view wanted) const {
  Fail(ErrorCode::kBadFile, StrCat("expected ", wanted, ", found ", Found()));
}

std::string ExprParser::Found() const {
  switch (Now().kind) {
    case TokenKind::kText: return "text";
    case TokenKind::kPrintBegin: return "'{{'";
    case TokenKind::kPrintEnd: return "'}}'";
    case TokenKind::kBlockBegin: return "'{%'";
    case TokenKind::kBlockEnd: return "'%}'";
    case TokenKind::kEnd: return "the end of the template";
    default: return StrCat("'", Printable(Now().text), "'");
  }
}

bool ExprParser::SkipOp(std::string_view text) {
  if (!IsOp(text)) return false;
  Take();
  return true;
}

bool ExprParser::SkipName(std::string_view text) {
  if (!IsName(text)) return false;
  Take();
  return true;
}

void ExprParser::ExpectOp(std::string_view text) {
  if (!SkipOp(text)) FailExpected(StrCat("'", text, "'"));
}

void ExprParser::ExpectName(std::string_view text) {
  if (!SkipName(text)) FailExpected(StrCat("'", text, "'"));
}

void ExprParser::Expect(TokenKind kind, std::string_view wanted) {
  if (!Is(kind)) FailExpected(wanted);
  Take();
}

std::string ExprParser::ExpectAnyName(std::string_view wanted) {
  if (!Is(TokenKind::kName)) FailExpected(wanted);
  return Take().text;
}

const Expr* ExprParser::ParseTarget() {
  const Expr* target = ParseTuple(false, &ExprParser::ParsePrimary);
  CheckTarget(target);
  return target;
}

void ExprParser::CheckTarget(const Expr* target) const {
  if (target->kind == ExprKind::kName) return;  // true, false and none are constants
  if (target->kind != ExprKind::kTuple) Fail(ErrorCode::kBadFile, "cannot assign to that");
  for (const Expr* item : target->items) CheckTarget(item);
}

const Expr* ExprParser::Make(ExprKind kind, int line, std::vector<const Expr*> items) {
  return program_.Add(Expr{.kind = kind, .line = line, .items = std::move(items)});
}

const Expr* ExprParser::ParseTuple(bool with_condition) {
  return ParseTuple(false, with_condition ? &ExprParser::ParseExpression : &ExprParser::ParseOr);
}

const Expr* ExprParser::ParseTuple(bool in_parentheses, Production parse) {
  const int line = Now().line;
  std::vector<const Expr*> items;
  bool is_tuple = false;
  while (!AtTupleEnd()) {
    items.push_back((this->*parse)());
    if (!SkipOp(",")) break;
    is_tuple = true;
  }
  if (!is_tuple && !items.empty()) return items[0];
  if (!is_tuple && !in_parentheses) FailExpected("an expression");
  return Make(ExprKind::kTuple, line, std::move(items));
}

bool ExprParser::AtTupleEnd() const {
  return Is(TokenKind::kPrintEnd) || Is(TokenKind::kBlockEnd) || IsOp(")") || IsName("in") ||
         IsName("recursive");
}

const Expr* ExprParser::ParseExpression() {
  const Level level(*this);
  const size_t known = unknown_.size();
  const Expr* value = ParseOr();
  while (IsName("if")) {
    const int line = Take().line;
    unknown_.resize(known);  // what the condition guards
    ++conditions_;
    const Expr* test = ParseOr();
    const Expr* otherwise = SkipName("else") ? ParseExpression() : nullptr;
    --conditions_;
    value = Make(ExprKind::kCondition, line, {value, test, otherwise});
  }
  return value;
}

const Expr* ExprParser::ParseOr() {
  const Expr* left = ParseAnd();
  while (IsName("or")) {
    const int line = Take().line;
    left = Make(ExprKind::kOr, line, {left, ParseAnd()});
  }
  return left;
}

const Expr* ExprParser::ParseAnd() {
  const Expr* left = ParseNot();
  while (IsName("and")) {
    const int line = Take().line;
    left = Make(ExprKind::kAnd, line, {left, ParseNot()});
  }
  return left;
}

const Expr* ExprParser::ParseNot() {
  const Level level(*this);
  if (!IsName("not")) return ParseCompare();
  const int line = Take().line;
  return Make(ExprKind::kNot, line, {ParseNot()});
}

const Op* ExprParser::FindOp(std::span<const OperatorName> names) const {
  if (!Is(TokenKind::kOperator)) return nullptr;
  for (const OperatorName& name : names) {
    if (name.text == Now().text) return &name.op;
  }
  return nullptr;
}

const Expr* ExprParser::ParseCompare() {
  Expr compare{.kind = ExprKind::kCompare, .line = Now().line};
  compare.items = {ParseSum()};
  for (;;) {
    if (const Op* op = FindOp(kComparisons)) {
      Take();
      compare.ops.push_back(*op);
    } else if (SkipName("in")) {
      compare.ops.push_back(Op::kIn);
    } else if (IsName("not") && Next().kind == TokenKind::kName && Next().text == "in") {
      Take();
      Take();
      compare.ops.push_back(Op::kNotIn);
    } else {
      break;
    }
    compare.items.push_back(ParseSum());
  }
  return compare.ops.empty() ? compare.items[0] : program_.Add(std::move(compare));
}

const Expr* ExprParser::ParseBinary(std::span<const OperatorName> names, Production operand) {
  const Expr* left = (this->*operand)();
  while (const Op* op = FindOp(names)) {
    const int line = Take().line;
    left = program_.Add(Expr{.kind = ExprKind::kBinary, .line = line,
                             .items = {left, (this->*operand)()}, .ops = {*op}});
  }
  return left;
}

const Expr* ExprParser::ParseSum() { return ParseBinary(kSums, &ExprParser::ParseConcat); }
const Expr* ExprParser::ParseProduct() { return ParseBinary(kProducts, &ExprParser::ParsePower); }
const Expr* ExprParser::ParsePower() { return ParseBinary(kPowers, &ExprParser::ParseFiltered); }

const Expr* ExprParser::ParseConcat() {
  const int line = Now().line;
  std::vector<const Expr*> items = {ParseProduct()};
  while (SkipOp("~")) items.push_back(ParseProduct());
  return items.size() == 1 ? items[0] : Make(ExprKind::kConcat, line, std::move(items));
}

const Expr* ExprParser::ParseFiltered() { return ParseFiltersAndTests(ParseUnary()); }

const Expr* ExprParser::ParseUnary() {
  const Level level(*this);
  const int line = Now().line;
  if (SkipOp("-")) return ParsePostfix(Make(ExprKind::kNegative, line, {ParseUnary()}));
  if (SkipOp("+")) return ParsePostfix(Make(ExprKind::kPositive, line, {ParseUnary()}));
  return ParsePostfix(ParsePrimary());
}

const Expr* ExprParser::ParsePrimary() {
  const Token& token = Now();
  Expr expr{.kind = ExprKind::kConstant, .line = token.line};
  switch (token.kind) {
    case TokenKind::kName:
      if (token.text == "true" || token.text == "True") {
        expr.constant = Value::Bool(true);
      } else if (token.text == "false" || token.text == "False") {
        expr.constant = Value::Bool(false);
      } else if (token.text == "none" || token.text == "None") {
        expr.constant = Value::None();
      } else {
        expr.kind = ExprKind::kName;
        expr.name = token.text;
      }
      Take();
      break;
    case TokenKind::kString: {
      std::string text = Take().text;
      while (Is(TokenKind::kString)) text += Take().text;
      expr.constant = Value::Constant(std::move(text));
      break;
    }
    case TokenKind::kInteger:
      expr.constant = Value::Int(Take().integer);
      break;
    case TokenKind::kFloat:
      expr.constant = Value::Float(Take().number);
      break;
    default:
      if (IsOp("(")) return ParseParentheses();
      if (IsOp("[")) return ParseList();
      if (IsOp("{")) return ParseDict();
      FailExpected("an expression");
  }
  return program_.Add(std::move(expr));
}

const Expr* ExprParser::ParseParentheses() {
  const Level level(*this);
  Take();
  const Expr* inner = ParseTuple(true, &ExprParser::ParseExpression);
  ExpectOp(")");
  return inner;
}

const Expr* ExprParser::ParseList() {
  const int line = Take().line;
  std::vector<const Expr*> items;
  while (!IsOp("]")) {
    items.push_back(ParseExpression());
    if (!SkipOp(",")) break;
  }
  ExpectOp("]");
  return Make(ExprKind::kList, line, std::move(items));
}

const Expr* ExprParser::ParseDict() {
  const int line = Take().line;
  std::vector<const Expr*> items;
  while (!IsOp("}")) {
    items.push_back(ParseExpression());
    ExpectOp(":");
    items.push_back(ParseExpression());
    if (!SkipOp(",")) break;
  }
  ExpectOp("}");
  return Make(ExprKind::kDict, line, std::move(items));
}

const Expr* ExprParser::ParsePostfix(const Expr* value) {
  for (;;) {
    const int line = Now().line;
    if (SkipOp(".")) {
      if (Is(TokenKind::kInteger)) {
        value = Make(ExprKind::kItem, line, {value, ParsePrimary()});
      } else {
        value = program_.Add(Expr{.kind = ExprKind::kAttribute, .line = line,
                                  .name = ExpectAnyName("an attribute"), .items = {value}});
      }
    } else if (SkipOp("[")) {
      value = Make(ExprKind::kItem, line, {value, ParseSubscript()});
      if (IsOp(",")) Fail(ErrorCode::kUnsupported, "a subscript of several indices");
      ExpectOp("]");
    } else if (IsOp("(")) {
      value = ParseCall(value);
    } else {
      return value;
    }
  }
}

const Expr* ExprParser::ParseSubscript() {
  const int line = Now().line;
  const Expr* begin = IsOp(":") ? nullptr : ParseExpression();
  if (!SkipOp(":")) return begin;
  const auto part = [this] { return IsOp(":") || IsOp("]") ? nullptr : ParseExpression(); };
  const Expr* end = part();
  const Expr* step = SkipOp(":") ? part() : nullptr;
  return Make(ExprKind::kSlice, line, {begin, end, step});
}

const Expr* ExprParser::ParseCall(const Expr* callee) {
  const int line = Now().line;
  Expr call{.kind = ExprKind::kCall, .line = line, .items = {callee}};
  call.args = ParseArgs();
  return program_.Add(std::move(call));
}

CallArgs ExprParser::ParseArgs() {
  CallArgs args;
  ExpectOp("(");
  while (!IsOp(")")) {
    if (IsOp("*") && args.star == nullptr && args.star_star == nullptr) {
      Take();
      args.star = ParseExpression();
    } else if (IsOp("**") && args.star_star == nullptr) {
      Take();
      args.star_star = ParseExpression();
    } else if (Is(TokenKind::kName) && IsNextOp("=") && args.star_star == nullptr) {
      std::string name = Take().text;
      Take();
      args.named.emplace_back(std::move(name), ParseExpression());
    } else if (args.named.empty() && args.star == nullptr && args.star_star == nullptr) {
      args.positional.push_back(ParseExpression());
    } else {
      Fail(ErrorCode::kBadFile, "arguments in a wrong order");
    }
    if (!SkipOp(",")) break;
  }
  ExpectOp(")");
  return args;
}

std::string ExprParser::ParseDottedName(std::string_view wanted) {
  std::string name = ExpectAnyName(wanted);
  while (SkipOp(".")) name += "." + ExpectAnyName(wanted);
  return name;
}

// Jinja, too, looks names up when a condition's branch is taken and otherwise when parsing.
void ExprParser::CheckKnown(bool known, std::string_view what, std::string_view name) {
  if (known || conditions_ > 0) return;
  unknown_.push_back(StrCat("chat template, line ", Now().line, ": the ", what, " '",
                            Printable(name), "' is not supported"));
}

void ExprParser::FailIfUnknown() const {
  if (!unknown_.empty()) throw Error(ErrorCode::kUnsupported, unknown_.front());
}

const Expr* ExprParser::ParseFilter(const Expr* value) {
  Expr filter{.kind = ExprKind::kFilter, .line = Now().line, .items = {value}};
  filter.name = ParseDottedName("the name of a filter");
  CheckKnown(HasFilter(filter.name), "filter", filter.name);
  if (IsOp("(")) filter.args = ParseArgs();
  return program_.Add(std::move(filter));
}

const Expr* ExprParser::ParseFilters(const Expr* value) {
  while (SkipOp("|")) value = ParseFilter(value);
  return value;
}

const Expr* ExprParser::ParseTest(const Expr* value) {
  const int line = Take().line;
  const bool negated = SkipName("not");
  Expr test{.kind = ExprKind::kTest, .line = line, .items = {value}};
  test.name = ParseDottedName("the name of a test");
  CheckKnown(HasTest(test.name), "test", test.name);
  if (IsOp("(")) {
    test.args = ParseArgs();
  } else if (StartsArgument()) {
    if (IsName("is")) Fail(ErrorCode::kBadFile, "tests cannot be chained with 'is'");
    test.args.positional.push_back(ParsePostfix(ParsePrimary()));
  }
  const Expr* result = program_.Add(std::move(test));
  return negated ? Make(ExprKind::kNot, line, {result}) : result;
}

bool ExprParser::StartsArgument() const {
  if (Is(TokenKind::kName)) return !IsName("else") && !IsName("or") && !IsName("and");
  return Is(TokenKind::kString) || Is(TokenKind::kInteger) || Is(TokenKind::kFloat) || IsOp("[") ||
         IsOp("{");
}

const Expr* ExprParser::ParseFiltersAndTests(const Expr* value) {
  for (;;) {
    if (SkipOp("|")) {
      value = ParseFilter(value);
    } else if (IsName("is")) {
      value = ParseTest(value);
    } else if (IsOp("(")) {
      value = ParseCall(value);
    } else {
      return value;
    }
  }
}

}  // namespace edgewise::jinja
