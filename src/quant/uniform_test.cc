#include "quant/uniform.h"

#include <gtest/gtest.h>

namespace edgewise {
namespace {

TEST(UniformTest, RoundsToNearestAndTiesToEven) {
  EXPECT_EQ(UniformCode(0.157, 0.01, 127.0), 16);
  EXPECT_EQ(UniformCode(2.5f, 1.0f, 127.0f), 2);
  EXPECT_EQ(UniformCode(-3.5f, 1.0f, 127.0f), -4);
  EXPECT_EQ(UniformCode(0.0f, 0.5f, 7.0f), 0);
}

TEST(UniformTest, SaturatesAtTheLastCode) {
  EXPECT_EQ(UniformCode(2.0, 0.01, 127.0), 127);
  EXPECT_EQ(UniformCode(-1e30f, 1e-3f, 7.0f), -7);
  EXPECT_NEAR(UniformError(2.0, 0.01, 127.0), 0.73, 1e-12);
}

TEST(UniformTest, TheErrorIsAtMostHalfAStepInsideTheRange) {
  constexpr double kScale = 0.37;
  for (double x = -127 * kScale; x <= 127 * kScale; x += 0.0101) {
    EXPECT_LE(UniformError(x, kScale, 127.0), kScale / 2 + 1e-12) << x;
  }
}

}  // namespace
}  // namespace edgewise
