// One thread of a team on a machine that others use too: whether it holds the others up, and helping
// it when its core was taken away.
//
// A thread that is interrupted in the middle of a piece of work comes back when its neighbour's time
// slice is over, 4 milliseconds later on a common kernel. Meanwhile the others have finished what else
// there is and sleep, so a core stands idle, but the kernel moves a waiting thread there only after
// some longer idleness. Whoever waits then moves the interrupted thread to its own core, where it goes
// on at once; when it has finished its piece it returns to the core that it had.
// (2 cores, one busy process pinned to one of them, 2 threads: see docs/validation.md.)
#pragma once

#include <sched.h>
#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <ctime>

namespace edgewise {

class alignas(64) Seat {
 public:
  // What the others must wait for: nothing; at the end of a job; at the end of a phase.
  enum Hold : int { kOutside, kInside, kWorking };

  // Called by the thread itself, before all else; nothing when it was the last to do so.
  void Occupy();

  // Called by the thread itself, when others begin or cease to have to wait for it. Going down returns
  // it to its own core when it was moved.
  void Raise(Hold hold) {
    cpu_.store(sched_getcpu(), std::memory_order_relaxed);
    hold_.store(hold, std::memory_order_relaxed);
  }
  void Lower(Hold hold) {
    hold_.store(hold, std::memory_order_relaxed);
    if (move_.load(std::memory_order_relaxed) != kStays) Return();
  }

  // Called by another thread that waits: the CPU time of this one in nanoseconds if it holds others up
  // at `least`, else -1.
  int64_t HeldCpuTime(Hold least) const;
  // Called by another thread that is about to sleep: moves this one to the caller's core.
  void MoveHere();

  // Where the thread was when it last began something; -1: unknown.
  int cpu() const { return cpu_.load(std::memory_order_relaxed); }
  // Called by the thread itself: whether it may run on `cpu`, and going there.
  bool MayUse(int cpu) const { return CPU_ISSET(cpu, &allowed_); }
  void GoTo(int cpu);

 private:
  enum Move : int { kStays, kMoving, kMoved };

  void Return();

  std::atomic<int> hold_{kOutside}, move_{kStays};
  std::atomic<int> cpu_{-1};
  std::atomic<pid_t> thread_{0};    // 0: nobody yet
  std::atomic<clockid_t> clock_{};  // the thread's CPU time
  uint64_t occupant_ = 0;           // NumberOfThisThread() in seat.cc
  cpu_set_t allowed_;               // the thread's own mask
};

}  // namespace edgewise
