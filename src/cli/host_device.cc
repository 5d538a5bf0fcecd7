#include "cli/host_device.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <optional>

#include "base/atomic_file.h"
#include "base/clock.h"
#include "base/cpus.h"
#include "base/error.h"
#include "base/strings.h"
#include "base/system_memory.h"
#include "cli/console.h"
#include "cli/host_measure.h"
#include "cli/machine_state.h"
#include "cli/text.h"
#include "kernels/kernels.h"
#include "machine/device_file.h"
#include "model/model.h"

namespace edgewise {
namespace {

namespace fs = std::filesystem;

// What a measurement is of: it begins the text that is remembered with it.
std::string Subject() {
  return StrCat(CpuName(), ", ", NameOf(kernels::Kernels().isa), ", edgewise ", EDGEWISE_VERSION, ", ");
}

std::string Today() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%d %H:%M UTC", &parts);
  return text;
}

double PhysicalMemory() {
  return static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

Figure Measured(double value, std::string source) {
  Figure figure;
  figure.value = value;
  figure.from = Provenance::kMeasured;
  figure.source = std::move(source);
  return figure;
}

// What does not have to be measured.
Device Described() {
  Device device;
  device.name = "host";
  device.title = CpuName();
  device.kind = DeviceKind::kCpu;
#if defined(__aarch64__)
  device.family = "arm-cpu";
#else
  device.family = "x86-cpu";
#endif
  device.cores = static_cast<uint32_t>(DefaultThreads());
  device.memory_bytes = Measured(PhysicalMemory(), "what the system says");
  if (const auto limit = AvailableMemory()) {
    device.free_bytes = Measured(static_cast<double>(limit->available), limit->source);
  }
  const std::vector<kernels::CacheLevel> caches = kernels::DataCaches();
  if (!caches.empty()) {
    device.cache_bytes = Measured(static_cast<double>(caches.back().bytes), "what the system says");
  }
  device.measured = Subject() + Today();
  return device;
}

// The device's teams and peaks, from another measurement.
void Take(const Device& from, Device& device) {
  device.teams = from.teams;
  device.memory_bytes_s = from.memory_bytes_s;
  device.f32_ops_s = from.f32_ops_s;
  device.int8_ops_s = from.int8_ops_s;
  device.measured = from.measured;
}

// Takes what is remembered into `device`, if it is of this machine and program.
void Remember(const std::string& path, Device& device) {
  std::error_code none;
  if (path.empty() || !fs::exists(path, none)) return;
  try {
    const Device stored = ParseDevice(ReadText(path), path);
    if (stored.measured.starts_with(Subject())) return Take(stored, device);
    std::fprintf(stderr, "note: %s is of another machine or version: measuring again\n", path.c_str());
  } catch (const Error& error) {
    std::fprintf(stderr, "note: measuring again, for what was remembered is damaged: %s\n", error.what());
  }
}

void Store(const std::string& path, const Device& device) {
  if (path.empty()) return;
  try {
    std::error_code failed;
    fs::create_directories(fs::path(path).parent_path(), failed);
    AtomicFile file(path);
    file.Write(WriteDevice(device));
    file.Commit();
  } catch (const Error& error) {
    std::fprintf(stderr, "note: this measurement is not remembered: %s\n", error.what());
  }
}

// Measures once more when other processes took much of the CPUs meanwhile; the quieter counts.
template <typename F>
auto Quietly(F&& measure) {
  constexpr double kQuiet = 0.1;  // CPUs taken
  decltype(measure()) best;
  double least = INFINITY;
  for (int attempt = 0; attempt < 2 && least > kQuiet; ++attempt) {
    const MachineState before = ReadMachineState();
    const Seconds start = Now();
    auto rates = measure();
    const double taken = (ReadMachineState().others - before.others).value() / (Now() - start).value();
    if (attempt > 0 && taken >= least) continue;
    least = taken;
    best = std::move(rates);
  }
  return best;
}

bool Has(const auto& rates, DType type) {
  return std::ranges::any_of(rates, [&](const auto& rate) { return rate.type == type; });
}

// What a request still asks for of one team.
struct Missing {
  size_t team;
  std::vector<DType> types, kv_types;
  bool roof;
};

// Adds the teams that are missing, empty.
std::vector<Missing> MissingOf(const HostRequest& request, Device& device) {
  std::vector<uint32_t> threads = request.threads;
  if (threads.empty()) threads = {1, static_cast<uint32_t>(DefaultThreads())};
  std::ranges::sort(threads);
  threads.erase(std::unique(threads.begin(), threads.end()), threads.end());
  std::vector<DType> kv_types = request.kv_types;
  if (kv_types.empty()) kv_types = {DType::kF16};
  std::ranges::sort(kv_types);
  kv_types.erase(std::unique(kv_types.begin(), kv_types.end()), kv_types.end());
  for (const uint32_t count : threads) {
    if (std::ranges::find(device.teams, count, &TeamRate::threads) != device.teams.end()) continue;
    TeamRate team;
    team.threads = count;
    device.teams.push_back(std::move(team));
  }
  std::ranges::sort(device.teams, {}, &TeamRate::threads);
  std::vector<Missing> missing;
  for (size_t i = 0; i < device.teams.size(); ++i) {
    const TeamRate& team = device.teams[i];
    if (std::ranges::find(threads, team.threads) == threads.end()) continue;
    Missing one = {
        .team = i, .types = {}, .kv_types = {}, .roof = request.roofs_again || team.read_bytes_s.value == 0};
    for (const DType type : request.types) {
      if (!Has(team.products, type) && std::ranges::find(one.types, type) == one.types.end()) {
        one.types.push_back(type);
      }
    }
    for (const DType type : kv_types) {
      if (!Has(team.attention, type)) one.kv_types.push_back(type);
    }
    missing.push_back(std::move(one));
  }
  return missing;
}

// Whether rates must be measured while nobody sees a progress bar: that takes long enough to be told.
bool SaysSo(const std::vector<Missing>& missing) {
  return isatty(STDERR_FILENO) == 0 && std::ranges::any_of(missing, [](const Missing& one) {
           return !one.types.empty() || !one.kv_types.empty();
         });
}

// Only the teams that were asked for: of others some types may be missing.
Device WithTeams(Device device, const std::vector<Missing>& wanted) {
  std::vector<TeamRate> teams;
  for (const Missing& one : wanted) teams.push_back(std::move(device.teams[one.team]));
  device.teams = std::move(teams);
  return device;
}

void SetPeaks(Device& device, const TeamRate& team, const HostMeasurer::Roofs& roofs) {
  const std::string source = StrCat("probe, ", team.threads, team.threads == 1 ? " thread" : " threads");
  const auto raise = [&](Figure& figure, double value) {
    if (value > figure.value || figure.source == source) figure = Measured(value, source);
  };
  raise(device.memory_bytes_s, roofs.read_bytes_s);
  if (!device.f32_ops_s) device.f32_ops_s = Figure();
  if (!device.int8_ops_s) device.int8_ops_s = Figure();
  raise(*device.f32_ops_s, roofs.f32_ops_s);
  raise(*device.int8_ops_s, roofs.peak_ops_s);
}

// The rates of another moment, at which the peak is `peak_ops_s`.
void SetPace(TeamRate& team, double peak_ops_s) {
  const double factor = team.peak_ops_s / peak_ops_s;
  for (ProductRate& rate : team.products) {
    rate.unpack_s *= factor;
    rate.mac_s *= factor;
    rate.each_s *= factor;
  }
  for (AttentionRate& rate : team.attention) {
    rate.unpack_s *= factor;
    rate.mac_s *= factor;
    rate.each_s *= factor;
  }
  team.element_bytes_s /= factor;
  team.phase_s *= factor;
  team.step_s *= factor;
  team.peak_ops_s = peak_ops_s;
}

// Whether a cache may hold so many bytes: then the roof is that of the cache, probed for this model alone.
bool MayStayInCache(uint64_t bytes) {
  const std::vector<kernels::CacheLevel> caches = kernels::DataCaches();
  return bytes != 0 && !caches.empty() && bytes <= caches.back().bytes / 2;
}

}  // namespace

HostRequest HostRequestFor(const Model& model) {
  HostRequest request;
  for (const Weight& weight : model.weights()) {
    if (weight.rows > 1 && std::ranges::find(request.types, weight.type) == request.types.end()) {
      request.types.push_back(weight.type);
    }
  }
  request.resident_bytes = model.weight_bytes();
  return request;
}

std::string HostFile() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  fs::path folder;
  if (cache != nullptr && *cache != '\0') {
    folder = cache;
  } else if (home != nullptr && *home != '\0') {
    folder = fs::path(home) / ".cache";
  } else {
    return "";
  }
  const char* forced = std::getenv("EDGEWISE_ISA");
  const bool is_forced = forced != nullptr && *forced != '\0';
  const std::string name =
      is_forced ? StrCat("host-", NameOf(kernels::Kernels().isa), ".toml") : std::string("host.toml");
  return (folder / "edgewise" / name).string();
}

Device HostDevice(const HostRequest& request) {
  const std::string path = HostFile();
  Device device = Described();
  if (!request.remeasure) Remember(path, device);
  const std::vector<Missing> missing = MissingOf(request, device);
  const bool in_cache = MayStayInCache(request.resident_bytes);
  uint64_t total = 0, done = 0;
  for (const Missing& one : missing) total += (one.roof || in_cache) + one.types.size() + one.kv_types.size();
  if (total == 0) return WithTeams(std::move(device), missing);

  std::optional<HostMeasurer> measurer;
  const InterruptGuard interrupt;
  const Seconds start = Now();
  const bool says_so = SaysSo(missing);
  if (says_so) {
    std::fprintf(stderr, "measuring this machine, some seconds for each type and number of threads\n");
  }
  Progress progress("measuring this machine");
  const auto tick = [&] {
    if (interrupt.flag()) throw Error(ErrorCode::kIo, "interrupted");
  };
  const auto step = [&] {
    progress.Show(++done, total);
    tick();
  };
  measurer.emplace();
  bool changed = false;
  for (const Missing& one : missing) {
    TeamRate& team = device.teams[one.team];
    if (team.peak_ops_s == 0) {
      team.peak_ops_s = Quietly([&] { return measurer->RoofsOf(team.threads, 0); }).peak_ops_s;
    }
    for (const DType type : one.types) {
      const TypeRates rates =
          Quietly([&] { return measurer->Products(type, team.threads, team.peak_ops_s, tick); });
      team.products.insert(team.products.end(), rates.products.begin(), rates.products.end());
      if (team.element_bytes_s == 0) {
        team.element_bytes_s = rates.element_bytes_s;
        team.phase_s = rates.phase_s;
        team.step_s = rates.step_s;
      }
      step();
    }
    for (const DType type : one.kv_types) {
      const auto rates =
          Quietly([&] { return measurer->Attention(type, team.threads, team.peak_ops_s, tick); });
      team.attention.insert(team.attention.end(), rates.begin(), rates.end());
      step();
    }
    changed = changed || one.roof || !one.types.empty() || !one.kv_types.empty();
  }
  // The roofs last: the nearer to what is predicted with them, the better.
  std::vector<double> cached(device.teams.size(), 0);
  for (const Missing& one : missing) {
    if (!one.roof && !in_cache) continue;
    TeamRate& team = device.teams[one.team];
    const HostMeasurer::Roofs roofs =
        Quietly([&] { return measurer->RoofsOf(team.threads, request.resident_bytes); });
    if (one.roof) {
      team.read_bytes_s = Measured(roofs.read_bytes_s, "from memory, " + Today());
      SetPeaks(device, team, roofs);
      SetPace(team, roofs.peak_ops_s);
    }
    cached[one.team] = roofs.cached_bytes_s;
    step();
  }
  progress.Clear();
  if (says_so) std::fprintf(stderr, "measured in %s\n", HumanSeconds((Now() - start).value()).c_str());
  if (changed) Store(path, device);
  for (size_t i = 0; i < cached.size(); ++i) {
    Figure& read = device.teams[i].read_bytes_s;
    if (cached[i] > read.value) read = Measured(cached[i], "from a cache that holds the model, " + Today());
  }
  return WithTeams(std::move(device), missing);
}

}  // namespace edgewise
