#include "base/system_memory.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/memory.h"
#include "base/test_files.h"

namespace edgewise {
namespace {

// A machine with 8,000,000 KiB available and the given files.
class SystemMemoryTest : public testing::Test {
 protected:
  SystemMemoryTest() {
    Put("/proc/meminfo",
        "MemTotal:       16000000 kB\nMemFree:         1000000 kB\nMemAvailable:    8000000 kB\n");
  }
  void Put(const std::string& path, const std::string& text) { WriteFile(folder_ / path, text); }
  void PutV2(const std::string& group, const std::string& max, const std::string& current,
             const std::string& stat = "anon 5\nfile 7\n") {
    Put("/sys/fs/cgroup" + group + "/memory.max", max + "\n");
    Put("/sys/fs/cgroup" + group + "/memory.current", current + "\n");
    Put("/sys/fs/cgroup" + group + "/memory.stat", stat);
  }
  void PutV1(const std::string& group, const std::string& limit, const std::string& usage,
             const std::string& stat = "") {
    Put("/sys/fs/cgroup/memory" + group + "/memory.limit_in_bytes", limit + "\n");
    Put("/sys/fs/cgroup/memory" + group + "/memory.usage_in_bytes", usage + "\n");
    Put("/sys/fs/cgroup/memory" + group + "/memory.stat", stat);
  }
  void Expect(uint64_t available, const std::string& source) {
    const auto limit = AvailableMemory(folder_.path());
    ASSERT_TRUE(limit.has_value());
    EXPECT_EQ(limit->available, available);
    EXPECT_EQ(limit->source, source);
  }

  TempFolder folder_;
};

constexpr uint64_t kMemAvailable = 8'000'000ull * 1024;

TEST_F(SystemMemoryTest, WithoutCgroups) { Expect(kMemAvailable, "MemAvailable"); }

TEST_F(SystemMemoryTest, WithoutProc) {
  EXPECT_EQ(AvailableMemory(folder_ / "elsewhere"), std::nullopt);
  Put("/proc/meminfo", "MemTotal:       16000000 kB\n");
  EXPECT_EQ(AvailableMemory(folder_.path()), std::nullopt);
}

TEST_F(SystemMemoryTest, Version2Unlimited) {
  Put("/proc/self/cgroup", "0::/user.slice\n");
  PutV2("/user.slice", "max", "123456");
  Expect(kMemAvailable, "MemAvailable");
}

TEST_F(SystemMemoryTest, Version2CountsFilePagesAsFree) {
  Put("/proc/self/cgroup", "0::/user.slice\n");
  PutV2("/user.slice", "1000000", "700000",
        "anon 300000\nfile 400000\ninactive_anon 1\nactive_anon 2\ninactive_file 250000\n"
        "active_file 150000\n");
  Expect(700'000, "cgroup limit");  // 1,000,000 - (700,000 - 250,000 - 150,000)
}

TEST_F(SystemMemoryTest, Version2TakesTheTightestOfAllLevels) {
  Put("/proc/self/cgroup", "0::/a/b/c\n");
  PutV2("/a/b/c", "max", "10");
  PutV2("/a/b", "5000", "1000");
  PutV2("/a", "4500", "4000");
  PutV2("", "max", "9999999");
  Expect(500, "cgroup limit");
}

TEST_F(SystemMemoryTest, Version2ThrottleLimitCounts) {
  Put("/proc/self/cgroup", "0::/a\n");
  PutV2("/a", "5000", "1000");
  Put("/sys/fs/cgroup/a/memory.high", "3000\n");
  Expect(2000, "cgroup limit");
}

TEST_F(SystemMemoryTest, Version2InAContainer) {
  Put("/proc/self/cgroup", "0::/\n");  // with a namespace of its own
  PutV2("", "6000", "1000");
  Expect(5000, "cgroup limit");
  Put("/proc/self/cgroup", "0::/../../system.slice/docker-1.scope\n");  // without
  Expect(5000, "cgroup limit");
}

TEST_F(SystemMemoryTest, AFullGroupLeavesNothing) {
  Put("/proc/self/cgroup", "0::/a\n");
  PutV2("/a", "5000", "6000");
  Expect(0, "cgroup limit");
}

TEST_F(SystemMemoryTest, Version1WalksUp) {
  Put("/proc/self/cgroup", "12:cpu,cpuacct:/x\n4:memory:/jobs/7\n0::/\n");
  PutV1("/jobs/7", "9223372036854771712", "1000");
  PutV1("/jobs", "100000", "90000", "total_inactive_file 20000\ntotal_active_file 5000\n");
  PutV1("", "9223372036854771712", "123456789");
  Expect(35'000, "cgroup limit");
}

TEST_F(SystemMemoryTest, Version1PathOutsideTheMount) {
  Put("/proc/self/cgroup", "4:memory:/docker/0123456789abcdef\n");
  PutV1("", "50000", "20000");
  Expect(30'000, "cgroup limit");
}

TEST_F(SystemMemoryTest, NonsenseIsIgnored) {
  Put("/proc/self/cgroup", "nonsense\n:\n\n4:memory:\n0::\n99:memory\n");
  PutV2("", "abc", "-5");
  Expect(kMemAvailable, "MemAvailable");
}

TEST(ProcessMemoryTest, ParsesStatus) {
  const ProcessMemory memory = ParseProcessStatus(
      "Name:\tedgewise\nVmPeak:\t  99999 kB\nVmHWM:\t  640000 kB\nVmRSS:\t  600000 kB\n"
      "RssAnon:\t   90000 kB\nRssFile:\t  510000 kB\nRssShmem:\t       0 kB\n");
  EXPECT_EQ(memory.rss_anon, 90'000u * 1024);
  EXPECT_EQ(memory.rss_file, 510'000u * 1024);
  EXPECT_EQ(memory.peak_rss, 640'000u * 1024);
  const ProcessMemory none = ParseProcessStatus("Name:\tx\n");
  EXPECT_EQ(none.rss_anon + none.rss_file + none.peak_rss, 0u);
}

TEST(ProcessMemoryTest, SeesWhatThisProcessTouches) {
  constexpr size_t kBytes = 64 << 20;
  const uint64_t before = ReadProcessMemory().rss_anon;
  AnonymousMemory memory(kBytes);
  EXPECT_LT(ReadProcessMemory().rss_anon, before + kBytes / 2) << "only mapped yet";
  memory.Populate();
  const ProcessMemory after = ReadProcessMemory();
  EXPECT_GE(after.rss_anon, before + kBytes * 9 / 10);
  EXPECT_GE(after.peak_rss, after.rss_anon);
}

TEST(AvailableMemoryTest, ThisMachineSays) {
  const auto limit = AvailableMemory();
  ASSERT_TRUE(limit.has_value());
  EXPECT_GT(limit->available, 1u << 20);
}

}  // namespace
}  // namespace edgewise
