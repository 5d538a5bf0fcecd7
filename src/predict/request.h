// What a request costs on a device: memory, time to first token, time per token, energy; with what would
// bound it named. Closed form: no clock, no threads, no weights. docs/prediction.md derives it.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>

#include "base/function_ref.h"
#include "machine/device.h"
#include "model/model.h"
#include "predict/op_time.h"
#include "predict/step_classes.h"

namespace edgewise {

// Relative error of a prediction from rates measured on the same machine: of 40 comparisons on a shared one 29
// were within it (docs/accuracy.md).
inline constexpr double kMeasuredError = 0.2;

// How a model is used. One sequence sees prompt + generate tokens; `batch` such sequences at once.
struct Usage {
  uint32_t prompt = 128;
  uint32_t generate = 128;
  uint32_t batch = 1;
  uint32_t context = 0;        // positions the cache is made for; 0: prompt + generate
  uint32_t chunk = 512;        // rows of a prefill step at most
  DType k_type = DType::kF16, v_type = DType::kF16;
  uint32_t cached_prefix = 0;  // tokens of the prompt whose KV is there already
  uint32_t draft_tokens = 0;   // speculation: tokens proposed in a step, 0: none
  double acceptance = 0;       // probability that a proposed token is right
  double draft_s = 0;          // to propose one: 0 for n-grams

  uint32_t positions() const { return context == 0 ? prompt + generate : context; }
  friend auto operator<=>(const Usage&, const Usage&) = default;
};
// Throws Error(kUsage) naming what contradicts what (a prefix as long as the prompt, acceptance outside [0,
// 1], a context smaller than prompt and generation, ...).
void CheckUsage(const Usage& usage);

// Tokens that a step of speculation gives: the draft's right beginning and the model's own next one. With
// independent chances a: 1 + a + ... + a^draft_tokens = (1 - a^(draft_tokens + 1)) / (1 - a).
double TokensPerStep(uint32_t draft_tokens, double acceptance);

// TTFT and the time of each of the generate - 1 tokens after the first.
double EndToEnd(double ttft, uint32_t generate, double tpot);

// Bytes that a run takes, by kind.
struct MemoryNeed {
  uint64_t weights = 0;   // of the file, mapped
  uint64_t kv = 0;
  uint64_t scratch = 0;   // activations, logits
  uint64_t other = 0;     // program, tokenizer, tables, sampler

  uint64_t beside_weights() const { return kv + scratch + other; }
  uint64_t total() const { return weights + beside_weights(); }
};
// The engine's own memory plan, handed in by who may see the engine: predictions for other devices take it
// that the same program runs there.
using MemoryOf = FunctionRef<MemoryNeed(const Model& model, const Usage& usage)>;

struct MemoryFit {
  MemoryNeed need;
  double usable_bytes = 0;    // of the device
  double resident_share = 1;  // of the weights; the rest is read again for every step
  double resident_kv = 1;     // of the cache: below 1 only where a host keeps the rest
  bool has_link = false;      // the rest comes from the device's host
  bool has_storage = false;   // else from storage

  bool fits() const { return static_cast<double>(need.total()) <= usable_bytes; }
  // Weights may come again and again; the cache and the program may not, except where a host keeps them.
  bool runs() const {
    return fits() || has_link ||
           (has_storage && static_cast<double>(need.beside_weights()) <= usable_bytes);
  }
};
MemoryFit FitMemory(const Device& device, const MemoryNeed& need);

struct Prediction {
  MemoryFit memory;              // when it does not run(), the times below are as if there were memory enough
  // The parts of the time to the first token.
  double load_s = 0, tokenize_s = 0, prefill_s = 0, first_decode_s = 0;  // first_decode_s: the head
  double ttft_s() const { return load_s + tokenize_s + prefill_s + first_decode_s; }
  RoleTimes prefill;             // the sum of its steps
  RoleTimes decode;              // a step in the middle of the generation
  double tokens_per_step = 1;    // of a sequence: above 1 with speculation
  double tpot_s = 0;             // of a sequence, mean over the generation
  double tok_s = 0;              // of a sequence: 1 / tpot_s
  double throughput_tok_s = 0;   // of all sequences
  double prefill_tok_s = 0;      // of all sequences, head included
  double end_to_end_s = 0;       // TTFT and the generate - 1 tokens after it
  TimeBound bound = TimeBound::kMemory;  // of decode
  uint32_t threads = 0;          // priced; 0 where they do not matter
  double error = 0;              // relative: kMeasuredError, 0 on a chip, else as Efficiency::error
  std::string efficiency_from;   // "" where no efficiency is assumed: measured machines, chips
  double watts = 0;              // while decoding, at the device's clock; 0 where nobody knows
  double joules_per_token = 0;   // decode, of one token of one sequence
  double request_joules = 0;     // from the prompt to the last token, of all sequences
};

struct PredictOptions {
  uint32_t threads = 0;           // as PriceOptions
  Efficiency efficiency = {};
  bool include_load = false;      // TTFT of a program that has yet to read the file
  double watts_share = 1;         // of the device's watts under load that this work draws
  double tokenize_token_s = 1e-6; // a server's core takes 0.5 (Llama's SPM) to 0.85 us (GPT-2's BPE)
};

// What a request makes of a model, on whatever device: the steps of the prompt, and that of a token.
struct RequestSteps {
  StepClasses last;                  // of the prompt: the only one that wants logits
  std::optional<StepClasses> chunk;  // those before it, all alike
  StepClasses decode;
};
// Throws Error as CheckUsage does.
RequestSteps StepsOf(const Model& model, const Usage& usage);

// Throws Error as OpPricer does. The steps are priced without being walked: 32K tokens of context take
// microseconds. `steps` and `need` are those of this model and usage.
Prediction Predict(const Device& device, const Model& model, const Usage& usage, const RequestSteps& steps,
                   const MemoryNeed& need, const PredictOptions& options);
// The same from the start.
Prediction Predict(const Device& device, const Model& model, const Usage& usage, MemoryOf memory,
                   const PredictOptions& options);

}  // namespace edgewise
