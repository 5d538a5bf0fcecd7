// The verb `bench`; a file named verb_bench.cc would be built as a micro-benchmark.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/thread_pool.h"
#include "cli/bench_run.h"
#include "cli/console.h"
#include "cli/json.h"
#include "cli/machine_state.h"
#include "cli/options.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "quant/recipe.h"

namespace edgewise {
namespace {

struct BenchFlags {
  std::optional<std::string> model;
  std::vector<uint32_t> prompts = {512}, generates = {128}, depths = {0}, threads = {0};
  std::vector<uint32_t> slots = {1};
  uint32_t batch = 512, repeats = 5;
  std::string k_type = "f16", v_type = "f16", output = "table";
  bool json = false, force = false;
};

constexpr uint32_t kMostTokens = 1 << 20;  // of a list's entry: above, a typing error

std::vector<BenchTest> TestsOf(const BenchFlags& flags) {
  std::vector<BenchTest> tests;
  const auto check = [](uint32_t value) {
    if (value <= kMostTokens) return value;
    throw Error(ErrorCode::kUsage, StrCat(value, " tokens are more than ", kMostTokens));
  };
  for (const uint32_t depth : flags.depths) {
    for (const uint32_t given : flags.threads) {
      const uint32_t threads = given == 0 ? static_cast<uint32_t>(DefaultThreads()) : given;
      BenchTest test = {.depth = check(depth), .threads = threads};
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
  if (tests.empty()) {
    throw Error(ErrorCode::kUsage, "nothing to measure: give -p or -n above 0");
  }
  return tests;
}

// What the file says it is, else the type that most bytes have; and whether products are integer.
struct WeightType {
  std::string name;
  bool integer;
};
WeightType WeightTypeOf(const LoadedModel& loaded) {
  std::vector<uint64_t> bytes(256, 0);
  for (const Weight& weight : loaded.model.weights()) {
    bytes[static_cast<size_t>(weight.type)] += weight.bytes();
  }
  const auto most = std::max_element(bytes.begin(), bytes.end()) - bytes.begin();
  const TypeInfo& info = InfoOf(static_cast<DType>(most));
  const int64_t file_type = loaded.file.Integer("general.file_type", -1);
  const Recipe* recipe =
      file_type >= 0 ? FindRecipeByFileType(static_cast<uint32_t>(file_type)) : nullptr;
  return {recipe != nullptr ? recipe->name : info.name, info.block > 1};
}

// A result as it is shown.
struct Line {
  std::string test;
  uint32_t threads;
  double tok_s, tok_s_min, tok_s_max, gb_s, gop_s, roof_share;
  const char* bound;
};

Line LineOf(const BenchResult& result, const BenchReport& report, bool integer) {
  const BenchSample median = result.median();
  const MachineRoof& roof =
      *std::ranges::find(report.roofs, result.test.threads, &MachineRoof::threads);
  const OpCost& cost = median.counted;
  const RoofTime least = TimeAtRoof(cost, roof, integer);
  Line line = {.test = result.test.name(),
               .threads = result.test.threads,
               .tok_s = result.tok_s(median),
               .tok_s_min = result.tok_s(median),
               .tok_s_max = result.tok_s(median),
               .gb_s = (cost.weight_bytes + cost.kv_read + cost.kv_write) / median.elapsed / 1e9,
               .gop_s = cost.flops / median.elapsed / 1e9,
               .roof_share = least.least() / median.elapsed.value(),
               .bound = least.memory > least.compute ? "memory" : "compute"};
  for (const BenchSample& sample : result.samples) {
    line.tok_s_min = std::min(line.tok_s_min, result.tok_s(sample));
    line.tok_s_max = std::max(line.tok_s_max, result.tok_s(sample));
  }
  return line;
}

std::string Number(double value, int decimals) {
  char text[48];
  std::snprintf(text, sizeof(text), "%.*f", decimals, value);
  return text;
}
// Three significant digits or so, whatever the size.
std::string Rate(double value) { return Number(value, value < 10 ? 2 : value < 1000 ? 1 : 0); }

std::vector<std::string> Cells(const Line& line, const std::string& type) {
  return {line.test,
          type,
          std::to_string(line.threads),
          Rate(line.tok_s),
          Rate(line.tok_s_min),
          Rate(line.tok_s_max),
          Rate(line.gb_s),
          Rate(line.gop_s),
          Number(100 * line.roof_share, 1),
          line.bound};
}
const std::vector<std::string> kHeadings = {"test",         "type",      "threads", "tok_s",
                                            "tok_s_min",    "tok_s_max", "gb_s",    "gop_s",
                                            "roof_share_%", "bound"};

// "| a | b |", or "a,b".
std::string Joined(const std::vector<std::string>& cells, const char* before, const char* between,
                   const char* after) {
  std::string out = before;
  for (size_t i = 0; i < cells.size(); ++i) out += (i == 0 ? "" : between) + cells[i];
  return out + after + "\n";
}

struct Measured {
  BenchReport report;
  MachineState before, after;
  Seconds elapsed;
};

void PrintTable(const BenchFlags& flags, const LoadedModel& loaded, const Measured& measured) {
  const WeightType type = WeightTypeOf(loaded);
  std::vector<std::vector<std::string>> rows;
  for (const BenchResult& result : measured.report.results) {
    rows.push_back(Cells(LineOf(result, measured.report, type.integer), type.name));
  }
  if (flags.output == "csv") {
    Write(Joined(kHeadings, "", ",", ""));
    for (const auto& row : rows) Write(Joined(row, "", ",", ""));
    return;
  }
  if (flags.output == "md") {
    Write(Joined(kHeadings, "| ", " | ", " |"));
    Write(Joined(std::vector<std::string>(kHeadings.size(), "---"), "| ", " | ", " |"));
    for (const auto& row : rows) Write(Joined(row, "| ", " | ", " |"));
  } else {
    std::vector<std::string> headings = kHeadings;
    headings[0] = "<test";
    headings[1] = "<type";
    headings.back() = "<bound";
    Table table(headings);
    for (const auto& row : rows) table.Add(row);
    Write(table.ToText());
  }
  for (const MachineRoof& roof : measured.report.roofs) {
    std::fprintf(stderr,
                 "roof with %u threads: reads %.1f GB/s (median %.1f), int8 %.0f GOP/s, float %.0f "
                 "GFLOP/s\n",
                 roof.threads, roof.best.read_gb_s, roof.read_gb_s_median, roof.best.int8_gops,
                 roof.best.f32_gops);
  }
  std::fprintf(stderr,
               "measured in %.1f s, medians of %u; %s, %s; load average %.2f before, %.2f after, "
               "%.1f s of CPU stolen\n",
               measured.elapsed.value(), flags.repeats, CpuName().c_str(),
               NameOf(kernels::Kernels().isa), measured.before.load_average,
               measured.after.load_average,
               (measured.after.stolen - measured.before.stolen).value());
}

Json RoofJson(const MachineRoof& roof) {
  const kernels::Isa isa = kernels::Kernels().isa;
  Json json = Json::Object();
  json.Set("threads", roof.threads)
      .Set("read_gb_s", roof.best.read_gb_s)
      .Set("read_gb_s_median", roof.read_gb_s_median)
      .Set("int8_gops", roof.best.int8_gops)
      .Set("int8_loop", kernels::IntegerPeakLoop(isa).what)
      .Set("f32_gops", roof.best.f32_gops)
      .Set("f32_loop", kernels::FloatPeakLoop(isa).what);
  return json;
}

void PrintJson(const BenchFlags& flags, const LoadedModel& loaded, const Measured& measured) {
  const WeightType type = WeightTypeOf(loaded);
  const BenchReport& report = measured.report;
  Json results = Json::Array();
  for (const BenchResult& result : report.results) {
    const Line line = LineOf(result, report, type.integer);
    Json samples = Json::Array();
    for (const BenchSample& sample : result.samples) samples.Push(result.tok_s(sample));
    Json json = Json::Object();
    json.Set("test", line.test)
        .Set("type", type.name)
        .Set("threads", line.threads)
        .Set("tok_s", line.tok_s)
        .Set("tok_s_min", line.tok_s_min)
        .Set("tok_s_max", line.tok_s_max)
        .Set("tok_s_samples", std::move(samples))
        .Set("gb_s", line.gb_s)
        .Set("gop_s", line.gop_s)
        .Set("roof_share", line.roof_share)
        .Set("bound", line.bound);
    results.Push(std::move(json));
  }
  Json roofs = Json::Array();
  for (const MachineRoof& roof : report.roofs) roofs.Push(RoofJson(roof));
  Json json = Json::Object();
  json.Set("kind", "measured")
      .Set("model", loaded.file.path())
      .Set("type", type.name)
      .Set("parameters", loaded.model.parameters())
      .Set("weight_bytes", loaded.model.weight_bytes())
      .Set("cpu", CpuName())
      .Set("isa", NameOf(kernels::Kernels().isa))
      .Set("batch", flags.batch)
      .Set("cache_type_k", flags.k_type)
      .Set("cache_type_v", flags.v_type)
      .Set("repeats", flags.repeats)
      .Set("load_average_before", measured.before.load_average)
      .Set("load_average_after", measured.after.load_average)
      .Set("stolen_s", (measured.after.stolen - measured.before.stolen).value())
      .Set("elapsed_s", measured.elapsed.value())
      .Set("roof", RoofJson(report.roofs.back()))
      .Set("roofs", std::move(roofs))
      .Set("results", std::move(results));
  json.Print();
}

int Bench(const BenchFlags& flags) {
  BenchPlan plan;
  plan.tests = TestsOf(flags);
  plan.repeats = flags.repeats;
  plan.options.batch = flags.batch;
  plan.options.k_type = FindTypeByName(flags.k_type)->type;
  plan.options.v_type = FindTypeByName(flags.v_type)->type;
  if (flags.repeats == 0) throw Error(ErrorCode::kUsage, "-r 0 measures nothing");

  const LoadedModel loaded(ModelPath(flags.model), false);
  for (const BenchTest& test : plan.tests) {
    CheckedPlan(loaded, BenchEngineOptions(loaded.model, plan, test.threads), SamplerOptions(),
                flags.force);
  }
  const InterruptGuard interrupt;
  Progress progress("measuring");
  Measured measured;
  measured.before = ReadMachineState();
  const Seconds start = Now();
  measured.report = RunBench(loaded.model, plan, [&](uint64_t done, uint64_t total) {
    progress.Show(done, total);
    if (interrupt.flag()) throw Error(ErrorCode::kIo, "interrupted");
  });
  measured.elapsed = Now() - start;
  measured.after = ReadMachineState();
  progress.Clear();
  if (flags.json || flags.output == "json") {
    PrintJson(flags, loaded, measured);
  } else {
    PrintTable(flags, loaded, measured);
  }
  return 0;
}

VerbMain Add(Flags& flags) {
  const std::vector<std::string> kv_types = {"f32", "f16", "q8_0", "q4_0"};
  auto options = std::make_shared<BenchFlags>();
  flags.Add("-m,--model", options->model, "FILE", "the GGUF file; without it the bundled model");
  flags.AddList("-p,--n-prompt", options->prompts, "N,...", "prompt lengths; 0: none");
  flags.AddList("-n,--n-gen", options->generates, "N,...", "tokens to generate; 0: none");
  flags.AddList("-d,--n-depth", options->depths, "N,...", "positions in the cache beforehand");
  flags.AddList("--batch-decode", options->slots, "N,...", "sequences that generate at once");
  flags.AddList("-t,--threads", options->threads, "N,...", "worker threads; 0: one per core");
  flags.Add("-r,--repetitions", options->repeats, "N", "runs of each test after one to warm up");
  flags.Add("-b,--batch-size", options->batch, "N", "prompt tokens computed together");
  flags.AddChoice("-ctk,--cache-type-k", options->k_type, kv_types, "type of the keys");
  flags.AddChoice("-ctv,--cache-type-v", options->v_type, kv_types, "type of the values");
  flags.AddSwitch("--force", options->force,
                  "run although the plan needs more memory than there is");
  flags.AddChoice("-o,--output", options->output, {"table", "md", "csv", "json"}, "format");
  flags.AddSwitch("--json", options->json, "the same as -o json");
  return [options] { return Bench(*options); };
}

}  // namespace

const Verb kBenchVerb = {
    "bench", "prompt and generation speed, and their share of the machine's roof",
    "Measures tokens per second: pp512 is a prompt of 512, tg128 a generation of 128, @b4 four "
    "sequences at once, @d4096 after 4096 positions. Speeds are medians, with the slowest and the "
    "fastest run beside them; the tests take turns. GB/s and GOP/s are what the engine counted "
    "over the time taken. The roof, measured between the tests, is the fastest read of memory "
    "and the fastest multiply-adds seen; the share is the time that the larger of both bounds "
    "asks for, over the time taken.",
    "edgewise bench -m model.gguf\n"
    "edgewise bench -m model.gguf -p 128,512 -n 32 -t 1,2 -r 5\n"
    "edgewise bench -m model.gguf -p 0 -n 32 -d 0,1024 --batch-decode 1,4 -o md\n",
    Add};

}  // namespace edgewise
