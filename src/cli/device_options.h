// The devices that verbs may be asked for by name.
#pragma once

#include "machine/device_catalog.h"

namespace edgewise {

// In $EDGEWISE_DEVICES, <program>/../share/edgewise/devices, or the source tree this program was built from;
// and the chips of NamedChips().
DeviceCatalog NamedDevices();

}  // namespace edgewise
