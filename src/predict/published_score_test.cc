#include "predict/published_score.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "machine/device_catalog.h"
#include "model/model.h"
#include "model/shapes.h"
#include "predict/request.h"
#include "predict/test_machines.h"
#include "predict/test_published.h"

namespace edgewise {
namespace {

const std::string kDevices = EDGEWISE_SOURCE_DIR "/devices";

PublishedTable Shipped() {
  const std::string speeds = kDevices + "/published.csv", energy = kDevices + "/energy.csv";
  const DeviceCatalog catalog({kDevices}, ChipCatalog({}));
  return PublishedTable(ParsePublishedSpeeds(ReadFile(speeds), speeds), speeds,
                        ParsePublishedEnergy(ReadFile(energy), energy), energy,
                        [&](const std::string& name) { return catalog.Find(name); });
}

// A row must not help to predict itself: whatever it claims, its prediction stays.
TEST(ScoreSpeeds, ALeftOutRowDoesNotMoveItsPrediction) {
  std::vector<TestRow> rows;
  for (const double tok_s : {1.0, 1.1, 1.2, 1.3, 1.4}) rows.push_back({.tok_s = tok_s, .recipe = "F16"});
  const double before = ScoreSpeeds(TableOf(rows)).rows[1].tok_s;
  rows[1].tok_s = 0.1;
  const SpeedScores after = ScoreSpeeds(TableOf(rows));
  EXPECT_DOUBLE_EQ(after.rows[1].tok_s, before);
  EXPECT_NEAR(after.rows[1].error, before / 0.1 - 1, 1e-9);
  EXPECT_FALSE(after.rows[1].device_error.has_value());  // all rows are of one device
}

TEST(ScoreEnergy, ALeftOutRowDoesNotMoveItsPrediction) {
  std::vector<TestRow> rows;
  for (const double watts : {10.0, 11.0, 12.0, 13.0, 14.0}) rows.push_back({.tok_s = 2, .watts = watts});
  const double before = ScoreEnergy(TableOf(rows)).rows[1].joules;
  rows[1].watts = 100;
  rows[1].tok_s = 5;
  EXPECT_DOUBLE_EQ(ScoreEnergy(TableOf(rows)).rows[1].joules, before);
}

TEST(ScoreSpeeds, ClassesOfTwoRowsAreShownUnscored) {
  const SpeedScores scores =
      ScoreSpeeds(TableOf({{.tok_s = 2}, {.tok_s = 2}, {.tok_s = 2, .recipe = "F16"}}));
  EXPECT_EQ(scores.scored, 0u);
  EXPECT_EQ(scores.rows.size(), 3u);
  EXPECT_EQ(scores.classes.size(), 2u);
}

// What we promise of devices that we do not have, from what others published of theirs.
TEST(Published, SpeedsArePredictedWithinAFifthInTheMedian) {
  const PublishedTable table = Shipped();
  const SpeedScores scores = ScoreSpeeds(table);
  EXPECT_GE(table.observations().size(), 80u);
  EXPECT_GE(scores.scored, 80u);
  EXPECT_LE(scores.median, 0.20);
  EXPECT_LE(scores.device_median, 0.25);  // of devices that the class has no row of
  EXPECT_LE(scores.general_median, 0.25);
  for (const SpeedClass& one : scores.classes) {
    if (!one.scored) continue;
    EXPECT_GE(one.rows, kLeastRows) << one.name;
    EXPECT_GT(one.efficiency.memory_share, 0) << one.name;
    EXPECT_LE(one.efficiency.memory_share, 1) << one.name;
  }
}

// The formats of one device are priced alike, whether or not somebody measured this one on that: `plan`
// advises by the differences.
TEST(Published, FewerBytesAreNeverSlowerAndPrefillIsAlikeOnEveryDevice) {
  const PublishedTable table = Shipped();
  const DeviceCatalog catalog({kDevices}, ChipCatalog({}));
  size_t compared = 0;
  for (const std::string& name : catalog.Names()) {
    const Device device = catalog.Find(name);
    for (const char* shape : {"tinyllama-1.1b", "llama2-7b"}) {
      double tok_s = 0, least_s = 0, most_s = 0;
      for (const char* recipe : {"F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_0"}) {
        SCOPED_TRACE(device.name + " " + shape + " " + recipe);
        const Model model = Model::FromShape(ShapeNamed(shape), recipe);
        PredictOptions options;
        options.efficiency = EfficiencyFor(device, "llama.cpp", recipe, table);
        // So many tokens that computing takes longer than reading the weights, on GPUs too.
        const Prediction p = Predict(device, model, {.prompt = 512}, PlainNeed, options);
        if (!p.memory.fits()) continue;
        EXPECT_GE(p.tok_s, 0.9 * tok_s);
        EXPECT_GE(p.prefill_tok_s, p.tok_s);
        least_s = most_s == 0 ? p.prefill_s : std::min(least_s, p.prefill_s);
        most_s = std::max(most_s, p.prefill_s);
        EXPECT_LE(most_s, 2 * least_s);
        tok_s = p.tok_s;
        ++compared;
      }
    }
  }
  EXPECT_GE(compared, 1000u);
}

TEST(Published, ASmallBoardReadsAPromptAboutAsFastAsMeasured) {
  const PublishedTable table = Shipped();
  const DeviceCatalog catalog({kDevices}, ChipCatalog({}));
  const Model model = Model::FromShape(ShapeNamed("tinyllama-1.1b"), "Q8_0");
  const auto prefill_tok_s = [&](const char* name) {
    PredictOptions options;
    options.efficiency = EfficiencyFor(catalog.Find(name), "llama.cpp", "Q8_0", table);
    return Predict(catalog.Find(name), model, {}, PlainNeed, options).prefill_tok_s;
  };
  // Rows jt-1 and jt-2, 35 and 10; jt-3, 3 with halves, pulls the latter down.
  EXPECT_GE(prefill_tok_s("rpi5"), 35 / 1.6);
  EXPECT_LE(prefill_tok_s("rpi5"), 35 * 1.6);
  EXPECT_GE(prefill_tok_s("rpi4"), 10 / 2.0);
  EXPECT_LE(prefill_tok_s("rpi4"), 10 * 1.6);
}

TEST(Published, EnergyIsPredictedWithinAThirdInTheMedian) {
  const PublishedTable table = Shipped();
  const EnergyScores scores = ScoreEnergy(table);
  EXPECT_GE(scores.scored, 25u);
  EXPECT_LE(scores.median, 0.35);
}

TEST(Published, EveryRowHasASourceAndAReasonIfItDoesNotCount) {
  const PublishedTable table = Shipped();
  std::set<std::string> devices;
  for (const Observation& o : table.observations()) {
    EXPECT_FALSE(o.row.source.empty()) << o.row.id;
    EXPECT_GT(o.read_s, 0) << o.row.id;
    EXPECT_GT(o.multiply_s, 0) << o.row.id;
    // Nothing decodes faster than its memory delivers: a row that says so, or its device's figure, is wrong.
    EXPECT_LT(o.read_s, 1.15 * o.seconds) << o.row.id << " " << o.row.device;
    devices.insert(o.row.device);
  }
  EXPECT_GE(devices.size(), 50u);
}

}  // namespace
}  // namespace edgewise
