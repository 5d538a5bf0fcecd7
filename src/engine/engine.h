// Executes steps of a model on this CPU.
//
//   Engine engine(model, options);
//   const Chunk prompt{.slot = 0, .tokens = ids, .logit_rows = 1};
//   std::span<const float> logits = engine.Run({&prompt, 1});
//   // sample from logits, Run() again with the new token ...
//
// All memory is taken in the constructor (PlanEngineMemory says how much beforehand); Run() allocates
// nothing. Results are bit-identical for any number of threads, any chunk and any batch: every kernel
// has one order of summation, attention runs over fixed tiles of absolute positions in order, and the
// current chunk's keys and values are read back in the KV type. One thread at a time may use an Engine.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/token_id.h"
#include "base/units.h"
#include "graph/cost.h"
#include "graph/op.h"
#include "graph/product_backend.h"
#include "model/model.h"

namespace edgewise {

struct EngineOptions {
  int threads = 0;           // 0: DefaultThreads()
  uint32_t context = 0;      // positions per slot; 0: the smaller of the model's and 4096
  uint32_t batch = 512;      // most rows of a step
  uint32_t slots = 1;        // sequences held at once
  uint32_t logit_rows = 1;   // most rows of a step that want logits
  DType k_type = DType::kF16, v_type = DType::kF16;
  bool populate = false;     // touch all memory in the constructor
  // About speed only. Off by default: with 2 threads neither was ahead of the noise in decode (a few per
  // cent), and huge pages cost a second copy of the file.
  bool huge_pages = false;      // for KV cache and scratch; Gguf::CopyToMemory() gives them to the weights
  bool pin = false;             // each worker on a core of its own
  uint32_t prefetch_bytes = 0;  // how long before its use a weight is asked for; 0: kernels::kPrefetchBytes
  bool profile = false;      // measure the time in each operator: two clock reads a chunk of work
  // Multiplies matrices instead of our kernels: whole products with all rows, in floats. The rest of a step
  // then runs on one thread (whatever `threads` says), for the backend has its own. Must outlive the engine.
  ProductBackend* backend = nullptr;
};

// What the engine will take, in bytes.
struct EngineMemory {
  uint64_t kv = 0;
  uint64_t scratch = 0;  // activations, logits, per-thread buffers
  uint64_t stacks = 0;   // of the worker threads, as touched
};
// Fills in the defaults (threads, context) and checks the options against the model: throws
// Error(kUsage) for a KV type that is none, a batch of 0, a context above 2^24, ...; Error(kLimit)
// for a KV cache whose size would overflow.
EngineOptions ResolveOptions(const Model& model, EngineOptions options);
EngineMemory PlanEngineMemory(const Model& model, const EngineOptions& resolved);

// What a sequence brings to a step.
struct Chunk {
  uint32_t slot = 0;
  std::span<const TokenId> tokens;
  uint32_t logit_rows = 0;  // of the last so many tokens
};

// Added up from the spans really handed to kernels (never from the formulas of graph/cost.h).
struct RoleCount {
  OpCost cost;  // activation_bytes stays 0
  Seconds busy{0};  // of all workers together; only with options.profile
};
struct Counters {
  OpCost counted;  // the sum of by_role
  std::array<RoleCount, kRoles> by_role;
};

class Engine {
 public:
  // The model must outlive the engine. options as ResolveOptions returns them.
  Engine(const Model& model, const EngineOptions& resolved);
  ~Engine();

  // One step. Requires: 1 <= sum of tokens <= batch, token ids within the vocabulary, each slot at
  // most once, room in each slot's context, sum of logit_rows <= options.logit_rows.
  // Returns logits, [sum of logit_rows, vocab] in the order of the chunks; valid until the next call.
  // Throws Error(kIo) when the model's file was cut short under us: the logits are worthless then.
  std::span<const float> Run(std::span<const Chunk> chunks);

  uint32_t Length(uint32_t slot) const;              // positions held
  void Truncate(uint32_t slot, uint32_t length);     // forgets what lies behind; length <= Length

  const Model& model() const { return model_; }
  const EngineOptions& options() const { return options_; }
  const Step& last_step() const;
  Counters counters() const;  // since the last reset
  void ResetCounters();

 private:
  struct State;

  const Model& model_;
  EngineOptions options_;
  std::unique_ptr<State> state_;
};

}  // namespace edgewise
