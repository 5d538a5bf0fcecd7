// Published measurements of other people, and what they teach: the efficiency of a class of devices (family x
// engine x weight format), each scored by leaving one out. The data is devices/published.csv and
// devices/energy.csv.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "machine/device.h"
#include "predict/efficiency.h"

namespace edgewise {

struct PublishedSpeed {
  std::string id, device;   // of the device catalog
  std::string variant;      // "24c": where the device comes in several
  std::string engine;       // "llama.cpp"
  std::string shape;        // of model/shapes.h
  std::string recipe;       // "Q4_0", "Q4_K_M"
  uint32_t threads = 0;     // 0: not said, or no matter
  double tok_s = 0;         // decode, batch 1
  std::string source;
  std::string note;         // why a row may stand apart
};
struct PublishedEnergy {
  std::string id, device, engine, shape, recipe;
  double tok_s = 0, watts = 0;
  std::string source;
};
// Throws Error(kBadFile) with the line for anything else than such a table.
std::vector<PublishedSpeed> ParsePublishedSpeeds(std::string_view csv, const std::string& file);
std::vector<PublishedEnergy> ParsePublishedEnergy(std::string_view csv, const std::string& file);

}  // namespace edgewise
