// How long a battery lasts, and what running slower or less often gains.
#pragma once

#include "machine/device.h"

namespace edgewise {

struct Battery {
  double ampere_hours = 0, volts = 0;
  double watt_hours() const { return ampere_hours * volts; }
};

// Mean watts of a device that works during `share` of the time and idles for the rest.
double DutyCycleWatts(double load_watts, double idle_watts, double share);

// Hours that a battery lasts. Requires watts > 0.
double BatteryHours(const Battery& battery, double watts);

// Watts at a share of the full clock (0 < share <= 1): what is above idle falls with its cube,
// voltage following the clock as it does between the lowest and the highest operating point of a
// phone's cores. Below a fifth of the clock voltages fall no further, so less is taken in
// proportion.
double DvfsWatts(double load_watts, double idle_watts, double clock_share);

// The device with its arithmetic at a share of the clock, which its watts follow (DvfsWatts); its memory has
// a clock of its own.
Device AtClock(Device device, double clock_share);

}  // namespace edgewise
