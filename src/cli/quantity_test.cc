#include "cli/quantity.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace edgewise {
namespace {

TEST(QuantityTest, UnitsMeanWhatTheySay) {
  EXPECT_EQ(ParseBytes("--mem", "4G"), 4e9);
  EXPECT_EQ(ParseBytes("--mem", "4GiB"), 4294967296.0);
  EXPECT_EQ(ParseBytes("--mem", "0.5gb"), 5e8);
  EXPECT_DOUBLE_EQ(ParseSeconds("--ttft", "500ms"), 0.5);
  EXPECT_DOUBLE_EQ(ParsePercent("--max-ppl-loss", "3%"), 0.03);
  EXPECT_DOUBLE_EQ(ParseWatts("--watts", "500mW"), 0.5);
  EXPECT_DOUBLE_EQ(ParseWatts("--watts", "5"), 5);
  EXPECT_DOUBLE_EQ(ParseShare("--duty", "25%"), 0.25);
  const Battery battery = ParseBattery("--battery", "3000mAh@3.7V");
  EXPECT_DOUBLE_EQ(battery.ampere_hours, 3);
  EXPECT_DOUBLE_EQ(battery.watt_hours(), 11.1);
}

TEST(QuantityTest, WhatIsNoneNamesTheFlagAndAnExample) {
  const auto message = [](auto parse) -> std::string {
    try {
      parse();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUsage);
      return error.message();
    }
    return "no error";
  };
  EXPECT_EQ(message([] { ParseBytes("--mem", "4 potatoes"); }),
            "--mem: '4 potatoes' is not an amount of memory such as 4G, 512M or 4GiB");
  EXPECT_EQ(message([] { ParseSeconds("--ttft", "500"); }),
            "--ttft: '500' is not a time such as 500ms or 2s");
  EXPECT_EQ(message([] { ParseBytes("--mem", "-4G"); }), "--mem: -4G is outside 1 MB to 2^50 bytes");
  for (const char* text : {"", "nan", "inf", "1e999", "3", "3%%", "%", "0x3%"}) {
    EXPECT_NE(message([&] { ParsePercent("--max-ppl-loss", text); }), "no error") << text;
  }
  for (const char* text : {"3000mAh", "3000@3.7", "0mAh@3.7V", "3000mAh@-1V", "@", "1e300Ah@5V"}) {
    EXPECT_NE(message([&] { ParseBattery("--battery", text); }), "no error") << text;
  }
  EXPECT_NE(message([] { ParseRate("--tok-s", "0"); }), "no error");
  EXPECT_EQ(SplitNames("--device", "host,rpi4"), (std::vector<std::string>{"host", "rpi4"}));
  for (const char* text : {"", ",", "a,", ",a", "a,,b", "a,b,a"}) {
    EXPECT_NE(message([&] { SplitNames("--device", text); }), "no error") << text;
  }
}

}  // namespace
}  // namespace edgewise
