#include "graph/workload.h"

#include <gtest/gtest.h>

#include <map>

#include "base/test_files.h"
#include "graph/cost.h"
#include "graph/op.h"

namespace edgewise {
namespace {

uint64_t MacsOfRole(const Workload& work, ProductRole role) {
  uint64_t sum = 0;
  for (const WorkProduct& product : work.products) sum += product.role == role ? MacsOf(product) : 0;
  return sum;
}

// How often a product of each kind and shape occurs.
using Counts = std::map<std::tuple<std::string, uint64_t, uint64_t, uint64_t>, uint64_t>;

Counts CountsOf(const Workload& work) {
  Counts counts;
  for (const WorkProduct& p : work.products) {
    if (!IsAttention(p.role)) counts[{p.name, p.m, p.n, p.k}] += p.count;
  }
  return counts;
}

Counts CountsOf(const Step& step) {
  Counts counts;
  for (const Op& op : step.ops) {
    if (op.kind == OpKind::kMatMul) ++counts[{NameOf(op.role), op.m, op.n, op.k}];
  }
  return counts;
}

TEST(Workload, OfAShapeIsWhatAStepOfThatModelMultiplies) {
  for (const std::string_view name : ShapeNames()) {
    const ModelShape shape = ShapeNamed(name);
    const Model model = Model::FromShape(shape.config, DType::kQ8_0, shape.tied_output);
    for (const WorkStep& work_step : {WorkStep{}, {1, 700, 1}, {8, 0, 8}, {512, 100, 1}, {64, 0, 0}}) {
      const Sequence sequence = {.rows = static_cast<uint32_t>(work_step.rows),
                                 .kv_len = static_cast<uint32_t>(work_step.context),
                                 .logit_rows = static_cast<uint32_t>(work_step.logit_rows)};
      Step step;
      BuildStep(model, DType::kF16, DType::kF16, {&sequence, 1}, step);
      const Workload work = WorkloadOf(shape.config, work_step);
      EXPECT_EQ(CountsOf(work), CountsOf(step)) << name << " " << work_step.rows;
    }
  }
}

TEST(Workload, DecodedAttentionIsWhatTheOperatorListCounts) {
  for (const std::string_view name : ShapeNames()) {
    const ModelShape shape = ShapeNamed(name);
    const Model model = Model::FromShape(shape.config, DType::kQ8_0, shape.tied_output);
    for (const uint32_t context : {0u, 100u, 5000u}) {  // beyond Mistral's window too
      const Sequence sequence = {.rows = 1, .kv_len = context, .logit_rows = 1};
      Step step;
      BuildStep(model, DType::kF16, DType::kF16, {&sequence, 1}, step);
      const Workload work = WorkloadOf(shape.config, {.context = context});
      EXPECT_EQ(2 * work.macs(true), CostOf(model, step).flops.value()) << name << " " << context;
    }
  }
}

TEST(Workload, HeadsThatShareKeysAreRowsOfOneProduct) {
  const Workload work = WorkloadNamed("tinyllama-1.1b", {.rows = 3, .context = 97});
  const WorkProduct& scores = work.products[3];
  EXPECT_EQ(scores.role, ProductRole::kScore);
  EXPECT_EQ(scores.count, 22u * 4);
  EXPECT_EQ(scores.m, 3u * 8);
  EXPECT_EQ(scores.n, 100u);
  EXPECT_EQ(scores.k, 64u);
  const WorkProduct& values = work.products[4];
  EXPECT_EQ(values.role, ProductRole::kValue);
  EXPECT_EQ(values.n, 64u);
  EXPECT_EQ(values.k, 100u);
  EXPECT_EQ(work.weights(), 1'034'420'224u);  // TinyLlama's parameters less embedding and norms
}

TEST(Workload, Gpt2IsTheRealOne) {
  const Workload work = WorkloadNamed("gpt2-small", {});
  EXPECT_EQ(work.layers, 12u);
  // 12 layers of 4 768^2 + 2 768 3072, and the head.
  EXPECT_EQ(work.weights(), 12u * 7'077'888 + 50257 * 768);
  EXPECT_EQ(CountsOf(work).count({"gate", 1, 3072, 768}), 0u);
  EXPECT_EQ(CountsOf(work).at({"up", 1, 3072, 768}), 12u);
}

TEST(Workload, EncodersAttendToAllTheirTokens) {
  const Workload work = WorkloadNamed("distilbert", {.rows = 128});
  EXPECT_EQ(work.macs(false), uint64_t{128} * 6 * 7'077'888);
  EXPECT_EQ(work.macs(true) - work.macs(false), uint64_t{6} * 2 * 128 * 128 * 768);
  EXPECT_EQ(WorkloadNamed("bert-base", {.rows = 128}).macs(false), 2 * work.macs(false));
}

TEST(Workload, MobileLlmHasThe124MillionWeightsOfItsCard) {
  EXPECT_NEAR(static_cast<double>(WorkloadNamed("mobilellm-125m", {}).weights()), 124.6e6, 0.05e6);
}

TEST(Workload, WhisperTiny) {
  const Workload encoder = WorkloadNamed("whisper-tiny-encoder", {});
  EXPECT_EQ(2 * encoder.macs(true), 36'937'728'000u);  // scores and convolutions included
  EXPECT_EQ(WhisperEncoder(384, 4, 1500, 80).macs(true), encoder.macs(true));
  EXPECT_EQ(WorkloadNamed("whisper-tiny-encoder", {.rows = 3}).macs(true), 3 * encoder.macs(true));
  // A token of the decoder: 56.4 MFLOP, without scores.
  EXPECT_EQ(2 * WorkloadNamed("whisper-tiny-decoder", {}).macs(false), 56'347'392u);
  EXPECT_EQ(WorkloadNamed("whisper-tiny-cross", {}).macs(true), uint64_t{4} * 2 * 1500 * 384 * 384);
  MessageOf(ErrorCode::kUsage, [] { WhisperEncoder(100, 4, 1500, 80); });
}

TEST(Workload, ConvolutionsByIm2col) {
  const Workload mobilenet = WorkloadNamed("mobilenet-v1", {});
  EXPECT_EQ(mobilenet.macs(true), 568'740'352u);  // the paper: 569 million
  EXPECT_EQ(MacsOfRole(mobilenet, ProductRole::kHead), 1024u * 1000);
  // 4.2 million parameters, of which norms and biases are none of ours.
  EXPECT_EQ(mobilenet.weights(), 4'209'088u);
  const Workload kws = WorkloadNamed("kws-ds-cnn-s", {});
  EXPECT_EQ(kws.macs(true), 2'656'768u);
  EXPECT_EQ(kws.weights(), 64u * 40 + 4 * 64 * 9 + 4 * 64 * 64 + 64 * 12);
}

TEST(Workload, AWindowLimitsThePositions) {
  const auto positions = [](const WorkStep& step) { return WorkloadNamed("mistral-7b", step).products[3].n; };
  EXPECT_EQ(positions({.context = 4095}), 4096u);
  EXPECT_EQ(positions({.context = 9999}), 4096u);
  EXPECT_EQ(positions({.rows = 10, .context = 9999}), 4096u + 9);
  EXPECT_EQ(positions({.rows = 10, .context = 5}), 15u);
}

TEST(Workload, EveryNameGivesOne) {
  std::map<std::string, int> seen;
  for (const std::string& name : WorkloadNames()) {
    const Workload work = WorkloadNamed(name, {.rows = 5, .context = 3, .logit_rows = 2});
    EXPECT_EQ(work.name, name);
    EXPECT_GT(work.macs(true), 0u) << name;
    EXPECT_EQ(++seen[name], 1) << name;
    for (const WorkProduct& p : work.products) EXPECT_GT(MacsOf(p), 0u) << name << " " << p.name;
  }
}

TEST(Workload, StepsThatCannotBeAreRefused) {
  for (const std::string& name : WorkloadNames()) {
    MessageOf(ErrorCode::kUsage, [&] { WorkloadNamed(name, {.rows = 0, .logit_rows = 0}); });
    MessageOf(ErrorCode::kUsage, [&] { WorkloadNamed(name, {.rows = 2, .logit_rows = 3}); });
    MessageOf(ErrorCode::kLimit, [&] { WorkloadNamed(name, {.rows = uint64_t{1} << 33}); });
    MessageOf(ErrorCode::kLimit, [&] { WorkloadNamed(name, {.context = ~uint64_t{0}}); });
  }
  const Workload huge = WorkloadNamed("llama2-7b", {.rows = uint64_t{1} << 32});
  MessageOf(ErrorCode::kLimit, [&] { huge.macs(true); });
  EXPECT_NE(MessageOf(ErrorCode::kUsage, [] { WorkloadNamed("gpt5", {}); }).find("gpt2-small"),
            std::string::npos);
  ModelConfig odd = ShapeNamed("llama2-7b").config;
  odd.kv_heads = 5;
  MessageOf(ErrorCode::kUsage, [&] { WorkloadOf(odd, {}); });
}

}  // namespace
}  // namespace edgewise
