#include "base/strings.h"

#include <gtest/gtest.h>

namespace edgewise {
namespace {

TEST(StringsTest, StrCat) {
  EXPECT_EQ(StrCat("a", 1, ' ', 2.5, std::string("b"), std::string_view("c")), "a1 2.5bc");
}

TEST(StringsTest, HumanBytes) {
  EXPECT_EQ(HumanBytes(0), "0 B");
  EXPECT_EQ(HumanBytes(1023), "1023 B");
  EXPECT_EQ(HumanBytes(1024), "1.0 KiB");
  EXPECT_EQ(HumanBytes(1536), "1.5 KiB");
  EXPECT_EQ(HumanBytes(638ull << 20), "638.0 MiB");
  EXPECT_EQ(HumanBytes(3ull << 40), "3.0 TiB");
  EXPECT_EQ(HumanBytes(~0ull), "16384.0 PiB");
}

TEST(StringsTest, PrintableIsOneSafeLine) {
  EXPECT_EQ(Printable("plain text"), "plain text");
  EXPECT_EQ(Printable("a\nb\tc\x1b[31m\x7f\xff"), "a?b?c?[31m??");
  EXPECT_EQ(Printable(std::string_view("a\0b", 3)), "a?b");
  EXPECT_EQ(Printable("12345", 5), "12345");
  EXPECT_EQ(Printable("123456", 5), "12345...");
  EXPECT_EQ(Printable(""), "");
}

}  // namespace
}  // namespace edgewise
