#include "cli/compare_run.h"

#include <algorithm>
#include <cmath>

#include "base/strings.h"
#include "cli/bench_report.h"
#include "cli/chip_options.h"
#include "predict/request.h"

namespace edgewise {
namespace {

double SecondsOf(const BenchSample& sample, size_t role, uint32_t threads) {
  return sample.counters.by_role[role].busy.value() / threads;
}

constexpr double kNoticed = 0.1;     // CPUs that others take before they are blamed
constexpr double kLongEnough = 0.2;  // seconds: CPU time is counted in 10 ms

std::string Signed(double share) { return StrCat(share < 0 ? "" : "+", Number(100 * share, "%.1f"), "%"); }

}  // namespace

void ForEachStep(const Model& model, const BenchTest& test, const EngineOptions& options,
                 FunctionRef<void(const Step& step)> f) {
  Step step;
  std::vector<Sequence> sequences;
  if (test.prompt > 0) {
    for (uint32_t at = 0; at < test.prompt;) {
      const uint32_t rows = std::min(options.batch, test.prompt - at);
      const bool last = at + rows == test.prompt;
      sequences = {{.rows = rows, .kv_len = test.depth + at, .logit_rows = last ? 1u : 0u}};
      BuildStep(model, options.k_type, options.v_type, sequences, step);
      f(step);
      at += rows;
    }
    return;
  }
  for (uint32_t i = 0; i < test.generate; ++i) {
    sequences.clear();
    for (uint32_t slot = 0; slot < test.slots; ++slot) {
      sequences.push_back({.slot = slot, .rows = 1, .kv_len = test.depth + i, .logit_rows = 1});
    }
    BuildStep(model, options.k_type, options.v_type, sequences, step);
    f(step);
  }
}

TestPrediction PredictTest(const OpPricer& pricer, const Model& model, const BenchTest& test,
                           const EngineOptions& options) {
  TestPrediction prediction;
  prediction.test = test;
  ForEachStep(model, test, options, [&](const Step& step) {
    const StepTime time = PriceStep(pricer, step);
    for (size_t role = 0; role < kRoles; ++role) prediction.time.by_role[role] += time.by_role[role];
    prediction.time.total += time.total;
    ++prediction.steps;
  });
  if (test.first_token) {
    prediction.time.total.Add(TimeBound::kOverhead, test.prompt * PredictOptions().tokenize_token_s);
  }
  prediction.overhead_s = prediction.seconds();
  for (const OpTime& role : prediction.time.by_role) prediction.overhead_s -= role.seconds();
  return prediction;
}

Comparison Compare(TestPrediction predicted, BenchResult measured, double roof_bytes_s) {
  Comparison c;
  c.predicted = std::move(predicted);
  c.measured = std::move(measured);
  c.roof_bytes_s = roof_bytes_s;
  for (const BenchSample& sample : c.measured.samples) {
    c.foreseen_s.push_back(c.predicted.seconds() * sample.drift);
  }
  c.predicted_wait_s = c.predicted.overhead_s;
  const BenchSample& median = c.measured.median();
  c.measured_wait_s = median.elapsed.value();
  for (size_t i = 0; i < kRoles; ++i) {
    const OpTime& time = c.predicted.time.by_role[i];
    RoleComparison role = {.role = static_cast<Role>(i), .work = median.work_by_role[i]};
    role.predicted_s = time.seconds();
    role.measured_s = SecondsOf(median, i, c.measured.test.threads);
    role.predicted_share = role.predicted_s / c.predicted.seconds();
    role.measured_share = role.measured_s / median.elapsed.value();
    role.bound = time.bound();
    c.measured_wait_s -= role.measured_s;
    if (role.predicted_s > 0 || role.measured_s > 0) c.roles.push_back(role);
  }
  return c;
}

Spread Comparison::measured_s() const {
  std::vector<double> seconds;
  for (const BenchSample& sample : measured.samples) seconds.push_back(sample.elapsed.value());
  return SpreadOf(std::move(seconds));
}

double Comparison::tok_s(double seconds) const {
  return static_cast<double>(measured.test.tokens()) / seconds;
}

double Comparison::error() const { return measured_s().median / SpreadOf(foreseen_s).median - 1; }

double Comparison::first_error() const { return measured_s().median / predicted.seconds() - 1; }

double Comparison::near_bytes_s() const {
  const kernels::Roof near = measured.median().near();
  return 1e9 * std::max(near.read_gb_s, near.cached_gb_s);
}

double Comparison::worst_share() const {
  double worst = 0;
  for (const RoleComparison& role : roles) {
    worst = std::max(worst, std::abs(role.predicted_share - role.measured_share));
  }
  return worst;
}

std::string Comparison::Reason() const {
  const Spread seconds = measured_s();
  const double difference = predicted.seconds() - seconds.median;
  if (predicted.seconds() >= seconds.min && predicted.seconds() <= seconds.max) {
    return StrCat("within the runs, which spread by ", Number(100 * (seconds.max / seconds.min - 1), "%.0f"),
                  "%");
  }
  // What explains most of the difference: the roof that moved meanwhile, waiting, or an operator.
  const double others = measured.median().others.value() / seconds.median;
  if (others > kNoticed && seconds.median > kLongEnough && difference < 0) {
    return StrCat("other processes took ", Number(others, "%.1f"), " CPUs meanwhile");
  }
  const double near = near_bytes_s();
  const double by_memory = predicted.time.total.spent(TimeBound::kMemory);
  const double by_roof = by_memory * (1 - roof_bytes_s / near);
  const double by_wait = predicted_wait_s - measured_wait_s;
  const RoleComparison* most = nullptr;
  double by_role = 0;
  for (const RoleComparison& role : roles) {
    const double own = role.predicted_s - role.measured_s;
    if (own * difference <= 0 || std::abs(own) <= std::abs(by_role)) continue;
    by_role = own;
    most = &role;
  }
  const auto explains = [&](double part) {
    return part * difference > 0 && std::abs(part) >= std::abs(difference) / 2;
  };
  if (explains(by_roof)) {
    return StrCat("memory gave ", Rate(near / 1e9), " GB/s beside the runs, ", Rate(roof_bytes_s / 1e9),
                  " when predicted");
  }
  if (explains(by_wait)) {
    return StrCat("workers waited ", Number(100 * measured_wait_s / seconds.median, "%.0f"),
                  "% of the time, ", Number(100 * predicted_wait_s / predicted.seconds(), "%.0f"),
                  "% predicted");
  }
  if (most == nullptr) return "spread over many operators";
  return StrCat("most of it in ", NameOf(most->role), " (", NameOf(most->bound),
                "): ", Signed(most->predicted_s / most->measured_s - 1), " time");
}

}  // namespace edgewise
