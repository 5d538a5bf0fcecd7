#include "base/seat.h"

#include <pthread.h>
#include <sys/prctl.h>
#include <unistd.h>

namespace edgewise {
namespace {

// No other thread ever has it, unlike thread ids and addresses, which are used again; and no system call.
uint64_t NumberOfThisThread() {
  static std::atomic<uint64_t> last{0};
  thread_local const uint64_t own = ++last;
  return own;
}

}  // namespace

void Seat::Occupy() {
  if (occupant_ == NumberOfThisThread()) return;
  // Sleeping 50 microseconds is to take that, not the 50 more that a timer may be late by default.
  prctl(PR_SET_TIMERSLACK, 1000UL, 0UL, 0UL, 0UL);
  CPU_ZERO(&allowed_);
  clockid_t clock;
  if (sched_getaffinity(0, sizeof(allowed_), &allowed_) != 0) return;
  if (pthread_getcpuclockid(pthread_self(), &clock) != 0) return;
  clock_.store(clock, std::memory_order_relaxed);
  thread_.store(gettid(), std::memory_order_release);
  occupant_ = NumberOfThisThread();
}

int64_t Seat::HeldCpuTime(Hold least) const {
  if (hold_.load(std::memory_order_relaxed) < least) return -1;
  if (thread_.load(std::memory_order_acquire) == 0) return -1;
  timespec time;
  if (clock_gettime(clock_.load(std::memory_order_relaxed), &time) != 0) return -1;
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

void Seat::MoveHere() {
  const int here = sched_getcpu();
  if (here < 0 || cpu_.load(std::memory_order_relaxed) == here) return;
  int stays = kStays;
  if (!move_.compare_exchange_strong(stays, kMoving, std::memory_order_relaxed)) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(here, &set);
  sched_setaffinity(thread_.load(std::memory_order_relaxed), sizeof(set), &set);
  // Should the thread have gone on by itself meanwhile, it returns the next time it lowers.
  move_.store(kMoved, std::memory_order_release);
}

void Seat::Return() {
  // A move under way would undo what follows.
  if (move_.load(std::memory_order_acquire) != kMoved) return;
  move_.store(kStays, std::memory_order_relaxed);
  const int cpu = cpu_.load(std::memory_order_relaxed);
  if (cpu >= 0 && MayUse(cpu)) GoTo(cpu);
}

// First only that core, which moves the thread there; then all it may use, which moves nothing.
void Seat::GoTo(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  sched_setaffinity(0, sizeof(set), &set);
  sched_setaffinity(0, sizeof(allowed_), &allowed_);
}

}  // namespace edgewise
