// A sweep over designs: what it would take, the designs, the front of those that nothing beats.
#include <algorithm>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "cli/chip_html.h"
#include "cli/chip_options.h"
#include "cli/console.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "machine/chip_applications.h"
#include "machine/chip_sweep.h"

namespace edgewise {
namespace {

constexpr double kHour = 3600, kDay = 24 * kHour;
constexpr double kWorthSaying = 2;  // seconds: from then on there is a progress bar too

struct SweepFlags {
  std::vector<std::string> chips, over;
  WorkFlags work;
  std::string attention = "chip";
  std::optional<std::string> csv, html;
  bool yes = false, json = false;
  uint32_t threads = 0;
};

SweepPlan PlanOf(const SweepFlags& flags) {
  SweepPlan plan;
  const ChipCatalog catalog = NamedChips();
  for (const std::string& chip : flags.chips) plan.bases.push_back(catalog.Find(chip));
  if (plan.bases.empty()) plan.bases.push_back(catalog.Find(ChipFlags().chip));
  for (const std::string& axis : flags.over) plan.axes.push_back(ParseSweepAxis(axis));
  if (plan.axes.empty() && plan.bases.size() == 1) {
    throw Error(ErrorCode::kUsage,
                "a sweep of one design: say what to vary (--over array.clock_hz=100e6:1e9:100e6), "
                "or name several chips (--chip A --chip B)");
  }
  plan.task = {{{flags.work.Load(), 1}}, static_cast<double>(flags.work.tokens), 0};
  plan.task_name = flags.work.tokens == 1
                       ? plan.task.parts[0].work.name
                       : StrCat(plan.task.parts[0].work.name, ", ", plan.task.parts[0].work.unit);
  plan.attention = AttentionNamed(flags.attention);
  return plan;
}

// From designs spread over the whole sweep.
double EstimateSeconds(const SweepPlan& plan, uint64_t designs, int threads) {
  constexpr uint64_t kTried = 32;
  const uint64_t tried = std::min(designs, kTried);
  const Seconds start = Now();
  for (uint64_t i = 0; i < tried; ++i) PriceDesign(plan, i * (designs / tried));
  const double each = (Now() - start).value() / static_cast<double>(tried);
  return each * static_cast<double>(designs) / threads;
}

std::string DurationText(double seconds) {
  if (seconds >= kDay) return Number(seconds / kDay, "%.1f days");
  if (seconds >= kHour) return Number(seconds / kHour, "%.1f hours");
  if (seconds >= 60) return Number(seconds / 60, "%.1f minutes");
  return HumanSeconds(seconds);
}

std::string FrontText(const SweepPlan& plan, const SweepResult& result) {
  constexpr size_t kMostRows = 20;
  std::vector<std::string> heads = {"<chip"};
  for (const SweepAxis& axis : plan.axes) heads.push_back(axis.name());
  for (const char* head : {"tok/s", "a token", "mm2", "used", "GOPS"}) heads.emplace_back(head);
  Table table(heads);
  for (size_t i = 0; i < std::min(kMostRows, result.front.size()); ++i) {
    const SweepRow& row = result.front[i];
    std::vector<std::string> cells = plan.SettingsOf(row.number);
    for (const std::string& cell :
         {Number(row.tok_s, "%.4g"), HumanJoules(row.joules_token), Number(row.area_mm2, "%.3g"),
          PercentText(row.utilisation), Number(row.peak_gops, "%.4g")}) {
      cells.push_back(cell);
    }
    table.Add(cells);
  }
  return table.ToText();
}

void PrintText(const SweepFlags& flags, const SweepPlan& plan, const SweepResult& result, double seconds) {
  std::printf("%s designs for %s priced in %s", Grouped(result.designs - result.resumed).c_str(),
              plan.task_name.c_str(), HumanSeconds(seconds).c_str());
  if (result.resumed > 0) std::printf(", %s were in the file", Grouped(result.resumed).c_str());
  std::puts(".");
  if (result.refused > 0) {
    std::printf("%s combinations are no possible chip, the first because %s.\n",
                Grouped(result.refused).c_str(), result.first_refusal.c_str());
  }
  if (!result.front.empty()) {
    std::printf("%s not beaten in speed, joules a token and area at once%s:\n%s",
                result.front.size() == 1 ? "One is" : StrCat(Grouped(result.front.size()), " are").c_str(),
                result.front.size() > 20 ? ", the fastest 20" : "", FrontText(plan, result).c_str());
  }
  for (const auto& file : {flags.csv, flags.html}) {
    if (file) std::printf("written: %s\n", file->c_str());
  }
}

void PrintJson(const SweepPlan& plan, const SweepResult& result, double seconds) {
  Json front = Json::Array(), json = Json::Object();
  for (const SweepRow& row : result.front) {
    const std::vector<std::string> settings = plan.SettingsOf(row.number);
    Json one = Json::Object();
    one.Set("number", row.number).Set("chip", settings[0]);
    for (size_t a = 0; a < plan.axes.size(); ++a) one.Set(plan.axes[a].name(), settings[a + 1]);
    one.Set("tok_s", row.tok_s)
        .Set("joules_token", row.joules_token)
        .Set("area_mm2", row.area_mm2)
        .Set("utilisation", row.utilisation)
        .Set("peak_gops", row.peak_gops);
    front.Push(std::move(one));
  }
  json.Set("model", plan.task_name)
      .Set("designs", result.designs)
      .Set("refused", result.refused)
      .Set("resumed", result.resumed)
      .Set("wall_s", seconds)
      .Set("front", std::move(front));
  json.Print();
}

int Sweep(const SweepFlags& flags) {
  const SweepPlan plan = PlanOf(flags);
  const uint64_t designs = plan.designs();
  const int threads = ThreadsOf(flags.threads);
  const double estimate = EstimateSeconds(plan, designs, threads);
  if (estimate >= kHour && !flags.yes) {
    throw Error(ErrorCode::kUsage, StrCat("this sweep would take ", DurationText(estimate), " for ",
                                          Grouped(designs), " designs: take fewer values, or say --yes"));
  }
  if (estimate >= kWorthSaying) {
    std::fprintf(stderr, "%s designs, about %s\n", Grouped(designs).c_str(), DurationText(estimate).c_str());
  }
  const InterruptGuard interrupt(InterruptGuard::Of::kAnyEnd);
  Progress progress("sweep");
  const Seconds start = Now();
  const SweepResult result =
      RunSweep(plan, {.csv = flags.csv.value_or(""), .threads = threads, .progress = [&](uint64_t done) {
                        progress.Show(done, designs);
                        return !interrupt.flag();
                      }});
  progress.Clear();
  if (!result.finished) {
    throw Error(ErrorCode::kIo, StrCat("stopped after ", Grouped(result.designs), " of ", Grouped(designs),
                                       " designs", flags.csv ? ": the same command goes on from there" : ""));
  }
  if (flags.html) WriteHtml(*flags.html, SweepHtml(plan, result));
  const double seconds = (Now() - start).value();
  if (flags.json) {
    PrintJson(plan, result, seconds);
  } else {
    PrintText(flags, plan, result, seconds);
  }
  return 0;
}

VerbMain Add(Flags& flags) {
  auto options = std::make_shared<SweepFlags>();
  flags.Add("--chip", options->chips, "NAME",
            "a chip to vary; several: all of them (compact-532 when not given)");
  flags.Add("--over", options->over, "FIELD=VALUES",
            "values of a field of chip files: array.rows=8,16 or array.clock_hz=100e6:1e9:100e6 (first, "
            "last, step); array.rows+array.cols=8,16 sets both; several: all combinations");
  options->work.AddTo(flags);
  flags.AddChoice("--attention", options->attention, {"chip", "host", "none"},
                  "who multiplies queries, keys and values; none: nobody, as the documents count");
  flags.Add("--csv", options->csv, "FILE", "all designs; an interrupted sweep goes on from this file");
  flags.Add("--html", options->html, "FILE", "a page that opens offline: speed against area, the front");
  flags.AddSwitch("--json", options->json, "the front as one JSON document");
  flags.AddSwitch("--yes", options->yes, "also when it takes more than an hour");
  flags.Add("-t,--threads", options->threads, "N", "worker threads; 0: one per core");
  return [options] { return Sweep(*options); };
}

}  // namespace

const Verb kChipSweepVerb = {
    .name = "chip sweep",
    .summary = "many designs on one model, and those that nothing beats",
    .description =
        "Prices every combination of values on all cores and shows the Pareto front: designs that no other "
        "beats in tokens a second, joules a token and area at once.",
    .examples =
        "edgewise chip sweep --chip edge-mid --over array.cols=2,4,8,16 --over "
        "array.clock_hz=50e6:500e6:50e6\n"
        "edgewise chip sweep --chip compact-532 --chip edge-llm --over array.datapath=int8,int4 --csv s.csv "
        "--html s.html\n",
    .add = Add};

}  // namespace edgewise
