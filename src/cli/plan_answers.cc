// Advice, the least change and searches, in words and in JSON.
#include <algorithm>
#include <cmath>
#include <map>

#include "base/strings.h"
#include "cli/console.h"
#include "cli/plan_report.h"
#include "cli/table.h"
#include "cli/text.h"

namespace edgewise {
namespace {

constexpr size_t kMostAdvice = 10, kMostOfKind = 2;
constexpr size_t kMostRanked = 8, kMostFront = 10;

std::string Joined(const std::vector<std::string>& parts, const char* between = " and ") {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : between) + part;
  return text;
}

// "memory at most 4.00 GB", "tokens per second at least 5 tok/s".
std::string LimitText(LimitKind kind, double value) {
  return StrCat(NameOf(kind), kind == LimitKind::kTokS ? " at least " : " at most ", FigureText(kind, value));
}

std::string LimitsText(const Limits& limits) {
  std::vector<std::string> texts;
  for (size_t i = 0; i < kLimitKinds; ++i) {
    const auto kind = static_cast<LimitKind>(i);
    if (limits[kind]) texts.push_back(LimitText(kind, *limits[kind]));
  }
  return Joined(texts, ", ");
}

std::string FitText(const Candidate& candidate) { return candidate.resident_share < 1 ? "pages" : ""; }

void AddChange(Table& table, const Candidate& now, const Advised& one) {
  const Figures &f = one.after.figures, &g = now.figures;
  const uint32_t sequences = one.after.configuration.usage.batch;
  table.Add({Joined(one.what), RateText(f.tok_s) + (sequences > 1 ? StrCat(" x ", sequences) : ""),
             GainText(g.throughput_tok_s, f.throughput_tok_s), HumanSeconds(f.ttft_s),
             GigabyteText(f.memory_bytes), LossText(f.loss), FitText(one.after)});
}

Table ChangeTable() { return Table({"<change", "tok/s", "", "first token", "memory", "loss", "<"}); }

Json FiguresJson(const Candidate& candidate) {
  const Figures& f = candidate.figures;
  Json json = Json::Object();
  json.Set("memory_bytes", f.memory_bytes)
      .Set("ttft_ms", f.ttft_s * 1e3)
      .Set("tok_s", f.tok_s)
      .Set("throughput_tok_s", f.throughput_tok_s)
      .Set("ppl_loss", f.loss)
      .Set("relative_perplexity", f.perplexity)
      .Set("bound", NameOf(candidate.bound))
      .Set("fits", candidate.resident_share >= 1);
  if (f.watts > 0) json.Set("watts", f.watts).Set("joules_per_token", f.joules_per_token);
  return json;
}

Json AdvisedJson(const Advised& one) {
  Json what = Json::Array();
  for (const std::string& change : one.what) what.Push(change);
  Json json = FiguresJson(one.after);
  json.Set("changes", std::move(what)).Set("device", one.device);
  return json;
}

Json LimitsJson(const Limits& limits) {
  constexpr const char* kKeys[kLimitKinds] = {"memory_bytes", "ttft_s", "tok_s", "watts", "ppl_loss"};
  Json json = Json::Object();
  for (size_t i = 0; i < kLimitKinds; ++i) {
    if (limits.most[i]) json.Set(kKeys[i], *limits.most[i]);
  }
  return json;
}

Json CandidateJson(std::span<const ModelChoice> models, const Candidate& candidate) {
  const Configuration& c = candidate.configuration;
  Json json = FiguresJson(candidate);
  json.Set("model", models[c.model].name)
      .Set("type", c.recipe)
      .Set("cache_type_k", NameOf(c.usage.k_type))
      .Set("cache_type_v", NameOf(c.usage.v_type))
      .Set("context", c.usage.positions())
      .Set("sequences", c.usage.batch)
      .Set("chunk", c.usage.chunk)
      .Set("draft", c.usage.draft_tokens)
      .Set("prefix", c.usage.cached_prefix)
      .Set("window", c.window)
      .Set("threads", c.threads);
  return json;
}

Table CandidateTable() {
  return Table({"<model", "<configuration", "tok/s", "first token", "memory", "W", "loss", "perplexity*"});
}

void AddCandidate(Table& table, std::span<const ModelChoice> models, const Candidate& candidate) {
  const Configuration& c = candidate.configuration;
  const Figures& f = candidate.figures;
  table.Add({models[c.model].name, ConfigurationText(c), RateText(f.tok_s), HumanSeconds(f.ttft_s),
             GigabyteText(f.memory_bytes), f.watts > 0 ? Number(f.watts, "%.3g") : "?", LossText(f.loss),
             PerplexityText(f.perplexity)});
}

constexpr const char* kPerplexityNote =
    "  * expected, over that of a model of 7 billion parameters in F16: as parameters to the -0.2, a rule of "
    "thumb\n"
    "    that ranks sizes, times what the number formats lose.\n";

// The best of each model, in order.
std::vector<const Candidate*> BestOfEachModel(const std::vector<Candidate>& ranked) {
  std::vector<const Candidate*> best;
  for (const Candidate& candidate : ranked) {
    const bool seen = std::ranges::any_of(best, [&](const Candidate* other) {
      return other->configuration.model == candidate.configuration.model;
    });
    if (!seen) best.push_back(&candidate);
  }
  return best;
}

// Evenly through a front that is too long to show, both ends included.
std::vector<const Candidate*> Thinned(std::vector<const Candidate*> front) {
  if (front.size() <= kMostFront) return front;
  std::vector<const Candidate*> some;
  for (size_t i = 0; i < kMostFront; ++i) some.push_back(front[i * (front.size() - 1) / (kMostFront - 1)]);
  return some;
}

}  // namespace

std::vector<const Advised*> Selected(const Candidate& now, std::span<const Advised> advised) {
  constexpr double kStep = 1.5;    // times as fast: what another device should at least bring
  constexpr double kLeast = 0.02;  // below, a change is within any error
  constexpr double kWorth = 0.1;   // what a change that costs quality should at least bring
  std::map<std::vector<ChangeKind>, size_t> of_kind;
  std::vector<const Advised*> selected;
  const Advised* next_device = nullptr;  // the slowest that is a step, the only one shown
  for (const Advised& one : advised) {
    const bool is_step = one.kinds[0] == ChangeKind::kDevice && one.after.resident_share >= 1 &&
                         one.after.figures.tok_s >= kStep * now.figures.tok_s;
    if (is_step) next_device = &one;  // they come fastest first
  }
  for (const Advised& one : advised) {
    const bool is_device = one.kinds[0] == ChangeKind::kDevice;
    if (is_device && &one != next_device) continue;
    const Figures &f = one.after.figures, &g = now.figures;
    const bool pages_less = one.after.resident_share > now.resident_share;
    if (f.loss > g.loss + 0.001 && !pages_less && f.tok_s < g.tok_s * (1 + kWorth) &&
        f.throughput_tok_s < g.throughput_tok_s * (1 + kWorth) && f.ttft_s > g.ttft_s * (1 - kWorth)) {
      continue;
    }
    const auto differs = [](double a, double b) { return std::abs(a - b) > kLeast * b; };
    const bool gains = f.tok_s > g.tok_s * (1 + kLeast) ||
                       f.throughput_tok_s > g.throughput_tok_s * (1 + kLeast) ||
                       f.ttft_s < g.ttft_s * (1 - kLeast) || f.memory_bytes < g.memory_bytes * (1 - kLeast) ||
                       f.loss < g.loss - 0.001;
    if (!gains ||
        !(differs(f.tok_s, g.tok_s) || differs(f.ttft_s, g.ttft_s) ||
          differs(f.memory_bytes, g.memory_bytes) || differs(f.throughput_tok_s, g.throughput_tok_s))) {
      continue;
    }
    if (of_kind[one.kinds]++ >= kMostOfKind) continue;
    selected.push_back(&one);
    if (selected.size() == kMostAdvice) break;
  }
  return selected;
}

std::string PerplexityText(double perplexity) {
  return std::isinf(perplexity) ? "?" : Number(perplexity, "%.3f");
}

std::string LossText(double loss) {
  if (std::isinf(loss)) return "unknown";
  return loss < 5e-5 ? "none" : PercentText(loss);
}

std::string FigureText(LimitKind kind, double value) {
  switch (kind) {
    case LimitKind::kMemory: return GigabyteText(value);
    case LimitKind::kTtft: return HumanSeconds(value);
    case LimitKind::kTokS: return RateText(value) + " tok/s";
    case LimitKind::kWatts: return Number(value, "%.3g W");
    case LimitKind::kLoss: return LossText(value);
  }
  return "";
}

std::string AdviceText(const Candidate& now, std::span<const Advised> advised) {
  const std::vector<const Advised*> selected = Selected(now, advised);
  if (selected.empty()) return "No single change gains anything here.\n";
  Table table = ChangeTable();
  for (const Advised* one : selected) AddChange(table, now, *one);
  return StrCat("What one change gives (each priced anew; now ", RateText(now.figures.tok_s), " tok/s)\n",
                table.ToText());
}

Json AdviceJson(const Candidate& now, std::span<const Advised> advised) {
  Json list = Json::Array();
  for (const Advised* one : Selected(now, advised)) list.Push(AdvisedJson(*one));
  return list;
}

std::string LeastChangeText(const Limits& want, const LeastChange& answer) {
  std::string text = StrCat("Wanted: ", LimitsText(want), ". ");
  if (answer.holds) return text + "Nothing has to change.\n";
  Table table = ChangeTable();
  if (answer.ways.empty()) {
    AddChange(table, answer.now, answer.nearest);
    return StrCat(text, "No one change and no two of them reach it. Nearest:\n", table.ToText());
  }
  for (const Advised& one : answer.ways) AddChange(table, answer.now, one);
  return StrCat(text,
                answer.ways.front().what.size() == 1 ? "One change does it" : "No one change does it; two do",
                ", least first:\n", table.ToText());
}

Json LeastChangeJson(const Limits& want, const LeastChange& answer) {
  Json ways = Json::Array();
  for (const Advised& one : answer.ways) ways.Push(AdvisedJson(one));
  Json json = Json::Object();
  json.Set("limits", LimitsJson(want)).Set("holds", answer.holds).Set("ways", std::move(ways));
  if (!answer.holds && answer.ways.empty()) json.Set("nearest", AdvisedJson(answer.nearest));
  return json;
}

std::string ChipChangeText(const ChipDesign& design, double tok_s, const SearchResult& result) {
  if (result.now.ratio >= 1) return "";
  Table table({"<change of the chip", "tok/s", "area"});
  for (const Remedy& remedy : result.remedies) {
    table.Add({Joined(remedy.changes), RateText(remedy.speed.value), Number(remedy.area_ratio, "%.2gx")});
    if (table.ToText().size() > 1500) break;
  }
  if (result.remedies.empty()) {
    return StrCat("No one change of ", design.name, " itself and no two of them reach ", RateText(tok_s),
                  " tok/s; the fastest gives ", RateText(result.fastest.speed.value), " (",
                  Joined(result.fastest.changes), ").\n");
  }
  return StrCat("Changes of ", design.name, " itself that reach ", RateText(tok_s),
                " tok/s (see chip feasibility)\n", table.ToText());
}

std::string SearchText(std::span<const ModelChoice> models, const Device& device, const Limits& limits,
                       const SearchAnswer& answer) {
  std::string text =
      StrCat("On ", Bold(device.name), " (", device.title, "), ", LimitsText(limits), ":\n");
  if (!answer.ranked.empty()) {
    Table table = CandidateTable();
    const auto best = BestOfEachModel(answer.ranked);
    for (size_t i = 0; i < std::min(best.size(), kMostRanked); ++i) AddCandidate(table, models, *best[i]);
    text += StrCat(
        Grouped(answer.ranked.size()), " of ", Grouped(answer.configurations),
        " configurations keep the limits. The best of each model (by perplexity*, then context, speed, "
        "memory)\n",
        table.ToText());
    std::vector<const Candidate*> front;
    for (const Candidate& candidate : answer.front) front.push_back(&candidate);
    std::ranges::sort(front, std::greater(), [](const Candidate* c) { return c->figures.tok_s; });
    Table pareto = CandidateTable();
    const auto shown = Thinned(front);
    for (const Candidate* candidate : shown) AddCandidate(pareto, models, *candidate);
    text += StrCat("\nThe Pareto front (", front.size(), front.size() == 1 ? " point" : " points",
                   shown.size() < front.size() ? StrCat(", ", shown.size(), " shown") : "",
                   "): nothing is better in speed, quality, memory and energy alike\n", pareto.ToText(),
                   kPerplexityNote);
    return text;
  }
  text += StrCat("Infeasible: none of ", Grouped(answer.configurations),
                 " configurations keeps the limits, because of ", Bold(NameOf(*answer.tightest)), ".\n");
  if (!answer.relaxations.empty()) {
    Table table({"<let one limit go", "<it would need", "<with", "tok/s", "first token", "memory", "loss"});
    for (const Relaxation& r : answer.relaxations) {
      const Configuration& c = r.at.configuration;
      const Figures& f = r.at.figures;
      table.Add({LimitText(r.kind, r.asked), FigureText(r.kind, r.needed),
                 StrCat(models[c.model].name, ", ", ConfigurationText(c)), RateText(f.tok_s),
                 HumanSeconds(f.ttft_s), GigabyteText(f.memory_bytes), LossText(f.loss)});
    }
    text += table.ToText();
  }
  Table table = CandidateTable();
  AddCandidate(table, models, *answer.nearest);
  text += StrCat("Nearest to all limits at once\n", table.ToText(), kPerplexityNote);
  return text;
}

Json SearchJson(std::span<const ModelChoice> models, const Device& device, const Limits& limits,
                const SearchAnswer& answer) {
  Json ranked = Json::Array(), front = Json::Array(), relaxations = Json::Array();
  for (const Candidate* candidate : BestOfEachModel(answer.ranked))
    ranked.Push(CandidateJson(models, *candidate));
  for (const Candidate& candidate : answer.front) front.Push(CandidateJson(models, candidate));
  for (const Relaxation& r : answer.relaxations) {
    Json json = Json::Object();
    json.Set("limit", NameOf(r.kind)).Set("asked", r.asked).Set("needed", r.needed);
    json.Set("at", CandidateJson(models, r.at));
    relaxations.Push(std::move(json));
  }
  Json json = Json::Object();
  json.Set("device", device.name)
      .Set("limits", LimitsJson(limits))
      .Set("feasible", !answer.ranked.empty())
      .Set("configurations", answer.configurations)
      .Set("priced", answer.priced)
      .Set("ranked", std::move(ranked))
      .Set("pareto", std::move(front));
  if (answer.tightest) {
    json.Set("because", NameOf(*answer.tightest))
        .Set("relaxations", std::move(relaxations))
        .Set("nearest", CandidateJson(models, *answer.nearest));
  }
  return json;
}

Json ViewJson(const PlanView& view) {
  const Prediction& p = view.prediction;
  const MemoryPlan& m = view.memory;
  Json memory = Json::Object();
  memory.Set("weights_bytes", m.mapped + m.copied)
      .Set("kv_bytes", m.kv)
      .Set("scratch_bytes", m.scratch)
      .Set("tokenizer_bytes", m.tokenizer)
      .Set("sampler_bytes", m.sampler)
      .Set("program_bytes", m.program + m.code)
      .Set("planned_bytes", p.memory.need.total())
      .Set("usable_bytes", p.memory.usable_bytes)
      .Set("resident_share", p.memory.resident_share)
      .Set("runs", p.memory.runs());
  const auto time = [](const OpTime& t) {
    Json json = Json::Object();
    json.Set("seconds", t.seconds()).Set("bound", NameOf(t.bound()));
    for (size_t i = 0; i < kTimeBounds; ++i) {
      const auto bound = static_cast<TimeBound>(i);
      json.Set(StrCat(NameOf(bound), "_s"), t.spent(bound));
    }
    return json;
  };
  Json prefill = time(p.prefill.total);
  prefill.Set("tok_s", p.prefill_tok_s)
      .Set("load_s", p.load_s)
      .Set("tokenize_s", p.tokenize_s)
      .Set("head_s", p.first_decode_s);
  Json decode = time(p.decode.total);
  decode.Set("tpot_ms", p.tpot_s * 1e3)
      .Set("tokens_per_step", p.tokens_per_step)
      .Set("throughput_tok_s", p.throughput_tok_s)
      .Set("end_to_end_s", p.end_to_end_s);
  Json energy = Json::Object();
  if (const auto e = EnergyOf(view)) {
    energy.Set("label", "model")
        .Set("watts", e->load_watts)
        .Set("mean_watts", e->mean_watts)
        .Set("joules_per_token", e->joules_per_token);
    if (e->hours > 0) energy.Set("battery_hours", e->hours).Set("tokens_per_charge", e->tokens_per_charge);
  }
  Json efficiency = Json::Object();
  if (const auto& e = view.efficiency) {
    efficiency.Set("memory_share", e->memory_share)
        .Set("compute_share", e->compute_share)
        .Set("decode_share", e->decode_share)
        .Set("op_s", e->op_s)
        .Set("rows", e->rows);
  }
  const Configuration& c = view.configuration;
  Json json = Json::Object();
  json.Set("device", view.device.name)
      .Set("model", view.model)
      .Set("type", c.recipe)
      .Set("cache_type_k", NameOf(c.usage.k_type))
      .Set("cache_type_v", NameOf(c.usage.v_type))
      .Set("context", c.usage.positions())
      .Set("threads", p.threads)
      .Set("parameters", view.parameters)
      .Set("label", "predicted")
      .Set("fits", p.memory.fits())
      .Set("memory", std::move(memory))
      .Set("prefill", std::move(prefill))
      .Set("decode", std::move(decode))
      .Set("ttft_ms", p.ttft_s() * 1e3)
      .Set("tok_s", p.tok_s)
      .Set("bound", NameOf(p.bound))
      .Set("error_band", p.error)
      .Set("efficiency", std::move(efficiency))
      .Set("efficiency_from", p.efficiency_from)
      .Set("energy", std::move(energy))
      .Set("ppl_loss", view.figures.loss)
      .Set("ppl_loss_from", view.loss_from);
  return json;
}

}  // namespace edgewise
