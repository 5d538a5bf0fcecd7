#include "cli/host_measure.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <span>
#include <utility>

#include "base/clock.h"
#include "base/thread_pool.h"
#include "cli/bench_run.h"
#include "cli/host_fit.h"
#include "engine/engine.h"
#include "graph/cost.h"
#include "model/random_weights.h"
#include "predict/op_time.h"
#include "quant/kv_type.h"

namespace edgewise {
namespace {

constexpr uint32_t kRounds = 5;
// A slow machine has fewer rounds, and no steps that would take longer than half of this.
constexpr double kBudgetSeconds = 2;
constexpr double kAttentionSeconds = 0.6;  // of each model with attention
// Weights in memory: far more than a core's own cache, and read in some 10 ms where memory is fast.
constexpr uint64_t kStreamBytes = 256 << 20;
constexpr uint32_t kContext = 1024;
constexpr uint32_t kBatch = 512;
constexpr uint32_t kSlots = 3;

// Width and feed-forward length of no published model; rows are whole blocks of 256.
ModelConfig ProductConfig(uint32_t layers) {
  ModelConfig config;
  config.architecture = "llama", config.name = "probe";
  config.vocab = 512, config.context = kContext;
  config.width = 1536, config.layers = layers, config.ffn = 5120;
  config.heads = 24, config.kv_heads = 8, config.head_dim = 64;
  config.rope.dims = config.head_dim;
  return config;
}

// A layer of 1.4 million weights: up to 8 bits each they stay in a core's second cache of 2 MiB. Its sums are
// of 1024 and of 256 weights, which tells what an output costs besides them.
ModelConfig CachedConfig() {
  ModelConfig config = ProductConfig(1);
  config.width = 1024, config.ffn = 256, config.heads = 4, config.kv_heads = 1;
  return config;
}

// Little but attention; `group` query heads share a KV head. In the first of its layers the workers wake.
ModelConfig AttentionConfig(uint32_t group) {
  ModelConfig config = ProductConfig(4);
  config.width = 256, config.ffn = 256, config.heads = 24, config.kv_heads = 24 / group;
  return config;
}

Model ShapeOf(const ModelConfig& config, DType type) { return Model::FromShape(config, type, true); }

// Layers whose weights have the bytes asked for, at least one.
uint32_t LayersFor(DType type, uint64_t bytes) {
  const uint64_t one = ShapeOf(ProductConfig(1), type).weight_bytes();
  const uint64_t layer = ShapeOf(ProductConfig(2), type).weight_bytes() - one;
  return static_cast<uint32_t>(std::max<uint64_t>(1, bytes / layer));
}

// A step that was run: how long all of it took, and each role, in seconds of the whole team.
struct Timing {
  double wall = 0;
  std::array<double, kRoles> role{};
  double sum = 0;   // of the roles
  double pace = 1;  // of arithmetic beside it (ProductSample::pace)
};

// Places the model's weights there and makes them up.
void FillRandom(Model& model, std::byte* memory) {
  model.PlaceWeights(memory);
  uint64_t seed = 1;
  for (const Weight& w : model.weights()) {
    const auto offset = static_cast<size_t>(w.data - memory);
    RandomWeights(w.type, 0.02).Fill(seed++, std::span(memory + offset, w.bytes()));
  }
}

class Probe {
 public:
  Probe(const Model& model, uint32_t threads, DType kv_type)
      : threads_(threads), engine_(model, OptionsFor(model, threads, kv_type)), tokens_(kBatch, 1) {}

  // `rows` rows of a sequence after `depth` positions, of which a slot keeps what it has.
  Timing Run(uint32_t rows, uint32_t depth, uint32_t slot = 0) {
    Fill(slot, depth);
    engine_.ResetCounters();
    const Seconds start = Now();
    RunStep(slot, rows);
    Timing timing;
    timing.wall = (Now() - start).value();
    const Counters counters = engine_.counters();
    for (size_t role = 0; role < kRoles; ++role) {
      timing.role[role] = counters.by_role[role].busy.value() / threads_;
      timing.sum += timing.role[role];
    }
    return timing;
  }

  void Fill(uint32_t slot, uint32_t depth) {
    engine_.Truncate(slot, std::min(depth, engine_.Length(slot)));
    while (engine_.Length(slot) < depth) RunStep(slot, std::min(kBatch, depth - engine_.Length(slot)));
  }

  const Step& step() const { return engine_.last_step(); }

 private:
  static EngineOptions OptionsFor(const Model& model, uint32_t threads, DType kv_type) {
    EngineOptions options;
    options.threads = static_cast<int>(threads);
    options.context = kContext;
    options.batch = kBatch;
    options.slots = kSlots;
    options.k_type = options.v_type = kv_type;
    options.profile = options.populate = true;
    return ResolveOptions(model, options);
  }

  void RunStep(uint32_t slot, uint32_t rows) {
    const Chunk chunk = {.slot = slot, .tokens = std::span(tokens_).first(rows), .logit_rows = 1};
    engine_.Run({&chunk, 1});
  }

  uint32_t threads_;
  Engine engine_;
  std::vector<TokenId> tokens_;
};

bool IsWithinBudget(Seconds start, double seconds = kBudgetSeconds) {
  return Now() - start < Seconds(seconds);
}

enum class OpClass : uint8_t { kProduct, kAttention, kElement };
inline constexpr size_t kOpClasses = 3;

OpClass ClassOf(const Op& op) {
  if (op.kind == OpKind::kMatMul) return OpClass::kProduct;
  return op.kind == OpKind::kAttention ? OpClass::kAttention : OpClass::kElement;
}

// Seconds of the team in each class of operators of a step.
std::array<double, kOpClasses> SecondsOf(const Step& step, const Timing& timing) {
  std::array<double, kOpClasses> seconds{};
  std::array<bool, kRoles> seen{};
  for (const Op& op : step.ops) {
    const auto role = static_cast<size_t>(op.role);
    if (!std::exchange(seen[role], true)) seconds[static_cast<size_t>(ClassOf(op))] += timing.role[role];
  }
  return seconds;
}

// What the elements move, as OpPricer counts it.
double ElementBytesOf(const Model& model, const Step& step) {
  Bytes bytes;
  for (const Op& op : step.ops) {
    if (ClassOf(op) != OpClass::kElement) continue;
    const OpCost cost = CostOf(model, op, step);
    bytes += cost.weight_bytes + cost.kv_write + cost.activation_bytes;
  }
  return static_cast<double>(bytes.value());
}

// The products whose sums have `k` weights, 0: all. Without the head, which has rows of its own.
ProductSample ProductsOf(const Model& model, const Step& step, const Timing& timing, uint32_t k) {
  ProductSample sample = {.rows = step.rows, .pace = timing.pace};
  std::array<bool, kRoles> seen{};
  for (const Op& op : step.ops) {
    if (op.kind != OpKind::kMatMul || op.role == Role::kHead || (k != 0 && op.k != k)) continue;
    const auto role = static_cast<size_t>(op.role);
    if (!std::exchange(seen[role], true)) sample.seconds += timing.role[role];
    sample.weights += static_cast<double>(op.n) * op.k;
    sample.outputs += op.n;
    sample.bytes += static_cast<double>(CostOf(model, op, step).weight_bytes.value());
  }
  return sample;
}

AttentionSample AttentionOf(const Model& model, const Step& step, const Timing& timing) {
  const uint32_t blocks = (step.rows + kQueryBlock - 1) / kQueryBlock;
  AttentionSample sample = {.decode = step.rows == 1};
  sample.seconds = timing.role[static_cast<size_t>(Role::kAttention)] * timing.pace;
  for (const Op& op : step.ops) {
    if (op.kind != OpKind::kAttention) continue;
    const AttentionShape& a = op.attention;
    const OpCost cost = CostOf(model, op, step);
    sample.sharing = std::min(step.rows, kQueryBlock) * (a.heads / a.kv_heads);
    sample.pieces += static_cast<double>(a.kv_heads) * blocks;
    const double bytes =
        static_cast<double>(KvRowBytes(a.k_type, a.head_dim) + KvRowBytes(a.v_type, a.head_dim));
    sample.kv_values += static_cast<double>(cost.kv_read.value()) / bytes * 2 * a.head_dim;
    sample.macs += static_cast<double>(cost.flops.value()) / 4;
  }
  return sample;
}

// What the runs of one type showed.
struct TypeSamples {
  std::vector<ProductSample> products;
  std::vector<double> element_bytes_s;
  std::vector<OverheadSample> waits;  // in no operator

  // `lengths`: of the sums to be told apart, 0 for all together.
  void Add(const Model& model, const Step& step, const Timing& timing, bool cached,
           std::span<const uint32_t> lengths) {
    const bool many = kernels::ShapeOf(step.rows) == kernels::MatMulShape::kMany;
    // That one worker ends a long phase before the others is a share of the work, no cost of a barrier.
    const double uneven = many && !cached ? timing.wall / timing.sum : 1;
    for (const uint32_t k : lengths) {
      ProductSample sample = ProductsOf(model, step, timing, k);
      sample.cached = cached;
      sample.seconds *= uneven;
      products.push_back(sample);
    }
    if (!many) waits.push_back({PhasesOf(step), timing.wall - timing.sum});
    if (!many || cached) return;
    const double elements = SecondsOf(step, timing)[static_cast<size_t>(OpClass::kElement)] * uneven;
    element_bytes_s.push_back(ElementBytesOf(model, step) / (elements * timing.pace));
  }
};

}  // namespace

ProbeModel::ProbeModel(DType type)
    : model(ShapeOf(ProductConfig(LayersFor(type, kStreamBytes)), type)),
      memory(model.PlaceWeights(nullptr)) {
  FillRandom(model, memory.data());
}

struct HostMeasurer::Impl {
  ThreadPool& PoolOf(uint32_t threads) {
    auto& pool = pools[threads];
    if (pool == nullptr) pool = std::make_unique<ThreadPool>(static_cast<int>(threads));
    return *pool;
  }

  // The model with random weights, in the memory that all probes share.
  Model Make(const ModelConfig& config, DType type) {
    Model model = ShapeOf(config, type);
    const uint64_t bytes = model.PlaceWeights(nullptr);
    if (memory.size() < bytes) {
      memory = AnonymousMemory(std::max(bytes, kStreamBytes));
      memory.Populate();  // Flush() reads it before anybody may have written
    }
    FillRandom(model, memory.data());
    return model;
  }

  double ReadBytes(uint32_t threads, uint64_t resident) {
    const kernels::Roof roof = probe.Measure(PoolOf(threads), resident);
    return 1e9 * std::max(roof.read_gb_s, roof.cached_gb_s);
  }

  // 8-bit operations per second of the team now, undisturbed as the median run is.
  double PeakNow(uint32_t threads) { return 1e9 * kernels::IntegerPeak(PoolOf(threads)); }

  // A run between two glances at the peak.
  Timing Paced(Probe& one, uint32_t rows, uint32_t depth, uint32_t threads, double peak_ops_s,
               uint32_t slot = 0) {
    one.Fill(slot, depth);
    const double before = PeakNow(threads);
    Timing timing = one.Run(rows, depth, slot);
    timing.pace = (before + PeakNow(threads)) / 2 / peak_ops_s;
    return timing;
  }

  // Throws out of the caches what a model's weights throw out between two uses of a KV cache.
  void Flush(uint32_t threads) {
    const auto pieces = static_cast<uint32_t>(memory.size() >> 20);  // of a MiB
    PoolOf(threads).Run([&](Worker& worker) {
      worker.ForChunks(pieces, 1, [&](uint32_t piece, uint32_t) {
        const std::span<const std::byte> part(memory.data() + (size_t{piece} << 20), 1 << 20);
        flushed += kernels::ReadAll(part, {.streams = 4, .prefetch = 2048});
      });
    });
  }

  kernels::RoofProbe probe;
  AnonymousMemory memory;
  std::atomic<uint64_t> flushed{0};  // makes the reads of Flush() used
  std::map<uint32_t, std::unique_ptr<ThreadPool>> pools;
};

HostMeasurer::HostMeasurer() : impl_(std::make_unique<Impl>()) {}
HostMeasurer::~HostMeasurer() = default;

HostMeasurer::Roofs HostMeasurer::RoofsOf(uint32_t threads, uint64_t resident) {
  constexpr int kProbes = 5;
  std::vector<double> read, cached, peak, floats;
  for (int i = 0; i < kProbes; ++i) {
    const kernels::Roof roof = impl_->probe.Measure(impl_->PoolOf(threads), resident);
    read.push_back(roof.read_gb_s * 1e9);
    cached.push_back(roof.cached_gb_s * 1e9);
    peak.push_back(roof.int8_gops * 1e9);
    floats.push_back(roof.f32_gops * 1e9);
  }
  return {SpreadOf(std::move(read)).median, SpreadOf(std::move(cached)).median,
          SpreadOf(std::move(peak)).median, SpreadOf(std::move(floats)).median};
}

TypeRates HostMeasurer::Products(DType type, uint32_t threads, double peak_ops_s, Tick tick) {
  static constexpr uint32_t kFew[] = {1, 2, 4, 8}, kMany[] = {16, 32, 128, 512};
  static constexpr uint32_t kAll[] = {1, 2, 4, 8, 16, 32, 128, 512};
  static constexpr uint32_t kTogether[] = {0};
  const ModelConfig cached = CachedConfig();
  const uint32_t lengths[] = {cached.width, cached.ffn};
  TypeSamples samples;
  {
    const Model model = impl_->Make(ProductConfig(LayersFor(type, kStreamBytes)), type);
    Probe probe(model, threads, DType::kF16);
    double before = impl_->ReadBytes(threads, model.weight_bytes());
    const Seconds start = Now();
    for (uint32_t round = 0; round < kRounds && (round == 0 || IsWithinBudget(start)); ++round) {
      const size_t first = samples.products.size();
      probe.Run(1, 0);  // the workers are awake, and what the probe of the roof read is out of the caches
      for (const uint32_t rows : kFew) {
        const Timing timing = impl_->Paced(probe, rows, 0, threads, peak_ops_s);
        samples.Add(model, probe.step(), timing, false, kTogether);
        tick();
      }
      const double after = impl_->ReadBytes(threads, model.weight_bytes());
      for (size_t i = first; i < samples.products.size(); ++i) {
        samples.products[i].roof_bytes_s = (before + after) / 2;
      }
      before = after;
    }
  }
  const auto run = [&](const ModelConfig& config, std::span<const uint32_t> rows, uint32_t rounds,
                       bool in_cache) {
    const Model model = impl_->Make(config, type);
    Probe probe(model, threads, DType::kF16);
    double row_s = probe.Run(rows.front(), 0).wall / rows.front();
    const Seconds start = Now();
    for (uint32_t round = 0; round < rounds && (round == 0 || IsWithinBudget(start)); ++round) {
      for (const uint32_t m : rows) {
        if (m > rows.front() && m * row_s > kBudgetSeconds / 2) break;
        const Timing timing = impl_->Paced(probe, m, 0, threads, peak_ops_s);
        row_s = timing.wall / m;
        samples.Add(model, probe.step(), timing, in_cache,
                    in_cache ? std::span<const uint32_t>(lengths) : std::span<const uint32_t>(kTogether));
        tick();
      }
    }
  };
  run(ProductConfig(2), kMany, kRounds, false);
  run(cached, kAll, 3 * kRounds, true);

  TypeRates rates;
  const Overhead overhead = FitOverhead(samples.waits);
  rates.products = FitProducts(type, samples.products);
  rates.element_bytes_s = SpreadOf(samples.element_bytes_s).median;
  rates.phase_s = overhead.phase_s;
  rates.step_s = overhead.step_s;
  return rates;
}

std::vector<AttentionRate> HostMeasurer::Attention(DType kv_type, uint32_t threads, double peak_ops_s,
                                                   Tick tick) {
  static constexpr uint32_t kDepths[] = {128, kContext - 1};  // of a token; each in a slot of its own
  static constexpr std::pair<uint32_t, uint32_t> kPrompts[] = {{128, 0}, {kBatch, kBatch}};  // rows, depth
  std::vector<AttentionSample> samples;
  for (const uint32_t group : {1u, 2u, 3u, 4u, 8u}) {
    const Model model = impl_->Make(AttentionConfig(group), DType::kF32);
    Probe probe(model, threads, kv_type);
    for (uint32_t slot = 0; slot < std::size(kDepths); ++slot) probe.Fill(slot, kDepths[slot]);
    const Seconds start = Now();
    for (uint32_t round = 0; round < 3 * kRounds; ++round) {
      if (round > 1 && !IsWithinBudget(start, kAttentionSeconds)) break;
      for (uint32_t slot = 0; slot < std::size(kDepths); ++slot) {
        impl_->Flush(threads);
        const Timing timing = impl_->Paced(probe, 1, kDepths[slot], threads, peak_ops_s, slot);
        samples.push_back(AttentionOf(model, probe.step(), timing));
        tick();
      }
      if (round >= kRounds || (group != 1 && group != 8)) continue;
      for (const auto& [rows, depth] : kPrompts) {
        const Timing timing = impl_->Paced(probe, rows, depth, threads, peak_ops_s, kSlots - 1);
        samples.push_back(AttentionOf(model, probe.step(), timing));
        tick();
      }
    }
  }
  return FitAttention(kv_type, samples);
}

// ---- drift ----

struct DriftProbe::Impl {
  Impl(const Device& machine, DType type, DType kv, Seconds at_least)
      : device(machine),
        kv_type(kv),
        least(at_least),
        streamed(type),
        few_layers(ShapeOf(ProductConfig(2), type)),
        memory(few_layers.PlaceWeights(nullptr)) {
    FillRandom(few_layers, memory.data());
  }

  Probe& ProbeOf(uint32_t threads, bool many) {
    auto& probe = probes[{threads, many}];
    if (probe == nullptr) {
      probe = std::make_unique<Probe>(many ? few_layers : streamed.model, threads, kv_type);
    }
    return *probe;
  }

  const Device device;
  const DType kv_type;
  const Seconds least;
  ProbeModel streamed;
  Model few_layers;  // long steps of many rows: the weights' place does not matter
  AnonymousMemory memory;
  std::map<std::pair<uint32_t, bool>, std::unique_ptr<Probe>> probes;
};

DriftProbe::DriftProbe(const Device& device, DType type, DType kv_type, Seconds least)
    : impl_(std::make_unique<Impl>(device, type, kv_type, least)) {}
DriftProbe::~DriftProbe() = default;

double DriftProbe::Look(uint32_t threads, uint32_t rows) {
  rows = std::min(rows, kBatch);
  const bool many = kernels::ShapeOf(rows) == kernels::MatMulShape::kMany;
  const Model& model = many ? impl_->few_layers : impl_->streamed.model;
  Probe& probe = impl_->ProbeOf(threads, many);
  probe.Run(rows, 0);  // the workers are awake
  const OpPricer pricer(impl_->device, model, {.threads = threads, .efficiency = {}, .resident_share = 1});
  const double foreseen = PriceStep(pricer, probe.step()).total.seconds();
  double taken = 0;
  int runs = 0;
  while (runs == 0 || taken < impl_->least.value()) taken += probe.Run(rows, 0).wall, ++runs;
  return taken / (runs * foreseen);
}

}  // namespace edgewise
