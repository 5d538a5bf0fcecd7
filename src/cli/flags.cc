#include "cli/flags.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <functional>
#include <string_view>

#include "base/error.h"
#include "base/nearest.h"
#include "cli/verb.h"

namespace edgewise {
namespace {

constexpr size_t kHelpColumn = 30, kHelpWidth = 100;

// The number that is all of `text`; nullopt when there is none or it does not fit.
template <typename T>
std::optional<T> ParseNumber(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return {};
  return value;
}

template <typename T>
T ToNumber(const std::string& flag, const std::string& text) {
  if (const auto value = ParseNumber<T>(text)) return *value;
  const char* kind = std::is_floating_point_v<T> ? "a number"
                     : std::is_signed_v<T>       ? "a whole number"
                                                 : "a whole number that is not negative";
  throw Error(ErrorCode::kUsage, StrCat(flag, " needs ", kind, ", not '", Printable(text), "'"));
}

// Appends `text` in lines of kHelpWidth, those after the first indented by `indent`.
void AppendWrapped(std::string& out, std::string_view text, size_t column, size_t indent) {
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(word.size() + 1, text.size()));
    if (column > indent && column + 1 + word.size() > kHelpWidth) {
      out += '\n' + std::string(indent, ' ');
      column = indent;
    } else if (column > indent) {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
  }
  out += '\n';
}

}  // namespace

std::string DidYouMean(std::string_view given, std::span<const std::string_view> known) {
  std::string_view best;
  size_t best_distance = 3;  // more than two letters away is no slip
  for (const std::string_view candidate : known) {
    const size_t distance = EditDistance(given, candidate);
    if (distance < best_distance && distance + 1 < candidate.size() && given.size() > 2) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best.empty() ? "" : StrCat(": did you mean ", best, "?");
}

struct Flags::Impl {
  struct Flag {
    std::vector<std::string> names;  // with dashes; empty for a positional
    std::string what, help, group, fallback;
    bool takes_value = true, repeats = false, required = false;
    std::function<void(const std::string&)> set;

    // As error messages call it.
    const std::string& title() const { return names.empty() ? what : names.back(); }
    // CLI11 knows short flags of one letter only: others go by their last, long name.
    std::string cli_name() const {
      if (names.empty()) return what;
      std::string list;
      for (const std::string& name : names) {
        if (!IsShortOfSeveral(name)) list += (list.empty() ? "" : ",") + name;
      }
      return list;
    }
  };

  static bool IsShortOfSeveral(std::string_view name) {
    return name.size() > 2 && name[0] == '-' && name[1] != '-';
  }

  const Flag* Find(std::string_view name) const {
    for (const Flag& flag : flags) {
      if (std::find(flag.names.begin(), flag.names.end(), name) != flag.names.end()) return &flag;
    }
    return nullptr;
  }

  void Add(std::string names, std::string what, std::string help, std::string fallback,
           std::function<void(const std::string&)> set) {
    Flag flag;
    flag.names = CLI::detail::split(names, ',');
    flag.what = std::move(what);
    flag.help = std::move(help);
    flag.group = group;
    flag.fallback = std::move(fallback);
    flag.set = std::move(set);
    for (const std::string& name : flag.names) EDGEWISE_CHECK(Find(name) == nullptr);
    EDGEWISE_CHECK(!IsShortOfSeveral(flag.names.back()));
    flags.push_back(std::move(flag));
  }
  void AddPositional(std::string what, std::string help,
                     std::function<void(const std::string&)> set) {
    Flag flag;
    flag.what = std::move(what);
    flag.help = std::move(help);
    flag.group = "Arguments";
    flag.set = std::move(set);
    flags.push_back(std::move(flag));
  }
  template <typename T>
  void AddNumber(std::string names, T& value, std::string what, std::string help) {
    const std::string name = CLI::detail::split(names, ',').back();
    Add(std::move(names), std::move(what), std::move(help), StrCat(value),
        [&value, name](const std::string& text) { value = ToNumber<T>(name, text); });
  }
  template <typename T>
  void AddOptional(std::string names, std::optional<T>& value, std::string what, std::string help) {
    const std::string name = CLI::detail::split(names, ',').back();
    Add(std::move(names), std::move(what), std::move(help), "",
        [&value, name](const std::string& text) { value = ToNumber<T>(name, text); });
  }

  std::vector<std::string> Normalise(std::span<const char* const> arguments) const;
  [[noreturn]] void FailUnknown(std::string_view name) const;

  const Verb& verb;
  std::string group = "Flags";
  std::vector<Flag> flags;
};

Flags::Flags(const Verb& verb) : impl_(new Impl{verb, "Flags", {}}) {}
Flags::~Flags() = default;

void Flags::Group(std::string title) { impl_->group = std::move(title); }

void Flags::Add(std::string names, std::string& value, std::string what, std::string help) {
  impl_->Add(std::move(names), std::move(what), std::move(help), value,
             [&value](const std::string& text) { value = text; });
}
void Flags::Add(std::string names, int32_t& value, std::string what, std::string help) {
  impl_->AddNumber(std::move(names), value, std::move(what), std::move(help));
}
void Flags::Add(std::string names, uint32_t& value, std::string what, std::string help) {
  impl_->AddNumber(std::move(names), value, std::move(what), std::move(help));
}
void Flags::Add(std::string names, uint64_t& value, std::string what, std::string help) {
  impl_->AddNumber(std::move(names), value, std::move(what), std::move(help));
}
void Flags::Add(std::string names, float& value, std::string what, std::string help) {
  impl_->AddNumber(std::move(names), value, std::move(what), std::move(help));
}
void Flags::Add(std::string names, double& value, std::string what, std::string help) {
  impl_->AddNumber(std::move(names), value, std::move(what), std::move(help));
}
void Flags::Add(std::string names, std::optional<std::string>& value, std::string what,
                std::string help) {
  impl_->Add(std::move(names), std::move(what), std::move(help), "",
             [&value](const std::string& text) { value = text; });
}
void Flags::Add(std::string names, std::optional<uint32_t>& value, std::string what,
                std::string help) {
  impl_->AddOptional(std::move(names), value, std::move(what), std::move(help));
}
void Flags::Add(std::string names, std::optional<uint64_t>& value, std::string what,
                std::string help) {
  impl_->AddOptional(std::move(names), value, std::move(what), std::move(help));
}
void Flags::Add(std::string names, std::vector<std::string>& values, std::string what,
                std::string help) {
  impl_->Add(std::move(names), std::move(what), std::move(help) + " (may be repeated)", "",
             [&values](const std::string& text) { values.push_back(text); });
  impl_->flags.back().repeats = true;
}

void Flags::AddList(std::string names, std::vector<uint32_t>& values, std::string what,
                    std::string help) {
  std::string fallback;
  for (const uint32_t value : values) fallback += (fallback.empty() ? "" : ",") + StrCat(value);
  const std::string name = CLI::detail::split(names, ',').back();
  // The first value given replaces the defaults, further ones add to it.
  auto given = std::make_shared<bool>(false);
  impl_->Add(std::move(names), std::move(what), std::move(help), std::move(fallback),
             [&values, name, given](const std::string& text) {
               if (!*given) values.clear();
               *given = true;
               for (const std::string& part : CLI::detail::split(text, ',')) {
                 values.push_back(ToNumber<uint32_t>(name, part));
               }
             });
  impl_->flags.back().repeats = true;
}

void Flags::AddChoice(std::string names, std::string& value, std::vector<std::string> choices,
                      std::string help) {
  std::string what;
  for (const std::string& choice : choices) what += (what.empty() ? "" : "|") + choice;
  const std::string name = CLI::detail::split(names, ',').back();
  impl_->Add(std::move(names), what, std::move(help), value,
             [&value, name, choices, what](const std::string& text) {
               const std::string lower = CLI::detail::to_lower(text);
               if (std::find(choices.begin(), choices.end(), lower) == choices.end()) {
                 throw Error(ErrorCode::kUsage,
                             StrCat(name, " is one of ", what, ", not '", Printable(text), "'"));
               }
               value = lower;
             });
}

void Flags::AddSwitch(std::string names, bool& value, std::string help) {
  impl_->Add(std::move(names), "", std::move(help), "",
             [&value](const std::string&) { value = true; });
  impl_->flags.back().takes_value = false;
}

void Flags::AddPositional(std::string what, std::string& value, std::string help) {
  impl_->AddPositional(std::move(what), std::move(help),
                       [&value](const std::string& text) { value = text; });
  impl_->flags.back().required = true;
}
void Flags::AddPositional(std::string what, std::optional<std::string>& value, std::string help) {
  impl_->AddPositional(std::move(what), std::move(help),
                       [&value](const std::string& text) { value = text; });
}

void Flags::Impl::FailUnknown(std::string_view name) const {
  std::vector<std::string_view> known;
  for (const Flag& flag : flags) known.insert(known.end(), flag.names.begin(), flag.names.end());
  throw Error(ErrorCode::kUsage,
              StrCat("unknown flag '", Printable(name), "'", DidYouMean(name, known)));
}

// The arguments with flags as CLI11 reads them: "--flag=value" in two (it would take the next
// argument for an empty value), "-ctk" by its long name, and nothing that it would take for a short
// flag and an attached value ("-ngl" as -n with value gl).
std::vector<std::string> Flags::Impl::Normalise(std::span<const char* const> arguments) const {
  std::vector<std::string> out;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string argument = arguments[i];
    if (argument == "--") {  // the rest are no flags
      out.insert(out.end(), arguments.begin() + static_cast<ptrdiff_t>(i), arguments.end());
      return out;
    }
    if (argument.size() < 2 || argument[0] != '-') {
      out.push_back(argument);
      continue;
    }
    const size_t equals = argument.starts_with("--") ? argument.find('=') : std::string::npos;
    const std::string name = argument.substr(0, equals);
    const Flag* flag = Find(name);
    if (flag == nullptr) {
      const Flag* letter = Find(argument.substr(0, 2));
      const bool attached_number = letter != nullptr && letter->takes_value &&
                                   ParseNumber<double>(argument.substr(2)).has_value();
      if (name == "--help" || name == "-h" || attached_number) {
        out.push_back(argument);
        continue;
      }
      FailUnknown(name);
    }
    out.push_back(flag->title());
    if (!flag->takes_value) {
      if (equals != std::string::npos) {
        throw Error(ErrorCode::kUsage, StrCat(name, " takes no value"));
      }
    } else if (equals != std::string::npos) {
      out.push_back(argument.substr(equals + 1));
    } else if (i + 1 < arguments.size()) {
      out.push_back(arguments[++i]);
    } else {
      throw Error(ErrorCode::kUsage, StrCat(name, " needs a value: ", flag->what));
    }
  }
  return out;
}

bool Flags::Parse(std::span<const char* const> arguments) {
  CLI::App app;
  app.set_help_flag();
  const CLI::Option* help = app.add_flag("-h,--help");
  for (const Impl::Flag& flag : impl_->flags) {
    if (!flag.takes_value) {
      app.add_flag_callback(flag.cli_name(), [&flag] { flag.set(""); });
      continue;
    }
    const auto set = [&flag](const CLI::results_t& values) {
      if (values.size() > 1 && !flag.repeats) {
        throw Error(ErrorCode::kUsage, StrCat(flag.title(), " is given twice"));
      }
      for (const std::string& value : values) flag.set(value);
      return true;
    };
    CLI::Option* option = app.add_option(flag.cli_name(), set);
    option->expected(1)->allow_extra_args(false);
    if (!flag.names.empty()) option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  }
  app.allow_extras();
  std::vector<std::string> reversed = impl_->Normalise(arguments);
  std::reverse(reversed.begin(), reversed.end());
  try {
    app.parse(std::move(reversed));
  } catch (const CLI::ParseError& error) {
    throw Error(ErrorCode::kUsage, error.what());
  }
  if (help->count() > 0) return false;
  if (const auto extra = app.remaining(); !extra.empty()) {
    throw Error(ErrorCode::kUsage, StrCat("unexpected argument '", Printable(extra[0]), "'"));
  }
  for (const Impl::Flag& flag : impl_->flags) {
    if (flag.required && app.get_option(flag.cli_name())->count() == 0) {
      throw Error(ErrorCode::kUsage, StrCat(flag.what, " is missing: ", flag.help));
    }
  }
  return true;
}

std::string Flags::Help() const {
  const Verb& verb = impl_->verb;
  std::string out =
      StrCat("edgewise ", verb.name, ": ", verb.summary, "\n\nusage: edgewise ", verb.name);
  for (const Impl::Flag& flag : impl_->flags) {
    if (!flag.names.empty()) continue;
    out += flag.required ? " " + flag.what : " [" + flag.what + "]";
  }
  out += verb.parts == nullptr ? " [FLAGS]\n" : " WHAT [FLAGS]\n";
  for (std::string_view rest = verb.description; !rest.empty();) {
    const std::string_view paragraph = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(paragraph.size() + 1, rest.size()));
    out += '\n';
    AppendWrapped(out, paragraph, 0, 0);
  }
  if (verb.parts != nullptr) {
    out += StrCat("\nWhat (flags of each: edgewise ", verb.name, " WHAT --help):\n");
    for (const Verb* part : verb.parts()) {
      std::string left = StrCat("  ", part->last_word());
      left.resize(kHelpColumn, ' ');
      out += left;
      AppendWrapped(out, part->summary, kHelpColumn, kHelpColumn);
    }
  }
  std::string group;
  for (const Impl::Flag& flag : impl_->flags) {
    if (flag.group != group) out += '\n' + flag.group + ":\n";
    group = flag.group;
    std::string left = "  ";
    for (const std::string& name : flag.names) left += (left.size() > 2 ? ", " : "") + name;
    if (!flag.what.empty()) left += (flag.names.empty() ? "" : " ") + flag.what;
    if (left.size() + 2 > kHelpColumn) {
      left += '\n' + std::string(kHelpColumn, ' ');
    } else {
      left.resize(kHelpColumn, ' ');
    }
    out += left;
    const std::string fallback = flag.fallback.empty() ? "" : " (default: " + flag.fallback + ")";
    AppendWrapped(out, flag.help + fallback, kHelpColumn, kHelpColumn);
  }
  if (*verb.examples != '\0') {
    out += "\nExamples:\n";
    for (const std::string& line : CLI::detail::split(verb.examples, '\n')) {
      if (!line.empty()) out += "  " + line + '\n';
    }
  }
  return out;
}

}  // namespace edgewise
