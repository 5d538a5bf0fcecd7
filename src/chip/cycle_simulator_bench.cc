// Simulated cycles a second, for each kind of machine.

#include <benchmark/benchmark.h>

#include "chip/cycle_simulator.h"
#include "chip/lower.h"
#include "chip/test_products.h"

namespace edgewise::chip {
namespace {

void Report(benchmark::State& state, uint64_t cycles) {
  state.counters["cycles"] = static_cast<double>(cycles);
  state.counters["cycles/s"] =
      benchmark::Counter(static_cast<double>(cycles), benchmark::Counter::kIsIterationInvariantRate);
}

void RunBus(benchmark::State& state, const ChipDesign& design) {
  std::mt19937_64 random(1);
  const TestProduct product({8, 32, 64}, 32, 32, random);
  const auto program = LowerToBus(design, TileProduct(design, product.product), product.a(), product.w());
  CycleSimulator simulator(design);
  for (auto _ : state) benchmark::DoNotOptimize(simulator.RunBus(program));
  Report(state, simulator.counters().cycles);
}

void RunStream(benchmark::State& state, ChipDesign design) {
  std::mt19937_64 random(1);
  design.bus_bytes = 4096;
  design.scratch_words = 1 << 20;
  const TestProduct product({8, 256, 512}, 8, 8, random);
  const auto program = LowerToStream(design, TileProduct(design, product.product), product.a(), product.w());
  CycleSimulator simulator(design);
  for (auto _ : state) benchmark::DoNotOptimize(simulator.RunStream(program));
  Report(state, simulator.counters().cycles);
}

void RunProduct(benchmark::State& state, const ChipDesign& design) {
  std::mt19937_64 random(1);
  const TestProduct product({8, 128, 256}, 8, 8, random);
  const Tiling tiling = TileProduct(design, product.product);
  CycleSimulator simulator(design);
  for (auto _ : state) benchmark::DoNotOptimize(simulator.Run(tiling, product.a(), product.w()));
  Report(state, simulator.counters().cycles);
}

BENCHMARK_CAPTURE(RunBus, compact, Compact());
BENCHMARK_CAPTURE(RunBus, compact_16mac, Compact16Mac());
BENCHMARK_CAPTURE(RunStream, systolic_8x8, Square(ArrayKind::kOutputStationary, 8));
BENCHMARK_CAPTURE(RunStream, systolic_16x16, Square(ArrayKind::kOutputStationary, 16));
BENCHMARK_CAPTURE(RunStream, systolic_32x32, Square(ArrayKind::kOutputStationary, 32));
BENCHMARK_CAPTURE(RunStream, vector_8x8x8, Square(ArrayKind::kVector, 8));
BENCHMARK_CAPTURE(RunProduct, weight_stationary_8x8, Square(ArrayKind::kWeightStationary, 8));
BENCHMARK_CAPTURE(RunProduct, sequential_dma, Square(ArrayKind::kSequential, 8));

}  // namespace
}  // namespace edgewise::chip
