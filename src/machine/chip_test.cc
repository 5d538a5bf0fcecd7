#include "machine/chip.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "base/error.h"
#include "machine/chip_file.h"

namespace edgewise {
namespace {

using ::testing::HasSubstr;

ChipDesign Systolic() {
  ChipDesign d;
  d.name = "systolic";
  d.kind = ArrayKind::kOutputStationary;
  d.host = HostInterface::kDma;
  d.accumulate = true;
  d.datapath = Datapath::kInt8;
  return d;
}

// "field=value field=value ..." set on a design.
ChipDesign With(ChipDesign design, std::initializer_list<std::pair<const char*, const char*>> fields) {
  for (const auto& [field, value] : fields) SetChipField(design, field, value);
  return design;
}

std::string Refusal(const ChipDesign& design) {
  try {
    CheckDesign(design);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUsage);
    return error.message();
  }
  return "accepted";
}

TEST(Chip, WidthsOfOperands) {
  EXPECT_EQ(WeightBits(Datapath::kInt32), 32u);
  EXPECT_EQ(ActivationBits(Datapath::kInt16), 16u);
  EXPECT_EQ(WeightBits(Datapath::kInt4), 4u);
  EXPECT_EQ(ActivationBits(Datapath::kInt4), 8u);
  EXPECT_EQ(WeightBits(Datapath::kTernary), 2u);
  EXPECT_EQ(ActivationBits(Datapath::kTernary), 8u);
}

TEST(Chip, MultiplyAddsACycleFollowFromTheKind) {
  ChipDesign d;
  d.rows = 2;
  d.cols = 3;
  d.depth = 5;
  d.arrays = 7;
  d.macs = 4;
  EXPECT_EQ(PeakMacs(d), 4u * 7);
  d.kind = ArrayKind::kOutputStationary;
  EXPECT_EQ(PeakMacs(d), 2u * 3 * 7);
  d.kind = ArrayKind::kWeightStationary;
  EXPECT_EQ(PeakMacs(d), 3u * 5 * 7);
  d.kind = ArrayKind::kVector;
  EXPECT_EQ(PeakMacs(d), 2u * 3 * 5 * 7);
}

TEST(Chip, BeatsArePackedOperandsAndTakeWhatBusAndMemoryTake) {
  ChipDesign d = With(Systolic(), {{"array.rows", "3"}, {"array.cols", "5"}, {"array.datapath", "int4"}});
  EXPECT_EQ(ActivationBeatBytes(d), 3u);
  EXPECT_EQ(WeightBeatBytes(d), 3u);  // 20 bits
  d = With(d, {{"array.kind", "vector"}, {"array.depth", "4"}, {"array.arrays", "2"}});
  EXPECT_EQ(ActivationBeatBytes(d), 12u);
  EXPECT_EQ(WeightBeatBytes(d), 20u);
  EXPECT_EQ(BeatCycles(d, 8), 1u);
  EXPECT_EQ(BeatCycles(d, 9), 2u);
  d.memory_bytes_s = d.clock_hz * 4;  // half of the bus
  EXPECT_EQ(BeatCycles(d, 4), 1u);
  EXPECT_EQ(BeatCycles(d, 5), 2u);
  EXPECT_EQ(BeatCycles(d, 8), 2u);
  EXPECT_EQ(BeatCycles(d, 9), 3u);
}

TEST(Chip, GoodDesignsPass) {
  EXPECT_EQ(Refusal(ChipDesign()), "accepted");
  EXPECT_EQ(Refusal(Systolic()), "accepted");
  EXPECT_EQ(Refusal(With(ChipDesign(), {{"array.macs", "512"}})), "accepted");
  EXPECT_EQ(Refusal(With(Systolic(), {{"array.kind", "weight-stationary"}, {"array.double_buffer", "true"},
                                      {"array.zero_skip", "tile"}})),
            "accepted");
}

struct Refused {
  std::initializer_list<std::pair<const char*, const char*>> fields;
  const char* message;
  bool systolic = false;
};

TEST(Chip, WhatCannotBeIsRefusedByFieldAndReason) {
  const Refused kCases[] = {
      {{{"array.rows", "0"}}, "array.rows is 0: it must be 1 to 4096"},
      {{{"array.cols", "4097"}}, "array.cols is 4097"},
      {{{"array.depth", "0"}}, "array.depth is 0"},
      {{{"array.macs", "0"}}, "array.macs is 0"},
      {{{"array.macs", "513"}}, "a tile of 8 x 8 x 8 has only 512 multiply-adds"},
      {{{"array.arrays", "65537"}}, "array.arrays is 65537"},
      {{{"array.clock_hz", "0"}}, "array.clock_hz is 0"},
      {{{"array.clock_hz", "1e11"}}, "array.clock_hz is 1e+11"},
      {{{"array.clock_hz", "nan"}}, "array.clock_hz is nan"},
      {{{"timing.start_cycles", "16777217"}}, "timing.start_cycles is 16777217"},
      {{{"scratchpad.words", "0"}}, "scratchpad.words is 0"},
      {{{"host.read_cycles", "0"}}, "host.read_cycles is 0"},
      {{{"host.add_cycles", "-1"}}, "host.add_cycles is -1"},
      {{{"memory.bytes_s", "25.6"}}, "memory.bytes_s is 25.6: it must be 0 (none) or 1000"},
      {{{"memory.bytes_s", "inf"}}, "memory.bytes_s is inf"},
      {{{"chips.count", "0"}}, "chips.count is 0"},
      {{{"energy.mac_pj", "-0.1"}}, "energy.mac_pj is -0.1"},
      {{{"area.sram_um2_bit", "inf"}}, "area.sram_um2_bit is inf"},
      {{{"array.kind", "vector"}}, "an array that streams its operands needs \"dma\""},
      {{{"array.double_buffer", "true"}}, "array.double_buffer is true: it needs host.interface \"dma\""},
      {{{"host.interface", "dma"}}, "array.accumulate is false, but host.interface is dma"},
      {{{"array.macs", "2"}}, "array.macs is set, but array.kind is output-stationary", true},
      {{{"timing.result_cycles", "2"}}, "timing.result_cycles is set", true},
      {{{"host.interface", "axi-lite"}}, "host.interface is axi-lite, but array.kind", true},
      {{{"memory.bus_bytes", "0"}}, "a DMA needs a bus", true},
      {{{"array.zero_skip", "element"}}, "only a sequential array can pass over", true},
      {{{"array.zero_skip", "tile"}}, "it streams weights and holds no tile", true},
      {{{"scratchpad.words", "1"}}, "one step of 8 rows needs 64 bits", true},
      {{{"array.double_buffer", "true"}}, "this one is output-stationary with dma", true},
      {{{"array.rows", "4096"},
        {"array.cols", "4096"},
        {"array.arrays", "65536"},
        {"scratchpad.words", "4096"}},
       "multiply-adds a cycle, of at most 4294967296", true},
  };
  for (const Refused& refused : kCases) {
    const ChipDesign base = refused.systolic ? Systolic() : ChipDesign();
    EXPECT_THAT(Refusal(With(base, refused.fields)), HasSubstr(refused.message));
  }
}

}  // namespace
}  // namespace edgewise
