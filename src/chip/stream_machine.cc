#include "chip/stream_machine.h"

#include <algorithm>
#include <string>

#include "base/error.h"
#include "chip/stream_parts.h"
#include "chip/systolic_array.h"
#include "chip/systolic_sums.h"
#include "chip/vector_array.h"

namespace edgewise::chip {
namespace {

enum Component : uint32_t { kSource, kController, kScratchpad, kArray, kDrain, kComponents };

// What a program's beats are, and what they will give; throws for one that the chip could not follow.
struct StreamPlan {
  StreamPlan(std::span<const Beat> program, uint32_t most_rows, uint64_t scratch_rows, uint64_t a_bytes,
             uint64_t w_bytes);

  std::vector<BeatRole> roles;
  uint64_t result_rows = 0;
  uint64_t bytes = 0;
};

[[noreturn]] void Refuse(size_t beat, const std::string& what) {
  throw Error(ErrorCode::kUsage, "beat " + std::to_string(beat) + " of the stream: " + what);
}

StreamPlan::StreamPlan(std::span<const Beat> program, uint32_t most_rows, uint64_t scratch_rows,
                       uint64_t a_bytes, uint64_t w_bytes) {
  roles.reserve(program.size());
  for (size_t at = 0; at < program.size();) {
    if (program[at].bytes.size() < 8) Refuse(at, "a header has 8 bytes");
    const StreamHeader header(program[at].bytes.data());
    const bool mac = header.command == kMac;
    if (!mac && header.command != kLoadA) {
      Refuse(at, "command " + std::to_string(header.command) + " is neither 1 (load A) nor 2 (multiply)");
    }
    if (header.count == 0) Refuse(at, "it has no payload");
    if (header.base + header.count > scratch_rows) Refuse(at, "its payload exceeds the scratchpad");
    if (mac && header.last && (header.rows == 0 || header.rows > most_rows)) {
      Refuse(at, "it drains " + std::to_string(header.rows) + " rows of " + std::to_string(most_rows));
    }
    if (program.size() - at - 1 < header.count) Refuse(at, "the program ends within its payload");
    roles.push_back(BeatRole::kHeader);
    roles.insert(roles.end(), header.count, mac ? BeatRole::kWeights : BeatRole::kActivations);
    for (uint64_t end = ++at + header.count; at < end; ++at) {
      if (program[at].bytes.size() < (mac ? w_bytes : a_bytes)) Refuse(at, "it is too narrow");
    }
    if (mac && header.last) result_rows += header.rows;
  }
  for (const Beat& beat : program) bytes += beat.bytes.size();
}

template <template <typename> class Array, typename T>
class StreamMachineOf final : public StreamMachine {
 public:
  explicit StreamMachineOf(const ChipDesign& design);
  Outcome Run(std::span<const Beat> program, std::span<const Stall> stalls,
              std::span<const Stall> output_stalls, Simulation& simulation) override;

 private:
  // What is between the components during a cycle.
  struct Wires {
    bool offered = false, accepted = false;
    StreamController::View beat;
    const uint8_t* bytes = nullptr;
  };

  void Tick(TickOrder& order);
  void Settle();
  bool Accepts() const { return !(controller_.view().last && drain_.busy()); }
  void TickComponent(uint32_t component);
  uint64_t QuietEdges() const;
  void Skip(uint64_t edges);
  void Trace(const TraceHook& hook, uint64_t cycle);

  ChipDesign design_;
  uint32_t a_lanes_, w_lanes_;
  BeatSource source_;
  StreamController controller_;
  Scratchpad<T> scratchpad_;
  Array<T> array_;
  Drain drain_;
  Wires wires_;
  std::vector<T> lanes_;  // of the accepted beat
  uint64_t accepted_ = 0, refused_ = 0;
  TraceLane in_lane_{"stream in"}, out_lane_{"drain"};
};

bool IsVector(const ChipDesign& design) { return design.kind == ArrayKind::kVector; }

uint64_t ScratchRows(const ChipDesign& design, uint32_t lanes) {
  // More rows than the 2^16 + 2^16 that a header can name need no memory here.
  const uint64_t bits = uint64_t{lanes} * ActivationBits(design.datapath);
  return std::min<uint64_t>(design.scratch_words * design.scratch_word_bits / bits, 1 << 17);
}

template <template <typename> class Array, typename T>
StreamMachineOf<Array, T>::StreamMachineOf(const ChipDesign& design)
    : design_(design),
      a_lanes_(design.rows * (IsVector(design) ? design.depth : 1)),
      w_lanes_(design.cols * design.arrays * (IsVector(design) ? design.depth : 1)),
      source_(design),
      scratchpad_(ScratchRows(design, a_lanes_), a_lanes_),
      array_(design),
      // A systolic array's output port is as wide as a row of results.
      drain_(
          design.cols * design.arrays,
          IsVector(design) ? (design.cols * design.arrays * 4 + design.bus_bytes - 1) / design.bus_bytes : 1),
      lanes_(std::max(a_lanes_, w_lanes_)) {}

template <template <typename> class Array, typename T>
Outcome StreamMachineOf<Array, T>::Run(std::span<const Beat> program, std::span<const Stall> stalls,
                                       std::span<const Stall> output_stalls, Simulation& simulation) {
  const StreamPlan plan(program, design_.rows, scratchpad_.rows(), ActivationBeatBytes(design_),
                        WeightBeatBytes(design_));
  TickOrder order(kComponents);
  order.Shuffle(simulation.shuffle_seed);
  array_.ResetCounters();
  accepted_ = refused_ = 0;

  uint64_t cycles = 0;
  source_.Begin(program, plan.roles, stalls);
  drain_.Begin(plan.result_rows, output_stalls);
  while (!source_.finished() || drain_.busy()) {
    if (const uint64_t quiet = simulation.skips() ? QuietEdges() : 0; quiet > 0) {
      Skip(quiet);
      cycles += quiet;
      continue;
    }
    ++cycles;
    Tick(order);
    if (simulation.trace) Trace(simulation.trace, cycles);
  }

  if (simulation.trace) {
    in_lane_.Finish(simulation.trace, cycles + 1);
    out_lane_.Finish(simulation.trace, cycles + 1);
  }
  SimCounters& counters = simulation.counters = {};
  counters.cycles = cycles;
  counters.accepted = accepted_;
  counters.refused = refused_;
  counters.bytes_in = plan.bytes;
  counters.bytes_out = drain_.results().size() * 4;
  array_.Count(counters);
  return {drain_.results(), cycles};
}

template <template <typename> class Array, typename T>
void StreamMachineOf<Array, T>::Tick(TickOrder& order) {
  // 1. The wires settle: what is offered, what it is, whether it is accepted.
  Settle();
  accepted_ += wires_.accepted;
  refused_ += wires_.offered && !wires_.accepted;

  // 2. All components work out their next state, in any order.
  for (const uint32_t component : order.Next()) TickComponent(component);

  // 3. The clock edge.
  source_.Commit();
  controller_.Commit();
  scratchpad_.Commit();
  array_.Commit();
  drain_.Commit();
}

template <template <typename> class Array, typename T>
void StreamMachineOf<Array, T>::Settle() {
  wires_ = {source_.offers(), false, controller_.view(), nullptr};
  if (!wires_.offered) return;
  wires_.accepted = Accepts();
  if (!wires_.accepted) return;
  wires_.bytes = source_.beat();
  if (wires_.beat.role == BeatRole::kActivations) {
    Unpack(wires_.bytes, a_lanes_, ActivationBits(design_.datapath), lanes_.data());
  } else if (wires_.beat.role == BeatRole::kWeights) {
    Unpack(wires_.bytes, w_lanes_, WeightBits(design_.datapath), lanes_.data());
  }
}

template <template <typename> class Array, typename T>
void StreamMachineOf<Array, T>::TickComponent(uint32_t component) {
  const auto& beat = wires_.beat;
  const bool loads = wires_.accepted && beat.role == BeatRole::kActivations;
  const bool multiplies = wires_.accepted && beat.role == BeatRole::kWeights;
  switch (component) {
    case kSource: source_.Tick(wires_.accepted); break;
    case kController: controller_.Tick(wires_.accepted, wires_.bytes); break;
    case kScratchpad: scratchpad_.Tick(beat.scratch_row, loads ? lanes_.data() : nullptr); break;
    case kArray:
      if (multiplies) {
        array_.Tick(scratchpad_.row(beat.scratch_row), lanes_.data(), beat.first, beat.last);
      } else {
        array_.Tick(nullptr, nullptr, false, false);
      }
      break;
    case kDrain:
      drain_.Tick(multiplies && beat.last ? beat.rows : 0, array_.captured(), array_.results());
      break;
  }
}

// A beat is on its way, or refused while results leave; only the array and the drain work.
template <template <typename> class Array, typename T>
uint64_t StreamMachineOf<Array, T>::QuietEdges() const {
  if (source_.offers() && Accepts()) return 0;
  return std::min({source_.QuietEdges(), array_.QuietEdges(), drain_.QuietEdges(array_.captured())});
}

template <template <typename> class Array, typename T>
void StreamMachineOf<Array, T>::Skip(uint64_t edges) {
  if (source_.offers()) refused_ += edges;
  source_.Skip(edges);
  array_.Skip(edges);
  drain_.Skip(edges);
}

template <template <typename> class Array, typename T>
void StreamMachineOf<Array, T>::Trace(const TraceHook& hook, uint64_t cycle) {
  const char* activity = nullptr;
  if (wires_.accepted) {
    activity = wires_.beat.role == BeatRole::kHeader        ? "header"
               : wires_.beat.role == BeatRole::kActivations ? "load A"
                                                            : "multiply";
  } else if (wires_.offered) {
    activity = "wait for drain";
  }
  in_lane_.Update(hook, activity, cycle);
  out_lane_.Update(hook, drain_.sending() ? "results" : nullptr, cycle);
}

template <template <typename> class Array>
std::unique_ptr<StreamMachine> MakeOf(const ChipDesign& design) {
  if (design.datapath == Datapath::kInt32) return std::make_unique<StreamMachineOf<Array, int32_t>>(design);
  return std::make_unique<StreamMachineOf<Array, int16_t>>(design);
}

}  // namespace

std::unique_ptr<StreamMachine> MakeStreamMachine(const ChipDesign& design, Detail detail) {
  if (IsVector(design)) return MakeOf<VectorArray>(design);
  return detail == Detail::kEvents ? MakeOf<SystolicSums>(design) : MakeOf<SystolicArray>(design);
}

}  // namespace edgewise::chip
