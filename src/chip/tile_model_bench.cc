// The tile model beside the plain product, on the products of one decoded token of TinyLlama-1.1B:
// 16,162,816 tiles of 8 x 8 x 8.
#include <benchmark/benchmark.h>

#include <vector>

#include "base/thread_pool.h"
#include "chip/integer_multiplier.h"
#include "chip/integer_product.h"
#include "chip/test_designs.h"
#include "chip/tile_model.h"

namespace edgewise::chip {
namespace {

struct Layer {
  uint64_t n, k, times;
};
constexpr Layer kTinyLlama[] = {
    {2048, 2048, 44}, {256, 2048, 44}, {5632, 2048, 44}, {2048, 5632, 22}, {32000, 2048, 1}};

// Weights of all products lie one behind another, as in a file: 1.03 GB are read, more than caches
// hold.
struct Step {
  explicit Step(uint64_t m) : m(m) {
    uint64_t weights = 0, most_k = 0, most_n = 0;
    for (const Layer& l : kTinyLlama) {
      weights += l.n * l.k * l.times;
      most_k = std::max(most_k, l.k);
      most_n = std::max(most_n, l.n);
    }
    const auto some = RandomValues<int8_t>(1 << 20, 1);
    w.resize(weights);
    for (uint64_t i = 0; i < weights; ++i) w[i] = some[i % some.size()];
    a = RandomValues<int8_t>(m * most_k, 2);
    c.resize(m * most_n);
  }

  template <typename F>
  void ForEach(F&& f) {
    const int8_t* at = w.data();
    for (const Layer& l : kTinyLlama) {
      for (uint64_t i = 0; i < l.times; ++i, at += l.n * l.k)
        f(Product{m, l.n, l.k}, Integers(at, l.k));
    }
  }

  uint64_t m;
  std::vector<int8_t> w, a;
  std::vector<int32_t> c;
};

void BM_Tiles(benchmark::State& state) {
  Step step(static_cast<uint64_t>(state.range(0)));
  ThreadPool pool(static_cast<int>(state.range(1)));
  const ChipDesign design = Compact532();
  uint64_t tiles = 0, cycles = 0;
  for (auto _ : state) {
    tiles = cycles = 0;
    step.ForEach([&](const Product& p, const Integers& w) {
      const TileRun run =
          RunTiles(design, p, {step.a.data(), p.k}, w, {step.c.data(), p.n}, {}, pool);
      tiles += run.executed_tiles;
      cycles += run.cost.cycles;
    });
  }
  state.counters["tiles"] = static_cast<double>(tiles);
  state.counters["cycles"] = static_cast<double>(cycles);
}

void BM_Plain(benchmark::State& state) {
  Step step(static_cast<uint64_t>(state.range(0)));
  ThreadPool pool(static_cast<int>(state.range(1)));
  for (auto _ : state) {
    step.ForEach([&](const Product& p, const Integers& w) {
      MultiplyIntegers(p, {step.a.data(), p.k}, w, {step.c.data(), p.n}, pool);
    });
  }
}

// The same as groups of 32 along k, each a product of its own, as a model file's blocks are
// multiplied.
void Groups(benchmark::State& state, IntegerMultiplier& multiplier) {
  Step step(static_cast<uint64_t>(state.range(0)));
  ThreadPool pool(static_cast<int>(state.range(1)));
  for (auto _ : state) {
    TileRun run;
    step.ForEach([&](const Product& p, const Integers& w) {
      for (uint64_t k = 0; k < p.k; k += 32) {
        multiplier.Multiply({p.m, p.n, 32}, {step.a.data() + k, p.k}, {w.int8() + p.n * k, 32},
                            {step.c.data(), p.n}, pool, run);
      }
    });
    state.counters["tiles"] = static_cast<double>(run.executed_tiles);
  }
}

void BM_TileGroups(benchmark::State& state) {
  ChipMultiplier chip(Compact());
  Groups(state, chip);
}

void BM_PlainGroups(benchmark::State& state) {
  PlainMultiplier plain;
  Groups(state, plain);
}

BENCHMARK(BM_TileGroups)
    ->ArgsProduct({{1}, {1, 2}})
    ->ArgNames({"m", "threads"})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(BM_PlainGroups)
    ->ArgsProduct({{1}, {1, 2}})
    ->ArgNames({"m", "threads"})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(BM_Tiles)
    ->ArgsProduct({{1, 8}, {1, 2}})
    ->ArgNames({"m", "threads"})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(BM_Plain)
    ->ArgsProduct({{1, 8}, {1, 2}})
    ->ArgNames({"m", "threads"})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace edgewise::chip
