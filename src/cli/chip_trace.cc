// What the parts of a chip do in each cycle of a small product, for chrome://tracing and ui.perfetto.dev.
#include <algorithm>
#include <cstdio>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/atomic_file.h"
#include "base/error.h"
#include "chip/cycle_simulator.h"
#include "chip/tiler.h"
#include "cli/chip_execute.h"
#include "cli/chip_options.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "machine/chip_cost.h"

namespace edgewise {
namespace {

// 100 bytes an event, at most an event for each component and cycle: what the viewers still open.
constexpr uint64_t kMostCycles = 500'000;

struct TraceFlags {
  ChipFlags chip;
  std::string m, n, k;
  std::string output;
  bool json = false;
  uint64_t seed = 1;
};

// The events of a run as a Chrome trace: a thread for each component.
class ChromeTrace {
 public:
  explicit ChromeTrace(const ChipDesign& design) : us_per_cycle_(1e6 / design.clock_hz) {}

  void Add(const chip::TraceEvent& event) {
    const auto [at, is_new] = threads_.try_emplace(event.component, threads_.size() + 1);
    busy_[event.component] += event.duration;
    Append(StrCat("{\"ph\":\"X\",\"pid\":1,\"tid\":", at->second, ",\"name\":\"", event.event, "\",\"ts\":",
                  Microseconds(event.start), ",\"dur\":", Microseconds(event.duration),
                  ",\"args\":{\"cycle\":", event.start, ",\"cycles\":", event.duration, "}}"));
    ++events_;
  }

  std::string Finish(const std::string& title) {
    Append(StrCat("{\"ph\":\"M\",\"pid\":1,\"name\":\"process_name\",\"args\":{\"name\":\"", title, "\"}}"));
    for (const auto& [component, thread] : threads_) {
      Append(StrCat("{\"ph\":\"M\",\"pid\":1,\"tid\":", thread,
                    ",\"name\":\"thread_name\",\"args\":{\"name\":\"", component, "\"}}"));
    }
    return StrCat("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n", text_, "\n]}\n");
  }

  uint64_t events() const { return events_; }
  const std::map<std::string_view, uint64_t>& busy() const { return busy_; }  // cycles, by component

 private:
  void Append(const std::string& event) {
    if (!text_.empty()) text_ += ",\n";
    text_ += event;
  }
  std::string Microseconds(uint64_t cycles) const {
    return Number(static_cast<double>(cycles) * us_per_cycle_, "%.9g");
  }

  const double us_per_cycle_;
  std::map<std::string_view, size_t> threads_;
  std::map<std::string_view, uint64_t> busy_;
  std::string text_;
  uint64_t events_ = 0;
};

int Trace(const TraceFlags& flags) {
  const ChipDesign design = flags.chip.Design();
  const chip::Product whole = {ParseSize("M", flags.m), ParseSize("N", flags.n), ParseSize("K", flags.k)};
  // Of several chips that share the columns, the first.
  const chip::Product p = {whole.m, chip::SharesOf(design, whole).front().n, whole.k};
  ChipDesign one = design;
  one.chips = 1;
  const uint64_t cycles = PriceProduct(one, {p.m, p.n, p.k}).cycles;
  if (cycles > kMostCycles) {
    throw Error(ErrorCode::kLimit,
                StrCat("this product takes ", Grouped(cycles), " cycles, traces have at most ",
                       Grouped(kMostCycles), ": trace a smaller one"));
  }
  AtomicFile file(flags.output);
  ThreadPool pool(1);
  const RandomIntegers a(p.m, p.k, std::min(8u, ActivationBits(design.datapath)), flags.seed, pool);
  const RandomIntegers w(p.n, p.k, std::min(8u, WeightBits(design.datapath)), ~flags.seed, pool);
  ChromeTrace trace(design);
  chip::CycleSimulator simulator(one);
  simulator.set_trace([&](const chip::TraceEvent& event) { trace.Add(event); });
  const chip::Outcome outcome = simulator.Run(chip::TileProduct(one, p, w.view()), a.view(), w.view());
  file.Write(trace.Finish(StrCat(design.name, ": ", p.m, " x ", p.n, " x ", p.k)));
  file.Commit();

  if (flags.json) {
    Json busy = Json::Object();
    for (const auto& [component, busy_cycles] : trace.busy()) busy.Set(component, busy_cycles);
    Json json = Json::Object();
    json.Set("chip", design.name)
        .Set("file", flags.output)
        .Set("cycles", outcome.cycles)
        .Set("events", trace.events())
        .Set("busy_cycles", std::move(busy));
    json.Print();
    return 0;
  }
  Table table({"<component", "busy cycles", ""});
  for (const auto& [component, busy] : trace.busy()) {
    table.Add({std::string(component), Grouped(busy),
               PercentText(static_cast<double>(busy) / static_cast<double>(outcome.cycles))});
  }
  std::printf("%s: %s events in %s cycles (simulated), written to %s\n%sOpen it in chrome://tracing or "
              "ui.perfetto.dev.\n",
              design.name.c_str(), Grouped(trace.events()).c_str(), Grouped(outcome.cycles).c_str(),
              flags.output.c_str(), table.ToText().c_str());
  return 0;
}

VerbMain Add(Flags& flags) {
  auto options = std::make_shared<TraceFlags>();
  flags.AddPositional("M", options->m, "rows of A and C: tokens");
  flags.AddPositional("N", options->n, "columns of C: outputs");
  flags.AddPositional("K", options->k, "what is summed: inputs");
  options->chip.AddTo(flags);
  flags.Add("-o,--output", options->output, "FILE", "the trace, in JSON");
  flags.Add("--seed", options->seed, "N", "of the random integers");
  flags.AddSwitch("--json", options->json, "one JSON document instead of the summary");
  return [options] {
    if (options->output.empty()) throw Error(ErrorCode::kUsage, "-o FILE is missing: where the trace goes");
    return Trace(*options);
  };
}

}  // namespace

const Verb kChipTraceVerb = {
    .name = "chip trace",
    .summary = "a small product cycle by cycle, as a trace for Chrome or Perfetto",
    .description =
        "From the cycle simulator, on random integers. Each component of the chip is a line; times are "
        "those of the chip's clock.",
    .examples = "edgewise chip trace 8 16 32 --chip systolic-8x8 -o trace.json\n",
    .add = Add};

}  // namespace edgewise
