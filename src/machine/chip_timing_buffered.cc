// Arrays that hold weight tiles in buffers filled by a DMA (weight-stationary, sequential). One channel loads
// A and W in program order; a load waits until its target is free, and pays the memory's latency when it had
// to; a tile computes when its load and the tile before have ended, and, when it begins an output tile, when
// that output buffer has drained.
//
// This is a max-plus recurrence over tiles whose rule repeats: k tile after k tile, column tile after column
// tile, row block after row block. Only differences of times decide what happens next, and they are bounded,
// so the state comes back after a few rounds, and from then on every period adds the same. Repeat() finds the
// period and takes all its repetitions in one step: exact, and as fast as a formula, which exists only when
// drains never hold the array up.
#include <algorithm>
#include <array>
#include <vector>

#include "base/error.h"
#include "machine/chip_timing.h"

namespace edgewise {
namespace {

struct State {
  // Edges at which things end or become free. Of buffers the one that is used next comes first.
  uint64_t load_end = 0, compute_end = 0, drain_end = 0;
  std::array<uint64_t, 2> weights = {}, outputs = {}, a_blocks = {};
  bool first = true;  // nothing was loaded yet
  ChipPhases phases;

  // Whether what follows is the same. A buffer that has been free for long is as good as one that is just
  // free.
  bool SameFuture(const State& other) const {
    const auto relative = [](const State& s) {
      const auto after = [](uint64_t time, uint64_t base) { return std::max(time, base) - base; };
      const uint64_t base = std::min(s.load_end, s.compute_end);
      return std::array<uint64_t, 9>{
          s.load_end - base,
          s.compute_end - base,
          after(s.drain_end, s.compute_end),
          after(s.weights[0], s.load_end),
          after(s.weights[1], s.load_end),
          after(s.outputs[0], s.compute_end),
          after(s.outputs[1], s.compute_end),
          after(s.a_blocks[0], s.load_end),
          after(s.a_blocks[1], s.load_end)};
    };
    return first == other.first && relative(*this) == relative(other);
  }
};

// `times` times all that happened between `from` and `s` happens again.
void Advance(State& s, const State& from, uint64_t times) {
  const uint64_t shift = (s.compute_end - from.compute_end) * times;
  for (uint64_t* time : {&s.load_end, &s.compute_end, &s.drain_end, &s.weights[0], &s.weights[1],
                         &s.outputs[0], &s.outputs[1], &s.a_blocks[0], &s.a_blocks[1]}) {
    *time += shift;
  }
  s.phases.load += (s.phases.load - from.phases.load) * times;
  s.phases.compute += (s.phases.compute - from.phases.compute) * times;
  s.phases.drain += (s.phases.drain - from.phases.drain) * times;
  s.phases.stall += (s.phases.stall - from.phases.stall) * times;
}

// f(state) `count` times.
template <typename F>
void Repeat(uint64_t count, State& state, F&& f) {
  constexpr size_t kLongestPeriod = 16;
  std::vector<State> past;
  while (count > 0) {
    past.push_back(state);
    if (past.size() > kLongestPeriod) past.erase(past.begin());
    f(state);
    --count;
    const auto same = std::find_if(past.rbegin(), past.rend(),
                                   [&](const State& s) { return state.SameFuture(s); });
    if (same == past.rend()) continue;
    const uint64_t period = static_cast<uint64_t>(same - past.rbegin()) + 1;
    Advance(state, *same, count / period);
    count %= period;
    past.clear();
  }
}

class BufferedTiming {
 public:
  BufferedTiming(const ChipDesign& design, const TileGrid& g)
      : design_(design),
        g_(g),
        chunk_(ScratchColumns(design, g)),
        chunks_((g.k + chunk_ - 1) / chunk_),
        a_cycles_(BeatCycles(design, ActivationBeatBytes(design))),
        w_cycles_(BeatCycles(design, WeightBeatBytes(design))),
        row_cycles_(ResultRowCycles(design, g)) {
    const uint64_t chunk_bits = chunk_ * g.rows * ActivationBits(design.datapath);
    const Wide scratch_bits = Wide{design.scratch_words} * design.scratch_word_bits;
    two_a_blocks_ = design.scratch_ports >= 2 && 2 * Wide{chunk_bits} <= scratch_bits;
  }

  State Run() {
    CheckFits();
    State state;
    Repeat(g_.row_blocks - 1, state, [&](State& s) { RowBlock(s, g_.rows); });
    RowBlock(state, g_.last_rows());
    state.phases.drain += state.drain_end - state.compute_end;
    return state;
  }

  uint64_t a_columns() const {  // loaded in all
    return Narrow(Wide{g_.k} * g_.row_blocks * (chunks_ == 1 ? 1 : g_.column_tiles));
  }

 private:
  // No tile takes longer than all its parts one after the other.
  void CheckFits() const {
    const Wide tile = Wide{2} * design_.latency_cycles + Wide{g_.depth} * w_cycles_ +
                      TileCycles(design_, g_.rows) + g_.rows * row_cycles_;
    Narrow(tile * g_.tiles() + Wide{a_columns()} * a_cycles_);
  }

  void RowBlock(State& s, uint64_t rows) {
    if (chunks_ > 1) {
      Repeat(g_.column_tiles, s, [&](State& t) { Output(t, rows, true); });
      return;
    }
    Output(s, rows, true);
    Repeat(g_.column_tiles - 1, s, [&](State& t) { Output(t, rows, false); });
  }

  // All k tiles of an output tile; A comes with the first tile of each chunk, or not at all.
  void Output(State& s, uint64_t rows, bool with_a) {
    Chunk(s, rows, std::min(chunk_, g_.k), with_a, true);
    if (chunks_ > 1) {
      Repeat(chunks_ - 2, s, [&](State& t) { Chunk(t, rows, chunk_, with_a, false); });
      Chunk(s, rows, g_.k - (chunks_ - 1) * chunk_, with_a, false);
    }
    s.drain_end = std::max(s.compute_end, s.drain_end) + rows * row_cycles_;
    Use(s.outputs, s.drain_end, design_.double_buffer);
  }

  void Chunk(State& s, uint64_t rows, uint64_t columns, bool with_a, bool first_of_output) {
    if (with_a) LoadA(s, columns);
    Tile(s, rows, first_of_output);
    Repeat((columns - 1) / g_.depth, s, [&](State& t) { Tile(t, rows, false); });
  }

  void LoadA(State& s, uint64_t columns) {
    if (two_a_blocks_) std::swap(s.a_blocks[0], s.a_blocks[1]);
    late_ = Load(s, columns * a_cycles_, s.a_blocks[0]);
  }

  void Tile(State& s, uint64_t rows, bool first_of_output) {
    const uint64_t late = late_ + Load(s, g_.depth * w_cycles_, s.weights[0]);
    late_ = 0;
    const uint64_t loaded = std::max(s.load_end, s.compute_end);
    const uint64_t start = first_of_output ? std::max(loaded, s.outputs[0]) : loaded;
    const uint64_t stalled = std::min(late, loaded - s.compute_end);
    const uint64_t cycles = TileCycles(design_, rows);
    s.phases.stall += stalled;
    s.phases.load += loaded - s.compute_end - stalled;
    s.phases.drain += start - loaded;
    s.phases.compute += cycles;
    s.compute_end = start + cycles;
    Use(s.weights, s.compute_end, design_.double_buffer);
    s.a_blocks[0] = s.compute_end;  // the block in use comes first
  }

  // Returns the latency that it paid.
  uint64_t Load(State& s, uint64_t cycles, uint64_t free) const {
    const uint64_t late = s.first || free > s.load_end ? design_.latency_cycles : 0;
    s.first = false;
    s.load_end = std::max(s.load_end, free) + late + cycles;
    return late;
  }

  // The first buffer is in use until `free`; with two the other is next.
  static void Use(std::array<uint64_t, 2>& buffers, uint64_t free, bool two) {
    buffers[0] = free;
    if (two) std::swap(buffers[0], buffers[1]);
  }

  const ChipDesign& design_;
  const TileGrid& g_;
  const uint64_t chunk_, chunks_, a_cycles_, w_cycles_, row_cycles_;
  bool two_a_blocks_ = false;
  uint64_t late_ = 0;  // latency of the A load that comes before the next tile
};

}  // namespace

void TimeBuffered(const ChipDesign& design, const TileGrid& g, ChipCost& cost) {
  BufferedTiming timing(design, g);
  const State end = timing.Run();
  cost.cycles = end.drain_end;
  cost.phases = end.phases;
  cost.tiles = g.tiles();
  cost.traffic.activations = Narrow(Wide{timing.a_columns()} * ActivationBeatBytes(design));
  cost.traffic.weights = Narrow(Wide{g.tiles()} * g.depth * WeightBeatBytes(design));
  cost.traffic.results = Narrow(Wide{g.m} * g.cols * g.column_tiles * 4);
  const Wide tile_columns = Wide{g.column_tiles} * g.k_tiles * g.depth;
  if (design.kind == ArrayKind::kSequential) {
    cost.padded_macs = g.tiles() * g.rows * g.cols * g.depth;
    return;
  }
  // Only real rows stream through a weight-stationary array. Each step reads its columns of A and adds to the
  // sums of its outputs.
  cost.padded_macs = Narrow(tile_columns * g.m * g.cols);
  const double a_reads = static_cast<double>(tile_columns * g.m) * ActivationBits(design.datapath) / 8;
  const double sums = 2.0 * 4 * static_cast<double>(Wide{g.column_tiles} * g.k_tiles * g.m * g.cols);
  cost.scratch_bytes = static_cast<double>(cost.traffic.activations) + a_reads + sums;
}

}  // namespace edgewise
