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

Device AtClock(Device device, double clock_share) {
  for (auto* peak : {&device.f32_ops_s, &device.f16_ops_s, &device.int8_ops_s, &device.int4_ops_s}) {
    if (*peak) (*peak)->value *= clock_share;
  }
  for (TeamRate& team : device.teams) {
    for (ProductRate& rate : team.products) {
      rate.unpack_s /= clock_share;
      rate.mac_s /= clock_share;
      rate.each_s /= clock_share;
    }
    for (AttentionRate& rate : team.attention) {
      rate.unpack_s /= clock_share;
      rate.mac_s /= clock_share;
      rate.each_s /= clock_share;
    }
    team.phase_s /= clock_share;
    team.step_s /= clock_share;
  }
  if (device.chip) device.chip->clock_hz *= clock_share;
  device.clock_share *= clock_share;
  return device;
}

}  // namespace edgewise
