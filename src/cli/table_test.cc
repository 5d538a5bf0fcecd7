#include "cli/table.h"

#include <gtest/gtest.h>

namespace edgewise {
namespace {

TEST(Table, AlignsColumnsByCharactersNotBytes) {
  Table table({"<name", "n"});
  table.Add({"é", "1"});
  table.Add({"longer", "10,000"});
  EXPECT_EQ(table.ToText(),
            "  name         n\n"
            "  é            1\n"
            "  longer  10,000\n");
}

TEST(Table, WithoutHeadingsHasNoLineOfThem) {
  Table table({"<", "<"});
  table.Add({"a", ""});
  EXPECT_EQ(table.ToText(), "  a\n");
}

TEST(Text, GroupsDigits) {
  EXPECT_EQ(Grouped(0), "0");
  EXPECT_EQ(Grouped(999), "999");
  EXPECT_EQ(Grouped(1000), "1,000");
  EXPECT_EQ(Grouped(1234567890), "1,234,567,890");
}

TEST(Text, QuotesWhatATerminalMustNotGet) {
  EXPECT_EQ(Quoted("a\n\t\"\\"), "\"a\\n\\t\\\"\\\\\"");
  EXPECT_EQ(Quoted("\x1b[1m\xff é"), "\"\\x1B[1m\\xFF é\"");
}

}  // namespace
}  // namespace edgewise
