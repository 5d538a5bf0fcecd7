#include "chip/zeros.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace edgewise::chip {
namespace {

TEST(Zeros, AreCountedByElementTileAndFours) {
  // 3 x 10 in tiles of 2 x 4: two column tiles of three along k. Row 0 has one weight, row 2 three.
  std::vector<int8_t> w(30);
  w[5] = 1;
  w[20] = w[21] = w[22] = -1;
  const ZeroCounts z = CountZeros({w.data(), 10}, 3, 10, 2, 4);
  EXPECT_EQ(z.weights, 30u);
  EXPECT_EQ(z.zeros, 26u);
  EXPECT_EQ(z.tiles, 6u);
  EXPECT_EQ(z.zero_tiles, 4u);
  EXPECT_EQ(z.fours, 9u);
  EXPECT_EQ(z.complying_fours, 8u);
  EXPECT_EQ(z.TileGain(), 3.0);
  EXPECT_EQ(z.TwoOfFourGain(), 1.0);
}

// 90% of zeros at random leave hardly an 8 x 8 tile empty: 1 / (1 - 0.9^64) = 1.0012, not 10.
TEST(Zeros, AtRandomTheySaveNoTiles) {
  std::mt19937 random(1);
  std::vector<int8_t> w(size_t{2048} * 2048);
  for (int8_t& v : w) v = random() % 10 == 0;
  const ZeroCounts z = CountZeros({w.data(), 2048}, 2048, 2048, 8, 8);
  EXPECT_NEAR(z.ElementGain(), 10, 0.06);  // 4 standard deviations of 0.015
  EXPECT_NEAR(z.TileGain(), 1 / (1 - std::pow(0.9, 64)),
              3e-4);  // 77 empty tiles of 65536, give or take 9
}

TEST(Zeros, InBlocksTheySaveTheirShare) {
  std::vector<int8_t> w(size_t{80} * 8, 1);
  std::fill_n(w.begin(), 72 * 8, int8_t{0});  // nine of ten tiles
  EXPECT_DOUBLE_EQ(CountZeros({w.data(), 8}, 80, 8, 8, 8).TileGain(), 10);
}

}  // namespace
}  // namespace edgewise::chip
