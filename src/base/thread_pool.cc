#include "base/thread_pool.h"

#include <array>
#include <system_error>

#include "base/cpus.h"
#include "base/error.h"

namespace edgewise {
namespace {

// Taken off the number of workers inside when a job is closed.
constexpr int32_t kClosed = 1 << 20;
static_assert(kClosed > kMaxThreads);

// Microseconds of sleep before a waiter looks whether those it waits for get any time, doubled up to
// the most. A piece that runs is left alone, however long it takes.
constexpr uint32_t kPatience = 50, kMostPatience = 1600;
// How many of them it looks at.
constexpr size_t kWatched = 8;

}  // namespace

int Worker::count() const { return pool_.threads(); }

ThreadPool::ThreadPool(int threads, bool pin) : inside_(-kClosed) {
  if (threads < 1 || threads > kMaxThreads) {
    throw Error(ErrorCode::kUsage,
                StrCat("threads is ", threads, ": choose between 1 and ", kMaxThreads));
  }
  std::vector<int> cpus = pin ? CpusByCore() : std::vector<int>();
  if (cpus.size() < static_cast<size_t>(threads)) cpus.assign(static_cast<size_t>(threads), -1);
  seats_ = std::vector<Seat>(static_cast<size_t>(threads));
  handouts_ = std::vector<Handout>(static_cast<size_t>(threads));
  team_.reserve(static_cast<size_t>(threads) - 1);
  // threads() is team_.size() + 1; workers first look at it inside a job, after all have started.
  try {
    for (int index = 1; index < threads; ++index) {
      team_.emplace_back([this, index, cpu = cpus[static_cast<size_t>(index)]] { Work(index, cpu); });
    }
  } catch (const std::system_error& error) {
    const size_t started = team_.size();
    Stop();  // no destructor runs, and a std::thread destroyed unjoined ends the process
    throw Error(ErrorCode::kLimit, StrCat("the system gives ", started + 1, " of ", threads,
                                          " threads (", error.code().message(), "): use fewer"));
  }
  callers_cpu_ = cpus.front();
}

ThreadPool::~ThreadPool() { Stop(); }

void ThreadPool::Stop() {
  stop_.store(true, std::memory_order_relaxed);
  job_number_.Set(job_number_.Get() + 1);
  for (std::thread& thread : team_) thread.join();
}

void ThreadPool::Run(FunctionRef<void(Worker&)> job) {
  const PinnedHere pinned(callers_cpu_);
  first_phase_ = phase_.Get();
  Worker worker(*this, 0, first_phase_);
  if (team_.empty()) return job(worker);
  const uint32_t number = job_number_.Get() + 1;
  seats_[0].Occupy();  // by whichever thread calls
  job_ = &job;
  inside_.store(0, std::memory_order_release);
  job_number_.Set(number);
  job(worker);
  WaitForPhase(0, worker.phase_);  // the one after the last
  // Closed: who has not come will not, and the job object lives until everybody inside has left.
  if (inside_.fetch_sub(kClosed, std::memory_order_acq_rel) == 0) return;
  WaitUntil(left_, 0, Seat::kInside, [&](uint32_t left) { return left == number; });
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
  // The number is this job's: the next one does not begin before the caller has seen it.
  if (inside_.fetch_sub(1, std::memory_order_acq_rel) - 1 == -kClosed) left_.Set(job_number_.Get());
}

void ThreadPool::Work(int index, int cpu) {
  if (cpu >= 0) PinTo(pthread_self(), cpu);
  Seat& seat = seats_[static_cast<size_t>(index)];
  seat.Occupy();
  uint32_t seen = 0;
  for (;;) {
    const auto is_new = [&](uint32_t number) { return number != seen; };
    if (!job_number_.Poll(is_new)) {
      while (!is_new(job_number_.Get())) job_number_.Sleep(seen, 0);
      Spread(index);
    }
    seen = job_number_.Get();
    // After the number: with Stop() between the two it would wait for a number that nobody sets.
    if (stop_.load(std::memory_order_relaxed)) return;
    if (!Enter()) continue;
    seat.Raise(Seat::kInside);
    seen = job_number_.Get();  // of the job that we are in
    Worker worker(*this, index, first_phase_);
    (*job_)(worker);
    Leave();
    seat.Lower(Seat::kOutside);
  }
}

ThreadPool::Piece ThreadPool::RangeOf(size_t index, uint32_t total, uint32_t unit) const {
  const uint64_t units = (uint64_t{total} + unit - 1) / unit;
  const auto at = [&](size_t i) {
    return static_cast<uint32_t>(std::min<uint64_t>(units * i / handouts_.size() * unit, total));
  };
  return {at(index), at(index + 1)};
}

ThreadPool::Piece ThreadPool::Take(uint32_t phase, size_t index, Piece range, const Shares& shares) {
  if (range.empty()) return {};
  std::atomic<uint64_t>& handout = handouts_[index].next;
  uint64_t seen = handout.load(std::memory_order_acquire);
  for (;;) {
    uint32_t begin = static_cast<uint32_t>(seen);
    if (static_cast<uint32_t>(seen >> 32) != phase) {
      // An earlier phase's; or a later one's, when this phase is over. Should it end just now, all of the
      // range has been handed out meanwhile, and the exchange fails.
      if (IsOver(phase)) return {};
      begin = range.begin;
    }
    if (begin == range.end) return {};
    const uint32_t end = begin + shares.Of(range.end - begin, threads());
    if (handout.compare_exchange_weak(seen, uint64_t{phase} << 32 | end, std::memory_order_acq_rel,
                                      std::memory_order_acquire)) {
      return {begin, end};
    }
  }
}

void ThreadPool::Finish(uint32_t phase, uint32_t done, uint32_t total) {
  if (done_.fetch_add(done, std::memory_order_acq_rel) + done != total) return;
  done_.store(0, std::memory_order_relaxed);
  phase_.Set(phase + 1);
}

void ThreadPool::WaitForPhase(int index, uint32_t phase) {
  WaitUntil(phase_, index, Seat::kWorking,
            [&](uint32_t running) { return static_cast<int32_t>(running - phase) >= 0; });
  // The kernel may have brought it to the core of another that slept for a moment. Two of the team would
  // share that core, at a tick's pace, and leave the other to a neighbour: a busy process pinned to one of
  // two cores had 65% of it beside prefill and 55% beside decode, and has 48 and 47% since this looks.
  // Prefill beside it went from 206 to 243 tokens/s; decode, near its bound by memory, stayed.
  if (sched_getcpu() != seats_[static_cast<size_t>(index)].cpu()) Spread(index);
}

// A kernel that finds all cores busy wakes a thread beside the one that woke it, where the two of them
// would share what one core gives while a neighbour has the other to itself.
void ThreadPool::Spread(int index) {
  if (index == 0) return;  // the others make room for the caller
  const int here = sched_getcpu();
  Seat& own = seats_[static_cast<size_t>(index)];
  const auto taken = [&](int cpu) {
    return std::any_of(seats_.begin(), seats_.end(),
                       [&](const Seat& seat) { return &seat != &own && seat.cpu() == cpu; });
  };
  if (!taken(here)) return;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (own.MayUse(cpu) && !taken(cpu)) return own.GoTo(cpu);
  }
}

// Tried beside one busy process pinned to one of two cores, and within the noise: to poll for a millisecond
// as long as those it waits for run, so that no sleep hands the core to the neighbour (prefill 250 tokens/s
// instead of 243, decode 29.9 instead of 29.0); to ask the scheduler for slices of 0.1 ms instead of 1.4,
// which lets a sleeper in at once (decode 29.6 and 30.9 instead of 29.2 and 30.8, prefill 130 and 173 instead
// of 202 and 226).
template <typename Over>
void ThreadPool::WaitUntil(WaitWord& word, int index, Seat::Hold hold, Over&& over) {
  if (word.Poll(over)) return;
  for (uint32_t patience = kPatience;; patience = std::min(2 * patience, kMostPatience)) {
    std::array<std::pair<Seat*, int64_t>, kWatched> watched;
    size_t count = 0;
    for (size_t i = 0; i < seats_.size() && count < kWatched; ++i) {
      if (static_cast<int>(i) == index) continue;
      const int64_t time = seats_[i].HeldCpuTime(hold);
      if (time >= 0) watched[count++] = {&seats_[i], time};
    }
    const uint32_t now = word.Get();
    if (over(now)) return;
    word.Sleep(now, patience);
    if (over(word.Get())) return Spread(index);
    for (size_t i = 0; i < count; ++i) {
      if (watched[i].first->HeldCpuTime(hold) == watched[i].second) watched[i].first->MoveHere();
    }
  }
}

}  // namespace edgewise
