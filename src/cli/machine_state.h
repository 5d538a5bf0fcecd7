// What else went on in the machine while something was measured. From /proc; zeros without it.
#pragma once

#include <string>

#include "base/units.h"

namespace edgewise {

struct MachineState {
  double load_average = 0;  // runnable threads, over the last minute
  Seconds stolen{0};  // CPU time since boot that a hypervisor gave to others, all CPUs together
};
MachineState ReadMachineState();

std::string CpuName();  // "unknown" where the system does not say

}  // namespace edgewise
