#include "predict/advice.h"

#include <algorithm>
#include <limits>
#include <map>
#include <optional>

#include "base/error.h"

namespace edgewise {
namespace {

// A device that is sold with another memory.
void SetMemory(Device& device, double bytes) {
  device.memory_bytes.value = bytes;
  device.free_bytes.reset();
}

// nullopt for what cannot be priced: then the change is none.
std::optional<Advised> Priced(Evaluator& evaluator, const Deployment& now,
                              std::span<const Change* const> changes) {
  Deployment setup = now;
  Advised advised;
  for (const Change* change : changes) {
    change->apply(setup);
    advised.what.push_back(change->what);
    advised.kinds.push_back(change->kind);
  }
  advised.device = setup.device.name;
  try {
    advised.after = evaluator.Evaluate(setup.device, setup.configuration);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kUsage) throw;
    return std::nullopt;
  }
  return advised;
}

bool IsLess(const Advised& a, const Advised& b) {
  if (a.kinds.size() != b.kinds.size()) return a.kinds.size() < b.kinds.size();
  const Figures &f = a.after.figures, &g = b.after.figures;
  if (f.perplexity != g.perplexity) return f.perplexity < g.perplexity;
  if (a.kinds != b.kinds) return a.kinds < b.kinds;
  // Of devices and memories that suffice the one that is hardly more than that.
  const bool is_bought = a.kinds.back() >= ChangeKind::kMemory;
  if (is_bought) return f.tok_s < g.tok_s;
  return f.tok_s > g.tok_s;
}

double WorstMiss(const Figures& figures, const Limits& want) {
  double worst = 0;
  for (size_t i = 0; i < kLimitKinds; ++i) {
    const auto kind = static_cast<LimitKind>(i);
    if (want[kind]) worst = std::max(worst, Miss(figures, kind, *want[kind]));
  }
  return worst;
}

}  // namespace

std::vector<Change> ChangesOf(std::span<const ModelChoice> models, const Deployment& now,
                              const ChangeSpace& space) {
  std::vector<Change> changes;
  const auto add = [&](ChangeKind kind, std::string what, std::function<void(Deployment&)> apply) {
    changes.push_back({kind, std::move(what), std::move(apply)});
  };
  const Configuration& c = now.configuration;
  const Usage& u = c.usage;
  for (const uint32_t n : space.threads) {
    if (n == c.threads) continue;
    add(ChangeKind::kThreads, StrCat(n, n == 1 ? " thread" : " threads"),
        [n](Deployment& s) { s.configuration.threads = n; });
  }
  for (const uint32_t n : space.drafts) {
    if (n == u.draft_tokens || n == 0) continue;
    const double acceptance = u.draft_tokens > 0 ? u.acceptance : space.acceptance;
    add(ChangeKind::kSpeculation, StrCat("speculate ", n, " tokens (", acceptance * 100, "% right)"),
        [n, acceptance](Deployment& s) {
          s.configuration.usage.draft_tokens = n;
          s.configuration.usage.acceptance = acceptance;
        });
  }
  for (const uint32_t n : space.prefixes) {
    if (n == u.cached_prefix || n >= u.prompt) continue;
    add(ChangeKind::kPrefix, StrCat("keep the KV of the first ", n, " prompt tokens"),
        [n](Deployment& s) { s.configuration.usage.cached_prefix = n; });
  }
  for (const uint32_t n : space.contexts) {
    if (n == u.positions() || n < u.prompt + u.generate) continue;
    if (n > models[c.model].shape.config.context) continue;
    add(ChangeKind::kContext, StrCat("a context of ", n),
        [n](Deployment& s) { s.configuration.usage.context = n; });
  }
  for (const uint32_t n : space.batches) {
    if (n == u.batch) continue;
    add(ChangeKind::kBatch, StrCat(n, " sequences at once"),
        [n](Deployment& s) { s.configuration.usage.batch = n; });
  }
  for (const auto& kv : space.kv_types) {
    if (kv == std::pair(u.k_type, u.v_type)) continue;
    const uint32_t head = models[c.model].shape.config.head_dim;
    if (head % InfoOf(kv.first).block != 0 || head % InfoOf(kv.second).block != 0) continue;
    const std::string same = kv.first == kv.second ? "" : StrCat(" and ", NameOf(kv.second));
    add(ChangeKind::kKvTypes, StrCat("KV cache in ", NameOf(kv.first), same), [kv](Deployment& s) {
      s.configuration.usage.k_type = kv.first;
      s.configuration.usage.v_type = kv.second;
    });
  }
  for (const std::string& recipe : space.recipes) {
    if (recipe == c.recipe) continue;
    add(ChangeKind::kWeights, StrCat("weights in ", recipe),
        [recipe](Deployment& s) { s.configuration.recipe = recipe; });
  }
  for (const uint32_t n : space.windows) {
    if (n == c.window || n == 0 || n >= u.positions()) continue;
    add(ChangeKind::kWindow, StrCat("attention to the last ", n, " only"),
        [n](Deployment& s) { s.configuration.window = n; });
  }
  for (const double bytes : space.memory_bytes) {
    if (bytes == now.device.memory_bytes.value) continue;
    add(ChangeKind::kMemory, StrCat(HumanBytes(static_cast<uint64_t>(bytes)), " of memory"),
        [bytes](Deployment& s) { SetMemory(s.device, bytes); });
  }
  for (const uint32_t model : space.models) {
    if (model == c.model || u.positions() > models[model].shape.config.context) continue;
    add(ChangeKind::kModel, StrCat("the model ", models[model].name),
        [model](Deployment& s) { s.configuration.model = model; });
  }
  for (const Device& device : space.devices) {
    if (device.name == now.device.name) continue;
    add(ChangeKind::kDevice, StrCat("the device ", device.name), [device](Deployment& s) {
      s.device = device;
      s.configuration.threads = 0;
    });
  }
  return changes;
}

std::vector<Advised> Advise(Evaluator& evaluator, const Deployment& now, std::span<const Change> changes) {
  std::vector<Advised> all;
  for (const Change& change : changes) {
    const Change* one = &change;
    if (auto advised = Priced(evaluator, now, {&one, 1})) all.push_back(std::move(*advised));
  }
  const bool pages = evaluator.Evaluate(now.device, now.configuration).resident_share < 1;
  std::ranges::stable_sort(all, [pages](const Advised& a, const Advised& b) {
    if (pages && (a.after.resident_share == 1) != (b.after.resident_share == 1))
      return a.after.resident_share == 1;
    return a.after.figures.tok_s > b.after.figures.tok_s;
  });
  return all;
}

LeastChange FindLeastChange(Evaluator& evaluator, const Deployment& now, std::span<const Change> changes,
                            const Limits& want) {
  LeastChange answer;
  answer.now = evaluator.Evaluate(now.device, now.configuration);
  answer.holds = Keeps(answer.now.figures, want);
  if (answer.holds) return answer;
  double nearest = std::numeric_limits<double>::infinity();
  std::map<std::vector<ChangeKind>, Advised> least;
  // Whether it reaches what is wanted.
  const auto consider = [&](std::span<const Change* const> some) {
    const auto advised = Priced(evaluator, now, some);
    if (!advised) return false;
    const double miss = WorstMiss(advised->after.figures, want);
    if (miss < nearest) {
      nearest = miss;
      answer.nearest = *advised;
    }
    if (miss > 1) return false;
    const auto [at, is_new] = least.try_emplace(advised->kinds, *advised);
    if (!is_new && IsLess(*advised, at->second)) at->second = *advised;
    return true;
  };
  std::vector<const Change*> rest;  // what does not do it alone
  for (const Change& change : changes) {
    const Change* one = &change;
    if (!consider({&one, 1}) && change.kind != ChangeKind::kDevice) rest.push_back(one);
  }
  if (least.empty()) {
    for (size_t i = 0; i < rest.size(); ++i) {
      for (size_t j = i + 1; j < rest.size(); ++j) {
        if (rest[i]->kind == rest[j]->kind) continue;
        const Change* two[] = {rest[i], rest[j]};
        consider(two);
      }
    }
  }
  for (const auto& [kinds, advised] : least) answer.ways.push_back(advised);
  std::ranges::sort(answer.ways, IsLess);
  return answer;
}

SearchResult FindChipChange(const ChipDesign& design, const Model& model, const Usage& usage, double tok_s,
                            const ChangeLimits& limits) {
  const uint64_t context = usage.prompt + usage.generate / 2;  // half way through the text
  const auto task = [&](uint64_t tokens) {
    return Task{.parts = {{WorkloadOf(model.config(), {tokens, context, tokens}), 1}},
                .tokens = static_cast<double>(tokens)};
  };
  const AttentionOn attention = design.host_macs_s > 0 ? AttentionOn::kHost : AttentionOn::kChip;
  return FindLeastChange(design, task, {SpeedUnit::kTokensPerSecond, tok_s}, attention,
                         ChangesOf(design, limits));
}

}  // namespace edgewise
