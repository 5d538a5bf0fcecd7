#include "machine/chip_timing.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/error.h"

namespace edgewise {
namespace {

// Padded multiply-adds of a product on one chip; counts derived from it still fit 128 bits.
constexpr Wide kMostMacs = Wide{1} << 56;
constexpr uint64_t kWordBytes = 4;       // of kAxiLite, and of a result
constexpr uint64_t kHeaderBytes = 8;     // of a command of a stream
constexpr uint64_t kMostBeats = 65535;   // of one command: its count has 16 bits

uint64_t CeilDiv(uint64_t a, uint64_t b) { return a / b + (a % b != 0); }

struct WidePhases {
  Wide load = 0, compute = 0, drain = 0, stall = 0;
};

void SetPhases(const WidePhases& phases, ChipCost& cost) {
  cost.cycles = Narrow(phases.load + phases.compute + phases.drain + phases.stall);
  cost.phases.load = static_cast<uint64_t>(phases.load);  // none is larger than the sum
  cost.phases.compute = static_cast<uint64_t>(phases.compute);
  cost.phases.drain = static_cast<uint64_t>(phases.drain);
  cost.phases.stall = static_cast<uint64_t>(phases.stall);
}

// Operands of every multiply-add and every result come from memories beside a sequential array.
double SequentialScratchBytes(const ChipDesign& design, const TileGrid& g, const ChipCost& cost) {
  const double operands = (WeightBits(design.datapath) + ActivationBits(design.datapath)) / 8.0;
  const double results = static_cast<double>(g.tiles()) * static_cast<double>(g.rows * g.cols) *
                         (design.accumulate ? 2 : 1) * kWordBytes;
  return static_cast<double>(cost.padded_macs) * operands + results +
         static_cast<double>(cost.traffic.activations + cost.traffic.weights);
}

// ---- operands for free ----

// Each array takes the next tile; the last turn may leave some idle.
void TimeFree(const ChipDesign& design, const TileGrid& g, ChipCost& cost) {
  cost.tiles = g.tiles();
  cost.padded_macs = g.tiles() * g.rows * g.cols * g.depth;
  SetPhases({.compute = Wide{CeilDiv(g.tiles(), g.units)} * TileCycles(design, g.rows)}, cost);
  const uint64_t result_rounds = design.accumulate ? 1 : g.k_tiles;
  cost.traffic.activations =
      Narrow(Wide{g.m} * g.depth * g.k_tiles * g.column_tiles * ActivationBits(design.datapath) / 8);
  cost.traffic.weights = Narrow(Wide{g.tiles()} * g.depth * g.cols * WeightBits(design.datapath) / 8);
  cost.traffic.results = Narrow(Wide{g.m} * g.cols * g.column_tiles * result_rounds * kWordBytes);
  cost.scratch_bytes = SequentialScratchBytes(design, g, cost);
}

// ---- word by word ----

// Up to `units` arrays are loaded and started one after the other over the one bus, then read in the same
// order. With l cycles to load a unit and start it (CTRL = 1 is latched in the last of them), z to clear CTRL
// and d to read a unit, unit i of u, all alike, is latched at t_i = i (l + z) - z and may be read from edge
// t_i + S + 1 on. Reads are in order, so the last ends at
//     max(u (l + z) + u d,  max over i of t_i + S + (u - i + 1) d)
// and the second term, linear in i, is greatest at i = 1 or i = u. When the first p units have more to load
// than the rest, it is linear on either side of p.
class BusTiming {
 public:
  BusTiming(const ChipDesign& design, const TileGrid& g)
      : design_(design), g_(g), tile_cycles_(TileCycles(design, g.rows)) {}

  // `times` groups of `units`, of which the first `heavy` load heavy_words and the others light_words each.
  void Add(Wide times, uint64_t units, uint64_t heavy, uint64_t heavy_words, uint64_t light_words,
           uint64_t rows) {
    const uint64_t clear = design_.accumulate ? 0 : design_.control_cycles;
    const Wide heavy_load = Load(heavy_words) + clear, light_load = Load(light_words) + clear;
    const Wide read = Wide{rows} * g_.cols * design_.read_cycles;
    const auto latched = [&](uint64_t unit) {  // 1 is the first
      const uint64_t of_heavy = std::min(unit, heavy);
      return of_heavy * heavy_load + (unit - of_heavy) * light_load - clear;
    };
    const Wide loads = latched(units) + clear;
    Wide end = loads + units * read;
    for (const uint64_t unit : {uint64_t{1}, heavy, std::min(heavy + 1, units), units}) {
      end = std::max(end, latched(unit) + tile_cycles_ + (units - unit + 1) * read);
    }
    phases_.load += times * loads;
    phases_.drain += times * units * read;
    phases_.compute += times * (end - loads - units * read);
  }

  // The same with an interlock, k tile after k tile on the same units before they are read. Loading unit i
  // again waits until it has done its last tile, t_i + S: a round of loads takes the period
  // P = max(u l, l + S), as either the bus or the first unit is what is waited for; by induction
  // t_i = i l + (rounds - 1) P in the last round, and the end is as above with z = 0.
  void AddAccumulating(Wide times, uint64_t units, uint64_t words, uint64_t rows) {
    Add(times, units, units, words, words, rows);
    const Wide loads = units * Load(words);
    const Wide period = std::max(loads, Load(words) + tile_cycles_);
    phases_.load += times * (g_.k_tiles - 1) * loads;
    phases_.compute += times * (g_.k_tiles - 1) * (period - loads);
  }

  const WidePhases& phases() const { return phases_; }

 private:
  Wide Load(uint64_t words) const { return Wide{words} * design_.write_cycles + design_.control_cycles; }

  const ChipDesign& design_;
  const TileGrid& g_;
  const uint64_t tile_cycles_;
  WidePhases phases_;
};

// Calls f(times, rows) for the full row blocks and for the last one.
template <typename F>
void ForRowBlocks(const TileGrid& g, F&& f) {
  if (g.row_blocks > 1) f(g.row_blocks - 1, g.rows);
  f(1, g.last_rows());
}

// Calls f(times, units) for the full groups of column tiles, if any, and for the last.
template <typename F>
void ForGroups(const TileGrid& g, F&& f) {
  const uint64_t groups = CeilDiv(g.column_tiles, g.units);
  if (groups > 1) f(groups - 1, g.units);
  f(1, g.column_tiles - (groups - 1) * g.units);
}

void TimeBus(const ChipDesign& design, const TileGrid& g, ChipCost& cost) {
  const uint64_t w_words = g.depth * g.cols, tiles = g.tiles();
  const uint64_t units = std::min(g.units, g.column_tiles);
  const Wide a_words = Wide{g.m} * g.depth * g.k_tiles;  // A once
  const Wide one_w = Wide{w_words} * g.k_tiles * g.column_tiles;
  BusTiming timing(design, g);
  Wide a_moved = 0, w_moved = one_w * g.row_blocks;
  if (design.accumulate) {  // row block, column group, k tile: everything is written for every tile
    a_moved = a_words * g.column_tiles;
    ForRowBlocks(g, [&](Wide blocks, uint64_t rows) {
      ForGroups(g, [&](Wide groups, uint64_t u) {
        timing.AddAccumulating(blocks * groups, u, rows * g.depth + w_words, rows);
      });
    });
  } else if (a_words * g.column_tiles + one_w < a_words * units + one_w * g.row_blocks && g.row_blocks > 1) {
    // W stays: k tile, column group, row block. The first row block brings W.
    a_moved = a_words * g.column_tiles;
    w_moved = one_w;
    ForGroups(g, [&](Wide groups, uint64_t u) {
      const Wide times = groups * g.k_tiles;
      timing.Add(times, u, u, g.rows * g.depth + w_words, 0, g.rows);
      timing.Add(times * (g.row_blocks - 2), u, u, g.rows * g.depth, 0, g.rows);
      timing.Add(times, u, u, g.last_rows() * g.depth, 0, g.last_rows());
    });
  } else {  // A stays: row block, k tile, column group. The first group brings A, to each of its units.
    a_moved = a_words * units;
    const uint64_t groups = CeilDiv(g.column_tiles, g.units);
    const uint64_t last = g.column_tiles - (groups - 1) * g.units;
    // With two groups and no k tiles between, the units that the second left alone still hold their W when
    // the next row block begins.
    const bool kept = groups == 2 && g.k_tiles == 1;
    bool begun = false;
    ForRowBlocks(g, [&](Wide blocks, uint64_t rows) {
      const Wide times = blocks * g.k_tiles;
      const uint64_t a_tile = rows * g.depth;
      const Wide fresh = kept ? (begun ? 0 : 1) : times;
      begun = true;
      timing.Add(fresh, units, units, a_tile + w_words, 0, rows);
      timing.Add(times - fresh, units, last, a_tile + w_words, a_tile, rows);
      if (groups > 2) timing.Add(times * (groups - 2), g.units, g.units, w_words, 0, rows);
      if (groups > 1) timing.Add(times, last, last, w_words, 0, rows);
    });
    if (kept) w_moved -= Wide{g.row_blocks - 1} * (g.units - last) * w_words;
  }
  SetPhases(timing.phases(), cost);
  cost.tiles = tiles;
  cost.padded_macs = tiles * g.rows * g.cols * g.depth;
  cost.traffic.activations = Narrow(a_moved * kWordBytes);
  cost.traffic.weights = Narrow(w_moved * kWordBytes);
  cost.traffic.control = Narrow(Wide{tiles} * (design.accumulate ? 1 : 2) * kWordBytes);
  const Wide words_read = Wide{g.m} * g.cols * g.column_tiles * (design.accumulate ? 1 : g.k_tiles);
  cost.traffic.results = Narrow(words_read * kWordBytes);
  if (!design.accumulate && g.k_tiles > 1) {
    const auto adds = static_cast<double>(words_read) * design.host_add_cycles;
    cost.phases.host = Narrow(static_cast<Wide>(std::ceil(adds)));
  }
  cost.scratch_bytes = SequentialScratchBytes(design, g, cost);
}

// ---- streams ----

// Beats follow each other as fast as they come: a beat is accepted its own cycles after the one before (a
// header: 1). A row block's A is loaded once, or, when the scratchpad takes it only in chunks, chunk by chunk
// for every column tile. So the last beats of two column tiles are
//     x = chunks + beats w                  apart, or
//     x = chunks + beats w + chunks + beats a    in chunks,
// and when A comes between row blocks that much more. But the last beat waits until the tile before it has
// drained. From its last beat it takes the array's latency until row 0 is valid, then d cycles a row, and
// the next last beat is accepted one edge later at the earliest: they are at least
//     i(r) = latency + r d + 1
// apart. Each gap is max(x, i), and after the last beat the last tile drains: latency + r d.
void TimeStream(const ChipDesign& design, const TileGrid& g, ChipCost& cost) {
  const bool vector = design.kind == ArrayKind::kVector;
  const uint64_t a_bytes = ActivationBeatBytes(design), w_bytes = WeightBeatBytes(design);
  const uint64_t a_cycles = BeatCycles(design, a_bytes), w_cycles = BeatCycles(design, w_bytes);
  const uint64_t row_cycles = ResultRowCycles(design, g);
  const uint64_t latency = vector ? 2 + static_cast<uint64_t>(std::bit_width(g.depth - 1))
                                  : uint64_t{design.rows} + design.cols - 1;
  const uint64_t chunk = ScratchColumns(design, g), chunks = CeilDiv(g.k, chunk);
  const uint64_t last_chunk = g.k - (chunks - 1) * chunk;
  const auto beats_of = [&](uint64_t columns) { return vector ? CeilDiv(columns, g.depth) : columns; };
  const uint64_t beats = (chunks - 1) * beats_of(chunk) + beats_of(last_chunk);
  const Wide outputs = Wide{g.row_blocks} * g.column_tiles;     // tiles of C
  const Wide a_loads = chunks == 1 ? g.row_blocks : outputs;
  const Wide a_load = chunks + Wide{beats} * a_cycles;
  const Wide tile = chunks + Wide{beats} * w_cycles + (chunks == 1 ? 0 : a_load);  // x
  const auto drained = [&](uint64_t rows) { return latency + Wide{rows} * row_cycles; };
  const auto wait = [&](uint64_t rows, Wide gap) {
    const Wide least = drained(rows) + 1;
    return least > gap ? least - gap : 0;
  };
  const uint64_t last_rows = g.last_rows(), full_blocks = g.row_blocks - 1;
  const Wide waits =
      (g.column_tiles - 1) * (full_blocks * wait(g.rows, tile) + wait(last_rows, tile)) +
      full_blocks * wait(g.rows, tile + (chunks == 1 ? a_load : 0));
  SetPhases({.load = a_loads * a_load + outputs * (chunks + Wide{beats} * (w_cycles - 1)),
             .compute = outputs * beats,
             .drain = waits + drained(last_rows),
             .stall = design.latency_cycles},
            cost);

  cost.tiles = g.tiles();
  cost.padded_macs = Narrow(outputs * beats * g.rows * g.cols * (vector ? g.depth : 1));
  const uint64_t header = std::max({a_bytes, w_bytes, kHeaderBytes});
  cost.traffic.control = Narrow((a_loads + outputs) * chunks * header);
  cost.traffic.activations = Narrow(a_loads * beats * a_bytes);
  cost.traffic.weights = Narrow(outputs * beats * w_bytes);
  cost.traffic.results = Narrow(Wide{g.m} * g.cols * g.column_tiles * kWordBytes);
  // A is written when it comes and read with every beat of weights.
  cost.scratch_bytes = static_cast<double>(cost.traffic.activations) +
                       static_cast<double>(outputs * beats) * static_cast<double>(a_bytes);
}

}  // namespace

uint64_t Narrow(Wide value) {
  if (value < Wide{1} << 63) return static_cast<uint64_t>(value);
  throw Error(ErrorCode::kLimit, "the product takes so many cycles or bytes on this chip that they do not "
                                 "fit 64 bits");
}

TileGrid GridOf(const ChipDesign& design, uint64_t m, uint64_t n, uint64_t k) {
  const bool dma = design.host == HostInterface::kDma;
  TileGrid g;
  g.m = m;
  g.k = design.zero_skip == ZeroSkip::kTwoOfFour ? CeilDiv(k, 2) : k;
  g.rows = design.rows;
  g.cols = uint64_t{design.cols} * (dma ? design.arrays : 1);
  g.depth = design.depth;
  g.units = dma ? 1 : design.arrays;
  g.row_blocks = CeilDiv(m, g.rows);
  g.column_tiles = CeilDiv(n, g.cols);
  g.k_tiles = CeilDiv(g.k, g.depth);
  const Wide rows = Wide{g.row_blocks} * g.rows, cols = Wide{g.column_tiles} * g.cols,
             depth = Wide{g.k_tiles} * g.depth;
  if (rows > kMostMacs || cols > kMostMacs || rows * cols > kMostMacs || depth > kMostMacs ||
      rows * cols * depth > kMostMacs) {
    throw Error(ErrorCode::kLimit, StrCat("a product of ", m, " x ", n, " x ", k,
                                          " (m, n, k) has more than 2^56 multiply-adds: its cycles might "
                                          "not fit 64 bits"));
  }
  return g;
}

uint64_t TileCycles(const ChipDesign& design, uint64_t rows) {
  if (design.kind == ArrayKind::kWeightStationary) return rows + design.depth + design.cols - 1;
  const uint64_t macs = uint64_t{design.rows} * design.cols * design.depth;
  return design.start_cycles + CeilDiv(macs, design.macs) + design.result_cycles;
}

uint64_t ResultRowCycles(const ChipDesign& design, const TileGrid& grid) {
  // A systolic array's port is as wide as its row of results.
  if (design.kind == ArrayKind::kOutputStationary) return 1;
  return CeilDiv(grid.cols * kWordBytes, design.bus_bytes);
}

uint64_t ScratchColumns(const ChipDesign& design, const TileGrid& grid) {
  const uint64_t bits = design.scratch_words * design.scratch_word_bits;
  uint64_t fits = bits / (grid.rows * ActivationBits(design.datapath));
  const bool by_column = design.kind == ArrayKind::kOutputStationary;
  if (by_column) fits = std::min(fits, kMostBeats);
  if (design.kind == ArrayKind::kVector) fits = std::min(fits, kMostBeats * grid.depth);
  if (fits >= grid.k) return grid.k;
  return by_column ? fits : fits - fits % grid.depth;  // CheckDesign: at least one step's
}

ChipCost TimeGrid(const ChipDesign& design, const TileGrid& grid) {
  ChipCost cost;
  if (design.host == HostInterface::kNone) {
    TimeFree(design, grid, cost);
  } else if (design.host == HostInterface::kAxiLite) {
    TimeBus(design, grid, cost);
  } else if (design.kind == ArrayKind::kOutputStationary || design.kind == ArrayKind::kVector) {
    TimeStream(design, grid, cost);
  } else {
    TimeBuffered(design, grid, cost);
    if (design.kind == ArrayKind::kSequential) {
      cost.scratch_bytes = SequentialScratchBytes(design, grid, cost);
    }
  }
  return cost;
}

}  // namespace edgewise
