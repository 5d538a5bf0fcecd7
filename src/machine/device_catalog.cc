#include "machine/device_catalog.h"

#include <algorithm>
#include <filesystem>
#include <optional>

#include "base/error.h"
#include "base/nearest.h"
#include "machine/device_file.h"

namespace edgewise {
namespace {

bool IsPath(const std::string& text) { return std::filesystem::path(text).extension() == ".toml"; }

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return lower;
}

// The nearest name; else those that `given` is a part of: "4090", "a100".
std::string MeantBy(std::string_view given, const std::vector<std::string>& names) {
  const std::string lower = LowerCase(given);
  if (const std::string_view near = Nearest(lower, names); !near.empty()) return std::string(near);
  std::string list;
  if (lower.size() < 2) return list;
  for (const std::string& name : names) {
    if (name.find(lower) != std::string::npos) list += (list.empty() ? "" : ", ") + name;
  }
  return list;
}

}  // namespace

Device DeviceCatalog::Find(const std::string& name_or_path) const {
  const std::string file = files_.PathOf(name_or_path);
  if (file.empty() && !IsPath(name_or_path)) {
    if (chips_.FileOf(name_or_path).empty()) RefuseName(name_or_path);
    return DeviceOf(chips_.Find(name_or_path));
  }
  const std::string& path = file.empty() ? name_or_path : file;
  if (const auto known = known_.find(path); known != known_.end()) return known->second;
  return known_.emplace(path, Read(path)).first->second;
}

Device DeviceCatalog::Read(const std::string& path) const {
  std::optional<Device> device = ParseUnlessChip(ReadNamedFile(path, kMostDeviceFileBytes, "device"), path);
  if (!device) return DeviceOf(chips_.Find(path));
  std::string& as = device->published_as;
  if (as.empty()) {
    std::error_code error;
    const auto table = std::filesystem::path(path).parent_path() / kPublishedSpeedsFile;
    if (std::filesystem::exists(table, error)) as = device->name;
  } else if (files_.PathOf(as).empty()) {
    throw Error(ErrorCode::kUsage, StrCat(Printable(path, 200), ": published_as: no device is named '",
                                          Printable(as), "' (edgewise devices lists them)"));
  }
  return *std::move(device);
}

std::string DeviceCatalog::FileOf(const std::string& name_or_path) const {
  const std::string file = files_.PathOf(name_or_path);
  return file.empty() ? chips_.FileOf(name_or_path) : file;
}

void DeviceCatalog::RefuseName(std::string_view name) const {
  std::vector<std::string> names = Names();
  for (const std::string& chip : ChipNames()) names.push_back(chip);
  if (names.empty()) {
    std::string places;
    for (const std::string& one : files_.folders()) places += (places.empty() ? "" : ", ") + one;
    throw Error(ErrorCode::kNotFound, StrCat("there are no device files in ", Printable(places, 400)));
  }
  const std::string near = MeantBy(name, names);
  throw Error(ErrorCode::kNotFound,
              StrCat("no device is named '", Printable(name), "'",
                     near.empty() ? "" : StrCat(", did you mean ", Printable(near, 300), "?"),
                     " (edgewise devices lists ", names.size(), "; a file must end in .toml)"));
}

Device DeviceOf(const ChipDesign& design) {
  Device device;
  device.name = design.name;
  device.title = design.summary;
  device.summary = design.source;
  device.kind = DeviceKind::kChip;
  device.family = "chip";
  device.chip = design;
  return device;
}

}  // namespace edgewise
