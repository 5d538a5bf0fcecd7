#include "jinja/eval.h"

#include "base/strings.h"

namespace edgewise::jinja {

Value* Scope::Find(std::string_view name) {
  for (auto& [known, value] : variables) {
    if (known == name) return &value;
  }
  return nullptr;
}

void Scope::Set(std::string_view name, Value value) {
  if (Value* known = Find(name)) {
    *known = std::move(value);
  } else {
    variables.emplace_back(name, std::move(value));
  }
}

class Evaluator::ScopeGuard {
 public:
  ScopeGuard(Evaluator& evaluator, Scope* outer)
      : evaluator_(evaluator), saved_(evaluator.scope_), scope_(std::make_unique<Scope>(outer)) {
    evaluator_.scope_ = scope_.get();
  }
  ScopeGuard(const ScopeGuard&) = delete;
  ScopeGuard& operator=(const ScopeGuard&) = delete;
  ~ScopeGuard() {
    evaluator_.scope_ = saved_;
    if (scope_->captured) evaluator_.captured_.push_back(std::move(scope_));
  }

 private:
  Evaluator& evaluator_;
  Scope* saved_;
  std::unique_ptr<Scope> scope_;
};

Evaluator::Evaluator(Run& run, const Program& program,
                     const std::vector<std::pair<std::string, Value>>& globals)
    : run_(run), program_(program), root_(nullptr) {
  for (const auto& [name, value] : globals) root_.Set(name, value);
}

std::string Evaluator::Execute() {
  std::string out;
  out_ = &out;
  ExecuteBody(program_.body);
  return out;
}

void Evaluator::Write(std::string_view text) {
  run_.CheckString(out_->size() + text.size());
  run_.Step(text.size() / 64);
  run_.Charge(text.size());
  out_->append(text);
}

Value Evaluator::Capture(Scope* outer, const std::function<void()>& body) {
  std::string text;
  std::string* const saved = std::exchange(out_, &text);
  {
    const ScopeGuard guard(*this, outer);
    body();  // when it throws, so ends the whole rendering
  }
  out_ = saved;
  run_.Release(text.size());
  return run_.String(std::move(text));
}

Evaluator::Flow Evaluator::ExecuteBody(const Body& body) {
  const Nested nested(run_);
  for (const Stmt* stmt : body) {
    const Flow flow = ExecuteStmt(*stmt);
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Evaluator::Flow Evaluator::ExecuteStmt(const Stmt& stmt) {
  run_.Step();
  At(stmt.line);
  switch (stmt.kind) {
    case StmtKind::kText: Write(stmt.text); break;
    case StmtKind::kPrint: {
      const Value value = Evaluate(*stmt.value);
      At(stmt.line);
      if (value.is(Type::kString)) {
        Write(value.text());
      } else {
        Write(ToText(run_, value));
      }
      break;
    }
    case StmtKind::kIf: return ExecuteIf(stmt);
    case StmtKind::kFor: ExecuteFor(stmt); break;
    case StmtKind::kSet: Assign(*stmt.target, Evaluate(*stmt.value)); break;
    case StmtKind::kSetBlock: {
      const Value text = Capture(scope_, [&] { ExecuteBody(stmt.body); });
      Assign(*stmt.target, stmt.value == nullptr ? text : EvaluateFilters(*stmt.value, text));
      break;
    }
    case StmtKind::kMacro: scope_->Set(stmt.text, MakeMacro(stmt)); break;
    case StmtKind::kScope: return ExecuteScope(stmt);
    case StmtKind::kFilterBlock: ExecuteFilterBlock(stmt); break;
    case StmtKind::kCallBlock: ExecuteCallBlock(stmt); break;
    case StmtKind::kBreak: return Flow::kBreak;
    case StmtKind::kContinue: return Flow::kContinue;
  }
  return Flow::kNext;
}

Evaluator::Flow Evaluator::ExecuteIf(const Stmt& stmt) {
  for (const auto& [test, body] : stmt.branches) {
    if (Truth(Evaluate(*test))) return ExecuteBody(body);
  }
  return ExecuteBody(stmt.otherwise);
}

Evaluator::Flow Evaluator::ExecuteScope(const Stmt& stmt) {
  std::vector<Value> values;
  for (const Param& param : stmt.params) values.push_back(Evaluate(*param.value));
  const ScopeGuard guard(*this, scope_);
  for (size_t i = 0; i < values.size(); ++i) scope_->Set(stmt.params[i].name, std::move(values[i]));
  return ExecuteBody(stmt.body);
}

void Evaluator::Assign(const Expr& target, const Value& value) {
  const Nested nested(run_);
  At(target.line);
  switch (target.kind) {
    case ExprKind::kName: scope_->Set(target.name, value); return;
    case ExprKind::kAttribute: {
      const Value object = EvaluateName(*target.items[0]);
      if (!object.is(Type::kNamespace)) {
        run_.FailType(StrCat("cannot set an attribute of '", Printable(target.items[0]->name),
                             "', which is no namespace"));
      }
      run_.Set(object.dict(), run_.String(target.name), value);
      return;
    }
    default: {
      const std::vector<Value> parts = Elements(run_, value);
      if (parts.size() != target.items.size()) {
        run_.FailType(StrCat("cannot unpack ", parts.size(), " values into ", target.items.size(),
                             " variables"));
      }
      for (size_t i = 0; i < parts.size(); ++i) Assign(*target.items[i], parts[i]);
    }
  }
}

void Evaluator::ExecuteFilterBlock(const Stmt& stmt) {
  const Value text = Capture(scope_, [&] { ExecuteBody(stmt.body); });
  Write(ToText(run_, EvaluateFilters(*stmt.value, text)));
}

void Evaluator::ExecuteCallBlock(const Stmt& stmt) {
  const Value caller = MakeMacro(stmt);
  Write(ToText(run_, EvaluateCall(*stmt.value, &caller)));
}

// --- loops ---

void Evaluator::ExecuteFor(const Stmt& stmt) {
  auto* loop = run_.Adopt(std::make_unique<LoopState>());
  loop->stmt = &stmt;
  loop->scope = scope_;
  {
    const Value iterable = Evaluate(*stmt.value);
    At(stmt.line);
    loop->source = Elements(run_, iterable);
  }
  loop->filtered = stmt.test == nullptr;
  // As in Jinja, an iteration that `continue` or `break` ends does not count for `else`.
  bool completed = false;
  for (;;) {
    std::optional<Value> element = Peek(*loop);
    if (!element.has_value()) break;
    loop->ahead.reset();
    loop->previous = std::move(loop->current);
    loop->current = std::move(element);
    ++loop->index;
    run_.Step();
    const ScopeGuard guard(*this, loop->scope);
    Assign(*stmt.target, *loop->current);
    scope_->Set("loop", Value::Of(Type::kLoop, loop));
    const Flow flow = ExecuteBody(stmt.body);
    if (flow == Flow::kBreak) break;
    completed |= flow == Flow::kNext;
  }
  // What a macro or namespace has kept of the loop must neither reach the dead scope nor hold text.
  loop->filtered = true;
  loop->source.clear();
  loop->next = 0;
  if (completed) return;
  const ScopeGuard guard(*this, scope_);
  ExecuteBody(stmt.otherwise);
}

// The next element that passes the loop's filter.
std::optional<Value> Evaluator::FetchElement(LoopState& loop) {
  while (loop.next < loop.source.size()) {
    Value element = loop.source[loop.next++];
    if (loop.filtered) return element;
    const ScopeGuard guard(*this, loop.scope);
    Assign(*loop.stmt->target, element);
    if (Truth(Evaluate(*loop.stmt->test))) return element;
  }
  return std::nullopt;
}

const std::optional<Value>& Evaluator::Peek(LoopState& loop) {
  if (!loop.ahead.has_value()) loop.ahead = FetchElement(loop);
  return loop.ahead;
}

Value Evaluator::LoopAttribute(LoopState& loop, std::string_view name) {
  if (name == "index") return Value::Int(loop.index + 1);
  if (name == "index0") return Value::Int(loop.index);
  if (name == "first") return Value::Bool(loop.index == 0);
  if (name == "last") return Value::Bool(!Peek(loop).has_value());
  if (name == "depth") return Value::Int(1);  // counts recursive loops, which we do not have
  if (name == "depth0") return Value::Int(0);
  if (name == "previtem") return loop.previous.value_or(Value::Undefined("loop.previtem"));
  if (name == "nextitem") return Peek(loop).value_or(Value::Undefined("loop.nextitem"));
  if (name == "length" || name == "revindex" || name == "revindex0") {
    if (!loop.filtered) {
      std::vector<Value> rest;
      while (std::optional<Value> element = FetchElement(loop)) rest.push_back(std::move(*element));
      loop.source = std::move(rest);
      loop.next = 0;
      loop.filtered = true;
    }
    const int64_t behind = static_cast<int64_t>(loop.source.size() - loop.next) +
                           (loop.ahead.has_value() ? 1 : 0);
    if (name == "length") return Value::Int(loop.index + 1 + behind);
    return Value::Int(name == "revindex" ? behind + 1 : behind);
  }
  if (name == "cycle") {
    return Value::Of(Type::kMethod, run_.Adopt(std::make_unique<Method>(
                                        Value::Of(Type::kLoop, &loop), "cycle")));
  }
  if (name == "changed") run_.Fail(ErrorCode::kUnsupported, "loop.changed is not supported");
  return Value::Undefined(name);
}

Value Evaluator::CallLoopMethod(LoopState& loop, std::string_view, const Args& args) {
  if (args.positional.empty()) run_.FailType("loop.cycle without values");
  return args.positional[static_cast<size_t>(loop.index) % args.positional.size()];
}

// --- macros ---

Value Evaluator::MakeMacro(const Stmt& stmt) {
  for (Scope* scope = scope_; scope != nullptr && !scope->captured; scope = scope->outer) {
    run_.Charge(sizeof(Scope) + scope->variables.size() * sizeof(scope->variables[0]));
    scope->captured = true;
  }
  return Value::Of(Type::kMacro, run_.Adopt(std::make_unique<Macro>(&stmt, scope_)));
}

Value Evaluator::CallMacro(const Macro& macro, const Args& args, const Value* caller) {
  const int line = run_.line;
  const Value text = Capture(macro.scope, [&] {
    BindParams(macro, args, caller);
    ExecuteBody(macro.stmt->body);
  });
  At(line);
  return text;
}

void Evaluator::BindParams(const Macro& macro, const Args& args, const Value* caller) {
  const Stmt& stmt = *macro.stmt;
  const std::string_view name = stmt.kind == StmtKind::kMacro ? std::string_view(stmt.text) : "caller";
  const size_t given = std::min(args.positional.size(), stmt.params.size());
  if (args.positional.size() > given && !stmt.takes_varargs) {
    run_.FailType(StrCat("the macro '", Printable(name), "' takes at most ", stmt.params.size(),
                         " arguments"));
  }
  std::vector<bool> used(args.named.size(), false);
  for (size_t i = 0; i < stmt.params.size(); ++i) {
    const Param& param = stmt.params[i];
    if (i < given) {
      scope_->Set(param.name, args.positional[i]);
      continue;
    }
    const Value* value = nullptr;
    for (size_t j = 0; j < args.named.size(); ++j) {
      if (args.named[j].first == param.name) {
        value = &args.named[j].second;
        used[j] = true;
      }
    }
    if (value != nullptr) {
      scope_->Set(param.name, *value);
    } else {
      scope_->Set(param.name, param.value == nullptr ? Value::Undefined(param.name)
                                                     : Evaluate(*param.value));
    }
  }
  if (stmt.takes_varargs) {
    scope_->Set("varargs", run_.MakeSequence(
                               SequenceKind::kTuple,
                               {args.positional.begin() + static_cast<std::ptrdiff_t>(given),
                                args.positional.end()}));
  }
  if (stmt.kind == StmtKind::kMacro && stmt.takes_caller) {
    scope_->Set("caller", caller == nullptr ? Value::Undefined("caller") : *caller);
  } else if (caller != nullptr) {
    run_.FailType(StrCat("the macro '", Printable(name), "' does not use its caller"));
  }
  const Value rest = stmt.takes_kwargs ? run_.MakeDict() : Value();
  for (size_t j = 0; j < args.named.size(); ++j) {
    if (used[j]) continue;
    if (!stmt.takes_kwargs) {
      run_.FailType(StrCat("the macro '", Printable(name), "' takes no argument '",
                           Printable(args.named[j].first), "'"));
    }
    run_.Set(rest.dict(), run_.String(args.named[j].first), args.named[j].second);
  }
  if (stmt.takes_kwargs) scope_->Set("kwargs", rest);
}

// --- expressions ---

Value Evaluator::Evaluate(const Expr& expr) {
  const Nested nested(run_);
  run_.Step();
  At(expr.line);
  switch (expr.kind) {
    case ExprKind::kConstant: return expr.constant;
    case ExprKind::kName: return EvaluateName(expr);
    case ExprKind::kTuple:
      return run_.MakeSequence(SequenceKind::kTuple, EvaluateAll(expr.items));
    case ExprKind::kList: return run_.List(EvaluateAll(expr.items));
    case ExprKind::kDict: return EvaluateDict(expr);
    case ExprKind::kAttribute: {
      const Value object = Evaluate(*expr.items[0]);
      At(expr.line);
      if (object.is(Type::kLoop)) {
        return LoopAttribute(static_cast<LoopState&>(*object.object()), expr.name);
      }
      return GetAttribute(run_, object, expr.name);
    }
    case ExprKind::kItem: return EvaluateItem(expr);
    case ExprKind::kCall: return EvaluateCall(expr, nullptr);
    case ExprKind::kFilter: return ApplyFilterOf(expr, Evaluate(*expr.items[0]));
    case ExprKind::kTest: {
      const Value subject = Evaluate(*expr.items[0]);
      const Args args = EvaluateArgs(expr.args);
      At(expr.line);
      return Value::Bool(ApplyTest(run_, expr.name, subject, args));
    }
    case ExprKind::kNot: return Value::Bool(!Truth(Evaluate(*expr.items[0])));
    case ExprKind::kNegative: return Negative(run_, Evaluate(*expr.items[0]));
    case ExprKind::kPositive: return Positive(run_, Evaluate(*expr.items[0]));
    case ExprKind::kAnd: {
      Value left = Evaluate(*expr.items[0]);
      return Truth(left) ? Evaluate(*expr.items[1]) : left;
    }
    case ExprKind::kOr: {
      Value left = Evaluate(*expr.items[0]);
      return Truth(left) ? left : Evaluate(*expr.items[1]);
    }
    case ExprKind::kCondition:
      if (Truth(Evaluate(*expr.items[1]))) return Evaluate(*expr.items[0]);
      return expr.items[2] == nullptr ? Value() : Evaluate(*expr.items[2]);
    case ExprKind::kCompare: return EvaluateCompare(expr);
    case ExprKind::kConcat: return EvaluateConcat(expr);
    case ExprKind::kBinary: {
      const Value left = Evaluate(*expr.items[0]);
      const Value right = Evaluate(*expr.items[1]);
      At(expr.line);
      return Arithmetic(run_, expr.ops[0], left, right);
    }
    case ExprKind::kSlice: break;  // belongs to an item
  }
  run_.Fail(ErrorCode::kUnsupported, "a slice outside of a subscript");
}

Value Evaluator::EvaluateName(const Expr& expr) {
  for (Scope* scope = scope_; scope != nullptr; scope = scope->outer) {
    run_.Step(1 + scope->variables.size() / 16);
    if (const Value* value = scope->Find(expr.name)) return *value;
  }
  return GlobalFunction(run_, expr.name);
}

Value Evaluator::EvaluateDict(const Expr& expr) {
  const Value dict = run_.MakeDict();
  for (size_t i = 0; i + 1 < expr.items.size(); i += 2) {
    const Value key = Evaluate(*expr.items[i]);
    run_.Set(dict.dict(), key, Evaluate(*expr.items[i + 1]));
  }
  return dict;
}

Value Evaluator::EvaluateItem(const Expr& expr) {
  const Value object = Evaluate(*expr.items[0]);
  const Expr& subscript = *expr.items[1];
  if (subscript.kind == ExprKind::kSlice) {
    const auto part = [this](const Expr* bound) {
      return bound == nullptr ? Value::None() : Evaluate(*bound);
    };
    const Value begin = part(subscript.items[0]), end = part(subscript.items[1]);
    const Value step = part(subscript.items[2]);
    At(expr.line);
    return GetSlice(run_, object, begin, end, step);
  }
  const Value key = Evaluate(subscript);
  At(expr.line);
  if (object.is(Type::kLoop) && key.is(Type::kString)) {
    run_.Fail(ErrorCode::kUnsupported, "a subscript of loop; write loop.name");
  }
  return GetItem(run_, object, key);
}

Value Evaluator::EvaluateCompare(const Expr& expr) {
  Value left = Evaluate(*expr.items[0]);
  for (size_t i = 0; i < expr.ops.size(); ++i) {
    Value right = Evaluate(*expr.items[i + 1]);
    At(expr.line);
    if (!Compare(run_, expr.ops[i], left, right)) return Value::Bool(false);
    left = std::move(right);
  }
  return Value::Bool(true);
}

Value Evaluator::EvaluateConcat(const Expr& expr) {
  TextBuilder out(run_);
  for (const Expr* item : expr.items) out.Append(ToText(run_, Evaluate(*item)));
  return run_.String(out.Take());
}

std::vector<Value> Evaluator::EvaluateAll(const std::vector<const Expr*>& exprs) {
  std::vector<Value> values;
  values.reserve(exprs.size());
  for (const Expr* expr : exprs) values.push_back(Evaluate(*expr));
  return values;
}

Args Evaluator::EvaluateArgs(const CallArgs& args) {
  Args values;
  values.positional = EvaluateAll(args.positional);
  for (const auto& [name, expr] : args.named) values.named.emplace_back(name, Evaluate(*expr));
  if (args.star != nullptr) {
    for (Value& value : Elements(run_, Evaluate(*args.star))) {
      values.positional.push_back(std::move(value));
    }
  }
  if (args.star_star != nullptr) {
    const Value dict = Evaluate(*args.star_star);
    if (!dict.is(Type::kDict)) run_.FailType("'**' takes a dict");
    run_.Step(dict.dict().entries.size());
    for (const auto& [key, value] : dict.dict().entries) {
      if (!key.is(Type::kString)) run_.FailType("'**' takes a dict with strings as keys");
      values.named.emplace_back(key.text(), value);
    }
  }
  return values;
}

Value Evaluator::EvaluateCall(const Expr& expr, const Value* caller) {
  const Value callee = Evaluate(*expr.items[0]);
  const Args args = EvaluateArgs(expr.args);
  At(expr.line);
  return Call(callee, args, caller);
}

Value Evaluator::Call(const Value& callee, const Args& args, const Value* caller) {
  switch (callee.type()) {
    case Type::kMacro: return CallMacro(static_cast<const Macro&>(*callee.object()), args, caller);
    case Type::kFunction: return static_cast<const Function&>(*callee.object()).call(run_, args);
    case Type::kMethod: {
      const auto& method = static_cast<const Method&>(*callee.object());
      if (method.receiver.is(Type::kLoop)) {
        return CallLoopMethod(static_cast<LoopState&>(*method.receiver.object()), method.name, args);
      }
      return CallMethod(run_, method, args);
    }
    case Type::kUndefined:
      // Of methods also those that change a list or dict: the sandbox hides them.
      run_.FailType(StrCat(SayUndefined(callee), ", so cannot be called"));
    default: run_.FailType(StrCat(TypeName(callee), " cannot be called"));
  }
}

Value Evaluator::EvaluateFilters(const Expr& expr, const Value& text) {
  const Nested nested(run_);
  const Expr* inner = expr.items[0];
  return ApplyFilterOf(expr, inner == nullptr ? text : EvaluateFilters(*inner, text));
}

Value Evaluator::ApplyFilterOf(const Expr& expr, const Value& subject) {
  const Args args = EvaluateArgs(expr.args);
  At(expr.line);
  return ApplyFilter(run_, expr.name, subject, args);
}

}  // namespace edgewise::jinja
