// Do streaming chips meet their closed forms, and give what a plain reading of the stream says?

#include "chip/stream_machine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>

#include "base/error.h"
#include "chip/cycle_simulator.h"
#include "chip/lower.h"
#include "chip/test_products.h"

namespace edgewise::chip {
namespace {

constexpr int kFirst = kMacFirst, kLast = kMacLast;

// A stream written by hand for an int8 chip.
class Stream {
 public:
  explicit Stream(const ChipDesign& design) : width_(std::max<uint64_t>(8, WeightBeatBytes(design))) {
    width_ = std::max(width_, ActivationBeatBytes(design));
  }

  Stream& Header(int command, int flags, uint32_t rows, uint32_t count, uint32_t base = 0) {
    std::vector<uint8_t> bytes(width_);
    const uint32_t fields[] = {uint32_t(command), uint32_t(flags), rows, 0, count, count >> 8, base,
                               base >> 8};
    for (int i = 0; i < 8; ++i) bytes[i] = static_cast<uint8_t>(fields[i]);
    beats_.push_back({bytes});
    return *this;
  }
  Stream& Payload(uint32_t count, std::mt19937_64& random) {
    for (; count > 0; --count) {
      std::vector<uint8_t> bytes(width_);
      for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
      beats_.push_back({bytes});
    }
    return *this;
  }
  Stream& Tile(int flags, uint32_t rows, uint32_t count, uint32_t base = 0) {
    std::mt19937_64 random(count);
    return Header(kMac, flags, rows, count, base).Payload(count, random);
  }
  const std::vector<Beat>& beats() const { return beats_; }

 private:
  uint64_t width_;
  std::vector<Beat> beats_;
};

// What a stream says, beat by beat, for an output-stationary int8 chip.
std::vector<uint32_t> Expected(const ChipDesign& design, const std::vector<Beat>& beats) {
  const uint32_t lanes = design.cols * design.arrays;
  std::vector<std::vector<uint8_t>> scratch(1 << 17, std::vector<uint8_t>(design.rows));
  std::vector<uint32_t> sums(design.rows * lanes), results;
  for (size_t at = 0; at < beats.size();) {
    const auto& h = beats[at++].bytes;
    const uint32_t count = h[4] + 256u * h[5], base = h[6] + 256u * h[7];
    if (h[0] == kMac && (h[1] & kFirst)) std::fill(sums.begin(), sums.end(), 0);
    for (uint32_t b = 0; b < count; ++b, ++at) {
      const auto& bytes = beats[at].bytes;
      if (h[0] == kLoadA) scratch[base + b].assign(bytes.begin(), bytes.begin() + design.rows);
      for (uint32_t i = 0; h[0] == kMac && i < design.rows; ++i) {
        for (uint32_t j = 0; j < lanes; ++j) {
          sums[i * lanes + j] += static_cast<uint32_t>(int8_t(scratch[base + b][i]) * int8_t(bytes[j]));
        }
      }
    }
    if (h[0] == kMac && (h[1] & kLast))
      results.insert(results.end(), sums.begin(), sums.begin() + h[2] * lanes);
  }
  return results;
}

// Edges from the acceptance of a tile's last beat until its first row is valid.
uint64_t Fill(const ChipDesign& design) {
  return design.kind == ArrayKind::kVector ? 2 + std::bit_width(design.depth - 1)
                                           : 1 + (design.rows - 1) + (design.cols - 1);
}

std::vector<ChipDesign> Designs() {
  std::vector<ChipDesign> designs;
  for (uint32_t size : {1u, 2u, 3u, 8u, 13u, 16u, 32u}) {
    designs.push_back(Square(ArrayKind::kOutputStationary, size));
    designs.push_back(Square(ArrayKind::kVector, size));
  }
  for (ArrayKind kind : {ArrayKind::kOutputStationary, ArrayKind::kVector}) {
    ChipDesign design = Square(kind, 4);
    design.rows = 7;
    design.cols = 3;
    design.arrays = 5;
    designs.push_back(design);
  }
  for (ChipDesign& design : designs) {  // memory that keeps up
    design.bus_bytes = 4 * design.cols * design.arrays * design.depth;
    design.scratch_words = 1 << 20;
  }
  return designs;
}

TEST(StreamTiming, UnloadedLatencyIsExact) {
  for (const ChipDesign& design : Designs()) {
    for (uint32_t rows = 1; rows <= design.rows; ++rows) {
      for (uint32_t count : {1u, 5u}) {
        const auto program = Stream(design).Tile(kFirst | kLast, rows, count).beats();
        EXPECT_EQ(CycleSimulator(design).RunStream(program).cycles, 1 + count + Fill(design) + rows)
            << design.name << design.rows;
      }
    }
  }
}

TEST(StreamTiming, LatencyAndTransfersOfBeatsAddUp) {
  ChipDesign design = Streaming();
  design.latency_cycles = 20;
  design.bus_bytes = 3;  // a beat of 8 takes 3 cycles
  const auto program = Stream(design).Tile(kFirst | kLast, 2, 4).beats();
  EXPECT_EQ(CycleSimulator(design).RunStream(program).cycles, 20 + 1 + 4 * 3 + 15 + 2u);
  design.memory_bytes_s = design.clock_hz * 8 / 10;  // 10 cycles
  EXPECT_EQ(CycleSimulator(design).RunStream(program).cycles, 20 + 1 + 4 * 10 + 15 + 2u);
}

TEST(StreamTiming, StreamsAtPeakWithoutABubble) {
  for (const ChipDesign& design : Designs()) {
    // Tiles long enough that their drains are over before the next one's last beat.
    const uint32_t count = 2 * design.rows + design.cols + 10;
    Stream stream(design);
    for (int tile = 0; tile < 5; ++tile) stream.Tile(kFirst | kLast, design.rows, count);
    CycleSimulator simulator(design);
    EXPECT_EQ(simulator.RunStream(stream.beats()).cycles, 5 * (1 + count) + Fill(design) + design.rows);
    EXPECT_EQ(simulator.counters().refused, 0u);
    EXPECT_EQ(simulator.counters().busy_cycles, 5 * count);
  }
}

TEST(StreamTiming, LastBeatIsAcceptedOneEdgeAfterTheDrainAndNotBefore) {
  for (const ChipDesign& design : Designs()) {
    for (uint32_t rows = 1; rows <= design.rows; rows += 2) {
      // The second tile's last beat is offered 1 + count edges after the first's, whose last row leaves
      // Fill + rows after it.
      const uint64_t drained = Fill(design) + rows;
      for (uint64_t count = std::max<uint64_t>(drained, 4) - 3; count <= drained + 2; ++count) {
        const uint32_t n = static_cast<uint32_t>(count);
        const auto program = Stream(design).Tile(kFirst | kLast, rows, 1).Tile(kFirst | kLast, 1, n).beats();
        CycleSimulator simulator(design);
        const uint64_t refused = drained + 1 > count + 1 ? drained - count : 0;
        EXPECT_EQ(simulator.RunStream(program).cycles, 2 + 1 + count + refused + Fill(design) + 1);
        EXPECT_EQ(simulator.counters().refused, refused);
      }
    }
  }
}

TEST(StreamTiming, OnlyTheLastBeatWaitsForTheDrain) {
  const ChipDesign design = Streaming();
  // Between two drains: a load and a tile without results, 1 + 4 + 1 + 4 beats, then the header and 3 more.
  std::mt19937_64 random(3);
  const auto program = Stream(design)
                           .Tile(kFirst | kLast, 8, 1)
                           .Header(kLoadA, 0, 0, 4)
                           .Payload(4, random)
                           .Tile(kFirst, 0, 4)
                           .Tile(kLast, 1, 3)
                           .beats();
  CycleSimulator simulator(design);
  simulator.RunStream(program);
  EXPECT_EQ(simulator.counters().refused, 15 + 8 + 1 - (5 + 5 + 4u));
}

TEST(StreamTiming, StallsOfBeatsAndRowsDelayWhatFollows) {
  const ChipDesign design = Streaming();
  const auto program = Stream(design).Tile(kFirst | kLast, 3, 4).beats();
  const std::vector<Stall> stalls{{0, 2}, {3, 5}}, output{{0, 7}, {2, 11}};
  CycleSimulator simulator(design);
  EXPECT_EQ(simulator.RunStream(program, stalls).cycles, 5 + 7 + 15 + 3u);
  EXPECT_EQ(simulator.RunStream(program, stalls, output).cycles, 5 + 7 + 15 + 3 + 18u);
}

TEST(StreamTiming, VectorRowsLeaveAsFastAsTheBusTakesThem) {
  ChipDesign design = Square(ArrayKind::kVector, 8);
  design.bus_bytes = 12;  // a row of 32 bytes: 3 cycles; weights 64 bytes: 6
  const auto program = Stream(design).Tile(kFirst | kLast, 4, 2).beats();
  EXPECT_EQ(CycleSimulator(design).RunStream(program).cycles, 1 + 2 * 6 + 5 + 4 * 3u);
}

TEST(StreamResults, AreThoseOfAPlainReadingOfTheStream) {
  std::mt19937_64 random(4);
  for (ChipDesign design : Designs()) {
    if (design.kind != ArrayKind::kOutputStationary) continue;
    design.bus_bytes = 1 + static_cast<uint32_t>(random() % 16);
    CycleSimulator simulator(design);
    simulator.ShuffleTicks(1 + random() % 1000);
    for (int program = 0; program < 20; ++program) {
      Stream stream(design);
      stream.Header(kLoadA, 0, 0, 40).Payload(40, random);  // what earlier programs left is not in Expected
      stream.Header(kMac, kFirst, 0, 1).Payload(1, random);
      for (int command = 0; command < 12; ++command) {
        const uint32_t base = static_cast<uint32_t>(random() % 20);
        const uint32_t count = 1 + static_cast<uint32_t>(random() % 20);
        const bool load = random() % 4 == 0;
        stream.Header(load ? kLoadA : kMac, static_cast<int>(random() % 4),
                      1 + static_cast<uint32_t>(random() % design.rows), count, base);
        stream.Payload(count, random);
      }
      const auto stalls = RandomStalls(stream.beats().size(), 10, random);
      EXPECT_EQ(simulator.RunStream(stream.beats(), stalls).results, Expected(design, stream.beats()));
      EXPECT_EQ(simulator.counters().accepted, stream.beats().size());
    }
  }
}

TEST(StreamCounters, OneTokenLightsOneRow) {
  for (ArrayKind kind : {ArrayKind::kOutputStationary, ArrayKind::kVector}) {
    const ChipDesign design = Square(kind, 8);
    std::mt19937_64 random(5);
    TestProduct product({1, 8, 40}, 8, 8, random);
    for (auto* values : {&product.a_values, &product.w_values}) {
      for (int32_t& v : *values) v |= 1;
    }
    CycleSimulator simulator(design);
    simulator.Run(TileProduct(design, product.product), product.a(), product.w());
    const SimCounters& counters = simulator.counters();
    EXPECT_EQ(counters.element_rows, 8u);
    EXPECT_EQ(counters.element_cols, 8u);
    EXPECT_EQ(counters.multiply_adds, 8 * 8 * 40u);
    ASSERT_EQ(counters.useful.size(), 64u);
    for (uint32_t e = 0; e < 64; ++e) EXPECT_EQ(counters.useful[e], e < 8 ? 40u : 0u) << e;
  }
}

TEST(StreamErrors, ProgramsThatCannotBeFollowedAreRefused) {
  ChipDesign design = Streaming();
  design.scratch_words = 8;  // rows of 8 bytes
  CycleSimulator simulator(design);
  const auto refused = [&](const std::vector<Beat>& program) {
    try {
      simulator.RunStream(program);
      return std::string("accepted");
    } catch (const Error& error) {
      return error.message();
    }
  };
  const auto tile = [&] { return Stream(design).Tile(kFirst | kLast, 8, 8); };
  EXPECT_EQ(refused(tile().beats()), "accepted");
  EXPECT_EQ(refused(Stream(design).Header(3, 0, 1, 1).beats()),
            "beat 0 of the stream: command 3 is neither 1 (load A) nor 2 (multiply)");
  EXPECT_EQ(refused(tile().Header(kMac, 0, 1, 0).beats()), "beat 9 of the stream: it has no payload");
  EXPECT_EQ(refused(tile().Tile(kFirst, 1, 2, 7).beats()),
            "beat 9 of the stream: its payload exceeds the scratchpad");
  EXPECT_EQ(refused(tile().Tile(kLast, 9, 2).beats()), "beat 9 of the stream: it drains 9 rows of 8");
  EXPECT_EQ(refused(tile().Tile(kLast, 0, 2).beats()), "beat 9 of the stream: it drains 0 rows of 8");
  EXPECT_EQ(refused(tile().Header(kMac, 0, 1, 3).beats()),
            "beat 9 of the stream: the program ends within its payload");
  EXPECT_EQ(refused({Beat{{1, 2, 3}}}), "beat 0 of the stream: a header has 8 bytes");
}

}  // namespace
}  // namespace edgewise::chip
