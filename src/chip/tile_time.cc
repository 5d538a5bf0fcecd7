// Cycles of tile programs by recurrences: what the cycle simulator finds by ticking.
#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "chip/lower.h"
#include "chip/tile_model.h"

namespace edgewise::chip {
namespace {

// Walks the stall list along the program's transactions or beats.
class StallWalk {
 public:
  explicit StallWalk(std::span<const Stall> stalls) : left_(stalls) {}

  // The stalls of the next `count` transactions.
  uint64_t Take(uint64_t count) {
    index_ += count;
    uint64_t cycles = 0;
    for (; !left_.empty() && left_.front().index < index_; left_ = left_.subspan(1)) {
      cycles += left_.front().cycles;
    }
    return cycles;
  }

 private:
  std::span<const Stall> left_;
  uint64_t index_ = 0;
};

// ---- operands for free ----

// Arrays take tiles in program order, so many at once; each such batch is as long as its slowest
// tile.
TileCost TimeFree(const ChipDesign& design, const Tiling& t) {
  TileCost cost;
  const uint64_t tile_results = uint64_t{t.cols} * sizeof(uint32_t);
  if (t.nonzeros.empty()) {
    cost.tiles = t.tiles();
    cost.cycles = (cost.tiles + t.units - 1) / t.units * ComputeCycles(design, t, 0, 0, t.rows);
    cost.traffic.results = t.product.m * t.column_tiles * tile_results *
                           (t.order == LoopOrder::kOutputStationary ? 1 : t.k_tiles);
    cost.traffic.activations =
        t.product.m * t.depth * t.k_tiles * t.column_tiles * ActivationBits(design.datapath) / 8;
  } else {
    uint64_t slowest = 0, batch = 0;
    ForEachRound(design, t, [&](const Round& round) {
      for (const TileStep& step : round.steps) {
        if (step.read) cost.traffic.results += round.rows * tile_results;
        if (!step.compute) continue;
        ++cost.tiles;
        cost.traffic.activations +=
            uint64_t{round.rows} * t.depth * ActivationBits(design.datapath) / 8;
        slowest =
            std::max(slowest, ComputeCycles(design, t, step.column_tile, round.k_step, round.rows));
        if (++batch < t.units) continue;
        cost.cycles += slowest;
        slowest = batch = 0;
      }
    });
    cost.cycles += slowest;
  }
  cost.traffic.weights = cost.tiles * t.depth * t.cols * WeightBits(design.datapath) / 8;
  cost.phases.compute = cost.cycles;
  return cost;
}

// ---- word by word ----

class BusTimer {
 public:
  BusTimer(const ChipDesign& design, const Tiling& t, std::span<const Stall> stalls)
      : design_(design), t_(t), stalls_(stalls), units_(t.units) {}

  TileCost Run() {
    ForEachRound(design_, t_, [&](const Round& round) {
      for (const TileStep& step : round.steps) LoadAndStart(round, step);
      for (const TileStep& step : round.steps) {
        if (step.read) Read(round, step);
      }
    });
    cost_.cycles = edge_ - 1;
    if (!design_.accumulate && t_.k_tiles > 1) {
      const auto words = static_cast<double>(cost_.traffic.results / sizeof(uint32_t));
      cost_.phases.host = static_cast<uint64_t>(std::ceil(words * design_.host_add_cycles));
    }
    return cost_;
  }

 private:
  struct Unit {
    uint64_t planned_safe = 0;  // edge of the first safe read, by the host's count
    uint64_t free = 0;          // edge at which an interlocked chip takes the next access
  };

  void LoadAndStart(const Round& round, const TileStep& step) {
    Unit& unit = units_[step.unit];
    const uint64_t a = step.load_a ? uint64_t{round.rows} * t_.depth : 0;
    const uint64_t w = step.load_w ? uint64_t{t_.depth} * t_.cols : 0;
    Access(unit, a + w, design_.write_cycles, cost_.phases.load);
    cost_.traffic.activations += a * sizeof(uint32_t);
    cost_.traffic.weights += w * sizeof(uint32_t);
    if (!step.compute) return;
    ++cost_.tiles;
    Access(unit, 1, design_.control_cycles, cost_.phases.load);
    // Latched in its last cycle.
    const uint64_t safe =
        edge_ + ComputeCycles(design_, t_, step.column_tile, round.k_step, round.rows);
    cost_.traffic.control += sizeof(uint32_t);
    if (HasInterlock(design_)) {
      unit.free = safe;
    } else {
      unit.planned_safe = safe - cost_.phases.stall;
      Access(unit, 1, design_.control_cycles, cost_.phases.load);
      cost_.traffic.control += sizeof(uint32_t);
    }
  }

  void Read(const Round& round, const TileStep& step) {
    Unit& unit = units_[step.unit];
    // Without an interlock every stall delays all that follows, so the host's count is that much
    // behind.
    const uint64_t planned = edge_ - cost_.phases.stall;
    if (!HasInterlock(design_) && planned < unit.planned_safe) {
      Access(unit, 1, unit.planned_safe - planned, cost_.phases.compute);  // one idle transaction
    }
    const uint64_t words = uint64_t{round.rows} * t_.cols;
    Access(unit, words, design_.read_cycles, cost_.phases.drain);
    cost_.traffic.results += words * sizeof(uint32_t);
  }

  // `count` transactions of one kind with one unit. Only the first may find it busy.
  void Access(const Unit& unit, uint64_t count, uint64_t cycles_each, uint64_t& phase) {
    if (count == 0) return;
    const uint64_t open = std::max(edge_, unit.free);
    const uint64_t accepted = std::max(edge_ + stalls_.Take(1), open);
    const uint64_t later_stalls = stalls_.Take(count - 1);
    cost_.phases.compute += open - edge_;
    cost_.phases.stall += accepted - open + later_stalls;
    phase += count * cycles_each;
    edge_ = accepted + count * cycles_each + later_stalls;
  }

  const ChipDesign& design_;
  const Tiling& t_;
  StallWalk stalls_;
  std::vector<Unit> units_;
  uint64_t edge_ = 1;  // at which the next transaction could be offered
  TileCost cost_;
};

// ---- beats ----

uint64_t RowCycles(const ChipDesign& design, const Tiling& t) {
  // A streaming array's out port is as wide as a row of results.
  if (design.kind == ArrayKind::kOutputStationary) return 1;
  return (uint64_t{t.cols} * sizeof(uint32_t) + design.bus_bytes - 1) / design.bus_bytes;
}

TileCost TimeStream(const ChipDesign& design, const Tiling& t, std::span<const Stall> stalls,
                    std::span<const Stall> output_stalls) {
  const bool vector = design.kind == ArrayKind::kVector;
  const uint64_t a_cycles = BeatCycles(design, ActivationBeatBytes(design));
  const uint64_t w_cycles = BeatCycles(design, WeightBeatBytes(design));
  const uint64_t row_cycles = RowCycles(design, t);
  // From the edge that accepts the last beat until row 0 is valid.
  const uint64_t array_latency =
      vector ? 2 + std::bit_width(t.depth - 1) : 1 + (design.rows - 1) + (design.cols - 1);
  TileCost cost;
  StallWalk walk(stalls), output_walk(output_stalls);
  uint64_t accepted = design.latency_cycles;  // edge of the last acceptance
  uint64_t drained = 0;                       // edge that delivers the previous drain's last row
  cost.phases.stall = design.latency_cycles;
  const auto send = [&](uint64_t count, uint64_t cycles_each) {
    const uint64_t stalled = walk.Take(count);
    accepted += count * cycles_each + stalled;
    cost.phases.stall += stalled;
  };
  ForEachRound(design, t, [&](const Round& round) {
    const TileStep& step = round.steps.front();
    const uint64_t k = t.ChunkSize(round.chunk), beats = vector ? (k + t.depth - 1) / t.depth : k;
    if (step.load_a) {
      send(1, 1);
      send(beats, a_cycles);
      cost.phases.load += 1 + beats * a_cycles;
      cost.traffic.control += StreamBytes(design);
      cost.traffic.activations += beats * ActivationBeatBytes(design);
    }
    send(1, 1);
    send(beats - 1, w_cycles);
    // The last beat of a tile waits for the previous tile's results.
    const uint64_t open = std::max(accepted + w_cycles, step.read ? drained + 1 : 0);
    const uint64_t last = std::max(accepted + w_cycles + walk.Take(1), open);
    cost.phases.drain += open - (accepted + w_cycles);
    cost.phases.stall += last - open;
    cost.phases.load += 1 + beats * (w_cycles - 1);
    cost.phases.compute += beats;
    accepted = last;
    if (step.read) cost.tiles += t.k_tiles;
    cost.traffic.control += StreamBytes(design);
    cost.traffic.weights += beats * WeightBeatBytes(design);
    if (!step.read) return;
    drained = accepted + array_latency + round.rows * row_cycles + output_walk.Take(round.rows);
    cost.traffic.results += uint64_t{round.rows} * t.cols * sizeof(uint32_t);
  });
  cost.cycles = std::max(accepted, drained);
  cost.phases.drain += cost.cycles - accepted;
  return cost;
}

// Weight tiles are loaded into buffers while earlier ones compute and results drain. Times are
// edges: what ends at T is done after edge T.
class BufferedTimer {
 public:
  BufferedTimer(const ChipDesign& design, const Tiling& t, std::span<const Stall> stalls)
      : design_(design),
        t_(t),
        stalls_(stalls),
        a_cycles_(BeatCycles(design, ActivationBeatBytes(design))),
        w_cycles_(BeatCycles(design, WeightBeatBytes(design))),
        row_cycles_(RowCycles(design, t)),
        weights_(design.double_buffer ? 2 : 1),
        outputs_(weights_.size()),
        a_blocks_(HoldsTwoChunks() ? 2 : 1) {}

  TileCost Run() {
    ForEachRound(design_, t_, [&](const Round& round) { Step(round, round.steps.front()); });
    cost_.cycles = drain_end_;
    cost_.phases.drain += drain_end_ - compute_end_;
    return cost_;
  }

 private:
  void Step(const Round& round, const TileStep& step) {
    if (step.compute) {
      uint64_t late = 0;  // latency and stalls of this step's loads
      if (step.load_a) {
        const uint64_t columns = t_.ChunkSize(round.chunk);
        uint64_t& block = a_blocks_[++a_loads_ % a_blocks_.size()];
        late += Load(columns, a_cycles_, block);
        cost_.traffic.activations += columns * ActivationBeatBytes(design_);
      }
      uint64_t& buffer = weights_[cost_.tiles++ % weights_.size()];
      late += Load(t_.depth, w_cycles_, buffer);
      cost_.traffic.weights += t_.depth * WeightBeatBytes(design_);
      const uint64_t loaded = std::max(load_end_, compute_end_);
      const uint64_t start = std::max(loaded, step.first ? outputs_[output_ % outputs_.size()] : 0);
      const uint64_t cycles =
          ComputeCycles(design_, t_, step.column_tile, round.k_step, round.rows);
      const uint64_t stalled = std::min(late, loaded - compute_end_);
      cost_.phases.stall += stalled;
      cost_.phases.load += loaded - compute_end_ - stalled;
      cost_.phases.drain += start - loaded;
      cost_.phases.compute += cycles;
      compute_end_ = start + cycles;
      buffer = compute_end_;
      a_blocks_[a_loads_ % a_blocks_.size()] = compute_end_;
    }
    if (step.read) {
      drain_end_ = std::max(compute_end_, drain_end_) + round.rows * row_cycles_;
      outputs_[output_++ % outputs_.size()] = drain_end_;
      cost_.traffic.results += uint64_t{round.rows} * t_.cols * sizeof(uint32_t);
    }
  }

  // Loads `beats` into memory that is free from edge `free` on; returns what latency and stalls
  // added.
  uint64_t Load(uint64_t beats, uint64_t cycles_each, uint64_t free) {
    uint64_t late = stalls_.Take(beats);
    if (load_end_ == 0 || free > load_end_) late += design_.latency_cycles;
    load_end_ = std::max(load_end_, free) + late + beats * cycles_each;
    return late;
  }

  bool HoldsTwoChunks() const {
    const uint64_t chunk_bits = t_.k_chunk * t_.rows * ActivationBits(design_.datapath);
    return design_.scratch_ports >= 2 &&
           2 * chunk_bits <= design_.scratch_words * design_.scratch_word_bits;
  }

  const ChipDesign& design_;
  const Tiling& t_;
  StallWalk stalls_;
  const uint64_t a_cycles_, w_cycles_, row_cycles_;
  // The edge at which each buffer was last used: of weights and of A by a compute, of outputs by a
  // drain.
  std::vector<uint64_t> weights_, outputs_, a_blocks_;
  uint64_t a_loads_ = 0, output_ = 0;
  uint64_t load_end_ = 0, compute_end_ = 0, drain_end_ = 0;
  TileCost cost_;
};

}  // namespace

TileCost TimeTiles(const ChipDesign& design, const Tiling& tiling, std::span<const Stall> stalls,
                   std::span<const Stall> output_stalls) {
  TileCost cost;
  if (design.host == HostInterface::kNone) {
    EDGEWISE_CHECK(stalls.empty());
    cost = TimeFree(design, tiling);
  } else if (design.host == HostInterface::kAxiLite) {
    cost = BusTimer(design, tiling, stalls).Run();
  } else if (IsStreaming(design)) {
    cost = TimeStream(design, tiling, stalls, output_stalls);
  } else {
    cost = BufferedTimer(design, tiling, stalls).Run();
  }
  cost.useful_macs = tiling.product.m * tiling.product.n * tiling.product.k;
  return cost;
}

}  // namespace edgewise::chip
