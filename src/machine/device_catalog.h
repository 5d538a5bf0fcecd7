// The devices that have names: files in folders, and every chip of the chip catalog.
#pragma once

#include <string>
#include <vector>

#include "machine/chip_catalog.h"
#include "machine/device.h"

namespace edgewise {

class DeviceCatalog {
 public:
  DeviceCatalog(std::vector<std::string> folders, ChipCatalog chips);

  // A device, chip or file (*.toml). Throws Error(kNotFound) naming the nearest, and as ParseDevice does.
  Device Find(const std::string& name_or_path) const;
  std::vector<std::string> Names() const;  // of devices, sorted; chips are not among them

 private:
  std::vector<std::string> folders_;
  ChipCatalog chips_;
};

// A chip as a device: one that is priced by its design.
Device DeviceOf(const ChipDesign& design);

}  // namespace edgewise
