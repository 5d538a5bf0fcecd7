// The time of an operator on a device: the longer of computing and moving bytes, and an overhead.
//
// A device that was measured (Device::teams) is priced with the rates of its kernels; a chip with the closed
// form of its design (machine/chip_cost.h); any other with its peaks and explicit efficiency factors.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "graph/cost.h"
#include "graph/op.h"
#include "machine/device.h"
#include "predict/efficiency.h"

namespace edgewise {

enum class TimeBound : uint8_t { kMemory, kCompute, kOverhead, kPaging, kLink };
const char* NameOf(TimeBound bound);

struct OpTime {
  double memory_s = 0, compute_s = 0, overhead_s = 0;
  double paging_s = 0;  // reading what does not fit from storage, or weights over a link: not overlapped
  double joules = 0;    // of chips only; others price a request by watts (energy.h)

  double seconds() const;
  TimeBound bound() const;
  OpTime& operator+=(const OpTime& other);
};

// Prices the operators of a model's steps on one device. Immutable; any thread.
struct PriceOptions {
  uint32_t threads = 0;          // of a measured machine: 0 takes the fastest team
  Efficiency efficiency;         // of a device that is neither measured nor a chip
  double resident_share = 1;     // of the weights that stay in memory; the rest is read in each step
};

class OpPricer {
 public:
  // The device and the model must outlive it. Throws Error(kUsage): threads that were not measured (naming
  // those that were), a measured machine that lacks a weight type of the model (naming it).
  OpPricer(const Device& device, const Model& model, const PriceOptions& options);

  OpTime Price(const Op& op, const Step& step) const;

  // What a group costs besides its operators.
  double group_s() const;
  double step_s() const;
};

// Of a whole step: by operator (parallel to step.ops), by role, in total.
struct StepTime {
  std::vector<OpTime> ops;
  std::array<OpTime, kRoles> by_role{};
  OpTime total;           // the sum, groups and step included (as overhead)
};
StepTime PriceStep(const OpPricer& pricer, const Step& step);

}  // namespace edgewise
