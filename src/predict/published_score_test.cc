#include "predict/published_score.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "machine/device_catalog.h"
#include "predict/test_published.h"

namespace edgewise {
namespace {

PublishedTable Shipped() {
  const std::string folder = EDGEWISE_SOURCE_DIR "/devices", speeds = folder + "/published.csv",
                    energy = folder + "/energy.csv";
  const DeviceCatalog catalog({folder}, ChipCatalog({}));
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
  for (const SpeedClass& one : scores.classes) {
    if (!one.scored) continue;
    EXPECT_GE(one.rows, kLeastRows) << one.name;
    EXPECT_GT(one.efficiency.memory_share, 0) << one.name;
    EXPECT_LE(one.efficiency.memory_share, 1) << one.name;
  }
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
