#include "cli/neighbours.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <thread>

#include "base/error.h"

namespace edgewise {
namespace {

constexpr uint32_t kMostNeighbours = 1024;
constexpr std::chrono::milliseconds kSettling(50);  // a scheduler spreads new work within a few ticks

// The child's whole life. Only calls that are allowed between fork and exec.
[[noreturn]] void Spin(pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(0);  // it ended before that took effect
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) signal(number, SIG_DFL);
  raise(SIGSTOP);
  for (;;) __asm__ volatile("");
}

}  // namespace

std::string Neighbourhood::name() const {
  return count == 0 ? "" : StrCat(count, pinned ? ":pin" : "");
}

std::vector<Neighbourhood> ParseNeighbourhoods(std::string_view text) {
  std::vector<Neighbourhood> list;
  for (size_t at = 0; at <= text.size();) {
    const std::string_view part = text.substr(at, text.find(',', at) - at);
    at += part.size() + 1;
    Neighbourhood one;
    one.pinned = part.ends_with(":pin");
    const std::string_view digits = part.substr(0, part.size() - (one.pinned ? 4 : 0));
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), one.count);
    if (error != std::errc() || end != digits.data() + digits.size() || one.count == 0 ||
        one.count > kMostNeighbours) {
      throw Error(ErrorCode::kUsage,
                  StrCat("--neighbour takes a number of busy processes up to ", kMostNeighbours,
                         ", such as 3, or 1:pin for one kept on one CPU; not '", Printable(part), "'"));
    }
    list.push_back(one);
  }
  return list;
}

Neighbours::Neighbours(uint32_t most) {
  CPU_ZERO(&allowed_);
  sched_getaffinity(0, sizeof(allowed_), &allowed_);
  for (int cpu = CPU_SETSIZE - 1; cpu >= 0; --cpu) {
    if (CPU_ISSET(cpu, &allowed_)) cpus_.push_back(cpu);
  }
  const pid_t parent = getpid();
  processes_.reserve(most);
  for (uint32_t i = 0; i < most; ++i) {
    const pid_t child = fork();
    if (child == 0) Spin(parent);
    if (child < 0) {
      const int error = errno;
      End();
      throw Error(ErrorCode::kLimit, StrCat("the system gives no ", most, " busy processes: ",
                                            std::strerror(error)));
    }
    processes_.push_back(child);
  }
  // Each stops itself; until it has, a SIGCONT would be lost.
  for (const pid_t process : processes_) waitpid(process, nullptr, WUNTRACED);
}

Neighbours::~Neighbours() { End(); }

void Neighbours::End() {
  for (const pid_t process : processes_) kill(process, SIGKILL);
  for (const pid_t process : processes_) waitpid(process, nullptr, 0);
  processes_.clear();
}

void Neighbours::Be(const Neighbourhood& who) {
  EDGEWISE_CHECK(who.count <= processes_.size());
  for (size_t i = 0; i < processes_.size(); ++i) {
    if (i >= who.count) {
      kill(processes_[i], SIGSTOP);
      continue;
    }
    cpu_set_t cpus = allowed_;
    if (who.pinned && !cpus_.empty()) {
      CPU_ZERO(&cpus);
      CPU_SET(cpus_[i % cpus_.size()], &cpus);
    }
    sched_setaffinity(processes_[i], sizeof(cpus), &cpus);
    kill(processes_[i], SIGCONT);
  }
  if (!processes_.empty()) std::this_thread::sleep_for(kSettling);
}

}  // namespace edgewise
