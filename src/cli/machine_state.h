// What a measurement ran on, and what else went on meanwhile. From /proc and /sys; zeros, empty or
// "unknown" where the system does not say.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/units.h"
#include "cli/json.h"

namespace edgewise {

struct MachineState {
  double load_average = 0;  // runnable threads, over the last minute
  Seconds stolen{0};  // CPU time since boot that a hypervisor gave to others, all CPUs together
  Seconds others{0};  // CPU time since boot of all other processes; two readings differ to 10 ms a CPU
};
MachineState ReadMachineState();

std::string CpuName();

// CPU, cores, caches, instruction sets, memory, system, governor: what a recorded figure needs to mean
// anything on another day.
Json MachineJson();
// The same in a line or two.
std::string MachineText();

}  // namespace edgewise
