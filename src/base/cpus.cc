#include "base/cpus.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <set>
#include <sstream>
#include <thread>

#include "base/cgroup.h"
#include "base/error.h"

namespace edgewise {
namespace {

struct Cpus {
  std::vector<int> first, others;  // of each core the first hyper-thread, and the rest
};

Cpus AllowedCpus(const std::string& root) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  Cpus cpus;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return cpus;
  std::set<std::string> cores;  // hyper-threads of one core share this list
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    std::string siblings = ReadSmallFile(
        StrCat(root, "/sys/devices/system/cpu/cpu", cpu, "/topology/thread_siblings_list"));
    if (siblings.empty()) siblings = std::to_string(cpu);
    (cores.insert(siblings).second ? cpus.first : cpus.others).push_back(cpu);
  }
  return cpus;
}

// CPUs that a quota of `micros` in every `period` is worth; 0 for none ("max", -1).
int Worth(const std::string& quota, double period) {
  const double micros = std::atof(quota.c_str());
  return micros > 0 && period > 0 ? static_cast<int>(std::ceil(micros / period)) : 0;
}

// The smallest quota of our group and those above it; 0 when there is none.
int QuotaCpus(const std::string& root) {
  int least = 0;
  const auto take = [&](int cpus) {
    if (cpus > 0) least = least == 0 ? cpus : std::min(least, cpus);
  };
  ForEachCgroup({"/sys/fs/cgroup", "::"}, root, [&](const std::string& folder) {
    std::istringstream text(ReadSmallFile(folder + "/cpu.max"));
    std::string quota;
    double period = 0;
    if (text >> quota >> period) take(Worth(quota, period));
  });
  for (const char* controllers : {":cpu,cpuacct:", ":cpu:", ":cpuacct,cpu:"}) {
    ForEachCgroup({"/sys/fs/cgroup/cpu", controllers}, root, [&](const std::string& folder) {
      take(Worth(ReadSmallFile(folder + "/cpu.cfs_quota_us"),
                 std::atof(ReadSmallFile(folder + "/cpu.cfs_period_us").c_str())));
    });
  }
  return least;
}

}  // namespace

std::vector<int> CpusByCore() {
  Cpus cpus = AllowedCpus("");
  cpus.first.insert(cpus.first.end(), cpus.others.begin(), cpus.others.end());
  return cpus.first;
}

int DefaultThreads(const std::string& root) {
  auto cpus = static_cast<int>(AllowedCpus(root).first.size());
  if (cpus == 0) cpus = static_cast<int>(std::thread::hardware_concurrency());
  if (const int quota = QuotaCpus(root); quota > 0) cpus = std::min(cpus, quota);
  return std::max(cpus, 1);
}

void PinTo(pthread_t thread, int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  pthread_setaffinity_np(thread, sizeof(set), &set);
}

PinnedHere::PinnedHere(int cpu)
    : pinned_(cpu >= 0 && pthread_getaffinity_np(pthread_self(), sizeof(before_), &before_) == 0) {
  if (pinned_) PinTo(pthread_self(), cpu);
}

PinnedHere::~PinnedHere() {
  if (pinned_) pthread_setaffinity_np(pthread_self(), sizeof(before_), &before_);
}

}  // namespace edgewise
