#include "base/cpus.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "base/error.h"

namespace edgewise {
namespace {

// A machine described by files under a folder of its own.
class Machine {
 public:
  Machine() : root_(StrCat(testing::TempDir(), "cpus_test.", getpid())) {
    std::filesystem::remove_all(root_);
  }
  ~Machine() { std::filesystem::remove_all(root_); }
  void Write(const std::string& path, const std::string& text) const {
    const std::filesystem::path file(root_ + path);
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  const std::string& root() const { return root_; }

 private:
  std::string root_;
};

TEST(DefaultThreadsTest, IsWhatTheMachineHas) {
  EXPECT_GE(DefaultThreads(), 1);
  EXPECT_LE(DefaultThreads(), static_cast<int>(std::thread::hardware_concurrency()));
}

TEST(DefaultThreadsTest, CountsHyperThreadsOfACoreOnce) {
  const Machine machine;
  for (int cpu = 0; cpu < 64; ++cpu) {
    machine.Write(StrCat("/sys/devices/system/cpu/cpu", cpu, "/topology/thread_siblings_list"),
                  "0-63\n");
  }
  EXPECT_EQ(DefaultThreads(machine.root()), 1);
}

TEST(DefaultThreadsTest, ObeysTheQuotaOfAnyGroupAboveUs) {
  const Machine machine;
  machine.Write("/proc/self/cgroup", "0::/a/b\n");
  machine.Write("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
  const int cores = DefaultThreads(machine.root());
  machine.Write("/sys/fs/cgroup/a/cpu.max", "50000 100000\n");
  EXPECT_EQ(DefaultThreads(machine.root()), 1);
  machine.Write("/sys/fs/cgroup/a/cpu.max", "150000 100000\n");  // one core and a half: two threads
  EXPECT_EQ(DefaultThreads(machine.root()), std::min(cores, 2));
}

TEST(DefaultThreadsTest, ObeysAQuotaOfVersion1) {
  const Machine machine;
  machine.Write("/proc/self/cgroup", "4:cpu,cpuacct:/a\n2:memory:/a\n");
  machine.Write("/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "-1\n");
  machine.Write("/sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n");
  machine.Write("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "90000\n");
  machine.Write("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(DefaultThreads(machine.root()), 1);
}

TEST(CpusByCoreTest, ListsAllowedCpusOnce) {
  const std::vector<int> cpus = CpusByCore();
  EXPECT_GE(cpus.size(), static_cast<size_t>(DefaultThreads()));
  for (size_t i = 0; i < cpus.size(); ++i) {
    for (size_t j = 0; j < i; ++j) EXPECT_NE(cpus[i], cpus[j]);
  }
}

}  // namespace
}  // namespace edgewise
