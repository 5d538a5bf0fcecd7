#include "predict/search.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace edgewise {
namespace {

// Figures within a thousandth are taken for equal, far below what any prediction is worth: by
// steps, so that equality is transitive.
long long Step(double figure) { return std::llround(std::log(std::max(figure, 1e-30)) * 1e3); }

// Negative: a is smaller; 0: they are equal.
int Compare(double a, double b) {
  const long long i = Step(a), j = Step(b);
  return i < j ? -1 : i > j;
}

int Techniques(const Configuration& c) {
  return (c.window != 0) + (c.usage.cached_prefix != 0) + (c.usage.draft_tokens != 0);
}

Limits WithDeviceMemory(const Device& device, Limits limits) {
  std::optional<double>& memory = limits[LimitKind::kMemory];
  // How much memory a chip is given is not part of its design.
  const double usable = device.usable_bytes();
  if (memory && !device.chip && *memory > device.memory_bytes.value) {
    throw Error(ErrorCode::kUsage, StrCat("a memory limit of ", HumanBytes(static_cast<uint64_t>(*memory)),
                                          " contradicts ", device.name, ", which has ",
                                          HumanBytes(static_cast<uint64_t>(device.memory_bytes.value)),
                                          ": lower it, or take another device"));
  }
  if (!device.chip) memory = std::min(memory.value_or(usable), usable);
  if (limits[LimitKind::kWatts] && !device.watts && !device.chip) {
    throw Error(ErrorCode::kUsage, StrCat("nobody knows the watts of ", device.name,
                                          ": leave out the limit, or give them in a device file"));
  }
  return limits;
}

// Without its time: whether it can keep the limits at all.
bool MayKeep(Evaluator& evaluator, const Device& device, const Configuration& c, const Limits& limits) {
  const Figures figures = evaluator.WithoutTime(c);
  for (const LimitKind kind : {LimitKind::kMemory, LimitKind::kLoss}) {
    if (limits[kind] && Miss(figures, kind, *limits[kind]) > 1) return false;
  }
  const auto& tok_s = limits[LimitKind::kTokS];
  return !tok_s || evaluator.MostTokensPerSecond(device, c) >= *tok_s;
}

// Nothing keeps the limits: which one is to blame, and how near one gets.
void Explain(Evaluator& evaluator, const Device& device, const std::vector<Configuration>& all,
             const Limits& limits, SearchAnswer& answer) {
  std::array<std::optional<Relaxation>, kLimitKinds> relaxed;
  double least_worst = std::numeric_limits<double>::infinity();
  LimitKind worst_of_nearest = LimitKind::kMemory;
  for (const Configuration& c : all) {
    const Candidate candidate = evaluator.Evaluate(device, c);
    ++answer.priced;
    double worst = 0;
    LimitKind worst_kind = LimitKind::kMemory;
    int missed = 0;
    for (size_t i = 0; i < kLimitKinds; ++i) {
      const auto kind = static_cast<LimitKind>(i);
      if (!limits[kind]) continue;
      const double miss = Miss(candidate.figures, kind, *limits[kind]);
      missed += miss > 1;
      if (miss > worst) {
        worst = miss;
        worst_kind = kind;
      }
    }
    if (worst < least_worst) {
      least_worst = worst;
      worst_of_nearest = worst_kind;
      answer.nearest = candidate;
    }
    if (missed != 1) continue;
    std::optional<Relaxation>& r = relaxed[static_cast<size_t>(worst_kind)];
    const double asked = *limits[worst_kind];
    if (r && Miss(r->at.figures, worst_kind, asked) <= worst) continue;
    r = Relaxation{worst_kind, asked, FigureOf(candidate.figures, worst_kind), candidate};
  }
  for (const auto& r : relaxed) {
    if (r) answer.relaxations.push_back(*r);
  }
  std::ranges::sort(answer.relaxations, {},
                    [](const Relaxation& r) { return Miss(r.at.figures, r.kind, r.asked); });
  answer.tightest = answer.relaxations.empty() ? worst_of_nearest : answer.relaxations.front().kind;
}

}  // namespace

const char* NameOf(LimitKind kind) {
  switch (kind) {
    case LimitKind::kMemory: return "memory";
    case LimitKind::kTtft: return "time to first token";
    case LimitKind::kTokS: return "tokens per second";
    case LimitKind::kWatts: return "watts";
    case LimitKind::kLoss: return "loss of perplexity";
  }
  return "";
}

double FigureOf(const Figures& figures, LimitKind kind) {
  switch (kind) {
    case LimitKind::kMemory: return figures.memory_bytes;
    case LimitKind::kTtft: return figures.ttft_s;
    case LimitKind::kTokS: return figures.tok_s;
    case LimitKind::kWatts: return figures.watts;
    case LimitKind::kLoss: return figures.loss;
  }
  return 0;
}

double Miss(const Figures& figures, LimitKind kind, double limit) {
  const double figure = FigureOf(figures, kind);
  if (kind == LimitKind::kTokS) return limit / figure;
  if (kind == LimitKind::kLoss) return (1 + figure) / (1 + limit);
  return figure / limit;
}

bool Keeps(const Figures& figures, const Limits& limits) {
  for (size_t i = 0; i < kLimitKinds; ++i) {
    const auto kind = static_cast<LimitKind>(i);
    if (limits[kind] && Miss(figures, kind, *limits[kind]) > 1) return false;
  }
  return true;
}

std::vector<uint32_t> DistinctModels(std::span<const ModelChoice> models) {
  const auto same_weights = [](const ModelShape& a, const ModelShape& b) {
    const ModelConfig &c = a.config, &d = b.config;
    return c.architecture == d.architecture && c.vocab == d.vocab && c.width == d.width &&
           c.layers == d.layers && c.heads == d.heads && c.kv_heads == d.kv_heads &&
           c.head_dim == d.head_dim && c.ffn == d.ffn && c.window == d.window &&
           a.tied_output == b.tied_output;
  };
  std::vector<uint32_t> distinct;
  for (uint32_t i = 0; i < models.size(); ++i) {
    const bool superseded = std::ranges::any_of(models, [&](const ModelChoice& other) {
      return same_weights(other.shape, models[i].shape) &&
             other.shape.config.context > models[i].shape.config.context;
    });
    if (!superseded) distinct.push_back(i);
  }
  return distinct;
}

std::vector<Configuration> Enumerate(std::span<const ModelChoice> models, const Space& space) {
  std::vector<Configuration> all;
  Configuration c;
  c.usage = space.base;
  // One loop for each choice, the model outermost so that it is made once.
  const auto each = [](const auto& values, auto& place, auto&& then) {
    for (const auto& value : values) {
      place = value;
      then();
    }
  };
  Usage& u = c.usage;
  std::pair<DType, DType> kv;
  // clang-format off
  each(space.models, c.model, [&] {
  each(space.recipes, c.recipe, [&] {
  each(space.windows, c.window, [&] {
  each(space.kv_types, kv, [&] {
    u.k_type = kv.first;
    u.v_type = kv.second;
    const ModelConfig& config = models[c.model].shape.config;
    const bool fills = config.head_dim % InfoOf(u.k_type).block == 0 &&
                       config.head_dim % InfoOf(u.v_type).block == 0;
    if (!fills) return;
  each(space.contexts, u.context, [&] {
    if (u.positions() > config.context) return;
  each(space.batches, u.batch, [&] {
  each(space.chunks, u.chunk, [&] {
  each(space.cached_prefixes, u.cached_prefix, [&] {
  each(space.drafts, u.draft_tokens, [&] {
  each(space.threads, c.threads, [&] {
    all.push_back(c);
  }); }); }); }); }); }); }); }); }); });
  // clang-format on
  return all;
}

bool RanksBefore(const Candidate& a, const Candidate& b) {
  const Figures &f = a.figures, &g = b.figures;
  if (const int order = Compare(f.perplexity, g.perplexity); order != 0) return order < 0;
  const uint32_t context = a.configuration.usage.positions(), other = b.configuration.usage.positions();
  if (context != other) return context > other;
  if (const int order = Compare(f.tok_s, g.tok_s); order != 0) return order > 0;
  if (const int order = Compare(f.throughput_tok_s, g.throughput_tok_s); order != 0) return order > 0;
  if (const int order = Compare(f.ttft_s, g.ttft_s); order != 0) return order < 0;
  if (const int order = Compare(f.memory_bytes, g.memory_bytes); order != 0) return order < 0;
  return Techniques(a.configuration) < Techniques(b.configuration);
}

std::vector<Candidate> ParetoFront(const std::vector<Candidate>& candidates) {
  const auto at_least = [](const Figures& a, const Figures& b) {
    return a.tok_s >= b.tok_s && a.perplexity <= b.perplexity && a.memory_bytes <= b.memory_bytes &&
           a.joules_per_token <= b.joules_per_token;
  };
  std::vector<Candidate> front;
  for (const Candidate& candidate : candidates) {
    const Figures& f = candidate.figures;
    if (std::ranges::any_of(front, [&](const Candidate& other) { return at_least(other.figures, f); }))
      continue;
    std::erase_if(front, [&](const Candidate& other) { return at_least(f, other.figures); });
    front.push_back(candidate);
  }
  return front;
}

SearchAnswer Search(Evaluator& evaluator, const Device& device, const Space& space, const Limits& asked) {
  const Limits limits = WithDeviceMemory(device, asked);
  const std::vector<Configuration> all = Enumerate(evaluator.models(), space);
  if (all.empty()) {
    throw Error(ErrorCode::kUsage,
                "nothing to choose from: no model here was made for so long a context, or its heads do not "
                "fill the blocks of these KV types");
  }
  SearchAnswer answer;
  answer.configurations = all.size();
  for (const Configuration& c : all) {
    if (!MayKeep(evaluator, device, c, limits)) continue;
    const Candidate candidate = evaluator.Evaluate(device, c);
    ++answer.priced;
    if (Keeps(candidate.figures, limits)) answer.ranked.push_back(candidate);
  }
  if (answer.ranked.empty()) {
    Explain(evaluator, device, all, limits, answer);
    return answer;
  }
  std::ranges::stable_sort(answer.ranked, RanksBefore);
  answer.front = ParetoFront(answer.ranked);
  return answer;
}

}  // namespace edgewise
