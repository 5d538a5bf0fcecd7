#include "predict/efficiency.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "predict/op_time.h"
#include "predict/published_power.h"
#include "predict/published_score.h"
#include "predict/test_published.h"

namespace edgewise {
namespace {

std::vector<const Observation*> All(const PublishedTable& table) {
  std::vector<const Observation*> rows;
  for (const Observation& o : table.observations()) rows.push_back(&o);
  return rows;
}

Efficiency Shares(double memory, double compute, double decode, double op_s = 0) {
  Efficiency e;
  e.memory_share = memory;
  e.compute_share = compute;
  e.decode_share = decode;
  e.op_s = op_s;
  return e;
}

// The same rows with the speeds that these factors would give.
PublishedTable Made(std::vector<TestRow> rows, const Efficiency& truth) {
  const PublishedTable blank = TableOf(rows);
  for (size_t i = 0; i < rows.size(); ++i) rows[i].tok_s = PricedSpeed(blank.observations()[i], truth);
  return TableOf(rows);
}

TEST(ArithmeticPeak, IsOfTheArithmeticThatProgramsUse) {
  const Device cpu = TestBoard("board"), gpu = TestBoard("gpu");
  EXPECT_EQ(ArithmeticPeak(cpu, DType::kQ4_0), 400e9);
  EXPECT_EQ(ArithmeticPeak(cpu, DType::kQ8_0), 400e9);
  EXPECT_EQ(ArithmeticPeak(cpu, DType::kF16), 200e9);
  EXPECT_EQ(ArithmeticPeak(gpu, DType::kQ4_0), 20e12);
  Device plain = cpu;
  plain.int8_ops_s.reset();
  plain.f16_ops_s.reset();
  EXPECT_EQ(ArithmeticPeak(plain, DType::kQ4_0), 100e9);
}

// Matrix instructions multiply pairs of rows: a CPU that has them is no faster at one row.
TEST(OneRowPeak, IsAtMostFourTimesThatOfFloatsOnACpu) {
  Device cpu = TestBoard("board");
  EXPECT_EQ(OneRowPeak(cpu, DType::kQ4_0), 400e9);
  cpu.int8_ops_s->value = 800e9;
  EXPECT_EQ(ArithmeticPeak(cpu, DType::kQ4_0), 800e9);
  EXPECT_EQ(OneRowPeak(cpu, DType::kQ4_0), 400e9);
  EXPECT_EQ(OneRowPeak(TestBoard("gpu"), DType::kQ4_0), 20e12);
}

TEST(FitDecode, FindsTheShareOfOneFactor) {
  const PublishedTable table =
      Made({{.recipe = "F16"}, {.recipe = "F16", .shape = "llama3-8b"}}, Shares(0.5, 1, 1));
  const DecodeFit fit = FitDecode(All(table));
  EXPECT_NEAR(1 / fit.read, 0.5, 1e-6);
  EXPECT_EQ(fit.multiply, 0);
  EXPECT_EQ(fit.op_s, 0);
}

// Three rows of a CPU: with one thread unpacking takes longer than reading, with four it does not.
TEST(FitDecode, TellsUnpackingFromReadingOnACpu) {
  const Efficiency truth = Shares(0.8, 0.5, 0.15);
  const PublishedTable table =
      Made({{.threads = 1}, {.threads = 2}, {.threads = 4, .shape = "llama3-8b"}}, truth);
  const Efficiency e = EfficiencyFrom(All(table));
  EXPECT_NEAR(e.memory_share, 0.8, 0.01);
  EXPECT_NEAR(e.decode_share, 0.15, 0.002);
  for (const Observation& o : table.observations()) {
    EXPECT_NEAR(PricedSpeed(o, e) / o.row.tok_s, 1, 0.01) << o.row.id;
  }
}

// Rows of models of very different sizes tell launches from bytes.
TEST(FitDecode, TellsLaunchesFromReadingOnAGpu) {
  const Efficiency truth = Shares(0.7, 0.5, 0.5, 5e-6);
  std::vector<TestRow> rows;
  for (const char* shape : {"tinyllama-1.1b", "llama3.2-3b", "llama2-7b", "llama3-8b", "llama2-13b"}) {
    rows.push_back({.device = "gpu", .shape = shape});
  }
  const Efficiency e = EfficiencyFrom(All(Made(rows, truth)));
  EXPECT_NEAR(e.memory_share, 0.7, 0.01);
  EXPECT_NEAR(e.op_s, 5e-6, 2e-7);
  // Four rows are too few to tell: the launches are taken for slow memory.
  rows.pop_back();
  EXPECT_EQ(EfficiencyFrom(All(Made(rows, truth))).op_s, 0);
}

TEST(FitDecode, OneDeviantRowDoesNotMoveIt) {
  const Efficiency truth = Shares(0.6, 1, 1);
  std::vector<TestRow> rows(5, {.recipe = "F16"});
  PublishedTable table = Made(rows, truth);
  for (size_t i = 0; i < rows.size(); ++i) rows[i].tok_s = table.observations()[i].row.tok_s;
  rows[2].tok_s /= 4;
  EXPECT_NEAR(EfficiencyFrom(All(TableOf(rows))).memory_share, 0.6, 1e-6);
}

TEST(EfficiencyFrom, TakesPrefillFromThoseRowsThatHaveIt) {
  // 512 tokens of Llama 2 7B: 2 * 6.607e9 operations each, less 511 rows of the head, and attention.
  const double ops = 2 * (6.607e9 - 4096.0 * 32000) * 512 + 32 * 4 * 128 * 32 * (512.0 * 513 / 2);
  const double tok_s = 512 / (ops / (0.25 * 400e9));
  const PublishedTable table =
      TableOf({{.tok_s = 1.5, .prefill_tok_s = tok_s}, {.tok_s = 1.5}, {.tok_s = 1.5}});
  EXPECT_NEAR(EfficiencyFrom(All(table)).compute_share, 0.25, 0.005);
}

TEST(EfficiencyFor, FallsBackFromTheDeviceToItsFamilyAndKind) {
  std::vector<TestRow> rows;
  for (int i = 0; i < 3; ++i) rows.push_back({.tok_s = 2, .device = "board"});
  for (int i = 0; i < 3; ++i) rows.push_back({.tok_s = 1, .device = "other"});
  const PublishedTable table = TableOf(rows);
  const auto from = [&](const Device& device, const char* engine, const char* recipe) {
    return EfficiencyFor(device, engine, recipe, table).from;
  };
  for (const char* recipe : {"Q4_0", "Q8_0", "F16"}) {
    EXPECT_EQ(from(TestBoard("board"), "test", recipe), "3 published rows of board x test");
  }
  EXPECT_EQ(from(TestBoard("third"), "test", "Q4_K_M"), "6 published rows of boards x test");
  EXPECT_EQ(from(TestBoard("third"), "newer", "Q4_0"), "6 published rows of boards");
  Device namesake = TestBoard("board");
  namesake.published_as = "";
  EXPECT_EQ(from(namesake, "test", "Q4_0"), "6 published rows of boards x test");
  Device plain = TestBoard("third");
  plain.int8_ops_s.reset();
  EXPECT_EQ(from(plain, "test", "Q4_0"), "6 published rows of all boards");
  Device stranger = TestBoard("third");
  stranger.family = "others";
  EXPECT_EQ(from(stranger, "newer", "F16"), "6 published rows of any cpu");
  EXPECT_EQ(from(TestBoard("gpu"), "test", "Q4_0"), "assumed");
  EXPECT_EQ(EfficiencyFor(TestBoard("gpu"), "test", "Q4_0", table).rows, 0u);
  EXPECT_THROW(EfficiencyFor(stranger, "test", "Q99", table), Error);
}

TEST(EfficiencyFor, AGpusOwnRowsMustTellLaunchesFromBytes) {
  std::vector<TestRow> rows(4, {.tok_s = 20, .device = "gpu"});
  for (int i = 0; i < 3; ++i) rows.push_back({.tok_s = 6, .recipe = "F16", .device = "gpu-b"});
  const auto from = [&] { return EfficiencyFor(TestBoard("gpu"), "test", "F16", TableOf(rows)).from; };
  EXPECT_EQ(from(), "7 published rows of cards x test");
  rows.push_back({.tok_s = 6, .recipe = "F16", .device = "gpu"});
  EXPECT_EQ(from(), "5 published rows of gpu x test");
}

TEST(EfficiencyFor, PrefillComesFromAWiderGroupWhereTheNearestKnowsNone) {
  std::vector<TestRow> rows(3, {.tok_s = 1.4, .recipe = "Q8_0", .device = "a"});
  for (int i = 0; i < 3; ++i) rows.push_back({.tok_s = 2, .device = "b", .prefill_tok_s = 6});
  const PublishedTable table = TableOf(rows);
  const Efficiency e = EfficiencyFor(TestBoard("a"), "test", "Q8_0", table);
  EXPECT_EQ(e.from, "3 published rows of a x test; prefill: 3 of boards x test");
  EXPECT_NEAR(e.compute_share, table.observations()[3].prefill_share, 1e-9);
}

// As many operations a second with halves as with bytes: twice the share of half the peak.
TEST(EfficiencyFor, PrefillIsAsFastWithAnyFormat) {
  const PublishedTable table =
      TableOf(std::vector<TestRow>(3, {.tok_s = 2, .device = "b", .prefill_tok_s = 6}));
  const auto share = [&](const char* recipe) {
    return EfficiencyFor(TestBoard("c"), "test", recipe, table).compute_share;
  };
  EXPECT_GT(share("Q4_0"), 0.05);
  EXPECT_NEAR(share("F16"), 2 * share("Q4_0"), 1e-9);
  EXPECT_NEAR(share("F32"), 2 * share("Q4_0"), 1e-9);
}

TEST(EfficiencyFor, RowsThatDoNotCountAreNotUsed) {
  std::vector<PublishedSpeed> speeds;
  for (const char* why : {"untuned", "", ""}) {
    PublishedSpeed& row = speeds.emplace_back();
    row.id = StrCat(speeds.size());
    row.device = "board";
    row.engine = "test";
    row.shape = "llama2-7b";
    row.recipe = "Q4_0";
    row.tok_s = 2;
    row.unscored = why;
  }
  const PublishedTable table(speeds, "p.csv", {}, "e.csv",
                             [](const std::string& name) { return TestBoard(name); });
  EXPECT_EQ(EfficiencyFor(TestBoard("board"), "test", "Q4_0", table).from, "assumed");
}

// Three devices alike and one at two thirds of their speed: the three are predicted exactly without their own
// rows, the fourth takes half as long again. Three quarters of the way through {0, 0, 0, 0.5} is 0.125.
TEST(EfficiencyFor, TheBandIsOfDevicesNotSeen) {
  const PublishedTable table = TableOf({{.tok_s = 1.5, .device = "a"},
                                        {.tok_s = 1.5, .device = "b"},
                                        {.tok_s = 1.0, .device = "c"},
                                        {.tok_s = 1.5, .device = "d"}});
  EXPECT_NEAR(EfficiencyFor(TestBoard("e"), "test", "Q4_0", table).error, 0.125, 1e-6);
}

TEST(EfficiencyFor, TwoDevicesThatAgreeSayLittleOfAThird) {
  const PublishedTable table = TableOf(
      {{.tok_s = 1.5, .device = "a"}, {.tok_s = 1.5, .device = "b"}, {.tok_s = 1.5, .device = "b"}});
  EXPECT_EQ(EfficiencyFor(TestBoard("c"), "test", "Q4_0", table).error, Efficiency().error);
}

TEST(FitPower, TellsTheMachineFromTheProcessor) {
  std::vector<PowerPoint> rows;
  for (const double rated : {6.0, 15.0, 28.0, 65.0, 95.0}) rows.push_back({rated, 20 + 1.1 * rated});
  PowerFit fit = FitPower(rows);
  EXPECT_NEAR(fit.base, 20, 1e-9);
  EXPECT_NEAR(fit.share, 1.1, 1e-9);
  rows.resize(3);  // too few: a share alone
  fit = FitPower(rows);
  EXPECT_EQ(fit.base, 0);
}

TEST(WattsFor, OwnRowsThenTheClassThenTheFigure) {
  std::vector<TestRow> rows;
  for (const double watts : {11.0, 12.0, 13.0}) rows.push_back({.device = "board", .watts = watts});
  for (const double watts : {12.0, 12.0}) rows.push_back({.device = "next", .watts = watts});
  const PublishedTable table = TableOf(rows);
  EXPECT_EQ(WattsFor(TestBoard("board"), "test", table).watts, 12);
  const Watts other = WattsFor(TestBoard("other"), "test", table);
  EXPECT_NEAR(other.watts, 12, 1e-9);
  EXPECT_EQ(other.from, "5 published rows of boards x test: 0 W + 1.2 x 10 W");
  EXPECT_EQ(WattsFor(TestBoard("gpu"), "test", table).from, "the device's own figure");
  Device measured = TestBoard("other");
  measured.watts->from = Provenance::kMeasured;
  EXPECT_EQ(WattsFor(measured, "test", table).watts, 10);
  Device silent = TestBoard("other");
  silent.watts.reset();
  EXPECT_EQ(WattsFor(silent, "test", table).watts, 0);
}

}  // namespace
}  // namespace edgewise
