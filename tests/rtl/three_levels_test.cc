// The three levels agree to the bit and to the edge: RTL, cycle simulator, tile model.
//
// EDGEWISE_RTL_PRODUCTS sets how many random products each variant is given (300; scripts/rtl: 5,000).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "base/thread_pool.h"
#include "chip/cycle_simulator.h"
#include "chip/lower.h"
#include "chip/tile_model.h"
#include "machine/chip_catalog.h"
#include "streams.h"
#include "tiles.h"

namespace edgewise::chip {
namespace {

using ::testing::ElementsAreArray;

using Random = std::mt19937_64;

uint64_t Between(Random& random, uint64_t low, uint64_t high) { return low + random() % (high - low + 1); }

// A stall before about one in `rarity` of `count` transactions, of up to `longest` cycles.
std::vector<Stall> RandomStalls(Random& random, uint64_t count, uint64_t rarity, uint32_t longest) {
  std::vector<Stall> stalls;
  for (uint64_t i = 0; i < count; ++i)
    if (random() % rarity == 0) stalls.push_back({i, static_cast<uint32_t>(Between(random, 1, longest))});
  return stalls;
}

ChipDesign Design(const char* name) {
  return ChipCatalog({std::string(EDGEWISE_SOURCE_DIR) + "/chips"}).Find(name);
}

struct Speed {
  uint64_t cycles = 0;
  std::chrono::duration<double> rtl{}, simulator{}, tiles{};
};

template <typename F>
auto Timed(std::chrono::duration<double>& total, F&& f) {
  const auto begin = std::chrono::steady_clock::now();
  auto result = f();
  total += std::chrono::steady_clock::now() - begin;
  return result;
}

// One design at all three levels, whose chips live from product to product.
class Levels {
 public:
  explicit Levels(const char* name)
      : design_(Design(name)), simulator_(design_), every_edge_(design_, Detail::kEveryEdge) {
    if (name == std::string("compact-rtl")) bus_ = MakeRtlCompact();
    if (name == std::string("compact-16mac")) bus_ = MakeRtlCompact16Mac();
    if (name == std::string("systolic-8x8")) stream_ = MakeRtlSystolic();
  }

  // A product of the given shape with stalls; adds a failure to the test unless all levels agree.
  void Compare(Random& random, const Product& product, bool full_range, uint64_t rarity, Speed& speed) {
    const uint64_t a_size = product.m * product.k, w_size = product.n * product.k;
    std::vector<int32_t> values(a_size + w_size);
    for (int32_t& value : values)
      value = full_range ? static_cast<int32_t>(random()) : static_cast<int8_t>(random());
    const Integers a(values.data(), product.k), w(values.data() + a_size, product.k);
    const Tiling tiling = TileProduct(design_, product);

    std::vector<Stall> stalls, output_stalls;
    Outcome rtl, simulated, at_every_edge;
    if (bus_ != nullptr) {
      const std::vector<BusOp> program = LowerToBus(design_, tiling, a, w);
      if (rarity > 0) stalls = RandomStalls(random, program.size(), rarity, 20);
      rtl = Timed(speed.rtl, [&] { return bus_->Run(program, stalls); });
      simulated = Timed(speed.simulator, [&] { return simulator_.RunBus(program, stalls); });
      at_every_edge = every_edge_.RunBus(program, stalls);
      EXPECT_EQ(bus_->errors(), 0u);
    } else {
      const std::vector<Beat> program = LowerToStream(design_, tiling, a, w);
      if (rarity > 0) {
        stalls = RandomStalls(random, program.size(), rarity, 20);
        output_stalls = RandomStalls(random, product.m * tiling.column_tiles, rarity, 40);
      }
      rtl = Timed(speed.rtl, [&] { return stream_->Run(program, stalls, output_stalls); });
      simulated =
          Timed(speed.simulator, [&] { return simulator_.RunStream(program, stalls, output_stalls); });
      at_every_edge = every_edge_.RunStream(program, stalls, output_stalls);
    }

    ASSERT_THAT(simulated.results, ElementsAreArray(rtl.results));
    EXPECT_EQ(simulated.cycles, rtl.cycles);
    EXPECT_EQ(at_every_edge.results, rtl.results);
    EXPECT_EQ(at_every_edge.cycles, rtl.cycles);
    EXPECT_EQ(every_edge_.counters(), simulator_.counters());

    const uint64_t c_size = product.m * product.n;
    std::vector<int32_t> of_rtl(c_size), of_tiles(c_size);
    GatherResults(design_, tiling, rtl.results, {of_rtl.data(), product.n});
    const TileCost cost = Timed(speed.tiles, [&] {
      ExecuteTiles(tiling, a, w, {of_tiles.data(), product.n}, pool_);
      return TimeTiles(design_, tiling, stalls, output_stalls);
    });

    EXPECT_THAT(of_tiles, ElementsAreArray(of_rtl));
    EXPECT_EQ(cost.cycles, rtl.cycles);
    speed.cycles += rtl.cycles;
  }

 private:
  ChipDesign design_;
  CycleSimulator simulator_, every_edge_;
  std::unique_ptr<RtlBusChip> bus_;
  std::unique_ptr<RtlStreamChip> stream_;
  ThreadPool pool_{1};
};

class ThreeLevels : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(, ThreeLevels, testing::Values("compact-rtl", "compact-16mac", "systolic-8x8"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST_P(ThreeLevels, RandomProductsGiveTheSameResultsInTheSameCycles) {
  const char* wanted = std::getenv("EDGEWISE_RTL_PRODUCTS");
  const uint64_t products = wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 300;
  const bool int8_only = GetParam() == std::string("systolic-8x8");
  Random random(1);
  Speed speed;
  uint64_t done = 0;
  while (done < products) {
    Levels levels(GetParam());
    // Back to back on the same chips: what a product leaves behind must not matter to the next.
    for (uint64_t n = Between(random, 1, 4); n > 0 && done < products; --n, ++done) {
      const Product product = {Between(random, 1, 40), Between(random, 1, 40), Between(random, 1, 40)};
      const bool full_range = !int8_only && random() % 2 == 0;
      const uint64_t rarity = random() % 3 == 0 ? 0 : Between(random, 2, 50);  // 0: no stalls
      SCOPED_TRACE(testing::Message()
                   << "product " << done << ": " << product.m << " x " << product.n << " x " << product.k
                   << (full_range ? ", full range" : ", int8") << ", a stall in " << rarity);
      levels.Compare(random, product, full_range, rarity, speed);
      if (HasFailure()) return;
    }
  }
  std::printf(
      "rtl: %s: %llu products, %.1f Mcycles, no difference; kcycles/s: RTL %.0f, cycle simulator %.0f, "
      "tile model %.0f\n",
      GetParam(), static_cast<unsigned long long>(products), speed.cycles / 1e6,
      speed.cycles / 1e3 / speed.rtl.count(), speed.cycles / 1e3 / speed.simulator.count(),
      speed.cycles / 1e3 / speed.tiles.count());
}

// No product, just traffic: early reads, starts in the middle, addresses that are not there.
class RandomTraffic : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(, RandomTraffic, testing::Values("compact-rtl", "compact-16mac"),
                         [](const auto& info) { return info.param[8] == 'r' ? "compact" : "compact_16mac"; });

TEST_P(RandomTraffic, RtlAndCycleSimulatorSeeTheSameAtEveryEdge) {
  Random random(2);
  for (int round = 0; round < 200; ++round) {
    const auto chip = GetParam()[8] == 'r' ? MakeRtlCompact() : MakeRtlCompact16Mac();
    CycleSimulator simulator(Design(GetParam())), every_edge(Design(GetParam()), Detail::kEveryEdge);
    for (int run = 0; run < 3; ++run) {
      Program program;
      for (uint64_t n = Between(random, 1, 300); n > 0; --n) {
        const uint32_t element = static_cast<uint32_t>(random() % 64), data = static_cast<uint32_t>(random());
        switch (random() % 9) {
          case 0:
          case 1: program.push_back(Write(kAddressA + element, data)); break;
          case 2:
          case 3: program.push_back(Write(kAddressB + element, data)); break;
          case 4:
          case 5: program.push_back(Read(kAddressC + element)); break;
          case 6: program.push_back(Write(kAddressControl, data % 4)); break;
          case 7:
            program.push_back(data % 3 != 0   ? Read(kAddressStatus)
                              : data % 2 != 0 ? Read(data >> 22)
                                              : Write(data >> 22, data));
            break;
          case 8: program.push_back(Idle(static_cast<uint32_t>(random() % (random() % 10 == 0 ? 600 : 20))));
        }
      }
      const std::vector<Stall> stalls = RandomStalls(random, program.size(), 10, 30);
      const Outcome rtl = chip->Run(program, stalls), simulated = simulator.RunBus(program, stalls),
                    at_every_edge = every_edge.RunBus(program, stalls);
      ASSERT_THAT(simulated.results, ElementsAreArray(rtl.results)) << round << " " << run;
      ASSERT_EQ(simulated.cycles, rtl.cycles) << round << " " << run;
      ASSERT_THAT(at_every_edge.results, ElementsAreArray(rtl.results)) << round << " " << run;
      ASSERT_EQ(at_every_edge.cycles, rtl.cycles) << round << " " << run;
      ASSERT_EQ(every_edge.counters(), simulator.counters()) << round << " " << run;
    }
  }
}

// Commands in any order the stream allows: bases, chunks, sums that go on over several commands and loads.
TEST(RandomStreams, RtlAndCycleSimulatorGiveTheSameRowsAtTheSameEdges) {
  Random random(3);
  for (int round = 0; round < 300; ++round) {
    const auto chip = MakeRtlSystolic();
    CycleSimulator simulator(Design("systolic-8x8")), every_edge(Design("systolic-8x8"), Detail::kEveryEdge);
    for (int run = 0; run < 2; ++run) {
      Stream stream;
      uint64_t rows = 0;
      for (uint64_t n = Between(random, 1, 12); n > 0; --n) {
        const uint32_t count = static_cast<uint32_t>(Between(random, 1, random() % 4 == 0 ? 200 : 30));
        const uint32_t base = static_cast<uint32_t>(Between(random, 0, 100));
        const uint8_t flags = random() % 4, row_count = static_cast<uint8_t>(Between(random, 1, 8));
        const bool load = random() % 3 == 0;
        stream.push_back(load ? Header(kLoadA, 0, 0, count, base)
                              : Header(kMac, flags, row_count, count, base));
        if (!load && (flags & kMacLast)) rows += row_count;
        for (uint32_t beat = 0; beat < count; ++beat) {
          stream.emplace_back();
          for (int lane = 0; lane < kArray; ++lane)
            stream.back().bytes.push_back(static_cast<uint8_t>(random()));
        }
      }
      const std::vector<Stall> stalls = RandomStalls(random, stream.size(), Between(random, 2, 50), 20);
      const std::vector<Stall> output_stalls = RandomStalls(random, rows, Between(random, 2, 20), 60);
      const Outcome rtl = chip->Run(stream, stalls, output_stalls);
      const Outcome simulated = simulator.RunStream(stream, stalls, output_stalls);
      const Outcome at_every_edge = every_edge.RunStream(stream, stalls, output_stalls);
      ASSERT_THAT(simulated.results, ElementsAreArray(rtl.results)) << round << " " << run;
      ASSERT_EQ(simulated.cycles, rtl.cycles) << round << " " << run;
      ASSERT_THAT(at_every_edge.results, ElementsAreArray(rtl.results)) << round << " " << run;
      ASSERT_EQ(at_every_edge.cycles, rtl.cycles) << round << " " << run;
    }
  }
}

}  // namespace
}  // namespace edgewise::chip
