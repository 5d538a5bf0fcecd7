#include "predict/battery.h"

#include <algorithm>

namespace edgewise {

double DutyCycleWatts(double load_watts, double idle_watts, double share) {
  return share * load_watts + (1 - share) * idle_watts;
}

double BatteryHours(const Battery& battery, double watts) { return battery.watt_hours() / watts; }

double DvfsWatts(double load_watts, double idle_watts, double clock_share) {
  constexpr double kLeastVoltage = 0.2;  // of the highest, by the clock it belongs to
  const double voltage = std::max(clock_share, kLeastVoltage);
  return idle_watts + (load_watts - idle_watts) * clock_share * voltage * voltage;
}

}  // namespace edgewise
