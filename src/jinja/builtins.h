// What the language has built in: operators, attributes, methods of strings and dicts, filters,
// tests and global functions, each as Python or Jinja defines it.
//
// All throw Error, naming the current line of the run: kBadFile where Python raises an exception,
// kUnsupported where Jinja has something that we do not, kLimit over a limit of the run.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "jinja/ast.h"
#include "jinja/value.h"

namespace edgewise::jinja {

struct Args {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

// The arguments of something built in, each given by position or by name.
class ArgReader {
 public:
  // Fails when arguments are too many, unknown or given twice, or one of the first `required` lacks.
  ArgReader(Run& run, std::string_view callee, const Args& args,
            std::initializer_list<std::string_view> names, size_t required = 0);

  const Value* Find(size_t index) const { return found_[index]; }  // null when not given
  const Value& operator[](size_t index) const { return *found_[index]; }
  bool Flag(size_t index, bool otherwise) const;
  int64_t Integer(size_t index, int64_t otherwise) const;  // fails when it is no integer
  std::string Text(size_t index, std::string_view otherwise) const;  // fails when it is no string

 private:
  Run& run_;
  std::string_view callee_;
  std::vector<const Value*> found_;
};

// --- operators (operators.cc) ---

Value Arithmetic(Run& run, Op op, const Value& left, const Value& right);
Value Negative(Run& run, const Value& value);
Value Positive(Run& run, const Value& value);
bool Compare(Run& run, Op op, const Value& left, const Value& right);
bool Contains(Run& run, const Value& container, const Value& wanted);
Value GetItem(Run& run, const Value& object, const Value& key);  // undefined when absent
// Bounds as in Python; None means left out.
Value GetSlice(Run& run, const Value& object, const Value& begin, const Value& end,
               const Value& step);

// --- attributes and methods (methods.cc) ---

struct Method : Object {
  Method(Value receiver_in, std::string_view name_in) : receiver(std::move(receiver_in)), name(name_in) {}
  Value receiver;
  std::string_view name;  // of a table, or of the parsed template
};

// Undefined when absent, carrying `name`, which must live as long as the run. Not for loops.
Value GetAttribute(Run& run, const Value& object, std::string_view name);
Value CallMethod(Run& run, const Method& method, const Args& args);

// --- filters and tests (filters.cc, filters_sequence.cc, predicates.cc) ---

bool HasFilter(std::string_view name);
bool HasTest(std::string_view name);
Value ApplyFilter(Run& run, std::string_view name, const Value& subject, const Args& args);
bool ApplyTest(Run& run, std::string_view name, const Value& subject, const Args& args);

using FilterFunction = Value (*)(Run& run, const Value& subject, const Args& args);
struct NamedFilter {
  std::string_view name;
  FilterFunction apply;
};
// Those on sequences; null when there is none of that name.
FilterFunction FindSequenceFilter(std::string_view name);

// --- global functions (functions.cc) ---

struct Function : Object {
  explicit Function(Value (*call_in)(Run&, const Args&)) : call(call_in) {}
  Value (*call)(Run& run, const Args& args);
};
// range, dict, namespace, raise_exception, strftime_now; undefined for other names. Throws
// Error(kUnsupported) for a global of Jinja that we do not have.
Value GlobalFunction(Run& run, std::string_view name);

}  // namespace edgewise::jinja
