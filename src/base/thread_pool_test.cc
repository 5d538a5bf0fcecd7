#include "base/thread_pool.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <numeric>
#include <thread>
#include <vector>

#include "base/cpus.h"
#include "base/error.h"

namespace edgewise {
namespace {

class ThreadPoolTest : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Threads, ThreadPoolTest, testing::Values(1, 2, 3, 8));

// A worker that comes too late for a job does not run it; nobody runs it twice at once.
TEST_P(ThreadPoolTest, TheCallerRunsEveryJobAndOthersHelp) {
  ThreadPool pool(GetParam());
  EXPECT_EQ(pool.threads(), GetParam());
  std::vector<int> inside(static_cast<size_t>(GetParam()));  // each element written by one worker
  int runs = 0;
  for (int job = 1; job <= 100; ++job) {
    pool.Run([&](Worker& worker) {
      EXPECT_EQ(worker.count(), GetParam());
      EXPECT_EQ(++inside[static_cast<size_t>(worker.index())], 1);
      if (worker.index() == 0) ++runs;
      --inside[static_cast<size_t>(worker.index())];
    });
    EXPECT_EQ(runs, job);
  }
}

// Nobody waits for a worker that holds no chunk: here worker 1 comes when ten phases are over, and
// passes through them.
TEST(ThreadPoolLoadTest, PhasesEndWithoutWorkersThatHaveNothingOfThem) {
  ThreadPool pool(2);
  std::atomic<int> done{0};
  std::vector<int> by(11);
  pool.Run([&](Worker& worker) {
    if (worker.index() == 1) {
      while (done < 10) std::this_thread::yield();
    }
    for (size_t phase = 0; phase < 10; ++phase) {
      worker.ForChunks(4, 1, [&](uint32_t, uint32_t) { by[phase] += 1 + 10 * worker.index(); });
      if (worker.index() == 0) ++done;
    }
  });
  for (size_t phase = 0; phase < 10; ++phase) EXPECT_EQ(by[phase], 4) << phase;
}

TEST_P(ThreadPoolTest, ChunksCoverTheRangeExactlyOnce) {
  ThreadPool pool(GetParam());
  for (const uint32_t total : {0u, 1u, 15u, 16u, 17u, 1000u}) {
    for (const uint32_t grain : {1u, 16u, 5000u}) {
      std::vector<int> seen(total);  // not atomic: TSan sees an index handed out twice
      pool.Run([&](Worker& worker) {
        worker.ForChunks(total, grain, [&](uint32_t begin, uint32_t end) {
          EXPECT_LT(begin, end);
          EXPECT_LE(end, total);
          EXPECT_EQ(begin % grain, 0u);
          EXPECT_TRUE(end - begin == grain || end == total);
          for (uint32_t i = begin; i < end; ++i) ++seen[i];
        });
      });
      EXPECT_EQ(seen, std::vector<int>(total, 1)) << total << " by " << grain;
    }
  }
}

// Each phase reads what other workers wrote in the phase before: its results are the same for any
// number of threads, and any missing barrier gives another sum (or a report of TSan).
TEST_P(ThreadPoolTest, PhasesSeeAllOfThePhaseBefore) {
  constexpr uint32_t kSize = 257;
  constexpr int kPhases = 200;
  std::vector<uint64_t> expected(kSize), next(kSize);
  std::iota(expected.begin(), expected.end(), 1u);
  std::vector<uint64_t> a = expected, b(kSize);
  const auto step = [](const std::vector<uint64_t>& from, std::vector<uint64_t>& to, uint32_t i) {
    to[i] = from[i] * 3 + from[(i + 1) % kSize] + from[(i + 100) % kSize];
  };
  for (int phase = 0; phase < kPhases; ++phase) {
    for (uint32_t i = 0; i < kSize; ++i) step(expected, next, i);
    expected.swap(next);
  }

  ThreadPool pool(GetParam());
  pool.Run([&](Worker& worker) {
    for (int phase = 0; phase < kPhases; ++phase) {
      const auto& from = phase % 2 == 0 ? a : b;
      auto& to = phase % 2 == 0 ? b : a;
      worker.ForChunks(kSize, 8, [&](uint32_t begin, uint32_t end) {
        for (uint32_t i = begin; i < end; ++i) step(from, to, i);
      });
    }
  });
  EXPECT_EQ(a, expected);
}

// Pieces of ForShares: whole units up to the most, and first() once before them by whoever has any.
TEST_P(ThreadPoolTest, SharesCoverTheRangeExactlyOnce) {
  ThreadPool pool(GetParam());
  for (const uint32_t total : {0u, 1u, 15u, 16u, 17u, 1000u}) {
    for (const uint32_t grain : {1u, 16u, 5000u}) {
      std::vector<int> seen(total);
      pool.Run([&](Worker& worker) {
        int firsts = 0;
        worker.ForShares(
            total, {grain, grain, std::max(grain, 100u)},
            [&](uint32_t begin, uint32_t end) {
              EXPECT_LT(begin, end);
              EXPECT_LE(end, total);
            },
            [&] { ++firsts; },
            [&](uint32_t begin, uint32_t end) {
              EXPECT_EQ(firsts, 1);
              EXPECT_EQ(begin % grain, 0u);
              EXPECT_TRUE((end - begin) % grain == 0 || end == total);
              EXPECT_LE(end - begin, std::max(100u, grain));
              for (uint32_t i = begin; i < end; ++i) ++seen[i];
            });
      });
      EXPECT_EQ(seen, std::vector<int>(total, 1)) << total << " by " << grain;
    }
  }
}

// Half of what is left at a time, in whole units, and the rest at once below twice the least.
TEST(SharesTest, PiecesGoFromLongToShort) {
  const auto pieces = [](const Shares& shares, uint32_t total, int workers) {
    std::vector<uint32_t> sizes;
    for (uint32_t left = total; left > 0; left -= sizes.back()) sizes.push_back(shares.Of(left, workers));
    return sizes;
  };
  using Sizes = std::vector<uint32_t>;
  EXPECT_EQ(pieces({16, 64, 1000}, 1000, 2), (Sizes{496, 240, 128, 64, 72}));
  EXPECT_EQ(pieces({16, 64, 300}, 1000, 2), (Sizes{288, 288, 208, 96, 120}));
  EXPECT_EQ(pieces({16, 64, 1000}, 127, 2), (Sizes{127}));
  EXPECT_EQ(pieces({16, 16, 16}, 40, 2), (Sizes{16, 16, 8}));
  EXPECT_EQ(pieces({16, 64, 1000}, 1000, 1), (Sizes{1000}));
  EXPECT_EQ(pieces({16, 64, 300}, 1000, 1), (Sizes{288, 288, 288, 136}));
}

TEST_P(ThreadPoolTest, PinnedTeamsRun) {
  ThreadPool pool(GetParam(), true);
  std::atomic<uint32_t> sum{0};
  pool.Run([&](Worker& worker) {
    worker.ForChunks(100, 1, [&](uint32_t begin, uint32_t) { sum += begin; });
  });
  EXPECT_EQ(sum, 4950u);
}

// Else threads that the caller starts later would all be on its core.
TEST_P(ThreadPoolTest, ThePinnedCallerIsFreeBetweenJobs) {
  const std::vector<int> before = CpusByCore();
  ThreadPool pool(GetParam(), true);
  EXPECT_EQ(CpusByCore(), before);
  size_t inside = 0;
  pool.Run([&](Worker& worker) {
    if (worker.index() == 0) inside = CpusByCore().size();
  });
  EXPECT_EQ(inside, static_cast<size_t>(GetParam()) <= before.size() ? 1u : before.size());
  EXPECT_EQ(CpusByCore(), before);
}

TEST_P(ThreadPoolTest, TheCallerSeesResultsAfterRun) {
  ThreadPool pool(GetParam());
  std::vector<uint32_t> out(64);
  for (uint32_t job = 0; job < 1000; ++job) {
    pool.Run([&](Worker& worker) {
      worker.ForChunks(64, 4, [&](uint32_t begin, uint32_t end) {
        for (uint32_t i = begin; i < end; ++i) out[i] = job + i;
      });
    });
    ASSERT_EQ(out[0] + out[63], 2 * job + 63);
  }
}

// Where the kernel puts a worker beside another of the team, it leaves before it takes work: who goes to a
// core has its own mask of CPUs again, which tells that it went. Others may interrupt either at any time, and
// who waits then moves it as well: so most of the times, not each.
TEST(ThreadPoolLoadTest, AWorkerLeavesTheCoreOfAnother) {
  const std::vector<int> cpus = CpusByCore();
  if (cpus.size() < 2) GTEST_SKIP() << "one CPU";
  constexpr int kTimes = 101;
  int left = 0;
  for (int time = 0; time < kTimes; ++time) {
    ThreadPool pool(2);
    const PinnedHere caller(cpus[0]);
    std::array<std::atomic<int>, 3> arrived{};
    pool.Run([&](Worker& worker) {
      for (size_t phase = 0; phase < arrived.size(); ++phase) {
        worker.ForChunks(2, 1, [&](uint32_t, uint32_t) {
          for (++arrived[phase]; arrived[phase] < 2;) std::this_thread::yield();  // each has one
          if (worker.index() == 0) return;
          if (phase < 2) PinTo(pthread_self(), cpus[phase == 0 ? 1 : 0]);
          // It comes last, so that it does not sleep, after which it would look in any case.
          const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(30);
          while (std::chrono::steady_clock::now() < end) {
          }
          if (phase == 2) left += CpusByCore().size() == cpus.size();
        });
      }
    });
  }
  EXPECT_GT(left, kTimes / 2);
}

// Four times as many workers as the smallest machine has cores: a team that only spins would need a
// time slice of the scheduler (milliseconds) for each of these phases, minutes in all; sleeping in
// the kernel makes it 0.1 ms a phase on two busy cores.
TEST(ThreadPoolLoadTest, ManyShortPhasesOversubscribed) {
  constexpr int kThreads = 8;
  constexpr uint32_t kPhases = 20'000;
  ThreadPool pool(kThreads);
  std::atomic<uint64_t> sum{0};
  pool.Run([&](Worker& worker) {
    for (uint32_t phase = 0; phase < kPhases; ++phase) {
      worker.ForChunks(kThreads, 1, [&](uint32_t begin, uint32_t end) {
        sum.fetch_add(end - begin, std::memory_order_relaxed);
      });
    }
  });
  EXPECT_EQ(sum, uint64_t{kThreads} * kPhases);
}

TEST(ThreadPoolLoadTest, ManyShortJobs) {
  ThreadPool pool(2);
  uint64_t sum = 0;  // of worker 0
  for (int job = 0; job < 20'000; ++job) {
    pool.Run([&](Worker& worker) {
      if (worker.index() == 0) ++sum;
    });
  }
  EXPECT_EQ(sum, 20'000u);
}

// Ends while workers are still on their way to a job that is over.
TEST(ThreadPoolLoadTest, ManyShortTeams) {
  std::atomic<uint32_t> jobs{0};
  for (uint32_t team = 0; team < 4'000; ++team) {
    ThreadPool pool(3);
    for (uint32_t job = 0; job <= team % 3; ++job) {
      pool.Run([&](Worker& worker) { jobs += worker.index() == 0; });
    }
  }
  EXPECT_EQ(jobs, 4'000 + 1'333 + 2 * 1'333u);
}

TEST(ThreadPoolLoadTest, PoolsComeAndGo) {
  for (int round = 0; round < 200; ++round) {
    ThreadPool pool(1 + round % 4);
    std::atomic<int> runs{0};
    if (round % 3 != 0) {
      pool.Run([&](Worker& worker) { worker.ForChunks(9, 1, [&](uint32_t, uint32_t) { ++runs; }); });
    }
    EXPECT_EQ(runs, round % 3 != 0 ? 9 : 0);
  }
}

TEST(ThreadPoolLimits, ANumberThatNoMachineHasIsRefused) {
  for (const int threads : {-1, 0, kMaxThreads + 1, 1 << 30}) {
    try {
      ThreadPool pool(threads);
      ADD_FAILURE() << threads;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUsage);
    }
  }
  EXPECT_EQ(ThreadPool(kMaxThreads).threads(), kMaxThreads);
}

}  // namespace
}  // namespace edgewise
