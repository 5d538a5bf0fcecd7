#include "predict/request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "base/error.h"
#include "predict/test_machines.h"

namespace edgewise {
namespace {

using ::testing::HasSubstr;

const Efficiency kHalf = {.memory_share = 0.5, .compute_share = 0.5, .decode_share = 0.1, .op_s = 1e-6,
                              .error = 0.2, .from = "half"};

Prediction PredictionOf(const Device& device, const Model& model, const Usage& usage) {
  return Predict(device, model, usage, PlainNeed, {.efficiency = kHalf});
}

// By pricing every step there is.
double PrefillByWalking(const OpPricer& pricer, const Model& model, const Usage& usage) {
  double seconds = 0;
  for (uint32_t at = usage.cached_prefix; at < usage.prompt; at += usage.chunk) {
    const uint32_t rows = std::min(usage.chunk, usage.prompt - at);
    const uint32_t logit_rows = at + rows == usage.prompt ? 1 : 0;
    const Step step = StepOf(model, {{.rows = rows, .kv_len = at, .logit_rows = logit_rows}}, usage.k_type,
                             usage.v_type);
    seconds += PriceStep(pricer, step).total.seconds();
  }
  return seconds * usage.batch;
}

double DecodeByWalking(const OpPricer& pricer, const Model& model, const Usage& usage) {
  double seconds = 0;
  const uint32_t rows = usage.draft_tokens + 1;
  for (uint32_t i = 0; i + 1 < usage.generate; ++i) {
    const std::vector<Sequence> all(usage.batch,
                                    {.rows = rows, .kv_len = usage.prompt + i, .logit_rows = rows});
    seconds += PriceStep(pricer, StepOf(model, all, usage.k_type, usage.v_type)).total.seconds();
  }
  return seconds / (usage.generate - 1);
}

TEST(RequestTest, SumsWithoutWalkingEqualThoseOfEveryStep) {
  ModelShape windowed = ShapeNamed("smollm2-135m");
  windowed.config.window = 700;
  const Model plain = ModelOf("smollm2-135m", "Q8_0"), sliding = Model::FromShape(windowed, "Q8_0");
  Usage chunks = {.prompt = 1500, .generate = 40, .chunk = 256};
  Usage long_text = {.prompt = 3, .generate = 1200, .batch = 2};
  long_text.k_type = long_text.v_type = DType::kQ8_0;
  Usage drafts = {.prompt = 600, .generate = 300, .cached_prefix = 77, .draft_tokens = 3, .acceptance = 0.5};
  for (const Device& device : {PlainDevice(), MeasuredMachine(), ChipNamed("edge-llm"),
                               ChipNamed("compact-532")}) {
    for (const Model* model : {&plain, &sliding}) {
      for (const Usage& usage : {chunks, long_text, drafts}) {
        SCOPED_TRACE(StrCat(device.name, " window ", model->config().window, " prompt ", usage.prompt));
        const Prediction p = PredictionOf(device, *model, usage);
        const OpPricer pricer(device, *model, {.efficiency = kHalf});
        const double prefill = PrefillByWalking(pricer, *model, usage);
        EXPECT_NEAR(p.prefill_s + p.first_decode_s, prefill, 1e-9 * prefill);
        EXPECT_NEAR(p.prefill.total.seconds(), prefill, 1e-9 * prefill);
        const double decode = DecodeByWalking(pricer, *model, usage);
        // Linear in the position: exact. Chips take steps of whole tiles, a window bends the line.
        const bool linear = !device.chip && model->config().window == 0;
        EXPECT_NEAR(p.tpot_s * p.tokens_per_step, decode, (linear ? 1e-9 : 1e-3) * decode);
      }
    }
  }
}

TEST(RequestTest, PartsAddUp) {
  const Model model = ModelOf("tinyllama-1.1b", "Q8_0");
  Device device = PlainDevice();
  device.storage_bytes_s = Figure{.value = 500e6};
  const Usage usage = {.prompt = 700, .generate = 50, .batch = 3};
  const Prediction p = Predict(device, model, usage, PlainNeed,
                               {.efficiency = kHalf, .include_load = true, .watts_share = 0.8,
                                .tokenize_token_s = 1e-5});
  EXPECT_DOUBLE_EQ(p.load_s, static_cast<double>(model.weight_bytes()) / 500e6);
  EXPECT_DOUBLE_EQ(p.tokenize_s, 700 * 3 * 1e-5);
  EXPECT_DOUBLE_EQ(p.ttft_s(), p.load_s + p.tokenize_s + p.prefill_s + p.first_decode_s);
  EXPECT_DOUBLE_EQ(p.end_to_end_s, p.ttft_s() + 49 * p.tpot_s);
  EXPECT_DOUBLE_EQ(p.throughput_tok_s, 3 * p.tok_s);
  EXPECT_DOUBLE_EQ(p.prefill_tok_s, 2100 / (p.prefill_s + p.first_decode_s));
  EXPECT_DOUBLE_EQ(p.watts, 4);
  EXPECT_DOUBLE_EQ(p.joules_per_token, 4 / p.throughput_tok_s);
  EXPECT_DOUBLE_EQ(p.request_joules, 4 * p.end_to_end_s);
  EXPECT_EQ(p.bound, TimeBound::kMemory);
  EXPECT_EQ(p.error, 0.2);
  EXPECT_EQ(p.efficiency_from, "half");
  // The head's share of the prefill is what comes after it: 65.5M weights in Q8_0 for one row.
  EXPECT_GT(p.first_decode_s, 3 * 65'536'000 * 34.0 / 32 / 5e9);
}

TEST(RequestTest, OneTokenNeedsNoDecode) {
  EXPECT_EQ(EndToEnd(400, 100, 50), 5350);
  EXPECT_EQ(EndToEnd(400, 1, 50), 400);
  EXPECT_EQ(EndToEnd(400, 0, 50), 400);
  const Prediction p = PredictionOf(PlainDevice(), ModelOf("smollm2-135m"), {.prompt = 9, .generate = 1});
  EXPECT_DOUBLE_EQ(p.end_to_end_s, p.ttft_s());
  EXPECT_GT(p.tok_s, 0);
}

TEST(RequestTest, SpeculationGivesAGeometricSumOfTokens) {
  EXPECT_EQ(TokensPerStep(0, 0.7), 1);
  EXPECT_EQ(TokensPerStep(4, 0), 1);
  EXPECT_EQ(TokensPerStep(4, 1), 5);
  EXPECT_DOUBLE_EQ(TokensPerStep(4, 0.5), 1 + 0.5 + 0.25 + 0.125 + 0.0625);
  EXPECT_NEAR(TokensPerStep(4, 1 - 1e-9), 5, 1e-6);

  // Where reading the weights takes all the time, five rows cost little more than one; the draft is on top.
  const Model model = ModelOf("tinyllama-1.1b");
  Device device = PlainDevice();
  for (auto* peak : {&device.f32_ops_s, &device.f16_ops_s, &device.int8_ops_s}) (*peak)->value *= 100;
  const Usage without = {.prompt = 100, .generate = 200};
  Usage with = without;
  with.draft_tokens = 4;
  with.acceptance = 0.8;
  const double before = PredictionOf(device, model, without).tpot_s;
  const double gain = before / PredictionOf(device, model, with).tpot_s;
  EXPECT_LT(gain, TokensPerStep(4, 0.8));
  EXPECT_GT(gain, 0.9 * TokensPerStep(4, 0.8));
  const double free_draft = PredictionOf(device, model, with).tpot_s;
  with.draft_s = 0.01;
  EXPECT_NEAR(PredictionOf(device, model, with).tpot_s, free_draft + 0.04 / TokensPerStep(4, 0.8), 1e-12);
  with.acceptance = 0;  // all in vain
  EXPECT_GT(PredictionOf(device, model, with).tpot_s, before);
}

TEST(RequestTest, ACachedPrefixIsNotComputedAgain) {
  const Model model = ModelOf("tinyllama-1.1b");
  const Prediction whole = PredictionOf(PlainDevice(), model, {.prompt = 1024, .chunk = 512});
  const Usage cached = {.prompt = 1024, .chunk = 512, .cached_prefix = 512};
  const Prediction rest = PredictionOf(PlainDevice(), model, cached);
  const Prediction first = PredictionOf(PlainDevice(), model, {.prompt = 512, .chunk = 512});
  EXPECT_NEAR(rest.prefill_s + first.prefill_s, whole.prefill_s, 1e-9);
  EXPECT_DOUBLE_EQ(rest.tok_s, whole.tok_s);
}

TEST(RequestTest, MoreContextIsNeverFasterAndSmallerCachesNeverSlower) {
  const Model model = ModelOf("llama3.2-1b");
  double last = 0;
  for (const uint32_t prompt : {16u, 512u, 4096u, 32768u}) {
    const Usage usage = {.prompt = prompt, .generate = 64};
    const double tpot = PredictionOf(PlainDevice(), model, usage).tpot_s;
    EXPECT_GT(tpot, last);
    last = tpot;
    Usage small = usage;
    small.k_type = small.v_type = DType::kQ8_0;
    EXPECT_LE(PredictionOf(PlainDevice(), model, small).tpot_s, tpot);
  }
}

TEST(RequestTest, BatchesShareTheWeights) {
  const Model model = ModelOf("tinyllama-1.1b");
  Device device = PlainDevice();
  device.int8_ops_s->value = 40e12;
  const double one = PredictionOf(device, model, {}).throughput_tok_s;
  const double eight = PredictionOf(device, model, {.batch = 8}).throughput_tok_s;
  EXPECT_GT(eight, 6 * one);
  EXPECT_LT(eight, 8 * one);
}

// 6.74e9 weights in Q4_0 beside the system on a board of 4 GB, whose card gives 45 MB/s: what was measured
// there is 0.1 tok/s. With 8 GB the same program does what the memory allows.
TEST(RequestTest, ARaspberryPiWhoseMemoryIsTooSmallReadsItsCard) {
  const DeviceCatalog catalog({EDGEWISE_SOURCE_DIR "/devices"}, ChipCatalog({}));
  const Device small = catalog.Find("rpi4");
  const Model model = ModelOf("llama2-7b");
  const Usage usage = {.prompt = 64, .generate = 64};
  PredictOptions options = {.efficiency = kHalf};
  options.efficiency.decode_share = 0.2;
  const Prediction paging = Predict(small, model, usage, PlainNeed, options);
  EXPECT_FALSE(paging.memory.fits());
  EXPECT_TRUE(paging.memory.runs());
  EXPECT_EQ(paging.bound, TimeBound::kPaging);
  EXPECT_GT(paging.tok_s, 0.07);
  EXPECT_LT(paging.tok_s, 0.25);
  const double missing = (1 - paging.memory.resident_share) * static_cast<double>(paging.memory.need.weights);
  EXPECT_NEAR(missing + small.usable_bytes(), static_cast<double>(paging.memory.need.total()), 16);

  Device large = small;
  large.free_bytes->value += 4.0 * (1 << 30);
  const Prediction resident = Predict(large, model, usage, PlainNeed, options);
  EXPECT_TRUE(resident.memory.fits());
  EXPECT_EQ(resident.memory.resident_share, 1);
  EXPECT_EQ(resident.decode.total.spent(TimeBound::kPaging), 0);
  EXPECT_GT(resident.tok_s, 4 * paging.tok_s);
}

TEST(RequestTest, WhatCannotRunIsPricedAsIfItCould) {
  const Model model = ModelOf("llama2-7b");
  Device device = PlainDevice();
  const double enough = PredictionOf(device, model, {}).tok_s;
  device.memory_bytes.value = 3e9;
  Prediction p = PredictionOf(device, model, {});
  EXPECT_FALSE(p.memory.runs());  // nobody says where the rest would come from
  EXPECT_DOUBLE_EQ(p.tok_s, enough);
  device.storage_bytes_s = Figure{.value = 1e9};
  p = PredictionOf(device, model, {});
  EXPECT_TRUE(p.memory.runs());
  EXPECT_LT(p.tok_s, enough);
  p = PredictionOf(device, model, {.prompt = 128, .generate = 8000});  // a cache of 4.3 GB
  EXPECT_FALSE(p.memory.runs());
  EXPECT_EQ(p.memory.resident_share, 0);
}

// A GPU with a link to its host: weights give way first, then the cache, of which 22,528 bytes a position are
// read for every token.
TEST(RequestTest, ACacheLargerThanMemoryStaysWithTheHost) {
  const Model model = ModelOf("tinyllama-1.1b");
  const Usage usage = {.prompt = 100'000, .generate = 2};
  Device device = PlainDevice();
  device.host_bytes_s = Figure{.value = 1e9};
  const double enough = PredictionOf(device, model, usage).tpot_s;
  device.memory_bytes.value = 1e9;  // 900 MB of them usable, 60 MB taken by scratch and program
  const Prediction p = PredictionOf(device, model, usage);
  const double cache = 100'002 * 22'528.0;
  EXPECT_TRUE(p.memory.runs());
  EXPECT_EQ(p.memory.resident_share, 0);
  EXPECT_DOUBLE_EQ(p.memory.resident_kv, 840e6 / cache);
  const double over_link = (cache - 840e6 + static_cast<double>(p.memory.need.weights)) / 1e9;
  EXPECT_NEAR(p.tpot_s - enough, over_link, 0.05 * over_link);  // of the embedding one row is read
}

TEST(RequestTest, ContradictionsAreRefused) {
  const std::pair<std::function<void(Usage&)>, const char*> cases[] = {
      {[](Usage& u) { u.prompt = 0; }, "prompt of 0"},
      {[](Usage& u) { u.batch = 0; }, "batch of 0"},
      {[](Usage& u) { u.chunk = 0; }, "chunks of 0"},
      {[](Usage& u) { u.context = 255; }, "does not hold 128 tokens of prompt and 128"},
      {[](Usage& u) { u.context = 1 << 25; }, "more than 2^24"},
      {[](Usage& u) { u.prompt = 0xffffffff; }, "more than 2^24"},
      {[](Usage& u) { u.cached_prefix = 128; }, "leaves nothing of a prompt of 128"},
      {[](Usage& u) { u.v_type = DType::kQ4_K; }, "no KV cache is made of Q4_K"},
      {[](Usage& u) { u.draft_tokens = 65; }, "at most 64"},
      {[](Usage& u) { u.acceptance = 1.5; }, "no probability"},
      {[](Usage& u) { u.acceptance = NAN; }, "no probability"},
      {[](Usage& u) { u.draft_s = -1; }, "a time of 0 or more"},
  };
  EXPECT_NO_THROW(CheckUsage({}));
  for (const auto& [change, reason] : cases) {
    Usage usage;
    change(usage);
    try {
      CheckUsage(usage);
      ADD_FAILURE() << reason;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUsage);
      EXPECT_THAT(error.message(), HasSubstr(reason));
    }
  }
}

}  // namespace
}  // namespace edgewise
