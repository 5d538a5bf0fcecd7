#include "machine/device_catalog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "base/test_files.h"
#include "machine/device_file.h"

namespace edgewise {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;

DeviceCatalog Shipped() {
  return DeviceCatalog({EDGEWISE_SOURCE_DIR "/devices"}, ChipCatalog({EDGEWISE_SOURCE_DIR "/chips"}));
}

std::string Refusal(const DeviceCatalog& catalog, const std::string& name) {
  return RefusalOf([&] { catalog.Find(name); });
}

constexpr const char* kSmall =
    "title = \"small\"\nkind = \"npu\"\nfamily = \"npu\"\n[peak]\nint8_ops_s = 4e12\n"
    "[memory]\nbytes = 1e9\nbytes_s = 1e9\n";

TEST(DeviceCatalog, EveryShippedDeviceIsValidAndSaysWhereEachFigureComesFrom) {
  ASSERT_GE(Shipped().Names().size(), 60u);
  for (const std::string& name : Shipped().Names()) {
    SCOPED_TRACE(name);
    const Device device = Shipped().Find(name);  // which checks it
    EXPECT_EQ(device.name, name);
    EXPECT_LE(device.title.size(), 60u);  // of a line of `edgewise devices`
    EXPECT_FALSE(device.is_measured());   // such files are made by the program, each on its machine
    for (const DeviceField& field : DeviceFields()) {
      const Figure* figure = field.Get(device);
      if (figure == nullptr) continue;
      EXPECT_FALSE(figure->source.empty()) << field.name();
      EXPECT_NE(figure->from, Provenance::kStated) << field.name();
      EXPECT_EQ(figure->claimed.has_value(), !figure->claimed_by.empty()) << field.name();
      EXPECT_EQ(figure->claimed.has_value(), !figure->verdict.empty()) << field.name();
      // Two documents may say the same of a figure: "S0, S4: ...".
      if (figure->claimed) {
        EXPECT_TRUE(figure->claimed_by.starts_with('S')) << field.name();
      }
    }
  }
}

TEST(DeviceCatalog, AVerdictThatCallsAClaimRightHasTheSameValue) {
  for (const std::string& name : Shipped().Names()) {
    const Device device = Shipped().Find(name);
    for (const DeviceField& field : DeviceFields()) {
      const Figure* figure = field.Get(device);
      if (figure == nullptr || !figure->claimed) continue;
      const double apart = std::abs(*figure->claimed / figure->value - 1);
      if (figure->verdict == "right") {
        EXPECT_LE(apart, 0.01) << name << " " << field.name();
      } else if (figure->verdict.starts_with("wrong")) {
        EXPECT_GT(apart, 0.01) << name << " " << field.name();
      }
    }
  }
}

TEST(DeviceCatalog, PeaksAreOfOneOrderAndMemoryIsOneThatIsSold) {
  for (const std::string& name : Shipped().Names()) {
    SCOPED_TRACE(name);
    const Device d = Shipped().Find(name);
    // Halving a type's width doubles the rate at least where a device has both: 1, 2 or 4 times in practice,
    // more with matrix units beside plain lanes.
    if (d.f32_ops_s && d.f16_ops_s) {
      EXPECT_GE(d.f16_ops_s->value, 0.99 * d.f32_ops_s->value);
    }
    if (d.int8_ops_s && d.int4_ops_s) {
      EXPECT_NEAR(d.int4_ops_s->value / d.int8_ops_s->value, 2, 0.02);
    }
    if (!d.memory_sizes.empty()) {
      EXPECT_THAT(d.memory_sizes, Contains(d.memory_bytes.value));
    }
  }
}

TEST(DeviceCatalog, TheDevicesOfTheDocumentsAreThere) {
  EXPECT_THAT(
      Shipped().Names(),
      IsSupersetOf({"cortex-a76", "cortex-a78", "cortex-x1", "cortex-x2",   "cortex-x3", "cortex-x4",
                    "pixel5",     "rpi4",       "rpi5",      "hexagon-698", "mali-g78",  "mali-g710",
                    "adreno-740", "adreno-750", "edge-tpu",  "jetson-nano", "m1",        "m2",
                    "m2-pro",     "m2-max",     "a100-pcie", "a100-40gb",   "rtx-4090",  "rtx-3090",
                    "h100-sxm",   "h200-sxm",   "orin-nano", "agx-orin",    "epyc-7763", "ryzen-7950x"}));
}

TEST(DeviceCatalog, EveryChipIsADevice) {
  const DeviceCatalog catalog = Shipped();
  EXPECT_THAT(catalog.ChipNames(), Contains("compact-rtl"));
  EXPECT_FALSE(catalog.FileOf("compact-rtl").empty());
  const Device device = catalog.Find("compact-rtl");
  EXPECT_EQ(device.kind, DeviceKind::kChip);
  ASSERT_TRUE(device.chip.has_value());
  EXPECT_EQ(*device.chip, ChipCatalog({EDGEWISE_SOURCE_DIR "/chips"}).Find("compact-rtl"));
  EXPECT_TRUE(std::isinf(device.usable_bytes()));
}

TEST(DeviceCatalog, AFileOfOnesOwnMayBeADeviceOrAChip) {
  const TempFolder folder;
  WriteFile(folder / "mine.toml", kSmall);
  EXPECT_EQ(Shipped().Find(folder / "mine.toml").title, "small");
  WriteFile(folder / "chip.toml", "base = \"compact-rtl\"\n[array]\nmacs = 4\n");
  EXPECT_EQ(Shipped().Find(folder / "chip.toml").chip->macs, 4u);
  WriteFile(folder / "bad.toml", "[array]\nkind = 3\n");
  EXPECT_THAT(Refusal(Shipped(), folder / "bad.toml"), HasSubstr("bad.toml:2: array.kind is 3"));
}

TEST(DeviceCatalog, PublishedRowsAreOfTheFileBesideThem) {
  EXPECT_EQ(Shipped().Find("rpi5").published_as, "rpi5");
  EXPECT_EQ(Shipped().Find(EDGEWISE_SOURCE_DIR "/devices/rpi5.toml").published_as, "rpi5");
  const TempFolder folder;
  WriteFile(folder / "rpi5.toml", kSmall);
  WriteFile(folder / "mine.toml", StrCat("published_as = \"rpi4\"\n", kSmall));
  WriteFile(folder / "bad.toml", StrCat("published_as = \"rpi44\"\n", kSmall));
  EXPECT_EQ(Shipped().Find(folder / "rpi5.toml").published_as, "");
  EXPECT_EQ(Shipped().Find(folder / "mine.toml").published_as, "rpi4");
  EXPECT_THAT(Refusal(Shipped(), folder / "bad.toml"), HasSubstr("published_as: no device is named 'rpi44'"));
}

TEST(DeviceCatalog, ADeviceHidesAChipAndTheFirstFolderAnother) {
  const TempFolder folder;
  WriteFile(folder / "a/x.toml", kSmall);
  WriteFile(folder / "b/x.toml", "broken");
  WriteFile(folder / "chips/x.toml", "[array]\nkind = \"sequential\"\n");
  const DeviceCatalog catalog({folder / "a", folder / "b"}, ChipCatalog({folder / "chips"}));
  EXPECT_EQ(catalog.Find("x").kind, DeviceKind::kNpu);
  EXPECT_THAT(catalog.Names(), ElementsAre("x"));
}

TEST(DeviceCatalog, UnknownNamesAreAnsweredWithTheNearestOfDevicesAndChips) {
  EXPECT_THAT(Refusal(Shipped(), "rpi44"),
              HasSubstr("no device is named 'rpi44', did you mean rpi4? (edgewise"));
  EXPECT_THAT(Refusal(Shipped(), "RTX4090"), HasSubstr("did you mean rtx-4090?"));
  EXPECT_THAT(Refusal(Shipped(), "compact-rt"), HasSubstr("did you mean compact-rtl?"));
  EXPECT_THAT(Refusal(Shipped(), "a100"), HasSubstr("did you mean a100-40gb, a100-pcie, a100-sxm?"));
  EXPECT_THAT(Refusal(Shipped(), "../devices/rpi4"),
              HasSubstr("no device is named '../devices/rpi4' (edgewise"));
  EXPECT_THAT(Refusal(Shipped(), ""), HasSubstr("no device is named ''"));
  EXPECT_THAT(Refusal(Shipped(), "nowhere/mine.toml"), HasSubstr("nowhere/mine.toml: no such device file"));
  const TempFolder folder;
  EXPECT_THAT(Refusal(DeviceCatalog({folder / "none"}, ChipCatalog({})), "a"),
              HasSubstr("there are no device files in"));
}

TEST(DeviceCatalog, FilesThatAreTooLongAreRefused) {
  const TempFolder folder;
  WriteFile(folder / "x.toml", std::string(kMostDeviceFileBytes + 100, '#'));
  EXPECT_THAT(Refusal(Shipped(), folder / "x.toml"), HasSubstr("a device file has at most 262144"));
}

}  // namespace
}  // namespace edgewise
