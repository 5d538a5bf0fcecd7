#include "machine/chip_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/test_files.h"

namespace edgewise {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr auto kBase = [](const std::string& name) {
  if (name != "small") throw Error(ErrorCode::kNotFound, "no chip is named '" + Printable(name) + "'");
  ChipDesign design;
  design.name = "small";
  design.summary = "a small one";
  design.source = "somewhere";
  design.mac_pj = 3;
  return design;
};

ChipDesign Parse(const std::string& text) { return ParseChip(text, "chips/mine.toml", kBase); }

std::string Refusal(const std::string& text) {
  return RefusalOf([&] { Parse(text); });
}

TEST(ChipFile, TenLinesDescribeAChipOfOnesOwn) {
  const ChipDesign d = Parse(R"(base = "small"
summary = "16 multipliers, sums stay on the chip"

[array]
macs = 16
accumulate = true

[host]
interface = "axi-lite"
add_cycles = 2.5
)");
  ChipDesign expected = kBase("small");
  expected.name = "mine";
  expected.summary = "16 multipliers, sums stay on the chip";
  expected.macs = 16;
  expected.accumulate = true;
  expected.host = HostInterface::kAxiLite;
  expected.host_add_cycles = 2.5;
  EXPECT_EQ(d, expected);
}

TEST(ChipFile, WithoutASummaryOfItsOwnADerivedChipSaysSo) {
  const ChipDesign d = Parse("base = \"small\"\n[array]\nclock_hz = 200_000_000\n");
  EXPECT_EQ(d.summary, "small, changed");
  EXPECT_EQ(d.source, "somewhere");
  EXPECT_EQ(d.clock_hz, 2e8);  // a whole number is a number
}

TEST(ChipFile, WritingAndReadingGiveTheSameDesign) {
  ChipDesign d = kBase("small");
  d.name = "mine";
  d.summary = "quotes \" and \\ and '";
  d.kind = ArrayKind::kWeightStationary;
  d.host = HostInterface::kDma;
  d.accumulate = d.double_buffer = true;
  d.datapath = Datapath::kTernary;
  d.zero_skip = ZeroSkip::kTwoOfFour;
  d.memory_bytes_s = 12.8e9 / 3;  // no short decimal
  d.clock_hz = 1e8;
  d.static_w = 627.4e-6;
  EXPECT_EQ(Parse(WriteChip(d)), d) << WriteChip(d);
}

TEST(ChipFile, EveryFieldIsReadAndWrittenAsText) {
  ChipDesign d = kBase("small");
  for (const std::string& field : ChipFields()) {
    const std::string text = ChipFieldText(d, field);
    SetChipField(d, field, text);
    EXPECT_EQ(ChipFieldText(d, field), text) << field;
  }
  EXPECT_EQ(d, kBase("small"));
  SetChipField(d, "array.zero_skip", "2:4");
  SetChipField(d, "memory.bytes_s", "2.4e9");
  EXPECT_EQ(d.zero_skip, ZeroSkip::kTwoOfFour);
  EXPECT_EQ(d.memory_bytes_s, 2.4e9);
}

TEST(ChipFile, FieldsFromFlagsAreCheckedForTypeAndName) {
  ChipDesign d;
  const auto refusal = [&](const char* field, const char* value) {
    return RefusalOf([&] { SetChipField(d, field, value); });
  };
  EXPECT_EQ(refusal("array.rows", "many"), "array.rows is 'many': it must be a whole number, not negative");
  EXPECT_EQ(refusal("array.rows", "-1"), "array.rows is '-1': it must be a whole number, not negative");
  EXPECT_EQ(refusal("array.rows", "8 "), "array.rows is '8 ': it must be a whole number, not negative");
  EXPECT_EQ(refusal("array.rows", "4294967296"), "array.rows is '4294967296': it must be at most 4294967295");
  EXPECT_EQ(refusal("array.clock_hz", ""), "array.clock_hz is '': it must be a number");
  EXPECT_EQ(refusal("array.accumulate", "1"), "array.accumulate is '1': it must be true or false");
  EXPECT_EQ(refusal("host.interface", "axi"),
            "host.interface is 'axi': it must be one of \"none\", \"axi-lite\", \"dma\"");
  EXPECT_EQ(refusal("array.row", "8"), "a chip has no field 'array.row': did you mean array.rows?");
  EXPECT_EQ(refusal("xyzzy", "8"), "a chip has no field 'xyzzy'");
  EXPECT_EQ(d, ChipDesign());
}

TEST(ChipFile, ErrorsNameFileLineKeyAndReason) {
  const std::pair<const char*, const char*> kCases[] = {
      {"", "chips/mine.toml: it has neither a base nor array.kind"},
      {"[array]\nrows = 8", "neither a base nor array.kind"},
      {"base = \"tiny\"", "chips/mine.toml:1: base: no chip is named 'tiny'"},
      {"base = 3", "chips/mine.toml:1: base must be a text in quotes"},
      {"base = \"small\"\nbase = \"small\"", "chips/mine.toml:2: "},
      {"base = \"small\"\n[array\n", "chips/mine.toml:2: "},
      {"base = \"small\"\n[ = 1]\n", "chips/mine.toml: no valid TOML"},  // toml++ would abort
      {"base = \"small\"\n\xff\xfe", "chips/mine.toml:2: a character beyond ASCII"},
      {"base = \"small\"\n[array]\nrow = 8",
       "chips/mine.toml:3: [array] has no key 'row': did you mean rows?"},
      {"base = \"small\"\n[timing]\nbus_byte = 8",
       "[timing] has no key 'bus_byte': did you mean memory.bus_bytes?"},
      {"base = \"small\"\n[timing]\nx = 8", "[timing] has no key 'x': known are start_cycles, result_cycles"},
      {"base = \"small\"\nclock = 8", "unknown key 'clock': known are base, summary, source, array.kind"},
      {"base = \"small\"\nclock_h = 8", "unknown key 'clock_h': did you mean array.clock_hz?"},
      {"base = \"small\"\nsumary = 8", "unknown key 'sumary': did you mean summary?"},
      {"base = \"small\"\narray = 8", "chips/mine.toml:2: array must be a table: [array]"},
      {"base = \"small\"\n[[array]]\nrows = 8", "array must be a table"},
      {"base = \"small\"\n[array]\nrows = \"8\"", "chips/mine.toml:3: array.rows is '8': it must be a whole"},
      {"base = \"small\"\n[array]\nrows = 8.0", "array.rows is 8: it must be a whole number"},
      {"base = \"small\"\n[array]\nrows = [8]", "array.rows is no single value: it must be a whole number"},
      {"base = \"small\"\n[array]\naccumulate = 1", "array.accumulate is 1: it must be true or false"},
      {"base = \"small\"\n[array]\nkind = \"systolic\"", "array.kind is 'systolic': it must be one of"},
      {"base = \"small\"\n[energy]\nmac_pj = 1979-05-27", "energy.mac_pj is no single value"},
      // What CheckDesign finds, with the line that says it, if one does.
      {"base = \"small\"\n\n[array]\nrows = 0", "chips/mine.toml:4: array.rows is 0: it must be 1 to 4096"},
      {"base = \"small\"\n[host]\ninterface = \"dma\"", "chips/mine.toml: array.accumulate is false"},
  };
  for (const auto& [text, message] : kCases) EXPECT_THAT(Refusal(text), HasSubstr(message)) << text;
}

TEST(ChipFile, HostileTextIsShownPrintable) {
  EXPECT_THAT(Refusal("base = \"small\"\n\"\\u001b[31m\\n\" = 1"),
              AllOf(StartsWith("chips/mine.toml:2: unknown key '?[31m?'"), Not(HasSubstr("\x1b"))));
}

TEST(ChipFile, TextsArePrintableLines) {
  for (const char* text : {"\\u001b[31m", "a\\nb", "# \\uFFFF"}) {
    EXPECT_EQ(Refusal(StrCat("base = \"small\"\nsource = \"", text, "\"")),
              "chips/mine.toml:2: source has a character that is not printable ASCII: one line without such");
  }
}

TEST(ChipFile, OnlyCommentsHoldCharactersBeyondAscii) {
  EXPECT_EQ(Refusal("base = \"small\"  # 8 \u00d7 8\n"), "accepted");
  EXPECT_EQ(Refusal("# 16 \u00b5W\nbase = \"small\"\ndouble_bu\u00e3fer = true\n"),
            "chips/mine.toml:3: a character beyond ASCII: only comments may have such");
}

TEST(ChipFile, SizeIsLimited) {
  const std::string longest(kMostChipFileBytes - std::string_view("base = \"small\"\n").size(), '#');
  EXPECT_EQ(Refusal("base = \"small\"\n" + longest), "accepted");
  try {
    Parse("base = \"small\"\n" + longest + "#");
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kLimit);
  }
}

TEST(ChipFile, DeepNestingIsAnError) {
  EXPECT_THAT(Refusal("base = " + std::string(20000, '[')), StartsWith("chips/mine.toml:1: "));
}

}  // namespace
}  // namespace edgewise
