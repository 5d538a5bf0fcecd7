// This machine as a device: measured once, remembered, measured again on request.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "machine/device.h"
#include "model/model.h"
#include "quant/dtype.h"

namespace edgewise {

struct HostRequest {
  std::vector<DType> types;       // weight types that must be measured
  std::vector<uint32_t> threads;  // teams; empty: 1 and the default number
  std::vector<DType> kv_types;    // empty: F16
  uint64_t resident_bytes = 0;    // of the model's weights: what a cache holds is read faster; 0: no matter
  bool remeasure = false;         // forget what is remembered
  bool roofs_again = false;       // only the roofs: a second or so, keeps the rates of the kernels
};
// What a model needs: its weight types; the rest as given.
HostRequest HostRequestFor(const Model& model);

// Where the measurement is kept: $XDG_CACHE_HOME/edgewise/host.toml, else ~/.cache/edgewise/host.toml; a file
// for each instruction set that is forced. "" when neither variable is set (it is measured each time then).
std::string HostFile();

// Loads what is remembered (checking that it is of this CPU, program version and instruction set), measures
// what is missing with a progress bar, remembers it. What cannot be read or written is said on stderr and
// measured again. Throws Error(kLimit | kIo): no memory for the probes, interrupted; Error(kUsage) for
// threads that no team has.
Device HostDevice(const HostRequest& request);

}  // namespace edgewise
