// The devices that have names: files in folders, and every chip of the chip catalog.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "machine/chip_catalog.h"
#include "machine/device.h"
#include "machine/named_files.h"

namespace edgewise {

// The table of published speeds, in a folder of devices.
inline constexpr const char* kPublishedSpeedsFile = "published.csv";

class DeviceCatalog {
 public:
  // Folders of device files, best first. A name of a device hides a chip of the same name.
  DeviceCatalog(std::vector<std::string> folders, ChipCatalog chips)
      : files_(std::move(folders)), chips_(std::move(chips)) {}

  // A device, a chip, or a file of one (*.toml), which is read once. The published rows of a name belong to
  // the file beside their table (Device::published_as), not to others of this name. Throws Error(kNotFound)
  // naming the nearest, Error(kUsage) for published_as that is no name, and as ParseDevice and
  // ChipCatalog::Find do. One thread at a time.
  Device Find(const std::string& name_or_path) const;
  // The file that Find would read; "" when there is none.
  std::string FileOf(const std::string& name_or_path) const;
  std::vector<std::string> Names() const { return files_.Names(); }  // of devices, sorted
  std::vector<std::string> ChipNames() const { return chips_.Names(); }

 private:
  [[noreturn]] void RefuseName(std::string_view name) const;
  Device Read(const std::string& path) const;

  NamedFiles files_;
  ChipCatalog chips_;
  mutable std::map<std::string, Device> known_;  // by file: a command asks for some of them often
};

// A chip as a device: one that is priced by its design.
Device DeviceOf(const ChipDesign& design);

}  // namespace edgewise
