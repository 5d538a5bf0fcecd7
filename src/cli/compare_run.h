// A model's tests predicted, simulated and measured, operator by operator (role by role): the central table.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/bench_run.h"
#include "predict/op_time.h"

namespace edgewise {

// What was predicted of a test: sums over its steps.
struct TestPrediction {
  BenchTest test;
  StepTime time;          // `ops` is empty
  double overhead_s = 0;  // of groups and steps, outside of the operators
  uint32_t steps = 0;

  double seconds() const { return time.total.seconds(); }
};

// The operator lists of a test: the chunks of its prompt, or its decoded tokens. Calls f(step) for each.
void ForEachStep(const Model& model, const BenchTest& test, const EngineOptions& options,
                 FunctionRef<void(const Step& step)> f);
TestPrediction PredictTest(const OpPricer& pricer, const Model& model, const BenchTest& test,
                           const EngineOptions& options);

// One role of a compared test. Seconds of the whole team.
struct RoleComparison {
  Role role;
  double predicted_s = 0, measured_s = 0;          // measured: the median run
  double predicted_share = 0, measured_share = 0;  // of the whole time
  TimeBound bound = TimeBound::kMemory;            // predicted
  Work work;                                       // counted while measuring
};

struct Comparison {
  TestPrediction predicted;            // printed before anything was measured
  BenchResult measured;
  std::vector<RoleComparison> roles;  // in the order of the step; those that take no time are left out
  double roof_bytes_s = 0;            // that the prediction took
  std::vector<double> foreseen_s;     // the same for each run, times the drift just before it
  double predicted_wait_s = 0,
         measured_wait_s = 0;  // neither in an operator: barriers, waking, the scheduler

  Spread measured_s() const;  // of the runs
  double tok_s(double seconds) const;
  // Predicted tokens a second over those measured, less 1; medians. Of what was foreseen just before each
  // run, and of the prediction that was printed before all of them.
  double error() const;
  double first_error() const;
  double near_bytes_s() const;  // the roof beside the median run
  double worst_share() const;   // the largest difference of a role's share of time, as a fraction
  std::string Reason() const;   // why they differ, in a line
};
// `roof_bytes_s`: what the prediction took.
Comparison Compare(TestPrediction predicted, BenchResult measured, double roof_bytes_s);

}  // namespace edgewise
