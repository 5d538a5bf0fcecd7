#include "cli/machine_state.h"

#include <unistd.h>

#include <fstream>
#include <sstream>

namespace edgewise {

MachineState ReadMachineState() {
  MachineState state;
  std::ifstream("/proc/loadavg") >> state.load_average;
  // "cpu user nice system idle iowait irq softirq steal ...", in ticks.
  std::ifstream stat("/proc/stat");
  std::string label;
  uint64_t ticks = 0;
  stat >> label;
  for (int i = 0; i < 8; ++i) stat >> ticks;
  if (stat && label == "cpu") {
    state.stolen = Seconds(static_cast<double>(ticks) / static_cast<double>(sysconf(_SC_CLK_TCK)));
  }
  return state;
}

std::string CpuName() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

}  // namespace edgewise
