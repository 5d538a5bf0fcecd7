// Which processors this process may use.
#pragma once

#include <pthread.h>
#include <sched.h>

#include <string>
#include <vector>

namespace edgewise {

// The CPUs of our affinity mask, one hyper-thread of each core first, then the others. Empty when the
// system does not say.
std::vector<int> CpusByCore();

// The number of threads that gains something: cores this process may run on (affinity), no more than
// the CPUs that the quota of its control group, or of one above it, is worth (rounded up). At least 1.
// `root` is put before every path read, so that a test can describe another machine.
int DefaultThreads(const std::string& root = "");

// Keeps a thread on one CPU; does nothing where the system refuses.
void PinTo(pthread_t thread, int cpu);

// Keeps the calling thread on one CPU (-1: anywhere) while it lives; then it may run where it could before.
class PinnedHere {
 public:
  explicit PinnedHere(int cpu);
  PinnedHere(const PinnedHere&) = delete;
  PinnedHere& operator=(const PinnedHere&) = delete;
  ~PinnedHere();

 private:
  cpu_set_t before_;
  bool pinned_;
};

}  // namespace edgewise
