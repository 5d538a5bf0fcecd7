// Published measurements beside what the predictor says of them: `edgewise devices --published`.
#pragma once

#include "machine/device_catalog.h"
#include "predict/published.h"

namespace edgewise {

// published.csv and energy.csv of the first folder of devices that has them. Throws Error(kNotFound) when
// none has, and as PublishedTable does.
PublishedTable NamedPublished(const DeviceCatalog& devices);

// Every row with its prediction from the other rows of its class, and what the classes taught.
void PrintPublished(const DeviceCatalog& devices, bool json);

}  // namespace edgewise
