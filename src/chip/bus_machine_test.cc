// Are the timing gates of host-driven chips where the published chip has them, to the edge?

#include "chip/bus_machine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "chip/cycle_simulator.h"
#include "chip/test_products.h"

namespace edgewise::chip {
namespace {

using Kind = BusOp::Kind;

// A program that brings operands and starts; edges count from the one that latches start, as in the chip's
// timing.
class Program {
 public:
  Program() {
    for (uint32_t e = 0; e < 64; ++e) Write(kAddressA + e, a(e));
    for (uint32_t e = 0; e < 64; ++e) Write(kAddressB + e, b(e));
  }
  static uint32_t a(uint32_t e) { return e * 2654435761u + 1; }
  static uint32_t b(uint32_t e) { return e * 40503u + 7; }
  static uint32_t Product(uint32_t e) {
    uint32_t sum = 0;
    for (uint32_t k = 0; k < 8; ++k) sum += a(e / 8 * 8 + k) * b(k * 8 + e % 8);
    return sum;
  }

  Program& Start(uint32_t control = 1) {
    Write(kAddressControl, control);
    edge_ = 1;
    return *this;
  }
  // What follows is accepted at `edge` at the earliest.
  Program& At(uint32_t edge) {
    if (edge > edge_) ops_.push_back({Kind::kIdle, 0, edge - edge_});
    edge_ = edge;
    return *this;
  }
  Program& Write(uint32_t address, uint32_t data) {
    ops_.push_back({Kind::kWrite, address, data});
    ++edge_;
    return *this;
  }
  Program& Read(uint32_t address) {
    ops_.push_back({Kind::kRead, address});
    edge_ += 2;
    return *this;
  }
  const std::vector<BusOp>& ops() const { return ops_; }

 private:
  std::vector<BusOp> ops_;
  uint32_t edge_ = 1;
};

std::vector<uint32_t> Results(const ChipDesign& design, const Program& program) {
  return CycleSimulator(design).RunBus(program.ops()).results;
}

constexpr uint32_t kStarted = 1, kBusy = 2, kDone = 4;

TEST(CompactTiming, DoneIsVisibleAfterEdge513) {
  const auto status = [](uint32_t edge) {
    return Results(Compact(), Program().Start().At(edge).Read(kAddressStatus))[0];
  };
  EXPECT_EQ(status(1), kStarted);  // the run begins at this edge
  EXPECT_EQ(status(2), kStarted | kBusy);
  EXPECT_EQ(status(513), kStarted | kBusy);
  EXPECT_EQ(status(514), kStarted | kBusy | kDone);
  EXPECT_EQ(status(600), kStarted | kBusy | kDone);  // start is a level
}

TEST(CompactTiming, DoneLastsOneCycleWhenStartHasFallen) {
  const auto status = [](uint32_t edge) {
    return Results(Compact(), Program().Start().Write(kAddressControl, 0).At(edge).Read(kAddressStatus))[0];
  };
  EXPECT_EQ(status(513), kBusy);
  EXPECT_EQ(status(514), kBusy | kDone);
  EXPECT_EQ(status(515), 0u);
}

TEST(CompactTiming, EachElementIsVisibleAfterItsEdgeAndNotBefore) {
  for (uint32_t e = 0; e < 64; ++e) {
    const auto read_at = [e](uint32_t edge) {
      return Results(Compact(), Program().Start().At(edge).Read(kAddressC + e))[0];
    };
    EXPECT_EQ(read_at(8 * e + 11), 0u) << e;  // accepted at the edge that writes it: the cleared zero
    EXPECT_EQ(read_at(8 * e + 12), Program::Product(e)) << e;
  }
}

TEST(CompactTiming, ReadIsTwoCyclesAndWriteIsOne) {
  const std::vector<Stall> stalls{{0, 5}, {128, 10}};
  CycleSimulator simulator(Compact());
  EXPECT_EQ(simulator.RunBus(Program().ops()).cycles, 128u);
  EXPECT_EQ(simulator.RunBus(Program().Read(kAddressC).ops()).cycles, 130u);
  EXPECT_EQ(simulator.RunBus(Program().Read(kAddressC).ops(), stalls).cycles, 145u);
  EXPECT_EQ(simulator.RunBus({}).cycles, 0u);
}

TEST(CompactTiming, WriteReachesTheMultiplyAddsAfterItsEdge) {
  // A[0][3] is multiplied for column j at edge 8j + 5. All else of A is zero.
  for (uint32_t edge : {1u, 4u, 5u, 6u, 36u, 37u, 38u, 61u, 62u}) {
    Program program;
    for (uint32_t e = 0; e < 64; ++e) program.Write(kAddressA + e, 0);
    program.Start().At(edge).Write(kAddressA + 3, 9).At(520);
    for (uint32_t j = 0; j < 8; ++j) program.Read(kAddressC + j);
    const auto results = Results(Compact(), program);
    for (uint32_t j = 0; j < 8; ++j) {
      EXPECT_EQ(results[j], 8 * j + 5 > edge ? 9 * Program::b(3 * 8 + j) : 0) << edge << ' ' << j;
    }
  }
}

TEST(CompactTiming, RestartThatClearsAtEdge515DropsTheLastElement) {
  const auto last_element = [](uint32_t restart) {
    const Program program = Program()
                                .Start()
                                .Write(kAddressControl, 0)
                                .At(restart)
                                .Write(kAddressControl, 1)
                                .Read(kAddressC + 63);
    return Results(Compact(), program)[0];
  };
  EXPECT_EQ(last_element(514), 0u);  // cleared at 515, the edge that writes element 63; read at 515
  EXPECT_EQ(last_element(515), Program::Product(63));  // read at the edge that clears it
  EXPECT_EQ(Results(Compact(), Program()
                                   .Start()
                                   .Write(kAddressControl, 0)
                                   .At(514)
                                   .Write(kAddressControl, 1)
                                   .At(516)
                                   .Read(kAddressC + 63))[0],
            0u);
}

TEST(CompactTiming, RestartBeforeDoneIsLostInTheLevel) {
  // Start never falls in the array's eyes: it stays done, and C keeps its results.
  const Program program = Program()
                              .Start()
                              .Write(kAddressControl, 0)
                              .At(513)
                              .Write(kAddressControl, 1)
                              .At(800)
                              .Read(kAddressC + 63)
                              .Read(kAddressStatus);
  EXPECT_EQ(Results(Compact(), program),
            (std::vector<uint32_t>{Program::Product(63), kStarted | kBusy | kDone}));
}

TEST(CompactMap, WindowsRepeatAndTheRestReadsAsZero) {
  Program program;
  program.Write(kAddressA + 64 + 5, 77).Write(kAddressC, 123).Write(0x301, 1).Start().At(516);
  program.Read(kAddressC + 0)
      .Read(kAddressC + 64)
      .Read(kAddressA + 5)
      .Read(kAddressB)
      .Read(0x301)
      .Read(0x305);
  const uint32_t changed = Program::Product(0) + (77 - Program::a(5)) * Program::b(5 * 8);
  EXPECT_EQ(Results(Compact(), program), (std::vector<uint32_t>{changed, changed, 0, 0, 0, 0}));
}

TEST(CompactState, PersistsFromRunToRun) {
  CycleSimulator simulator(Compact());
  simulator.RunBus(Program().Start().ops());
  // The array computed for no further edge: the second run's edge 1 is its edge 1.
  const Outcome outcome = simulator.RunBus(std::vector<BusOp>{
      {Kind::kIdle, 0, 514}, {Kind::kRead, kAddressStatus}, {Kind::kRead, kAddressC + 63}});
  EXPECT_EQ(outcome.results, (std::vector<uint32_t>{kStarted | kBusy | kDone, Program::Product(63)}));
}

TEST(Compact16Timing, AccessIsAcceptedAtEdge34) {
  struct Case {
    uint32_t address;
    Kind kind;
  };
  for (const Case& c :
       {Case{kAddressA, Kind::kWrite}, Case{kAddressB, Kind::kWrite}, Case{kAddressC, Kind::kRead},
        Case{kAddressControl, Kind::kWrite}, Case{kAddressControl, Kind::kRead}}) {
    for (uint32_t offered = 1; offered <= 35; ++offered) {
      Program program;
      program.Start().At(offered);
      c.kind == Kind::kRead ? program.Read(c.address) : program.Write(c.address, 0);
      CycleSimulator simulator(Compact16Mac());
      const uint64_t accepted = std::max(offered, 34u);
      EXPECT_EQ(simulator.RunBus(program.ops()).cycles, 129 + accepted + (c.kind == Kind::kRead))
          << c.address;
      EXPECT_EQ(simulator.counters().refused, accepted - offered);
    }
  }
}

TEST(Compact16Timing, StatusIsReadAnyTime) {
  const auto status = [](uint32_t edge) {
    return Results(Compact16Mac(), Program().Start().At(edge).Read(kAddressStatus))[0];
  };
  EXPECT_EQ(status(1), kStarted | kBusy);
  EXPECT_EQ(status(2), kBusy);
  EXPECT_EQ(status(33), kBusy);
  EXPECT_EQ(status(34), kDone);
  EXPECT_EQ(status(90), kDone);
}

TEST(Compact16, AccumulatesOnlyWhenAsked) {
  Program program;
  program.Start(1).Start(3).Start(3).Read(kAddressC + 9).Start(1).Read(kAddressC + 9);
  EXPECT_EQ(Results(Compact16Mac(), program),
            (std::vector<uint32_t>{3 * Program::Product(9), Program::Product(9)}));
}

TEST(BusCycles, LongerTransactionsAddUp) {
  ChipDesign design = Compact16Mac();
  design.write_cycles = 3;
  design.control_cycles = 4;
  design.read_cycles = 5;
  Program program;
  program.Start().Read(kAddressC);
  EXPECT_EQ(CycleSimulator(design).RunBus(program.ops()).cycles, 128 * 3 + 4 + 33 + 5u);
  design.read_cycles = 1;
  const Outcome outcome = CycleSimulator(design).RunBus(program.ops());
  EXPECT_EQ(outcome.cycles, 128 * 3 + 4 + 33 + 1u);
  EXPECT_EQ(outcome.results[0], Program::Product(0));
}

TEST(BusTile, CostsWhatItsTransactionsDo) {
  std::mt19937_64 random(1);
  for (uint32_t m = 1; m <= 8; ++m) {
    const TestProduct product({m, 8, 8}, 32, 32, random);
    const auto cycles = [&](const ChipDesign& design) {
      return CycleSimulator(design)
          .Run(TileProduct(design, product.product), product.a(), product.w())
          .cycles;
    };
    EXPECT_EQ(cycles(Compact()), 64 + 8 * m + 1 + 515 + 16 * m);
    EXPECT_EQ(cycles(Compact16Mac()), 64 + 8 * m + 1 + 33 + 16 * m);
  }
}

TEST(BusCounters, OneTokenLightsOneRow) {
  std::mt19937_64 random(2);
  TestProduct product({1, 8, 8}, 32, 32, random);
  for (auto* values : {&product.a_values, &product.w_values}) {
    for (int32_t& v : *values) v |= 1;  // no zeros but padding's
  }
  CycleSimulator simulator(Compact());
  simulator.Run(TileProduct(Compact(), product.product), product.a(), product.w());
  const SimCounters& counters = simulator.counters();
  EXPECT_EQ(counters.multiply_adds, 512u);
  EXPECT_EQ(counters.busy_cycles, 512u);
  EXPECT_EQ(counters.accepted, 64 + 8 + 2 + 8u);
  EXPECT_EQ(counters.bytes_in, (64 + 8 + 2) * 4u);
  EXPECT_EQ(counters.bytes_out, 8 * 4u);
  ASSERT_EQ(counters.useful.size(), 64u);
  for (uint32_t e = 0; e < 64; ++e) EXPECT_EQ(counters.useful[e], e < 8 ? 8u : 0u);
}

TEST(BusTrace, EventsSayWhatTheBusAndTheArrayDid) {
  std::vector<std::string> events;
  CycleSimulator simulator(Compact());
  simulator.set_trace([&](const TraceEvent& e) {
    events.push_back(std::string(e.component) + ' ' + e.event + ' ' + std::to_string(e.start) + ' ' +
                     std::to_string(e.duration));
  });
  simulator.RunBus(Program().Start().At(516).Read(kAddressC).Read(kAddressC + 1).ops());
  EXPECT_EQ(events, (std::vector<std::string>{"bus write A 1 64", "bus write B 65 64", "bus control 129 1",
                                              "array compute 131 512", "bus read C 645 4"}));
}

}  // namespace
}  // namespace edgewise::chip
