// The verb `bench`; a file named verb_bench.cc would be built as a micro-benchmark.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "cli/bench_experiment.h"
#include "cli/bench_ops.h"
#include "cli/bench_report.h"
#include "cli/bench_run.h"
#include "cli/console.h"
#include "cli/json.h"
#include "cli/machine_state.h"
#include "cli/options.h"
#include "cli/verb.h"

namespace edgewise {
namespace {

struct BenchFlags {
  std::optional<std::string> model;
  std::vector<uint32_t> prompts = {512}, generates = {128}, depths = {0}, threads = {0};
  std::vector<uint32_t> slots = {1};
  std::vector<std::string> neighbours;
  uint32_t batch = 512, prefetch = 0;
  std::optional<uint32_t> repeats;
  std::string k_type = "f16", v_type = "f16", output = "table";
  std::optional<std::string> experiment, models, results;
  bool json = false, force = false, ops = false, pin = false, huge_pages = false;

  uint32_t rounds() const { return repeats.value_or(5); }
};

constexpr uint32_t kMostTokens = 1 << 20;  // of a list's entry: above, a typing error

// The tests of one number of threads, alone.
void AddTests(const BenchFlags& flags, uint32_t threads, std::vector<BenchTest>& tests) {
  const auto check = [](uint32_t value) {
    if (value <= kMostTokens) return value;
    throw Error(ErrorCode::kUsage, StrCat(value, " tokens are more than ", kMostTokens));
  };
  for (const uint32_t depth : flags.depths) {
    BenchTest test = {.depth = check(depth), .threads = threads, .beside = {}};
    for (const uint32_t prompt : flags.prompts) {
      test.prompt = check(prompt);
      if (prompt > 0) tests.push_back(test);
    }
    test.prompt = 0;
    for (const uint32_t generate : flags.generates) {
      for (const uint32_t slots : flags.slots) {
        test.generate = check(generate);
        test.slots = slots;
        if (slots == 0) throw Error(ErrorCode::kUsage, "--batch-decode 0 measures nothing");
        if (generate > 0) tests.push_back(test);
      }
    }
  }
}

std::vector<BenchTest> TestsOf(const BenchFlags& flags) {
  std::vector<uint32_t> threads;
  for (const uint32_t given : flags.threads) {
    const auto count = static_cast<uint32_t>(ThreadsOf(given));
    if (std::ranges::find(threads, count) == threads.end()) threads.push_back(count);
  }
  std::vector<Neighbourhood> neighbourhoods = {{}};
  for (const std::string& text : flags.neighbours) {
    for (const Neighbourhood& one : ParseNeighbourhoods(text)) neighbourhoods.push_back(one);
  }
  // Beside others, our own single thread is what several must not fall below.
  const bool beside = neighbourhoods.size() > 1;
  if (beside && std::ranges::find(threads, 1u) == threads.end()) threads.push_back(1);
  std::vector<BenchTest> tests;
  for (const uint32_t count : threads) {
    std::vector<BenchTest> alone;
    AddTests(flags, count, alone);
    for (const BenchTest& test : alone) {
      for (const Neighbourhood& neighbourhood : neighbourhoods) {
        tests.push_back(test);
        tests.back().beside = neighbourhood;
      }
    }
  }
  if (tests.empty()) {
    throw Error(ErrorCode::kUsage, "nothing to measure: give -p or -n above 0");
  }
  return tests;
}

struct Measured {
  BenchReport report;
  BenchSetup setup;
  std::vector<BenchLine> lines;
  MachineState before, after;
  Seconds elapsed;
};

void PrintText(const BenchFlags& flags, const Measured& measured) {
  if (flags.output == "csv") return Write(CsvOf(measured.lines));
  const bool markdown = flags.output == "md";
  const BenchTable table = TableOf(measured.lines);
  std::string out = markdown ? table.ToMarkdown() + "\n" : table.ToText();
  out += RoofText(measured.report);
  if (flags.ops) {
    for (const BenchResult& result : measured.report.results) out += OpsText(result, markdown);
  }
  Write(out);
  std::fprintf(stderr,
               "measured in %.1f s, medians of %u; %s, %s; load average %.2f before, %.2f after, "
               "%.1f s of CPU stolen%s\n",
               measured.elapsed.value(), flags.rounds(), CpuName().c_str(),
               NameOf(kernels::Kernels().isa), measured.before.load_average,
               measured.after.load_average,
               (measured.after.stolen - measured.before.stolen).value(),
               measured.report.no_energy.empty() ? "" : "; no energy counter");
}

void PrintJson(const BenchFlags& flags, const LoadedModel& loaded, const Measured& measured) {
  const BenchReport& report = measured.report;
  Json results = Json::Array();
  for (size_t i = 0; i < report.results.size(); ++i) {
    const BenchResult& result = report.results[i];
    Json samples = Json::Array();
    for (const BenchSample& sample : result.samples) samples.Push(result.tok_s(sample));
    Json json = JsonOf(measured.lines[i]);
    json.Set("tok_s_samples", std::move(samples));
    if (flags.ops) json.Set("ops", OpsJson(result));
    results.Push(std::move(json));
  }
  Json roofs = Json::Array();
  for (const MachineRoof& roof : report.roofs) roofs.Push(JsonOf(roof));
  Json json = Json::Object();
  json.Set("kind", "measured")
      .Set("model", loaded.file.path())
      .Set("type", measured.setup.type)
      .Set("parameters", loaded.model.parameters())
      .Set("weight_bytes", loaded.model.weight_bytes())
      .Set("cpu", CpuName())
      .Set("isa", measured.setup.isa)
      .Set("machine", MachineJson())
      .Set("batch", flags.batch)
      .Set("cache_type_k", flags.k_type)
      .Set("cache_type_v", flags.v_type)
      .Set("prefetch_bytes", flags.prefetch)
      .Set("pin", flags.pin)
      .Set("huge_pages", flags.huge_pages)
      .Set("repeats", flags.rounds())
      .Set("profiled", flags.ops)
      .Set("load_average_before", measured.before.load_average)
      .Set("load_average_after", measured.after.load_average)
      .Set("stolen_s", (measured.after.stolen - measured.before.stolen).value())
      .Set("elapsed_s", measured.elapsed.value())
      .Set("probe_bytes", report.probe_bytes)
      .Set("probe_fits_cache", report.probe_fits_cache)
      .Set("no_energy", report.no_energy)
      .Set("roof", JsonOf(report.roofs.back()))
      .Set("roofs", std::move(roofs))
      .Set("results", std::move(results));
  json.Print();
}

int Bench(const BenchFlags& flags) {
  if (flags.rounds() == 0) throw Error(ErrorCode::kUsage, "-r 0 measures nothing");
  if (flags.experiment) {
    if (flags.model) {
      throw Error(ErrorCode::kUsage, "--experiment names its own models: leave out -m");
    }
    return RunExperiment({.file = *flags.experiment,
                          .models = flags.models,
                          .results = flags.results,
                          .repeats = flags.repeats,
                          .output = flags.json ? "json" : flags.output});
  }
  if (flags.models || flags.results) {
    throw Error(ErrorCode::kUsage, "--models and --results belong to --experiment");
  }
  BenchPlan plan;
  plan.tests = TestsOf(flags);
  plan.repeats = flags.rounds();
  plan.options.batch = flags.batch;
  plan.options.k_type = FindTypeByName(flags.k_type)->type;
  plan.options.v_type = FindTypeByName(flags.v_type)->type;
  plan.options.profile = flags.ops;
  plan.options.huge_pages = flags.huge_pages;
  plan.options.pin = flags.pin;
  plan.options.prefetch_bytes = flags.prefetch;

  LoadedModel loaded(ModelPath(flags.model), false);
  for (const BenchTest& test : plan.tests) {
    CheckedPlan(loaded, BenchEngineOptions(loaded.model, plan, test.threads), SamplerOptions(),
                flags.force);
  }
  Load(loaded.file, plan.options);
  const InterruptGuard interrupt;
  Progress progress("measuring");
  Measured measured;
  measured.setup = {.type = WeightTypeOf(loaded.file, loaded.model),
                    .isa = NameOf(kernels::Kernels().isa),
                    .k_type = flags.k_type,
                    .v_type = flags.v_type};
  measured.before = ReadMachineState();
  const Seconds start = Now();
  measured.report = RunBench(loaded.model, plan, [&](uint64_t done, uint64_t total) {
    progress.Show(done, total);
    if (interrupt.flag()) throw Error(ErrorCode::kIo, "interrupted");
  });
  measured.elapsed = Now() - start;
  measured.after = ReadMachineState();
  measured.lines = LinesOf(measured.report, measured.setup);
  progress.Clear();
  if (flags.json || flags.output == "json") {
    PrintJson(flags, loaded, measured);
  } else {
    PrintText(flags, measured);
  }
  return 0;
}

VerbMain Add(Flags& flags) {
  const std::vector<std::string> kv_types = {"f32", "f16", "q8_0", "q4_0"};
  auto options = std::make_shared<BenchFlags>();
  flags.Add("-m,--model", options->model, "FILE", "the GGUF file; without it the bundled model");
  flags.AddList("-p,--n-prompt", options->prompts, "N,...", "prompt lengths; 0: none");
  flags.AddList("-n,--n-gen", options->generates, "N,...", "tokens to generate; 0: none");
  flags.AddList("-d,--n-depth,--depth", options->depths, "N,...", "positions in the cache beforehand");
  flags.AddList("--batch-decode", options->slots, "N,...", "sequences that generate at once");
  flags.AddList("-t,--threads", options->threads, "N,...", "worker threads; 0: one per core");
  flags.Add("-r,--repetitions", options->repeats, "N",
            "runs of each test after one to warm up (default: 5)");
  flags.Add("-b,--batch-size", options->batch, "N", "prompt tokens computed together");
  flags.AddChoice("-ctk,--cache-type-k", options->k_type, kv_types, "type of the keys");
  flags.AddChoice("-ctv,--cache-type-v", options->v_type, kv_types, "type of the values");
  flags.AddSwitch("--pin", options->pin, kPinHelp);
  flags.AddSwitch("--huge-pages", options->huge_pages, kHugePagesHelp);
  flags.Add("--prefetch", options->prefetch, "BYTES",
            "how long before their use decoding asks for quantised weights, on x86; 0: as measured best");
  flags.Add("--neighbour", options->neighbours, "N[:pin]",
            "measure also beside N busy processes, anywhere or each kept on one CPU; \"1:pin,3\"");
  flags.AddSwitch("--ops", options->ops,
                  "time, bytes, operations, share of the roof and kernel of each operator");
  flags.AddSwitch("--force", options->force,
                  "run although the plan needs more memory than there is");
  flags.AddChoice("-o,--output", options->output, {"table", "md", "csv", "json"}, "format");
  flags.AddSwitch("--json", options->json, "the same as -o json");
  flags.Group("Experiments");
  flags.Add("--experiment", options->experiment, "FILE", "run what a file of bench/ describes");
  flags.Add("--models", options->models, "FOLDER",
            "where its models are, and are made when missing (default: ~/.cache/edgewise)");
  flags.Add("--results", options->results, "FOLDER", "write its results there, as .json and .md");
  return [options] { return Bench(*options); };
}

}  // namespace

const Verb kBenchVerb = {
    "bench", "prompt and generation speed, and their share of the machine's roof",
    "Measures tokens per second: pp512 is a prompt of 512, tg128 a generation of 128, @b4 four "
    "sequences at once, @d4096 after 4096 positions. Figures are medians, with the least and the most "
    "beside them; the tests take turns in changing order. GB/s and GOP/s are what the engine counted over "
    "the time taken. The roof is the fastest read of memory and the fastest multiply-adds on as many "
    "threads, measured just before and after each run; the share is the time that the larger of both "
    "bounds asks for, over the time taken. With --neighbour, 'kept' is the share of the undisturbed "
    "speed, '/1 thread' the speed over that of one thread beside the same processes.",
    "edgewise bench -m model.gguf\n"
    "edgewise bench -m model.gguf -p 128,512 -n 32 -t 1,2 -r 5\n"
    "edgewise bench -m model.gguf -p 0 -n 32 -d 0,1024 --batch-decode 1,4 -o md\n"
    "edgewise bench -m model.gguf -p 0 -n 32 --ops\n"
    "edgewise bench -m model.gguf -n 32 --neighbour 1:pin,3\n"
    "edgewise bench --experiment bench/decode.toml --results results\n",
    Add};

}  // namespace edgewise
