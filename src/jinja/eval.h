// Runs a Program: statements write to the output, expressions give values.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "jinja/ast.h"
#include "jinja/builtins.h"
#include "jinja/value.h"

namespace edgewise::jinja {

// Variables of a block. A loop's body, a macro, `with` and block assignments have their own; `if`
// has not.
struct Scope {
  explicit Scope(Scope* outer_in) : outer(outer_in) {}

  Value* Find(std::string_view name);  // here only
  void Set(std::string_view name, Value value);

  Scope* outer;
  std::vector<std::pair<std::string_view, Value>> variables;
  bool captured = false;  // by a macro, which may outlive the block
};

struct Macro : Object {
  Macro(const Stmt* stmt_in, Scope* scope_in) : stmt(stmt_in), scope(scope_in) {}
  const Stmt* stmt;
  Scope* scope;  // where it was defined
};

// The variable `loop`. Elements are taken one by one, so that a filter of the loop sees what the
// body has set; `last`, `nextitem` and `length` look ahead.
struct LoopState : Object {
  const Stmt* stmt = nullptr;
  Scope* scope = nullptr;  // around the loop
  std::vector<Value> source;
  size_t next = 0;  // in source
  int64_t index = -1;
  std::optional<Value> previous, current, ahead;
  bool filtered = false;  // the source holds only elements that pass the loop's filter
};

class Evaluator {
 public:
  // `globals` are visible to all macros, too. The text of names must outlive the evaluator.
  Evaluator(Run& run, const Program& program,
            const std::vector<std::pair<std::string, Value>>& globals);

  // The text that the program writes.
  std::string Execute();

 private:
  enum class Flow : uint8_t { kNext, kBreak, kContinue };

  Flow ExecuteBody(const Body& body);
  Flow ExecuteStmt(const Stmt& stmt);
  Flow ExecuteIf(const Stmt& stmt);
  void ExecuteFor(const Stmt& stmt);
  Flow ExecuteScope(const Stmt& stmt);
  void ExecuteFilterBlock(const Stmt& stmt);
  void ExecuteCallBlock(const Stmt& stmt);
  void Assign(const Expr& target, const Value& value);
  std::optional<Value> FetchElement(LoopState& loop);
  const std::optional<Value>& Peek(LoopState& loop);
  Value LoopAttribute(LoopState& loop, std::string_view name);
  Value CallLoopMethod(LoopState& loop, std::string_view name, const Args& args);

  Value Evaluate(const Expr& expr);
  Value EvaluateName(const Expr& expr);
  Value EvaluateDict(const Expr& expr);
  Value EvaluateItem(const Expr& expr);
  Value EvaluateCompare(const Expr& expr);
  Value EvaluateConcat(const Expr& expr);
  Value EvaluateCall(const Expr& expr, const Value* caller);
  Value EvaluateFilters(const Expr& expr, const Value& text);
  Value ApplyFilterOf(const Expr& expr, const Value& subject);
  std::vector<Value> EvaluateAll(const std::vector<const Expr*>& exprs);
  Args EvaluateArgs(const CallArgs& args);
  Value Call(const Value& callee, const Args& args, const Value* caller);
  Value CallMacro(const Macro& macro, const Args& args, const Value* caller);
  void BindParams(const Macro& macro, const Args& args, const Value* caller);
  Value MakeMacro(const Stmt& stmt);

  // Runs `body` in a scope of its own; returns what it wrote.
  Value Capture(Scope* outer, const std::function<void()>& body);
  void Write(std::string_view text);
  void At(int line) { run_.line = line; }

  // A scope from here to the end of the C++ block.
  class ScopeGuard;

  Run& run_;
  const Program& program_;
  Scope root_;
  Scope* scope_ = &root_;
  std::vector<std::unique_ptr<Scope>> captured_;
  std::string* out_ = nullptr;
};

}  // namespace edgewise::jinja
