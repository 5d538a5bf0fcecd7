#include "tokenizer/jinja_parser.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <span>
#include <string>

#include "base/strings.h"
#include "tokenizer/jinja_builtins.h"
#include "tokenizer/jinja_lexer.h"

namespace edgewise::jinja {
namespace {

// Tags of Jinja that no chat template needs.
constexpr std::string_view kUnsupportedTags[] = {"include", "import", "from", "extends", "block",
                                                 "autoescape", "trans", "do", "debug", "print"};

struct OperatorName {
  std::string_view text;
  Op op;
};
constexpr OperatorName kComparisons[] = {{"==", Op::kEqual},   {"!=", Op::kNotEqual},
                                         {"<", Op::kLess},     {"<=", Op::kLessEqual},
                                         {">", Op::kGreater},  {">=", Op::kGreaterEqual}};
constexpr OperatorName kSums[] = {{"+", Op::kAdd}, {"-", Op::kSubtract}};
constexpr OperatorName kProducts[] = {{"*", Op::kMultiply}, {"/", Op::kDivide},
                                      {"//", Op::kFloorDivide}, {"%", Op::kModulo}};
constexpr OperatorName kPowers[] = {{"**", Op::kPower}};

bool IsReserved(std::string_view name) {
  static constexpr std::string_view kReserved[] = {"true", "false", "none", "True", "False", "None"};
  return std::ranges::find(kReserved, name) != std::end(kReserved);
}

class Parser {
 public:
  Parser(std::string_view source, Program& program) : tokens_(Tokenize(source)), program_(program) {}

  void Run() {
    program_.body = ParseBody({});
    EDGEWISE_CHECK(Is(TokenKind::kEnd));
  }

 private:
  // A level of recursion. Every cycle of the grammar passes one.
  class Level {
   public:
    explicit Level(Parser& parser) : parser_(parser) {
      if (parser_.level_ >= kMaxNesting) {
        parser_.Fail(ErrorCode::kLimit, StrCat("nested more than ", kMaxNesting, " deep"));
      }
      ++parser_.level_;
    }
    Level(const Level&) = delete;
    ~Level() { --parser_.level_; }

   private:
    Parser& parser_;
  };

  // --- tokens ---

  const Token& Now() const { return tokens_[at_]; }
  const Token& Next() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  bool Is(TokenKind kind) const { return Now().kind == kind; }
  bool IsOp(std::string_view text) const { return Is(TokenKind::kOperator) && Now().text == text; }
  bool IsName(std::string_view text) const { return Is(TokenKind::kName) && Now().text == text; }
  const Token& Take() { return tokens_[at_ + 1 < tokens_.size() ? at_++ : at_]; }

  bool SkipOp(std::string_view text) {
    if (!IsOp(text)) return false;
    Take();
    return true;
  }
  bool SkipName(std::string_view text) {
    if (!IsName(text)) return false;
    Take();
    return true;
  }

  [[noreturn]] void Fail(ErrorCode code, std::string_view message) const {
    throw Error(code, StrCat("chat template, line ", Now().line, ": ", message));
  }
  [[noreturn]] void FailExpected(std::string_view wanted) const {
    Fail(ErrorCode::kBadFile, StrCat("expected ", wanted, ", found ", Found()));
  }

  std::string Found() const {
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

  void ExpectOp(std::string_view text) {
    if (!SkipOp(text)) FailExpected(StrCat("'", text, "'"));
  }
  void ExpectName(std::string_view text) {
    if (!SkipName(text)) FailExpected(StrCat("'", text, "'"));
  }
  void Expect(TokenKind kind, std::string_view wanted) {
    if (!Is(kind)) FailExpected(wanted);
    Take();
  }
  std::string ExpectAnyName(std::string_view wanted) {
    if (!Is(TokenKind::kName)) FailExpected(wanted);
    return Take().text;
  }

  // --- statements ---

  // Statements up to a tag named in `ends`, whose name is then the current token; or, when there are
  // none, to the end of the template.
  Body ParseBody(std::initializer_list<std::string_view> ends) {
    const Level level(*this);
    Body body;
    for (;;) {
      const int line = Now().line;
      if (Is(TokenKind::kText)) {
        body.push_back(program_.Add(Stmt{.kind = StmtKind::kText, .line = line, .text = Take().text}));
      } else if (Is(TokenKind::kPrintBegin)) {
        Take();
        const Expr* value = ParseTuple();
        Expect(TokenKind::kPrintEnd, "'}}'");
        body.push_back(program_.Add(Stmt{.kind = StmtKind::kPrint, .line = line, .value = value}));
      } else if (Is(TokenKind::kBlockBegin)) {
        Take();
        if (Is(TokenKind::kName) && std::ranges::find(ends, Now().text) != ends.end()) return body;
        body.push_back(ParseStatement());
        Expect(TokenKind::kBlockEnd, "'%}'");
      } else if (ends.size() == 0) {
        return body;
      } else {
        FailExpected(StrCat("'", *(ends.end() - 1), "'"));
      }
    }
  }

  // The same behind the end of the current tag.
  Body ParseInner(std::initializer_list<std::string_view> ends) {
    SkipOp(":");
    Expect(TokenKind::kBlockEnd, "'%}'");
    return ParseBody(ends);
  }

  Body ParseInnerTo(std::string_view end) {
    Body body = ParseInner({end});
    Take();
    return body;
  }

  const Stmt* ParseStatement() {
    const int line = Now().line;
    const std::string tag = ExpectAnyName("the name of a tag");
    if (tag == "if") return ParseIf(line);
    if (tag == "for") return ParseFor(line);
    if (tag == "set") return ParseSet(line);
    if (tag == "macro") return ParseMacro(line);
    if (tag == "with") return ParseWith(line);
    if (tag == "filter") return ParseFilterBlock(line);
    if (tag == "call") return ParseCallBlock(line);
    if (tag == "generation") {
      // Hugging Face's mark of what the assistant says, for training: prints its body.
      return program_.Add(
          Stmt{.kind = StmtKind::kScope, .line = line, .body = ParseInnerTo("endgeneration")});
    }
    if (tag == "break" || tag == "continue") {
      if (loops_ == 0) Fail(ErrorCode::kBadFile, StrCat("'", tag, "' outside of a loop"));
      return program_.Add(Stmt{
          .kind = tag == "break" ? StmtKind::kBreak : StmtKind::kContinue, .line = line});
    }
    if (std::ranges::find(kUnsupportedTags, tag) != std::end(kUnsupportedTags)) {
      Fail(ErrorCode::kUnsupported, StrCat("the tag '", tag, "' is not supported"));
    }
    Fail(ErrorCode::kBadFile, StrCat("unknown tag '", Printable(tag), "'"));
  }

  const Stmt* ParseIf(int line) {
    Stmt stmt{.kind = StmtKind::kIf, .line = line};
    ++conditions_;
    for (;;) {
      const Expr* test = ParseTuple(/*with_condition=*/false);
      stmt.branches.emplace_back(test, ParseInner({"elif", "else", "endif"}));
      const std::string tag = Take().text;
      if (tag == "elif") continue;
      if (tag == "else") stmt.otherwise = ParseInnerTo("endif");
      break;
    }
    --conditions_;
    return program_.Add(std::move(stmt));
  }

  const Stmt* ParseFor(int line) {
    Stmt stmt{.kind = StmtKind::kFor, .line = line};
    stmt.target = ParseTarget();
    ExpectName("in");
    stmt.value = ParseTuple(/*with_condition=*/false);
    if (SkipName("if")) stmt.test = ParseExpression();
    if (IsName("recursive")) Fail(ErrorCode::kUnsupported, "a recursive loop is not supported");
    ++loops_;
    stmt.body = ParseInner({"endfor", "else"});
    --loops_;
    if (Take().text == "else") stmt.otherwise = ParseInnerTo("endfor");
    return program_.Add(std::move(stmt));
  }

  const Stmt* ParseSet(int line) {
    Stmt stmt{.kind = StmtKind::kSet, .line = line};
    if (Next().kind == TokenKind::kOperator && Next().text == "." && Is(TokenKind::kName)) {
      const Expr* object = program_.Add(
          Expr{.kind = ExprKind::kName, .line = Now().line, .name = Take().text});
      Take();
      stmt.target = program_.Add(Expr{.kind = ExprKind::kAttribute, .line = line,
                                      .name = ExpectAnyName("an attribute"), .items = {object}});
    } else {
      stmt.target = ParseTarget();
    }
    if (SkipOp("=")) {
      stmt.value = ParseTuple();
    } else {
      stmt.kind = StmtKind::kSetBlock;
      stmt.value = ParseFilters(nullptr);
      stmt.body = ParseCaptured("endset");
    }
    return program_.Add(std::move(stmt));
  }

  // A name, or several with commas, perhaps in brackets.
  const Expr* ParseTarget() {
    const Expr* target = ParseTuple(false, &Parser::ParsePrimary);
    CheckTarget(target);
    return target;
  }

  void CheckTarget(const Expr* target) const {
    if (target->kind == ExprKind::kName && !IsReserved(target->name)) return;
    if (target->kind != ExprKind::kTuple) Fail(ErrorCode::kBadFile, "cannot assign to that");
    for (const Expr* item : target->items) CheckTarget(item);
  }

  void ParseParams(Stmt& stmt) {
    ExpectOp("(");
    while (!IsOp(")")) {
      if (!stmt.params.empty()) ExpectOp(",");
      Param param{ExpectAnyName("a parameter"), nullptr};
      if (SkipOp("=")) {
        param.value = ParseExpression();
      } else if (!stmt.params.empty() && stmt.params.back().value != nullptr) {
        Fail(ErrorCode::kBadFile, "a parameter without default behind one with");
      }
      stmt.params.push_back(std::move(param));
    }
    ExpectOp(")");
  }

  // A body whose output becomes a value: break and continue do not reach out of it.
  Body ParseCaptured(std::string_view end) {
    const int outer_loops = std::exchange(loops_, 0);
    Body body = ParseInnerTo(end);
    loops_ = outer_loops;
    return body;
  }

  Body ParseMacroBody(Stmt& stmt, std::string_view end) {
    const size_t first = program_.exprs.size();
    Body body = ParseCaptured(end);
    for (size_t i = first; i < program_.exprs.size(); ++i) {
      const Expr& expr = *program_.exprs[i];
      if (expr.kind != ExprKind::kName) continue;
      stmt.takes_varargs |= expr.name == "varargs";
      stmt.takes_kwargs |= expr.name == "kwargs";
      stmt.takes_caller |= expr.name == "caller";
    }
    return body;
  }

  const Stmt* ParseMacro(int line) {
    Stmt stmt{.kind = StmtKind::kMacro, .line = line, .text = ExpectAnyName("the macro's name")};
    ParseParams(stmt);
    stmt.body = ParseMacroBody(stmt, "endmacro");
    return program_.Add(std::move(stmt));
  }

  const Stmt* ParseCallBlock(int line) {
    Stmt stmt{.kind = StmtKind::kCallBlock, .line = line};
    if (IsOp("(")) ParseParams(stmt);
    stmt.value = ParseExpression();
    if (stmt.value->kind != ExprKind::kCall) FailExpected("a call");
    stmt.body = ParseMacroBody(stmt, "endcall");
    return program_.Add(std::move(stmt));
  }

  const Stmt* ParseWith(int line) {
    Stmt stmt{.kind = StmtKind::kScope, .line = line};
    while (!Is(TokenKind::kBlockEnd)) {
      if (!stmt.params.empty()) ExpectOp(",");
      std::string name = ExpectAnyName("a variable");
      ExpectOp("=");
      stmt.params.push_back({std::move(name), ParseExpression()});
    }
    stmt.body = ParseInnerTo("endwith");
    return program_.Add(std::move(stmt));
  }

  const Stmt* ParseFilterBlock(int line) {
    Stmt stmt{.kind = StmtKind::kFilterBlock, .line = line};
    stmt.value = ParseFilters(ParseFilter(nullptr));
    stmt.body = ParseCaptured("endfilter");
    return program_.Add(std::move(stmt));
  }

  // --- expressions, from the loosest binding to the tightest ---

  using ExprParser = const Expr* (Parser::*)();

  const Expr* Make(ExprKind kind, int line, std::vector<const Expr*> items) {
    return program_.Add(Expr{.kind = kind, .line = line, .items = std::move(items)});
  }

  const Expr* ParseTuple(bool with_condition = true) {
    return ParseTuple(false, with_condition ? &Parser::ParseExpression : &Parser::ParseOr);
  }

  // One expression, or several with commas as a tuple; nothing at all only in parentheses.
  const Expr* ParseTuple(bool in_parentheses, ExprParser parse) {
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

  bool AtTupleEnd() const {
    return Is(TokenKind::kPrintEnd) || Is(TokenKind::kBlockEnd) || IsOp(")") || IsName("in") ||
           IsName("recursive");
  }

  const Expr* ParseExpression() {
    const Level level(*this);
    const Expr* value = ParseOr();
    while (IsName("if")) {
      const int line = Take().line;
      ++conditions_;
      const Expr* test = ParseOr();
      const Expr* otherwise = SkipName("else") ? ParseExpression() : nullptr;
      --conditions_;
      value = Make(ExprKind::kCondition, line, {value, test, otherwise});
    }
    return value;
  }

  const Expr* ParseOr() {
    const Expr* left = ParseAnd();
    while (IsName("or")) {
      const int line = Take().line;
      left = Make(ExprKind::kOr, line, {left, ParseAnd()});
    }
    return left;
  }

  const Expr* ParseAnd() {
    const Expr* left = ParseNot();
    while (IsName("and")) {
      const int line = Take().line;
      left = Make(ExprKind::kAnd, line, {left, ParseNot()});
    }
    return left;
  }

  const Expr* ParseNot() {
    const Level level(*this);
    if (!IsName("not")) return ParseCompare();
    const int line = Take().line;
    return Make(ExprKind::kNot, line, {ParseNot()});
  }

  const Op* FindOp(std::span<const OperatorName> names) const {
    if (!Is(TokenKind::kOperator)) return nullptr;
    for (const OperatorName& name : names) {
      if (name.text == Now().text) return &name.op;
    }
    return nullptr;
  }

  const Expr* ParseCompare() {
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

  const Expr* ParseBinary(std::span<const OperatorName> names, ExprParser operand) {
    const Expr* left = (this->*operand)();
    while (const Op* op = FindOp(names)) {
      const int line = Take().line;
      left = program_.Add(Expr{.kind = ExprKind::kBinary, .line = line,
                               .items = {left, (this->*operand)()}, .ops = {*op}});
    }
    return left;
  }

  const Expr* ParseSum() { return ParseBinary(kSums, &Parser::ParseConcat); }
  const Expr* ParseProduct() { return ParseBinary(kProducts, &Parser::ParsePower); }
  const Expr* ParsePower() { return ParseBinary(kPowers, &Parser::ParseFiltered); }

  const Expr* ParseConcat() {
    const int line = Now().line;
    std::vector<const Expr*> items = {ParseProduct()};
    while (SkipOp("~")) items.push_back(ParseProduct());
    return items.size() == 1 ? items[0] : Make(ExprKind::kConcat, line, std::move(items));
  }

  const Expr* ParseFiltered() { return ParseFiltersAndTests(ParseUnary()); }

  const Expr* ParseUnary() {
    const Level level(*this);
    const int line = Now().line;
    if (SkipOp("-")) return ParsePostfix(Make(ExprKind::kNegative, line, {ParseUnary()}));
    if (SkipOp("+")) return ParsePostfix(Make(ExprKind::kPositive, line, {ParseUnary()}));
    return ParsePostfix(ParsePrimary());
  }

  const Expr* ParsePrimary() {
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

  const Expr* ParseParentheses() {
    const Level level(*this);
    Take();
    const Expr* inner = ParseTuple(true, &Parser::ParseExpression);
    ExpectOp(")");
    return inner;
  }

  const Expr* ParseList() {
    const int line = Take().line;
    std::vector<const Expr*> items;
    while (!IsOp("]")) {
      items.push_back(ParseExpression());
      if (!SkipOp(",")) break;
    }
    ExpectOp("]");
    return Make(ExprKind::kList, line, std::move(items));
  }

  const Expr* ParseDict() {
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

  const Expr* ParsePostfix(const Expr* value) {
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

  const Expr* ParseSubscript() {
    const int line = Now().line;
    const Expr* begin = IsOp(":") ? nullptr : ParseExpression();
    if (!SkipOp(":")) return begin;
    const auto part = [this] { return IsOp(":") || IsOp("]") ? nullptr : ParseExpression(); };
    const Expr* end = part();
    const Expr* step = SkipOp(":") ? part() : nullptr;
    return Make(ExprKind::kSlice, line, {begin, end, step});
  }

  const Expr* ParseCall(const Expr* callee) {
    const int line = Now().line;
    Expr call{.kind = ExprKind::kCall, .line = line, .items = {callee}};
    call.args = ParseArgs();
    return program_.Add(std::move(call));
  }

  CallArgs ParseArgs() {
    CallArgs args;
    ExpectOp("(");
    while (!IsOp(")")) {
      if (IsOp("*") && args.star == nullptr && args.star_star == nullptr) {
        Take();
        args.star = ParseExpression();
      } else if (IsOp("**") && args.star_star == nullptr) {
        Take();
        args.star_star = ParseExpression();
      } else if (Is(TokenKind::kName) && Next().kind == TokenKind::kOperator && Next().text == "=" &&
                 args.star_star == nullptr) {
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

  std::string ParseDottedName(std::string_view wanted) {
    std::string name = ExpectAnyName(wanted);
    while (SkipOp(".")) name += "." + ExpectAnyName(wanted);
    return name;
  }

  // Jinja, too, looks names up when a condition's branch is taken and otherwise when parsing.
  void CheckKnown(bool known, std::string_view what, std::string_view name) const {
    if (known || conditions_ > 0) return;
    Fail(ErrorCode::kUnsupported, StrCat("the ", what, " '", Printable(name), "' is not supported"));
  }

  const Expr* ParseFilter(const Expr* value) {
    Expr filter{.kind = ExprKind::kFilter, .line = Now().line, .items = {value}};
    filter.name = ParseDottedName("the name of a filter");
    CheckKnown(HasFilter(filter.name), "filter", filter.name);
    if (IsOp("(")) filter.args = ParseArgs();
    return program_.Add(std::move(filter));
  }

  const Expr* ParseFilters(const Expr* value) {
    while (SkipOp("|")) value = ParseFilter(value);
    return value;
  }

  const Expr* ParseTest(const Expr* value) {
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

  bool StartsArgument() const {
    if (Is(TokenKind::kName)) return !IsName("else") && !IsName("or") && !IsName("and");
    return Is(TokenKind::kString) || Is(TokenKind::kInteger) || Is(TokenKind::kFloat) || IsOp("[") ||
           IsOp("{");
  }

  const Expr* ParseFiltersAndTests(const Expr* value) {
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

  const std::vector<Token> tokens_;
  Program& program_;
  size_t at_ = 0;
  int level_ = 0;
  int loops_ = 0;       // loops around the current statement, in this macro
  int conditions_ = 0;  // conditions around the current expression
};

}  // namespace

std::unique_ptr<const Program> ParseTemplate(std::string_view source) {
  if (source.size() > kMaxSourceBytes) {
    throw Error(ErrorCode::kLimit, StrCat("chat template: ", HumanBytes(source.size()),
                                          ", the limit is ", HumanBytes(kMaxSourceBytes)));
  }
  auto program = std::make_unique<Program>();
  Parser(source, *program).Run();
  return program;
}

}  // namespace edgewise::jinja
