// compact and compact-16mac: results, and every edge at which something becomes visible or possible.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>

#include "tiles.h"

namespace edgewise::chip {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

// A 2 x 2 matrix in the corner of a tile of zeros.
Tile Corner(uint32_t a00, uint32_t a01, uint32_t a10, uint32_t a11) {
  Tile tile{};
  tile[0] = a00, tile[1] = a01, tile[8] = a10, tile[9] = a11;
  return tile;
}
// The product that the published chip's status file records as wrong.
const Tile kPublishedA = Corner(5, 5, 5, 1), kPublishedB = Corner(4, 7, 6, 1);
const Tile kPublishedC = Corner(50, 40, 26, 36);

// Loads, starts with the edge that it calls 0, and puts the next op at edge 2.
Program CompactStart(const Tile& a, const Tile& b) {
  Program program;
  AppendLoad(program, a, b);
  Append(program, {Write(kAddressControl, kStart), Write(kAddressControl, 0)});
  return program;
}

// `op` accepted first at `edge` after the start.
Outcome CompactAt(RtlBusChip& chip, const Tile& a, const Tile& b, uint32_t edge, const BusOp& op) {
  Program program = CompactStart(a, b);
  Append(program, {Idle(edge - 2), op});
  return chip.Run(program);
}

TEST(Compact, ThePublishedFailingCaseIsRight) {
  const auto chip = MakeRtlCompact();
  Program program = CompactStart(kPublishedA, kPublishedB);
  program.push_back(Idle(514));
  AppendReadAll(program);
  EXPECT_THAT(chip->Run(program).results, ElementsAreArray(kPublishedC));
}

TEST(Compact, RandomTilesWrapModulo2To32AndCostTheirClosedForm) {
  std::mt19937_64 random(1);
  const auto chip = MakeRtlCompact();
  for (int n = 0; n < 100; ++n) {
    const Tile a = RandomTile(random), b = RandomTile(random);
    Program program = CompactStart(a, b);
    program.push_back(Idle(514));
    AppendReadAll(program);
    const Outcome outcome = chip->Run(program);
    ASSERT_THAT(outcome.results, ElementsAreArray(Multiply(a, b)));
    ASSERT_EQ(outcome.cycles, 128 + 1 + 515 + 128);
  }
  EXPECT_EQ(chip->errors(), 0);
}

TEST(Compact, DoneIsVisibleAfterEdge513AndNotAfter512) {
  std::mt19937_64 random(2);
  const Tile a = RandomTile(random), b = RandomTile(random);
  const auto chip = MakeRtlCompact();
  EXPECT_THAT(CompactAt(*chip, a, b, 513, Read(kAddressStatus)).results, ElementsAre(kBusy));
  chip->Run(Program{Idle(600)});
  EXPECT_THAT(CompactAt(*chip, a, b, 514, Read(kAddressStatus)).results, ElementsAre(kBusy | kDone));
  chip->Run(Program{Idle(600)});
  // Start was cleared long before: DONE lasts one cycle.
  EXPECT_THAT(CompactAt(*chip, a, b, 515, Read(kAddressStatus)).results, ElementsAre(0));
}

TEST(Compact, DoneStaysWhileStartIsHeld) {
  const auto chip = MakeRtlCompact();
  const Outcome outcome =
      chip->Run(Program{Write(kAddressControl, kStart), Idle(2000), Read(kAddressStatus),
                        Write(kAddressControl, 0), Read(kAddressStatus), Read(kAddressStatus)});
  // The first read after the clearing write still sees the state before the edge that acts on it.
  EXPECT_THAT(outcome.results, ElementsAre(kStart | kBusy | kDone, kBusy | kDone, 0));
}

TEST(Compact, EveryElementIsStaleAtItsGateAndRightOneEdgeLater) {
  std::mt19937_64 random(3);
  Tile a = RandomTile(random), b = RandomTile(random), c = Multiply(a, b);
  const auto chip = MakeRtlCompact();
  for (uint32_t e = 0; e < 64; ++e) {
    ASSERT_NE(c[e], 0u) << "choose another seed: stale must differ from right";
    const uint32_t gate = 8 * e + 11;  // the last: 515
    const BusOp read = Read(kAddressC + e);
    EXPECT_THAT(CompactAt(*chip, a, b, gate, read).results, ElementsAre(0)) << e;
    chip->Run(Program{Idle(600)});
    EXPECT_THAT(CompactAt(*chip, a, b, gate + 1, read).results, ElementsAre(c[e])) << e;
    chip->Run(Program{Idle(600)});
  }
}

TEST(Compact, OperandsWrittenWhileTheyAreMultipliedTakeEffectAtOnce) {
  Tile ones;
  ones.fill(1);
  const auto chip = MakeRtlCompact();
  // A[7][0] is read with counter 448 + 8j, at edges 450 + 8j: written at 458, it is old for j = 0 and 1.
  CompactAt(*chip, ones, ones, 458, Write(kAddressA + 56, 101));
  Program program{Idle(600)};
  for (uint32_t j = 0; j < 8; ++j) program.push_back(Read(kAddressC + 56 + j));
  EXPECT_THAT(chip->Run(program).results, ElementsAre(8, 8, 108, 108, 108, 108, 108, 108));
}

TEST(Compact, AStartAtTheEdgeAfterDoneClearsTheLastElementBeforeItIsSeen) {
  std::mt19937_64 random(4);
  const Tile a = RandomTile(random), b = RandomTile(random), c = Multiply(a, b);
  const auto chip = MakeRtlCompact();
  CompactAt(*chip, a, b, 514, Write(kAddressControl, kStart));  // edge 515 clears, and would write C[63]
  const Outcome again = chip->Run(Program{Read(kAddressC + 63), Write(kAddressControl, 0), Idle(600),
                                          Read(kAddressC + 62), Read(kAddressC + 63)});
  EXPECT_THAT(again.results, ElementsAre(0, c[62], c[63]));
}

TEST(Trace, IsWrittenWhereTheBuildHasItAndRefusedElsewhere) {
  const std::string vcd = testing::TempDir() + "edgewise_rtl_test.vcd";
#if EDGEWISE_RTL_TRACE
  MakeRtlCompact(vcd)->Run(Program{Write(kAddressControl, kStart), Idle(20)});
  std::ifstream file(vcd);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  EXPECT_THAT(text, testing::HasSubstr("$enddefinitions"));
  EXPECT_THAT(text, testing::HasSubstr("\n#200\n")) << "edge 20, of 10 ns each";
  std::remove(vcd.c_str());
#else
  EXPECT_THROW(MakeRtlCompact(vcd), std::runtime_error);
#endif
}

TEST(Compact16Mac, ThePublishedFailingCaseIsRight) {
  const auto chip = MakeRtlCompact16Mac();
  Program program;
  AppendLoad(program, kPublishedA, kPublishedB);
  program.push_back(Write(kAddressControl, kStart));
  AppendReadAll(program);
  EXPECT_THAT(chip->Run(program).results, ElementsAreArray(kPublishedC));
}

TEST(Compact16Mac, RandomTilesAccumulateAndCostTheirClosedForm) {
  std::mt19937_64 random(5);
  const auto chip = MakeRtlCompact16Mac();
  for (int n = 0; n < 100; ++n) {
    Program program;
    Tile sums{};
    const uint64_t tiles = 1 + random() % 4;
    for (uint64_t t = 0; t < tiles; ++t) {
      const Tile a = RandomTile(random), b = RandomTile(random);
      sums = Multiply(a, b, sums);
      AppendLoad(program, a, b);
      program.push_back(Write(kAddressControl, kStart | (t > 0 ? kAccumulate : 0)));
    }
    AppendReadAll(program);
    const Outcome outcome = chip->Run(program);
    ASSERT_THAT(outcome.results, ElementsAreArray(sums));
    ASSERT_EQ(outcome.cycles, tiles * (128 + 1 + 33) + 128);
  }
  EXPECT_EQ(chip->errors(), 0);
}

TEST(Compact16Mac, AccessesOfferedDuringTheComputationAreAcceptedExactlyAtEdge34) {
  for (uint32_t edge = 1; edge <= 40; ++edge) {
    SCOPED_TRACE(edge);
    const uint64_t accepted = std::max(edge, 34u);
    for (const BusOp& op : {Write(kAddressA, 1), Write(kAddressB, 1), Write(kAddressControl, 0)}) {
      const auto chip = MakeRtlCompact16Mac();
      const Outcome outcome = chip->Run(Program{Write(kAddressControl, kStart), Idle(edge - 1), op});
      EXPECT_EQ(outcome.cycles - 1, accepted) << op.address;  // run edge 1 is edge 0 here
    }
    for (const uint32_t address : {kAddressC, kAddressControl}) {
      const auto chip = MakeRtlCompact16Mac();
      const Outcome outcome =
          chip->Run(Program{Write(kAddressControl, kStart), Idle(edge - 1), Read(address)});
      EXPECT_EQ(outcome.cycles - 1, accepted + 1) << address;
    }
    const auto chip = MakeRtlCompact16Mac();
    const Outcome status =
        chip->Run(Program{Write(kAddressControl, kStart), Idle(edge - 1), Read(kAddressStatus)});
    EXPECT_EQ(status.cycles - 1, edge + 1) << "STATUS never waits";
    EXPECT_THAT(status.results, ElementsAre(edge == 1 ? kStart | kBusy : edge < 34 ? kBusy : kDone));
  }
}

TEST(Compact16Mac, TheComputationUsesWhatWasThereAtTheStart) {
  std::mt19937_64 random(6);
  const Tile a = RandomTile(random), b = RandomTile(random);
  const auto chip = MakeRtlCompact16Mac();
  Program program;
  AppendLoad(program, a, b);
  Append(program, {Write(kAddressControl, kStart), Write(kAddressA, 12345), Write(kAddressB + 63, 67890)});
  AppendReadAll(program);
  EXPECT_THAT(chip->Run(program).results, ElementsAreArray(Multiply(a, b)));
}

}  // namespace
}  // namespace edgewise::chip
