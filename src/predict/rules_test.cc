#include "predict/rules.h"

#include <gtest/gtest.h>

#include "predict/battery.h"

namespace edgewise {
namespace {

TEST(RulesTest, TheFirstRuleAsksAboutMemoryBeforeSpeed) {
  EXPECT_EQ(DecideHardware(16e9, 14e9, 0.08), HardwareRule::kQuantize);
  EXPECT_EQ(DecideHardware(8e9, 3.5e9, 0.08), HardwareRule::kAccelerate);
  EXPECT_EQ(DecideHardware(8e9, 3.5e9, 0.1), HardwareRule::kCpu);
  // 1.5 times the model just fits.
  EXPECT_EQ(DecideHardware(6e9, 4e9, 1), HardwareRule::kCpu);
}

TEST(RulesTest, TheSecondRuleGoesByTheToleratedLoss) {
  EXPECT_EQ(DecideQuantisation(0.009), QuantisationRule::kInt8Ptq);
  EXPECT_STREQ(NameOf(DecideQuantisation(0.03)), "int4_ptq_or_int8_qat");
  EXPECT_STREQ(NameOf(DecideQuantisation(0.08)), "mixed_or_dynamic");
  EXPECT_EQ(DecideQuantisation(0.05), QuantisationRule::kMixedOrDynamic);
}

TEST(BatteryTest, TheDocumentsExercise) {
  const Battery battery = {.ampere_hours = 3, .volts = 3.7};
  EXPECT_NEAR(battery.watt_hours(), 11.1, 1e-12);
  EXPECT_NEAR(BatteryHours(battery, 3), 3.7, 1e-12);
  EXPECT_NEAR(BatteryHours(battery, 1.5), 7.4, 1e-12);
  // Two thirds of the work at 1.5 W give the mean of 2 W that is claimed for one half.
  EXPECT_NEAR(BatteryHours(battery, DutyCycleWatts(3, 1.5, 1.0 / 3)), 5.55, 1e-12);
}

TEST(BatteryTest, HalfTheClockTakesAnEighthAboveIdle) {
  EXPECT_DOUBLE_EQ(DvfsWatts(5, 1, 1), 5);
  EXPECT_DOUBLE_EQ(DvfsWatts(5, 1, 0.5), 1.5);
  EXPECT_DOUBLE_EQ(DvfsWatts(5, 1, 0.1), 1 + 4 * 0.1 * 0.04);
}

}  // namespace
}  // namespace edgewise
