#include <algorithm>
#include <array>

#include "base/strings.h"
#include "jinja/builtins.h"
#include "jinja/text.h"

namespace edgewise::jinja {

ArgReader::ArgReader(Run& run, std::string_view callee, const Args& args,
                     std::initializer_list<std::string_view> names, size_t required)
    : run_(run), callee_(callee), found_(names.size(), nullptr) {
  if (args.positional.size() > names.size()) {
    run.FailType(StrCat(callee, " takes at most ", names.size(), " arguments"));
  }
  for (size_t i = 0; i < args.positional.size(); ++i) found_[i] = &args.positional[i];
  for (const auto& [name, value] : args.named) {
    const auto at = std::find(names.begin(), names.end(), name);
    const size_t index = static_cast<size_t>(at - names.begin());
    if (at == names.end() || found_[index] != nullptr) {
      run.FailType(StrCat(callee, ": the argument '", Printable(name), "' is ",
                          at == names.end() ? "unknown" : "given twice"));
    }
    found_[index] = &value;
  }
  for (size_t i = 0; i < required; ++i) {
    if (found_[i] == nullptr) {
      run.FailType(StrCat(callee, ": the argument '", *(names.begin() + i), "' is missing"));
    }
  }
}

bool ArgReader::Flag(size_t index, bool otherwise) const {
  return found_[index] == nullptr ? otherwise : Truth(*found_[index]);
}

int64_t ArgReader::Integer(size_t index, int64_t otherwise) const {
  if (found_[index] == nullptr) return otherwise;
  if (!found_[index]->is_integer()) {
    run_.FailType(StrCat(callee_, " takes an integer, not ", TypeName(*found_[index])));
  }
  return found_[index]->integer();
}

std::string ArgReader::Text(size_t index, std::string_view otherwise) const {
  if (found_[index] == nullptr) return std::string(otherwise);
  if (!found_[index]->is(Type::kString)) {
    run_.FailType(StrCat(callee_, " takes a string, not ", TypeName(*found_[index])));
  }
  return found_[index]->text();
}

namespace {

using TextMethod = Value (*)(Run& run, const std::string& text, std::string_view name,
                             const Args& args);

constexpr int64_t kNoLimit = -1;

// A list of strings, each piece under the limits as it is added.
class Pieces {
 public:
  explicit Pieces(Run& run) : run_(run) {}
  void Add(std::string_view piece) { items_.push_back(run_.String(std::string(piece))); }
  void Reverse() { std::reverse(items_.begin(), items_.end()); }
  Value Take() { return run_.List(std::move(items_)); }

 private:
  Run& run_;
  std::vector<Value> items_;
};

// The leading part of `text` without white space.
size_t WordLength(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    size_t next = at;
    if (IsSpace(NextCodePoint(text, next))) break;
    at = next;
  }
  return at;
}

Value SplitWords(Run& run, std::string_view text, int64_t limit) {
  Pieces pieces(run);
  for (text = StripLeft(text); !text.empty(); text = StripLeft(text)) {
    if (limit == 0) {
      pieces.Add(text);
      break;
    }
    const size_t length = WordLength(text);
    pieces.Add(text.substr(0, length));
    text.remove_prefix(length);
    if (limit > 0) --limit;
  }
  return pieces.Take();
}

Value Split(Run& run, const std::string& whole, std::string_view name, const Args& args) {
  const ArgReader reader(run, name, args, {"sep", "maxsplit"});
  int64_t limit = reader.Integer(1, kNoLimit);
  std::string_view text = whole;
  run.Step(1 + text.size() / 64);
  const bool from_right = name == "rsplit";
  if (reader.Find(0) == nullptr || reader[0].is(Type::kNone)) {
    if (from_right && limit >= 0) run.Fail(ErrorCode::kUnsupported, "rsplit(none, maxsplit)");
    return SplitWords(run, text, limit);
  }
  const std::string separator = reader.Text(0, "");
  if (separator.empty()) run.FailType("split by an empty string");
  Pieces pieces(run);
  for (; limit != 0; limit -= limit > 0) {
    const size_t at = from_right ? text.rfind(separator) : text.find(separator);
    if (at == text.npos) break;
    const std::string_view left = text.substr(0, at), right = text.substr(at + separator.size());
    pieces.Add(from_right ? right : left);
    text = from_right ? left : right;
  }
  pieces.Add(text);
  if (from_right) pieces.Reverse();
  return pieces.Take();
}

Value SplitLines(Run& run, const std::string& whole, std::string_view name, const Args& args) {
  const ArgReader reader(run, name, args, {"keepends"});
  const bool keep = reader.Flag(0, false);
  Pieces pieces(run);
  const std::string_view text = whole;
  run.Step(1 + text.size() / 64);
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = at;
    const uint32_t c = NextCodePoint(text, at);
    const bool breaks = (c >= '\n' && c <= '\r') || (c >= 0x1C && c <= 0x1E) || c == 0x85 ||
                        c == 0x2028 || c == 0x2029;
    if (!breaks) continue;
    if (c == '\r' && at < text.size() && text[at] == '\n') ++at;
    pieces.Add(text.substr(begin, (keep ? at : end) - begin));
    begin = at;
  }
  if (begin < text.size()) pieces.Add(text.substr(begin));
  return pieces.Take();
}

Value Partition(Run& run, const std::string& whole, std::string_view name, const Args& args) {
  const std::string separator = ArgReader(run, name, args, {"sep"}, 1).Text(0, "");
  if (separator.empty()) run.FailType("partition by an empty string");
  const std::string_view text = whole;
  const bool from_right = name == "rpartition";
  const size_t at = from_right ? text.rfind(separator) : text.find(separator);
  std::array<std::string_view, 3> parts = {text, "", ""};
  if (at != text.npos) {
    parts = {text.substr(0, at), separator, text.substr(at + separator.size())};
  } else if (from_right) {
    parts = {"", "", text};
  }
  std::vector<Value> items;
  for (const std::string_view part : parts) items.push_back(run.String(std::string(part)));
  return run.MakeSequence(SequenceKind::kTuple, std::move(items));
}

Value Strip(Run& run, const std::string& text, std::string_view name, const Args& args) {
  const ArgReader reader(run, name, args, {"chars"});
  const bool by_space = reader.Find(0) == nullptr || reader[0].is(Type::kNone);
  const std::string of = by_space ? "" : reader.Text(0, "");
  // Each character dropped is looked for among `of`.
  run.Step(1 + text.size() / 64 + text.size() / 64 * of.size());
  std::string_view kept = text;
  if (name != "rstrip") kept = by_space ? StripLeft(kept) : StripLeft(kept, of);
  if (name != "lstrip") kept = by_space ? StripRight(kept) : StripRight(kept, of);
  return run.String(std::string(kept));
}

Value StartsOrEnds(Run& run, const std::string& text, std::string_view name, const Args& args) {
  const ArgReader reader(run, name, args, {"affix", "start", "end"}, 1);
  if (reader.Find(1) != nullptr) {
    run.Fail(ErrorCode::kUnsupported, StrCat(name, " with a position is not supported"));
  }
  const auto matches = [&](const Value& affix) {
    if (!affix.is(Type::kString)) run.FailType(StrCat(name, " takes a string or a tuple of strings"));
    return name == "startswith" ? text.starts_with(affix.text()) : text.ends_with(affix.text());
  };
  const Value& affix = reader[0];
  const bool is_tuple =
      affix.is(Type::kSequence) && affix.sequence().kind == SequenceKind::kTuple;
  if (!is_tuple) return Value::Bool(matches(affix));
  const auto& items = affix.sequence().items;
  run.Step(items.size());
  return Value::Bool(std::any_of(items.begin(), items.end(), matches));
}

Value ChangeCase(Run& run, const std::string& text, std::string_view name, const Args& args) {
  ArgReader(run, name, args, {});
  run.CheckString(text.size());
  if (name == "upper") return run.String(Upper(text));
  if (name == "lower") return run.String(Lower(text));
  return run.String(name == "title" ? Title(text) : Capitalize(text));
}

Value Replace(Run& run, const std::string& text, std::string_view name, const Args& args) {
  const ArgReader reader(run, name, args, {"old", "new", "count"}, 2);
  int64_t limit = reader.Integer(2, kNoLimit);
  const std::string old_text = reader.Text(0, ""), new_text = reader.Text(1, "");
  run.Step(1 + text.size() / 64);
  TextBuilder out(run);
  size_t begin = 0;
  if (old_text.empty()) {  // between all characters, and at both ends
    while (limit != 0) {
      out.Append(new_text);
      run.Step();
      limit -= limit > 0;
      if (begin == text.size()) break;
      size_t next = begin;
      NextCodePoint(text, next);
      out.Append(std::string_view(text).substr(begin, next - begin));
      begin = next;
    }
  } else {
    for (; limit != 0; limit -= limit > 0) {
      const size_t at = text.find(old_text, begin);
      if (at == text.npos) break;
      run.Step();
      out.Append(std::string_view(text).substr(begin, at - begin)).Append(new_text);
      begin = at + old_text.size();
    }
  }
  out.Append(std::string_view(text).substr(begin));
  return run.String(out.Take());
}

Value Join(Run& run, const std::string& separator, std::string_view name, const Args& args) {
  const ArgReader reader(run, name, args, {"iterable"}, 1);
  TextBuilder out(run);
  bool first = true;
  for (const Value& item : Elements(run, reader[0])) {
    if (!item.is(Type::kString)) run.FailType(StrCat("join of ", TypeName(item)));
    if (!first) out.Append(separator);
    out.Append(item.text());
    first = false;
  }
  return run.String(out.Take());
}

Value Search(Run& run, const std::string& text, std::string_view name, const Args& args) {
  const ArgReader reader(run, name, args, {"sub", "start", "end"}, 1);
  if (reader.Find(1) != nullptr) {
    run.Fail(ErrorCode::kUnsupported, StrCat(name, " with a position is not supported"));
  }
  const std::string wanted = reader.Text(0, "");
  run.Step(1 + text.size() / 64);
  if (name == "count") {
    if (wanted.empty()) return Value::Int(static_cast<int64_t>(CountCodePoints(text)) + 1);
    int64_t count = 0;
    for (size_t at = text.find(wanted); at != text.npos; at = text.find(wanted, at + wanted.size())) {
      ++count;
    }
    return Value::Int(count);
  }
  const size_t at = name.starts_with('r') ? text.rfind(wanted) : text.find(wanted);
  if (at == text.npos) {
    if (name.ends_with("index")) run.FailType("substring not found");
    return Value::Int(-1);
  }
  return Value::Int(static_cast<int64_t>(CountCodePoints(std::string_view(text).substr(0, at))));
}

Value RemoveAffix(Run& run, const std::string& text, std::string_view name, const Args& args) {
  const std::string affix = ArgReader(run, name, args, {"affix"}, 1).Text(0, "");
  std::string_view kept = text;
  if (name == "removeprefix" && kept.starts_with(affix)) kept.remove_prefix(affix.size());
  if (name == "removesuffix" && kept.ends_with(affix)) kept.remove_suffix(affix.size());
  return run.String(std::string(kept));
}

// isdigit, isalpha, ...: of ASCII only, as the classes of other characters need Unicode's tables.
Value Classify(Run& run, const std::string& text, std::string_view name, const Args& args) {
  ArgReader(run, name, args, {});
  run.Step(1 + text.size() / 64);
  if (name == "isspace") return Value::Bool(!text.empty() && StripLeft(text).empty());
  if (!IsAscii(text)) {
    run.Fail(ErrorCode::kUnsupported, StrCat(name, " of a text outside ASCII is not supported"));
  }
  bool has_upper = false, has_lower = false, has_digit = false, has_other = false;
  for (const char c : text) {
    if (c >= 'A' && c <= 'Z') has_upper = true;
    else if (c >= 'a' && c <= 'z') has_lower = true;
    else if (c >= '0' && c <= '9') has_digit = true;
    else has_other = true;
  }
  const bool has_letter = has_upper || has_lower;
  if (name == "isupper") return Value::Bool(has_upper && !has_lower);
  if (name == "islower") return Value::Bool(has_lower && !has_upper);
  if (text.empty() || has_other) return Value::Bool(false);
  if (name == "isalpha") return Value::Bool(!has_digit);
  return Value::Bool(name == "isalnum" || !has_letter);
}

// '{}', '{0}' and '{name}'; what stands behind ':' or '!' in a field is not supported.
Value Format(Run& run, const std::string& text, std::string_view, const Args& args) {
  TextBuilder out(run);
  size_t automatic = 0;
  const auto argument = [&](std::string_view field) -> const Value& {
    size_t index = args.positional.size();
    if (field.empty()) {
      index = automatic++;
    } else if (field.find_first_not_of("0123456789") == field.npos && field.size() < 9) {
      index = static_cast<size_t>(std::stoul(std::string(field)));
    } else if (field.find_first_of(":!.[") != field.npos) {
      run.Fail(ErrorCode::kUnsupported, "format() with a conversion is not supported");
    } else {
      for (const auto& [name, value] : args.named) {
        if (name == field) return value;
      }
    }
    if (index >= args.positional.size()) run.FailType("format() lacks an argument for a field");
    return args.positional[index];
  };
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if ((c == '{' || c == '}') && at + 1 < text.size() && text[at + 1] == c) {
      out.Append(text.substr(at++, 1));
    } else if (c == '{') {
      const size_t end = text.find('}', at);
      if (end == text.npos) run.FailType("format() of a text with a single '{'");
      out.Append(ToText(run, argument(std::string_view(text).substr(at + 1, end - at - 1))));
      at = end;
    } else if (c == '}') {
      run.FailType("format() of a text with a single '}'");
    } else {
      out.Append(text.substr(at, 1));
    }
  }
  return run.String(out.Take());
}

struct NamedMethod {
  std::string_view name;
  TextMethod call;
};
constexpr NamedMethod kTextMethods[] = {
    {"capitalize", ChangeCase}, {"count", Search}, {"endswith", StartsOrEnds}, {"find", Search},
    {"format", Format}, {"index", Search}, {"isalnum", Classify}, {"isalpha", Classify},
    {"isdecimal", Classify}, {"isdigit", Classify}, {"islower", Classify}, {"isnumeric", Classify},
    {"isspace", Classify}, {"isupper", Classify}, {"join", Join}, {"lower", ChangeCase},
    {"lstrip", Strip}, {"partition", Partition}, {"removeprefix", RemoveAffix},
    {"removesuffix", RemoveAffix}, {"replace", Replace}, {"rfind", Search}, {"rindex", Search},
    {"rpartition", Partition}, {"rsplit", Split}, {"rstrip", Strip}, {"split", Split},
    {"splitlines", SplitLines}, {"startswith", StartsOrEnds}, {"strip", Strip},
    {"title", ChangeCase}, {"upper", ChangeCase}};

// Python has these too; a template that uses one must not silently see an undefined value.
constexpr std::string_view kMissingTextMethods[] = {
    "casefold", "center", "encode", "expandtabs", "format_map", "isascii", "isidentifier",
    "isprintable", "istitle", "ljust", "maketrans", "rjust", "swapcase", "translate", "zfill"};

constexpr std::string_view kDictMethods[] = {"copy", "get", "items", "keys", "values"};
// What the sandbox does not let a template call: undefined even when the dict has such a key.
constexpr std::string_view kDictMutators[] = {"clear", "pop", "popitem", "setdefault", "update"};
constexpr std::string_view kListMethods[] = {"copy", "count", "index"};

Value BindMethod(Run& run, const Value& receiver, std::string_view name) {
  return Value::Of(Type::kMethod, run.Adopt(std::make_unique<Method>(receiver, name)));
}

Value View(Run& run, const Dict& dict, std::string_view name) {
  std::vector<Value> items;
  for (const auto& [key, value] : dict.entries) {
    if (name == "items") {
      items.push_back(run.MakeSequence(SequenceKind::kTuple, {key, value}));
    } else {
      items.push_back(name == "keys" ? key : value);
    }
  }
  return run.MakeSequence(name == "items"  ? SequenceKind::kItems
                          : name == "keys" ? SequenceKind::kKeys
                                           : SequenceKind::kValues,
                          std::move(items));
}

Value CallDictMethod(Run& run, const Dict& dict, std::string_view name, const Args& args) {
  if (name == "get") {
    if (!args.named.empty()) run.FailType("get takes no named arguments");
    const ArgReader reader(run, name, args, {"key", "default"}, 1);
    if (const Value* found = run.Find(dict, reader[0])) return *found;
    return reader.Find(1) != nullptr ? reader[1] : Value::None();
  }
  ArgReader(run, name, args, {});
  if (name != "copy") return View(run, dict, name);
  const Value copy = run.MakeDict();
  run.Charge(dict.entries.size() * 2 * sizeof(Value));
  copy.dict().entries = dict.entries;
  return copy;
}

Value CallSequenceMethod(Run& run, const Sequence& sequence, std::string_view name,
                         const Args& args) {
  if (name == "copy") {
    ArgReader(run, name, args, {});
    return run.MakeSequence(sequence.kind, sequence.items);
  }
  const ArgReader reader(run, name, args, {"value"}, 1);
  const auto same = [&](const Value& item) { return Equal(run, item, reader[0]); };
  const auto &items = sequence.items;
  if (name == "count") return Value::Int(std::count_if(items.begin(), items.end(), same));
  const auto at = std::find_if(items.begin(), items.end(), same);
  if (at == items.end()) run.FailType("index: the value is not in the list");
  return Value::Int(at - items.begin());
}

template <typename Names>
const std::string_view* FindName(const Names& names, std::string_view name) {
  const auto at = std::find(std::begin(names), std::end(names), name);
  return at == std::end(names) ? nullptr : &*at;
}

const NamedMethod* FindTextMethod(std::string_view name) {
  const auto at = std::find_if(std::begin(kTextMethods), std::end(kTextMethods),
                               [name](const NamedMethod& method) { return method.name == name; });
  return at == std::end(kTextMethods) ? nullptr : at;
}

}  // namespace

Value GetAttribute(Run& run, const Value& object, std::string_view name) {
  switch (object.type()) {
    case Type::kUndefined:
      run.FailType(
          StrCat(SayUndefined(object), ", so has no attribute '", Printable(name), "'"));
    case Type::kString:
      if (const NamedMethod* method = FindTextMethod(name)) return BindMethod(run, object, method->name);
      if (FindName(kMissingTextMethods, name) != nullptr) {
        run.Fail(ErrorCode::kUnsupported, StrCat("the string method '", name, "' is not supported"));
      }
      break;
    case Type::kDict:
      if (const auto* method = FindName(kDictMethods, name)) return BindMethod(run, object, *method);
      if (FindName(kDictMutators, name) != nullptr) break;
      [[fallthrough]];
    case Type::kNamespace:
      if (const Value* found = run.Find(object.dict(), name)) return *found;
      break;
    case Type::kSequence:
      if (object.sequence().kind > SequenceKind::kTuple) break;
      if (const auto* method = FindName(kListMethods, name)) return BindMethod(run, object, *method);
      break;
    default: break;
  }
  return Value::Undefined(name);
}

Value CallMethod(Run& run, const Method& method, const Args& args) {
  const Value& receiver = method.receiver;
  if (receiver.is(Type::kDict)) return CallDictMethod(run, receiver.dict(), method.name, args);
  if (receiver.is(Type::kSequence)) {
    return CallSequenceMethod(run, receiver.sequence(), method.name, args);
  }
  if (receiver.markup()) {
    run.Fail(ErrorCode::kUnsupported, StrCat("the method '", method.name, "' behind the filter 'safe'"));
  }
  return FindTextMethod(method.name)->call(run, receiver.text(), method.name, args);
}

}  // namespace edgewise::jinja
