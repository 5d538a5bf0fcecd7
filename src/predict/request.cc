#include "predict/request.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "predict/battery.h"
#include "quant/kv_type.h"

namespace edgewise {
namespace {

// Positions at which decode, and chunks at which prefill is priced to have its mean where cost is no line in
// the position (chips: steps on a line; with a window: two lines); up to so many are all priced.
constexpr uint32_t kDecodeSamples = 129, kPrefillSamples = 4096;
// The engine's own limits: of --draft-ngram and of a context.
constexpr uint32_t kMostDraftTokens = 64, kMostPositions = 1 << 24;
constexpr uint32_t kMostSequences = 4096;

// Of a prompt: those before the last, which alone wants logits.
uint32_t WholeChunks(const Usage& usage) { return (usage.prompt - usage.cached_prefix - 1) / usage.chunk; }

// A step, priced at any depth: all but attention costs the same at every depth.
class StepAtDepth {
 public:
  StepAtDepth(const OpPricer& pricer, const StepClasses& classes) : pricer_(pricer), classes_(classes) {
    sequences_.sequences = classes.sequences;
    for (const OpClass& one : classes.ops) {
      AddTo(time_, one.op.role, pricer.Price(one.op, one.cost, sequences_) * one.count);
    }
    time_.total.Add(TimeBound::kOverhead, classes.phases * pricer.phase_s() + pricer.step_s());
  }
  StepAtDepth(const StepAtDepth&) = delete;

  // Of all layers.
  OpTime Attention(uint32_t kv_len) {
    for (Sequence& sequence : sequences_.sequences) sequence.kv_len = kv_len;
    return pricer_.Price(classes_.attention, sequences_) * classes_.layers;
  }
  // Of chips attention takes whole tiles, and a window ends what grows.
  bool is_convex() const { return !pricer_.is_chip() && classes_.attention.attention.window == 0; }
  const RoleTimes& without_attention() const { return time_; }

  RoleTimes At(uint32_t kv_len) {
    RoleTimes time = time_;
    AddTo(time, Role::kAttention, Attention(kv_len));
    return time;
  }
  static void AddTo(RoleTimes& sum, Role role, const OpTime& time) {
    sum.by_role[static_cast<size_t>(role)] += time;
    sum.total += time;
  }

 private:
  const OpPricer& pricer_;
  const StepClasses& classes_;
  Step sequences_;  // without operators
  RoleTimes time_;
};

// Whether a time lies on the line from `first` to `last`, at `share` of the way.
bool IsOnLine(const OpTime& first, const OpTime& time, const OpTime& last, double share) {
  const auto on_line = [share](double a, double b, double c) {
    return std::abs(a + share * (c - a) - b) <= 1e-12 * (std::abs(a) + std::abs(c));
  };
  if (!on_line(first.joules, time.joules, last.joules)) return false;
  for (size_t i = 0; i < kTimeBounds; ++i) {
    if (!on_line(first.spent_s[i], time.spent_s[i], last.spent_s[i])) return false;
  }
  return true;
}

// Mean attention of `count` steps, the first at depth `first`, each `stride` deeper than the one before.
OpTime MeanAttention(StepAtDepth& step, uint32_t first, uint32_t stride, uint32_t count,
                     uint32_t most_samples) {
  const auto at = [&](uint32_t i) { return step.Attention(first + stride * i); };
  if (count > 3 && step.is_convex()) {
    // What is convex and on one line at its ends and somewhere between is so everywhere.
    const uint32_t middle = count / 2;
    const OpTime begin = at(0), end = at(count - 1);
    if (IsOnLine(begin, at(middle), end, static_cast<double>(middle) / (count - 1))) {
      OpTime sum = begin;
      sum += end;
      return sum * 0.5;
    }
  }
  // Sampled evenly and symmetric about the middle, so that what is linear has its exact mean.
  const uint32_t samples = std::min(count, most_samples);
  OpTime sum;
  for (uint32_t i = 0; i < samples; ++i) {
    const uint32_t mirrored = std::min(i, samples - 1 - i);
    const uint32_t near =
        samples == 1 ? 0 : static_cast<uint32_t>(uint64_t{mirrored} * (count - 1) / (samples - 1));
    sum += at(i == mirrored ? near : count - 1 - near);
  }
  return sum * (1.0 / samples);
}

// The prompts of all sequences, one after the other.
RoleTimes PricePrefill(const OpPricer& pricer, const RequestSteps& steps, const Usage& usage) {
  const uint32_t whole = WholeChunks(usage);
  RoleTimes sum = StepAtDepth(pricer, steps.last).At(usage.cached_prefix + whole * usage.chunk);
  if (whole > 0) {
    StepAtDepth chunk(pricer, *steps.chunk);
    const OpTime attention =
        MeanAttention(chunk, usage.cached_prefix, usage.chunk, whole, kPrefillSamples) * whole;
    const RoleTimes& rest = chunk.without_attention();
    for (size_t role = 0; role < kRoles; ++role) sum.by_role[role] += rest.by_role[role] * whole;
    sum.total += rest.total * whole;
    StepAtDepth::AddTo(sum, Role::kAttention, attention);
  }
  for (OpTime& role : sum.by_role) role = role * usage.batch;
  sum.total = sum.total * usage.batch;
  return sum;
}

double HeadSeconds(const RoleTimes& step) {
  return step.by_role[static_cast<size_t>(Role::kOutputNorm)].seconds() +
         step.by_role[static_cast<size_t>(Role::kHead)].seconds();
}

[[noreturn]] void Refuse(std::string message) { throw Error(ErrorCode::kUsage, std::move(message)); }

}  // namespace

void CheckUsage(const Usage& u) {
  if (u.prompt == 0) Refuse("a prompt of 0 tokens: there is nothing to predict, give at least 1");
  if (u.batch == 0 || u.batch > kMostSequences) {
    Refuse(StrCat("a batch of ", u.batch, " sequences is outside 1..", kMostSequences));
  }
  if (u.chunk == 0) Refuse("prefill in chunks of 0 tokens never ends: give at least 1");
  if (uint64_t{u.prompt} + u.generate > kMostPositions) {
    Refuse(StrCat(u.prompt, " tokens of prompt and ", u.generate, " generated are more than 2^24"));
  }
  if (u.context > kMostPositions) Refuse(StrCat("a context of ", u.context, " positions is more than 2^24"));
  if (u.context != 0 && u.context < u.prompt + u.generate) {
    Refuse(StrCat("a context of ", u.context, " positions does not hold ", u.prompt, " tokens of prompt and ",
                  u.generate, " generated: make it ", u.prompt + u.generate, " or generate less"));
  }
  if (u.cached_prefix >= u.prompt) {
    Refuse(StrCat("a cached prefix of ", u.cached_prefix, " tokens leaves nothing of a prompt of ", u.prompt,
                  ": its last token is always computed"));
  }
  for (const DType type : {u.k_type, u.v_type}) {
    if (IsKvType(type)) continue;
    Refuse(StrCat("no KV cache is made of ", NameOf(type), ": take F32, F16, Q8_0 or Q4_0"));
  }
  if (u.draft_tokens > kMostDraftTokens) {
    Refuse(StrCat(u.draft_tokens, " draft tokens a step: at most ", kMostDraftTokens));
  }
  if (!(u.acceptance >= 0 && u.acceptance <= 1)) {
    Refuse(StrCat("acceptance ", u.acceptance, " is no probability: between 0 and 1"));
  }
  if (!(u.draft_s >= 0) || std::isinf(u.draft_s)) {
    Refuse(StrCat("a draft token takes ", u.draft_s, " s: give a time of 0 or more"));
  }
}

double TokensPerStep(uint32_t draft_tokens, double acceptance) {
  if (acceptance == 1) return draft_tokens + 1.0;
  return (1 - std::pow(acceptance, draft_tokens + 1.0)) / (1 - acceptance);
}

double EndToEnd(double ttft, uint32_t generate, double tpot) {
  return ttft + (generate > 1 ? (generate - 1.0) * tpot : 0);
}

MemoryFit FitMemory(const Device& device, const MemoryNeed& need) {
  MemoryFit fit;
  fit.need = need;
  fit.usable_bytes = device.usable_bytes();
  fit.has_link = device.host_bytes_s.has_value();
  fit.has_storage = device.storage_bytes_s.has_value();
  if (!fit.fits()) {
    const double left = fit.usable_bytes - static_cast<double>(need.beside_weights());
    const auto kv = static_cast<double>(need.kv);
    fit.resident_share = std::clamp(left / static_cast<double>(need.weights), 0.0, 1.0);
    if (fit.has_link) fit.resident_kv = std::clamp((left + kv) / kv, 0.0, 1.0);
  }
  return fit;
}

RequestSteps StepsOf(const Model& model, const Usage& usage) {
  CheckUsage(usage);
  const auto classes = [&](uint32_t sequences, uint32_t rows, uint32_t logit_rows) {
    const std::vector<Sequence> all(sequences, {.rows = rows, .logit_rows = logit_rows});
    return ClassesOf(model, usage.k_type, usage.v_type, all);
  };
  const uint32_t whole = WholeChunks(usage);
  // Speculation verifies its draft in one step of so many rows more.
  const uint32_t rows = usage.draft_tokens + 1;
  RequestSteps steps = {.last = classes(1, usage.prompt - usage.cached_prefix - whole * usage.chunk, 1),
                        .chunk = std::nullopt,
                        .decode = classes(usage.batch, rows, rows)};
  if (whole > 0) steps.chunk = classes(1, usage.chunk, 0);
  return steps;
}

Prediction Predict(const Device& device, const Model& model, const Usage& usage, MemoryOf memory,
                   const PredictOptions& options) {
  return Predict(device, model, usage, StepsOf(model, usage), memory(model, usage), options);
}

Prediction Predict(const Device& device, const Model& model, const Usage& usage, const RequestSteps& steps,
                   const MemoryNeed& need, const PredictOptions& options) {
  Prediction p;
  p.memory = FitMemory(device, need);
  const OpPricer pricer(device, model,
                        {.threads = options.threads,
                         .efficiency = options.efficiency,
                         .resident_share = p.memory.runs() ? p.memory.resident_share : 1,
                         .resident_kv = p.memory.resident_kv});
  p.threads = pricer.threads();

  p.prefill = PricePrefill(pricer, steps, usage);
  p.first_decode_s = HeadSeconds(p.prefill);
  p.prefill_s = p.prefill.total.seconds() - p.first_decode_s;
  const double prefill_rows = static_cast<double>(usage.prompt - usage.cached_prefix) * usage.batch;
  p.prefill_tok_s = prefill_rows / p.prefill.total.seconds();
  p.tokenize_s = static_cast<double>(usage.prompt) * usage.batch * options.tokenize_token_s;
  if (options.include_load && device.storage_bytes_s) {
    p.load_s = static_cast<double>(p.memory.need.weights) / device.storage_bytes_s->value;
  }

  const uint32_t later = std::max(usage.generate, 2u) - 1;
  StepAtDepth step(pricer, steps.decode);
  OpTime mean = step.without_attention().total;
  mean += MeanAttention(step, usage.prompt, 1, later, kDecodeSamples);
  p.decode = step.At(usage.prompt + (later - 1) / 2);
  p.bound = p.decode.total.bound();
  p.tokens_per_step = TokensPerStep(usage.draft_tokens, usage.acceptance);
  p.tpot_s = (mean.seconds() + usage.draft_tokens * usage.draft_s) / p.tokens_per_step;
  p.tok_s = 1 / p.tpot_s;
  p.throughput_tok_s = usage.batch * p.tok_s;
  p.end_to_end_s = EndToEnd(p.ttft_s(), usage.generate, p.tpot_s);

  const double later_tokens = static_cast<double>(later - (usage.generate < 2 ? 1 : 0)) * usage.batch;
  if (device.chip) {
    p.joules_per_token = mean.joules / (p.tokens_per_step * usage.batch);
    p.watts = p.joules_per_token * p.throughput_tok_s;
    p.request_joules = p.prefill.total.joules + later_tokens * p.joules_per_token;
  } else {
    p.error = device.is_measured() ? kMeasuredError : options.efficiency.error;
    if (!device.is_measured()) p.efficiency_from = options.efficiency.from;
    if (device.watts) {
      const double full = device.watts->value * options.watts_share;
      const double idle = device.idle_watts ? device.idle_watts->value : 0;
      p.watts = DvfsWatts(full, std::min(idle, full), device.clock_share);
    }
    p.joules_per_token = p.watts / p.throughput_tok_s;
    p.request_joules = p.watts * p.end_to_end_s;
  }
  return p;
}

}  // namespace edgewise
