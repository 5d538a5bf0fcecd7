#include "chip/cycle_simulator.h"

#include <optional>
#include <vector>

#include "base/error.h"
#include "chip/buffered_machine.h"
#include "chip/bus_machine.h"
#include "chip/free_machine.h"
#include "chip/lower.h"
#include "chip/stream_machine.h"

namespace edgewise::chip {

// The one that the design is.
struct CycleSimulator::Machines {
  std::optional<BusMachine> bus;
  std::optional<FreeMachine> free;
  std::unique_ptr<StreamMachine> stream;
  std::unique_ptr<BufferedMachine> buffered;
};

CycleSimulator::CycleSimulator(const ChipDesign& design, Detail detail)
    : design_(design), machines_(std::make_unique<Machines>()) {
  CheckDesign(design);
  simulation_.detail = detail;
  switch (design.host) {
    case HostInterface::kNone: machines_->free.emplace(design); break;
    case HostInterface::kAxiLite: machines_->bus.emplace(design); break;
    case HostInterface::kDma:
      if (IsStreaming(design)) {
        machines_->stream = MakeStreamMachine(design, detail);
      } else {
        machines_->buffered = MakeBufferedMachine(design);
      }
      break;
  }
}

CycleSimulator::~CycleSimulator() = default;
CycleSimulator::CycleSimulator(CycleSimulator&&) noexcept = default;

Outcome CycleSimulator::RunBus(std::span<const BusOp> program, std::span<const Stall> stalls) {
  EDGEWISE_CHECK(machines_->bus);
  return machines_->bus->Run(program, stalls, simulation_);
}

Outcome CycleSimulator::RunStream(std::span<const Beat> program, std::span<const Stall> stalls,
                                  std::span<const Stall> output_stalls) {
  EDGEWISE_CHECK(machines_->stream != nullptr);
  return machines_->stream->Run(program, stalls, output_stalls, simulation_);
}

Outcome CycleSimulator::Run(const Tiling& tiling, const Integers& a, const Integers& w,
                            std::span<const Stall> stalls) {
  if (machines_->bus) return RunBus(LowerToBus(design_, tiling, a, w), stalls);
  if (machines_->stream != nullptr) return RunStream(LowerToStream(design_, tiling, a, w), stalls);
  if (machines_->buffered != nullptr) return machines_->buffered->Run(tiling, a, w, stalls, simulation_);
  return machines_->free->Run(tiling, a, w, simulation_);
}

}  // namespace edgewise::chip
