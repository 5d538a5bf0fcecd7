#include "cli/console.h"

#include <gtest/gtest.h>

namespace edgewise {
namespace {

TEST(Unescape, ReplacesTheKnownAndKeepsTheRest) {
  EXPECT_EQ(Unescape("a\\nb\\tc\\rd"), "a\nb\tc\rd");
  EXPECT_EQ(Unescape("\\\"\\'\\\\"), "\"'\\");
  EXPECT_EQ(Unescape("\\x41\\xe9\\xE9z"), "A\xe9\xe9z");
  EXPECT_EQ(Unescape("\\q \\x4 \\xg1 \\"), "\\q \\x4 \\xg1 \\");
  EXPECT_EQ(Unescape("\\\\n"), "\\n");
}

}  // namespace
}  // namespace edgewise
