// Measures what this machine's kernels reach, by running the engine on small models with random weights.
//
// Two models of one shape that no published model has: one of a few hundred MiB, whose weights come from
// memory as those of real models do, and one that stays in a core's own cache, which shows the arithmetic
// alone. All times are of roles (EngineOptions::profile), medians of rounds; the roofs are probed between the
// rounds.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/function_ref.h"
#include "base/memory.h"
#include "base/units.h"
#include "kernels/roof.h"
#include "machine/device.h"
#include "model/model.h"
#include "quant/dtype.h"

namespace edgewise {

// Of a team and one weight type. Elements and overheads are those of any type.
struct TypeRates {
  std::vector<ProductRate> products;
  double element_bytes_s = 0, phase_s = 0, step_s = 0;
};

// The model of weights in memory that the rates of a type are fitted on. Does not move: the model reads the
// memory.
struct ProbeModel {
  explicit ProbeModel(DType type);

  Model model;
  AnonymousMemory memory;
};

// How much slower than its rates say a machine is at the moment: shown by the models that the rates of a
// weight type were fitted on, which are run once more.
class DriftProbe {
 public:
  // Each look takes `least` or somewhat more.
  DriftProbe(const Device& device, DType type, DType kv_type, Seconds least);
  ~DriftProbe();
  // Steps of so many rows (a batch, a prompt): what they took over what they would, with the device's rates
  // and roof.
  double Look(uint32_t threads, uint32_t rows);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class HostMeasurer {
 public:
  HostMeasurer();
  ~HostMeasurer();

  // Of a team, alone: medians of probes over a second or so. cached_bytes_s: of `resident` bytes read over
  // and over, where half of the last cache holds them; else 0.
  struct Roofs {
    double read_bytes_s = 0, cached_bytes_s = 0, peak_ops_s = 0, f32_ops_s = 0;
  };
  Roofs RoofsOf(uint32_t threads, uint64_t resident);

  // Called between runs, which take a fraction of a second each; may throw.
  using Tick = FunctionRef<void()>;
  // Rates for a moment at which the team's peak is `peak_ops_s`: what the peak beside each run shows of the
  // clock and of neighbours is taken out.
  TypeRates Products(DType type, uint32_t threads, double peak_ops_s, Tick tick);
  std::vector<AttentionRate> Attention(DType kv_type, uint32_t threads, double peak_ops_s, Tick tick);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace edgewise
