#include "base/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <set>
#include <string>
#include <system_error>

#include "base/error.h"

namespace edgewise {
namespace {

// About 10 microseconds of polling. A phase of a small model ends within that; a kernel sleep and
// wake-up costs 50 or more here. Longer spinning only burns the core of a neighbour.
constexpr int kSpins = 400;

void Pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

void WaitWhile(const std::atomic<uint32_t>& value, uint32_t old) {
  for (int i = 0; i < kSpins; ++i) {
    if (value.load(std::memory_order_acquire) != old) return;
    Pause();
  }
  while (value.load(std::memory_order_acquire) == old) value.wait(old, std::memory_order_acquire);
}

// CPUs that the cgroup's quota is worth, rounded up; 0 when there is no quota.
int QuotaCpus() {
  std::string quota;
  double period = 0;
  std::ifstream v2("/sys/fs/cgroup/cpu.max");
  if (v2 >> quota >> period && quota != "max" && period > 0) {
    return static_cast<int>(std::ceil(std::atof(quota.c_str()) / period));
  }
  double micros = 0;
  std::ifstream v1_quota("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
  std::ifstream v1_period("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  if (v1_quota >> micros && v1_period >> period && micros > 0 && period > 0) {
    return static_cast<int>(std::ceil(micros / period));
  }
  return 0;
}

}  // namespace

int DefaultThreads() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  int cpus = 0;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0) {
    std::set<std::string> cores;  // hyper-threads of one core share this list
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (!CPU_ISSET(cpu, &allowed)) continue;
      std::ifstream file(
          StrCat("/sys/devices/system/cpu/cpu", cpu, "/topology/thread_siblings_list"));
      std::string siblings;
      if (!std::getline(file, siblings)) siblings = std::to_string(cpu);
      cores.insert(siblings);
    }
    cpus = static_cast<int>(cores.size());
  }
  if (cpus == 0) cpus = static_cast<int>(std::thread::hardware_concurrency());
  if (const int quota = QuotaCpus(); quota > 0) cpus = std::min(cpus, quota);
  return std::max(cpus, 1);
}

int Worker::count() const { return pool_.threads(); }

void Worker::Barrier() { pool_.ArriveAndWait(); }

ThreadPool::ThreadPool(int threads) {
  if (threads < 1 || threads > kMaxThreads) {
    throw Error(ErrorCode::kUsage,
                StrCat("threads is ", threads, ": choose between 1 and ", kMaxThreads));
  }
  team_.reserve(static_cast<size_t>(threads) - 1);
  // threads() is team_.size() + 1; workers first look at it inside a job, after all have started.
  try {
    for (int index = 1; index < threads; ++index) {
      team_.emplace_back([this, index] { Work(index); });
    }
  } catch (const std::system_error& error) {
    const size_t started = team_.size();
    Stop();  // no destructor runs, and a std::thread destroyed unjoined ends the process
    throw Error(ErrorCode::kLimit, StrCat("the system gives ", started + 1, " of ", threads,
                                          " threads (", error.code().message(), "): use fewer"));
  }
}

ThreadPool::~ThreadPool() { Stop(); }

void ThreadPool::Stop() {
  stop_ = true;
  job_number_.fetch_add(1, std::memory_order_release);
  job_number_.notify_all();
  for (std::thread& thread : team_) thread.join();
}

void ThreadPool::Run(FunctionRef<void(Worker&)> job) {
  job_ = &job;
  next_.store(0, std::memory_order_relaxed);
  job_number_.fetch_add(1, std::memory_order_release);
  job_number_.notify_all();
  Worker worker(*this, 0);
  job(worker);
  ArriveAndWait();  // the job object lives until everybody has left it
}

void ThreadPool::Work(int index) {
  Worker worker(*this, index);
  uint32_t seen = 0;
  for (;;) {
    WaitWhile(job_number_, seen);
    ++seen;
    if (stop_) return;
    (*job_)(worker);
    ArriveAndWait();
  }
}

void ThreadPool::ArriveAndWait() {
  if (team_.empty()) {
    next_.store(0, std::memory_order_relaxed);
    return;
  }
  const uint32_t phase = phase_.load(std::memory_order_relaxed);
  const auto all = static_cast<uint32_t>(threads());
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == all) {
    arrived_.store(0, std::memory_order_relaxed);
    next_.store(0, std::memory_order_relaxed);
    phase_.store(phase + 1, std::memory_order_release);
    phase_.notify_all();
  } else {
    WaitWhile(phase_, phase);
  }
}

}  // namespace edgewise
