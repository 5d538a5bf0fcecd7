#include "predict/op_time.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "machine/chip_cost.h"
#include "predict/test_machines.h"

namespace edgewise {
namespace {

using ::testing::HasSubstr;

constexpr Sequence kToken = {.rows = 1, .kv_len = 99, .logit_rows = 1};
const Efficiency kHalf = {.memory_share = 0.5, .compute_share = 0.5, .decode_share = 0.1, .op_s = 1e-6,
                              .from = ""};

OpTime PriceOf(const Device& device, const Model& model, const Step& step, Role role,
               const PriceOptions& options = {.efficiency = kHalf}) {
  return OpPricer(device, model, options).Price(OpWith(step, role), step);
}

std::string Refusal(const Device& device, const Model& model, const PriceOptions& options) {
  try {
    const OpPricer pricer(device, model, options);
    PriceStep(pricer, StepOf(model, {kToken}, DType::kQ4_0, DType::kQ4_0));
    return "";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUsage);
    return error.message();
  }
}

TEST(OpTimeTest, TheLongerOfTwoCountsAndTheRestIsAdded) {
  OpTime time = OpTime::Overlapping(3, 2);
  EXPECT_EQ(time.seconds(), 3);
  EXPECT_EQ(time.bound(), TimeBound::kMemory);
  time += OpTime::Overlapping(1, 5).Add(TimeBound::kOverhead, 0.5);
  EXPECT_EQ(time.seconds(), 3 + 5 + 0.5);  // not the longer of the sums, 7.5
  EXPECT_EQ(time.memory_s, 4);
  EXPECT_EQ(time.compute_s, 7);
  EXPECT_EQ(time.bound(), TimeBound::kCompute);
  EXPECT_EQ((time * 2).seconds(), 17);
  time.Add(TimeBound::kPaging, 6);
  EXPECT_EQ(time.bound(), TimeBound::kPaging);
}

// TinyLlama's Q: 2048 x 2048 weights in Q4_0 are 2,359,296 bytes, a row of activations in and out 16,384.
TEST(OpTimeTest, AProductOnPeaksIsPricedByHand) {
  const Model model = ModelOf("tinyllama-1.1b");
  const Step decode = StepOf(model, {kToken});
  const OpTime one = PriceOf(PlainDevice(), model, decode, Role::kQ);
  EXPECT_DOUBLE_EQ(one.memory_s, (2'359'296 + 16'384) / 5e9);
  EXPECT_DOUBLE_EQ(one.compute_s, 4'194'304 * 2 / 40e9);  // a tenth of 400 Gop/s
  EXPECT_DOUBLE_EQ(one.seconds(), one.memory_s + 1e-6);

  const Step prefill = StepOf(model, {{.rows = 512}});
  const OpTime many = PriceOf(PlainDevice(), model, prefill, Role::kQ);
  const double mac = 2 / 200e9, unpack = 2 / 40e9 - mac;
  EXPECT_DOUBLE_EQ(many.compute_s, 4'194'304 * (unpack + 512 * mac));
  EXPECT_EQ(many.bound(), TimeBound::kCompute);
}

// Attention multiplies floats: 4 x 64 x 32 x 100 operations at half of 200 Gop/s.
TEST(OpTimeTest, AttentionOnPeaksIsPricedByHand) {
  const Model model = ModelOf("tinyllama-1.1b");
  const OpTime time = PriceOf(PlainDevice(), model, StepOf(model, {kToken}), Role::kAttention);
  EXPECT_DOUBLE_EQ(time.compute_s, 819'200 / 100e9);
  EXPECT_DOUBLE_EQ(time.memory_s, (100 * 4 * 2 * 128 + 2 * 4 * 2048) / 5e9);
}

TEST(OpTimeTest, FewerThreadsOfACpuComputeLessAndReadAsFast) {
  const Model model = ModelOf("tinyllama-1.1b");
  const Step step = StepOf(model, {kToken});
  const auto with = [&](uint32_t threads) {
    return PriceOf(PlainDevice(), model, step, Role::kDown, {.threads = threads, .efficiency = kHalf});
  };
  EXPECT_DOUBLE_EQ(with(2).compute_s, 2 * with(4).compute_s);
  EXPECT_DOUBLE_EQ(with(2).memory_s, with(4).memory_s);
  EXPECT_DOUBLE_EQ(with(0).compute_s, with(4).compute_s);
  EXPECT_DOUBLE_EQ(with(9).compute_s, with(4).compute_s);  // there are four cores
  Device gpu = PlainDevice();
  gpu.kind = DeviceKind::kGpu;  // where threads are nothing of ours, and nothing multiplies bytes
  EXPECT_DOUBLE_EQ(PriceOf(gpu, model, step, Role::kDown, {.threads = 1, .efficiency = kHalf}).compute_s,
                   2 * with(4).compute_s);
}

TEST(OpTimeTest, AProductOnAMachineTakesTheRatesOfItsRows) {
  const Model model = ModelOf("tinyllama-1.1b");
  const Device machine = MeasuredMachine();
  const double weights = 4'194'304, bytes = 2'359'296;
  const auto q = [&](uint32_t rows) {
    return PriceOf(machine, model, StepOf(model, {{.rows = rows}}), Role::kQ, {.threads = 1});
  };
  EXPECT_DOUBLE_EQ(q(1).memory_s, bytes / (0.9 * 8e9));
  EXPECT_DOUBLE_EQ(q(1).compute_s, weights * 300e-12);
  EXPECT_DOUBLE_EQ(q(5).memory_s, bytes / (0.8 * 8e9));
  EXPECT_DOUBLE_EQ(q(5).compute_s, weights * (300e-12 + 5 * 100e-12));
  const double output = 2048 * 8000e-12;  // of each row: 2048 sums
  EXPECT_DOUBLE_EQ(q(512).compute_s, weights * (400e-12 + 512 * 50e-12) + 512 * output);
  // Beyond what was measured.
  EXPECT_DOUBLE_EQ(q(700).compute_s, weights * (400e-12 + 700 * 50e-12) + 700 * output);
  EXPECT_EQ(q(1).spent(TimeBound::kOverhead), 0);
}

// Rates are of the whole team, so nothing divides by threads once more.
TEST(OpTimeTest, ThreadsAreInTheRatesAlready) {
  const Model model = ModelOf("tinyllama-1.1b");
  Device device = MeasuredMachine();
  device.teams[1] = device.teams[0];
  device.teams[1].threads = 4;
  const Step step = StepOf(model, {{.rows = 64, .logit_rows = 1}});
  const double one = PriceStep(OpPricer(device, model, {.threads = 1}), step).total.seconds();
  EXPECT_EQ(PriceStep(OpPricer(device, model, {.threads = 4}), step).total.seconds(), one);
  EXPECT_NEAR(PriceStep(OpPricer(device, model, {.threads = 3}), step).total.seconds(), one, 1e-12 * one);
}

TEST(OpTimeTest, BetweenTeamsTimeIsAPartThatScalesAndOneThatDoesNot) {
  const Model model = ModelOf("tinyllama-1.1b");
  const Device machine = MeasuredMachine();
  const Step step = StepOf(model, {kToken});
  const auto compute = [&](uint32_t threads) {
    return PriceOf(machine, model, step, Role::kQ, {.threads = threads}).compute_s;
  };
  // a + b / n through n = 1 and n = 4: (1/2 - 1/4) / (1 - 1/4) = 1/3 of the way back.
  EXPECT_DOUBLE_EQ(compute(2), compute(4) + (compute(1) - compute(4)) / 3);
  EXPECT_DOUBLE_EQ(compute(1), 4 * compute(4));
  EXPECT_DOUBLE_EQ(compute(2), compute(1) / 2);  // what scales fully stays so
  EXPECT_EQ(OpPricer(machine, model, {}).threads(), 4u);  // the fastest
}

// TinyLlama at 100 positions: 32 heads of 64 make 204,800 pairs; the cache holds 100 x 4 x 64 values of K,
// and of V.
TEST(OpTimeTest, AttentionOnAMachineIsGroupedByKvHeads) {
  const Model model = ModelOf("tinyllama-1.1b");
  const auto attention = [&](DType k, DType v) {
    return PriceOf(MeasuredMachine(), model, StepOf(model, {kToken}, k, v), Role::kAttention, {.threads = 1});
  };
  const OpTime halves = attention(DType::kF16, DType::kF16);
  EXPECT_DOUBLE_EQ(halves.memory_s, 2 * 51'200 / (0.5 * 8e9));
  const double pieces = 4 * 2e-9;  // KV heads
  EXPECT_DOUBLE_EQ(halves.compute_s, 51'200 * 100e-12 + 204'800 * 100e-12 + pieces);
  const OpTime mixed = attention(DType::kQ8_0, DType::kF16);
  EXPECT_DOUBLE_EQ(mixed.memory_s, (25'600 * 34 / 32 + 51'200) / (0.5 * 8e9));
  EXPECT_DOUBLE_EQ(mixed.compute_s, halves.compute_s);  // with the same rates
}

// The rate is that of the query rows which share what is read of a KV head: 8 of a token, 32 x 8 of a block.
TEST(OpTimeTest, AttentionTakesTheRateOfTheRowsThatShareABlock) {
  const Model model = ModelOf("tinyllama-1.1b");
  const Step step = StepOf(model, {{.rows = 64}});
  const OpCost cost = CostOf(model, OpWith(step, Role::kAttention), step);
  const double values = static_cast<double>(cost.kv_read.value()) / 2;  // of 2 bytes
  const double pairs = static_cast<double>(cost.flops.value()) / 4;
  EXPECT_DOUBLE_EQ(PriceOf(MeasuredMachine(), model, step, Role::kAttention, {.threads = 1}).compute_s,
                   values * 100e-12 + pairs * 25e-12 + 2 * 4 * 3e-9);  // two blocks of four KV heads
}

// The operations and bytes priced are those of graph/cost.h, whatever shares keys.
TEST(OpTimeTest, AttentionIsPricedByTheFormulaOfTheGraph) {
  for (const char* name : {"tinyllama-1.1b", "smollm2-135m", "mistral-7b", "qwen3-0.6b", "llama2-7b"}) {
    const Model model = ModelOf(name);
    const Step step = StepOf(model, {{.rows = 33, .kv_len = 7000}, {.rows = 1, .kv_len = 12}});
    const Op& op = OpWith(step, Role::kAttention);
    const OpCost cost = CostOf(model, op, step);
    EXPECT_EQ(AttentionCost(op, step.sequences[0]).flops + AttentionCost(op, step.sequences[1]).flops,
              cost.flops);
    const OpTime time = PriceOf(PlainDevice(), model, step, Role::kAttention);
    EXPECT_DOUBLE_EQ(time.compute_s, static_cast<double>(cost.flops.value()) / 100e9);
    Device machine = MeasuredMachine();
    for (AttentionRate& rate : machine.teams[0].attention) rate.mac_s = 1e-12, rate.unpack_s = rate.each_s = 0;
    const OpTime measured = PriceOf(machine, model, step, Role::kAttention, {.threads = 1});
    EXPECT_NEAR(measured.compute_s, static_cast<double>(cost.flops.value()) / 4 * 1e-12, 1e-18);
    EXPECT_NEAR(measured.memory_s, static_cast<double>(cost.kv_read.value()) / 4e9, 1e-12);
  }
}

// The closed form of chips prices the same products from a shape, without a step.
TEST(OpTimeTest, AStepOnAChipIsItsWorkload) {
  const ModelShape shape = ShapeNamed("smollm2-135m");
  const Model model = Model::FromShape(shape, "Q8_0");
  for (const char* name : {"compact-532", "compact-rtl", "systolic-8x8", "edge-llm", "compact-4chip"}) {
    SCOPED_TRACE(name);
    Device device = ChipNamed(name);
    for (const Sequence& sequence : {Sequence{.rows = 1, .kv_len = 300, .logit_rows = 1},
                                     Sequence{.rows = 40, .kv_len = 100, .logit_rows = 0}}) {
      const Step step = StepOf(model, {sequence});
      const Workload work = WorkloadOf(shape.config, {.rows = sequence.rows, .context = sequence.kv_len,
                                                      .logit_rows = sequence.logit_rows});
      device.chip->host_macs_s = 0;
      const StepTime time = PriceStep(OpPricer(device, model, {}), step);
      const WorkloadCost cost = PriceWorkload(*device.chip, work, AttentionOn::kChip);
      EXPECT_NEAR(time.total.seconds(), cost.seconds(), 1e-9 * cost.seconds());
      EXPECT_NEAR(time.total.joules, cost.total.joules.total(), 1e-9 * cost.total.joules.total());

      device.chip->host_macs_s = 5e9;  // the host leaves out what the mask hides
      const StepTime hosted = PriceStep(OpPricer(device, model, {}), step);
      const WorkloadCost without = PriceWorkload(*device.chip, work, AttentionOn::kNothing);
      const Flops attention = CostOf(model, OpWith(step, Role::kAttention), step).flops;
      const double visible = static_cast<double>(attention.value());
      EXPECT_NEAR(hosted.total.seconds(), without.seconds() + 30 * visible / 2 / 5e9,
                  1e-9 * hosted.total.seconds());
    }
  }
}

TEST(OpTimeTest, WeightsThatMemoryDoesNotHoldAreWaitedFor) {
  const Model model = ModelOf("tinyllama-1.1b");
  const Step step = StepOf(model, {kToken});
  Device device = PlainDevice();
  device.storage_bytes_s = Figure{.value = 50e6};
  const PriceOptions options = {.efficiency = kHalf, .resident_share = 0.75};
  OpTime q = PriceOf(device, model, step, Role::kQ, options);
  EXPECT_DOUBLE_EQ(q.spent(TimeBound::kPaging), 2'359'296 / 4 / 50e6);
  EXPECT_DOUBLE_EQ(q.spent(TimeBound::kMemory), (2'359'296 + 16'384) / 5e9);  // read from memory all the same
  EXPECT_EQ(q.bound(), TimeBound::kPaging);
  EXPECT_EQ(PriceOf(device, model, step, Role::kAttention, options).spent(TimeBound::kPaging), 0);
  device.host_bytes_s = Figure{.value = 500e6};
  q = PriceOf(device, model, step, Role::kQ, options);
  EXPECT_DOUBLE_EQ(q.spent(TimeBound::kLink), 2'359'296 / 4 / 500e6);
  EXPECT_EQ(q.spent(TimeBound::kPaging), 0);
}

TEST(OpTimeTest, ACacheThatMemoryDoesNotHoldComesOverTheLink) {
  const Model model = ModelOf("tinyllama-1.1b");
  const Step step = StepOf(model, {{.rows = 1, .kv_len = 999, .logit_rows = 1}});
  Device device = PlainDevice();
  device.host_bytes_s = Figure{.value = 500e6};
  const PriceOptions options = {.efficiency = kHalf, .resident_kv = 0.75};
  const OpTime attention = PriceOf(device, model, step, Role::kAttention, options);
  EXPECT_DOUBLE_EQ(attention.spent(TimeBound::kLink), 1000 * 1024.0 / 4 / 500e6);
  EXPECT_EQ(attention.bound(), TimeBound::kLink);
  EXPECT_EQ(PriceOf(device, model, step, Role::kQ, options).spent(TimeBound::kLink), 0);
  // Of many rows too it comes once.
  const Step prefill = StepOf(model, {{.rows = 500, .kv_len = 500}});
  EXPECT_DOUBLE_EQ(PriceOf(device, model, prefill, Role::kAttention, options).spent(TimeBound::kLink),
                   1000 * 1024.0 / 4 / 500e6);
}

// A group of operators is a phase; rounding several rows for its products is one more. SmolLM2-135M: an
// embedding, 30 layers of four groups with products and one without, and the head.
TEST(OpTimeTest, SeveralRowsAreRoundedInPhasesOfTheirOwn) {
  const Model model = ModelOf("smollm2-135m", "Q8_0");
  EXPECT_EQ(PhasesOf(StepOf(model, {{.rows = 1, .logit_rows = 1}})), 1u + 30 * 5 + 1);
  EXPECT_EQ(PhasesOf(StepOf(model, {{.rows = 4, .logit_rows = 4}})), 1u + 30 * 9 + 2);
  EXPECT_EQ(PhasesOf(StepOf(model, {{.rows = 128, .logit_rows = 1}})), 1u + 30 * 9 + 1);
}

TEST(OpTimeTest, AStepIsTheSumOfItsOperatorsAndPhases) {
  const Model model = ModelOf("smollm2-135m", "Q8_0");
  const Step step = StepOf(model, {{.rows = 7, .kv_len = 3, .logit_rows = 2}, {.rows = 1, .logit_rows = 1}});
  const StepTime time = PriceStep(OpPricer(MeasuredMachine(), model, {.threads = 1}), step);
  ASSERT_EQ(time.ops.size(), step.ops.size());
  double ops = 0, roles = 0;
  for (const OpTime& op : time.ops) ops += op.seconds();
  for (const OpTime& role : time.by_role) roles += role.seconds();
  EXPECT_NEAR(ops, roles, 1e-12 * ops);
  EXPECT_NEAR(time.total.seconds(), ops + PhasesOf(step) * 5e-6 + 30e-6, 1e-12);
}

// Equal sequences are priced once, different ones each: attention of a batch is that of its sequences.
TEST(OpTimeTest, AttentionOfABatchIsThatOfItsSequences) {
  const Model model = ModelOf("smollm2-135m", "Q8_0");
  const Sequence a = {.rows = 1, .kv_len = 200}, b = {.rows = 1, .kv_len = 55};
  for (const Device& device : {MeasuredMachine(), ChipNamed("edge-llm"), ChipNamed("compact-532")}) {
    const auto attention = [&](std::vector<Sequence> sequences) {
      return PriceOf(device, model, StepOf(model, std::move(sequences)), Role::kAttention).seconds();
    };
    const double one = attention({a}), other = attention({b});
    EXPECT_NE(one, other);
    EXPECT_NEAR(attention({a, a, a}), 3 * one, 1e-9 * one);
    EXPECT_NEAR(attention({a, b, b, a}), 2 * one + 2 * other, 1e-9 * one);
  }
}

TEST(OpTimeTest, MoreOfAResourceIsNeverSlower) {
  const Model model = ModelOf("qwen2.5-0.5b", "Q4_K_M");
  for (const Sequence& sequence : {kToken, Sequence{.rows = 200, .kv_len = 50, .logit_rows = 1}}) {
    const Step step = StepOf(model, {sequence});
    double last = 1e9;
    for (double factor = 0.25; factor < 100; factor *= 1.7) {
      Device device = PlainDevice();
      device.memory_bytes_s.value *= factor;
      const OpPricer pricer(device, model, {.efficiency = kHalf});
      const double bandwidth = PriceStep(pricer, step).total.seconds();
      EXPECT_LE(bandwidth, last);
      last = bandwidth;
      for (auto* peak : {&device.f32_ops_s, &device.f16_ops_s, &device.int8_ops_s}) (*peak)->value *= 2;
      EXPECT_LE(PriceStep(OpPricer(device, model, {.efficiency = kHalf}), step).total.seconds(), bandwidth);
    }
  }
}

TEST(OpTimeTest, WhatWasNotMeasuredIsRefused) {
  const Device machine = MeasuredMachine();
  const Model model = ModelOf("tinyllama-1.1b");
  EXPECT_THAT(Refusal(machine, model, {.threads = 8}), HasSubstr("measured with 1, 4 threads"));
  EXPECT_THAT(Refusal(machine, model, {.threads = 1}), HasSubstr("a Q4_0 cache was not measured"));
  const Model k_quants = ModelOf("tinyllama-1.1b", "Q5_K_M");
  EXPECT_THAT(Refusal(machine, k_quants, {.threads = 1}), HasSubstr("Q5_K weights"));
}

}  // namespace
}  // namespace edgewise
