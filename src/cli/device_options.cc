#include "cli/device_options.h"

#include "cli/chip_options.h"

namespace edgewise {

DeviceCatalog NamedDevices() { return DeviceCatalog(FoldersOf("devices", "EDGEWISE_DEVICES"), NamedChips()); }

}  // namespace edgewise
