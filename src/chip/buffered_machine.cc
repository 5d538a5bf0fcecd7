#include "chip/buffered_machine.h"

#include <algorithm>
#include <vector>

#include "chip/buffered_array.h"
#include "chip/load_engine.h"
#include "chip/lower.h"
#include "chip/stream_parts.h"

namespace edgewise::chip {
namespace {

enum Component : uint32_t { kLoader, kScratchpad, kWeights, kArray, kDrain, kComponents };

// A tiling as loads and steps, with what each must wait for.
struct BufferedPlan {
  BufferedPlan(const ChipDesign& design, const Tiling& tiling, uint64_t chunk_rows, uint64_t a_slots,
               uint64_t w_slots);

  std::vector<BufferedLoad> loads;
  std::vector<BufferedStep> steps;
  std::vector<uint64_t> outputs;  // per output tile: steps that must have ended before it drains
  uint64_t result_rows = 0;
};

BufferedPlan::BufferedPlan(const ChipDesign& design, const Tiling& tiling, uint64_t chunk_rows,
                           uint64_t a_slots, uint64_t w_slots) {
  std::vector<uint64_t> a_used;  // per load of A: steps up to the last that reads it
  ForEachRound(design, tiling, [&](const Round& round) {
    const TileStep& tile = round.steps.front();
    if (tile.load_a) {
      const uint64_t block = a_used.size();
      loads.push_back({.first_row = block % a_slots * chunk_rows,
                       .beats = tiling.ChunkSize(round.chunk),
                       .computes = block < a_slots ? 0 : a_used[block - a_slots]});
      a_used.push_back(0);
    }
    if (tile.compute) {
      const uint64_t step = steps.size(), w_row = step % w_slots * design.depth;
      if (tile.load_w) {
        loads.push_back({.weights = true,
                         .first_row = w_row,
                         .beats = design.depth,
                         .computes = step < w_slots ? 0 : step + 1 - w_slots});
      }
      const uint64_t output = outputs.size();
      steps.push_back({.rows = round.rows,
                       .a_row = (a_used.size() - 1) % a_slots * chunk_rows + round.k_step * design.depth -
                                tiling.ChunkBegin(round.chunk),
                       .w_row = w_row,
                       .sums_slot = static_cast<uint32_t>(output % w_slots),
                       .first = tile.first,
                       .last = false,
                       .loads = loads.size(),
                       .drains = output < w_slots ? 0 : output + 1 - w_slots,
                       .cycles = ComputeCycles(design, tiling, tile.column_tile, round.k_step, round.rows)});
      a_used.back() = steps.size();
    }
    if (tile.read) {
      steps.back().last = true;
      outputs.push_back(steps.size());
      result_rows += round.rows;
    }
  });
}

template <template <typename> class Array, typename T>
class BufferedMachineOf final : public BufferedMachine {
 public:
  explicit BufferedMachineOf(const ChipDesign& design)
      : design_(design),
        slots_(design.double_buffer ? 2 : 1),
        lanes_(design.cols * design.arrays),
        loader_(design),
        weights_(uint64_t{slots_} * design.depth, lanes_),
        array_(design, slots_),
        drain_(lanes_, (lanes_ * 4 + design.bus_bytes - 1) / design.bus_bytes),
        beat_(std::max(design.rows, lanes_)) {}

  Outcome Run(const Tiling& tiling, const Integers& a, const Integers& w, std::span<const Stall> stalls,
              Simulation& simulation) override;

 private:
  // What is between the components during a cycle.
  struct Wires {
    bool delivers = false, to_weights = false;
    uint32_t row = 0;
    bool starts = false, computes = false;
    uint32_t drained_rows = 0;  // > 0: an output tile begins to leave
    uint32_t drained_slot = 0;
  };
  struct State {
    uint64_t computed = 0;  // steps that have ended
    bool computing = false;
  };

  void Tick(TickOrder& order);
  void Settle();
  void TickComponent(uint32_t component);
  void Trace(const TraceHook& hook, uint64_t cycle);

  const ChipDesign design_;
  const uint32_t slots_, lanes_;
  LoadEngine loader_;
  Scratchpad<T> scratchpad_{0, 1}, weights_;
  Array<T> array_;
  Drain drain_;
  State now_, next_;
  Wires wires_;
  std::vector<T> beat_;  // that is delivered
  const BufferedPlan* plan_ = nullptr;
  std::span<const Beat> beats_;
  uint64_t drained_slot_ = 0;
  TraceLane load_lane_{"load"}, array_lane_{"array"}, drain_lane_{"drain"};
};

template <template <typename> class Array, typename T>
Outcome BufferedMachineOf<Array, T>::Run(const Tiling& tiling, const Integers& a, const Integers& w,
                                         std::span<const Stall> stalls, Simulation& simulation) {
  const std::vector<Beat> beats = LowerToStream(design_, tiling, a, w);
  const uint64_t depth = design_.depth, chunk_rows = (tiling.k_chunk + depth - 1) / depth * depth;
  const uint64_t block_bits = tiling.k_chunk * design_.rows * ActivationBits(design_.datapath);
  const bool two_blocks =
      design_.scratch_ports >= 2 && 2 * block_bits <= design_.scratch_words * design_.scratch_word_bits;
  const uint64_t a_slots = two_blocks ? 2 : 1;
  const BufferedPlan plan(design_, tiling, chunk_rows, a_slots, slots_);
  plan_ = &plan;
  beats_ = beats;
  scratchpad_ = Scratchpad<T>(a_slots * chunk_rows, design_.rows);
  TickOrder order(kComponents);
  order.Shuffle(simulation.shuffle_seed);
  array_.ResetCounters();
  now_ = {};

  uint64_t cycles = 0;
  loader_.Begin(plan.loads, stalls);
  drain_.Begin(plan.result_rows, {});
  while (drain_.tiles() < plan.outputs.size()) {
    ++cycles;
    Tick(order);
    if (simulation.trace) Trace(simulation.trace, cycles);
  }

  if (simulation.trace) {
    for (TraceLane* lane : {&load_lane_, &array_lane_, &drain_lane_})
      lane->Finish(simulation.trace, cycles + 1);
  }
  SimCounters& counters = simulation.counters = {};
  counters.cycles = cycles;
  counters.accepted = loader_.beat();
  for (const Beat& beat : beats) counters.bytes_in += beat.bytes.size();
  counters.bytes_out = drain_.results().size() * 4;
  array_.Count(counters);
  return {drain_.results(), cycles};
}

template <template <typename> class Array, typename T>
void BufferedMachineOf<Array, T>::Tick(TickOrder& order) {
  // 1. The wires settle: what arrives, whether a step can start, whether sums can leave.
  Settle();

  // 2. All components work out their next state, in any order.
  for (const uint32_t component : order.Next()) TickComponent(component);

  // 3. The clock edge.
  loader_.Commit();
  scratchpad_.Commit();
  weights_.Commit();
  array_.Commit();
  drain_.Commit();
  now_ = next_;
}

template <template <typename> class Array, typename T>
void BufferedMachineOf<Array, T>::Settle() {
  wires_ = {};
  if (loader_.Delivers(now_.computed)) {
    wires_.delivers = true;
    wires_.to_weights = loader_.load().weights;
    wires_.row = static_cast<uint32_t>(loader_.row());
    Unpack(beats_[loader_.beat()].bytes.data(), wires_.to_weights ? lanes_ : design_.rows,
           wires_.to_weights ? WeightBits(design_.datapath) : ActivationBits(design_.datapath), beat_.data());
  }

  if (now_.computed < plan_->steps.size()) {
    const BufferedStep& step = plan_->steps[now_.computed];
    wires_.starts =
        !now_.computing && loader_.loads() >= step.loads && (!step.first || drain_.tiles() >= step.drains);
    wires_.computes = now_.computing || wires_.starts;
  }

  const uint64_t tile = drain_.tiles();
  if (!drain_.busy() && tile < plan_->outputs.size() && now_.computed >= plan_->outputs[tile]) {
    const BufferedStep& step = plan_->steps[plan_->outputs[tile] - 1];
    wires_.drained_rows = step.rows;
    drained_slot_ = step.sums_slot;
  }
}

template <template <typename> class Array, typename T>
void BufferedMachineOf<Array, T>::TickComponent(uint32_t component) {
  switch (component) {
    case kLoader: loader_.Tick(now_.computed); break;
    case kScratchpad:
      scratchpad_.Tick(wires_.row, wires_.delivers && !wires_.to_weights ? beat_.data() : nullptr);
      break;
    case kWeights:
      weights_.Tick(wires_.row, wires_.delivers && wires_.to_weights ? beat_.data() : nullptr);
      break;
    case kArray:
      next_ = now_;
      if (wires_.computes) {
        const BufferedStep& step = plan_->steps[now_.computed];
        if (wires_.starts) array_.Start(step, scratchpad_, weights_);
        next_.computing = !array_.Tick(step, scratchpad_, weights_);
        next_.computed += !next_.computing;
      }
      break;
    case kDrain:
      drain_.Tick(wires_.drained_rows, wires_.drained_rows > 0,
                  array_.sums(static_cast<uint32_t>(drained_slot_)));
      break;
  }
}

template <template <typename> class Array, typename T>
void BufferedMachineOf<Array, T>::Trace(const TraceHook& hook, uint64_t cycle) {
  load_lane_.Update(hook, !wires_.delivers ? nullptr : wires_.to_weights ? "load W" : "load A", cycle);
  array_lane_.Update(hook, wires_.computes ? "compute" : nullptr, cycle);
  drain_lane_.Update(hook, drain_.sending() ? "results" : nullptr, cycle);
}

template <template <typename> class Array>
std::unique_ptr<BufferedMachine> MakeOf(const ChipDesign& design) {
  if (design.datapath == Datapath::kInt32) return std::make_unique<BufferedMachineOf<Array, int32_t>>(design);
  return std::make_unique<BufferedMachineOf<Array, int16_t>>(design);
}

}  // namespace

std::unique_ptr<BufferedMachine> MakeBufferedMachine(const ChipDesign& design) {
  return design.kind == ArrayKind::kWeightStationary ? MakeOf<WeightStationaryArray>(design)
                                                     : MakeOf<LockstepArray>(design);
}

}  // namespace edgewise::chip
