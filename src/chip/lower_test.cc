// Lowered programs, run by the simplest machines that could run them - registers and sums without
// timing, and a host that counts edges transaction by transaction - give the product, the tile
// model's cycles and its traffic.
#include "chip/lower.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

#include "base/error.h"
#include "chip/test_designs.h"
#include "chip/tile_model.h"

namespace edgewise::chip {
namespace {

struct Data {
  Data(const Product& p, uint32_t seed, bool zeros)
      : a(RandomValues<int8_t>(p.m * p.k, seed)),
        w(RandomValues<int8_t>(p.n * p.k, seed + 1)),
        k(p.k) {
    std::mt19937 random(seed);
    for (size_t i = 0; zeros && i < w.size(); ++i) {
      if (random() % 12 != 0) w[i] = 0;  // more tiles of zeros than not, at the edges
    }
  }
  Integers A() const { return {a.data(), k}; }
  Integers W() const { return {w.data(), k}; }
  std::vector<int8_t> a, w;
  uint64_t k;
};

std::vector<int32_t> ProductOf(const Product& p, const Data& x) {
  std::vector<int32_t> c;
  for (uint64_t i = 0; i < p.m; ++i) {
    for (uint64_t j = 0; j < p.n; ++j) {
      int32_t sum = 0;
      for (uint64_t l = 0; l < p.k; ++l) sum += x.a[i * p.k + l] * x.w[j * p.k + l];
      c.push_back(sum);
    }
  }
  return c;
}

std::vector<Stall> RandomStalls(std::mt19937& random, uint64_t transactions) {
  std::vector<Stall> stalls;
  for (uint64_t i = random() % 5; i < transactions; i += 1 + random() % 40) {
    stalls.push_back({i, static_cast<uint32_t>(random() % 60)});
  }
  return stalls;
}

uint32_t StallAt(std::span<const Stall> stalls, uint64_t index) {
  for (const Stall& s : stalls) {
    if (s.index == index) return s.cycles;
  }
  return 0;
}

// ---- kAxiLite ----

// Registers that multiply at once when started.
std::vector<uint32_t> RunRegisters(const ChipDesign& d, std::span<const BusOp> ops) {
  const RegisterMap map = MapOf(d);
  std::map<uint32_t, uint32_t> words;
  std::vector<uint32_t> results;
  for (const BusOp& op : ops) {
    if (op.kind == BusOp::Kind::kRead) results.push_back(words[op.address]);
    if (op.kind != BusOp::Kind::kWrite) continue;
    words[op.address] = op.data;
    const uint32_t base = op.address / map.unit_stride * map.unit_stride;
    if (op.address != base + map.control || (op.data & 1) == 0) continue;
    for (uint32_t i = 0; i < d.rows; ++i) {
      for (uint32_t j = 0; j < d.cols; ++j) {
        uint32_t& sum = words[base + map.c + i * d.cols + j];
        if ((op.data & 2) == 0) sum = 0;
        for (uint32_t k = 0; k < d.depth; ++k) {
          sum += words[base + map.a + i * d.depth + k] * words[base + map.b + k * d.cols + j];
        }
      }
    }
  }
  return results;
}

// Edges counted transaction by transaction, as the register map's rules say; fails on a read that
// is too early. `busy_cycles` from the start's latch until results are safe.
uint64_t CountEdges(const ChipDesign& d, std::span<const BusOp> ops, std::span<const Stall> stalls,
                    uint64_t busy_cycles) {
  const RegisterMap map = MapOf(d);
  std::map<uint32_t, uint64_t> open;  // by unit: first edge that sees results
  uint64_t edge = 1;
  for (size_t i = 0; i < ops.size(); ++i) {
    const BusOp& op = ops[i];
    edge += StallAt(stalls, i);
    if (op.kind == BusOp::Kind::kIdle) {
      edge += op.data;
      continue;
    }
    const uint32_t unit = op.address / map.unit_stride;
    const bool control = op.address % map.unit_stride == map.control;
    if (HasInterlock(d)) edge = std::max(edge, open[unit]);
    if (op.kind == BusOp::Kind::kRead) {
      EXPECT_GE(edge, open[unit]) << "transaction " << i << " reads before the results are safe";
      edge += d.read_cycles;
    } else {
      edge += control ? d.control_cycles : d.write_cycles;
      if (control && (op.data & 1) != 0) open[unit] = edge - 1 + busy_cycles + 1;
    }
  }
  return edge - 1;
}

TEST(LowerToBus, GivesTheProductInTheTileModelsCyclesAndBytes) {
  std::mt19937 random(1);
  for (ChipDesign d : AllDesigns()) {
    if (d.host != HostInterface::kAxiLite) continue;
    for (int round = 0; round < 60; ++round) {
      d.zero_skip = round % 3 == 0 ? ZeroSkip::kTile : ZeroSkip::kNone;
      d.write_cycles = 1 + round % 2;
      d.control_cycles = 1 + round % 4 / 2;
      const Product p = {1 + random() % 20, 1 + random() % 40, 1 + random() % 30};
      SCOPED_TRACE(testing::Message() << d.name << " x" << d.arrays << ": " << p.m << " " << p.n
                                      << " " << p.k << ", round " << round);
      const Data x(p, random(), d.zero_skip == ZeroSkip::kTile);
      const Tiling t = TileProduct(d, p, x.W());
      const std::vector<BusOp> ops = LowerToBus(d, t, x.A(), x.W());
      std::vector<int32_t> c(p.m * p.n, 5);
      GatherResults(d, t, RunRegisters(d, ops), {c.data(), p.n});
      EXPECT_EQ(c, ProductOf(p, x));

      const std::vector<Stall> stalls =
          round % 2 == 0 ? RandomStalls(random, ops.size()) : std::vector<Stall>();
      const TileCost cost = TimeTiles(d, t, stalls);
      EXPECT_EQ(cost.cycles, CountEdges(d, ops, stalls, ComputeCycles(d, t, 0, 0, d.rows)));
      EXPECT_EQ(cost.phases.load + cost.phases.compute + cost.phases.drain + cost.phases.stall,
                cost.cycles);
      uint64_t writes = 0, reads = 0;
      for (const BusOp& op : ops) {
        writes += op.kind == BusOp::Kind::kWrite;
        reads += op.kind == BusOp::Kind::kRead;
      }
      EXPECT_EQ(cost.traffic.in(), writes * 4);
      EXPECT_EQ(cost.traffic.results, reads * 4);
    }
  }
}

// ---- kDma, streaming ----

int32_t Int8At(const Beat& beat, size_t lane) { return static_cast<int8_t>(beat.bytes[lane]); }

// Runs the commands without timing; rows of sums in the order in which they drain.
struct StreamRun {
  std::vector<uint32_t> results;
  uint64_t cycles = 0;
};

StreamRun RunStream(const ChipDesign& d, std::span<const Beat> beats, std::span<const Stall> stalls,
                    std::span<const Stall> output_stalls) {
  const uint32_t depth = d.kind == ArrayKind::kVector ? d.depth : 1, cols = d.cols * d.arrays;
  const uint64_t w_cycles = BeatCycles(d, WeightBeatBytes(d));
  const uint64_t a_cycles = BeatCycles(d, ActivationBeatBytes(d));
  const uint64_t row_cycles =
      d.kind == ArrayKind::kVector ? (cols * 4 + d.bus_bytes - 1) / d.bus_bytes : 1;
  const uint64_t latency = d.kind == ArrayKind::kVector ? 2 + 3 : 1 + d.rows - 1 + d.cols - 1;
  std::map<uint64_t, const Beat*> scratch;
  std::vector<uint32_t> sums(d.rows * cols);
  StreamRun run;
  uint64_t edge = d.latency_cycles, drained = 0, rows_out = 0;
  for (size_t at = 0; at < beats.size();) {
    const std::vector<uint8_t>& header = beats[at].bytes;
    edge += 1 + StallAt(stalls, at++);
    const size_t count = header[4] + 256u * header[5], base = header[6] + 256u * header[7];
    const bool load = header[0] == kLoadA, last = (header[1] & kMacLast) != 0;
    if (!load && (header[1] & kMacFirst) != 0) std::fill(sums.begin(), sums.end(), 0);
    for (size_t b = 0; b < count; ++b, ++at) {
      edge += (load ? a_cycles : w_cycles) + StallAt(stalls, at);
      if (load) {
        scratch[base + b] = &beats[at];
        continue;
      }
      if (last && b + 1 == count) edge = std::max(edge, drained + 1);
      for (uint32_t i = 0; i < d.rows; ++i) {
        for (uint32_t j = 0; j < cols; ++j) {
          for (uint32_t l = 0; l < depth; ++l) {
            sums[i * cols + j] += static_cast<uint32_t>(
                Int8At(*scratch.at(base + b), i * depth + l) * Int8At(beats[at], j * depth + l));
          }
        }
      }
    }
    if (load || !last) continue;
    drained = edge + latency;
    for (uint32_t i = 0; i < header[2]; ++i)
      drained += row_cycles + StallAt(output_stalls, rows_out++);
    run.results.insert(run.results.end(), sums.begin(), sums.begin() + header[2] * cols);
  }
  run.cycles = std::max(edge, drained);
  return run;
}

TEST(LowerToStream, GivesTheProductInTheTileModelsCyclesAndBytes) {
  std::mt19937 random(2);
  for (ChipDesign d : AllDesigns()) {
    if (!IsStreaming(d)) continue;
    for (int round = 0; round < 40; ++round) {
      d.latency_cycles = round % 3 * 5;
      d.memory_bytes_s = round % 4 == 0 ? 3e8 : 0;
      if (d.kind == ArrayKind::kVector)
        d.scratch_words = round % 2 == 0 ? 2048 : 20;  // 16 columns of A
      const Product p = {1 + random() % 20, 1 + random() % 40, 1 + random() % 60};
      SCOPED_TRACE(testing::Message()
                   << d.name << ": " << p.m << " " << p.n << " " << p.k << ", round " << round);
      const Data x(p, random(), false);
      const Tiling t = TileProduct(d, p, x.W());
      const std::vector<Beat> beats = LowerToStream(d, t, x.A(), x.W());
      const bool stalled = round % 2 == 0;
      const auto stalls = stalled ? RandomStalls(random, beats.size()) : std::vector<Stall>();
      const auto output_stalls =
          stalled ? RandomStalls(random, p.m * t.column_tiles) : std::vector<Stall>();
      const StreamRun run = RunStream(d, beats, stalls, output_stalls);
      std::vector<int32_t> c(p.m * p.n, 5);
      GatherResults(d, t, run.results, {c.data(), p.n});
      EXPECT_EQ(c, ProductOf(p, x));
      const TileCost cost = TimeTiles(d, t, stalls, output_stalls);
      EXPECT_EQ(cost.cycles, run.cycles);
      EXPECT_EQ(cost.phases.load + cost.phases.compute + cost.phases.drain + cost.phases.stall,
                cost.cycles);
      EXPECT_EQ(cost.traffic.results, run.results.size() * 4);
    }
  }
}

TEST(LowerToStream, BufferedKindsGetPayloadOnlyAndSkipTilesOfZeros) {
  ChipDesign d = Buffered(true);
  d.zero_skip = ZeroSkip::kTile;
  // 3 rows of A, 2 column tiles, 2 k tiles; the first column tile is zero at its second k tile.
  const Product p = {3, 16, 16};
  std::vector<int8_t> a(p.m * p.k, 1), w(p.n * p.k, 1);
  for (uint64_t j = 0; j < 8; ++j) std::fill_n(w.begin() + static_cast<int64_t>(j * 16 + 8), 8, 0);
  const Tiling t = TileProduct(d, p, {w.data(), p.k});
  const std::vector<Beat> beats = LowerToStream(d, t, {a.data(), p.k}, {w.data(), p.k});
  EXPECT_EQ(beats.size(), 16u + 3 * 8);  // A once, three of four weight tiles
  EXPECT_EQ(beats[0].bytes, (std::vector<uint8_t>{1, 1, 1, 0, 0, 0, 0, 0}));
  EXPECT_EQ(beats[16].bytes, std::vector<uint8_t>(8, 1));
  const TileCost cost = TimeTiles(d, t);
  EXPECT_EQ(cost.tiles, 3u);
  EXPECT_EQ(cost.traffic.in(), beats.size() * 8);
}

TEST(LowerToStream, PacksNarrowWeights) {
  ChipDesign d = Streaming();
  d.datapath = Datapath::kInt4;
  const std::vector<int8_t> a = {-128}, w = {1, -1, 7, -8, 0, 0, 0, 2};
  std::vector<Beat> beats =
      LowerToStream(d, TileProduct(d, {1, 8, 1}), {a.data(), 1}, {w.data(), 1});
  ASSERT_EQ(beats.size(), 4u);
  EXPECT_EQ(beats[3].bytes, (std::vector<uint8_t>{0xf1, 0x87, 0x00, 0x20, 0, 0, 0, 0}));
  d.datapath = Datapath::kTernary;
  const std::vector<int8_t> ternary = {1, -1, 0, 1, 0, 0, 0, -1};
  beats = LowerToStream(d, TileProduct(d, {1, 8, 1}), {a.data(), 1}, {ternary.data(), 1});
  EXPECT_EQ(beats[3].bytes, (std::vector<uint8_t>{0b01'00'11'01, 0b11'00'00'00, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(beats[1].bytes[0], 0x80);  // activations stay int8
}

TEST(Lower, RefusesValuesWiderThanTheDatapath) {
  ChipDesign d = Streaming();
  d.datapath = Datapath::kTernary;
  const std::vector<int8_t> a = {100}, w = {2};
  try {
    LowerToStream(d, TileProduct(d, {1, 1, 1}), {a.data(), 1}, {w.data(), 1});
    FAIL() << "2 is not ternary";
  } catch (const Error& e) {
    EXPECT_EQ(e.message(), "weight 2 in row 0 does not fit the chip's datapath (-1..1)");
  }
  d.datapath = Datapath::kInt8;
  const std::vector<int32_t> wide = {128};
  EXPECT_THROW(LowerToStream(d, TileProduct(d, {1, 1, 1}), {wide.data(), 1}, {w.data(), 1}), Error);
}

}  // namespace
}  // namespace edgewise::chip
