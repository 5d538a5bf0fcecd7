// A fixed team of threads that runs one job together, phase by phase.
//
//   pool.Run([&](Worker& worker) {                  // on every worker, the caller is worker 0
//     worker.ForChunks(rows, 16, [&](uint32_t begin, uint32_t end) { ... });   // ends in a barrier
//   });
//
// Made for cores that others use too:
// - Chunks are handed out one by one, so a core that a neighbour has taken does fewer of them.
// - A phase ends when all of its work is done, not when all workers have come: one that was not
//   scheduled meanwhile finds the phases it missed finished, and passes through them. So a job may read
//   and write shared data inside chunks only; what it does between them must be its own.
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

// Indices [begin, end); empty when there is no more work.
struct Chunk32 {
  uint32_t begin = 0, end = 0;
  bool empty() const { return begin == end; }
};

class Worker {
 public:
  int index() const { return index_; }
  int count() const;

  // Calls f(begin, end) over [0, total) in pieces of `grain` (the last may be short), shared among
  // the workers in no fixed order; then waits until all pieces are done. Every worker must make the
  // same sequence of calls with the same totals. What f wrote is seen by all later phases.
  template <typename F>
  void ForChunks(uint32_t total, uint32_t grain, F&& f);

  // The same with pieces that begin large and end small: half of an even share of what is left, in
  // whole grains, at most `most`. Fewer beginnings, of which each costs a reader of memory a cold start,
  // and no longer waiting at the end. first(begin, end) is called once by each worker that gets a
  // piece, before its first f.
  template <typename First, typename F>
  void ForShares(uint32_t total, uint32_t grain, uint32_t most, First&& first, F&& f);

 private:
  friend class ThreadPool;
  Worker(ThreadPool& pool, int index, uint32_t phase) : pool_(pool), index_(index), phase_(phase) {}

  // The size of the next piece when `left` indices are left.
  uint32_t ShareOf(uint32_t left, uint32_t grain, uint32_t most) const {
    const auto workers = static_cast<uint32_t>(count());
    const uint32_t half = std::min(workers == 1 ? left : left / (2 * workers), most);
    return std::max(half / grain, 1u) * grain;
  }

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
  void Work(int index, int cpu);
  bool Enter();
  void Leave();
  void Stop();
  void FinishPiece(uint32_t phase, uint32_t done, uint32_t total);
  void WaitForPhase(int index, uint32_t phase);
  // Called after sleep: leaves a core that another of the team has for one that nobody of it has.
  void Spread(int index);
  // Waits until over(word), helping those who hold the others up.
  template <typename Over>
  void WaitUntil(WaitWord& word, int index, Seat::Hold hold, Over&& over);

  // The next piece of `phase`, sized by size(left); empty when all is handed out or the phase is over.
  template <typename Size>
  Chunk32 Take(uint32_t phase, uint32_t total, Size&& size);

  std::vector<std::thread> team_;
  std::vector<Seat> seats_;  // by worker
  int callers_cpu_ = -1;     // when pinned
  const FunctionRef<void(Worker&)>* job_ = nullptr;
  uint32_t first_phase_ = 0;  // of the job
  std::atomic<bool> stop_{false};

  // Each on a cache line of its own: they are written by all workers.
  alignas(64) WaitWord job_number_;
  alignas(64) std::atomic<int32_t> inside_;      // workers in the job, less kClosed when it is closed
  alignas(64) WaitWord left_;                    // the job number that all have left
  alignas(64) std::atomic<uint64_t> ticket_{0};  // running phase << 32 | next index to hand out
  alignas(64) std::atomic<uint32_t> done_{0};    // indices of the running phase that are finished
  alignas(64) WaitWord phase_;                   // the running phase
};

template <typename Size>
Chunk32 ThreadPool::Take(uint32_t phase, uint32_t total, Size&& size) {
  uint64_t ticket = ticket_.load(std::memory_order_acquire);
  for (;;) {
    const auto begin = static_cast<uint32_t>(ticket);
    if (static_cast<uint32_t>(ticket >> 32) != phase || begin >= total) return {};
    const uint32_t left = total - begin;
    const uint32_t count = std::min(size(left), left);
    if (ticket_.compare_exchange_weak(ticket, ticket + count, std::memory_order_acquire)) {
      return {begin, begin + count};
    }
  }
}

template <typename F>
void Worker::ForChunks(uint32_t total, uint32_t grain, F&& f) {
  if (total == 0) return;
  const uint32_t phase = phase_++;
  Seat& seat = pool_.seats_[static_cast<size_t>(index_)];
  for (;;) {
    const Chunk32 chunk = pool_.Take(phase, total, [&](uint32_t) { return grain; });
    if (chunk.empty()) break;
    seat.Raise(Seat::kWorking);
    f(chunk.begin, chunk.end);
    pool_.FinishPiece(phase, chunk.end - chunk.begin, total);
    seat.Lower(Seat::kInside);
  }
  pool_.WaitForPhase(index_, phase);
}

template <typename First, typename F>
void Worker::ForShares(uint32_t total, uint32_t grain, uint32_t most, First&& first, F&& f) {
  if (total == 0) return;
  const uint32_t phase = phase_++;
  Seat& seat = pool_.seats_[static_cast<size_t>(index_)];
  for (bool is_first = true;; is_first = false) {
    const Chunk32 piece =
        pool_.Take(phase, total, [&](uint32_t left) { return ShareOf(left, grain, most); });
    if (piece.empty()) break;
    seat.Raise(Seat::kWorking);
    if (is_first) first(piece.begin, piece.end);
    f(piece.begin, piece.end);
    pool_.FinishPiece(phase, piece.end - piece.begin, total);
    seat.Lower(Seat::kInside);
  }
  pool_.WaitForPhase(index_, phase);
}

}  // namespace edgewise
