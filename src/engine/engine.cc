#include "engine/engine.h"

#include <algorithm>

#include "base/cpus.h"
#include "base/error.h"
#include "engine/buffers.h"
#include "engine/executor.h"

namespace edgewise {
namespace {

constexpr uint32_t kDefaultContext = 4096;  // a model's own 128K would take gigabytes of KV
constexpr uint32_t kMaxContext = 1 << 24;
constexpr uint32_t kMaxBatch = 1 << 16;
constexpr uint32_t kMaxSlots = 1 << 10;
constexpr double kMaxKvBytes = 0x1p60;  // beyond any machine; up to it no sum of a plan overflows
constexpr uint64_t kTouchedStack = 224 << 10;  // of a worker thread: the panels of kernels/

void RequireRange(const char* what, uint64_t value, uint64_t low, uint64_t high) {
  if (value >= low && value <= high) return;
  throw Error(ErrorCode::kUsage,
              StrCat(what, " is ", value, ": choose between ", low, " and ", high));
}

Pages PagesOf(const EngineOptions& options) { return options.huge_pages ? Pages::kHuge : Pages::kUsual; }

size_t ScratchBytes(const Model& model, const EngineOptions& options) {
  Arena arena(nullptr);
  StepBuffers step;
  std::vector<WorkerBuffers> workers(static_cast<size_t>(options.threads));
  LayOut(model, options, arena, step, workers);
  return arena.used();
}

}  // namespace

EngineOptions ResolveOptions(const Model& model, EngineOptions options) {
  if (options.threads == 0) options.threads = DefaultThreads();
  if (options.backend != nullptr) options.threads = 1;
  if (options.context == 0) options.context = std::min(model.config().context, kDefaultContext);
  if (options.prefetch_bytes == 0) options.prefetch_bytes = kernels::kPrefetchBytes;
  RequireRange("threads", static_cast<uint64_t>(std::max(options.threads, 0)), 1, kMaxThreads);
  RequireRange("context", options.context, 1, kMaxContext);
  RequireRange("batch", options.batch, 1, kMaxBatch);
  RequireRange("slots", options.slots, 1, kMaxSlots);
  options.batch = static_cast<uint32_t>(
      std::min<uint64_t>(options.batch, uint64_t{options.context} * options.slots));
  options.logit_rows = std::min(options.logit_rows, options.batch);
  RequireRange("logit rows", options.logit_rows, 1, options.batch);
  for (const DType type : {options.k_type, options.v_type}) {
    if (!IsKvType(type)) {
      throw Error(ErrorCode::kUsage, StrCat("KV cache type ", NameOf(type),
                                            ": choose one of f32, f16, q8_0, q4_0"));
    }
  }
  const ModelConfig& c = model.config();
  const double values = 2.0 * c.layers * c.kv_width() * options.context * options.slots;
  if (values * sizeof(float) > kMaxKvBytes) {
    throw Error(ErrorCode::kLimit,
                StrCat("a KV cache of ", values, " values is beyond any machine: choose a smaller "
                       "context or fewer sequences"));
  }
  return options;
}

EngineMemory PlanEngineMemory(const Model& model, const EngineOptions& resolved) {
  EngineMemory memory;
  memory.kv = KvCache(model.config(), resolved).bytes();
  memory.scratch = ScratchBytes(model, resolved);
  memory.stacks = static_cast<uint64_t>(resolved.threads - 1) * kTouchedStack;
  return memory;
}

struct Engine::State {
  State(const Model& model, const EngineOptions& options)
      : kernels(kernels::Kernels()),
        angles(MakeRopeAngles(model)),
        cache(model.config(), options),
        kv_memory(cache.bytes(), PagesOf(options)),
        scratch_memory(ScratchBytes(model, options), PagesOf(options)),
        workers(static_cast<size_t>(options.threads)),
        counted(static_cast<size_t>(options.threads)),
        lengths(options.slots, 0),
        pool(options.threads, options.pin) {
    Arena arena(scratch_memory.data());
    LayOut(model, options, arena, buffers, workers);
    EDGEWISE_CHECK(arena.used() == scratch_memory.size());
    if (options.populate) {
      kv_memory.Populate();
      scratch_memory.Populate();
    }
    // The longest step there is, so that no later one makes these vectors grow.
    sequences.assign(options.slots, {.rows = 1, .logit_rows = 1});
    BuildStep(model, options.k_type, options.v_type, sequences, step);
  }

  // Checks the chunks and fills in the step's operator list and row tables.
  void Prepare(const Model& model, const EngineOptions& options, std::span<const Chunk> chunks);
  void Execute(const Model& model, const EngineOptions& options);

  // Each worker counts on a cache line of its own.
  struct alignas(64) Count {
    RoleCounts by_role;
  };

  const kernels::KernelTable& kernels;
  RopeAngles angles;
  KvCache cache;
  AnonymousMemory kv_memory, scratch_memory;
  StepBuffers buffers;
  std::vector<WorkerBuffers> workers;
  std::vector<Count> counted;
  std::vector<uint32_t> lengths;  // by slot
  std::vector<Sequence> sequences;
  Step step;
  ThreadPool pool;
};

void Engine::State::Prepare(const Model& model, const EngineOptions& options,
                            std::span<const Chunk> chunks) {
  sequences.clear();
  uint32_t row = 0, logit_row = 0;
  for (const Chunk& chunk : chunks) {
    const auto count = static_cast<uint32_t>(chunk.tokens.size());
    EDGEWISE_CHECK(chunk.slot < options.slots && count > 0 && row + count <= options.batch);
    EDGEWISE_CHECK(chunk.logit_rows <= count && logit_row + chunk.logit_rows <= options.logit_rows);
    const uint32_t length = lengths[chunk.slot];
    EDGEWISE_CHECK(count <= options.context - length);
    for (uint32_t i = 0; i < count; ++i, ++row) {
      const TokenId token = chunk.tokens[i];
      EDGEWISE_CHECK(token >= 0 && static_cast<uint32_t>(token) < model.config().vocab);
      buffers.tokens[row] = token;
      buffers.positions[row] = length + i;
      buffers.slots[row] = chunk.slot;
      if (i + chunk.logit_rows >= count) buffers.logit_row[logit_row++] = row;
    }
    sequences.push_back({.slot = chunk.slot,
                         .rows = count,
                         .kv_len = length,
                         .logit_rows = chunk.logit_rows});
    lengths[chunk.slot] += count;
  }
  EDGEWISE_CHECK(row > 0);
  BuildStep(model, options.k_type, options.v_type, sequences, step);
}

void Engine::State::Execute(const Model& model, const EngineOptions& options) {
  const StepContext context = {.model = model,
                               .options = options,
                               .kernels = kernels,
                               .angles = angles,
                               .cache = cache,
                               .kv = kv_memory.data(),
                               .buffers = buffers,
                               .step = step};
  pool.Run([&](Worker& worker) {
    const auto index = static_cast<size_t>(worker.index());
    Executor executor(context, worker, workers[index], counted[index].by_role);
    for (const Group& group : step.groups) executor.Run(group);
  });
}

Engine::Engine(const Model& model, const EngineOptions& resolved)
    : model_(model), options_(resolved), state_(std::make_unique<State>(model, resolved)) {}

Engine::~Engine() = default;

std::span<const float> Engine::Run(std::span<const Chunk> chunks) {
  state_->Prepare(model_, options_, chunks);
  state_->Execute(model_, options_);
  model_.CheckIntact();
  return {state_->buffers.logits, size_t{state_->step.logit_rows} * model_.config().vocab};
}

uint32_t Engine::Length(uint32_t slot) const {
  EDGEWISE_CHECK(slot < options_.slots);
  return state_->lengths[slot];
}

void Engine::Truncate(uint32_t slot, uint32_t length) {
  EDGEWISE_CHECK(length <= Length(slot));
  state_->lengths[slot] = length;
}

const Step& Engine::last_step() const { return state_->step; }

Counters Engine::counters() const {
  Counters sum;
  for (const State::Count& count : state_->counted) {
    for (size_t role = 0; role < kRoles; ++role) {
      sum.by_role[role].cost += count.by_role[role].cost;
      sum.by_role[role].busy += count.by_role[role].busy;
      sum.counted += count.by_role[role].cost;
    }
  }
  return sum;
}

void Engine::ResetCounters() {
  std::fill(state_->counted.begin(), state_->counted.end(), State::Count{});
}

}  // namespace edgewise
