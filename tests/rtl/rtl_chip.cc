#include "rtl_chip.h"

#include <verilated.h>

#include <cstring>
#include <stdexcept>

#include "Vcompact.h"
#include "Vcompact_16mac.h"
#include "Vsystolic.h"
#if EDGEWISE_RTL_TRACE
#include <verilated_vcd_c.h>
#endif

namespace edgewise::chip {
namespace {

// Longer than any chip here may keep an access waiting: a drain of 8 rows, each stalled, is the longest.
constexpr uint64_t kPatience = 1'000'000;

// A verilated module with its clock, its reset and perhaps a trace.
template <typename Model>
class Clocked {
 public:
  explicit Clocked(const std::string& vcd) {
    if (!vcd.empty()) {
#if EDGEWISE_RTL_TRACE
      context_.traceEverOn(true);
      model_.trace(&trace_, 99);
      trace_.open(vcd.c_str());
      tracing_ = true;
#else
      throw std::runtime_error(vcd + ": this build cannot trace; configure with -DEDGEWISE_RTL_TRACE=ON");
#endif
    }
    model_.rst_n = 0;
    Settle();
    Rise();
    model_.rst_n = 1;
    Settle();
  }
  ~Clocked() { model_.final(); }
  Clocked(const Clocked&) = delete;
  Clocked& operator=(const Clocked&) = delete;

  Model& pins() { return model_; }
  const Model& pins() const { return model_; }

  // Lets changed inputs reach everything that depends on them, between edges.
  void Settle() {
    model_.clk = 0;
    Evaluate();
  }
  void Rise() {
    model_.clk = 1;
    Evaluate();
  }

 private:
  void Evaluate() {
    model_.eval();
#if EDGEWISE_RTL_TRACE
    if (tracing_) trace_.dump(time_);
    time_ += 5;  // half of 10 ns
#endif
  }

  VerilatedContext context_;
  Model model_{&context_};
#if EDGEWISE_RTL_TRACE
  VerilatedVcdC trace_;
  uint64_t time_ = 0;
  bool tracing_ = false;
#endif
};

template <typename Model>
class BusChip : public RtlBusChip {
 public:
  explicit BusChip(const std::string& vcd) : clocked_(vcd) {}

  BusOutputs Edge(const BusInputs& in) override {
    Model& pins = clocked_.pins();
    pins.awaddr = in.awaddr;
    pins.awvalid = in.awvalid;
    pins.wdata = in.wdata;
    pins.wstrb = in.wstrb;
    pins.wvalid = in.wvalid;
    pins.bready = in.bready;
    pins.araddr = in.araddr;
    pins.arvalid = in.arvalid;
    pins.rready = in.rready;
    clocked_.Settle();
    const BusOutputs out = {.awready = pins.awready != 0,
                            .wready = pins.wready != 0,
                            .arready = pins.arready != 0,
                            .bvalid = pins.bvalid != 0,
                            .rvalid = pins.rvalid != 0,
                            .busy = pins.busy != 0,
                            .done = pins.done != 0,
                            .bresp = pins.bresp,
                            .rresp = pins.rresp,
                            .rdata = pins.rdata};
    clocked_.Rise();
    return out;
  }

 private:
  Clocked<Model> clocked_;
};

class StreamChip : public RtlStreamChip {
 public:
  explicit StreamChip(const std::string& vcd) : clocked_(vcd) {
    static_assert(sizeof(clocked_.pins().in_data) == kArray);
    static_assert(sizeof(clocked_.pins().out_data) == 4 * kArray);
  }

  StreamOutputs Outputs() const override {
    const Vsystolic& pins = clocked_.pins();
    return {.in_ready = pins.in_ready != 0,
            .out_valid = pins.out_valid != 0,
            .out_last = pins.out_last != 0,
            .error = pins.error != 0};
  }
  std::span<const uint32_t> OutRow() const override { return {clocked_.pins().out_data.data(), kArray}; }

  void Edge(const StreamInputs& in) override {
    Vsystolic& pins = clocked_.pins();
    if (!in.beat.empty() && in.beat.size() != kArray) throw std::runtime_error("a beat has 8 bytes");
    pins.in_valid = !in.beat.empty();
    if (pins.in_valid) std::memcpy(&pins.in_data, in.beat.data(), kArray);
    pins.out_ready = in.out_ready;
    clocked_.Settle();
    clocked_.Rise();
  }

 private:
  Clocked<Vsystolic> clocked_;
};

// Walks a sorted stall list: what transaction `index` has to wait. To be asked in ascending order.
class StallWalk {
 public:
  explicit StallWalk(std::span<const Stall> stalls) : left_(stalls) {}
  uint32_t Of(uint64_t index) {
    if (left_.empty() || left_.front().index != index) return 0;
    const uint32_t cycles = left_.front().cycles;
    left_ = left_.subspan(1);
    return cycles;
  }

 private:
  std::span<const Stall> left_;
};

}  // namespace

BusOutputs RtlBusChip::CountedEdge(const BusInputs& in) {
  const BusOutputs out = Edge(in);
  ++edges_;
  errors_ += (out.bvalid && out.bresp != kOkay) + (out.rvalid && out.rresp != kOkay);
  return out;
}

Outcome RtlBusChip::Run(std::span<const BusOp> program, std::span<const Stall> stalls) {
  Outcome outcome;
  StallWalk stall(stalls);
  edges_ = 0;
  for (size_t i = 0; i < program.size(); ++i) {
    const BusOp& op = program[i];
    for (uint32_t wait = stall.Of(i); wait > 0; --wait) CountedEdge({});
    const uint64_t patience_ends = edges_ + kPatience;
    const auto check_patience = [&] {
      if (edges_ >= patience_ends) throw std::runtime_error("the chip does not answer");
    };
    BusInputs in;
    switch (op.kind) {
      case BusOp::Kind::kIdle:
        for (uint32_t n = 0; n < op.data; ++n) CountedEdge({});
        break;
      case BusOp::Kind::kWrite:
        in.awaddr = op.address;
        in.wdata = op.data;
        in.awvalid = in.wvalid = true;
        while (in.awvalid || in.wvalid) {
          check_patience();
          const BusOutputs out = CountedEdge(in);
          in.awvalid = in.awvalid && !out.awready;
          in.wvalid = in.wvalid && !out.wready;
        }
        break;
      case BusOp::Kind::kRead:
        in.araddr = op.address;
        in.arvalid = true;
        while (true) {
          check_patience();
          const BusOutputs out = CountedEdge(in);
          if (!in.arvalid && out.rvalid) {
            outcome.results.push_back(out.rdata);
            break;
          }
          in.arvalid = in.arvalid && !out.arready;
        }
        break;
    }
  }
  outcome.cycles = edges_;
  return outcome;
}

Outcome RtlStreamChip::Run(std::span<const Beat> program, std::span<const Stall> stalls,
                           std::span<const Stall> out_stalls) {
  // From a last beat's acceptance to its first row: 2(N-1) + 1 edges. Nothing for longer: the chip has ended.
  constexpr uint64_t kQuiet = 2 * kArray;
  Outcome outcome;
  accepted_.clear();
  delivered_.clear();
  StallWalk stall(stalls), out_stall(out_stalls);
  uint32_t in_wait = stall.Of(0);
  uint32_t out_wait = out_stall.Of(0);
  for (uint64_t edge = 1, event = 0;; ++edge) {
    const StreamOutputs out = Outputs();
    if (out.error) throw std::runtime_error("the chip refuses a header");
    const bool offered = accepted_.size() < program.size() && in_wait == 0;
    const bool ready = out.out_valid && out_wait == 0;
    if (ready) outcome.results.insert(outcome.results.end(), OutRow().begin(), OutRow().end());
    Edge({.beat = offered ? std::span<const uint8_t>(program[accepted_.size()].bytes)
                          : std::span<const uint8_t>(),
          .out_ready = ready});
    if (offered && out.in_ready) {
      accepted_.push_back(edge);
      in_wait = stall.Of(accepted_.size());
    } else if (in_wait > 0) {
      --in_wait;
    }
    if (ready) {
      delivered_.push_back(edge);
      out_wait = out_stall.Of(delivered_.size());
    } else if (out.out_valid) {
      --out_wait;
    }
    if (ready || (offered && out.in_ready)) outcome.cycles = edge;
    // Waiting on purpose is not silence.
    if (ready || (offered && out.in_ready) || in_wait > 0 || out.out_valid) event = edge;
    if (accepted_.size() == program.size() && edge > event + kQuiet) return outcome;
    if (edge > event + kPatience) throw std::runtime_error("the chip does not answer");
  }
}

std::unique_ptr<RtlBusChip> MakeRtlCompact(const std::string& vcd) {
  return std::make_unique<BusChip<Vcompact>>(vcd);
}
std::unique_ptr<RtlBusChip> MakeRtlCompact16Mac(const std::string& vcd) {
  return std::make_unique<BusChip<Vcompact_16mac>>(vcd);
}
std::unique_ptr<RtlStreamChip> MakeRtlSystolic(const std::string& vcd) {
  return std::make_unique<StreamChip>(vcd);
}

}  // namespace edgewise::chip
