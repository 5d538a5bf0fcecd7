#include "base/system_memory.h"

#include <algorithm>
#include <charconv>

#include "base/cgroup.h"

namespace edgewise {
namespace {

// The first number in `text`, after blanks.
std::optional<uint64_t> FirstNumber(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  return number;
}

// The number that follows `key` at the start of a line ("VmHWM:   1672 kB").
std::optional<uint64_t> Field(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    if (line.starts_with(key)) return FirstNumber(line.substr(key.size()));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return std::nullopt;
}

// One version of the memory controller, by the names of its files.
struct Controller {
  CgroupHierarchy hierarchy;
  const char* limits[2];
  const char* usage;
  const char* cache[2];  // lines of memory.stat: file pages that the kernel drops under pressure
};
constexpr Controller kVersion1 = {{"/sys/fs/cgroup/memory", ":memory:"},
                                  {"memory.limit_in_bytes", nullptr},
                                  "memory.usage_in_bytes",
                                  {"total_inactive_file ", "total_active_file "}};
// memory.high kills nobody, but beyond it the process hardly moves.
constexpr Controller kVersion2 = {{"/sys/fs/cgroup", "::"},
                                  {"memory.max", "memory.high"},
                                  "memory.current",
                                  {"inactive_file ", "active_file "}};

// What the limit of one group leaves; nullopt without one ("max" is no number; version 1 says so by
// an enormous number, which the comparison with MemAvailable disposes of).
std::optional<uint64_t> GroupAllows(const Controller& controller, const std::string& folder) {
  std::optional<uint64_t> limit;
  for (const char* name : controller.limits) {
    if (name == nullptr) continue;
    const auto value = FirstNumber(ReadSmallFile(folder + "/" + name));
    if (value) limit = std::min(limit.value_or(*value), *value);
  }
  const auto usage = FirstNumber(ReadSmallFile(folder + "/" + controller.usage));
  if (!limit || !usage) return std::nullopt;
  const std::string stat = ReadSmallFile(folder + "/memory.stat");
  uint64_t cache = 0;
  for (const char* line : controller.cache) cache += Field(stat, line).value_or(0);
  const uint64_t used = *usage - std::min(*usage, cache);
  return *limit - std::min(*limit, used);
}

// What the limits of our group of this controller and of all above it leave.
std::optional<uint64_t> CgroupAllows(const Controller& controller, const std::string& root) {
  std::optional<uint64_t> allowed;
  ForEachCgroup(controller.hierarchy, root, [&](const std::string& folder) {
    if (const auto left = GroupAllows(controller, folder)) {
      allowed = std::min(allowed.value_or(*left), *left);
    }
  });
  return allowed;
}

}  // namespace

std::optional<MemoryLimit> AvailableMemory(const std::string& root) {
  const auto kib = Field(ReadSmallFile(root + "/proc/meminfo"), "MemAvailable:");
  if (!kib) return std::nullopt;
  MemoryLimit result{*kib * 1024, "MemAvailable"};
  for (const Controller& controller : {kVersion1, kVersion2}) {
    const auto allowed = CgroupAllows(controller, root);
    if (allowed && *allowed < result.available) result = {*allowed, "cgroup limit"};
  }
  return result;
}

ProcessMemory ParseProcessStatus(std::string_view status) {
  const auto bytes = [&](std::string_view key) { return Field(status, key).value_or(0) * 1024; };
  return {bytes("RssAnon:"), bytes("RssFile:"), bytes("VmHWM:")};
}

ProcessMemory ReadProcessMemory() { return ParseProcessStatus(ReadSmallFile("/proc/self/status")); }

}  // namespace edgewise
