// Any bytes as what reaches a chip's pins: bus transactions or a stream of beats, with stalls. Skipping quiet
// edges must give the results, cycles and counters of ticking at every edge, in any order of components; a
// stream that cannot be followed is an Error. Findings become cases of src/chip/cycle_simulator_test.cc.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/error.h"
#include "chip/cycle_simulator.h"

namespace edgewise::chip {
namespace {

class Bytes {
 public:
  Bytes(const uint8_t* data, size_t size) : data_(data), left_(size) {}
  bool empty() const { return left_ == 0; }
  uint8_t Next() {
    if (left_ == 0) return 0;
    --left_;
    return *data_++;
  }
  uint32_t Next2() { return Next() | uint32_t{Next()} << 8; }

 private:
  const uint8_t* data_;
  size_t left_;
};

// Small arrays, whose odd sizes pad rows of elements and repeat memories in their windows.
ChipDesign Design(Bytes& bytes) {
  const uint8_t choice = bytes.Next(), sizes = bytes.Next();
  ChipDesign design;
  design.name = "fuzzed";
  design.rows = 1 + sizes % 5;
  design.cols = 1 + sizes / 5 % 5;
  design.depth = 1 + sizes / 25 % 5;
  design.arrays = 1 + choice / 4 % 3;
  design.accumulate = true;
  if (choice % 4 < 2) {
    design.host = HostInterface::kAxiLite;
    design.accumulate = choice % 4 == 1;
    design.macs = 1 + choice / 12 % 7;
    const uint8_t timing = bytes.Next();
    design.start_cycles = timing % 4;
    design.result_cycles = timing / 4 % 4;
    design.write_cycles = 1 + timing / 16 % 2;
    design.read_cycles = 1 + timing / 32 % 3;
    if (timing >= 192) design.zero_skip = ZeroSkip::kElement;
    return design;
  }
  design.kind = choice % 4 == 2 ? ArrayKind::kOutputStationary : ArrayKind::kVector;
  design.host = HostInterface::kDma;
  design.datapath = choice >= 128 ? Datapath::kInt32 : Datapath::kInt8;
  design.bus_bytes = 1 + bytes.Next() % 64;
  design.latency_cycles = bytes.Next() % 8;
  design.scratch_words = 64;
  design.scratch_word_bits = 512;
  return design;
}

void AddStall(Bytes& bytes, uint8_t flags, uint64_t index, std::vector<Stall>& stalls) {
  if (flags >= 224) stalls.push_back({index, 1 + uint32_t{bytes.Next()}});
}

std::vector<BusOp> BusProgram(const ChipDesign& design, Bytes& bytes, std::vector<Stall>& stalls) {
  std::vector<BusOp> program;
  while (!bytes.empty()) {
    const uint8_t flags = bytes.Next();
    AddStall(bytes, flags, program.size(), stalls);
    const uint32_t address = bytes.Next2() % (design.arrays << 10);
    switch (flags % 8) {
      case 0: program.push_back({BusOp::Kind::kIdle, 0, address}); break;
      case 1:
        program.push_back({BusOp::Kind::kWrite, (address & ~0x3ffu) | kAddressControl, address & 3});
        break;
      case 2:
      case 3: program.push_back({BusOp::Kind::kRead, address}); break;
      default: program.push_back({BusOp::Kind::kWrite, address, flags * 0x01010101u});
    }
  }
  return program;
}

std::vector<Beat> Stream(const ChipDesign& design, Bytes& bytes, std::vector<Stall>& stalls,
                         std::vector<Stall>& output_stalls) {
  std::vector<Beat> program;
  const size_t width =
      std::max<size_t>(8, 4 * design.arrays * design.depth * std::max(design.rows, design.cols));
  for (uint64_t row = 0; !bytes.empty(); ++row) {
    const uint8_t flags = bytes.Next(), count = bytes.Next() % 40;
    AddStall(bytes, flags, program.size(), stalls);
    AddStall(bytes, static_cast<uint8_t>(flags << 1), row, output_stalls);
    program.push_back({{static_cast<uint8_t>(flags % 4 == 0 ? 1 : 2), static_cast<uint8_t>(flags / 4 % 4),
                        static_cast<uint8_t>(1 + flags / 16 % design.rows), 0, count, 0, bytes.Next(), 0}});
    for (uint32_t beat = 0; beat < count; ++beat) {
      program.push_back({std::vector<uint8_t>(width, bytes.Next())});
    }
  }
  return program;
}

std::optional<Outcome> Run(CycleSimulator& simulator, const ChipDesign& design, std::span<const BusOp> ops,
                           std::span<const Beat> beats, std::span<const Stall> stalls,
                           std::span<const Stall> output_stalls) {
  try {
    if (design.host == HostInterface::kAxiLite) return simulator.RunBus(ops, stalls);
    return simulator.RunStream(beats, stalls, output_stalls);
  } catch (const Error& error) {
    EDGEWISE_CHECK(error.code() == ErrorCode::kUsage);
    return std::nullopt;
  }
}

void Compare(Bytes bytes) {
  const ChipDesign design = Design(bytes);
  try {
    CheckDesign(design);
  } catch (const Error&) {
    return;
  }
  std::vector<BusOp> ops;
  std::vector<Beat> beats;
  std::vector<Stall> stalls, output_stalls;
  if (design.host == HostInterface::kAxiLite) {
    ops = BusProgram(design, bytes, stalls);
  } else {
    beats = Stream(design, bytes, stalls, output_stalls);
  }

  CycleSimulator skips(design), ticks(design, Detail::kEveryEdge);
  ticks.ShuffleTicks(1);
  for (int run = 0; run < 2; ++run) {  // the second from the state that the first has left
    const auto skipped = Run(skips, design, ops, beats, stalls, output_stalls);
    const auto ticked = Run(ticks, design, ops, beats, stalls, output_stalls);
    EDGEWISE_CHECK(skipped.has_value() == ticked.has_value());
    if (!skipped) return;
    EDGEWISE_CHECK(skipped->results == ticked->results && skipped->cycles == ticked->cycles);
    SimCounters a = skips.counters(), b = ticks.counters();
    if (!beats.empty()) a.useful = b.useful;  // a stream may end within a tile (simulation.h)
    EDGEWISE_CHECK(a == b);
  }
}

}  // namespace
}  // namespace edgewise::chip

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  edgewise::chip::Compare({data, size});
  return 0;
}
