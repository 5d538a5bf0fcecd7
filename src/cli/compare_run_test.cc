#include "cli/compare_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/memory.h"
#include "cli/compare_report.h"
#include "cli/host_measure.h"
#include "model/random_weights.h"
#include "predict/request.h"

namespace edgewise {
namespace {

using ::testing::HasSubstr;

ModelConfig SmallConfig() {
  ModelConfig config;
  config.architecture = "llama";
  config.vocab = 300, config.context = 64, config.width = 256, config.layers = 2, config.ffn = 512;
  config.heads = 4, config.kv_heads = 2, config.head_dim = 64;
  config.rope.dims = 64;
  return config;
}

// A small model that can run.
struct RunnableModel {
  RunnableModel()
      : model(Model::FromShape(SmallConfig(), DType::kQ8_0, true)), memory(model.PlaceWeights(nullptr)) {
    model.PlaceWeights(memory.data());
    for (const Weight& w : model.weights()) {
      const auto at = static_cast<size_t>(w.data - memory.data());
      RandomWeights(w.type, 0.02).Fill(1, std::span(memory.data() + at, w.bytes()));
    }
  }
  Model model;
  AnonymousMemory memory;
};

// A machine whose every rate is a round number.
Device RoundDevice() {
  Device device;
  device.name = "round";
  TeamRate team;
  team.threads = 1;
  team.read_bytes_s.value = 1e9;
  ProductRate product;
  product.type = DType::kQ8_0;
  product.most_rows = UINT32_MAX;
  product.mac_s = 1e-10;
  team.products = {product};
  AttentionRate attention;
  attention.most_rows = UINT32_MAX;
  attention.mac_s = 1e-9;
  team.attention = {attention};
  team.element_bytes_s = 1e10;
  team.phase_s = 1e-6;
  team.step_s = 1e-5;
  device.teams = {team};
  return device;
}

TEST(ForEachStep, AreTheStepsThatAreMeasured) {
  const RunnableModel runnable;
  BenchPlan plan;
  plan.repeats = 1;
  plan.options.batch = 8;
  plan.tests = {{.prompt = 19, .threads = 1, .beside = {}},
                {.generate = 3, .slots = 2, .depth = 5, .threads = 1, .beside = {}}};
  const BenchReport report = RunBench(runnable.model, plan, [](uint64_t, uint64_t) {});
  for (size_t i = 0; i < plan.tests.size(); ++i) {
    SCOPED_TRACE(plan.tests[i].name());
    std::array<OpCost, kRoles> costs{};
    const EngineOptions options = BenchEngineOptions(runnable.model, plan, 1);
    ForEachStep(runnable.model, plan.tests[i], options, [&](const Step& step) {
      for (const Op& op : step.ops) {
        costs[static_cast<size_t>(op.role)] += CostOf(runnable.model, op, step);
      }
    });
    const Counters& counters = report.results[i].samples[0].counters;
    for (size_t role = 0; role < kRoles; ++role) {
      OpCost cost = costs[role];
      cost.activation_bytes = Bytes(0);  // not counted by the engine
      EXPECT_EQ(counters.by_role[role].cost, cost) << NameOf(static_cast<Role>(role));
    }
  }
}

TEST(PredictTest, TheFirstTokenIsTokenisingAndPrefill) {
  const Model model = Model::FromShape(SmallConfig(), DType::kQ8_0, true);
  const Device device = RoundDevice();
  const OpPricer pricer(device, model, {.threads = 1, .efficiency = {}, .resident_share = 1});
  BenchTest test = {.prompt = 19, .threads = 1, .beside = {}};
  const double prefill = PredictTest(pricer, model, test, EngineOptions()).seconds();
  test.first_token = true;
  EXPECT_EQ(test.name(), "ttft19");
  EXPECT_NEAR(PredictTest(pricer, model, test, EngineOptions()).seconds(),
              prefill + 19 * PredictOptions().tokenize_token_s, 1e-12);
}

TEST(RunBench, TheFirstTokenTakesTheTokensOfTheText) {
  const RunnableModel runnable;
  BenchPlan plan;
  plan.repeats = 2;
  plan.tests = {{.prompt = 19, .threads = 1, .first_token = true, .beside = {}}};
  uint32_t asked = 0;
  plan.tokenize = [&](uint32_t count) {
    ++asked;
    return std::vector<TokenId>(count + 3, 7);
  };
  std::vector<std::string> looked;
  plan.before_run = [&](const BenchTest& test) {
    looked.push_back(test.name());
    return 1.0 + static_cast<double>(looked.size());
  };
  const BenchReport report = RunBench(runnable.model, plan, [](uint64_t, uint64_t) {});
  EXPECT_EQ(asked, 3u);  // once to warm up
  EXPECT_EQ(looked, std::vector<std::string>(3, "ttft19"));
  EXPECT_EQ(report.results[0].samples[0].drift, 3);  // the first look was before the warm-up
  EXPECT_EQ(report.results[0].samples[1].drift, 4);
  BenchPlan prefill = plan;
  prefill.tests[0].first_token = false;
  const BenchReport same = RunBench(runnable.model, prefill, [](uint64_t, uint64_t) {});
  EXPECT_EQ(report.results[0].samples[0].work.flops(), same.results[0].samples[0].work.flops());
}

TEST(PredictTest, AddsUpStepsAndWhatIsOutsideOperators) {
  const Model model = Model::FromShape(SmallConfig(), DType::kQ8_0, true);
  const Device device = RoundDevice();
  const OpPricer pricer(device, model, {.threads = 1, .efficiency = {}, .resident_share = 1});
  EngineOptions options;
  options.batch = 8;
  const BenchTest test = {.prompt = 19, .threads = 1, .beside = {}};
  const TestPrediction prediction = PredictTest(pricer, model, test, options);
  EXPECT_EQ(prediction.steps, 3u);
  double seconds = 0, overhead = 0;
  ForEachStep(model, test, options, [&](const Step& step) {
    seconds += PriceStep(pricer, step).total.seconds();
    overhead += PhasesOf(step) * 1e-6 + 1e-5;
  });
  EXPECT_DOUBLE_EQ(prediction.seconds(), seconds);
  EXPECT_NEAR(prediction.overhead_s, overhead, 1e-12);
}

// One test whose only operator is the head.
Comparison Made(double predicted_head, double predicted_wait, double measured_head,
                std::vector<double> seconds, double roof_then, double roof_now) {
  TestPrediction predicted;
  predicted.test = {.generate = 1, .threads = 1, .beside = {}};
  OpTime head = OpTime::Overlapping(predicted_head, 0);
  predicted.time.by_role[static_cast<size_t>(Role::kHead)] = head;
  predicted.time.total = head.Add(TimeBound::kOverhead, predicted_wait);
  predicted.overhead_s = predicted_wait;
  BenchResult measured = {predicted.test, {}, {}};
  for (const double elapsed : seconds) {
    BenchSample sample;
    sample.elapsed = Seconds(elapsed);
    sample.counters.by_role[static_cast<size_t>(Role::kHead)].busy = Seconds(measured_head);
    sample.drift = 2;  // before each run the machine was found to be half as fast
    sample.before.read_gb_s = sample.after.read_gb_s = roof_now;
    measured.samples.push_back(sample);
  }
  return Compare(std::move(predicted), std::move(measured), roof_then * 1e9);
}

TEST(Comparison, ErrorsAreOfSpeedAndSharesOfTime) {
  const Comparison c = Made(1, 1, 3, {4, 4, 5}, 10, 10);
  EXPECT_DOUBLE_EQ(c.first_error(), 1);  // half the time, twice the speed
  EXPECT_DOUBLE_EQ(c.error(), 0);        // half as fast
  EXPECT_DOUBLE_EQ(c.worst_share(), 0.25);
  EXPECT_DOUBLE_EQ(c.measured_wait_s, 1);
  ASSERT_EQ(c.roles.size(), 1u);
}

TEST(Comparison, SaysWhyItIsOff) {
  EXPECT_THAT(Made(1, 0, 1, {0.9, 1.1, 1.2}, 10, 10).Reason(),
              HasSubstr("within the runs, which spread by 33%"));
  // A memory at half the speed explains twice the time.
  EXPECT_EQ(Made(1, 0, 2, {2, 2.1, 2.2}, 10, 5).Reason(),
            "memory gave 5.00 GB/s beside the runs, 10.0 when predicted");
  EXPECT_EQ(Made(1, 0, 1, {2, 2.1, 2.2}, 10, 10).Reason(), "workers waited 52% of the time, 0% predicted");
  EXPECT_EQ(Made(1, 0, 2, {2, 2.1, 2.2}, 10, 10).Reason(), "most of it in head (memory): -50.0% time");
}

// Against rates of a second for each weight, and against rates of next to no time.
TEST(DriftProbe, IsTheTimeTakenOverTheTimeOfTheRates) {
  Device device = RoundDevice();
  device.teams[0].products[0].mac_s = 1;
  DriftProbe slow(device, DType::kQ8_0, DType::kF16, Seconds(1e-3));
  const double drift = slow.Look(1, 16);
  EXPECT_GT(drift, 0);
  EXPECT_LT(drift, 1e-6);
  device.teams[0].products[0].mac_s = 1e-15;
  device.teams[0].read_bytes_s.value = 1e15;
  device.teams[0].attention[0].mac_s = 1e-15;
  device.teams[0].element_bytes_s = 1e15;
  device.teams[0].phase_s = device.teams[0].step_s = 1e-9;
  DriftProbe fast(device, DType::kQ8_0, DType::kF16, Seconds(1e-3));
  EXPECT_GT(fast.Look(1, 16), 10);
  EXPECT_GT(fast.Look(1, 1), 10);
}

TEST(ScoreText, NeedsThreeTests) {
  ComparedModel model;
  model.tests.push_back(Made(1, 0, 1, {2.5}, 10, 10));
  model.tests.push_back(Made(1, 0, 1, {2}, 10, 10));
  EXPECT_EQ(ScoreText(std::span(&model, 1)), "");
  model.tests.push_back(Made(1, 0, 1, {2.1, 2.2, 2.4}, 10, 10));
  EXPECT_THAT(ScoreText(std::span(&model, 1)),
              HasSubstr("decode: speed off by 10.0% (median), 25.0% (worst) in 3 tests; as first predicted "
                        "120.0% (median), 150.0% (worst); runs spread by 0.0% (median), 14.3% (worst)"));
}

}  // namespace
}  // namespace edgewise
