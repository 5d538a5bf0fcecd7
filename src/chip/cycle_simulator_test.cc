// Whole products on every kind of chip: exact results, the tile model's cycles, conservation, no dependence
// on the order in which components tick, and none on whether quiet edges are skipped.

#include "chip/cycle_simulator.h"

#include <gtest/gtest.h>

#include <bit>

#include "chip/lower.h"
#include "chip/test_products.h"
#include "chip/tile_model.h"

namespace edgewise::chip {
namespace {

std::vector<int32_t> Gather(const ChipDesign& design, const Tiling& tiling, const Outcome& outcome) {
  std::vector<int32_t> c(tiling.product.m * tiling.product.n);
  GatherResults(design, tiling, outcome.results, {c.data(), tiling.product.n});
  return c;
}

// A design of a kind with whatever sizes and delays; CheckDesign accepts it.
ChipDesign RandomDesign(ArrayKind kind, HostInterface host, std::mt19937_64& random) {
  const auto upto = [&](uint32_t n) { return 1 + static_cast<uint32_t>(random() % n); };
  ChipDesign design = Square(kind, 8);
  design.host = host;
  design.rows = upto(9);
  design.cols = upto(9);
  design.depth = upto(9);
  design.arrays = upto(3);
  if (kind == ArrayKind::kSequential) {
    design.macs = upto(design.rows * design.cols * design.depth);
    design.start_cycles = upto(5) - 1;
    design.result_cycles = upto(5) - 1;
    if (random() % 4 == 0) design.zero_skip = ZeroSkip::kElement;
    if (host != HostInterface::kDma) {
      design.accumulate = random() % 2 == 0;
      design.datapath = Datapath::kInt32;
    }
  }
  if (host == HostInterface::kDma) {
    const bool buffered = kind == ArrayKind::kSequential || kind == ArrayKind::kWeightStationary;
    design.datapath = static_cast<Datapath>(random() % 5);
    design.double_buffer = buffered && random() % 2 == 0;
    design.scratch_ports = upto(2);
    design.bus_bytes = upto(40);
    if (random() % 2 == 0) design.memory_bytes_s = design.clock_hz * upto(40);
    design.latency_cycles = upto(50) - 1;
    design.scratch_word_bits = design.rows * ActivationBits(design.datapath);
    design.scratch_words = design.depth * upto(4);
  }
  if (host == HostInterface::kAxiLite && random() % 4 == 0) {
    design.write_cycles = upto(3);
    design.read_cycles = upto(4);
    design.control_cycles = upto(3);
  }
  if (design.zero_skip == ZeroSkip::kNone && random() % 4 == 0 &&
      (host != HostInterface::kDma || kind == ArrayKind::kWeightStationary ||
       kind == ArrayKind::kSequential)) {
    design.zero_skip = ZeroSkip::kTile;
  }
  return design;
}

struct Machine {
  const char* name;
  ArrayKind kind;
  HostInterface host;
};

class EveryMachine : public testing::TestWithParam<Machine> {};

TEST_P(EveryMachine, GivesExactProductsInTheTileModelsCyclesInAnyOrderOfTicksWithAndWithoutQuietEdges) {
  std::mt19937_64 random(6);
  for (int round = 0; round < 150; ++round) {
    const ChipDesign design = RandomDesign(GetParam().kind, GetParam().host, random);
    SCOPED_TRACE(testing::Message() << "round " << round << ": " << design.rows << 'x' << design.cols << 'x'
                                    << design.depth << " x " << design.arrays << ", " << design.macs
                                    << " macs, start " << design.start_cycles << ", result "
                                    << design.result_cycles << ", accumulates " << design.accumulate
                                    << ", skips " << NameOf(design.zero_skip) << ", "
                                    << NameOf(design.datapath));
    const Product shape{1 + random() % 25, 1 + random() % 25, 1 + random() % 40};
    TestProduct product(shape, ActivationBits(design.datapath), WeightBits(design.datapath), random);
    if (design.zero_skip != ZeroSkip::kNone) {
      for (int32_t& v : product.w_values) v = random() % 8 == 0 ? v : 0;
    }
    const Tiling tiling = TileProduct(design, shape, product.w());
    std::vector<Stall> stalls;
    if (design.host != HostInterface::kNone && round % 2 != 0) stalls = RandomStalls(400, 12, random);

    CycleSimulator simulator(design);
    const Outcome outcome = simulator.Run(tiling, product.a(), product.w(), stalls);
    EXPECT_EQ(Gather(design, tiling, outcome), product.Expected());
    const TileCost cost = TimeTiles(design, tiling, stalls);
    EXPECT_EQ(outcome.cycles, cost.cycles) << shape.m << ' ' << shape.n << ' ' << shape.k;
    EXPECT_EQ(simulator.counters().bytes_out, design.host == HostInterface::kNone ? 0 : cost.traffic.results);

    for (const Detail detail : {Detail::kEvents, Detail::kEveryEdge}) {
      CycleSimulator shuffled(design, detail);
      shuffled.ShuffleTicks(round + 1);
      const Outcome again = shuffled.Run(tiling, product.a(), product.w(), stalls);
      EXPECT_EQ(again.results, outcome.results);
      EXPECT_EQ(again.cycles, outcome.cycles);
      EXPECT_EQ(shuffled.counters(), simulator.counters());
    }
    if (HasFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, EveryMachine,
    testing::Values(Machine{"SequentialFree", ArrayKind::kSequential, HostInterface::kNone},
                    Machine{"SequentialBus", ArrayKind::kSequential, HostInterface::kAxiLite},
                    Machine{"SequentialDma", ArrayKind::kSequential, HostInterface::kDma},
                    Machine{"WeightStationary", ArrayKind::kWeightStationary, HostInterface::kDma},
                    Machine{"OutputStationary", ArrayKind::kOutputStationary, HostInterface::kDma},
                    Machine{"Vector", ArrayKind::kVector, HostInterface::kDma}),
    [](const auto& info) { return std::string(info.param.name); });

// One weight tile after the other, by hand: loads of `depth` beats, computing, draining.
struct BufferedCase {
  ArrayKind kind;
  bool double_buffer;
  uint32_t latency;
  uint64_t cycles;
};

class BufferedTiming : public testing::TestWithParam<BufferedCase> {};

TEST_P(BufferedTiming, FollowsFromItsParts) {
  const BufferedCase& c = GetParam();
  ChipDesign design = Square(c.kind, 4);
  design.double_buffer = c.double_buffer;
  design.latency_cycles = c.latency;
  if (c.kind == ArrayKind::kSequential) design.macs = 4;  // 16 cycles a tile
  std::mt19937_64 random(7);
  const TestProduct product({3, 8, 8}, 8, 8, random);  // one row block of 3, two column tiles, two k tiles
  CycleSimulator simulator(design);
  EXPECT_EQ(simulator.Run(TileProduct(design, product.product), product.a(), product.w()).cycles, c.cycles);
}

// A: 8 beats; W: 4 a tile. Computing takes 3 + 4 + 4 - 1 = 10 (weight-stationary) or 16; draining 3 x 2.
INSTANTIATE_TEST_SUITE_P(
    ByHand, BufferedTiming,
    testing::Values(
        // Each load of weights waits for the computation before. The second output's first step waits 2 for
        // the drain of the first: its sums have one place.
        BufferedCase{ArrayKind::kWeightStationary, false, 0, 8 + 4 * 4 + 4 * 10 + 2 + 6},
        // All loads but A's and the first of weights, which follows at once, pay the latency; it hides that
        // wait.
        BufferedCase{ArrayKind::kWeightStationary, false, 5, 5 + 8 + 4 * 4 + 3 * 5 + 4 * 10 + 6},
        // Loads hide behind computing: only A and the first tile are seen.
        BufferedCase{ArrayKind::kWeightStationary, true, 0, 8 + 4 + 4 * 10 + 6},
        // Loads 3 and 4 wait for their slots and pay the latency, still hidden: 5 + 4 < 10.
        BufferedCase{ArrayKind::kWeightStationary, true, 5, 5 + 8 + 4 + 4 * 10 + 6},
        // 7 + 4 > 10: load 3 is 1 late; by its end load 4's slot is free, so that it follows at once.
        BufferedCase{ArrayKind::kWeightStationary, true, 7, 7 + 8 + 4 + 4 * 10 + 1 + 6},
        BufferedCase{ArrayKind::kSequential, false, 0, 8 + 4 * 4 + 4 * 16 + 2 + 6},
        BufferedCase{ArrayKind::kSequential, true, 0, 8 + 4 + 4 * 16 + 6}));

TEST(FreeChips, CountOnlyComputing) {
  // The documented chip: 512 or 532 cycles a tile, whatever surrounds it.
  std::mt19937_64 random(8);
  for (uint32_t margin : {0u, 20u}) {
    ChipDesign design;
    design.name = "documented";
    design.result_cycles = margin;
    const TestProduct product({9, 17, 25}, 32, 32, random);
    const Tiling tiling = TileProduct(design, product.product);
    EXPECT_EQ(CycleSimulator(design).Run(tiling, product.a(), product.w()).cycles,
              2 * 3 * 4 * (512 + margin));
  }
}

TEST(WeightStationaryCounters, OneTokenUsesEveryWeightOnce) {
  const ChipDesign design = Square(ArrayKind::kWeightStationary, 8);
  std::mt19937_64 random(9);
  TestProduct product({1, 8, 8}, 8, 8, random);
  for (auto* values : {&product.a_values, &product.w_values}) {
    for (int32_t& v : *values) v |= 1;
  }
  CycleSimulator simulator(design);
  simulator.Run(TileProduct(design, product.product), product.a(), product.w());
  EXPECT_EQ(simulator.counters().useful, std::vector<uint64_t>(64, 1));
  EXPECT_EQ(simulator.counters().busy_cycles, 16u);  // of which one is useful: 1 + 8 + 8 - 1
}

TEST(Trace, LanesOfADmaChipSayWhatOverlaps) {
  ChipDesign design = Square(ArrayKind::kWeightStationary, 4);
  design.double_buffer = true;
  std::mt19937_64 random(10);
  const TestProduct product({3, 4, 8}, 8, 8, random);
  std::vector<std::string> events;
  CycleSimulator simulator(design);
  simulator.set_trace([&](const TraceEvent& e) {
    events.push_back(std::string(e.component) + ' ' + e.event + ' ' + std::to_string(e.start) + ' ' +
                     std::to_string(e.duration));
  });
  simulator.Run(TileProduct(design, product.product), product.a(), product.w());
  EXPECT_EQ(events, (std::vector<std::string>{"load load A 1 8", "load load W 9 8", "array compute 13 20",
                                              "drain results 33 6"}));
}

}  // namespace
}  // namespace edgewise::chip
