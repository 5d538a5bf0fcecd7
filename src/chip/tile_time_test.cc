// Cycles of the tile model against cases worked out by hand, one or more for each kind of chip.
#include <gtest/gtest.h>

#include "base/error.h"
#include "chip/test_designs.h"
#include "chip/tile_model.h"

namespace edgewise::chip {
namespace {

uint64_t CyclesOf(const ChipDesign& d, const Product& p, std::vector<Stall> stalls = {}) {
  return TimeTiles(d, TileProduct(d, p), stalls).cycles;
}

// ---- host-driven ----

TEST(TileTime, CompactTileOfOneTokenTakes604Cycles) {
  // A 8 words, B 64, start 1; results are safe 515 cycles after it; 8 reads of 2 cycles.
  EXPECT_EQ(CyclesOf(Compact(), {1, 8, 8}), 8u + 64 + 1 + 515 + 16);
  EXPECT_EQ(CyclesOf(Compact(), {8, 8, 8}), 64u + 64 + 1 + 515 + 128);
  // Edge tiles are padded.
  EXPECT_EQ(CyclesOf(Compact(), {1, 5, 3}), 604u);
}

TEST(TileTime, CompactKeepsAForItsColumnTiles) {
  EXPECT_EQ(CyclesOf(Compact(), {1, 16, 8}), 604u + (604 - 8));
}

TEST(TileTime, CompactKeepsBWhenThatMovesLess) {
  // Two row blocks, one column tile: B once, then twice A 64, start 1, 515, reads 128.
  EXPECT_EQ(TileProduct(Compact(), {16, 8, 8}).order, LoopOrder::kBStationary);
  EXPECT_EQ(CyclesOf(Compact(), {16, 8, 8}), 64u + 2 * (64 + 1 + 515 + 128));
}

TEST(TileTime, CompactLetsTheHostAddAlongK) {
  const TileCost cost = TimeTiles(Compact(), TileProduct(Compact(), {1, 8, 16}));
  EXPECT_EQ(cost.cycles, 2u * 604);
  EXPECT_EQ(cost.phases.host, 16u * 10);  // words read, 10 cycles each
  EXPECT_EQ(cost.phases.load, 2u * 74);   // 72 operands, start, stop
  EXPECT_EQ(cost.phases.compute, 2u * 514);
  EXPECT_EQ(cost.phases.drain, 2u * 16);
}

TEST(TileTime, EveryStallDelaysAChipWithoutInterlock) {
  // Before the first write, the idle cycles (transaction 74) and the last read (82).
  EXPECT_EQ(CyclesOf(Compact(), {1, 8, 8}, {{0, 5}, {74, 7}, {82, 1}, {83, 100}}), 604u + 13);
}

TEST(TileTime, InterlockedChipAccumulatesAlongK) {
  // Writes at edges 1..72, start latched at 73, busy until 106: writes 107..178, start 179, reads
  // from 213 on, 8 of 2 cycles.
  EXPECT_EQ(CyclesOf(Compact16Mac(), {1, 8, 16}), 228u);
  EXPECT_EQ(CyclesOf(Compact16Mac(), {1, 8, 16}), 2u * (8 + 64 + 1 + 33) + 16);
}

TEST(TileTime, StallsHideBehindTheInterlock) {
  // Transaction 73 is the first after the start and waits 33 cycles anyway.
  EXPECT_EQ(CyclesOf(Compact16Mac(), {1, 8, 16}, {{73, 33}}), 228u);
  EXPECT_EQ(CyclesOf(Compact16Mac(), {1, 8, 16}, {{73, 34}}), 229u);
  EXPECT_EQ(CyclesOf(Compact16Mac(), {1, 8, 16}, {{74, 1}}), 229u);
}

TEST(TileTime, UnitsComputeSideBySide) {
  // Load and start unit 0 by edge 73 (stop 74), unit 1 by 147 (148). Unit 0 is safe to read at 73 +
  // 516 = 589: reads 589..604; unit 1 is safe at 147 + 516 = 663: reads 663..678.
  ChipDesign d = Compact();
  d.arrays = 2;
  EXPECT_EQ(CyclesOf(d, {1, 16, 8}), 678u);
}

// ---- compute only ----

TEST(TileTime, DocumentedChipCountsOnlyCompute) {
  EXPECT_EQ(CyclesOf(Compact532(), {1, 2048, 2048}), 65536u * 532);
  EXPECT_EQ(CyclesOf(Compact532(), {8, 2048, 2048}),
            65536u * 532);  // eight tokens cost what one costs
  EXPECT_EQ(CyclesOf(Compact532(), {9, 2048, 2048}), 2u * 65536 * 532);
  ChipDesign four = Compact532();
  four.arrays = 4;
  EXPECT_EQ(CyclesOf(four, {1, 8 * 5, 8}), 2u * 532);  // 5 tiles
}

TEST(TileTime, TinyLlamaOnTheDocumentedChip) {
  const auto price = [](uint64_t m) {
    TileCost cost;
    const auto add = [&](uint64_t rows, uint64_t n, uint64_t k, int times) {
      for (int i = 0; i < times; ++i) cost += TimeProduct(Compact532(), {rows, n, k});
    };
    add(m, 2048, 2048, 2 * 22);  // Q, output
    add(m, 256, 2048, 2 * 22);   // K, V
    add(m, 5632, 2048, 2 * 22);  // gate, up
    add(m, 2048, 5632, 22);      // down
    add(1, 32000, 2048, 1);      // head, for the last token only
    return cost;
  };
  EXPECT_EQ(price(1).tiles, 16'162'816u);
  EXPECT_EQ(price(1).cycles, 8'598'618'112u);
  EXPECT_EQ(price(8).cycles, price(1).cycles);
  EXPECT_EQ(price(512).tiles, 969'908'224u);
}

// ---- streams ----

TEST(TileTime, SystolicTileOfOneToken) {
  // Header at edge 1, A 2..9, header 10, W 11..18; the last element works at 18 + 1 + 7 + 7 = 33,
  // the row is taken at 34. Eight rows: 41.
  EXPECT_EQ(CyclesOf(Streaming(), {1, 8, 8}), 34u);
  EXPECT_EQ(CyclesOf(Streaming(), {8, 8, 8}), 41u);
}

TEST(TileTime, SystolicTilesWaitForThePreviousDrain) {
  // Second tile: header 19, W from 20 on; its last beat (27) waits for the drain that ends at 41:
  // accepted at 42, taken 42 + 15 + 8 = 65.
  const TileCost cost = TimeTiles(Streaming(), TileProduct(Streaming(), {8, 16, 8}));
  EXPECT_EQ(cost.cycles, 65u);
  EXPECT_EQ(cost.phases.drain, (42u - 27) + (65 - 42));
  EXPECT_EQ(cost.phases.compute, 16u);
  EXPECT_EQ(cost.phases.load, 1u + 8 + 2);
  // A stall of the last beat (26) hides behind that.
  EXPECT_EQ(CyclesOf(Streaming(), {8, 16, 8}, {{26, 15}}), 65u);
  EXPECT_EQ(CyclesOf(Streaming(), {8, 16, 8}, {{26, 16}}), 66u);
}

TEST(TileTime, SystolicStreamsLongRowsAtOneBeatACycle) {
  // 1 + 2048 for A, then 256 tiles of 1 + 2048, drains hidden, tail 15 + 1.
  EXPECT_EQ(CyclesOf(Streaming(), {1, 2048, 2048}), 257u * 2049 + 16);
}

TEST(TileTime, AOutgrowsTheScratchpad) {
  // K in chunks of 16 and 4, for each of two column tiles: header + A + header + W.
  ChipDesign d = Streaming();
  d.scratch_words = 16;
  EXPECT_EQ(TileProduct(d, {1, 16, 20}).k_chunk, 16u);
  EXPECT_EQ(CyclesOf(d, {1, 16, 20}), 2u * (2 * 17 + 2 * 5) + 16);
}

TEST(TileTime, SlowMemoryHoldsTheStreamBack) {
  // 8 bytes at 100 MHz from 200 MB/s: 4 cycles a beat; the first beat 20 cycles late.
  ChipDesign d = Streaming();
  d.memory_bytes_s = 200e6;
  d.latency_cycles = 20;
  EXPECT_EQ(CyclesOf(d, {1, 8, 8}), 20u + 1 + 32 + 1 + 32 + 16);
}

TEST(TileTime, VectorEngine) {
  // Beats of A and W have 64 bytes, 8 cycles on this bus. Header 1, A at 9 and 17, header 18, W at
  // 26 and 34; 2 + log2(8) later the row is valid, and its 32 bytes leave in 4 cycles.
  EXPECT_EQ(CyclesOf(Streaming(ArrayKind::kVector), {1, 8, 16}), 34u + 5 + 4);
}

// ---- buffers ----

TEST(TileTime, SingleBufferLoadsBetweenComputes) {
  // A 16 beats and W 8 until 24; compute 8 + 8 + 8 - 1 = 23 until 47; W until 55, compute until 78;
  // 8 rows of 32 bytes, 4 cycles each, until 110.
  const TileCost cost = TimeTiles(Buffered(false), TileProduct(Buffered(false), {8, 8, 16}));
  EXPECT_EQ(cost.cycles, 110u);
  EXPECT_EQ(cost.phases.load, 24u + 8);
  EXPECT_EQ(cost.phases.compute, 46u);
  EXPECT_EQ(cost.phases.drain, 32u);
}

TEST(TileTime, DoubleBufferHidesTheLoad) {
  EXPECT_EQ(CyclesOf(Buffered(true), {8, 8, 16}), 24u + 23 + 23 + 32);
  // Latency: before the first load only, as the channel never waits.
  ChipDesign d = Buffered(true);
  d.latency_cycles = 9;
  EXPECT_EQ(CyclesOf(d, {8, 8, 16}), 9u + 102);
}

TEST(TileTime, LoadsThatWaitForABufferPayLatencyAgain) {
  ChipDesign d = Buffered(false);
  d.latency_cycles = 9;
  EXPECT_EQ(CyclesOf(d, {8, 8, 16}), 9u + 47 + 9 + 8 + 23 + 32);
}

TEST(TileTime, DrainsHoldBackTheFirstTileOfALaterOutput) {
  // One buffer of outputs: A 8 beats, W until 16, compute until 39, drain until 71. The second
  // weight tile is loaded at 47 but computes from 71 on: 94, drained at 126.
  EXPECT_EQ(CyclesOf(Buffered(false), {8, 16, 8}), 126u);
}

TEST(TileTime, NewActivationsWaitForTheLastUseOfTheOld) {
  // Two row blocks: A 8, W 16, compute until 39, drain until 71; A again from 39 until 47, W until
  // 55, computes from 71 (one output buffer).
  EXPECT_EQ(CyclesOf(Buffered(false), {16, 8, 8}), 71u + 23 + 32);
  // Two buffers of weights and outputs, but one of A: A from 39, W until 55, compute until 78,
  // drain until 110.
  EXPECT_EQ(CyclesOf(Buffered(true), {16, 8, 8}), 110u);
  // Two ports, room for both: A until 24, W until 32, compute 39..62, drain 71..103.
  ChipDesign d = Buffered(true);
  d.scratch_ports = 2;
  EXPECT_EQ(CyclesOf(d, {16, 8, 8}), 103u);
}

// ---- zeros ----

TEST(TileTime, ElementSkippingTakesTheNonzeros) {
  ChipDesign d = Compact532();
  d.zero_skip = ZeroSkip::kElement;
  std::vector<int8_t> w(64);
  w[5] = 3;
  w[60] = -1;
  // 20 to start, 2 weights meet 8 rows.
  EXPECT_EQ(TimeTiles(d, TileProduct(d, {1, 8, 8}, {w.data(), 8})).cycles, 20u + 16);
}

TEST(TileTime, TileSkippingNeedsWholeTilesOfZeros) {
  ChipDesign d = Compact532();
  d.zero_skip = ZeroSkip::kTile;
  std::vector<int8_t> w(8 * 24);
  w[0] = w[16] = 1;  // tiles 0 and 2 of three along k
  EXPECT_EQ(TimeTiles(d, TileProduct(d, {1, 8, 24}, {w.data(), 24})).cycles, 2u * 532);
}

TEST(TileTime, TwoOfFourHalvesKWhenWeightsComply) {
  ChipDesign d = Compact532();
  d.zero_skip = ZeroSkip::kTwoOfFour;
  std::vector<int8_t> w(8 * 32);
  for (size_t i = 0; i < w.size(); i += 4) w[i] = w[i + 3] = 1;
  EXPECT_EQ(TimeTiles(d, TileProduct(d, {1, 8, 32}, {w.data(), 32})).cycles, 2u * 532);
  EXPECT_EQ(CyclesOf(d, {1, 8, 32}), 2u * 532);  // shapes only: taken to comply
  w[1] = 1;
  EXPECT_EQ(TimeTiles(d, TileProduct(d, {1, 8, 32}, {w.data(), 32})).cycles, 4u * 532);
}

// ---- several chips, bad shapes ----

TEST(TileTime, ChipsSplitColumnsAndGatherOverTheLink) {
  ChipDesign d = Compact532();
  d.chips = 4;
  EXPECT_EQ(TimeProduct(d, {1, 2048, 8}).cycles, 256u * 532);  // no link: as one chip
  d.link_bytes_s = 1e9;
  d.link_latency_s = 1e-6;
  const TileCost cost = TimeProduct(d, {1, 2048, 8});
  EXPECT_EQ(cost.cycles, 64u * 532);
  EXPECT_EQ(cost.tiles, 256u);
  // 2048 * 4 * 3/4 = 6144 bytes: 6.144 us and 1 us of latency at 100 MHz.
  EXPECT_EQ(cost.phases.link, 715u);
}

TEST(TileTime, RefusesShapesThatCannotBe) {
  EXPECT_THROW(TileProduct(Compact(), {0, 8, 8}), Error);
  EXPECT_THROW(TileProduct(Compact(), {1, 8, uint64_t{1} << 60}), Error);
  EXPECT_THROW(TileProduct(Compact(), {uint64_t{1} << 63, uint64_t{1} << 63, 8}), Error);
  EXPECT_THROW(TileProduct(Compact(), {UINT64_MAX, 8, 8}), Error);  // padding would wrap to 0
  ChipDesign d = Streaming();
  d.scratch_word_bits = 1;
  d.scratch_words = 8;
  EXPECT_THROW(TileProduct(d, {1, 8, 8}), Error);
}

}  // namespace
}  // namespace edgewise::chip
