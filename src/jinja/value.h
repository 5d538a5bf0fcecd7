// Values of the template language, and one rendering's memory and limits.
//
// Strings are counted references; everything that can hold other values is owned by the Run and
// freed with it, flat, so that a template can build neither a leak (a cycle) nor a structure whose
// destruction recurses.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace edgewise::jinja {

// What one rendering may use; templates come from untrusted files. A prompt of a megabyte over a
// thousand messages stays two orders of magnitude below each.
struct Limits {
  uint64_t steps = 10'000'000;               // nodes evaluated, elements and 64-byte pieces handled
  size_t string_bytes = size_t{16} << 20;    // one string, and the output
  size_t live_bytes = size_t{128} << 20;     // all strings and containers
  int depth = 400;  // nested evaluation, as macros call each other: a few MB of stack under ASan
};

class Run;

// The bytes of a string. Markup is what the `safe` filter gives: it prints as it is, but Python
// escapes what is added to it.
struct Text {
  Text(std::string bytes_in, Run* owner_in) : bytes(std::move(bytes_in)), owner(owner_in) {}
  Text(const Text&) = delete;
  Text& operator=(const Text&) = delete;
  ~Text();

  std::string bytes;
  Run* owner;  // whose live bytes these are; null for constants of the parsed template
  bool markup = false;
};

struct Object {
  virtual ~Object() = default;
};
struct Sequence;
struct Dict;

enum class Type : uint8_t {
  kUndefined, kNone, kBool, kInt, kFloat, kString,
  kSequence,   // Sequence
  kDict,       // Dict
  kNamespace,  // Dict, its attributes assignable
  kMacro,      // Macro, in eval.h
  kFunction,   // Function, in builtins.h: range, namespace, raise_exception, ...
  kMethod,     // Method, in builtins.h: a string's or dict's, bound
  kLoop,       // LoopState, in eval.h
};

class Value {
 public:
  Value() = default;  // undefined
  static Value Undefined(std::string_view name);  // `name` must live as long as the value
  static Value None() { return Value(Type::kNone); }
  static Value Bool(bool value);
  static Value Int(int64_t value);
  static Value Float(double value);
  static Value Constant(std::string bytes);  // a string that belongs to no Run
  static Value String(std::shared_ptr<const Text> text);
  static Value Of(Type type, Object* object);

  Type type() const { return type_; }
  bool is(Type type) const { return type_ == type; }
  bool is_integer() const { return type_ == Type::kInt || type_ == Type::kBool; }
  bool is_number() const { return is_integer() || type_ == Type::kFloat; }

  // Each requires its type.
  bool boolean() const { return integer_ != 0; }
  int64_t integer() const { return integer_; }  // kBool too
  double number() const {                       // kBool and kInt too
    return type_ == Type::kFloat ? float_ : static_cast<double>(integer_);
  }
  const std::string& text() const { return text_->bytes; }
  bool markup() const { return text_ != nullptr && text_->markup; }
  const std::shared_ptr<const Text>& shared_text() const { return text_; }
  Object* object() const { return object_; }
  Sequence& sequence() const;
  Dict& dict() const;  // of a namespace too
  std::string_view undefined_name() const { return name_; }

 private:
  explicit Value(Type type) : type_(type) {}

  Type type_ = Type::kUndefined;
  union {
    int64_t integer_ = 0;
    double float_;
    Object* object_;
  };
  std::string_view name_;
  std::shared_ptr<const Text> text_;
};

// Of Python's sequences those that templates meet. A generator is what `map` and `select` give: it
// has no length or index and is used up by the first pass over it.
enum class SequenceKind : uint8_t { kList, kTuple, kRange, kItems, kKeys, kValues, kGenerator };

struct Sequence : Object {
  SequenceKind kind = SequenceKind::kList;
  bool used_up = false;  // kGenerator
  std::vector<Value> items;
};

// In order of insertion, searched linearly: those of templates have a handful of keys, and each
// comparison is a step.
struct Dict : Object {
  std::vector<std::pair<Value, Value>> entries;
};

// One rendering: counts steps and bytes, owns containers, knows the line for messages.
class Run {
 public:
  explicit Run(const Limits& limits) : limits_(limits) {}
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  const Limits& limits() const { return limits_; }

  // Throws Error: "chat template, line N: " + message.
  [[noreturn]] void Fail(ErrorCode code, std::string_view message) const;
  [[noreturn]] void FailType(std::string_view message) const { Fail(ErrorCode::kBadFile, message); }

  void Step(uint64_t count = 1) {
    steps_ += count;
    if (steps_ > limits_.steps) FailSteps();
  }
  void Charge(size_t bytes);  // live bytes; throws Error(kLimit)
  void Release(size_t bytes) { live_ -= bytes; }
  // Before building a string of `bytes`: throws Error(kLimit).
  void CheckString(uint64_t bytes);

  Value String(std::string bytes);
  Value Markup(std::string bytes);
  Value List(std::vector<Value> items) { return MakeSequence(SequenceKind::kList, std::move(items)); }
  Value MakeSequence(SequenceKind kind, std::vector<Value> items);
  Value MakeDict();
  Value MakeNamespace();
  // Adds or replaces. Throws Error(kBadFile) when the key is a list or dict.
  void Set(Dict& dict, const Value& key, Value value);
  // Null when absent.
  const Value* Find(const Dict& dict, const Value& key);
  const Value* Find(const Dict& dict, std::string_view key);
  template <typename T>
  T* Adopt(std::unique_ptr<T> object) {
    T* raw = object.get();
    Charge(sizeof(T) + sizeof(void*));
    objects_.push_back(std::move(object));
    return raw;
  }

  int line = 0;
  int depth = 0;

 private:
  [[noreturn]] void FailSteps() const;

  Limits limits_;
  uint64_t steps_ = 0;
  size_t live_ = 0;
  std::vector<std::unique_ptr<Object>> objects_;
};

// Counts one level of recursion; throws Error(kLimit) when there are too many.
class Nested {
 public:
  explicit Nested(Run& run);
  Nested(const Nested&) = delete;
  Nested& operator=(const Nested&) = delete;
  ~Nested() { --run_.depth; }

 private:
  Run& run_;
};

// Grows a string under the limits.
class TextBuilder {
 public:
  explicit TextBuilder(Run& run) : run_(run) {}
  TextBuilder& Append(std::string_view bytes) {
    run_.CheckString(text_.size() + bytes.size());
    text_.append(bytes);
    return *this;
  }
  size_t size() const { return text_.size(); }
  std::string Take() { return std::move(text_); }

 private:
  Run& run_;
  std::string text_;
};

// "a string", "an undefined value", ... for messages.
std::string_view TypeName(const Value& value);
// "'name' is undefined", for messages.
std::string SayUndefined(const Value& undefined);
bool Truth(const Value& value);
bool Equal(Run& run, const Value& a, const Value& b);
// Python's `a < b`. Throws Error(kBadFile) for types without order.
bool Less(Run& run, const Value& a, const Value& b);
// As printed: strings as they are, others as Python's str() gives.
std::string ToText(Run& run, const Value& value);
// Python's repr(): strings quoted.
std::string Repr(Run& run, const Value& value);
std::string FloatRepr(double value);

struct JsonStyle {
  int indent = -1;  // -1: one line
  bool ascii = false;
  bool sort_keys = false;
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};
// Python's json.dumps(). Throws Error(kBadFile) for what it does not serialise.
std::string ToJson(Run& run, const Value& value, const JsonStyle& style);

// All elements of an iterable (characters of a string, keys of a dict); uses up a generator. Throws
// Error(kBadFile) when it is none.
std::vector<Value> Elements(Run& run, const Value& value);
bool IsIterable(const Value& value);

}  // namespace edgewise::jinja
