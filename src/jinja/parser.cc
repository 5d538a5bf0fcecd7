#include "jinja/parser.h"

#include <algorithm>
#include <initializer_list>
#include <string>
#include <utility>

#include "base/strings.h"
#include "jinja/expr_parser.h"

namespace edgewise::jinja {
namespace {

// Tags of Jinja that no chat template needs.
constexpr std::string_view kUnsupportedTags[] = {"include", "import", "from", "extends", "block",
                                                 "autoescape", "trans", "do", "debug", "print"};

class Parser : ExprParser {
 public:
  Parser(std::string_view source, Program& program) : ExprParser(source, program) {}

  void Run() {
    program().body = ParseBody({});
    EDGEWISE_CHECK(Is(TokenKind::kEnd));
    FailIfUnknown();
  }

 private:
  // Statements up to a tag named in `ends`, whose name is then the current token; or, when there are
  // none, to the end of the template.
  Body ParseBody(std::initializer_list<std::string_view> ends) {
    const Level level(*this);
    Body body;
    for (;;) {
      const int line = Now().line;
      if (Is(TokenKind::kText)) {
        body.push_back(program().Add(Stmt{.kind = StmtKind::kText, .line = line, .text = Take().text}));
      } else if (Is(TokenKind::kPrintBegin)) {
        Take();
        const Expr* value = ParseTuple();
        Expect(TokenKind::kPrintEnd, "'}}'");
        body.push_back(program().Add(Stmt{.kind = StmtKind::kPrint, .line = line, .value = value}));
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
      return program().Add(
          Stmt{.kind = StmtKind::kScope, .line = line, .body = ParseInnerTo("endgeneration")});
    }
    if (tag == "break" || tag == "continue") {
      if (loops_ == 0) Fail(ErrorCode::kBadFile, StrCat("'", tag, "' outside of a loop"));
      return program().Add(Stmt{
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
    return program().Add(std::move(stmt));
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
    return program().Add(std::move(stmt));
  }

  const Stmt* ParseSet(int line) {
    Stmt stmt{.kind = StmtKind::kSet, .line = line};
    if (Is(TokenKind::kName) && IsNextOp(".")) {
      const Expr* object = program().Add(
          Expr{.kind = ExprKind::kName, .line = Now().line, .name = Take().text});
      Take();
      stmt.target = program().Add(Expr{.kind = ExprKind::kAttribute, .line = line,
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
    return program().Add(std::move(stmt));
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
    const size_t first = program().exprs.size();
    Body body = ParseCaptured(end);
    for (size_t i = first; i < program().exprs.size(); ++i) {
      const Expr& expr = *program().exprs[i];
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
    return program().Add(std::move(stmt));
  }

  const Stmt* ParseCallBlock(int line) {
    Stmt stmt{.kind = StmtKind::kCallBlock, .line = line};
    if (IsOp("(")) ParseParams(stmt);
    stmt.value = ParseExpression();
    if (stmt.value->kind != ExprKind::kCall) FailExpected("a call");
    stmt.body = ParseMacroBody(stmt, "endcall");
    return program().Add(std::move(stmt));
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
    return program().Add(std::move(stmt));
  }

  const Stmt* ParseFilterBlock(int line) {
    Stmt stmt{.kind = StmtKind::kFilterBlock, .line = line};
    stmt.value = ParseFilters(ParseFilter(nullptr));
    stmt.body = ParseCaptured("endfilter");
    return program().Add(std::move(stmt));
  }

  int loops_ = 0;  // around the current statement, in this macro
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
