// The closed forms of machine/chip_cost.h and the walk over the tile program give one price: cycles, phases and
// traffic, for random designs of every kind.
#include <gtest/gtest.h>

#include <random>

#include "base/error.h"
#include "chip/test_designs.h"
#include "chip/tile_model.h"
#include "machine/chip_cost.h"

namespace edgewise::chip {
namespace {

ChipDesign RandomDesign(std::mt19937& random) {
  const std::vector<ChipDesign> all = AllDesigns();
  ChipDesign d = all[random() % all.size()];
  if (random() % 2 == 0) {
    d.rows = 1 + random() % 9;
    d.cols = 1 + random() % 9;
    d.depth = 1 + random() % 9;
  }
  if (d.kind == ArrayKind::kSequential) {
    d.macs = 1 + random() % std::min<uint32_t>(20, d.rows * d.cols * d.depth);
    d.start_cycles = random() % 6;
    d.result_cycles = random() % 5;
  }
  d.arrays = random() % 2 == 0 ? 1 : 1 + random() % 5;
  d.datapath = static_cast<Datapath>(random() % 5);
  d.zero_skip = random() % 8 == 0 ? ZeroSkip::kTwoOfFour : ZeroSkip::kNone;
  if (d.host == HostInterface::kDma) {
    d.latency_cycles = random() % 3 == 0 ? random() % 40 : 0;
    d.bus_bytes = 1 + random() % 32;
    d.scratch_ports = 1 + random() % 2;
    d.scratch_words = 8 + random() % 200;
    if (random() % 3 == 0) d.memory_bytes_s = 1e8 + random() % 1'000'000'000;
  }
  if (d.host == HostInterface::kAxiLite) {
    d.write_cycles = 1 + random() % 3;
    d.read_cycles = 1 + random() % 3;
    d.control_cycles = 1 + random() % 3;
    d.host_add_cycles = random() % 20 / 4.0;
  }
  if (random() % 10 == 0) {
    d.chips = 1 + random() % 4;
    d.link_bytes_s = random() % 2 == 0 ? 1e9 : 0;
  }
  return d;
}

TEST(ClosedForm, IsThePriceOfTheWalk) {
  std::mt19937 random(3);
  int compared = 0;
  for (int i = 0; i < 10'000; ++i) {
    const ChipDesign d = RandomDesign(random);
    try {
      CheckDesign(d);
    } catch (const Error&) {
      continue;  // a scratchpad too small, for most
    }
    const Product p = {1 + random() % 40, 1 + random() % 60, 1 + random() % 80};
    SCOPED_TRACE(testing::Message() << NameOf(d.kind) << " " << NameOf(d.host) << " " << d.rows << "x" << d.cols
                                    << "x" << d.depth << " x" << d.arrays << ": " << p.m << " x " << p.n
                                    << " x " << p.k << ", design " << i);
    const TileCost walked = TimeProduct(d, p);
    const ChipCost priced = PriceProduct(d, {p.m, p.n, p.k, 1});
    EXPECT_EQ(walked.cycles, priced.cycles);
    EXPECT_EQ(walked.tiles, priced.tiles);
    EXPECT_EQ(walked.phases.load, priced.phases.load);
    EXPECT_EQ(walked.phases.compute, priced.phases.compute);
    EXPECT_EQ(walked.phases.drain, priced.phases.drain);
    EXPECT_EQ(walked.phases.stall, priced.phases.stall);
    EXPECT_EQ(walked.phases.host, priced.phases.host);
    EXPECT_EQ(walked.traffic.activations, priced.traffic.activations);
    EXPECT_EQ(walked.traffic.weights, priced.traffic.weights);
    EXPECT_EQ(walked.traffic.control, priced.traffic.control);
    EXPECT_EQ(walked.traffic.results, priced.traffic.results);
    if (HasFailure()) return;
    ++compared;
  }
  EXPECT_GT(compared, 8'000);
}

}  // namespace
}  // namespace edgewise::chip
