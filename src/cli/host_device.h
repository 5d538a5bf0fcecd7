// This machine as a device: measured once, remembered, measured again on request.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "machine/device.h"
#include "quant/dtype.h"

namespace edgewise {

struct HostRequest {
  std::vector<DType> types;         // weight types that must be measured
  std::vector<uint32_t> threads;    // teams; empty: 1 and the default number
  std::vector<DType> kv_types;      // empty: F16
  bool remeasure = false;           // forget what is remembered
  bool roofs_again = false;         // only the roofs: seconds, keeps the rates of the kernels
};

// Where the measurement is kept: $XDG_CACHE_HOME/edgewise/host.toml, else ~/.cache/edgewise/host.toml; a file
// for each instruction set that is forced. "" when there is no such folder to write in (it is measured each time).
std::string HostFile();

// Loads what is remembered (checking that it is of this CPU, program version and instruction set), measures what is
// missing with a progress bar, remembers it. Throws Error(kIo | kLimit).
Device HostDevice(const HostRequest& request);

}  // namespace edgewise
