#include "base/rapl.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>
#include <utility>

#include "base/cgroup.h"
#include "base/strings.h"

namespace edgewise {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFolder = "/sys/class/powercap";

std::optional<uint64_t> ReadCount(const std::string& path) {
  const std::string text = ReadSmallFile(path);
  uint64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc() || end == text.data()) return {};
  return count;
}

}  // namespace

EnergyCounter::EnergyCounter(std::string root) {
  const std::string folder = root + kFolder;
  std::error_code error;
  std::string unreadable;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const std::string zone = it->path().string();
    // "intel-rapl:0" is package 0, "intel-rapl:0:1" a part of it; "intel-rapl-mmio:0" counts it once more.
    const std::string name = it->path().filename().string();
    if (!name.starts_with("intel-rapl:") || std::ranges::count(name, ':') != 1) continue;
    if (!ReadSmallFile(zone + "/name").starts_with("package")) continue;
    const std::string file = zone + "/energy_uj";
    const auto count = ReadCount(file), range = ReadCount(zone + "/max_energy_range_uj");
    if (!count || !range || *range == 0) {
      unreadable = file;
      continue;
    }
    packages_.push_back({file, *range, *count, 0});
  }
  if (!packages_.empty()) return;
  why_not_ = unreadable.empty() ? StrCat(kFolder, " has no package that counts energy")
                                : StrCat(unreadable.substr(root.size()), " cannot be read (root may)");
}

double EnergyCounter::Joules() {
  uint64_t sum = 0;
  for (Package& package : packages_) {
    if (const auto now = ReadCount(package.file)) {
      package.sum += *now >= package.last ? *now - package.last : *now + (package.range - package.last);
      package.last = *now;
    }
    sum += package.sum;
  }
  return static_cast<double>(sum) * 1e-6;
}

}  // namespace edgewise
