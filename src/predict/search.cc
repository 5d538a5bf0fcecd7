#include "predict/search.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace edgewise {
namespace {

// Figures that differ by less than a share are equal: by steps of it, so that equality is transitive.
long long Grade(double figure, double share) {
  return std::llround(std::log(std::max(figure, 1e-30)) / share);
}
constexpr double kSame = 1e-3;      // far below what any prediction is worth
constexpr double kRounding = 1e-9;  // differences that are none

int Techniques(const Configuration& c) {
  return (c.window != 0) + (c.usage.cached_prefix != 0) + (c.usage.draft_tokens != 0);
}

// Smaller is better, the first that differs decides.
using Rank = std::array<long long, 7>;
Rank RankOf(const Candidate& candidate) {
  const Figures& f = candidate.figures;
  return {Grade(f.perplexity, kSame),        -static_cast<long long>(candidate.configuration.usage.positions()),
          -Grade(f.tok_s, kSame),            -Grade(f.throughput_tok_s, kSame),
          Grade(f.ttft_s, kSame),            Grade(f.memory_bytes, kSame),
          Techniques(candidate.configuration)};
}

// In order of their ranks, those of equal ones as they were.
std::vector<Candidate> Sorted(std::vector<Candidate> candidates) {
  std::vector<std::pair<Rank, size_t>> order;
  for (const Candidate& candidate : candidates) order.emplace_back(RankOf(candidate), order.size());
  std::ranges::sort(order);
  std::vector<Candidate> sorted;
  sorted.reserve(order.size());
  for (const auto& [rank, at] : order) sorted.push_back(std::move(candidates[at]));
  return sorted;
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
  std::array<std::pair<std::pair<long long, Rank>, std::optional<Relaxation>>, kLimitKinds> relaxed;
  std::optional<std::pair<long long, Rank>> nearest;  // of those that are equally near the best
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
    const std::pair at = {Grade(worst, kSame), RankOf(candidate)};
    if (!nearest || at < *nearest) {
      nearest = at;
      worst_of_nearest = worst_kind;
      answer.nearest = candidate;
    }
    if (missed != 1) continue;
    auto& [least, r] = relaxed[static_cast<size_t>(worst_kind)];
    if (r && !(at < least)) continue;
    least = at;
    r = Relaxation{worst_kind, *limits[worst_kind], FigureOf(candidate.figures, worst_kind), candidate};
  }
  for (const auto& [least, r] : relaxed) {
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

bool RanksBefore(const Candidate& a, const Candidate& b) { return RankOf(a) < RankOf(b); }

std::vector<Candidate> ParetoFront(const std::vector<Candidate>& candidates) {
  using Point = std::array<long long, 4>;  // smaller is better in each
  const auto at_least = [](const Point& a, const Point& b) {
    return a[0] <= b[0] && a[1] <= b[1] && a[2] <= b[2] && a[3] <= b[3];
  };
  std::vector<std::pair<Point, const Candidate*>> front;
  for (const Candidate& candidate : candidates) {
    const Figures& f = candidate.figures;
    const Point point = {-Grade(f.tok_s, kRounding), Grade(f.perplexity, kRounding),
                         Grade(f.memory_bytes, kRounding), Grade(f.joules_per_token, kRounding)};
    if (std::ranges::any_of(front, [&](const auto& other) { return at_least(other.first, point); })) continue;
    std::erase_if(front, [&](const auto& other) { return at_least(point, other.first); });
    front.emplace_back(point, &candidate);
  }
  std::vector<Candidate> points;
  for (const auto& [point, candidate] : front) points.push_back(*candidate);
  return points;
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
  answer.ranked = Sorted(std::move(answer.ranked));
  answer.front = ParetoFront(answer.ranked);
  return answer;
}

}  // namespace edgewise
