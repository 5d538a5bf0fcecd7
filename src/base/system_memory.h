// What memory this process may use, and what it uses. All figures in bytes, from /proc and cgroups.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace edgewise {

struct MemoryLimit {
  uint64_t available;  // the smaller of MemAvailable and what the cgroup (v1 or v2, and its
                       // parents) still allows, page cache of the cgroup counted as reclaimable
  const char* source;  // "MemAvailable" or "cgroup limit"
};
// nullopt when the system does not say (no /proc). `root` is put before every path read, so that a
// test can describe another machine.
std::optional<MemoryLimit> AvailableMemory(const std::string& root = "");

struct ProcessMemory {
  uint64_t rss_anon;  // private pages
  uint64_t rss_file;  // pages of mapped files
  uint64_t peak_rss;  // VmHWM
};
ProcessMemory ReadProcessMemory();
// From the text of /proc/self/status; 0 for a line that is missing.
ProcessMemory ParseProcessStatus(std::string_view status);

}  // namespace edgewise
