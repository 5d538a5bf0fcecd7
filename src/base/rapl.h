// The energy that the processor's packages took, from the counters of Linux' powercap (RAPL: Intel since
// Sandy Bridge, AMD since Zen). Cores, caches and memory controllers; DRAM only where the package counts it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace edgewise {

class EnergyCounter {
 public:
  // `root` is put before every path, so that a test can describe another machine.
  explicit EnergyCounter(std::string root = "");

  // Whether there is a counter that this process may read; else why_not() says what is missing.
  bool present() const { return why_not_.empty(); }
  const std::string& why_not() const { return why_not_; }
  // Joules of all packages since the counter was made; 0 where there is none. To be asked at least once in
  // the time that a counter takes to wrap around: 262 kJ are 20 minutes at 200 W.
  double Joules();

 private:
  struct Package {
    std::string file;    // .../energy_uj
    uint64_t range = 0;  // of the counter, in microjoules: it goes on at 0 from there
    uint64_t last = 0;
    uint64_t sum = 0;
  };
  std::vector<Package> packages_;
  std::string why_not_;
};

}  // namespace edgewise
