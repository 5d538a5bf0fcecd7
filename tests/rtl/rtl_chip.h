// The chips' RTL (rtl/), verilated, behind the same programs as the simulators in src/chip.
//
// A chip is reset when it is made; its state then lives from one Run to the next, and each Run counts its
// edges from 1. Inputs change between edges; what a function calls "at an edge" is what was to be seen just
// before it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "chip/program.h"

namespace edgewise::chip {

struct BusInputs {
  uint32_t awaddr = 0, wdata = 0, wstrb = 0xF, araddr = 0;
  bool awvalid = false, wvalid = false, arvalid = false, bready = true, rready = true;
};

struct BusOutputs {
  bool awready, wready, arready, bvalid, rvalid, busy, done;
  uint32_t bresp, rresp, rdata;
};

inline constexpr uint32_t kOkay = 0, kSlaveError = 2;

class RtlBusChip {
 public:
  virtual ~RtlBusChip() = default;
  // Applies the inputs, returns the outputs at the next edge and passes it.
  virtual BusOutputs Edge(const BusInputs& in) = 0;
  // A master as src/chip/program.h describes: AW and W together, bready and rready always high.
  Outcome Run(std::span<const BusOp> program, std::span<const Stall> stalls = {});
  // SLVERR responses that Run has met since the chip was made; a write's comes at the edge after it.
  uint64_t errors() const { return errors_; }

 private:
  BusOutputs CountedEdge(const BusInputs& in);

  uint64_t errors_ = 0, edges_ = 0;
};

struct StreamInputs {
  std::span<const uint8_t> beat;  // offered unless empty
  bool out_ready = false;
};

struct StreamOutputs {
  bool in_ready, out_valid, out_last, error;
};

class RtlStreamChip {
 public:
  virtual ~RtlStreamChip() = default;
  // What is to be seen before the next edge; no output depends on this edge's inputs.
  virtual StreamOutputs Outputs() const = 0;
  virtual std::span<const uint32_t> OutRow() const = 0;
  virtual void Edge(const StreamInputs& in) = 0;
  // Offers the beats and takes the rows until both have ended; `out_stalls` hold back output rows, by number,
  // from the edge at which each is first valid. Throws std::runtime_error when the chip raises `error`.
  Outcome Run(std::span<const Beat> program, std::span<const Stall> stalls = {},
              std::span<const Stall> out_stalls = {});
  // The edges of the last Run at which each beat was accepted and each row delivered.
  const std::vector<uint64_t>& accepted() const { return accepted_; }
  const std::vector<uint64_t>& delivered() const { return delivered_; }

 private:
  std::vector<uint64_t> accepted_, delivered_;
};

// With a file name the chip writes a VCD trace there (throws std::runtime_error unless built with
// EDGEWISE_RTL_TRACE).
std::unique_ptr<RtlBusChip> MakeRtlCompact(const std::string& vcd = "");
std::unique_ptr<RtlBusChip> MakeRtlCompact16Mac(const std::string& vcd = "");
std::unique_ptr<RtlStreamChip> MakeRtlSystolic(const std::string& vcd = "");

inline constexpr int kArray = 8;           // N of all three
inline constexpr int kScratchRows = 2048;  // S of the systolic one

}  // namespace edgewise::chip
