#include "predict/search.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "base/error.h"

namespace edgewise {
namespace {

// Figures that differ by less than a share are equal: by steps of it, so that equality is transitive.
long long Grade(double figure, double share) {
  return std::llround(std::log(std::clamp(figure, 1e-30, 1e30)) / share);
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
  return {Grade(f.perplexity, kSame),
          -static_cast<long long>(candidate.configuration.usage.positions()),
          -Grade(f.tok_s, kSame),
          -Grade(f.throughput_tok_s, kSame),
          Grade(f.ttft_s, kSame),
          Grade(f.memory_bytes, kSame),
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

// By what factors a configuration misses its limits; below 1 where it keeps one.
using Misses = std::array<double, kLimitKinds>;

Misses MissesOf(const Figures& figures, const Limits& limits) {
  Misses misses{};
  for (size_t i = 0; i < kLimitKinds; ++i) {
    const auto kind = static_cast<LimitKind>(i);
    if (limits[kind]) misses[i] = Miss(figures, kind, *limits[kind]);
  }
  return misses;
}

// What is known before its time is computed: of memory and quality all, of speed the least that is missed.
Misses LeastMisses(Evaluator& evaluator, const Device& device, const Configuration& c, const Limits& limits) {
  const Figures& figures = evaluator.WithoutTime(c);
  Misses misses{};
  for (const LimitKind kind : {LimitKind::kMemory, LimitKind::kLoss}) {
    if (limits[kind]) misses[static_cast<size_t>(kind)] = Miss(figures, kind, *limits[kind]);
  }
  if (const auto& tok_s = limits[LimitKind::kTokS]) {
    misses[static_cast<size_t>(LimitKind::kTokS)] = *tok_s / evaluator.MostTokensPerSecond(device, c);
  }
  return misses;
}

double Worst(const Misses& misses) { return *std::ranges::max_element(misses); }
LimitKind WorstKind(const Misses& misses) {
  return static_cast<LimitKind>(std::ranges::max_element(misses) - misses.begin());
}

// How far from all limits: the worst miss first, then the next; of those kept nothing counts.
using Distance = std::array<long long, kLimitKinds>;
Distance DistanceOf(const Misses& misses) {
  Distance distance;
  std::ranges::transform(misses, distance.begin(),
                         [](double miss) { return Grade(std::max(miss, 1.0), kSame); });
  std::ranges::sort(distance, std::greater());
  return distance;
}

// Nothing keeps the limits: which one is to blame, and how near one gets.
class Explainer {
 public:
  explicit Explainer(const Limits& limits) : limits_(limits) {}

  // Whether a configuration that misses its limits by so much at least may change the answer.
  bool MayMatter(const Misses& least) const {
    const Distance distance = DistanceOf(least);
    if (!nearest_ || distance <= nearest_->first.first) return true;
    const auto missed = std::ranges::count_if(least, [](double miss) { return miss > 1; });
    if (missed != 1) return missed == 0;
    const auto& relaxed = relaxed_[static_cast<size_t>(WorstKind(least))];
    return !relaxed || distance <= relaxed->first.first;
  }

  void Take(const Candidate& candidate) {
    const Misses misses = MissesOf(candidate.figures, limits_);
    const std::pair rank = {DistanceOf(misses), RankOf(candidate)};
    Keep(rank, candidate, nearest_);
    if (std::ranges::count_if(misses, [](double miss) { return miss > 1; }) == 1) {
      Keep(rank, candidate, relaxed_[static_cast<size_t>(WorstKind(misses))]);
    }
  }

  void Answer(SearchAnswer& answer) const {
    for (size_t i = 0; i < kLimitKinds; ++i) {
      if (!relaxed_[i]) continue;
      const auto kind = static_cast<LimitKind>(i);
      const Candidate& at = relaxed_[i]->second;
      answer.relaxations.push_back({kind, *limits_[kind], FigureOf(at.figures, kind), at});
    }
    std::ranges::sort(answer.relaxations, {},
                      [](const Relaxation& r) { return Miss(r.at.figures, r.kind, r.asked); });
    answer.nearest = nearest_->second;
    answer.tightest = answer.relaxations.empty() ? WorstKind(MissesOf(answer.nearest->figures, limits_))
                                                 : answer.relaxations.front().kind;
  }

 private:
  // Of those that are equally far the better.
  using Ranked = std::optional<std::pair<std::pair<Distance, Rank>, Candidate>>;
  static void Keep(const std::pair<Distance, Rank>& rank, const Candidate& candidate, Ranked& best) {
    if (!best || rank < best->first) best = {rank, candidate};
  }

  const Limits& limits_;
  Ranked nearest_;
  std::array<Ranked, kLimitKinds> relaxed_;  // of those that miss one limit alone
};

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
  std::vector<Candidate> missed;
  std::vector<std::pair<Misses, const Configuration*>> hopeless;
  for (const Configuration& c : all) {
    const Misses least = LeastMisses(evaluator, device, c, limits);
    if (Worst(least) > 1) {
      hopeless.emplace_back(least, &c);
      continue;
    }
    Candidate candidate = evaluator.Evaluate(device, c);
    ++answer.priced;
    (Keeps(candidate.figures, limits) ? answer.ranked : missed).push_back(std::move(candidate));
  }
  if (answer.ranked.empty()) {
    Explainer explainer(limits);
    for (const Candidate& candidate : missed) explainer.Take(candidate);
    std::ranges::stable_sort(hopeless, {}, [](const auto& one) { return Worst(one.first); });
    for (const auto& [least, c] : hopeless) {
      if (!explainer.MayMatter(least)) continue;
      explainer.Take(evaluator.Evaluate(device, *c));
      ++answer.priced;
    }
    explainer.Answer(answer);
    return answer;
  }
  answer.ranked = Sorted(std::move(answer.ranked));
  answer.front = ParetoFront(answer.ranked);
  return answer;
}

}  // namespace edgewise
