// The parser's half for expressions, with the cursor over the tokens.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "jinja/ast.h"
#include "jinja/lexer.h"

namespace edgewise::jinja {

struct OperatorName {
  std::string_view text;
  Op op;
};

// Functions are named after what they read, from the loosest binding (ParseExpression) to the
// tightest (ParsePrimary).
class ExprParser {
 protected:
  ExprParser(std::string_view source, Program& program)
      : tokens_(Tokenize(source)), program_(program) {}

  // A level of recursion; every cycle of the grammar passes one.
  class Level {
   public:
    explicit Level(ExprParser& parser);
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;
    ~Level() { --parser_.level_; }

   private:
    ExprParser& parser_;
  };

  const Token& Now() const { return tokens_[at_]; }
  const Token& Next() const { return tokens_[at_ + 1 < tokens_.size() ? at_ + 1 : at_]; }
  const Token& Take() { return tokens_[at_ + 1 < tokens_.size() ? at_++ : at_]; }
  bool Is(TokenKind kind) const { return Now().kind == kind; }
  bool IsOp(std::string_view text) const { return Is(TokenKind::kOperator) && Now().text == text; }
  bool IsName(std::string_view text) const { return Is(TokenKind::kName) && Now().text == text; }
  bool IsNextOp(std::string_view text) const {
    return Next().kind == TokenKind::kOperator && Next().text == text;
  }
  bool SkipOp(std::string_view text);
  bool SkipName(std::string_view text);
  void ExpectOp(std::string_view text);
  void ExpectName(std::string_view text);
  void Expect(TokenKind kind, std::string_view wanted);
  std::string ExpectAnyName(std::string_view wanted);
  [[noreturn]] void Fail(ErrorCode code, std::string_view message) const;
  [[noreturn]] void FailExpected(std::string_view wanted) const;

  // One expression, or several with commas as a tuple.
  const Expr* ParseTuple(bool with_condition = true);
  const Expr* ParseExpression();
  const Expr* ParseFilter(const Expr* value);
  const Expr* ParseFilters(const Expr* value);
  // A name, or several with commas, perhaps in brackets.
  const Expr* ParseTarget();

  // Throws Error(kUnsupported) when a filter or test that is always reached is none of ours.
  void FailIfUnknown() const;

  Program& program() { return program_; }

  int conditions_ = 0;  // around the current expression

 private:
  using Production = const Expr* (ExprParser::*)();

  std::string Found() const;
  const Expr* Make(ExprKind kind, int line, std::vector<const Expr*> items);
  const Op* FindOp(std::span<const OperatorName> names) const;
  bool AtTupleEnd() const;
  bool StartsArgument() const;
  void CheckTarget(const Expr* target) const;
  void CheckKnown(bool known, std::string_view what, std::string_view name);

  // Nothing at all is a tuple only in parentheses.
  const Expr* ParseTuple(bool in_parentheses, Production parse);
  const Expr* ParseOr();
  const Expr* ParseAnd();
  const Expr* ParseNot();
  const Expr* ParseCompare();
  const Expr* ParseBinary(std::span<const OperatorName> names, Production operand);
  const Expr* ParseSum();
  const Expr* ParseConcat();
  const Expr* ParseProduct();
  const Expr* ParsePower();
  const Expr* ParseFiltered();
  const Expr* ParseFiltersAndTests(const Expr* value);
  const Expr* ParseTest(const Expr* value);
  const Expr* ParseUnary();
  const Expr* ParsePostfix(const Expr* value);
  const Expr* ParseSubscript();
  const Expr* ParseCall(const Expr* callee);
  CallArgs ParseArgs();
  const Expr* ParsePrimary();
  const Expr* ParseParentheses();
  const Expr* ParseList();
  const Expr* ParseDict();
  std::string ParseDottedName(std::string_view wanted);

  const std::vector<Token> tokens_;
  Program& program_;
  size_t at_ = 0;
  int level_ = 0;
  std::vector<std::string> unknown_;  // filters and tests outside any condition, as messages
};

}  // namespace edgewise::jinja
