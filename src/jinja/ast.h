// The parsed template: expressions and statements, all owned by the Program, so that links are
// plain pointers and destruction does not recurse.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "jinja/value.h"

namespace edgewise::jinja {

struct Expr;

struct CallArgs {
  std::vector<const Expr*> positional;
  std::vector<std::pair<std::string, const Expr*>> named;
  const Expr* star = nullptr;       // *list
  const Expr* star_star = nullptr;  // **dict
};

enum class ExprKind : uint8_t {
  kConstant,   // constant
  kName,       // name
  kTuple, kList,  // items
  kDict,       // items: key, value, key, value, ...
  kAttribute,  // items[0].name
  kItem,       // items[0][items[1]]
  kSlice,      // begin, end, step in items, null where left out; only as items[1] of kItem
  kCall,       // items[0](args)
  kFilter,     // items[0]|name(args); items[0] is null for the text of a block
  kTest,       // items[0] is name(args)
  kNot, kNegative, kPositive,  // items[0]
  kAnd, kOr,   // items[0], items[1]
  kCondition,  // items[0] if items[1] else items[2], null when left out
  kCompare,    // items[0] ops[0] items[1] ops[1] ...
  kConcat,     // items[0] ~ items[1] ~ ...
  kBinary,     // items[0] ops[0] items[1]
};

enum class Op : uint8_t {
  kAdd, kSubtract, kMultiply, kDivide, kFloorDivide, kModulo, kPower,
  kEqual, kNotEqual, kLess, kLessEqual, kGreater, kGreaterEqual, kIn, kNotIn,
};

struct Expr {
  ExprKind kind;
  int line;
  std::string name = {};
  Value constant = {};
  std::vector<const Expr*> items = {};
  std::vector<Op> ops = {};
  CallArgs args = {};
};

enum class StmtKind : uint8_t {
  kText,      // text
  kPrint,     // value
  kIf,        // branches, otherwise
  kFor,       // target in value if test: body; otherwise when there was no element
  kSet,       // target = value; a target with an attribute is kAttribute of a name
  kSetBlock,  // target = body, through the filters of value if not null
  kMacro,     // text(params): body
  kScope,     // body, with variables of its own: with (params), generation
  kFilterBlock,  // body through the filters of value
  kCallBlock,    // value is the call, body the caller() with params
  kBreak, kContinue,
};

struct Stmt;
using Body = std::vector<const Stmt*>;

struct Param {
  std::string name;
  const Expr* value;  // its default, or what `with` sets; may be null
};

struct Stmt {
  StmtKind kind;
  int line;
  std::string text = {};
  const Expr* target = nullptr;
  const Expr* value = nullptr;
  const Expr* test = nullptr;
  std::vector<Param> params = {};
  bool takes_varargs = false, takes_kwargs = false, takes_caller = false;  // kMacro: names used
  std::vector<std::pair<const Expr*, Body>> branches = {};
  Body body = {};
  Body otherwise = {};
};

struct Program {
  Body body;

  Expr* Add(Expr expr) {
    exprs.push_back(std::make_unique<Expr>(std::move(expr)));
    return exprs.back().get();
  }
  Stmt* Add(Stmt stmt) {
    stmts.push_back(std::make_unique<Stmt>(std::move(stmt)));
    return stmts.back().get();
  }

  std::vector<std::unique_ptr<Expr>> exprs;
  std::vector<std::unique_ptr<Stmt>> stmts;
};

}  // namespace edgewise::jinja
