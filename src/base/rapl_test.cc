#include "base/rapl.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace edgewise {
namespace {

namespace fs = std::filesystem;

// A powercap tree of our own.
class EnergyCounterTest : public testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::path(testing::TempDir()) /
            ("powercap-" + std::string(testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::remove_all(root_);
    fs::create_directories(root_ / "sys/class/powercap");
  }
  void TearDown() override { fs::remove_all(root_); }

  void Write(const std::string& zone, const std::string& file, const std::string& text) {
    const fs::path folder = root_ / "sys/class/powercap" / zone;
    fs::create_directories(folder);
    std::ofstream(folder / file) << text << "\n";
  }
  void Zone(const std::string& zone, const std::string& name, const std::string& energy,
            const std::string& range) {
    Write(zone, "name", name);
    Write(zone, "energy_uj", energy);
    Write(zone, "max_energy_range_uj", range);
  }

  fs::path root_;
};

TEST_F(EnergyCounterTest, AddsUpPackagesAndNothingElse) {
  Zone("intel-rapl:0", "package-0", "1000000", "262143328850");
  Zone("intel-rapl:0:0", "core", "500000", "262143328850");
  Zone("intel-rapl:1", "package-1", "7000000", "262143328850");
  Zone("intel-rapl:2", "psys", "0", "262143328850");
  Zone("intel-rapl-mmio:0", "package-0", "1000000", "262143328850");
  EnergyCounter counter(root_);
  ASSERT_TRUE(counter.present()) << counter.why_not();
  EXPECT_EQ(counter.Joules(), 0);
  Write("intel-rapl:0", "energy_uj", "3500000");
  Write("intel-rapl:0:0", "energy_uj", "2500000");
  Write("intel-rapl:1", "energy_uj", "8000000");
  Write("intel-rapl:2", "energy_uj", "99000000");
  Write("intel-rapl-mmio:0", "energy_uj", "3500000");
  EXPECT_DOUBLE_EQ(counter.Joules(), 3.5);
}

TEST_F(EnergyCounterTest, GoesOnAfterWrappingAround) {
  Zone("intel-rapl:0", "package-0", "9000000", "10000000");
  EnergyCounter counter(root_);
  Write("intel-rapl:0", "energy_uj", "2000000");
  EXPECT_DOUBLE_EQ(counter.Joules(), 3);
  Write("intel-rapl:0", "energy_uj", "1000000");  // and once more
  EXPECT_DOUBLE_EQ(counter.Joules(), 12);
}

TEST_F(EnergyCounterTest, KeepsItsSumWhenTheFileGoesAway) {
  Zone("intel-rapl:0", "package-0", "0", "10000000");
  EnergyCounter counter(root_);
  Write("intel-rapl:0", "energy_uj", "4000000");
  EXPECT_DOUBLE_EQ(counter.Joules(), 4);
  Write("intel-rapl:0", "energy_uj", "");
  EXPECT_DOUBLE_EQ(counter.Joules(), 4);
}

TEST_F(EnergyCounterTest, SaysWhatIsMissing) {
  EnergyCounter none(root_);
  EXPECT_FALSE(none.present());
  EXPECT_EQ(none.why_not(), "/sys/class/powercap has no package that counts energy");
  EXPECT_EQ(none.Joules(), 0);

  Write("intel-rapl:0", "name", "package-0");
  Write("intel-rapl:0", "max_energy_range_uj", "10000000");
  EnergyCounter unreadable(root_);
  EXPECT_FALSE(unreadable.present());
  EXPECT_EQ(unreadable.why_not(), "/sys/class/powercap/intel-rapl:0/energy_uj cannot be read (root may)");

  EnergyCounter elsewhere(root_ / "nowhere");
  EXPECT_FALSE(elsewhere.present());
}

}  // namespace
}  // namespace edgewise
