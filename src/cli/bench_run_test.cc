#include "cli/bench_run.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "cli/bench_experiment.h"
#include "cli/bench_ops.h"
#include "cli/bench_report.h"
#include "model/shapes.h"

namespace edgewise {
namespace {

// Powers of ten, so that the expected shares are exact enough to be read.
constexpr kernels::Roof kRoof = {
    .read_gb_s = 10, .cached_gb_s = 0, .int8_gops = 100, .narrow_gops = 200, .f32_gops = 50};

TEST(ShareOf, TheLongerOfReadingAndComputingIsTheLeastTime) {
  Work work;
  work.bytes = Bytes(5'000'000'000);  // 0.5 s
  RoofShare share = ShareOf(work, Seconds(1), kRoof);
  EXPECT_DOUBLE_EQ(share.share, 0.5);
  EXPECT_EQ(share.bound, Bound::kMemory);

  work.int8 = Flops(20'000'000'000);    // 0.2 s
  work.narrow = Flops(40'000'000'000);  // 0.2 s
  work.floats = Flops(15'000'000'000);  // 0.3 s: one after the other 0.7 s
  share = ShareOf(work, Seconds(1), kRoof);
  EXPECT_DOUBLE_EQ(share.share, 0.7);
  EXPECT_EQ(share.bound, Bound::kCompute);
  EXPECT_DOUBLE_EQ(ShareOf(work, Seconds(2), kRoof).share, 0.35);
}

TEST(ShareOf, WeightsInACacheAreHeldAgainstTheCache) {
  kernels::Roof roof = kRoof;
  roof.cached_gb_s = 50;
  Work work;
  work.bytes = Bytes(5'000'000'000);
  const RoofShare share = ShareOf(work, Seconds(1), roof);
  EXPECT_DOUBLE_EQ(share.share, 0.1);
  EXPECT_EQ(share.bound, Bound::kCache);
}

TEST(ShareOf, NothingDoneIsNoShare) { EXPECT_EQ(ShareOf({}, Seconds(1), kRoof).share, 0); }

TEST(SpreadOf, MedianOfAnEvenNumberLiesBetween) {
  const Spread odd = SpreadOf({3, 1, 2}), even = SpreadOf({4, 1, 2, 3});
  EXPECT_EQ(odd.median, 2);
  EXPECT_EQ(odd.min, 1);
  EXPECT_EQ(odd.max, 3);
  EXPECT_EQ(even.median, 2.5);
}

// Products of 4-bit codes, attention's floats and the bytes come out as the formula has them.
TEST(WorkOf, DividesWhatWasCountedByArithmetic) {
  const ModelShape shape = ShapeNamed("smollm2-135m");
  const Model model = Model::FromShape(shape.config, DType::kQ4_0, shape.tied_output);
  const Sequence sequence = {.rows = 4, .kv_len = 100, .logit_rows = 1};
  Step step;
  BuildStep(model, DType::kF16, DType::kF16, {&sequence, 1}, step);
  Counters counters;
  Flops products(0), attention(0);
  for (const Op& op : step.ops) {
    const OpCost cost = CostOf(model, op, step);
    counters.by_role[static_cast<size_t>(op.role)].cost += cost;
    (op.kind == OpKind::kAttention ? attention : products) += cost.flops;
  }
  Work sum;
  for (const Work& work : WorkOf(counters, model, step)) sum += work;
  EXPECT_EQ(sum.narrow, products);
  EXPECT_EQ(sum.floats, attention);
  EXPECT_EQ(sum.int8, Flops(0));
  const OpCost all = CostOf(model, step);
  EXPECT_EQ(sum.bytes, all.weight_bytes + all.kv_read + all.kv_write);
}

BenchSample SampleOf(double seconds, double read_before, double read_after) {
  BenchSample sample;
  sample.elapsed = Seconds(seconds);
  sample.work.bytes = Bytes(1'000'000'000);
  sample.before = sample.after = kRoof;
  sample.before.read_gb_s = read_before;
  sample.after.read_gb_s = read_after;
  return sample;
}

BenchReport ReportBeside() {
  BenchReport report;
  const auto add = [&](uint32_t threads, Neighbourhood beside, double seconds) {
    BenchTest test = {.generate = 10, .threads = threads, .beside = beside};
    report.results.push_back({test, {SampleOf(seconds, 10, 10)}, {}});
  };
  add(2, {}, 1);
  add(2, {1, true}, 2);
  add(1, {}, 1.5);
  add(1, {1, true}, 2.5);
  report.roofs = {{.threads = 1, .best = kRoof}, {.threads = 2, .best = kRoof}};
  return report;
}

TEST(LinesOf, SharesAreOfTheRoofsNextToEachRun) {
  BenchReport report;
  report.results.push_back({{.generate = 1, .threads = 1, .beside = {}}, {}, {}});
  // The same speed thrice while the memory slowed down: 1 GB in 0.125 s of 16, 12 and 8 GB/s.
  for (const double read : {16.0, 8.0, 12.0}) {
    report.results[0].samples.push_back(SampleOf(0.125, read + 1, read - 1));
  }
  report.roofs = {{.threads = 1, .best = kRoof}};
  report.roofs[0].best.read_gb_s = 16;
  const BenchLine line = LinesOf(report, {})[0];
  EXPECT_DOUBLE_EQ(line.roof_share.median, 8.0 / 12);
  EXPECT_DOUBLE_EQ(line.roof_share.min, 8.0 / 16);
  EXPECT_DOUBLE_EQ(line.roof_share.max, 1);
  EXPECT_DOUBLE_EQ(line.roof_share_of_best, 8.0 / 16);
  EXPECT_DOUBLE_EQ(line.near.read_gb_s, 12);
  EXPECT_DOUBLE_EQ(line.gb_s.median, 8);
}

TEST(LinesOf, KeptIsOfTheSameTestAloneAndOfOneThreadBesideTheSame) {
  const std::vector<BenchLine> lines = LinesOf(ReportBeside(), {});
  EXPECT_FALSE(lines[0].kept.has_value());
  EXPECT_DOUBLE_EQ(lines[1].kept.value(), 0.5);
  EXPECT_DOUBLE_EQ(lines[1].of_one_thread.value(), 1.25);
  EXPECT_DOUBLE_EQ(lines[3].kept.value(), 0.6);
  EXPECT_DOUBLE_EQ(lines[3].of_one_thread.value(), 1);
}

TEST(CsvOf, EveryLineHasTheColumnsOfTheFirst) {
  const std::string csv = CsvOf(LinesOf(ReportBeside(), {.type = "Q4_0", .isa = "avx2",
                                                         .k_type = "f16", .v_type = "f16"}));
  std::vector<long> commas(1, 0);
  for (const char c : csv) {
    if (c == '\n') commas.push_back(0);
    if (c == ',') ++commas.back();
  }
  ASSERT_EQ(commas.size(), 6u);  // headings, four lines, what follows the last newline
  for (size_t i = 1; i < 5; ++i) EXPECT_EQ(commas[i], commas[0]) << csv;
}

TEST(OpsOf, WhatNoOperatorTookIsWaiting) {
  BenchResult result = {{.generate = 1, .threads = 2, .beside = {}}, {SampleOf(1, 10, 10)}, {}};
  RoleCount& gate = result.samples[0].counters.by_role[static_cast<size_t>(Role::kGate)];
  gate.busy = Seconds(1.5);
  result.samples[0].work_by_role[static_cast<size_t>(Role::kGate)].bytes = Bytes(6'000'000'000);
  const OpReport report = OpsOf(result);
  ASSERT_EQ(report.lines.size(), 1u);
  EXPECT_EQ(report.lines[0].role, "gate");
  EXPECT_DOUBLE_EQ(report.waiting.value(), 0.5);
  EXPECT_DOUBLE_EQ(report.lines[0].time_share, 0.75);
  // 6 GB in 0.75 s of both threads, of 10 GB/s.
  EXPECT_DOUBLE_EQ(report.lines[0].roof.value().share, 0.8);
}

TEST(ChoiceOf, SaysWhatStoodInTheWayOfABetterKernel) {
  const auto isas = kernels::SupportedIsas();
  for (const kernels::Isa isa : isas) {
    const KernelChoice choice = ChoiceOf(kernels::KernelsFor(isa), DType::kQ8_0, 256, 1);
    SCOPED_TRACE(choice.isa + ": " + choice.why);
    EXPECT_EQ(choice.columns, "1");
    EXPECT_EQ(choice.why.starts_with("EDGEWISE_ISA forces"), isa != isas.front());
    const KernelChoice narrow = ChoiceOf(kernels::KernelsFor(isa), DType::kQ8_0, 64, 512);
    EXPECT_EQ(narrow.why, "rows of 64 are below 256: multiplied in floats");
    EXPECT_EQ(narrow.columns, "many");
  }
}

TEST(Experiment, IsEveryTypeWithEveryInstructionSetAndKvType) {
  const Experiment experiment = ParseExperiment(R"(
    title = "a title"
    threads = [1, 2]
    repetitions = 7
    [[case]]
    shape = "tinyllama-1.1b"
    types = ["Q4_0", "Q4_K"]
    pure = true
    isa = ["avx2", "best"]
    kv = ["f16", "q8_0", "q4_0"]
    generate = [64]
    neighbours = ["1:pin"]
    [[case]]
    prompt = [16]
    threads = [3]
  )", "name");
  ASSERT_EQ(experiment.runs.size(), 2u * 2 * 3 + 1);
  const ExperimentRun& first = experiment.runs.front();
  EXPECT_EQ(first.file_name(), "tinyllama-1.1b-q4_0-pure.gguf");
  EXPECT_EQ(first.isa, "avx2");
  EXPECT_EQ(first.flags, (std::vector<std::string>{"-t", "1,2", "-p", "0", "-n", "64", "--neighbour",
                                                   "1:pin", "-ctk", "f16", "-ctv", "f16", "-r", "7"}));
  EXPECT_EQ(experiment.runs.back().shape, "");
  EXPECT_EQ(experiment.runs.back().flags[1], "3");
}

TEST(Experiment, ErrorsNameTheLine) {
  const auto message = [](const char* text) -> std::string {
    try {
      ParseExperiment(text, "x");
    } catch (const Error& error) {
      return error.message();
    }
    return "accepted";
  };
  EXPECT_EQ(message(""), "x.toml: it has no [[case]]");
  EXPECT_EQ(message("case = [1]"), "x.toml:1: a case is a table: [[case]]");
  EXPECT_EQ(message("[[case]]\nprompts = [1]"), "x.toml:2: unknown key 'prompts'");
  EXPECT_EQ(message("titel = 'x'\n[[case]]"), "x.toml:1: unknown key 'titel'");
  EXPECT_EQ(message("repetitions = 0\n[[case]]"), "x.toml:1: repetitions is a whole number above 0");
  EXPECT_EQ(message("[[case]]\nprompt = [-1]"), "x.toml:2: prompt has a negative number");
  EXPECT_EQ(message("[[case]]\nprompt = 5"), "x.toml:2: prompt is a list of whole numbers");
  EXPECT_EQ(message("[[case]]\nkv = [1]"), "x.toml:2: kv is a list of texts in quotes");
  EXPECT_EQ(message("[[case]]\nshape = 'tinyllama-1.1b'"),
            "x.toml:1: shape and types belong together");
  EXPECT_TRUE(message("[[case]]\nshape = 'none'\ntypes = ['Q4_0']").starts_with("no shape is named"));
  EXPECT_TRUE(message("[[case]\n").starts_with("x.toml:1: "));
}

}  // namespace
}  // namespace edgewise
