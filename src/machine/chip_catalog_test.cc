#include "machine/chip_catalog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/test_files.h"
#include "machine/chip_file.h"

namespace edgewise {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

ChipCatalog Shipped() { return ChipCatalog({EDGEWISE_SOURCE_DIR "/chips"}); }

std::string Refusal(const ChipCatalog& catalog, const std::string& name) {
  return RefusalOf([&] { catalog.Find(name); });
}

constexpr const char* kSmall = "[array]\nkind = \"sequential\"\n";

TEST(ChipCatalog, AllDesignsOfTheDocumentsAndOursAreThere) {
  EXPECT_THAT(Shipped().Names(),
              ElementsAre("bitnet-16x16", "compact-16mac", "compact-16x16", "compact-32x32", "compact-4chip",
                          "compact-500mhz", "compact-512", "compact-532", "compact-rtl", "compact-x16",
                          "compact-x4", "edge-llm", "edge-llm-int4", "edge-mid", "systolic-8x8"));
  for (const std::string& name : Shipped().Names()) {
    const ChipDesign design = Shipped().Find(name);  // which checks it
    EXPECT_EQ(design.name, name);
    EXPECT_FALSE(design.summary.empty()) << name;
    EXPECT_FALSE(design.source.empty()) << name;
    EXPECT_GT(design.mac_pj, 0) << name;
    EXPECT_GT(design.mac_um2, 0) << name;
  }
}

TEST(ChipCatalog, DerivedDesignsDifferFromTheirBaseInWhatTheirFilesSay) {
  const ChipDesign rtl = Shipped().Find("compact-rtl");
  ChipDesign expected = rtl;
  expected.macs = 16;
  expected.accumulate = true;
  expected.result_cycles = 0;
  ChipDesign actual = Shipped().Find("compact-16mac");
  expected.name = actual.name;
  expected.summary = actual.summary;
  expected.source = actual.source;
  EXPECT_EQ(actual, expected);

  EXPECT_EQ(Shipped().Find("compact-x16").arrays, 16u);
  EXPECT_EQ(Shipped().Find("compact-x16").result_cycles, rtl.result_cycles);
  EXPECT_EQ(Shipped().Find("compact-4chip").chips, 4u);
  EXPECT_EQ(Shipped().Find("compact-500mhz").clock_hz, 5e8);
  EXPECT_EQ(Shipped().Find("edge-llm-int4").memory_bytes_s, Shipped().Find("edge-llm").memory_bytes_s);
}

TEST(ChipCatalog, TheFirstFolderThatHasANameGivesTheChip) {
  const TempFolder folder;
  WriteFile(folder / "a/chip.toml", StrCat(kSmall, "macs = 2\n"));
  WriteFile(folder / "b/chip.toml", StrCat(kSmall, "macs = 3\n"));
  WriteFile(folder / "b/other.toml", "base = \"chip\"\n");
  const ChipCatalog catalog({folder / "none", folder / "a", folder / "b"});
  EXPECT_EQ(catalog.Find("chip").macs, 2u);
  EXPECT_THAT(catalog.Names(), ElementsAre("chip", "other"));
  // A base is looked for beside the file first.
  EXPECT_EQ(catalog.Find("other").macs, 3u);
}

TEST(ChipCatalog, AFileOfOnesOwnMayStandOnAShippedChip) {
  const TempFolder folder;
  const std::string path = folder / "own/mine.toml";
  WriteFile(path, "base = \"compact-rtl\"\n[array]\nmacs = 4\n");
  const ChipDesign design = Shipped().Find(path);
  EXPECT_EQ(design.name, "mine");
  EXPECT_EQ(design.macs, 4u);
  EXPECT_EQ(design.read_cycles, 2u);
}

TEST(ChipCatalog, UnknownNamesAreAnsweredWithTheNearestAndAll) {
  const TempFolder folder;
  EXPECT_THAT(Refusal(Shipped(), "compact-rt"),
              AllOf(HasSubstr("no chip is named 'compact-rt', did you mean compact-rtl?"),
                    HasSubstr("bitnet-16x16, compact-16mac")));
  EXPECT_THAT(Refusal(Shipped(), "../chips/compact-rtl"),
              HasSubstr("no chip is named '../chips/compact-rtl'"));
  EXPECT_THAT(Refusal(Shipped(), ""), HasSubstr("no chip is named ''"));
  EXPECT_THAT(Refusal(Shipped(), "nowhere/mine.toml"), HasSubstr("nowhere/mine.toml: no such chip file"));
  EXPECT_THAT(Refusal(Shipped(), "/dev/zero.toml"), HasSubstr("no such chip file"));
  EXPECT_THAT(Refusal(ChipCatalog({folder / "none"}), "a"), HasSubstr("there are no chip files in"));
}

TEST(ChipCatalog, BasesThatStandOnThemselvesAreRefused) {
  const TempFolder folder;
  WriteFile(folder / "a/x.toml", "base = \"y\"\n");
  WriteFile(folder / "a/y.toml", "base = \"x\"\n");
  EXPECT_THAT(Refusal(ChipCatalog({folder / "a"}), "x"), HasSubstr("is a base of itself"));
  for (int i = 0; i < 20; ++i) {
    WriteFile(folder / StrCat("a/c", i, ".toml"), StrCat("base = \"c", i + 1, "\"\n"));
  }
  EXPECT_THAT(Refusal(ChipCatalog({folder / "a"}), "c0"), HasSubstr("more than 16 bases"));
}

TEST(ChipCatalog, FilesThatAreTooLongAreRefusedUnread) {
  const TempFolder folder;
  WriteFile(folder / "a/x.toml", std::string(kMostChipFileBytes + 100, '#'));
  EXPECT_THAT(Refusal(ChipCatalog({folder / "a"}), "x"), HasSubstr("a chip file has at most 65536"));
}

}  // namespace
}  // namespace edgewise
