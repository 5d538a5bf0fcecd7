#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "cli/chip_html.h"
#include "cli/chip_options.h"
#include "cli/compare_chip.h"
#include "cli/compare_report.h"
#include "cli/compare_run.h"
#include "cli/console.h"
#include "cli/host_device.h"
#include "cli/host_measure.h"
#include "cli/json.h"
#include "cli/machine_state.h"
#include "cli/options.h"
#include "cli/verb.h"
#include "machine/device_catalog.h"
#include "model/random_weights.h"

namespace edgewise {
namespace {

struct CompareFlags {
  std::vector<std::string> models;
  std::string device = "host";
  std::vector<uint32_t> prompts = {128}, generates = {16}, depths = {0}, threads = {0}, slots = {1};
  uint32_t batch = 512, repeats = 5;
  std::string k_type = "f16", v_type = "f16";
  std::optional<std::string> html;
  bool first_token = false, remeasure = false, operators = false, json = false, force = false;
};

constexpr std::string_view kProbe = "probe:";

// A model to compare with: of a file, or one of those that the rates were fitted on.
struct Subject {
  std::string name, type;
  std::unique_ptr<LoadedModel> file;
  std::unique_ptr<ProbeModel> probe;

  const Model& model() const { return file != nullptr ? file->model : probe->model; }
};

Subject Open(const std::string& name) {
  Subject subject;
  if (name.starts_with(kProbe)) {
    const std::string type = name.substr(kProbe.size());
    const TypeInfo* info = FindTypeByName(type);
    if (info == nullptr) {
      throw Error(ErrorCode::kUsage, StrCat("-m ", Printable(name), ": no tensor type is named '",
                                            Printable(type), "'; probe:Q4_0 is one"));
    }
    subject.probe = std::make_unique<ProbeModel>(info->type);
    subject.name = "probe";
    subject.type = info->name;
    return subject;
  }
  subject.file = std::make_unique<LoadedModel>(name, false);
  subject.name = name.substr(name.rfind('/') + 1);
  subject.type = WeightTypeOf(subject.file->file, subject.model());
  return subject;
}

std::vector<BenchTest> TestsOf(const CompareFlags& flags) {
  std::vector<BenchTest> tests;
  for (const uint32_t threads : flags.threads) {
    for (const uint32_t depth : flags.depths) {
      BenchTest test;
      test.depth = depth;
      test.threads = static_cast<uint32_t>(ThreadsOf(threads));
      for (const uint32_t prompt : flags.prompts) {
        test.prompt = prompt;
        if (prompt > 0) tests.push_back(test);
        if (prompt == 0 || !flags.first_token || depth != flags.depths.front()) continue;
        BenchTest first = test;
        first.depth = 0;
        first.first_token = true;
        tests.push_back(first);
      }
      test.prompt = 0;
      for (const uint32_t generate : flags.generates) {
        for (const uint32_t slots : flags.slots) {
          if (slots == 0) throw Error(ErrorCode::kUsage, "--batch-decode 0 measures nothing");
          test.generate = generate;
          test.slots = slots;
          if (generate > 0) tests.push_back(test);
        }
      }
    }
  }
  constexpr uint32_t kMostTokens = 1 << 20;  // above, a typing error
  for (const BenchTest& test : tests) {
    for (const uint32_t count : {test.prompt, test.generate, test.depth}) {
      if (count > kMostTokens)
        throw Error(ErrorCode::kUsage, StrCat(count, " tokens are more than ", kMostTokens));
    }
  }
  if (tests.empty()) throw Error(ErrorCode::kUsage, "nothing to compare: give -p or -n above 0");
  return tests;
}

BenchPlan PlanOf(const CompareFlags& flags) {
  if (flags.repeats == 0) throw Error(ErrorCode::kUsage, "-r 0 measures nothing");
  BenchPlan plan;
  plan.tests = TestsOf(flags);
  plan.repeats = flags.repeats;
  plan.options.batch = flags.batch;
  plan.options.k_type = FindTypeByName(flags.k_type)->type;
  plan.options.v_type = FindTypeByName(flags.v_type)->type;
  plan.options.profile = true;
  return plan;
}

ReportMemory MemoryOf(const CompareFlags& flags, const Subject& subject, const BenchPlan& plan) {
  ReportMemory memory;
  MemoryPlan most;
  for (const BenchTest& test : plan.tests) {
    const EngineOptions options = BenchEngineOptions(subject.model(), plan, test.threads);
    if (subject.file != nullptr) {
      most = CheckedPlan(*subject.file, options, SamplerOptions(), flags.force);
    } else {
      const EngineMemory engine = PlanEngineMemory(subject.model(), options);
      most.mapped = subject.model().weight_bytes();
      most.kv = engine.kv;
      most.scratch = engine.scratch;
    }
  }
  const auto bytes = [](uint64_t value) { return static_cast<double>(value); };
  memory.parts = {{"weights", bytes(most.mapped + most.copied)},
                  {"KV cache", bytes(most.kv)},
                  {"activations", bytes(most.scratch)},
                  {"program and tokenizer", bytes(most.code + most.tokenizer + most.sampler + most.program)}};
  return memory;
}

BenchReport Measure(const Subject& subject, const BenchPlan& plan) {
  const InterruptGuard interrupt;
  Progress progress("measuring " + subject.name);
  return RunBench(subject.model(), plan, [&](uint64_t done, uint64_t total) {
    progress.Show(done, total);
    if (interrupt.flag()) throw Error(ErrorCode::kIo, "interrupted");
  });
}

// ---- this machine ----

// A text for the tests of the first token, by the model's own vocabulary; without one there are no such tests.
void SetText(const Subject& subject, BenchPlan& plan) {
  if (subject.file == nullptr) {
    std::erase_if(plan.tests, [](const BenchTest& test) { return test.first_token; });
    return;
  }
  const Tokenizer& tokenizer = *subject.file->tokenizer;
  auto texts = std::make_shared<std::map<uint32_t, std::string>>();
  RandomBits bits(3);
  for (const BenchTest& test : plan.tests) {
    if (!test.first_token) continue;
    std::string& text = (*texts)[test.prompt];
    // Neighbouring pieces may merge into one token, and some are empty.
    constexpr int kTries = 16;
    for (int i = 0; tokenizer.Encode(text, {}).size() < test.prompt; ++i) {
      if (i == kTries) {
        throw Error(ErrorCode::kBadFile,
                    StrCat(subject.name, ": its vocabulary makes no text of ", test.prompt,
                           " tokens; leave --ttft out"));
      }
      for (uint32_t piece = 0; piece < test.prompt; ++piece) {
        text += tokenizer.Piece(static_cast<TokenId>(bits.Next() % tokenizer.size()));
      }
    }
  }
  plan.tokenize = [&tokenizer, texts](uint32_t count) { return tokenizer.Encode(texts->at(count), {}); };
}

// The type that most of what a step reads has.
DType MostlyOf(const Model& model) {
  std::map<DType, uint64_t> bytes;
  for (const Weight& weight : model.weights()) {
    if (weight.rows > 1) bytes[weight.type] += weight.bytes();
  }
  return std::ranges::max_element(bytes, {}, [](const auto& one) { return one.second; })->first;
}

// Predicts every test of a model, shows it, then measures.
ComparedModel CompareHost(const CompareFlags& flags, BenchPlan plan, const std::string& name, Device& device,
                          std::vector<MachineRoof>& roofs) {
  const Subject subject = Open(name);
  SetText(subject, plan);
  ComparedModel compared = {
      .name = subject.name, .type = subject.type, .tests = {}, .memory = {}, .no_energy = ""};
  compared.memory = MemoryOf(flags, subject, plan);
  HostRequest request = HostRequestFor(subject.model());
  for (const BenchTest& test : plan.tests) request.threads.push_back(test.threads);
  request.kv_types = {plan.options.k_type, plan.options.v_type};
  request.remeasure = flags.remeasure;
  request.roofs_again = true;
  device = HostDevice(request);
  if (device.free_bytes) compared.memory.usable_bytes = device.free_bytes->value;

  const auto predict = [&](const Device& machine, const BenchTest& test) {
    const OpPricer pricer(machine, subject.model(),
                          {.threads = test.threads, .efficiency = {}, .resident_share = 1});
    return PredictTest(pricer, subject.model(), test,
                       BenchEngineOptions(subject.model(), plan, test.threads));
  };
  std::vector<TestPrediction> predictions;
  for (const BenchTest& test : plan.tests) predictions.push_back(predict(device, test));
  const std::string text =
      StrCat("predicted, before measuring:\n", PredictionText(subject.name, predictions), "\n");
  if (flags.json) {
    std::fputs(text.c_str(), stderr);
  } else {
    Write(text);
  }
  constexpr Seconds kLook(0.1);
  DriftProbe drift(device, MostlyOf(subject.model()), plan.options.k_type, kLook);
  plan.before_run = [&](const BenchTest& test) {
    return drift.Look(test.threads, test.prompt > 0 ? std::min(test.prompt, plan.options.batch) : test.slots);
  };
  BenchReport report = Measure(subject, plan);
  compared.no_energy = report.no_energy;
  for (size_t i = 0; i < predictions.size(); ++i) {
    const auto team = std::ranges::find(device.teams, plan.tests[i].threads, &TeamRate::threads);
    compared.tests.push_back(
        Compare(std::move(predictions[i]), std::move(report.results[i]), team->read_bytes_s.value));
  }
  roofs = report.roofs;
  return compared;
}

int CompareOnHost(const CompareFlags& flags) {
  const BenchPlan plan = PlanOf(flags);
  std::vector<ComparedModel> models;
  Device device;
  std::vector<MachineRoof> roofs;
  for (const std::string& name : flags.models) {
    models.push_back(CompareHost(flags, plan, name, device, roofs));
  }
  if (flags.html) {
    WriteHtml(*flags.html, ReportHtml(ComparisonReport(device, models, roofs)));
    std::fprintf(stderr, "wrote %s\n", flags.html->c_str());
  }
  if (flags.json) {
    Json all = Json::Array();
    for (const ComparedModel& model : models) all.Push(ComparisonJson(model));
    Json json = Json::Object();
    json.Set("kind", "predicted and measured")
        .Set("device", "host")
        .Set("measured_host", device.measured)
        .Set("machine", MachineJson())
        .Set("models", std::move(all));
    json.Print();
  } else {
    Write(ComparisonText(models, flags.operators || models.size() == 1) + ScoreText(models));
  }
  return 0;
}

// ---- a chip ----

int CompareOnChip(const CompareFlags& flags, const ChipDesign& design) {
  if (flags.html) {
    throw Error(ErrorCode::kUsage, "--html of compare is for this machine: chip table --html draws a chip");
  }
  if (std::ranges::any_of(flags.depths, [](uint32_t depth) { return depth > 0; })) {
    throw Error(ErrorCode::kUsage, "-d: a chip is simulated from an empty cache on, leave it out");
  }
  if (flags.first_token) {
    throw Error(ErrorCode::kUsage, "--ttft is for this machine: leave it out");
  }
  const BenchPlan plan = PlanOf(flags);
  Json all = Json::Array();
  for (const std::string& name : flags.models) {
    const Subject subject = Open(name);
    MemoryOf(flags, subject, plan);
    const Device device = DeviceOf(design);
    const OpPricer pricer(device, subject.model(), {});
    BenchReport report = Measure(subject, plan);
    for (size_t i = 0; i < plan.tests.size(); ++i) {
      const BenchTest& test = plan.tests[i];
      const EngineOptions options = BenchEngineOptions(subject.model(), plan, test.threads);
      ChipComparison c = {.predicted = PredictTest(pricer, subject.model(), test, options),
                          .simulated = SimulateTest(design, subject.model(), test, options, ThreadsOf(0)),
                          .measured = std::move(report.results[i])};
      if (flags.json) {
        all.Push(ChipComparisonJson(design, subject.name, c));
      } else {
        Write(ChipComparisonText(design, subject.name, c));
      }
    }
  }
  if (flags.json) {
    Json json = Json::Object();
    json.Set("kind", "predicted, simulated and measured")
        .Set("device", design.name)
        .Set("tests", std::move(all));
    json.Print();
  }
  return 0;
}

int CompareVerb(CompareFlags flags) {
  if (flags.models.empty()) flags.models.push_back(ModelPath({}));
  if (flags.device == "host") return CompareOnHost(flags);
  try {
    return CompareOnChip(flags, NamedChips().Find(flags.device));
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNotFound) throw;
    throw Error(ErrorCode::kUsage,
                StrCat("--device ", Printable(flags.device),
                       " cannot be executed here: host and the chips can (edgewise chips); "
                       "edgewise plan predicts other devices"));
  }
}

VerbMain Add(Flags& flags) {
  const std::vector<std::string> kv_types = {"f32", "f16", "q8_0", "q4_0"};
  auto options = std::make_shared<CompareFlags>();
  flags.Add("-m,--model", options->models, "FILE",
            "a GGUF file, or probe:TYPE, a model that the rates were fitted on; may be given several times; "
            "without "
            "it the bundled model");
  flags.Add("--device", options->device, "NAME", "host, or a chip (edgewise chips)");
  flags.AddList("-p,--n-prompt", options->prompts, "N,...", "prompt lengths; 0: none");
  flags.AddList("-n,--n-gen", options->generates, "N,...", "tokens to generate; 0: none");
  flags.AddList("-d,--n-depth,--depth", options->depths, "N,...", "positions in the cache beforehand");
  flags.AddList("--batch-decode", options->slots, "N,...", "sequences that generate at once");
  flags.AddList("-t,--threads", options->threads, "N,...", "worker threads; 0: one per core");
  flags.Add("-r,--repetitions", options->repeats, "N", "runs of each test after one to warm up");
  flags.Add("-b,--batch-size", options->batch, "N", "prompt tokens computed together");
  flags.AddChoice("-ctk,--cache-type-k", options->k_type, kv_types, "type of the keys");
  flags.AddChoice("-ctv,--cache-type-v", options->v_type, kv_types, "type of the values");
  flags.AddSwitch("--remeasure", options->remeasure,
                  "measure the rates of this machine again before each model, not only its roof");
  flags.AddSwitch("--ttft", options->first_token,
                  "also the time to the first token of a text of each prompt length: tokenised, prefilled, a "
                  "token chosen");
  flags.AddSwitch("--ops", options->operators, "every operator also where several models are compared");
  flags.AddSwitch("--force", options->force, "run although the plan needs more memory than there is");
  flags.Add("--html", options->html, "FILE", "write a page with a roofline plot too");
  flags.AddSwitch("--json", options->json, "one JSON document on stdout; the predictions on stderr");
  return [options] { return CompareVerb(*options); };
}

}  // namespace

const Verb kCompareVerb = {"compare", "predicted, simulated and measured, operator by operator",
                           "Predicts the speed of a model on this machine, says so, then measures it, and "
                           "shows both by operator. The "
                           "rates of this machine's kernels are measured once, on models of other shapes, "
                           "and remembered; how fast memory "
                           "reads is measured again each time. On a chip, its closed form is held against "
                           "its tile model, which executes "
                           "the model, and against this machine.",
                           "edgewise compare -m model.gguf\n"
                           "edgewise compare -m model.gguf -p 128 -n 32 -d 0,1024 --batch-decode 1,4 -t 1,2\n"
                           "edgewise compare -m model.gguf --html report.html\n"
                           "edgewise compare --device compact-532 -p 0 -n 1\n",
                           Add};

}  // namespace edgewise
