// Busy processes beside a measurement: what remains of a speed where the machine is shared.
#pragma once

#include <sched.h>
#include <sys/types.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace edgewise {

struct Neighbourhood {
  uint32_t count = 0;
  bool pinned = false;  // the first to the last CPU we may use, the second to the one before it, ...

  std::string name() const;  // "3", "1:pin"; "" for none
  friend bool operator==(const Neighbourhood&, const Neighbourhood&) = default;
};
// "3", "1:pin", or several with commas between. Throws Error(kUsage).
std::vector<Neighbourhood> ParseNeighbourhoods(std::string_view text);

// Owns the processes: forked once and stopped until they are wanted. Make it before threads and large
// memory, of which a fork would copy the page tables and leave every page to be copied when written. They
// end with this object, and with this process however it ends (the kernel sees to that).
class Neighbours {
 public:
  // Throws Error(kLimit) when the system gives no more processes.
  explicit Neighbours(uint32_t most);
  Neighbours(const Neighbours&) = delete;
  Neighbours& operator=(const Neighbours&) = delete;
  ~Neighbours();

  // These spin from now on and all others rest. Requires count <= most. Returns once they had the time
  // to find their CPUs.
  void Be(const Neighbourhood& who);
  std::span<const pid_t> processes() const { return processes_; }

 private:
  void End();

  cpu_set_t allowed_;
  std::vector<int> cpus_;
  std::vector<pid_t> processes_;
};

}  // namespace edgewise
