// The terminal and the streams: progress, colour, Ctrl-C, input text.
#pragma once

#include <signal.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/units.h"

namespace edgewise {

// While it lives, the first Ctrl-C sets flag() and the second ends the process as usual. With
// kAnyEnd, for what writes a file, SIGTERM and a closed terminal do the same, so that nothing half
// written stays. May be nested. A signal that our parent has us ignore (nohup) stays ignored.
class InterruptGuard {
 public:
  enum class Of { kInterrupt, kAnyEnd };
  explicit InterruptGuard(Of what = Of::kInterrupt);
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;
  ~InterruptGuard();

  const std::atomic<bool>& flag() const;

 private:
  std::vector<std::pair<int, struct sigaction>> before_;
};

// "auto" (a terminal, and NO_COLOR is not set), "never", "always". For stdout.
bool WantsColor(const std::string& choice);
// `text` in bold when stdout is a terminal that wants colour.
std::string Bold(const std::string& text);

// Of the terminal that stdout is; no limit (SIZE_MAX) when it is none.
size_t TerminalColumns();

// A bar on stderr for what takes longer than two seconds; nothing when stderr is no terminal.
class Progress {
 public:
  explicit Progress(std::string what);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress() { Clear(); }

  void Show(uint64_t done, uint64_t total);
  void Clear();

 private:
  std::string what_;
  Seconds start_;
  bool enabled_, shown_ = false;
};

// The writing of a file: a progress bar, and an error when we are asked to end, on which the writer
// removes what it has begun.
class WriteJob {
 public:
  explicit WriteJob(std::string what);
  void Show(uint64_t done, uint64_t total);  // throws Error(kIo) once asked to end
  Seconds Finish();                          // takes the bar away; the time it all took

 private:
  InterruptGuard interrupt_{InterruptGuard::Of::kAnyEnd};
  Progress progress_;
  Seconds start_;
};

// Writes to stdout at once, so that a stream is seen as it comes. Throws Error(kIo): a full disk.
void Write(std::string_view text);

// The bytes of a file, or of standard input for "-". Throws Error(kNotFound | kIo), Error(kLimit)
// beyond 256 MiB.
std::string ReadText(const std::string& path);

// \n \r \t \" \' \\ and \xHH replaced; any other backslash stays.
std::string Unescape(std::string_view text);

}  // namespace edgewise
