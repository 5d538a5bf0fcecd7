// The time of an operator on a device: the longer of computing and moving bytes, and what neither hides.
//
// A device that was measured (Device::teams) is priced with the rates of its kernels; a chip with the closed
// form of its design (machine/chip_cost.h); any other with its peaks and explicit efficiency factors.
// docs/prediction.md derives the formulas. Operations and bytes are those of graph/cost.h.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "graph/cost.h"
#include "graph/op.h"
#include "machine/device.h"
#include "predict/efficiency.h"

namespace edgewise {

enum class TimeBound : uint8_t {
  kMemory,    // reading weights and cache, moving activations
  kCompute,
  kOverhead,  // launches, barriers, what a step costs besides
  kPaging,    // weights that memory does not hold, from storage
  kLink,      // weights and cache that memory does not hold, from the host; results between chips
};
inline constexpr size_t kTimeBounds = static_cast<size_t>(TimeBound::kLink) + 1;
const char* NameOf(TimeBound bound);

// Of one operator, or the sum of several. Speed-ups are not multiplied: of two times that overlap the longer
// counts, operator by operator.
struct OpTime {
  double memory_s = 0, compute_s = 0;          // what each would take by itself
  std::array<double, kTimeBounds> spent_s{};   // what is waited for: of those two the longer, and the rest
  double joules = 0;                           // of chips only; others are priced by watts (energy.h)

  // An operator that takes the longer of the two.
  static OpTime Overlapping(double memory_s, double compute_s);
  OpTime& Add(TimeBound bound, double seconds);

  double spent(TimeBound bound) const { return spent_s[static_cast<size_t>(bound)]; }
  double seconds() const;
  TimeBound bound() const;  // what most of the time is spent on
  OpTime& operator+=(const OpTime& other);
  OpTime operator*(double times) const;
};

struct PriceOptions {
  // Of a measured machine: 0 takes those that decode fastest; between two that were measured, time is
  // interpolated as a + b / threads (Amdahl). Of another CPU: its arithmetic peak shrinks to threads / cores;
  // 0: all cores.
  uint32_t threads = 0;
  Efficiency efficiency = {};  // of a device that is neither measured nor a chip
  // Of the weights that stay in the device's memory. The rest comes over the link (Device::host_bytes_s) or
  // else from storage in each step, and nothing else happens meanwhile. Requires 1 for a device with neither.
  double resident_share = 1;
  // The same of the KV cache, which no storage keeps. Requires 1 for a device without a link.
  double resident_kv = 1;
};

// Prices the operators of a model's steps on one device. Immutable; any thread.
class OpPricer {
 public:
  // The device and the model must outlive it. Throws Error(kUsage): threads outside those that were measured
  // (naming them), a measured machine that lacks a weight type of the model (naming it).
  OpPricer(const Device& device, const Model& model, const PriceOptions& options);

  // Throws Error(kUsage) for attention over a KV type that a measured machine lacks, Error(kLimit) as
  // PriceProduct does.
  OpTime Price(const Op& op, const Step& step) const;
  // The same for who knows CostOf(op, step) already. Of the step only its sequences are read.
  OpTime Price(const Op& op, const OpCost& cost, const Step& step) const;

  bool is_chip() const { return device_.chip.has_value(); }
  double phase_s() const;    // what a phase costs besides its operators
  double step_s() const;     // and a step besides its phases
  uint32_t threads() const { return threads_; }  // those priced; 0 where threads do not matter

 private:
  OpTime PriceOnTeam(const TeamRate& team, const Op& op, const OpCost& cost, const Step& step) const;
  OpTime AttentionOnTeam(const TeamRate& team, const Op& op, const Step& step) const;
  OpTime PriceOnPeaks(const Op& op, const OpCost& cost) const;
  OpTime PriceOnChip(const ChipDesign& design, const Op& op, const Step& step) const;
  void ChooseTeams(uint32_t threads);
  double Blend(double fewer, double more) const { return more + share_of_fewer_ * (fewer - more); }

  const Device& device_;
  const Model& model_;
  PriceOptions options_;
  uint32_t threads_ = 0;
  const TeamRate* fewer_ = nullptr;  // the measured teams around threads_: the same where it was measured
  const TeamRate* more_ = nullptr;
  double share_of_fewer_ = 0;
};

// Stretches of a step between two barriers of the team: one for each group of operators, and one more where
// products of several rows have these rounded beforehand, which a single row has every worker do for itself.
uint32_t PhasesOf(const Step& step);

// Of a whole step, or of several.
struct RoleTimes {
  std::array<OpTime, kRoles> by_role{};
  OpTime total;  // the sum, and what phases and the step cost besides (kOverhead)
};
struct StepTime : RoleTimes {
  std::vector<OpTime> ops;  // parallel to step.ops
};
StepTime PriceStep(const OpPricer& pricer, const Step& step);

}  // namespace edgewise
