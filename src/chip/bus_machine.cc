#include "chip/bus_machine.h"

#include <bit>

#include "base/error.h"

namespace edgewise::chip {
namespace {

constexpr uint32_t kHostComponent = 0, kSlaveComponent = 1, kFirstArray = 2;
constexpr uint32_t kWordBytes = 4;

}  // namespace

BusHost::BusHost(const ChipDesign& design)
    : write_cycles_(design.write_cycles),
      read_cycles_(design.read_cycles),
      control_cycles_(design.control_cycles),
      map_(MapOf(design)) {}

void BusHost::Begin(std::span<const BusOp> program, std::span<const Stall> stalls) {
  program_ = program;
  stalls_ = StallCursor(stalls);
  size_t reads = 0;
  for (const BusOp& op : program) reads += op.kind == BusOp::Kind::kRead;
  results_.clear();
  results_.reserve(reads);
  now_ = {};
  Fetch(now_);
}

void BusHost::Tick(bool accepted, uint32_t read_data) {
  next_ = now_;
  switch (now_.phase) {
    case Phase::kWait:
      if (--next_.wait == 0) {
        next_.phase = now_.index < program_.size() ? Phase::kOffer : Phase::kFinished;
      }
      return;
    case Phase::kOffer:
      if (!accepted) return;
      next_.phase = Phase::kTransfer;
      next_.wait = CyclesOf(program_[now_.index]) - 1;
      if (next_.wait > 0) return;
      break;
    case Phase::kTransfer:
      if (--next_.wait > 0) return;
      break;
    case Phase::kFinished: return;
  }
  if (program_[now_.index].kind == BusOp::Kind::kRead) results_.push_back(read_data);
  ++next_.index;
  Fetch(next_);
}

// Looks for the next transaction from state.index on, and how long it must wait.
void BusHost::Fetch(State& state) {
  state.wait = 0;
  for (; state.index < program_.size(); ++state.index) {
    state.wait += stalls_.Before(state.index);
    const BusOp& op = program_[state.index];
    if (op.kind != BusOp::Kind::kIdle) break;
    state.wait += op.data;
  }
  state.phase = state.wait > 0                  ? Phase::kWait
                : state.index < program_.size() ? Phase::kOffer
                                                : Phase::kFinished;
}

uint32_t BusHost::CyclesOf(const BusOp& op) const {
  if (op.kind == BusOp::Kind::kRead) return read_cycles_;
  return (op.address & (map_.unit_stride - 1)) >= map_.control ? control_cycles_ : write_cycles_;
}

BusMachine::BusMachine(const ChipDesign& design)
    : map_(MapOf(design)),
      unit_shift_(static_cast<uint32_t>(std::countr_zero(map_.unit_stride))),
      window_shift_(static_cast<uint32_t>(std::countr_zero(map_.b))),
      interlocked_(HasInterlock(design)),
      host_(design),
      arrays_(design.arrays, SequentialArray(design)) {}

Outcome BusMachine::Run(std::span<const BusOp> program, std::span<const Stall> stalls,
                        Simulation& simulation) {
  TickOrder order(kFirstArray + static_cast<uint32_t>(arrays_.size()));
  order.Shuffle(simulation.shuffle_seed);
  for (SequentialArray& array : arrays_) array.ResetCounters();
  accepted_ = refused_ = writes_ = 0;

  uint64_t cycles = 0;
  host_.Begin(program, stalls);
  while (!host_.finished()) {
    if (simulation.skips()) {
      const uint64_t quiet = QuietEdges();
      if (quiet > 0) Skip(quiet);
      const uint64_t skipped = quiet + PlayWrites();
      cycles += skipped;
      if (skipped > 0) continue;
    }
    ++cycles;
    Tick(order);
    if (simulation.trace) Trace(simulation.trace, cycles);
  }

  if (simulation.trace) {
    bus_lane_.Finish(simulation.trace, cycles + 1);
    array_lane_.Finish(simulation.trace, cycles + 1);
  }
  SimCounters& counters = simulation.counters = {};
  counters.cycles = cycles;
  counters.accepted = accepted_;
  counters.refused = refused_;
  counters.bytes_in = writes_ * kWordBytes;
  counters.bytes_out = host_.results().size() * kWordBytes;
  SequentialArray::Count(arrays_, counters);
  return {host_.results(), cycles};
}

void BusMachine::Tick(TickOrder& order) {
  // 1. The bus settles: what the host offers, where it goes, whether it is accepted.
  Settle();
  accepted_ += wires_.accepted;
  writes_ += wires_.lands;
  refused_ += wires_.offered && !wires_.accepted;

  // 2. Host, slave and arrays work out their next state, in any order.
  for (const uint32_t component : order.Next()) TickComponent(component);

  // 3. The clock edge.
  host_.Commit();
  slave_.Commit();
  for (SequentialArray& array : arrays_) array.Commit();
}

// Unit, window, word. Windows larger than their memory repeat it.
inline BusMachine::Target BusMachine::Decode(uint32_t address) const {
  using Memory = SequentialArray::Memory;
  Target target{.unit = address >> unit_shift_};
  if (target.unit >= arrays_.size()) return target;
  const SequentialArray& array = arrays_[target.unit];
  const uint32_t offset = address & (map_.unit_stride - 1);
  if (offset == map_.control) {
    target.memory = Memory::kControl;
  } else if (offset == map_.status) {
    target.memory = Memory::kStatus;
  } else if (offset < map_.control) {
    const auto memory = static_cast<Memory>(offset >> window_shift_);
    target.index = offset & (std::bit_ceil(array.words(memory)) - 1);
    if (target.index < array.words(memory)) target.memory = memory;
  }
  return target;
}

void BusMachine::Settle() {
  using Memory = SequentialArray::Memory;
  wires_ = {};
  wires_.op = host_.offer();
  wires_.offered = wires_.op != nullptr;
  if (!wires_.offered) wires_.op = host_.transfer();
  if (wires_.op == nullptr) return;

  // 1. The address.
  const BusOp& op = *wires_.op;
  const bool writes = op.kind == BusOp::Kind::kWrite;
  const Target target = wires_.target = Decode(op.address);
  if (target.unit >= arrays_.size()) {
    wires_.accepted = wires_.offered;
    return;
  }
  const SequentialArray& array = arrays_[target.unit];

  // 2. Chips that interlock answer only reads of STATUS while the unit is busy.
  const bool blocked = interlocked_ && array.busy() && (writes || target.memory != Memory::kStatus);
  wires_.accepted = wires_.offered && !blocked;
  if (wires_.offered && blocked) wires_.refused_by = &array;

  // 3. A write lands, or a read finds its word.
  wires_.lands = writes && (wires_.accepted || !wires_.offered) && host_.ends();
  if (!writes && wires_.accepted) wires_.read_data = array.Read(target.memory, target.index);
}

void BusMachine::TickComponent(uint32_t component) {
  const bool reads = wires_.accepted && wires_.op->kind == BusOp::Kind::kRead;
  if (component == kHostComponent) {
    // A read of a single cycle takes its data from the wires, before the slave has it.
    host_.Tick(wires_.accepted, reads ? wires_.read_data : slave_.read_data());
  } else if (component == kSlaveComponent) {
    slave_.Tick(reads, wires_.read_data);
  } else {
    const uint32_t unit = component - kFirstArray;
    SequentialArray::Write write;
    const Target& target = wires_.target;
    if (wires_.lands && target.unit == unit) write = {target.memory, target.index, wires_.op->data};
    arrays_[unit].Tick(write);
  }
}

// The host waits, a transfer takes its time, or what is offered was refused and the unit stays busy.
uint64_t BusMachine::QuietEdges() const {
  const uint64_t host = host_.QuietEdges();
  if (host != kNever) return host;
  return wires_.refused_by == nullptr ? 0 : wires_.refused_by->BusyEdges();
}

void BusMachine::Skip(uint64_t edges) {
  if (host_.offer() != nullptr) refused_ += edges;
  host_.Skip(edges);
  for (SequentialArray& array : arrays_) array.Skip(edges);
}

// Words for A and B of units at rest, one an edge: no other component sees them before the unit is started.
// Returns how many.
uint64_t BusMachine::PlayWrites() {
  uint64_t edges = 0;
  for (const BusOp* op = host_.offer(); op != nullptr; op = host_.offer(), ++edges) {
    if (op->kind != BusOp::Kind::kWrite || !host_.ends()) break;
    const Target target = Decode(op->address);
    if (target.unit >= arrays_.size() || !arrays_[target.unit].TakesAtOnce(target.memory)) break;
    arrays_[target.unit].WriteAtOnce(target.memory, target.index, op->data);
    host_.PassWrite();
  }
  if (edges == 0) return 0;
  wires_ = {};
  accepted_ += edges;
  writes_ += edges;
  for (SequentialArray& array : arrays_) array.Skip(edges);
  return edges;
}

void BusMachine::Trace(const TraceHook& hook, uint64_t cycle) {
  using Memory = SequentialArray::Memory;
  const char* activity = nullptr;
  if (wires_.op != nullptr) {
    switch (wires_.target.memory) {
      case Memory::kA: activity = "write A"; break;
      case Memory::kB: activity = "write B"; break;
      case Memory::kC: activity = "read C"; break;
      case Memory::kControl: activity = "control"; break;
      case Memory::kStatus: activity = "status"; break;
      case Memory::kUnmapped: activity = "unmapped"; break;
    }
    if (wires_.offered && !wires_.accepted) activity = "wait for array";
  }
  bus_lane_.Update(hook, activity, cycle);
  bool computes = false;
  for (const SequentialArray& array : arrays_) computes = computes || array.computing();
  array_lane_.Update(hook, computes ? "compute" : nullptr, cycle);
}

}  // namespace edgewise::chip
