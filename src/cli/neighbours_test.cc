#include "cli/neighbours.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/error.h"

namespace edgewise {
namespace {

// 'R' running, 'T' stopped, 'Z' ended but not waited for; '-' gone.
char StateOf(pid_t process) {
  std::ifstream stat("/proc/" + std::to_string(process) + "/stat");
  std::string text;
  if (!std::getline(stat, text)) return '-';
  return text[text.rfind(')') + 2];
}

// Ended, though perhaps nobody has waited for it: an orphan's new parent may take its time.
bool IsOver(pid_t process) { return StateOf(process) == '-' || StateOf(process) == 'Z'; }

bool IsOverSoon(pid_t process) {
  for (const Seconds start = Now(); Now() - start < Seconds(5);) {
    if (IsOver(process)) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

TEST(Neighbours, AreNamedAsTheyAreGiven) {
  const auto list = ParseNeighbourhoods("1:pin,3");
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[0], (Neighbourhood{1, true}));
  EXPECT_EQ(list[1], (Neighbourhood{3, false}));
  EXPECT_EQ(list[0].name(), "1:pin");
  EXPECT_EQ(list[1].name(), "3");
  for (const char* wrong : {"", "0", "pin", ":pin", "1:", "1:pen", "3,", "-1", "1025", "1.5", "3 "}) {
    EXPECT_THROW(ParseNeighbourhoods(wrong), Error) << wrong;
  }
}

TEST(Neighbours, RunWhenWantedOnly) {
  Neighbours neighbours(2);
  const pid_t first = neighbours.processes()[0], second = neighbours.processes()[1];
  EXPECT_EQ(StateOf(first), 'T');
  neighbours.Be({1, true});
  EXPECT_EQ(StateOf(first), 'R');
  EXPECT_EQ(StateOf(second), 'T');
  cpu_set_t cpus;
  ASSERT_EQ(sched_getaffinity(first, sizeof(cpus), &cpus), 0);
  EXPECT_EQ(CPU_COUNT(&cpus), 1);
  neighbours.Be({2, false});
  EXPECT_EQ(StateOf(second), 'R');
  cpu_set_t own;
  ASSERT_EQ(sched_getaffinity(first, sizeof(cpus), &cpus), 0);
  ASSERT_EQ(sched_getaffinity(0, sizeof(own), &own), 0);
  EXPECT_TRUE(CPU_EQUAL(&cpus, &own));
  neighbours.Be({});
  EXPECT_EQ(StateOf(first), 'T');
}

TEST(Neighbours, AreGoneAfterwards) {
  std::vector<pid_t> processes;
  {
    Neighbours neighbours(3);
    neighbours.Be({2, false});  // one still rests
    processes.assign(neighbours.processes().begin(), neighbours.processes().end());
  }
  ASSERT_EQ(processes.size(), 3u);
  for (const pid_t process : processes) EXPECT_EQ(StateOf(process), '-');
}

// Killed, we clean nothing up ourselves.
TEST(Neighbours, AreGoneWhenTheirParentIsKilled) {
  std::array<int, 2> ends;
  ASSERT_EQ(pipe(ends.data()), 0);
  const pid_t parent = fork();
  ASSERT_GE(parent, 0);
  if (parent == 0) {
    Neighbours neighbours(2);
    neighbours.Be({1, false});
    const std::array<pid_t, 2> pids = {neighbours.processes()[0], neighbours.processes()[1]};
    if (write(ends[1], pids.data(), sizeof(pids)) < 0) _exit(1);
    for (;;) pause();
  }
  std::array<pid_t, 2> pids{};
  ASSERT_EQ(read(ends[0], pids.data(), sizeof(pids)), static_cast<ssize_t>(sizeof(pids)));
  EXPECT_FALSE(IsOver(pids[0]));
  EXPECT_FALSE(IsOver(pids[1]));
  kill(parent, SIGKILL);
  waitpid(parent, nullptr, 0);
  EXPECT_TRUE(IsOverSoon(pids[0]));
  EXPECT_TRUE(IsOverSoon(pids[1]));
  close(ends[0]);
  close(ends[1]);
}

}  // namespace
}  // namespace edgewise
