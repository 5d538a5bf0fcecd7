#include <algorithm>
#include <charconv>
#include <iterator>

#include "base/strings.h"
#include "jinja/builtins.h"
#include "jinja/text.h"

namespace edgewise::jinja {
namespace {

Value Generator(Run& run, std::vector<Value> items) {
  return run.MakeSequence(SequenceKind::kGenerator, std::move(items));
}

// item.a.b, or item itself when `path` is None; numbers in the path are indices.
Value Lookup(Run& run, Value item, const Value& path) {
  if (path.is(Type::kNone)) return item;
  if (path.is_integer()) return GetItem(run, item, path);
  if (!path.is(Type::kString)) run.FailType("an attribute's name is a string");
  std::string_view rest = path.text();
  for (;;) {
    const size_t dot = rest.find('.');
    const std::string_view part = rest.substr(0, dot);
    int64_t index = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), index);
    const bool is_index = error == std::errc() && end == part.data() + part.size() && part[0] != '-';
    item = GetItem(run, item, is_index ? Value::Int(index) : run.String(std::string(part)));
    if (dot == rest.npos) return item;
    rest.remove_prefix(dot + 1);
  }
}

Value Folded(Run& run, const Value& value, bool case_sensitive) {
  return case_sensitive || !value.is(Type::kString) ? value : run.String(Lower(value.text()));
}

// Elements with the key each is compared by.
using Keyed = std::vector<std::pair<Value, Value>>;

Keyed WithKeys(Run& run, const Value& subject, const Value& attribute, bool case_sensitive) {
  Keyed keyed;
  for (const Value& item : Elements(run, subject)) {
    keyed.emplace_back(Folded(run, Lookup(run, item, attribute), case_sensitive), item);
  }
  return keyed;
}

void SortByKey(Run& run, Keyed& keyed, bool reverse) {
  // A reversed sort keeps the order of equal elements, as Python's does.
  std::stable_sort(keyed.begin(), keyed.end(), [&](const auto& a, const auto& b) {
    return reverse ? Less(run, b.first, a.first) : Less(run, a.first, b.first);
  });
}

Value ListOfItems(Run& run, const Keyed& keyed) {
  std::vector<Value> items;
  for (const auto& [key, item] : keyed) items.push_back(item);
  return run.List(std::move(items));
}

Value First(Run& run, const Value& subject, const Args& args) {
  ArgReader(run, "first", args, {});
  if (subject.is(Type::kString)) return GetItem(run, subject, Value::Int(0));
  if (subject.is(Type::kSequence) && subject.sequence().kind != SequenceKind::kGenerator) {
    const auto& items = subject.sequence().items;
    return items.empty() ? Value() : items.front();
  }
  const std::vector<Value> items = Elements(run, subject);
  return items.empty() ? Value() : items.front();
}

Value Last(Run& run, const Value& subject, const Args& args) {
  ArgReader(run, "last", args, {});
  if (subject.is(Type::kString)) return GetItem(run, subject, Value::Int(-1));
  if (subject.is(Type::kSequence)) {
    const Sequence& sequence = subject.sequence();
    if (sequence.kind == SequenceKind::kGenerator) run.FailType("last of a generator; use list first");
    return sequence.items.empty() ? Value() : sequence.items.back();
  }
  const std::vector<Value> items = Elements(run, subject);
  return items.empty() ? Value() : items.back();
}

Value ToList(Run& run, const Value& subject, const Args& args) {
  ArgReader(run, "list", args, {});
  return run.List(Elements(run, subject));
}

Value Join(Run& run, const Value& subject, const Args& args) {
  const ArgReader reader(run, "join", args, {"d", "attribute"});
  const std::string separator = reader.Find(0) == nullptr ? "" : ToText(run, reader[0]);
  const Value attribute = reader.Find(1) == nullptr ? Value::None() : reader[1];
  TextBuilder out(run);
  bool first = true;
  for (const Value& item : Elements(run, subject)) {
    if (!first) out.Append(separator);
    out.Append(ToText(run, Lookup(run, item, attribute)));
    first = false;
  }
  return run.String(out.Take());
}

// Jinja lets `map` and `select` of None, and of anything else that is false, give nothing.
std::vector<Value> ElementsIfAny(Run& run, const Value& subject) {
  return Truth(subject) ? Elements(run, subject) : std::vector<Value>();
}

Value Map(Run& run, const Value& subject, const Args& args) {
  std::vector<Value> items;
  if (args.positional.empty()) {
    const ArgReader reader(run, "map", args, {"attribute", "default"}, 1);
    for (const Value& item : ElementsIfAny(run, subject)) {
      Value value = Lookup(run, item, reader[0]);
      const bool replace = value.is(Type::kUndefined) && reader.Find(1) != nullptr;
      items.push_back(replace ? reader[1] : std::move(value));
    }
    return Generator(run, std::move(items));
  }
  const Value& name = args.positional[0];
  if (!name.is(Type::kString)) run.FailType("map takes the name of a filter");
  Args rest = args;
  rest.positional.erase(rest.positional.begin());
  const Nested nested(run);
  for (const Value& item : ElementsIfAny(run, subject)) {
    items.push_back(ApplyFilter(run, name.text(), item, rest));
  }
  return Generator(run, std::move(items));
}

// Those elements whose truth, or a test of which, is `wanted`; of an attribute when `by_attribute`.
Value Choose(Run& run, const Value& subject, const Args& args, bool wanted, bool by_attribute) {
  Args rest = args;
  Value attribute = Value::None();
  if (by_attribute) {
    if (rest.positional.empty()) run.FailType("selectattr and rejectattr take an attribute's name");
    attribute = rest.positional[0];
    rest.positional.erase(rest.positional.begin());
  }
  Value test;
  if (!rest.positional.empty()) {
    test = rest.positional[0];
    if (!test.is(Type::kString)) run.FailType("select and reject take the name of a test");
    rest.positional.erase(rest.positional.begin());
  }
  std::vector<Value> items;
  for (const Value& item : ElementsIfAny(run, subject)) {
    const Value value = Lookup(run, item, attribute);
    const bool holds =
        test.is(Type::kString) ? ApplyTest(run, test.text(), value, rest) : Truth(value);
    if (holds == wanted) items.push_back(item);
  }
  return Generator(run, std::move(items));
}

Value Select(Run& run, const Value& subject, const Args& args) {
  return Choose(run, subject, args, true, false);
}
Value Reject(Run& run, const Value& subject, const Args& args) {
  return Choose(run, subject, args, false, false);
}
Value SelectByAttribute(Run& run, const Value& subject, const Args& args) {
  return Choose(run, subject, args, true, true);
}
Value RejectByAttribute(Run& run, const Value& subject, const Args& args) {
  return Choose(run, subject, args, false, true);
}

Value Sort(Run& run, const Value& subject, const Args& args) {
  const ArgReader reader(run, "sort", args, {"reverse", "case_sensitive", "attribute"});
  const Value attribute = reader.Find(2) == nullptr ? Value::None() : reader[2];
  if (attribute.is(Type::kString) && attribute.text().find(',') != std::string::npos) {
    run.Fail(ErrorCode::kUnsupported, "sort by several attributes");
  }
  Keyed keyed = WithKeys(run, subject, attribute, reader.Flag(1, false));
  SortByKey(run, keyed, reader.Flag(0, false));
  return ListOfItems(run, keyed);
}

Value DictSort(Run& run, const Value& subject, const Args& args) {
  const ArgReader reader(run, "dictsort", args, {"case_sensitive", "by", "reverse"});
  if (!subject.is(Type::kDict)) run.FailType(StrCat("dictsort of ", TypeName(subject)));
  const std::string by = reader.Text(1, "key");
  if (by != "key" && by != "value") run.FailType("dictsort by something else than key or value");
  Keyed keyed;
  for (const auto& [key, value] : subject.dict().entries) {
    keyed.emplace_back(Folded(run, by == "key" ? key : value, reader.Flag(0, false)),
                       run.MakeSequence(SequenceKind::kTuple, {key, value}));
  }
  SortByKey(run, keyed, reader.Flag(2, false));
  return ListOfItems(run, keyed);
}

Value Unique(Run& run, const Value& subject, const Args& args) {
  const ArgReader reader(run, "unique", args, {"case_sensitive", "attribute"});
  const Value attribute = reader.Find(1) == nullptr ? Value::None() : reader[1];
  std::vector<Value> seen, items;
  for (const auto& [key, item] : WithKeys(run, subject, attribute, reader.Flag(0, false))) {
    const bool known = std::any_of(seen.begin(), seen.end(),
                                   [&, &wanted = key](const Value& k) { return Equal(run, k, wanted); });
    if (known) continue;
    seen.push_back(key);
    items.push_back(item);
  }
  return Generator(run, std::move(items));
}

Value Extreme(Run& run, const Value& subject, const Args& args, bool largest) {
  const ArgReader reader(run, largest ? "max" : "min", args, {"case_sensitive", "attribute"});
  const Value attribute = reader.Find(1) == nullptr ? Value::None() : reader[1];
  const Keyed keyed = WithKeys(run, subject, attribute, reader.Flag(0, false));
  if (keyed.empty()) return Value();
  const auto* best = &keyed[0];
  for (const auto& candidate : keyed) {
    const bool better = largest ? Less(run, best->first, candidate.first)
                                : Less(run, candidate.first, best->first);
    if (better) best = &candidate;
  }
  return best->second;
}

Value Smallest(Run& run, const Value& subject, const Args& args) {
  return Extreme(run, subject, args, false);
}
Value Largest(Run& run, const Value& subject, const Args& args) {
  return Extreme(run, subject, args, true);
}

Value Sum(Run& run, const Value& subject, const Args& args) {
  const ArgReader reader(run, "sum", args, {"attribute", "start"});
  const Value attribute = reader.Find(0) == nullptr ? Value::None() : reader[0];
  Value total = reader.Find(1) == nullptr ? Value::Int(0) : reader[1];
  if (total.is(Type::kString)) run.FailType("sum of strings; use join");
  for (const Value& item : Elements(run, subject)) {
    total = Arithmetic(run, Op::kAdd, total, Lookup(run, item, attribute));
  }
  return total;
}

Value Reverse(Run& run, const Value& subject, const Args& args) {
  ArgReader(run, "reverse", args, {});
  if (subject.is(Type::kString)) {
    return GetSlice(run, subject, Value::None(), Value::None(), Value::Int(-1));
  }
  const bool is_generator =
      subject.is(Type::kSequence) && subject.sequence().kind == SequenceKind::kGenerator;
  std::vector<Value> items = Elements(run, subject);
  std::reverse(items.begin(), items.end());
  return is_generator ? run.List(std::move(items)) : Generator(run, std::move(items));
}

Value Items(Run& run, const Value& subject, const Args& args) {
  ArgReader(run, "items", args, {});
  std::vector<Value> items;
  if (!subject.is(Type::kUndefined)) {
    if (!subject.is(Type::kDict)) run.FailType(StrCat("items of ", TypeName(subject)));
    for (const auto& [key, value] : subject.dict().entries) {
      items.push_back(run.MakeSequence(SequenceKind::kTuple, {key, value}));
    }
  }
  return Generator(run, std::move(items));
}

constexpr NamedFilter kFilters[] = {
    {"dictsort", DictSort}, {"first", First}, {"items", Items}, {"join", Join}, {"last", Last},
    {"list", ToList}, {"map", Map}, {"max", Largest}, {"min", Smallest}, {"reject", Reject},
    {"rejectattr", RejectByAttribute}, {"reverse", Reverse}, {"select", Select},
    {"selectattr", SelectByAttribute}, {"sort", Sort}, {"sum", Sum}, {"unique", Unique}};

}  // namespace

FilterFunction FindSequenceFilter(std::string_view name) {
  const auto at = std::find_if(std::begin(kFilters), std::end(kFilters),
                               [name](const NamedFilter& filter) { return filter.name == name; });
  return at == std::end(kFilters) ? nullptr : at->apply;
}

}  // namespace edgewise::jinja
