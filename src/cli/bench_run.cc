#include "cli/bench_run.h"

#include <algorithm>
#include <map>
#include <memory>
#include <numeric>

#include "base/clock.h"
#include "base/error.h"
#include "base/rapl.h"
#include "base/thread_pool.h"
#include "cli/machine_state.h"
#include "engine/sampler.h"
#include "model/random_weights.h"

namespace edgewise {
namespace {

// Distinct depths, in order. Each has slots of its own: what a test finds in the cache is computed once.
std::vector<uint32_t> DepthsOf(const BenchPlan& plan) {
  std::vector<uint32_t> depths;
  for (const BenchTest& test : plan.tests) depths.push_back(test.depth);
  std::ranges::sort(depths);
  depths.erase(std::unique(depths.begin(), depths.end()), depths.end());
  return depths;
}

uint32_t MostSlots(const BenchPlan& plan) {
  uint32_t slots = 1;
  for (const BenchTest& test : plan.tests) slots = std::max(slots, test.slots);
  return slots;
}

uint32_t MostNeighbours(const BenchPlan& plan) {
  uint32_t count = 0;
  for (const BenchTest& test : plan.tests) count = std::max(count, test.beside.count);
  return count;
}

// Engines for each number of threads, and the roofs of the same teams.
class Bench {
 public:
  Bench(const Model& model, const BenchPlan& plan)
      : model_(model),
        depths_(DepthsOf(plan)),
        slots_(MostSlots(plan)),
        tokenize_(plan.tokenize),
        before_run_(plan.before_run),
        neighbours_(MostNeighbours(plan)),
        sampler_({.temperature = 0}, model.config().vocab) {
    for (const BenchTest& test : plan.tests) teams_.try_emplace(test.threads);
    for (auto& [threads, team] : teams_) {
      team.engine = std::make_unique<Engine>(model, BenchEngineOptions(model, plan, threads));
      team.pool = std::make_unique<ThreadPool>(static_cast<int>(threads), plan.options.pin);
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
    Team& team = teams_.at(test.threads);
    Engine& engine = *team.engine;
    SetDepth(engine, test);
    BenchSample sample;
    sample.before = RoofNow(team);
    if (before_run_ != nullptr) sample.drift = before_run_(test);
    neighbours_.Be(test.beside);
    // A step that is not timed: the workers are awake, and a small model's weights back in the cache that
    // the probe has just emptied.
    DecodeOne(engine, test);
    SetDepth(engine, test);
    engine.ResetCounters();
    const MachineState state = ReadMachineState();
    const double joules = energy_.Joules();
    const Seconds start = Now();
    if (test.first_token) {
      FirstToken(engine, test);
    } else if (test.prompt > 0) {
      Prefill(engine, FirstSlot(test), tokens_, test.depth + test.prompt, 1);
    } else {
      for (uint32_t i = 0; i < test.generate; ++i) DecodeOne(engine, test);
    }
    sample.elapsed = Now() - start;
    sample.joules = energy_.Joules() - joules;
    const MachineState end = ReadMachineState();
    neighbours_.Be({});
    roof_is_of_ = nullptr;
    sample.after = RoofNow(team);
    sample.counters = engine.counters();
    sample.work_by_role = WorkOf(sample.counters, model_, engine.last_step());
    for (const Work& work : sample.work_by_role) sample.work += work;
    sample.load_average = end.load_average;
    sample.stolen = end.stolen - state.stolen;
    sample.others = end.others - state.others;
    return sample;
  }

  std::vector<KernelUse> KernelsOf(const BenchTest& test) const {
    std::vector<KernelUse> uses;
    for (const Op& op : teams_.at(test.threads).engine->last_step().ops) {
      if (op.kind != OpKind::kMatMul) continue;
      const KernelUse use = {op.role, op.weight, op.k, op.m};
      if (std::ranges::find(uses, use) == uses.end()) uses.push_back(use);
    }
    std::ranges::stable_sort(uses, {}, &KernelUse::role);
    return uses;
  }

  std::vector<MachineRoof> Roofs() const {
    std::vector<MachineRoof> roofs;
    for (const auto& [threads, team] : teams_) {
      roofs.push_back(team.roof);
      roofs.back().read_gb_s_median = SpreadOf(team.reads).median;
    }
    return roofs;
  }
  const kernels::RoofProbe& probe() const { return probe_; }
  const EnergyCounter& energy() const { return energy_; }

 private:
  struct Team {
    std::unique_ptr<Engine> engine;
    std::unique_ptr<ThreadPool> pool;
    MachineRoof roof;
    std::vector<double> reads;
  };

  // Measured now, unless the last thing done was measuring it.
  kernels::Roof RoofNow(Team& team) {
    if (roof_is_of_ == &team) return roof_;
    roof_ = probe_.Measure(*team.pool, model_.weight_bytes());
    roof_is_of_ = &team;
    kernels::Roof& best = team.roof.best;
    best.read_gb_s = std::max(best.read_gb_s, roof_.read_gb_s);
    best.cached_gb_s = std::max(best.cached_gb_s, roof_.cached_gb_s);
    best.int8_gops = std::max(best.int8_gops, roof_.int8_gops);
    best.narrow_gops = std::max(best.narrow_gops, roof_.narrow_gops);
    best.f32_gops = std::max(best.f32_gops, roof_.f32_gops);
    team.reads.push_back(roof_.read_gb_s);
    return roof_;
  }

  uint32_t FirstSlot(const BenchTest& test) const {
    const auto at = std::ranges::find(depths_, test.depth) - depths_.begin();
    return static_cast<uint32_t>(at) * slots_;
  }

  // What somebody waits for who has asked.
  void FirstToken(Engine& engine, const BenchTest& test) {
    const std::vector<TokenId> tokens = tokenize_(test.prompt);
    sampler_.Sample(Prefill(engine, FirstSlot(test), tokens, test.prompt, 1));
  }

  // Brings a slot from its length to `end` in steps of the batch size; the last logits.
  std::span<const float> Prefill(Engine& engine, uint32_t slot, std::span<const TokenId> tokens,
                                 uint32_t end, uint32_t logit_rows) {
    std::span<const float> logits;
    while (engine.Length(slot) < end) {
      const uint32_t at = engine.Length(slot);
      const uint32_t count = std::min(end - at, engine.options().batch);
      const Chunk chunk = {.slot = slot,
                           .tokens = tokens.subspan(at, count),
                           .logit_rows = at + count == end ? logit_rows : 0};
      logits = engine.Run({&chunk, 1});
    }
    return logits;
  }

  // The slots of the test hold `depth` positions: computed the first time, cut back to it later.
  void SetDepth(Engine& engine, const BenchTest& test) {
    for (uint32_t slot = FirstSlot(test); slot < FirstSlot(test) + test.slots; ++slot) {
      engine.Truncate(slot, std::min(engine.Length(slot), test.depth));
      if (engine.Length(slot) < test.depth) roof_is_of_ = nullptr;
      Prefill(engine, slot, tokens_, test.depth, 0);
    }
  }

  void DecodeOne(Engine& engine, const BenchTest& test) {
    chunks_.clear();
    for (uint32_t slot = FirstSlot(test); slot < FirstSlot(test) + test.slots; ++slot) {
      chunks_.push_back({.slot = slot,
                         .tokens = std::span(tokens_).subspan(engine.Length(slot), 1),
                         .logit_rows = 1});
    }
    engine.Run(chunks_);
  }

  const Model& model_;
  const std::vector<uint32_t> depths_;
  const uint32_t slots_;  // of each depth
  const std::function<std::vector<TokenId>(uint32_t)>& tokenize_;
  const std::function<double(const BenchTest&)>& before_run_;
  Neighbours neighbours_;           // first: forked before the large memory below
  kernels::RoofProbe probe_;
  EnergyCounter energy_;
  kernels::Roof roof_;               // measured last,
  const Team* roof_is_of_ = nullptr;  // of this team; null when something ran since
  std::map<uint32_t, Team> teams_;  // by number of threads
  std::vector<TokenId> tokens_;     // by position
  std::vector<Chunk> chunks_;
  Sampler sampler_;
};

// What a product's operations are counted as.
enum class Arithmetic : uint8_t { kInt8, kNarrow, kFloat };

Arithmetic ArithmeticOf(DType weight, uint32_t k) {
  if (kernels::ActivationFormatFor(weight, k) == kernels::ActivationFormat::kF32) return Arithmetic::kFloat;
  // IQ4_NL's codes are 4 bits, the values they stand for 8.
  const bool wide = weight == DType::kQ8_0 || weight == DType::kIQ4_NL;
  return wide ? Arithmetic::kInt8 : Arithmetic::kNarrow;
}

}  // namespace

std::string BenchTest::name() const {
  std::string name =
      first_token ? StrCat("ttft", prompt) : prompt > 0 ? StrCat("pp", prompt) : StrCat("tg", generate);
  if (slots > 1) name += StrCat("@b", slots);
  if (depth > 0) name += StrCat("@d", depth);
  return name;
}

const char* NameOf(Bound bound) {
  return bound == Bound::kMemory ? "memory" : bound == Bound::kCache ? "cache" : "compute";
}

Spread SpreadOf(std::vector<double> values) {
  EDGEWISE_CHECK(!values.empty());
  std::ranges::sort(values);
  const size_t middle = values.size() / 2;
  const double median =
      values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
  return {median, values.front(), values.back()};
}

RoofShare ShareOf(const Work& work, Seconds taken, const kernels::Roof& roof) {
  const auto seconds = [](uint64_t amount, double giga_per_second) {
    return amount == 0 ? 0.0 : static_cast<double>(amount) / (giga_per_second * 1e9);
  };
  const bool cached = roof.cached_gb_s > roof.read_gb_s;
  const double reading = seconds(work.bytes.value(), cached ? roof.cached_gb_s : roof.read_gb_s);
  const double compute = seconds(work.int8.value(), roof.int8_gops) +
                         seconds(work.narrow.value(), roof.narrow_gops) +
                         seconds(work.floats.value(), roof.f32_gops);
  const Bound bound = reading < compute ? Bound::kCompute : cached ? Bound::kCache : Bound::kMemory;
  return {std::max(reading, compute) / taken.value(), bound};
}

kernels::Roof BenchSample::near() const {
  return {.read_gb_s = std::midpoint(before.read_gb_s, after.read_gb_s),
          .cached_gb_s = std::midpoint(before.cached_gb_s, after.cached_gb_s),
          .int8_gops = std::midpoint(before.int8_gops, after.int8_gops),
          .narrow_gops = std::midpoint(before.narrow_gops, after.narrow_gops),
          .f32_gops = std::midpoint(before.f32_gops, after.f32_gops)};
}

std::array<Work, kRoles> WorkOf(const Counters& counters, const Model& model, const Step& step) {
  // Layers may have their weights in different types: a role's operations are divided as the step's.
  std::array<std::array<double, 3>, kRoles> flops{};
  for (const Op& op : step.ops) {
    const Arithmetic kind =
        op.kind == OpKind::kMatMul ? ArithmeticOf(op.weight, op.k) : Arithmetic::kFloat;
    flops[static_cast<size_t>(op.role)][static_cast<size_t>(kind)] +=
        static_cast<double>(CostOf(model, op, step).flops.value());
  }
  std::array<Work, kRoles> work;
  for (size_t role = 0; role < kRoles; ++role) {
    const OpCost& cost = counters.by_role[role].cost;
    work[role].bytes = cost.weight_bytes + cost.kv_read + cost.kv_write;
    const double all = flops[role][0] + flops[role][1] + flops[role][2];
    const auto part = [&](Arithmetic kind) {
      const double share = all == 0 ? 0 : flops[role][static_cast<size_t>(kind)] / all;
      return Flops(static_cast<uint64_t>(static_cast<double>(cost.flops.value()) * share));
    };
    work[role].int8 = part(Arithmetic::kInt8);
    work[role].narrow = part(Arithmetic::kNarrow);
    work[role].floats = part(Arithmetic::kFloat);
  }
  return work;
}

double BenchResult::tok_s(const BenchSample& sample) const {
  return static_cast<double>(test.tokens()) / sample.elapsed.value();
}

std::optional<double> BenchResult::joules_per_token() const {
  std::vector<double> joules;
  for (const BenchSample& sample : samples) joules.push_back(sample.joules / static_cast<double>(test.tokens()));
  const double median = SpreadOf(std::move(joules)).median;
  if (median <= 0) return {};
  return median;
}

const BenchSample& BenchResult::median() const {
  EDGEWISE_CHECK(!samples.empty());
  std::vector<const BenchSample*> sorted;
  for (const BenchSample& sample : samples) sorted.push_back(&sample);
  std::ranges::sort(sorted, {}, &BenchSample::elapsed);
  return *sorted[sorted.size() / 2];
}

EngineOptions BenchEngineOptions(const Model& model, const BenchPlan& plan, uint32_t threads) {
  EngineOptions options = plan.options;
  options.threads = static_cast<int>(threads);
  options.context = 1;
  for (const BenchTest& test : plan.tests) {
    options.context =
        std::max(options.context, test.depth + std::max(test.prompt + test.generate, 1u));
  }
  options.logit_rows = MostSlots(plan);
  options.slots = MostSlots(plan) * static_cast<uint32_t>(DepthsOf(plan).size());
  options.batch = std::max(options.batch, options.logit_rows);
  return ResolveOptions(model, options);
}

BenchReport RunBench(const Model& model, const BenchPlan& plan,
                     FunctionRef<void(uint64_t done, uint64_t total)> progress) {
  EDGEWISE_CHECK(!plan.tests.empty() && plan.repeats > 0);
  Bench bench(model, plan);
  BenchReport report;
  std::vector<size_t> order;
  for (const BenchTest& test : plan.tests) {
    order.push_back(report.results.size());
    report.results.push_back({test, {}, {}});
  }
  const uint64_t total = uint64_t{plan.repeats + 1} * plan.tests.size();
  uint64_t done = 0;
  RandomBits bits(2);  // the same orders in every run of the program
  for (uint32_t round = 0; round <= plan.repeats; ++round) {
    const bool warm_up = round == 0;
    for (const size_t index : order) {
      BenchResult& result = report.results[index];
      BenchSample sample = bench.Run(result.test);
      if (warm_up) result.kernels = bench.KernelsOf(result.test);
      if (!warm_up) result.samples.push_back(std::move(sample));
      progress(++done, total);
    }
    for (size_t i = order.size() - 1; i > 0; --i) std::swap(order[i], order[bits.Next() % (i + 1)]);
  }
  report.roofs = bench.Roofs();
  report.no_energy = bench.energy().why_not();
  report.probe_bytes = bench.probe().bytes();
  report.probe_fits_cache = bench.probe().fits_cache();
  return report;
}

}  // namespace edgewise
