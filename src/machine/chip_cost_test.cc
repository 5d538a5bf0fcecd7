#include "machine/chip_cost.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <random>

#include "base/test_files.h"
#include "machine/chip_catalog.h"

namespace edgewise {
namespace {

ChipDesign Chip(const std::string& name) { return ChipCatalog({EDGEWISE_SOURCE_DIR "/chips"}).Find(name); }

WorkloadCost Price(const char* chip, const char* model, const WorkStep& step,
                   AttentionOn attention = AttentionOn::kNothing) {
  return PriceWorkload(Chip(chip), WorkloadNamed(model, step), attention);
}

uint64_t TilesPerLayer(const char* model) {
  const Workload work = WorkloadNamed(model, {.logit_rows = 0});
  return PriceWorkload(Chip("compact-532"), work, AttentionOn::kNothing).total.tiles / work.layers;
}

uint64_t SumOf(const ChipPhases& p) { return p.load + p.compute + p.drain + p.stall; }

// ---- the documents' chip ----

TEST(ChipCost, TilesPerLayerOfTheDocumentsModels) {
  EXPECT_EQ(TilesPerLayer("tinyllama-1.1b"), 688'128u);  // documents: 753,664
  EXPECT_EQ(TilesPerLayer("llama2-7b"), 3'162'112u);     // documents: 3,014,656
  EXPECT_EQ(TilesPerLayer("gpt2-small"), 110'592u);      // documents: 45,864 for these three
  EXPECT_EQ(TilesPerLayer("distilbert"), 110'592u);
  EXPECT_EQ(TilesPerLayer("bert-base"), 110'592u);
  EXPECT_EQ(TilesPerLayer("smollm2-135m"), 55'296u);
  EXPECT_EQ(TilesPerLayer("qwen2.5-0.5b"), 232'960u);
  EXPECT_EQ(TilesPerLayer("llama3.2-1b"), 950'272u);
}

TEST(ChipCost, ATokenOfTinyLlamaOnTheDocumentedChip) {
  const WorkloadCost one = Price("compact-532", "tinyllama-1.1b", {});
  EXPECT_EQ(one.total.tiles, 16'162'816u);
  EXPECT_EQ(one.total.cycles, 8'598'618'112u);
  EXPECT_NEAR(one.seconds(), 85.98618112, 1e-9);
  EXPECT_NEAR(one.total.fill(), 0.125, 1e-12);
  // One of eight rows is lit: eight tokens cost what one costs.
  const WorkloadCost eight = Price("compact-532", "tinyllama-1.1b", {.rows = 8, .logit_rows = 8});
  EXPECT_EQ(eight.total.cycles, one.total.cycles);
  EXPECT_EQ(eight.total.useful_macs, 8 * one.total.useful_macs);
  EXPECT_NEAR(eight.total.fill(), 1, 1e-12);
  const WorkloadCost prompt = Price("compact-532", "tinyllama-1.1b", {.rows = 512});
  EXPECT_EQ(prompt.total.tiles, 969'908'224u);
  EXPECT_NEAR(prompt.seconds(), 5159.9, 0.05);
}

TEST(ChipCost, OtherModelsOnTheDocumentedChip) {
  EXPECT_EQ(Price("compact-532", "llama2-7b", {}).total.tiles, 103'235'584u);
  EXPECT_NEAR(Price("compact-532", "llama2-7b", {}).seconds(), 549.213307, 1e-6);
  EXPECT_NEAR(Price("compact-512", "llama2-7b", {.logit_rows = 0}).seconds(), 518.08043, 1e-5);
  EXPECT_NEAR(Price("compact-512", "distilbert", {.rows = 8}).seconds(), 3.39738624, 1e-9);
  EXPECT_NEAR(Price("compact-512", "distilbert", {.rows = 128}).seconds(), 54.3581798, 1e-6);
  EXPECT_NEAR(Price("compact-532", "gpt2-small", {.logit_rows = 0}).seconds(), 7.06019328, 1e-9);
  const WorkloadCost gpt2 = Price("compact-532", "gpt2-small", {});
  EXPECT_EQ(gpt2.products.back().tiles, 603'168u);  // 50257 outputs are padded to 50264
  EXPECT_EQ(Price("compact-532", "smollm2-135m", {}).total.tiles, 2'101'248u);
  EXPECT_EQ(Price("compact-532", "qwen2.5-0.5b", {}).total.tiles, 7'718'144u);
}

TEST(ChipCost, UtilisationIsTheRowsThatTokensFill) {
  ChipCost cost = PriceProduct(Chip("compact-512"), {1, 768, 768});
  EXPECT_EQ(cost.tiles, 9216u);
  EXPECT_NEAR(cost.utilisation(), 0.125, 1e-12);
  EXPECT_NEAR(cost.seconds, 0.04718592, 1e-12);
  cost = PriceProduct(Chip("compact-512"), {9, 64, 64});
  EXPECT_NEAR(cost.utilisation(), 0.5625, 1e-12);
  cost = PriceProduct(Chip("compact-512"), {8, 8, 8});
  EXPECT_NEAR(cost.ops_per_second(), 0.2e9, 1);
  EXPECT_NEAR(cost.joules.mac, 512 * 3.2e-12, 1e-18);
}

// ---- word by word ----

TEST(ChipCost, OneTileOverTheBus) {
  const ChipDesign rtl = Chip("compact-rtl");
  const ChipCost token = PriceProduct(rtl, {1, 8, 8});
  // A 8 words, W 64, CTRL 1, wait 515, 8 results of two cycles.
  EXPECT_EQ(token.cycles, 8u + 64 + 1 + 515 + 16);
  EXPECT_EQ(token.phases.load, 8u + 64 + 1 + 1);  // CTRL = 0 is written while the tile computes
  EXPECT_EQ(token.phases.compute, 514u);
  EXPECT_EQ(token.phases.drain, 16u);
  EXPECT_EQ(token.phases.host, 0u);
  EXPECT_EQ(token.traffic.activations, 8u * 4);
  EXPECT_EQ(token.traffic.weights, 64u * 4);
  EXPECT_EQ(token.traffic.results, 8u * 4);
  EXPECT_EQ(PriceProduct(rtl, {8, 8, 8}).cycles, 64u + 64 + 1 + 515 + 128);
  // Two k tiles: each is read, and the host adds 16 words.
  const ChipCost deep = PriceProduct(rtl, {1, 8, 16});
  EXPECT_EQ(deep.cycles, 2 * token.cycles);
  EXPECT_EQ(deep.phases.host, 16u * 13);
  // A stays over two column tiles, W over two row blocks.
  EXPECT_EQ(PriceProduct(rtl, {1, 16, 8}).cycles, 2 * token.cycles - 8);
  EXPECT_EQ(PriceProduct(rtl, {16, 8, 8}).traffic.weights, 64u * 4);
}

TEST(ChipCost, SumsOnChipSaveReadsAndTheHost) {
  const ChipDesign chip = Chip("compact-16mac");
  EXPECT_EQ(PriceProduct(chip, {1, 8, 8}).cycles, 8u + 64 + 1 + 33 + 16);
  const ChipCost deep = PriceProduct(chip, {1, 8, 24});
  EXPECT_EQ(deep.cycles, 3u * (8 + 64 + 1 + 33) + 16);
  EXPECT_EQ(deep.phases.host, 0u);
  EXPECT_EQ(deep.traffic.results, 8u * 4);
}

TEST(ChipCost, UnitsOnOneBus) {
  // Four units: 4 x (72 + CTRL twice) on the bus. They start 74 cycles apart and take 16 each to read, so the
  // last is waited for: started at 3 x 74 + 73, read 515 later.
  const ChipCost four = PriceProduct(Chip("compact-x4"), {1, 32, 8});
  EXPECT_EQ(four.phases.load, 4u * (8 + 64 + 2));
  EXPECT_EQ(four.cycles, 3u * 74 + 73 + 515 + 16);
  // What the documents claim is the multipliers' rate; the bus leaves less.
  const ChipCost full = PriceProduct(Chip("compact-x16"), {8, 2048, 2048});
  EXPECT_NEAR(2.0 * 100e6 * static_cast<double>(PeakMacs(Chip("compact-x16"))), 3.2e9, 1);
  EXPECT_LT(full.ops_per_second(), 0.6e9);
}

TEST(ChipCost, SeveralChipsGainOnlyWithALink) {
  ChipDesign chips = Chip("compact-4chip");
  const ChipCost linked = PriceProduct(chips, {1, 2048, 2048});
  const ChipCost one = PriceProduct(Chip("compact-rtl"), {1, 2048, 2048});
  EXPECT_EQ(linked.traffic.link, 2048u * 4 * 3 / 4);
  EXPECT_NEAR(linked.link_s, 2048.0 * 3 / 200e6 + 1e-6, 1e-12);
  EXPECT_NEAR(one.seconds / linked.seconds, 4, 0.05);
  EXPECT_EQ(linked.tiles, one.tiles);
  chips.link_bytes_s = 0;
  const ChipCost alone = PriceProduct(chips, {1, 2048, 2048});
  EXPECT_EQ(alone.cycles, one.cycles);
  EXPECT_NEAR(alone.utilisation(), one.utilisation() / 4, 1e-12);
  // Five column tiles on four chips: two each, and one chip is idle.
  chips.link_bytes_s = 1e9;
  EXPECT_EQ(PriceProduct(chips, {1, 40, 8}).cycles, PriceProduct(Chip("compact-rtl"), {1, 16, 8}).cycles);
  EXPECT_EQ(PriceProduct(chips, {1, 40, 8}).tiles, 5u);
}

// ---- streams ----

TEST(ChipCost, StreamOfTheSystolicArray) {
  const ChipDesign chip = Chip("systolic-8x8");
  // Header and 8 columns of A, header and 8 of W, then the skew of 15 and a row.
  EXPECT_EQ(PriceProduct(chip, {1, 8, 8}).cycles, 9u + 9 + 15 + 1);
  EXPECT_EQ(PriceProduct(chip, {8, 8, 8}).cycles, 9u + 9 + 15 + 8);
  // Short tiles wait for the drain before: last beats are 15 + 8 + 1 apart, not 9.
  EXPECT_EQ(PriceProduct(chip, {8, 24, 8}).cycles, 9u + 9 + 2 * 24 + 15 + 8);
  EXPECT_EQ(PriceProduct(chip, {1, 24, 8}).cycles, 9u + 9 + 2 * 17 + 15 + 1);
  // Long ones do not.
  const ChipCost wide = PriceProduct(chip, {8, 24, 100});
  EXPECT_EQ(wide.cycles, 101u + 3 * 101 + 15 + 8);
  EXPECT_EQ(wide.traffic.weights, 24u * 100);
  EXPECT_EQ(wide.traffic.control, 4u * 8);
  // k beyond the scratchpad: A comes again, in two chunks, for each column tile.
  EXPECT_EQ(PriceProduct(chip, {1, 16, 2049}).cycles, 2u * 2 * (2049 + 2) + 15 + 1);
  // Streaming never moves more than the bus can.
  const ChipCost large = PriceProduct(chip, {64, 2048, 2048});
  EXPECT_LE(large.traffic.activations + large.traffic.weights, 8 * large.cycles);
  EXPECT_GT(large.utilisation(), 0.98);
}

TEST(ChipCost, LatencyIsPaidOnceAStream) {
  ChipDesign chip = Chip("systolic-8x8");
  const ChipCost near = PriceProduct(chip, {5, 50, 70});
  chip.latency_cycles = 77;
  EXPECT_EQ(PriceProduct(chip, {5, 50, 70}).cycles, near.cycles + 77);
  EXPECT_EQ(PriceProduct(chip, {5, 50, 70}).phases.stall, 77u);
}

// ---- arrays with weight buffers: the closed form against a walk over every tile, by the rules ----

uint64_t WalkBuffered(const ChipDesign& d, const ProductShape& p) {
  const uint64_t cols = uint64_t{d.cols} * d.arrays, depth = d.depth;
  const uint64_t bits = d.scratch_words * d.scratch_word_bits, column = d.rows * ActivationBits(d.datapath);
  const uint64_t chunk = bits / column >= p.k ? p.k : bits / column / depth * depth;
  const uint64_t a_beat = BeatCycles(d, ActivationBeatBytes(d)), w_beat = BeatCycles(d, WeightBeatBytes(d));
  const size_t slots = d.double_buffer ? 2 : 1;
  const size_t a_slots = d.scratch_ports >= 2 && 2 * chunk * column <= bits ? 2 : 1;
  std::vector<uint64_t> computed, drained, a_done;  // when each tile, output tile, use of a block of A ended
  uint64_t loaded = 0, drain_end = 0;
  const auto load = [&](uint64_t free, uint64_t cycles) {
    const bool waits = loaded == 0 || free > loaded;
    loaded = std::max(loaded, free) + (waits ? d.latency_cycles : 0) + cycles;
  };
  const auto before = [](const std::vector<uint64_t>& ends, size_t back) {
    return ends.size() < back ? 0 : ends[ends.size() - back];
  };
  for (uint64_t row = 0; row < p.m; row += d.rows) {
    const uint64_t rows = std::min<uint64_t>(d.rows, p.m - row);
    for (uint64_t col = 0; col < p.n; col += cols) {
      for (uint64_t k = 0; k < p.k; k += depth) {
        if (k % chunk == 0 && (chunk < p.k || col == 0)) {
          load(before(a_done, a_slots), std::min(chunk, p.k - k) * a_beat);
          a_done.push_back(0);
        }
        load(before(computed, slots), depth * w_beat);
        const uint64_t start = std::max({loaded, before(computed, 1), k == 0 ? before(drained, slots) : 0});
        const uint64_t macs = uint64_t{d.rows} * d.cols * depth;
        computed.push_back(start + (d.kind == ArrayKind::kSequential
                                        ? d.start_cycles + (macs + d.macs - 1) / d.macs + d.result_cycles
                                        : rows + depth + d.cols - 1));
        a_done.back() = computed.back();
      }
      drain_end = std::max(computed.back(), drain_end) + rows * ((cols * 4 + d.bus_bytes - 1) / d.bus_bytes);
      drained.push_back(drain_end);
    }
  }
  return drain_end;
}

TEST(ChipCost, BufferedArraysAreAsFastAsAWalkOverTheirTilesSays) {
  std::mt19937 random(7);
  const auto from = [&](uint32_t low, uint32_t high) { return low + random() % (high - low + 1); };
  int chunked = 0, double_a = 0;
  for (int i = 0; i < 4000; ++i) {
    ChipDesign d;
    d.kind = from(0, 1) ? ArrayKind::kWeightStationary : ArrayKind::kSequential;
    d.host = HostInterface::kDma;
    d.accumulate = true;
    d.double_buffer = from(0, 3) > 0;
    d.rows = from(1, 9);
    d.cols = from(1, 9);
    d.depth = from(1, 9);
    d.arrays = from(1, 3);
    if (d.kind == ArrayKind::kSequential) {
      d.macs = from(1, d.rows * d.cols * d.depth);
      d.start_cycles = from(0, 2);
    }
    d.datapath = from(0, 1) ? Datapath::kInt8 : Datapath::kInt32;
    d.scratch_words = from(81, 900);
    d.scratch_ports = from(1, 2);
    d.bus_bytes = from(1, 48);
    d.latency_cycles = from(0, 1) ? 0 : from(1, 60);
    const ProductShape p = {from(1, 40), from(1, 90), from(1, 90)};
    const ChipCost cost = PriceProduct(d, p);
    ASSERT_EQ(cost.cycles, WalkBuffered(d, p)) << i;
    ASSERT_EQ(SumOf(cost.phases), cost.cycles) << i;
    chunked += cost.traffic.activations > (p.m + d.rows) * p.k * ActivationBits(d.datapath) / 8;
    double_a += d.scratch_ports == 2;
  }
  EXPECT_GT(chunked, 200);
  EXPECT_GT(double_a, 200);
}

TEST(ChipCost, ProductsOfAnySizeArePricedAtOnce) {
  ChipDesign d = Chip("systolic-8x8");
  d.kind = ArrayKind::kWeightStationary;
  d.double_buffer = true;
  d.latency_cycles = 13;
  const auto start = std::chrono::steady_clock::now();
  const ChipCost cost = PriceProduct(d, {1 << 18, 1 << 18, 1 << 18});
  const ChipCost narrow = PriceProduct(d, {1, uint64_t{1} << 50, 1});
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));  // tiles: 2^45 and 2^47
  EXPECT_EQ(cost.tiles, uint64_t{1} << 45);
  EXPECT_EQ(narrow.tiles, uint64_t{1} << 47);
  EXPECT_EQ(SumOf(cost.phases), cost.cycles);
}

// ---- limits ----

TEST(ChipCost, ZeroesAndProductsBeyond64BitsAreRefused) {
  for (const std::string& name : ChipCatalog({EDGEWISE_SOURCE_DIR "/chips"}).Names()) {
    const ChipDesign chip = Chip(name);
    for (const ProductShape& zero : {ProductShape{0, 1, 1}, {1, 0, 1}, {1, 1, 0}, {1, 1, 1, 0}}) {
      MessageOf(ErrorCode::kUsage, [&] { PriceProduct(chip, zero); });
    }
    const uint64_t most = ~uint64_t{0};
    for (const ProductShape& large :
         {ProductShape{most, 1, 1}, {1, most, 1}, {1, 1, most}, {most, most, most},
          {1 << 20, 1 << 20, 1 << 20}, {8, 8, 8, most}}) {
      MessageOf(ErrorCode::kLimit, [&] { PriceProduct(chip, large); });
    }
  }
  ChipDesign slow;  // each multiply-add takes 2^24 cycles
  slow.rows = slow.cols = slow.depth = 1;
  slow.start_cycles = 1 << 24;
  MessageOf(ErrorCode::kLimit, [&] { PriceProduct(slow, {1 << 20, 1 << 20, 1 << 10}); });
}

// ---- designs of ours, workloads, constants ----

struct RoadMap {
  const char* chip;
  double gops, least_tokens_s, most_tokens_s, least_utilisation;
};

TEST(ChipCost, RoadMapDesignsDecodeAtTheSpeedOfTheirMemory) {
  // Tokens a second at most: bytes a second over the 1,034,420,224 weights (half a byte each in INT4).
  constexpr RoadMap kDesigns[] = {{"edge-mid", 4.8, 2.27, 2.3202, 0.98},
                                  {"edge-llm", 102.4, 24.3, 24.749, 0.49},
                                  {"edge-llm-int4", 204.8, 48.4, 49.497, 0.49}};
  for (const RoadMap& design : kDesigns) {
    const ChipDesign chip = Chip(design.chip);
    EXPECT_NEAR(2e-9 * static_cast<double>(PeakMacs(chip)) * chip.clock_hz, design.gops, 1e-9);
    const WorkloadCost token = Price(design.chip, "tinyllama-1.1b", {});
    EXPECT_GT(1 / token.seconds(), design.least_tokens_s) << design.chip;
    EXPECT_LT(1 / token.seconds(), design.most_tokens_s) << design.chip;
    EXPECT_GT(token.total.utilisation(), design.least_utilisation) << design.chip;
    EXPECT_LE(static_cast<double>(token.total.traffic.weights), chip.memory_bytes_s * token.seconds());
  }
  // Two tokens cost what one costs.
  EXPECT_NEAR(Price("edge-llm", "tinyllama-1.1b", {.rows = 2, .logit_rows = 2}).seconds() /
                  Price("edge-llm", "tinyllama-1.1b", {}).seconds(),
              1, 0.01);
}

TEST(ChipCost, AttentionIsLeftOutOrDoneByChipOrHost) {
  const WorkStep step = {.context = 1023};
  const WorkloadCost without = Price("systolic-8x8", "tinyllama-1.1b", step);
  const WorkloadCost chip = Price("systolic-8x8", "tinyllama-1.1b", step, AttentionOn::kChip);
  const WorkloadCost host = Price("systolic-8x8", "tinyllama-1.1b", step, AttentionOn::kHost);
  const uint64_t macs = uint64_t{22} * 2 * 1024 * 32 * 64;
  EXPECT_EQ(chip.total.useful_macs, without.total.useful_macs + macs);
  EXPECT_EQ(host.total.useful_macs, without.total.useful_macs);
  EXPECT_EQ(host.host_s, static_cast<double>(macs) / 1.9e6);
  EXPECT_EQ(host.seconds(), without.seconds() + host.host_s);
  MessageOf(ErrorCode::kUsage, [&] { Price("compact-512", "tinyllama-1.1b", step, AttentionOn::kHost); });
}

TEST(ChipCost, EnergyAndAreaFollowFromCountsAndConstants) {
  ChipDesign d = Chip("systolic-8x8");
  d.mac_pj = 2;
  d.memory_pj_byte = 3;
  d.scratch_pj_byte = 5;
  d.static_w = 7;
  d.mac_um2 = 1000;
  d.sram_um2_bit = 1;
  d.fixed_mm2 = 0.5;
  const ChipCost cost = PriceProduct(d, {1, 8, 8, 10});
  EXPECT_NEAR(cost.joules.mac, 10 * 512 * 2e-12, 1e-18);       // all eight rows work
  EXPECT_NEAR(cost.joules.memory, 10 * (64 + 64 + 32) * 3e-12, 1e-18);
  EXPECT_NEAR(cost.joules.scratch, 10 * (64 + 64) * 5e-12, 1e-18);  // A in, A out
  EXPECT_NEAR(cost.joules.leakage, 7 * cost.seconds, 1e-15);
  EXPECT_NEAR(cost.seconds, 340e-8, 1e-15);
  // 64 elements, 2048 x 64 bits of scratchpad, 64 sums twice.
  EXPECT_NEAR(ChipArea(d), 0.064 + 0.131072 + 0.004096 + 0.5, 1e-9);
  d.chips = 3;
  EXPECT_NEAR(ChipArea(d), 3 * 0.699168, 1e-9);
}

TEST(ChipCost, RandomZerosLeaveNoTileEmpty) {
  EXPECT_NEAR(RandomTileSkip(Chip("compact-512"), 0.9), 1.00118041, 1e-8);
  EXPECT_EQ(RandomTileSkip(Chip("compact-512"), 0), 1);
}

TEST(ChipCost, TwoOfFourHalvesK) {
  ChipDesign d = Chip("edge-llm");
  const ChipCost dense = PriceProduct(d, {1, 2048, 1024});
  d.zero_skip = ZeroSkip::kTwoOfFour;
  EXPECT_EQ(PriceProduct(d, {1, 2048, 2048}).cycles, dense.cycles);
}

}  // namespace
}  // namespace edgewise
