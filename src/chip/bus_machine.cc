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
  next_ = {};
  Fetch();
  now_ = next_;
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
  Fetch();
}

// Looks for the next transaction from next_.index on, and how long it must wait.
void BusHost::Fetch() {
  next_.wait = 0;
  for (; next_.index < program_.size(); ++next_.index) {
    next_.wait += stalls_.Before(next_.index);
    const BusOp& op = program_[next_.index];
    if (op.kind != BusOp::Kind::kIdle) break;
    next_.wait += op.data;
  }
  next_.phase = next_.wait > 0                  ? Phase::kWait
                : next_.index < program_.size() ? Phase::kOffer
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

void BusMachine::Settle() {
  using Memory = SequentialArray::Memory;
  wires_ = {.op = host_.offer(), .offered = host_.offer() != nullptr};
  if (!wires_.offered) wires_.op = host_.transfer();
  if (wires_.op == nullptr) return;

  // 1. The address: unit, window, word. Windows larger than their memory repeat it.
  const BusOp& op = *wires_.op;
  const bool writes = op.kind == BusOp::Kind::kWrite;
  const uint32_t offset = op.address & (map_.unit_stride - 1);
  wires_.unit = op.address >> unit_shift_;
  if (wires_.unit >= arrays_.size()) {
    wires_.accepted = wires_.offered;
    return;
  }
  const SequentialArray& array = arrays_[wires_.unit];
  if (offset == map_.control) {
    wires_.memory = Memory::kControl;
  } else if (offset == map_.status) {
    wires_.memory = Memory::kStatus;
  } else if (offset < map_.control) {
    const auto memory = static_cast<Memory>(offset >> window_shift_);
    wires_.index = offset & (std::bit_ceil(array.words(memory)) - 1);
    if (wires_.index < array.words(memory)) wires_.memory = memory;
  }

  // 2. Chips that interlock answer only reads of STATUS while the unit is busy.
  const bool blocked = interlocked_ && array.busy() && (writes || wires_.memory != Memory::kStatus);
  wires_.accepted = wires_.offered && !blocked;

  // 3. A write lands, or a read finds its word.
  wires_.lands = writes && (wires_.accepted || !wires_.offered) && host_.ends();
  if (!writes && wires_.accepted) wires_.read_data = array.Read(wires_.memory, wires_.index);
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
    if (wires_.lands && wires_.unit == unit) write = {wires_.memory, wires_.index, wires_.op->data};
    arrays_[unit].Tick(write);
  }
}

void BusMachine::Trace(const TraceHook& hook, uint64_t cycle) {
  using Memory = SequentialArray::Memory;
  const char* activity = nullptr;
  if (wires_.op != nullptr) {
    switch (wires_.memory) {
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
