#include "cli/console.h"

#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "base/clock.h"
#include "base/error.h"
#include "tokenizer/tokenizer.h"

namespace edgewise {
namespace {

std::atomic<bool> g_interrupted = false;
static_assert(std::atomic<bool>::is_always_lock_free, "set in a signal handler");

constexpr Seconds kPatience(2.0);  // what ends sooner needs no bar

}  // namespace

InterruptGuard::InterruptGuard(Of what) {
  g_interrupted = false;
  struct sigaction action = {};
  action.sa_handler = [](int) { g_interrupted = true; };
  action.sa_flags = static_cast<int>(SA_RESETHAND);  // the second one finds the default: to end us
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    if (number != SIGINT && what != Of::kAnyEnd) continue;
    struct sigaction before = {};
    sigaction(number, nullptr, &before);
    if (before.sa_handler == SIG_IGN) continue;
    sigaction(number, &action, nullptr);
    before_.emplace_back(number, before);
  }
}

InterruptGuard::~InterruptGuard() {
  for (const auto& [number, before] : before_) sigaction(number, &before, nullptr);
}

const std::atomic<bool>& InterruptGuard::flag() const { return g_interrupted; }

bool WantsColor(const std::string& choice) {
  if (choice != "auto") return choice == "always";
  const char* no_color = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  return isatty(STDOUT_FILENO) != 0 && (no_color == nullptr || *no_color == '\0') &&
         (terminal == nullptr || std::string_view(terminal) != "dumb");
}

size_t TerminalColumns() {
  winsize size = {};
  if (isatty(STDOUT_FILENO) == 0 || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) {
    return SIZE_MAX;
  }
  return size.ws_col;
}

Progress::Progress(std::string what)
    : what_(std::move(what)), start_(Now()), enabled_(isatty(STDERR_FILENO) != 0) {}

void Progress::Show(uint64_t done, uint64_t total) {
  if (!enabled_ || Now() - start_ < kPatience) return;
  constexpr uint64_t kWidth = 40;
  const uint64_t filled = total == 0 ? 0 : done * kWidth / total;
  std::string bar(filled, '#');
  bar.resize(kWidth, ' ');
  std::fprintf(stderr, "\r%s [%s] %llu of %llu", what_.c_str(), bar.c_str(),
               static_cast<unsigned long long>(done), static_cast<unsigned long long>(total));
  shown_ = true;
}

void Progress::Clear() {
  if (shown_) std::fputs("\r\033[K", stderr);
  shown_ = false;
}

WriteJob::WriteJob(std::string what) : progress_(std::move(what)), start_(Now()) {}

void WriteJob::Show(uint64_t done, uint64_t total) {
  progress_.Show(done, total);
  if (interrupt_.flag()) throw Error(ErrorCode::kIo, "interrupted: nothing was written");
}

Seconds WriteJob::Finish() {
  progress_.Clear();
  return Now() - start_;
}

void Write(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  if (std::fflush(stdout) == 0) return;
  throw Error(ErrorCode::kIo, StrCat("cannot write the output: ", std::strerror(errno)));
}

std::string ReadText(const std::string& path) {
  const bool is_input = path == "-";
  const std::string name = is_input ? "standard input" : Printable(path, 200);
  std::unique_ptr<FILE, int (*)(FILE*)> opened(is_input ? nullptr : std::fopen(path.c_str(), "rb"),
                                               std::fclose);
  FILE* file = is_input ? stdin : opened.get();
  if (file == nullptr) {
    throw Error(errno == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo,
                StrCat("cannot read ", name, ": ", std::strerror(errno)));
  }
  std::string text;
  std::array<char, 1 << 16> buffer;
  while (const size_t count = std::fread(buffer.data(), 1, buffer.size(), file)) {
    text.append(buffer.data(), count);
    if (text.size() > Tokenizer::kMaxTextBytes) {
      throw Error(ErrorCode::kLimit,
                  StrCat(name, " is longer than ", HumanBytes(Tokenizer::kMaxTextBytes),
                         ", the most that is read as a text: split it"));
    }
  }
  if (std::ferror(file) != 0) {
    throw Error(ErrorCode::kIo, StrCat("cannot read ", name, ": ", std::strerror(errno)));
  }
  return text;
}

std::string Unescape(std::string_view text) {
  constexpr std::string_view kLetters = "nrt\"'\\", kMeanings = "\n\r\t\"'\\";
  const auto hex = [](char c) {
    const size_t at = std::string_view("0123456789abcdefABCDEF").find(c);
    return at == std::string_view::npos ? -1 : static_cast<int>(at < 16 ? at : at - 6);
  };
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const char next = text[i] == '\\' && i + 1 < text.size() ? text[i + 1] : '\0';
    if (const size_t at = kLetters.find(next); next != '\0' && at != std::string_view::npos) {
      out += kMeanings[at];
      ++i;
    } else if (next == 'x' && i + 3 < text.size() && hex(text[i + 2]) >= 0 &&
               hex(text[i + 3]) >= 0) {
      out += static_cast<char>(hex(text[i + 2]) * 16 + hex(text[i + 3]));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string Bold(const std::string& text) {
  static const bool wants = WantsColor("auto");
  return wants ? "\033[1m" + text + "\033[0m" : text;
}

}  // namespace edgewise
