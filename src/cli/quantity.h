// Numbers with units, and lists, as people write them on a command line. Every function throws
// Error(kUsage), naming the flag, what was given and what it should look like, for anything else and for
// numbers that nothing has.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "predict/battery.h"

namespace edgewise {

double ParseBytes(std::string_view flag, std::string_view text);     // "4G" (10^9), "512M", "3.5GB", "4GiB"
double ParseSeconds(std::string_view flag, std::string_view text);   // "500ms", "2s"
double ParsePercent(std::string_view flag, std::string_view text);   // "3%": 0.03
double ParseWatts(std::string_view flag, std::string_view text);     // "5", "5W", "500mW"
double ParseRate(std::string_view flag, std::string_view text);      // "5": above 0
double ParseShare(std::string_view flag, std::string_view text);     // "0.25", "25%": above 0, at most 1
Battery ParseBattery(std::string_view flag, std::string_view text);  // "3000mAh@3.7V", "5Ah@12V"
// "host,rpi4": none empty, none twice.
std::vector<std::string> SplitNames(std::string_view flag, std::string_view text);

}  // namespace edgewise
