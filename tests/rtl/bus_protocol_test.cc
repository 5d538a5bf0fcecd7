// The AXI4-Lite slave under masters that use every freedom of the protocol.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tiles.h"

namespace edgewise::chip {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

struct Variant {
  const char* name;
  std::unique_ptr<RtlBusChip> (*make)(const std::string& vcd);
};

class BusProtocol : public testing::TestWithParam<Variant> {
 protected:
  std::unique_ptr<RtlBusChip> chip_ = GetParam().make("");

  // CTRL is the register that can be written and read; only values with start = 0 are written.
  uint32_t Control() { return chip_->Run(Program{Read(kAddressControl)}).results.at(0); }
};

INSTANTIATE_TEST_SUITE_P(, BusProtocol,
                         testing::Values(Variant{"compact", MakeRtlCompact},
                                         Variant{"compact_16mac", MakeRtlCompact16Mac}),
                         [](const auto& info) { return info.param.name; });

TEST_P(BusProtocol, AnAddressWaitsForItsDataAndAnswersOnlyThen) {
  EXPECT_TRUE(chip_->Edge({.awaddr = kAddressControl, .awvalid = true}).awready);
  for (int n = 0; n < 5; ++n) {
    const BusOutputs out = chip_->Edge({.awaddr = 0x3FF, .awvalid = true});
    EXPECT_FALSE(out.awready) << "a second address must wait";
    EXPECT_TRUE(out.wready);
    EXPECT_FALSE(out.bvalid) << "no data has come: nothing to answer";
  }
  EXPECT_TRUE(chip_->Edge({.wdata = kStart, .wvalid = true}).wready);
  const BusOutputs out = chip_->Edge({});
  EXPECT_TRUE(out.bvalid);
  EXPECT_EQ(out.bresp, kOkay);
  EXPECT_TRUE(chip_->Edge({}).busy) << "the waiting address was CTRL";
}

TEST_P(BusProtocol, DataWaitForTheirAddress) {
  EXPECT_TRUE(chip_->Edge({.wdata = kStart, .wvalid = true}).wready);
  for (int n = 0; n < 5; ++n) {
    const BusOutputs out = chip_->Edge({.wdata = 0, .wvalid = true});
    EXPECT_FALSE(out.wready);
    EXPECT_TRUE(out.awready);
    EXPECT_FALSE(out.bvalid);
    EXPECT_FALSE(out.busy);
  }
  EXPECT_TRUE(chip_->Edge({.awaddr = kAddressControl, .awvalid = true}).awready);
  EXPECT_TRUE(chip_->Edge({}).bvalid);
  EXPECT_TRUE(chip_->Edge({}).busy);
}

TEST_P(BusProtocol, AResponseIsHeldUntilItIsTakenAndLaterWritesWait) {
  const BusInputs write = {.awaddr = kAddressA, .wdata = 1, .awvalid = true, .wvalid = true, .bready = false};
  BusInputs unmapped = write;
  unmapped.awaddr = 0x3FF;
  EXPECT_TRUE(chip_->Edge(write).awready);
  EXPECT_TRUE(chip_->Edge(unmapped).awready) << "into the holding registers";
  for (int n = 0; n < 5; ++n) {
    const BusOutputs out = chip_->Edge(write);
    EXPECT_FALSE(out.awready);
    EXPECT_FALSE(out.wready);
    EXPECT_TRUE(out.bvalid);
    EXPECT_EQ(out.bresp, kOkay) << "the first write's";
  }
  EXPECT_TRUE(chip_->Edge({}).bvalid);  // takes the first response, and the second write happens
  const BusOutputs second = chip_->Edge({});
  EXPECT_TRUE(second.bvalid);
  EXPECT_EQ(second.bresp, kSlaveError);
  EXPECT_FALSE(chip_->Edge({}).bvalid) << "two writes were accepted, two answered";
}

TEST_P(BusProtocol, ReadDataAreHeldUntilTheyAreTaken) {
  EXPECT_TRUE(chip_->Edge({.araddr = kAddressStatus, .arvalid = true, .rready = false}).arready);
  // The status changes meanwhile; what was read does not. A second read is taken and waits.
  const BusOutputs first = chip_->Edge({.awaddr = kAddressControl,
                                        .wdata = kStart,
                                        .araddr = kAddressStatus,
                                        .awvalid = true,
                                        .wvalid = true,
                                        .arvalid = true,
                                        .rready = false});
  EXPECT_TRUE(first.rvalid);
  EXPECT_EQ(first.rdata, 0u);
  EXPECT_TRUE(first.arready);
  for (int n = 0; n < 5; ++n) {
    const BusOutputs out = chip_->Edge({.araddr = 0x3FF, .arvalid = true, .rready = false});
    EXPECT_TRUE(out.rvalid);
    EXPECT_EQ(out.rdata, 0u);
    EXPECT_FALSE(out.arready);
  }
  EXPECT_EQ(chip_->Edge({}).rdata, 0u);
  const BusOutputs second = chip_->Edge({});
  EXPECT_TRUE(second.rvalid);
  EXPECT_EQ(second.rdata & 2, 2u) << "busy when it was read, at last";
  EXPECT_FALSE(chip_->Edge({}).rvalid);
}

TEST_P(BusProtocol, AWriteAndAReadOfferedTogetherBothHappen) {
  const BusOutputs out = chip_->Edge({.awaddr = kAddressControl,
                                      .wdata = kStart,
                                      .araddr = kAddressStatus,
                                      .awvalid = true,
                                      .wvalid = true,
                                      .arvalid = true});
  EXPECT_TRUE(out.awready && out.wready && out.arready);
  const BusOutputs next = chip_->Edge({.araddr = kAddressStatus, .arvalid = true});
  EXPECT_TRUE(next.bvalid && next.rvalid);
  EXPECT_EQ(next.rdata, 0u) << "a read sees what was there before the write";
  EXPECT_EQ(chip_->Edge({}).rdata & kStart, kStart);
}

TEST_P(BusProtocol, WhatIsNotMappedAnswersWithAnErrorAndChangesNothing) {
  Program reads, writes;
  for (const uint32_t address : {kAddressA, kAddressB + 63, 0x301u, 0x303u, 0x305u, 0x3FFu})
    reads.push_back(Read(address));
  for (const uint32_t address : {kAddressC, kAddressStatus, 0x301u, 0x303u, 0x305u, 0x3FFu})
    writes.push_back(Write(address, ~0u));
  writes.push_back(Idle(1));  // for the last response
  EXPECT_THAT(chip_->Run(reads).results, ElementsAre(0, 0, 0, 0, 0, 0));
  EXPECT_EQ(chip_->errors(), 6u);
  EXPECT_EQ(chip_->Run(writes).cycles, 7u);
  EXPECT_EQ(chip_->errors(), 12u);
  EXPECT_THAT(chip_->Run(Program{Read(kAddressStatus), Read(kAddressControl)}).results, ElementsAre(0, 0));
  EXPECT_EQ(chip_->errors(), 12u);
}

TEST_P(BusProtocol, StrobesChooseBytesAndWindowsRepeat) {
  Tile identity{}, a{};
  for (int i = 0; i < 8; ++i) identity[i * 9] = 1;
  Program program;
  AppendLoad(program, a, identity);
  chip_->Run(program);
  for (uint32_t lanes = 0; lanes < 16; ++lanes) {
    chip_->Edge({.awaddr = kAddressA + 64 * (lanes % 4) + lanes,
                 .wdata = 0x44332211,
                 .wstrb = lanes,
                 .awvalid = true,
                 .wvalid = true});
    for (int byte = 0; byte < 4; ++byte)
      if (lanes >> byte & 1) a[lanes] |= 0x44332211 & 0xFFu << 8 * byte;
  }
  chip_->Edge({.awaddr = kAddressControl, .wdata = kStart, .wstrb = 0xE, .awvalid = true, .wvalid = true});
  EXPECT_THAT(chip_->Run(Program{Idle(2), Read(kAddressStatus)}).results, ElementsAre(0)) << "lane 0 is off";
  program = {Write(kAddressControl, kStart), Write(kAddressControl, 0), Idle(514)};
  AppendReadAll(program);
  EXPECT_THAT(chip_->Run(program).results, ElementsAreArray(a));
}

// Random delays on all five channels: everything accepted is answered once, in order, and nothing is lost.
TEST_P(BusProtocol, RandomHandshakesLoseNothing) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 50; ++round) {
    const Tile a = RandomTile(random), b = RandomTile(random);
    Program writes;
    AppendLoad(writes, a, b);
    std::shuffle(writes.begin(), writes.end(), random);
    size_t addresses = 0, data = 0, responses = 0;
    BusInputs in;
    // Valid, once given, stays until ready; every channel has a pace of its own in each round.
    const uint64_t aw_pace = 1 + random() % 4, w_pace = 1 + random() % 4, b_pace = 1 + random() % 4;
    for (int edge = 0; responses < writes.size(); ++edge) {
      ASSERT_LT(edge, 10000);
      if (!in.awvalid && addresses < writes.size() && random() % aw_pace == 0) {
        in.awvalid = true;
        in.awaddr = writes[addresses].address;
      }
      if (!in.wvalid && data < writes.size() && random() % w_pace == 0) {
        in.wvalid = true;
        in.wdata = writes[data].data;
      }
      in.bready = random() % b_pace == 0;
      const BusOutputs out = chip_->Edge(in);
      ASSERT_TRUE(!out.bvalid || responses < std::min(addresses, data)) << "answered before it was complete";
      responses += out.bvalid && in.bready;
      addresses += in.awvalid && out.awready;
      data += in.wvalid && out.wready;
      in.awvalid = in.awvalid && !out.awready;
      in.wvalid = in.wvalid && !out.wready;
    }
    EXPECT_FALSE(chip_->Edge({}).bvalid);

    chip_->Run(Program{Write(kAddressControl, kStart), Write(kAddressControl, 0), Idle(514)});
    std::vector<uint32_t> read;
    in = {};
    uint32_t next = 0;
    const uint64_t ar_pace = 1 + random() % 4, r_pace = 1 + random() % 4;
    for (int edge = 0; read.size() < 64; ++edge) {
      ASSERT_LT(edge, 10000);
      if (!in.arvalid && next < 64 && random() % ar_pace == 0) {
        in.arvalid = true;
        in.araddr = kAddressC + next++;
      }
      in.rready = random() % r_pace == 0;
      const BusOutputs out = chip_->Edge(in);
      if (out.rvalid && in.rready) read.push_back(out.rdata);
      in.arvalid = in.arvalid && !out.arready;
    }
    ASSERT_THAT(read, ElementsAreArray(Multiply(a, b)));
  }
}

}  // namespace
}  // namespace edgewise::chip
