#include "cli/machine_state.h"

#include <sched.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <sstream>

#include "base/strings.h"
#include "cli/options.h"
#include "kernels/kernels.h"
#include "kernels/roof.h"

namespace edgewise {
namespace {

// The first line of a file of /proc or /sys.
std::string LineOf(const char* path) {
  std::ifstream file(path);
  std::string line;
  return std::getline(file, line) ? line : "unknown";
}

// "always [madvise] never" -> "madvise"
std::string Chosen(const std::string& line) {
  const size_t begin = line.find('['), end = line.find(']');
  return begin == std::string::npos || end < begin ? line : line.substr(begin + 1, end - begin - 1);
}

struct Machine {
  std::string cpu = CpuName();
  int cpus = 0;  // that this process may use
  int cores = ThreadsOf(0);
  std::vector<kernels::CacheLevel> caches = kernels::DataCaches();
  uint64_t memory = static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) *
                    static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  std::string system;  // "Linux 6.1.0"
  std::string governor = LineOf("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
  std::string huge_pages = Chosen(LineOf("/sys/kernel/mm/transparent_hugepage/enabled"));
};

Machine DescribeMachine() {
  Machine machine;
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0) machine.cpus = CPU_COUNT(&allowed);
  utsname name{};
  if (uname(&name) == 0) machine.system = StrCat(name.sysname, " ", name.release);
  return machine;
}

}  // namespace

MachineState ReadMachineState() {
  MachineState state;
  std::ifstream("/proc/loadavg") >> state.load_average;
  // "cpu user nice system idle iowait irq softirq steal ...", in ticks.
  std::ifstream stat("/proc/stat");
  std::string label;
  std::array<uint64_t, 8> ticks{};
  stat >> label;
  for (uint64_t& count : ticks) stat >> count;
  if (stat && label == "cpu") {
    const auto tick = static_cast<double>(sysconf(_SC_CLK_TCK));
    const uint64_t busy = ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6];
    timespec own{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &own);
    state.others = Seconds(static_cast<double>(busy) / tick - static_cast<double>(own.tv_sec) -
                           static_cast<double>(own.tv_nsec) * 1e-9);
    state.stolen = Seconds(static_cast<double>(ticks[7]) / tick);
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

Json MachineJson() {
  const Machine machine = DescribeMachine();
  Json caches = Json::Array();
  for (const kernels::CacheLevel& cache : machine.caches) {
    Json json = Json::Object();
    json.Set("level", cache.level).Set("bytes", cache.bytes).Set("instances", cache.instances);
    caches.Push(std::move(json));
  }
  Json isas = Json::Array();
  for (const kernels::Isa isa : kernels::SupportedIsas()) isas.Push(NameOf(isa));
  Json json = Json::Object();
  json.Set("cpu", machine.cpu)
      .Set("cpus", machine.cpus)
      .Set("cores", machine.cores)
      .Set("caches", std::move(caches))
      .Set("isas", std::move(isas))
      .Set("memory_bytes", machine.memory)
      .Set("system", machine.system)
      .Set("governor", machine.governor)
      .Set("transparent_huge_pages", machine.huge_pages);
  return json;
}

std::string MachineText() {
  const Machine machine = DescribeMachine();
  std::string text = StrCat(machine.cpu, ", ", machine.cpus, machine.cpus == 1 ? " CPU" : " CPUs");
  for (const kernels::CacheLevel& cache : machine.caches) {
    text += StrCat(", L", cache.level, " ", HumanBytes(cache.bytes));
  }
  text += StrCat(", memory ", HumanBytes(machine.memory), "\n", machine.system, ", governor ",
                 machine.governor, ", transparent huge pages ", machine.huge_pages,
                 ", instruction sets");
  for (const kernels::Isa isa : kernels::SupportedIsas()) text += StrCat(" ", NameOf(isa));
  return text + "\n";
}

}  // namespace edgewise
