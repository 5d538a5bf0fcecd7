#include "base/thread_pool.h"

#include <system_error>

#include "base/cpus.h"
#include "base/error.h"

namespace edgewise {
namespace {

// About 10 microseconds of polling. A phase of a small model ends within that; a kernel sleep and
// wake-up costs 50 or more here. Longer spinning only burns the core of a neighbour.
constexpr int kSpins = 400;

// Taken off the number of workers inside when a job is closed.
constexpr int32_t kClosed = 1 << 20;
static_assert(kClosed > kMaxThreads);

void Pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Until over(value).
template <typename Over>
void Wait(const std::atomic<uint32_t>& value, Over&& over) {
  for (int i = 0; i < kSpins; ++i) {
    if (over(value.load(std::memory_order_acquire))) return;
    Pause();
  }
  for (;;) {
    const uint32_t now = value.load(std::memory_order_acquire);
    if (over(now)) return;
    value.wait(now, std::memory_order_acquire);
  }
}

}  // namespace

int Worker::count() const { return pool_.threads(); }

uint32_t Worker::Upcoming() const {
  return static_cast<uint32_t>(pool_.ticket_.load(std::memory_order_relaxed));
}

ThreadPool::ThreadPool(int threads, bool pin) : inside_(-kClosed) {
  if (threads < 1 || threads > kMaxThreads) {
    throw Error(ErrorCode::kUsage,
                StrCat("threads is ", threads, ": choose between 1 and ", kMaxThreads));
  }
  std::vector<int> cpus = pin ? CpusByCore() : std::vector<int>();
  if (cpus.size() < static_cast<size_t>(threads)) cpus.clear();
  team_.reserve(static_cast<size_t>(threads) - 1);
  // threads() is team_.size() + 1; workers first look at it inside a job, after all have started.
  try {
    for (int index = 1; index < threads; ++index) {
      team_.emplace_back([this, index] { Work(index); });
      if (!cpus.empty()) PinTo(team_.back().native_handle(), cpus[static_cast<size_t>(index)]);
    }
  } catch (const std::system_error& error) {
    const size_t started = team_.size();
    Stop();  // no destructor runs, and a std::thread destroyed unjoined ends the process
    throw Error(ErrorCode::kLimit, StrCat("the system gives ", started + 1, " of ", threads,
                                          " threads (", error.code().message(), "): use fewer"));
  }
  if (!cpus.empty()) PinTo(pthread_self(), cpus.front());
}

ThreadPool::~ThreadPool() { Stop(); }

void ThreadPool::Stop() {
  stop_.store(true, std::memory_order_relaxed);
  job_number_.fetch_add(1, std::memory_order_release);
  job_number_.notify_all();
  for (std::thread& thread : team_) thread.join();
}

void ThreadPool::Run(FunctionRef<void(Worker&)> job) {
  first_phase_ = phase_.load(std::memory_order_relaxed);
  Worker worker(*this, 0, first_phase_);
  if (team_.empty()) return job(worker);
  job_ = &job;
  inside_.store(0, std::memory_order_release);
  job_number_.fetch_add(1, std::memory_order_release);
  job_number_.notify_all();
  job(worker);
  // Closed: who has not come will not, and the job object lives until everybody inside has left.
  int32_t inside = inside_.fetch_sub(kClosed, std::memory_order_acq_rel) - kClosed;
  for (int i = 0; inside != -kClosed && i < kSpins; ++i) {
    Pause();
    inside = inside_.load(std::memory_order_acquire);
  }
  while (inside != -kClosed) {
    inside_.wait(inside, std::memory_order_acquire);
    inside = inside_.load(std::memory_order_acquire);
  }
}

// False when the job is over. Acquires what Run() wrote before it opened the job.
bool ThreadPool::Enter() {
  int32_t inside = inside_.load(std::memory_order_relaxed);
  while (inside >= 0) {
    if (inside_.compare_exchange_weak(inside, inside + 1, std::memory_order_acquire)) return true;
  }
  return false;
}

void ThreadPool::Leave() {
  if (inside_.fetch_sub(1, std::memory_order_acq_rel) - 1 == -kClosed) inside_.notify_all();
}

void ThreadPool::Work(int index) {
  uint32_t seen = 0;
  for (;;) {
    Wait(job_number_, [&](uint32_t number) { return number != seen; });
    if (stop_.load(std::memory_order_relaxed)) return;
    seen = job_number_.load(std::memory_order_acquire);
    if (!Enter()) continue;
    seen = job_number_.load(std::memory_order_relaxed);  // of the job that we are in
    Worker worker(*this, index, first_phase_);
    (*job_)(worker);
    Leave();
  }
}

void ThreadPool::FinishPiece(uint32_t phase, uint32_t done, uint32_t total) {
  if (done_.fetch_add(done, std::memory_order_acq_rel) + done != total) return;
  done_.store(0, std::memory_order_relaxed);
  ticket_.store(uint64_t{phase + 1} << 32, std::memory_order_release);
  phase_.store(phase + 1, std::memory_order_release);
  if (!team_.empty()) phase_.notify_all();
}

void ThreadPool::WaitFor(uint32_t phase) {
  Wait(phase_, [&](uint32_t running) { return static_cast<int32_t>(running - phase) > 0; });
}

}  // namespace edgewise
