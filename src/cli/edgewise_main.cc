// The program: finds the verb, parses its flags, runs it, turns what went wrong into one line.

#include <fcntl.h>
#include <malloc.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cli/verb.h"

namespace edgewise {
namespace {

constexpr int kDone = 0, kFailed = 1, kWrongUsage = 2;

void PrintIntroduction() {
  std::fputs(
      "Edgewise answers: can this model run on this hardware, and what is the least that must "
      "change?\n"
      "It runs GGUF models of the Llama and Qwen families on this CPU. Try:\n\n"
      "  edgewise run                              write with the bundled model\n"
      "  edgewise run -m MODEL.gguf -p \"Hello\"     generate with your own model\n"
      "  edgewise inspect -m MODEL.gguf            what is in it, and the memory it needs\n\n"
      "All verbs: edgewise --help\n",
      stdout);
}

void PrintHelp() {
  std::fputs("usage: edgewise VERB [FLAGS]\n\n", stdout);
  size_t width = 0;
  for (const Verb* verb : AllVerbs()) width = std::max(width, std::strlen(verb->name));
  for (const Verb* verb : AllVerbs()) {
    std::printf("  %-*s  %s\n", static_cast<int>(width), verb->name, verb->summary);
  }
  std::fputs(
      "\nFlags of a verb: edgewise VERB --help. Version: edgewise --version.\n"
      "Results go to stdout, progress and statistics to stderr. Exit status: 0 done, 1 failed, 2 "
      "wrong usage.\n",
      stdout);
}

int Fail(std::string_view where, std::string_view message, int status) {
  std::fflush(stdout);
  std::string line(message);
  std::replace(line.begin(), line.end(), '\n', ' ');
  const bool usage = status == kWrongUsage;
  std::fprintf(stderr, "%.*s: %s%s%.*s%s\n", static_cast<int>(where.size()), where.data(),
               line.c_str(), usage ? " (see " : "", usage ? static_cast<int>(where.size()) : 0,
               where.data(), usage ? " --help)" : "");
  return status;
}

// Where our parent closed stdin, stdout or stderr, the next file opened, perhaps one that we write,
// would take its place, and what is printed would go into that file. Opened the wrong way round, so
// that reading and printing still fail.
void OccupyStandardDescriptors() {
  for (int fd = 0; fd <= 2; ++fd) {
    if (fcntl(fd, F_GETFD) >= 0) continue;
    static_cast<void>(open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY));  // the lowest free: fd
  }
}

int RunVerb(const Verb& verb, std::span<const char* const> arguments) {
  Flags flags(verb);
  const VerbMain main = verb.add(flags);
  if (!flags.Parse(arguments)) {
    std::fputs(flags.Help().c_str(), stdout);
    return kDone;
  }
  return main();
}

bool IsHelp(std::string_view word) { return word == "--help" || word == "-h" || word == "help"; }

// Runs the verb that the first argument names, or the part of a verb that the second does.
int Dispatch(const std::string& where, std::span<const Verb* const> verbs,
             std::span<const char* const> arguments) {
  const std::string_view first = arguments[0];
  const auto found =
      std::find_if(verbs.begin(), verbs.end(), [&](const Verb* verb) { return verb->last_word() == first; });
  if (found == verbs.end()) {
    std::vector<std::string_view> names;
    for (const Verb* known : verbs) names.push_back(known->last_word());
    return Fail(where,
                StrCat(first.starts_with("-") ? "a verb comes before flags such as '" : "unknown verb '",
                       Printable(first), "'", DidYouMean(first, names)),
                kWrongUsage);
  }
  const Verb& verb = **found;
  arguments = arguments.subspan(1);
  const std::string here = StrCat("edgewise ", verb.name);
  if (verb.parts != nullptr) {
    if (!arguments.empty() && !IsHelp(arguments[0])) return Dispatch(here, verb.parts(), arguments);
    std::fputs(Flags(verb).Help().c_str(), stdout);
    return kDone;
  }
  try {
    return RunVerb(verb, arguments);
  } catch (const Error& error) {
    return Fail(here, error.message(), error.code() == ErrorCode::kUsage ? kWrongUsage : kFailed);
  } catch (const std::bad_alloc&) {
    return Fail(here, "the system has no more memory: close programs or use a smaller model", kFailed);
  } catch (const std::exception& error) {
    return Fail(here, StrCat("internal error: ", error.what()), kFailed);
  }
}

int Main(std::span<const char* const> arguments) {
  if (arguments.empty()) {
    PrintIntroduction();
    return kDone;
  }
  const std::string_view first = arguments[0];
  if (IsHelp(first)) {
    PrintHelp();
    return kDone;
  }
  if (first == "--version" || first == "version") {
    std::puts("edgewise " EDGEWISE_VERSION);
    return kDone;
  }
  return Dispatch("edgewise", AllVerbs(), arguments);
}

}  // namespace
}  // namespace edgewise

int main(int argc, char** argv) {
  edgewise::OccupyStandardDescriptors();
  // Large temporary blocks go back to the system when freed. glibc's default raises both thresholds
  // as it goes (to 32 MiB), and the process then keeps memory that the plan does not contain.
  mallopt(M_MMAP_THRESHOLD, 128 << 10);
  mallopt(M_TRIM_THRESHOLD, 128 << 10);

  const char* const* arguments = argv;
  const int status = edgewise::Main({arguments + std::min(argc, 1), arguments + argc});
  // A reader that left (`| head`) ended us by SIGPIPE, quietly; a full disk is an error.
  if (status == 0 && (std::fflush(stdout) != 0 || std::ferror(stdout) != 0)) {
    return edgewise::Fail("edgewise",
                          edgewise::StrCat("cannot write the output: ", std::strerror(errno)), 1);
  }
  return status;
}
