// A fixed team of threads that runs one job together, phase by phase.
//
//   pool.Run([&](Worker& worker) {                  // on every worker, the caller is worker 0
//     worker.ForChunks(rows, 16, [&](uint32_t begin, uint32_t end) { ... });   // a phase
//   });
//
// Made for cores that others use too:
// - Every worker has a range of a phase of its own, which it takes piece by piece, and then helps with the
//   ranges of others: a core that a neighbour has taken does less.
// - A phase ends when all of its work is done, not when all workers have come: one that was not
//   scheduled meanwhile finds the phases it missed finished, and passes through them. So a job may read
//   and write shared data inside pieces only; what it does between them must be its own.
// - Waiting spins for some microseconds and then sleeps in the kernel: a spinning team stalls itself
//   when there are more runnable threads than cores. Who waits for a thread that its core was taken
//   from lends it the own one (seat.h).
//
// Nothing allocates after construction; a job must not throw. One thread at a time may call Run().
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "base/function_ref.h"
#include "base/seat.h"
#include "base/wait_word.h"

namespace edgewise {

class ThreadPool;

// Sizes of the pieces of a range, of which half of what is left is handed out at a time: long ones first,
// because each beginning costs a reader of memory a cold start, and short ones at the end, for which
// nobody waits long.
struct Shares {
  uint32_t unit;   // pieces and ranges begin at multiples of it
  uint32_t least;  // of a piece, in whole units; the only piece of a range may be smaller
  uint32_t most;   // at least `least`

  // Of `left` indices in a range of a team of `workers`; a lone worker has nobody to wait for.
  uint32_t Of(uint32_t left, int workers) const {
    if (left <= most && (left < 2 * least || workers == 1)) return left;
    const uint32_t wanted = std::min(workers == 1 ? left : left / 2, most);
    return std::max(wanted / unit, 1u) * unit;
  }
};

class Worker {
 public:
  int index() const { return index_; }
  int count() const;

  // A phase: calls f(begin, end) over [0, total) in pieces, shared among the workers in no fixed order.
  // It begins when the phase before is done; what was written there is seen. Every worker must make the
  // same sequence of calls with the same totals and shares.
  //   ahead(begin, end)  what this worker probably gets next, to be fetched: called before the phase
  //                      begins and before each f, so it must not read what the phase before writes
  //   first()            once on each worker that gets a piece, before its first f
  template <typename Ahead, typename First, typename F>
  void ForShares(uint32_t total, const Shares& shares, Ahead&& ahead, First&& first, F&& f);

  // The same in pieces of `grain` (the last may be short).
  template <typename F>
  void ForChunks(uint32_t total, uint32_t grain, F&& f) {
    ForShares(total, {grain, grain, grain}, [](uint32_t, uint32_t) {}, [] {}, f);
  }

 private:
  friend class ThreadPool;
  Worker(ThreadPool& pool, int index, uint32_t phase) : pool_(pool), index_(index), phase_(phase) {}

  ThreadPool& pool_;
  int index_;
  uint32_t phase_;  // the next one this worker comes to
};

// More than the cores of any machine we know; few enough that their stacks are no trouble.
inline constexpr int kMaxThreads = 512;

class ThreadPool {
 public:
  // Starts threads - 1 of them. pin: keeps worker i on the i-th core that the caller may run on (one
  // hyper-thread of each core first), the caller itself during Run() only: threads that it starts later
  // would inherit its place. Ignored with more threads than CPUs. Throws Error(kUsage) for a number
  // outside 1..kMaxThreads, Error(kLimit) when the system gives no more threads.
  explicit ThreadPool(int threads, bool pin = false);
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  ~ThreadPool();

  int threads() const { return static_cast<int>(team_.size()) + 1; }
  void Run(FunctionRef<void(Worker&)> job);

 private:
  friend class Worker;
  // Indices [begin, end); empty when there is no more work.
  struct Piece {
    uint32_t begin = 0, end = 0;
    bool empty() const { return begin == end; }
  };
  // How far a worker's range is handed out: phase << 32 | next index. With another phase than the running
  // one, as before the first: not at all.
  struct alignas(64) Handout {
    std::atomic<uint64_t> next{~uint64_t{0}};
  };

  void Work(int index, int cpu);
  bool Enter();
  void Leave();
  void Stop();
  // The range of worker `index`.
  Piece RangeOf(size_t index, uint32_t total, uint32_t unit) const;
  // The next piece of that range; empty when all is handed out or the phase is over.
  Piece Take(uint32_t phase, size_t index, Piece range, const Shares& shares);
  void Finish(uint32_t phase, uint32_t done, uint32_t total);
  // Returns when `phase` may begin.
  void WaitForPhase(int index, uint32_t phase);
  bool IsOver(uint32_t phase) const { return static_cast<int32_t>(phase_.Get() - phase) > 0; }
  // Called after sleep: leaves a core that another of the team has for one that nobody of it has.
  void Spread(int index);
  // Waits until over(word), helping those who hold the others up.
  template <typename Over>
  void WaitUntil(WaitWord& word, int index, Seat::Hold hold, Over&& over);

  std::vector<std::thread> team_;
  std::vector<Seat> seats_;        // by worker
  std::vector<Handout> handouts_;  // by worker
  int callers_cpu_ = -1;           // when pinned
  const FunctionRef<void(Worker&)>* job_ = nullptr;
  uint32_t first_phase_ = 0;  // of the job
  std::atomic<bool> stop_{false};

  // Each on a cache line of its own: they are written by all workers.
  alignas(64) WaitWord job_number_;
  alignas(64) std::atomic<int32_t> inside_;      // workers in the job, less kClosed when it is closed
  alignas(64) WaitWord left_;                    // the job number that all have left
  alignas(64) std::atomic<uint32_t> done_{0};    // indices of the running phase that are finished
  alignas(64) WaitWord phase_;                   // the running phase
};

template <typename Ahead, typename First, typename F>
void Worker::ForShares(uint32_t total, const Shares& shares, Ahead&& ahead, First&& first, F&& f) {
  if (total == 0) return;
  const uint32_t phase = phase_++;
  if (pool_.IsOver(phase)) return;
  const size_t workers = pool_.seats_.size(), own = static_cast<size_t>(index_);
  const auto look_ahead = [&](uint32_t begin, uint32_t end) {
    if (begin < end) ahead(begin, begin + shares.Of(end - begin, count()));
  };
  ThreadPool::Piece range = pool_.RangeOf(own, total, shares.unit);
  look_ahead(range.begin, range.end);
  pool_.WaitForPhase(index_, phase);
  Seat& seat = pool_.seats_[own];
  uint32_t done = 0;
  for (size_t i = 0; i < workers; ++i) {
    const size_t whose = (own + i) % workers;
    if (i > 0) range = pool_.RangeOf(whose, total, shares.unit);
    for (;;) {
      const ThreadPool::Piece piece = pool_.Take(phase, whose, range, shares);
      if (piece.empty()) break;
      if (done == 0) {
        seat.Raise(Seat::kWorking);
        first();
      }
      look_ahead(piece.end, range.end);
      f(piece.begin, piece.end);
      done += piece.end - piece.begin;
    }
  }
  if (done == 0) return;
  pool_.Finish(phase, done, total);
  seat.Lower(Seat::kInside);
}

}  // namespace edgewise
