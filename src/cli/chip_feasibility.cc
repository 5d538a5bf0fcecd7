// What a chip can do: the documents' applications judged anew; and for a speed that is wanted, the least
// change of the chip that reaches it and the largest model that it runs as it is.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "cli/chip_options.h"
#include "cli/chip_report.h"
#include "cli/json.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "machine/chip_applications.h"
#include "machine/chip_search.h"

namespace edgewise {
namespace {

struct FeasibilityFlags {
  ChipFlags chip;
  WorkFlags work;
  bool all = false, json = false;
  std::optional<std::string> want, application;
  std::string attention = "chip";
  ChangeLimits limits;
  double clock_mhz = limits.clock_hz / 1e6, memory_gb_s = limits.memory_bytes_s / 1e9;
};

std::string ThreeDigits(double value) {
  return value >= 99.95 && value < 1e15 ? Grouped(static_cast<uint64_t>(std::llround(value)))
                                        : Number(value, "%.3g");
}

// "2.3x as fast", "86x too slow"
std::string RatioText(double ratio) {
  return ratio >= 1 ? StrCat(ThreeDigits(ratio), "x as fast") : StrCat(ThreeDigits(1 / ratio), "x too slow");
}

std::string Stars(int stars) { return std::string(static_cast<size_t>(stars), '*'); }

// ---- all applications ----

void PrintVerdicts(const ChipDesign& design, AttentionOn attention) {
  Table table({"<application", "wanted", "given", "<", "<ours", "<theirs", "<the documents say"});
  for (const Verdict& v : JudgeApplications(design, attention)) {
    const Application& a = *v.application;
    table.Add({a.what, SpeedText(a.want.unit, a.want.value), SpeedText(a.want.unit, v.speed.value),
               RatioText(v.speed.ratio), Stars(v.stars), a.claimed_stars == 0 ? "" : Stars(a.claimed_stars),
               a.claim});
  }
  std::printf(
      "What %s can do (priced, one token at a time)\n%s"
      "***** twice as fast as wanted or more, **** fast enough, *** a tenth of it, ** a hundredth, * less.\n"
      "What would help: edgewise chip feasibility --chip %s --application tinyllama\n",
      Bold(design.name).c_str(), table.ToText().c_str(), design.name.c_str());
}

Json VerdictsJson(const ChipDesign& design, AttentionOn attention) {
  Json list = Json::Array();
  for (const Verdict& v : JudgeApplications(design, attention)) {
    const Application& a = *v.application;
    Json json = Json::Object();
    json.Set("application", a.name)
        .Set("what", a.what)
        .Set("wanted", SpeedText(a.want.unit, a.want.value))
        .Set("given", SpeedText(a.want.unit, v.speed.value))
        .Set("ratio", v.speed.ratio)
        .Set("seconds", v.speed.seconds)
        .Set("bound", BoundText(design, v.speed.cost))
        .Set("stars", v.stars)
        .Set("demand_from", a.why)
        .Set("claimed_stars", a.claimed_stars)
        .Set("claim", a.claim);
    list.Push(std::move(json));
  }
  Json json = Json::Object();
  json.Set("chip", design.name).Set("applications", std::move(list));
  return json;
}

// Applications x designs: how many times as fast as wanted, and the stars for it.
void PrintMatrix(AttentionOn attention) {
  const ChipCatalog catalog = NamedChips();
  std::vector<std::string> heads = {"<chip"};
  for (const Application& a : Applications()) heads.emplace_back(a.name);
  Table table(heads);
  for (const std::string& name : catalog.Names()) {
    std::vector<std::string> cells = {name};
    for (const Verdict& v : JudgeApplications(catalog.Find(name), attention)) {
      cells.push_back(StrCat(Number(v.speed.ratio, "%.2g"), " ", v.stars));
    }
    table.Add(cells);
  }
  std::printf("How many times as fast as wanted (1: just enough), and stars of five for it (priced)\n%s",
              table.ToText().c_str());
}

int Judge(const FeasibilityFlags& flags, AttentionOn attention) {
  if (flags.all && flags.json) {
    Json list = Json::Array();
    const ChipCatalog catalog = NamedChips();
    for (const std::string& name : catalog.Names()) list.Push(VerdictsJson(catalog.Find(name), attention));
    list.Print();
  } else if (flags.all) {
    PrintMatrix(attention);
  } else if (flags.json) {
    VerdictsJson(flags.chip.Design(), attention).Print();
  } else {
    PrintVerdicts(flags.chip.Design(), attention);
  }
  return 0;
}

// ---- one wish ----

// What is to be done, and how fast.
struct Wish {
  std::string what;
  Want want;
  std::function<Task(uint64_t tokens)> task;
};

Wish WishOf(const FeasibilityFlags& flags) {
  std::optional<Want> want;
  if (flags.want) want = ParseWant(*flags.want);
  if (flags.application) {
    const Application& a = ApplicationNamed(*flags.application);
    return {a.what, want.value_or(a.want), a.task};
  }
  const WorkFlags& work = flags.work;
  if (work.tokens != 1) {
    throw Error(ErrorCode::kUsage,
                "--tokens is what --want finds out: leave it out (--max-tokens limits it)");
  }
  const Workload one = work.Load();
  const bool decodes = one.unit == "token";
  const double media_s = MediaSeconds(work.model);
  return {one.name, *want, [=](uint64_t tokens) {
            const uint64_t rows = decodes ? tokens : 1;
            WorkFlags step = work;
            step.logits = rows;
            return Task{{{step.LoadFor(rows), 1}}, static_cast<double>(rows), media_s};
          }};
}

std::string ChangesText(const Remedy& r) {
  std::string text;
  for (const std::string& change : r.changes) text += (text.empty() ? "" : " + ") + change;
  return text;
}

std::string RemedyTable(const std::vector<Remedy>& remedies, size_t changes, SpeedUnit unit, size_t most) {
  Table table({"area", "<change", "gives", "<bound", "joules"});
  for (const Remedy& r : remedies) {
    if (r.changes.size() != changes || most-- == 0) continue;
    table.Add({StrCat(Number(r.area_ratio, "%.2f"), "x"), ChangesText(r), SpeedText(unit, r.speed.value),
               BoundText(r.design, r.speed.cost),
               HumanJoules(r.speed.joules / static_cast<double>(r.tokens))});
    if (most == 0) break;
  }
  return table.ToText();
}

std::string LimitsText(const ChangeLimits& l) {
  return StrCat(
      "Limits: clock ", Number(l.clock_hz / 1e6, "%.4g"), " MHz, memory ",
      Number(l.memory_bytes_s / 1e9, "%.4g"), " GB/s, tiles of ", l.size, " in each dimension, ", l.arrays,
      " arrays, ", l.chips, " chips, ", l.tokens,
      " tokens at once (a batch, or speculation that is always "
      "right: what each of them waits is the whole step).\nCost: area, as a multiple of the chip's as it is "
      "(multipliers and memories; packed multipliers share the silicon of wide ones).\n");
}

void PrintLargest(const ChipDesign& design, const Want& want, AttentionOn attention) {
  const LargestModel largest = FindLargestModel(design, want.value, attention);
  const LargestModel::Row* best = nullptr;
  for (const LargestModel::Row& row : largest.rows) {
    if (row.tok_s >= want.value) best = &row;
  }
  const std::string speed = SpeedText(want.unit, want.value);
  if (best == nullptr) {
    std::printf("At %s this chip as it is runs none of the named models; the smallest, %s, gives %s.\n",
                speed.c_str(), largest.rows.front().name.c_str(),
                SpeedText(want.unit, largest.rows.front().tok_s).c_str());
  } else {
    std::printf("The largest named model that this chip as it is runs at %s: %s, at %s.\n", speed.c_str(),
                best->name.c_str(), SpeedText(want.unit, best->tok_s).c_str());
  }
  std::printf("In weights: %sM one token at a time", Number(largest.weights_alone / 1e6, "%.4g").c_str());
  if (design.rows > 1) {
    std::printf(", %sM with %u tokens at once", Number(largest.weights_full / 1e6, "%.4g").c_str(),
                design.rows);
  }
  std::puts(" (layers of 4096 x 4096, priced; of speed alone: memory must hold them).");
}

void PrintRemedies(const Wish& wish, const ChipDesign& design, const SearchResult& found,
                   AttentionOn attention, const ChangeLimits& limits) {
  const SpeedUnit unit = wish.want.unit;
  std::printf("%s on %s: %s (%s), %s is the bound. Wanted: %s: %s.\n\n", wish.what.c_str(),
              Bold(design.name).c_str(), SpeedText(unit, found.now.value).c_str(),
              HumanSeconds(found.now.seconds).c_str(), BoundText(design, found.now.cost).c_str(),
              SpeedText(unit, wish.want.value).c_str(), RatioText(found.now.ratio).c_str());
  if (found.now.ratio >= 1) {
    std::puts("Nothing has to change.");
  } else if (found.remedies.empty()) {
    const Remedy& r = found.fastest;
    std::printf(
        "No single change and no two of them reach it within these limits: of %s that were priced the "
        "fastest\ngives %s, %s (%s; bound by %s).\n",
        Grouped(found.tried).c_str(), SpeedText(unit, r.speed.value).c_str(),
        RatioText(r.speed.ratio).c_str(), r.changes.empty() ? "the chip as it is" : ChangesText(r).c_str(),
        BoundText(r.design, r.speed.cost).c_str());
  } else {
    const bool one = found.remedies.front().changes.size() == 1;
    if (one) {
      std::printf("One change (the cheapest of each sort)\n%s\n",
                  RemedyTable(found.remedies, 1, unit, 10).c_str());
    } else {
      std::puts("No single change reaches it.");
    }
    if (found.remedies.back().changes.size() == 2) {
      std::printf("Two changes (the ten cheapest)\n%s", RemedyTable(found.remedies, 2, unit, 10).c_str());
    }
  }
  if (found.now.ratio < 1) std::printf("\n%s", LimitsText(limits).c_str());
  if (unit == SpeedUnit::kTokensPerSecond) PrintLargest(design, wish.want, attention);
}

Json RemedyJson(const Remedy& r) {
  Json changes = Json::Array(), json = Json::Object();
  for (const std::string& change : r.changes) changes.Push(change);
  json.Set("changes", std::move(changes))
      .Set("tokens", r.tokens)
      .Set("area_ratio", r.area_ratio)
      .Set("value", r.speed.value)
      .Set("ratio", r.speed.ratio)
      .Set("bound", BoundText(r.design, r.speed.cost))
      .Set("joules_token", r.speed.joules / static_cast<double>(r.tokens));
  return json;
}

void PrintRemediesJson(const Wish& wish, const ChipDesign& design, const SearchResult& found,
                       AttentionOn attention) {
  Json remedies = Json::Array(), json = Json::Object();
  for (const Remedy& r : found.remedies) remedies.Push(RemedyJson(r));
  json.Set("chip", design.name)
      .Set("task", wish.what)
      .Set("wanted", SpeedText(wish.want.unit, wish.want.value))
      .Set("value", found.now.value)
      .Set("ratio", found.now.ratio)
      .Set("seconds", found.now.seconds)
      .Set("bound", BoundText(design, found.now.cost))
      .Set("reached", found.now.ratio >= 1 || !found.remedies.empty())
      .Set("remedies", std::move(remedies))
      .Set("fastest", RemedyJson(found.fastest))
      .Set("designs_tried", found.tried);
  if (wish.want.unit == SpeedUnit::kTokensPerSecond) {
    const LargestModel largest = FindLargestModel(design, wish.want.value, attention);
    std::string best;
    for (const LargestModel::Row& row : largest.rows) {
      if (row.tok_s >= wish.want.value) best = row.name;
    }
    json.Set("largest_model", best)
        .Set("largest_weights", largest.weights_alone)
        .Set("largest_weights_all_rows", largest.weights_full);
  }
  json.Print();
}

int Answer(FeasibilityFlags flags, AttentionOn attention) {
  const ChipDesign design = flags.chip.Design();
  flags.limits.clock_hz = flags.clock_mhz * 1e6;
  flags.limits.memory_bytes_s = flags.memory_gb_s * 1e9;
  const Wish wish = WishOf(flags);
  std::vector<ChangeAxis> axes = ChangesOf(design, flags.limits);
  SearchResult found;
  found.now = SpeedOf(design, wish.task(1), wish.want, attention);
  found.fastest = {{}, design, 1, 1, found.now};
  if (found.now.ratio < 1) found = FindLeastChange(design, wish.task, wish.want, attention, axes);
  if (flags.json) {
    PrintRemediesJson(wish, design, found, attention);
  } else {
    PrintRemedies(wish, design, found, attention, flags.limits);
  }
  return 0;
}

int Feasibility(const FeasibilityFlags& flags) {
  const AttentionOn attention = AttentionNamed(flags.attention);
  if (flags.all && (flags.want || flags.application)) {
    throw Error(ErrorCode::kUsage, "--all judges every chip: --want and --application are about one");
  }
  const WorkFlags defaults;
  const bool has_work = flags.work.model != defaults.model || flags.work.tokens != defaults.tokens ||
                        flags.work.context != defaults.context || flags.work.logits != defaults.logits;
  if (has_work && flags.application) {
    throw Error(ErrorCode::kUsage, "--application brings its own model: leave --model and its flags out");
  }
  if (has_work && !flags.want) {
    throw Error(ErrorCode::kUsage, "--model needs --want: how fast shall it be? (tok_s=1, ms=100, rtf=1)");
  }
  return flags.want || flags.application ? Answer(flags, attention) : Judge(flags, attention);
}

VerbMain Add(Flags& flags) {
  auto options = std::make_shared<FeasibilityFlags>();
  options->chip.AddTo(flags);
  flags.AddSwitch("--all", options->all, "all named chips in one table");
  flags.AddSwitch("--json", options->json, "one JSON document instead");
  flags.AddChoice("--attention", options->attention, {"chip", "host", "none"},
                  "who multiplies queries, keys and values; none: nobody, as the documents count");
  flags.Group("The least change");
  flags.Add("--want", options->want, "tok_s=N|ms=N|rtf=N",
            "a speed to reach: tokens a second, milliseconds, time "
            "over duration");
  flags.Add("--application", options->application, "NAME",
            "of what: keyword, speech, tinyllama, ... (a wrong one "
            "lists all), with its own speed unless --want gives one; otherwise of the model");
  options->work.AddTo(flags);
  flags.Add("--max-clock", options->clock_mhz, "MHZ", "no faster clock");
  flags.Add("--max-memory", options->memory_gb_s, "GB/S", "no faster memory");
  flags.Add("--max-size", options->limits.size, "N", "no larger dimension of a tile");
  flags.Add("--max-arrays", options->limits.arrays, "N", "no more arrays");
  flags.Add("--max-chips", options->limits.chips, "N", "no more chips");
  flags.Add("--max-tokens", options->limits.tokens, "N",
            "no more tokens at once; 1: no batch, no speculation");
  return [options] { return Feasibility(*options); };
}

}  // namespace

const Verb kChipFeasibilityVerb = {
    .name = "chip feasibility",
    .summary = "what a chip can do, and the least that must change for more",
    .description =
        "Judges the documents' applications on a chip by one rule, each verdict with its number, beside what "
        "the documents say. With --want or --application: the smallest change of the chip that reaches a "
        "speed (one change, then two), what it costs in area, what bounds it then, and the largest model "
        "that the chip runs at that speed as it is.",
    .examples =
        "edgewise chip feasibility --chip compact-532\n"
        "edgewise chip feasibility --all\n"
        "edgewise chip feasibility --chip compact-532 --model tinyllama-1.1b --want tok_s=1\n"
        "edgewise chip feasibility --chip edge-mid --application speech\n",
    .add = Add};

}  // namespace edgewise
