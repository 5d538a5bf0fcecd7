#include "cli/bench_run.h"

#include <algorithm>
#include <map>
#include <memory>

#include "base/clock.h"
#include "base/error.h"
#include "model/random_weights.h"

namespace edgewise {
namespace {

// Engines for each number of threads, and the roofs of the same teams.
class Bench {
 public:
  Bench(const Model& model, const BenchPlan& plan) {
    for (const BenchTest& test : plan.tests) teams_.try_emplace(test.threads);
    for (auto& [threads, team] : teams_) {
      team.engine = std::make_unique<Engine>(model, BenchEngineOptions(model, plan, threads));
      team.pool = std::make_unique<ThreadPool>(static_cast<int>(threads));
      team.roof.threads = threads;
    }
    // The same tokens in every run; which they are matters only to rows of the embedding.
    RandomBits bits(1);
    const uint32_t context = teams_.begin()->second.engine->options().context;
    for (uint32_t i = 0; i < context; ++i) {
      tokens_.push_back(static_cast<TokenId>(bits.Next() % model.config().vocab));
    }
  }

  BenchSample Run(const BenchTest& test) {
    Engine& engine = *teams_.at(test.threads).engine;
    SetDepth(engine, test);
    engine.ResetCounters();
    const Seconds start = Now();
    if (test.prompt > 0) {
      Prefill(engine, 0, test.depth + test.prompt, 1);
    } else {
      for (uint32_t i = 0; i < test.generate; ++i) DecodeOne(engine, test.slots);
    }
    return {Now() - start, engine.counters().counted};
  }

  void ProbeRoofs() {
    for (auto& [threads, team] : teams_) {
      const kernels::Roof roof = probe_.Measure(*team.pool);
      kernels::Roof& best = team.roof.best;
      best.read_gb_s = std::max(best.read_gb_s, roof.read_gb_s);
      best.int8_gops = std::max(best.int8_gops, roof.int8_gops);
      best.f32_gops = std::max(best.f32_gops, roof.f32_gops);
      team.reads.push_back(roof.read_gb_s);
    }
  }

  std::vector<MachineRoof> Roofs() {
    std::vector<MachineRoof> roofs;
    for (auto& [threads, team] : teams_) {
      std::sort(team.reads.begin(), team.reads.end());
      team.roof.read_gb_s_median = team.reads[team.reads.size() / 2];
      roofs.push_back(team.roof);
    }
    return roofs;
  }

 private:
  struct Team {
    std::unique_ptr<Engine> engine;
    std::unique_ptr<ThreadPool> pool;
    MachineRoof roof;
    std::vector<double> reads;
  };

  // Brings a slot from its length to `end` in steps of the batch size.
  void Prefill(Engine& engine, uint32_t slot, uint32_t end, uint32_t logit_rows) {
    while (engine.Length(slot) < end) {
      const uint32_t at = engine.Length(slot);
      const uint32_t count = std::min(end - at, engine.options().batch);
      const Chunk chunk = {.slot = slot,
                           .tokens = std::span(tokens_).subspan(at, count),
                           .logit_rows = at + count == end ? logit_rows : 0};
      engine.Run({&chunk, 1});
    }
  }

  // The slots that a test uses hold `depth` positions, what is there being kept; others are empty.
  void SetDepth(Engine& engine, const BenchTest& test) {
    for (uint32_t slot = 0; slot < engine.options().slots; ++slot) {
      const uint32_t depth = slot < test.slots ? test.depth : 0;
      engine.Truncate(slot, std::min(engine.Length(slot), depth));
      Prefill(engine, slot, depth, 0);
    }
  }

  void DecodeOne(Engine& engine, uint32_t slots) {
    chunks_.clear();
    for (uint32_t slot = 0; slot < slots; ++slot) {
      chunks_.push_back({.slot = slot,
                         .tokens = std::span(tokens_).subspan(engine.Length(slot), 1),
                         .logit_rows = 1});
    }
    engine.Run(chunks_);
  }

  const kernels::RoofProbe probe_;
  std::map<uint32_t, Team> teams_;  // by number of threads
  std::vector<TokenId> tokens_;     // by position
  std::vector<Chunk> chunks_;
};

}  // namespace

std::string BenchTest::name() const {
  std::string name = prompt > 0 ? StrCat("pp", prompt) : StrCat("tg", generate);
  if (slots > 1) name += StrCat("@b", slots);
  if (depth > 0) name += StrCat("@d", depth);
  return name;
}

double BenchResult::tok_s(const BenchSample& sample) const {
  return static_cast<double>(test.tokens()) / sample.elapsed.value();
}

BenchSample BenchResult::median() const {
  std::vector<BenchSample> sorted = samples;
  std::sort(sorted.begin(), sorted.end(),
            [](const BenchSample& a, const BenchSample& b) { return a.elapsed < b.elapsed; });
  return sorted[sorted.size() / 2];
}

EngineOptions BenchEngineOptions(const Model& model, const BenchPlan& plan, uint32_t threads) {
  EngineOptions options = plan.options;
  options.threads = static_cast<int>(threads);
  options.context = options.slots = 1;
  for (const BenchTest& test : plan.tests) {
    options.context = std::max(options.context, test.depth + test.prompt + test.generate);
    options.slots = std::max(options.slots, test.slots);
  }
  options.logit_rows = options.slots;
  options.batch = std::max(options.batch, options.slots);
  return ResolveOptions(model, options);
}

BenchReport RunBench(const Model& model, const BenchPlan& plan,
                     FunctionRef<void(uint64_t done, uint64_t total)> progress) {
  EDGEWISE_CHECK(!plan.tests.empty() && plan.repeats > 0);
  Bench bench(model, plan);
  BenchReport report;
  for (const BenchTest& test : plan.tests) report.results.push_back({test, {}});
  const uint64_t total = uint64_t{plan.repeats + 1} * plan.tests.size();
  uint64_t done = 0;
  for (uint32_t round = 0; round <= plan.repeats; ++round) {
    for (BenchResult& result : report.results) {
      const BenchSample sample = bench.Run(result.test);
      const bool warm_up = round == 0;
      if (!warm_up) result.samples.push_back(sample);
      progress(++done, total);
    }
    bench.ProbeRoofs();
  }
  report.roofs = bench.Roofs();
  return report;
}

RoofTime TimeAtRoof(const OpCost& cost, const MachineRoof& roof, bool integer) {
  const Bytes bytes = cost.weight_bytes + cost.kv_read + cost.kv_write;
  const double peak = integer ? roof.best.int8_gops : roof.best.f32_gops;
  return {.memory = static_cast<double>(bytes.value()) / (roof.best.read_gb_s * 1e9),
          .compute = static_cast<double>(cost.flops.value()) / (peak * 1e9)};
}

}  // namespace edgewise
