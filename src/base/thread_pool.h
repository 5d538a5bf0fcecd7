// A fixed team of threads that runs one job together, phase by phase.
//
//   pool.Run([&](Worker& worker) {                  // on every worker, the caller is worker 0
//     worker.ForChunks(rows, 16, [&](uint32_t begin, uint32_t end) { ... });   // ends in a barrier
//   });
//
// Chunks are handed out one by one, so a core that a neighbour has taken does fewer of them. Waiting
// spins for some microseconds and then sleeps in the kernel: a spinning team stalls itself when there
// are more runnable threads than cores. Nothing allocates after construction; a job must not throw.
// One thread at a time may call Run().
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "base/function_ref.h"

namespace edgewise {

class ThreadPool;

class Worker {
 public:
  int index() const { return index_; }
  int count() const;

  // Calls f(begin, end) over [0, total) in pieces of `grain` (the last may be short), shared among
  // the workers in no fixed order; then waits until all workers are done. Every worker must make the
  // same sequence of ForChunks and Barrier calls with the same arguments.
  template <typename F>
  void ForChunks(uint32_t total, uint32_t grain, F&& f);

  // Waits for the other workers.
  void Barrier();

 private:
  friend class ThreadPool;
  Worker(ThreadPool& pool, int index) : pool_(pool), index_(index) {}

  ThreadPool& pool_;
  int index_;
};

// More than the cores of any machine we know; few enough that their stacks are no trouble.
inline constexpr int kMaxThreads = 512;

class ThreadPool {
 public:
  // Starts threads - 1 of them. Throws Error(kUsage) for a number outside 1..kMaxThreads,
  // Error(kLimit) when the system gives no more threads.
  explicit ThreadPool(int threads);
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  ~ThreadPool();

  int threads() const { return static_cast<int>(team_.size()) + 1; }
  void Run(FunctionRef<void(Worker&)> job);

 private:
  friend class Worker;
  void Work(int index);
  void ArriveAndWait();
  void Stop();

  std::vector<std::thread> team_;
  const FunctionRef<void(Worker&)>* job_ = nullptr;
  bool stop_ = false;

  // Each on a cache line of its own: the counters are written by all workers.
  alignas(64) std::atomic<uint32_t> job_number_{0};
  alignas(64) std::atomic<uint32_t> arrived_{0};
  alignas(64) std::atomic<uint32_t> phase_{0};
  alignas(64) std::atomic<uint32_t> next_{0};  // next index to hand out in this phase
};

// The number of threads that gains something: CPUs this process may run on (affinity and cgroup
// quota), hyper-threads counted once.
int DefaultThreads();

template <typename F>
void Worker::ForChunks(uint32_t total, uint32_t grain, F&& f) {
  for (;;) {
    const uint32_t begin = pool_.next_.fetch_add(grain, std::memory_order_relaxed);
    if (begin >= total) break;
    f(begin, total - begin < grain ? total : begin + grain);
  }
  Barrier();
}

}  // namespace edgewise
