#include <algorithm>
#include <array>
#include <ctime>

#include "base/strings.h"
#include "jinja/builtins.h"

namespace edgewise::jinja {
namespace {

Value MakeRange(Run& run, const Args& args) {
  const ArgReader reader(run, "range", args, {"start", "stop", "step"}, 1);
  const bool only_stop = reader.Find(1) == nullptr;
  const int64_t start = only_stop ? 0 : reader.Integer(0, 0);
  const int64_t stop = reader.Integer(only_stop ? 0 : 1, 0);
  const int64_t step = reader.Integer(2, 1);
  if (step == 0) run.FailType("range with step 0");
  constexpr size_t kMaxRange = 100'000;  // Jinja's sandbox has the same limit
  std::vector<Value> items;
  for (int64_t i = start; step > 0 ? i < stop : i > stop;) {
    if (items.size() == kMaxRange) {
      run.Fail(ErrorCode::kLimit, StrCat("a range of more than ", kMaxRange, " numbers"));
    }
    items.push_back(Value::Int(i));
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return run.MakeSequence(SequenceKind::kRange, std::move(items));
}

// Fills from a dict or pairs, at most one, then from named arguments.
Value Fill(Run& run, Value target, std::string_view callee, const Args& args) {
  if (args.positional.size() > 1) run.FailType(StrCat(callee, " takes at most one unnamed argument"));
  for (const Value& source : args.positional) {
    if (source.is(Type::kDict)) {
      for (const auto& [key, value] : source.dict().entries) run.Set(target.dict(), key, value);
      continue;
    }
    for (const Value& item : Elements(run, source)) {
      const std::vector<Value> pair = Elements(run, item);
      if (pair.size() != 2) run.FailType(StrCat(callee, " takes pairs of a key and a value"));
      run.Set(target.dict(), pair[0], pair[1]);
    }
  }
  for (const auto& [name, value] : args.named) run.Set(target.dict(), run.String(name), value);
  return target;
}

Value MakeDict(Run& run, const Args& args) { return Fill(run, run.MakeDict(), "dict", args); }

Value MakeNamespace(Run& run, const Args& args) {
  return Fill(run, run.MakeNamespace(), "namespace", args);
}

Value RaiseException(Run& run, const Args& args) {
  const ArgReader reader(run, "raise_exception", args, {"message"}, 1);
  constexpr size_t kMaxShown = 300;
  throw Error(ErrorCode::kBadFile, StrCat("the chat template refuses these messages: ",
                                          Printable(ToText(run, reader[0]), kMaxShown)));
}

Value FormatNow(Run& run, const Args& args) {
  const std::string format = ArgReader(run, "strftime_now", args, {"format"}, 1).Text(0, "");
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  std::array<char, 256> buffer;  // longer results come back empty, as strftime says
  // A space in front tells an empty result from one that does not fit.
  const size_t size =
      std::strftime(buffer.data(), buffer.size(), (" " + format).c_str(), &local);
  if (size == 0) run.Fail(ErrorCode::kLimit, "strftime_now with a result over 255 bytes");
  return run.String(std::string(buffer.data() + 1, size - 1));
}

constexpr std::pair<std::string_view, Value (*)(Run&, const Args&)> kFunctions[] = {
    {"range", MakeRange}, {"dict", MakeDict}, {"namespace", MakeNamespace},
    {"raise_exception", RaiseException}, {"strftime_now", FormatNow}};

constexpr std::string_view kMissing[] = {"cycler", "joiner", "lipsum", "self"};

}  // namespace

Value GlobalFunction(Run& run, std::string_view name) {
  for (const auto& [known, call] : kFunctions) {
    if (known == name) {
      return Value::Of(Type::kFunction, run.Adopt(std::make_unique<Function>(call)));
    }
  }
  if (std::find(std::begin(kMissing), std::end(kMissing), name) != std::end(kMissing)) {
    run.Fail(ErrorCode::kUnsupported, StrCat("the global '", name, "' is not supported"));
  }
  return Value::Undefined(name);
}

}  // namespace edgewise::jinja
