#include "machine/chip_sweep.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "base/error.h"
#include "base/test_files.h"
#include "machine/chip_applications.h"
#include "machine/chip_catalog.h"

namespace edgewise {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

ChipDesign Named(const std::string& name) {
  return ChipCatalog({std::string(EDGEWISE_SOURCE_DIR) + "/chips"}).Find(name);
}

SweepPlan PlanOf(const std::vector<std::string>& chips, const std::vector<std::string>& axes) {
  SweepPlan plan;
  for (const std::string& chip : chips) plan.bases.push_back(Named(chip));
  for (const std::string& axis : axes) plan.axes.push_back(ParseSweepAxis(axis));
  plan.task = TaskOfNetwork("tinyllama-1.1b", {});
  plan.task_name = "tinyllama-1.1b";
  return plan;
}

TEST(ChipSweep, AxesAreListsOrRanges) {
  EXPECT_THAT(ParseSweepAxis("array.rows=8,16").values, ElementsAre("8", "16"));
  EXPECT_THAT(ParseSweepAxis("array.clock_hz=100e6:400e6:100e6").values,
              ElementsAre("100000000", "200000000", "300000000", "400000000"));
  EXPECT_THAT(ParseSweepAxis("array.rows=1:2:1").values, ElementsAre("1", "2"));
  EXPECT_THAT(ParseSweepAxis("array.rows+array.cols=8,1e1").values, ElementsAre("8", "10"));
  EXPECT_THAT(ParseSweepAxis("array.kind=vector,sequential").values, ElementsAre("vector", "sequential"));
  EXPECT_EQ(ParseSweepAxis("chips.link_latency_s=0:1:0.1").values.size(), 11u);
}

TEST(ChipSweep, BadAxesAreRefusedInOneLine) {
  const std::pair<const char*, const char*> kCases[] = {
      {"array.rows", "FIELD=VALUE"},           {"=8", "FIELD=VALUE"},
      {"array.rows=", "FIELD=VALUE"},          {"array.rowz=8", "did you mean array.rows"},
      {"array.rows=8,", "whole number"},       {"array.rows=8.5", "whole number"},
      {"array.rows=8:4:1", "FIRST:LAST:STEP"}, {"array.rows=1:2:0", "FIRST:LAST:STEP"},
      {"array.rows=1:2", "FIRST:LAST:STEP"},   {"array.rows=a:b:c", "FIRST:LAST:STEP"},
      {"array.kind=cube", "must be one of"},
  };
  for (const auto& [text, message] : kCases) {
    const std::string given = text;  // clang 14 captures no structured binding
    EXPECT_THAT(MessageOf(ErrorCode::kUsage, [&] { ParseSweepAxis(given); }), HasSubstr(message)) << text;
  }
  EXPECT_THAT(MessageOf(ErrorCode::kLimit, [] { ParseSweepAxis("array.rows=1:1e9:1"); }),
              HasSubstr("more than"));
  EXPECT_THAT(MessageOf(ErrorCode::kUsage,
                        [] {
                          PlanOf({"compact-532"}, {"array.rows=8", "array.rows=9"}).designs();
                        }),
              HasSubstr("varied twice"));
  EXPECT_THAT(MessageOf(ErrorCode::kLimit,
                        [] {
                          PlanOf({"compact-532"}, {"array.rows=1:4096:1", "array.cols=1:4096:1",
                                                   "array.depth=1:4096:1", "array.arrays=1:65536:1"})
                              .designs();
                        }),
              HasSubstr("2^48"));
  EXPECT_THAT(MessageOf(ErrorCode::kUsage, [] { PlanOf({}, {}).designs(); }),
              HasSubstr("chip to start from"));
}

TEST(ChipSweep, EveryCombinationIsMetOnceAndPricedByTheClosedForm) {
  const SweepPlan plan =
      PlanOf({"compact-532", "edge-mid"}, {"array.arrays=1,2,4", "array.clock_hz=100e6,200e6"});
  ASSERT_EQ(plan.designs(), 12u);
  std::set<std::vector<std::string>> seen;
  for (uint64_t i = 0; i < 12; ++i) seen.insert(plan.SettingsOf(i));
  EXPECT_EQ(seen.size(), 12u);
  EXPECT_THAT(plan.SettingsOf(9), ElementsAre("edge-mid", "2", "200e6"));
  const SweepRow row = PriceDesign(plan, 9);
  ChipDesign design = Named("edge-mid");
  design.arrays = 2;
  design.clock_hz = 200e6;
  const WorkloadCost cost = PriceWorkload(design, plan.task.parts[0].work, AttentionOn::kChip);
  EXPECT_EQ(row.tok_s, 1 / cost.seconds());
  EXPECT_EQ(row.joules_token, cost.total.joules.total());
  EXPECT_EQ(row.area_mm2, ChipArea(design));
}

TEST(ChipSweep, ImpossibleDesignsAreRowsWithAReason) {
  const SweepPlan plan = PlanOf({"edge-mid"}, {"array.macs=1,2"});
  EXPECT_EQ(PriceDesign(plan, 0).refused, "");
  EXPECT_THAT(PriceDesign(plan, 1).refused, HasSubstr("array.macs"));
  const SweepResult result = RunSweep(plan, {});
  EXPECT_EQ(result.designs, 2u);
  EXPECT_EQ(result.refused, 1u);
  EXPECT_EQ(result.front.size(), 1u);
}

// The definition, pair by pair.
std::vector<uint64_t> SlowFront(const std::vector<SweepRow>& rows) {
  std::vector<uint64_t> front;
  for (const SweepRow& a : rows) {
    const bool beaten = std::ranges::any_of(rows, [&](const SweepRow& b) {
      const bool no_worse =
          b.tok_s >= a.tok_s && b.joules_token <= a.joules_token && b.area_mm2 <= a.area_mm2;
      const bool better = b.tok_s > a.tok_s || b.joules_token < a.joules_token || b.area_mm2 < a.area_mm2;
      return no_worse && better;
    });
    if (!beaten) front.push_back(a.number);
  }
  return front;
}

TEST(ChipSweep, ParetoFrontIsThatOfItsDefinition) {
  std::mt19937 random(1);
  for (int round = 0; round < 300; ++round) {
    const int values = round % 3 == 0 ? 3 : round % 3 == 1 ? 10 : 1000;  // few values: many ties
    std::uniform_int_distribution<int> value(1, values);
    std::vector<SweepRow> rows(static_cast<size_t>(round % 70));
    for (size_t i = 0; i < rows.size(); ++i) {
      rows[i].number = i;
      rows[i].tok_s = value(random);
      rows[i].joules_token = value(random);
      rows[i].area_mm2 = value(random);
    }
    std::vector<uint64_t> fast;
    for (const SweepRow& row : ParetoFront(rows)) fast.push_back(row.number);
    EXPECT_EQ(fast, SlowFront(rows)) << round;
  }
}

TEST(ChipSweep, AResumedSweepIsTheUninterruptedOne) {
  const TempFolder folder;
  const SweepPlan plan = PlanOf({"compact-rtl", "edge-mid"},
                                {"array.clock_hz=50e6:500e6:10e6", "array.arrays=1:25:1", "array.macs=1,2"});
  ASSERT_GT(plan.designs(), 4000u);  // several blocks
  const std::string whole = folder / "whole.csv", part = folder / "part.csv";
  const SweepResult expected = RunSweep(plan, {.csv = whole, .threads = 2});
  EXPECT_TRUE(expected.finished);
  EXPECT_GT(expected.refused, 0u);
  const std::string text = ReadFile(whole);

  const SweepResult stopped = RunSweep(plan, {.csv = part, .progress = [](uint64_t) { return false; }});
  EXPECT_FALSE(stopped.finished);
  EXPECT_LT(stopped.designs, plan.designs());
  const auto resumed_is_whole = [&] {
    const SweepResult resumed = RunSweep(plan, {.csv = part});
    EXPECT_TRUE(resumed.finished);
    EXPECT_EQ(resumed.designs, expected.designs);
    EXPECT_EQ(resumed.refused, expected.refused);
    EXPECT_EQ(resumed.front, expected.front);
    EXPECT_EQ(resumed.sample, expected.sample);
    EXPECT_EQ(ReadFile(part), text);
    return resumed.resumed;
  };
  EXPECT_EQ(resumed_is_whole(), stopped.designs);
  EXPECT_EQ(resumed_is_whole(), plan.designs());  // nothing left to do
  // Cut anywhere: in a row, at its end, in the header.
  for (const size_t size :
       {text.size() - 1, text.size() - 30, text.size() / 2, size_t{200}, size_t{60}, size_t{0}}) {
    WriteFile(part, text.substr(0, size));
    EXPECT_LT(resumed_is_whole(), plan.designs()) << size;
  }
}

TEST(ChipSweep, AFileOfAnotherSweepIsLeftAlone) {
  const TempFolder folder;
  const std::string path = folder / "sweep.csv";
  const SweepPlan plan = PlanOf({"compact-rtl"}, {"array.arrays=1:9:1"});
  RunSweep(plan, {.csv = path});
  const std::string text = ReadFile(path);
  const SweepPlan other = PlanOf({"compact-rtl"}, {"array.arrays=1:10:1"});
  EXPECT_THAT(MessageOf(ErrorCode::kUsage, [&] { RunSweep(other, {.csv = path}); }),
              HasSubstr("not of this sweep"));
  EXPECT_EQ(ReadFile(path), text);
  WriteFile(path, "my notes\n");
  EXPECT_THAT(MessageOf(ErrorCode::kUsage, [&] { RunSweep(plan, {.csv = path}); }),
              HasSubstr("not of this sweep"));
  EXPECT_EQ(ReadFile(path), "my notes\n");
  std::string damaged = text;
  damaged[damaged.find("\n3,") + 1] = '7';
  WriteFile(path, damaged);
  EXPECT_THAT(MessageOf(ErrorCode::kBadFile, [&] { RunSweep(plan, {.csv = path}); }),
              HasSubstr(":6 is not row 3"));
  EXPECT_THAT(MessageOf(ErrorCode::kIo, [&] { RunSweep(plan, {.csv = folder / "no/such/folder.csv"}); }),
              HasSubstr("cannot be written"));
}

TEST(ChipSweep, ThousandsOfDesignsTakeSeconds) {
  const SweepPlan plan = PlanOf(
      {"edge-mid"}, {"array.clock_hz=100e6:1e9:100e6", "array.cols=2,4,8,16,32", "array.depth=2,4,8,16,32",
                     "array.datapath=int8,int4,int16", "memory.bytes_s=1e9,2e9,4e9,8e9"});
  ASSERT_GE(plan.designs(), 1000u);
  const SweepResult result = RunSweep(plan, {.threads = 2});
  EXPECT_EQ(result.designs, 3000u);
  EXPECT_GT(result.front.size(), 3u);
}

}  // namespace
}  // namespace edgewise
