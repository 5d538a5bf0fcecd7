#include "cli/plan_presets.h"

#include <cmath>
#include <functional>
#include <vector>

#include "base/error.h"
#include "cli/console.h"
#include "cli/json.h"
#include "cli/plan_report.h"
#include "cli/plan_setup.h"
#include "cli/table.h"
#include "cli/text.h"
#include "predict/battery.h"
#include "predict/energy.h"
#include "predict/scenario.h"
#include "quant/recipe.h"

namespace edgewise {
namespace {

constexpr auto kAtCeilings = [](const Device&, std::string_view) {
  PredictOptions options;
  options.efficiency = Ceiling();
  return options;
};

// Prices at the peaks of a device: what no program can exceed.
class Ceilings {
 public:
  explicit Ceilings(const PlanSetup& setup)
      : memory_([&setup](const Model& model, const Usage& usage) { return setup.NeedFor(model, usage); }),
        evaluator_(setup.models(), memory_, kAtCeilings) {}
  Evaluator& evaluator() { return evaluator_; }

 private:
  std::function<MemoryNeed(const Model&, const Usage&)> memory_;
  Evaluator evaluator_;
};

Space SpaceOf(const Scenario& scenario, PlanSetup& setup, const Device& device) {
  Space space;
  space.base = scenario.usage();
  const auto named = [&](const char* name) { return setup.IndexOf(name); };
  if (*scenario.models != '\0') {
    space.models = {named(scenario.models)};
  } else {
    space.models = DistinctModels(setup.models());
  }
  space.recipes = setup.RecipesOn(device, space.models.front());
  for (const DType type : {DType::kF16, DType::kQ8_0, DType::kQ4_0}) space.kv_types.push_back({type, type});
  space.batches = {scenario.sequences};
  space.chunks = {64, 512};
  return space;
}

// "misses memory (1.6 GB of 500 MB)"; "keeps all limits".
std::string MissText(const Figures& figures, const Limits& limits) {
  std::string text;
  for (size_t i = 0; i < kLimitKinds; ++i) {
    const auto kind = static_cast<LimitKind>(i);
    if (!limits[kind] || Miss(figures, kind, *limits[kind]) <= 1) continue;
    text +=
        StrCat(text.empty() ? "misses " : ", ", NameOf(kind), " (", FigureText(kind, FigureOf(figures, kind)),
               ", wanted ", FigureText(kind, *limits[kind]), ")");
  }
  return text.empty() ? "keeps all limits" : text;
}

PlanFlags FlagsFor(const PlanFlags& asked, const Scenario& scenario) {
  PlanFlags flags = asked;
  flags.model = *scenario.models != '\0' ? scenario.models : scenario.proposals.front().shape;
  flags.prompt = scenario.prompt;
  flags.generate = scenario.generate;
  flags.sequences = scenario.sequences;
  return flags;
}

int PrintScenario(const Scenario& scenario, const PlanFlags& asked) {
  const PlanFlags flags = FlagsFor(asked, scenario);
  PlanSetup setup(flags);
  const bool ceiling = *scenario.device == '\0' && !flags.device;
  const Device device =
      ceiling ? DocumentsPhone()
              : setup.DeviceNamed(flags.device.value_or(scenario.device), setup.HostConfigurations());
  Ceilings ceilings(setup);
  Evaluator& evaluator = ceiling ? ceilings.evaluator() : setup.evaluator();

  Limits limits = scenario.limits();
  const Limits given = LimitsOf(flags);
  for (size_t i = 0; i < kLimitKinds; ++i) {
    if (given.most[i]) limits.most[i] = given.most[i];
  }
  std::string note;
  // What the system keeps for itself is no model's.
  if (std::optional<double>& most = limits[LimitKind::kMemory]) most = std::min(*most, device.usable_bytes());
  if (limits[LimitKind::kWatts] && !device.watts && !device.chip) {
    limits[LimitKind::kWatts].reset();
    note = StrCat("Nobody knows the watts of ", device.name, ": that limit is left out.\n");
  }
  const Space space = SpaceOf(scenario, setup, device);
  const SearchAnswer answer = Search(evaluator, device, space, limits);
  std::string proposals;
  Json theirs = Json::Array();
  for (const Proposal& proposal : scenario.proposals) {
    Configuration c = {
        .model = setup.IndexOf(proposal.shape), .recipe = proposal.recipe, .usage = scenario.usage()};
    c.usage.k_type = c.usage.v_type = proposal.kv;
    const Candidate candidate = evaluator.Evaluate(device, c);
    const std::string verdict = MissText(candidate.figures, limits);
    proposals += StrCat("  ", proposal.shape, " in ", proposal.recipe,
                        proposal.kv == DType::kF16 ? "" : StrCat(", KV ", NameOf(proposal.kv)), ": ",
                        RateText(candidate.figures.tok_s), " tok/s, first token ",
                        HumanSeconds(candidate.figures.ttft_s), ", ",
                        GigabyteText(candidate.figures.memory_bytes), ": ", verdict, "\n");
    Json json = Json::Object();
    json.Set("model", proposal.shape).Set("type", proposal.recipe).Set("tok_s", candidate.figures.tok_s);
    json.Set("ttft_ms", candidate.figures.ttft_s * 1e3).Set("memory_bytes", candidate.figures.memory_bytes);
    json.Set("verdict", verdict);
    theirs.Push(std::move(json));
  }
  // Where the model was given, the best other one.
  std::optional<Candidate> other;
  if (answer.ranked.empty() && space.models.size() == 1) {
    Scenario any = scenario;
    any.models = "";
    const SearchAnswer all = Search(evaluator, device, SpaceOf(any, setup, device), limits);
    if (!all.ranked.empty()) other = all.ranked.front();
  }
  if (flags.json) {
    Json json = SearchJson(setup.models(), device, limits, answer);
    json.Set("preset", scenario.name).Set("asked", scenario.asked).Set("claim", scenario.claim);
    json.Set("proposals", std::move(theirs));
    if (other) {
      json.Set("other_model", setup.models()[other->configuration.model].name)
          .Set("other_type", other->configuration.recipe)
          .Set("other_kv", NameOf(other->configuration.usage.k_type));
    }
    json.Print();
    return 0;
  }
  std::string text = StrCat(Bold(scenario.name), ", ", scenario.title, ": ", scenario.asked,
                            ".\nThe documents: ", scenario.claim, ". Priced, their answer\n", proposals, "\n",
                            note, "Ours. ", SearchText(setup.models(), device, limits, answer));
  if (other) {
    text +=
        StrCat("With another model all limits are kept: ", setup.models()[other->configuration.model].name,
               " (", ConfigurationText(other->configuration), "), ", RateText(other->figures.tok_s),
               " tok/s, first token ", HumanSeconds(other->figures.ttft_s), ", ",
               GigabyteText(other->figures.memory_bytes), ".\n");
  }
  Write(text);
  return 0;
}

// ---- exercises that are a computation ----

// A device of which only the bandwidth is said.
Device OnlyBandwidth(double bytes_s) {
  Device device = DocumentsPhone();
  device.name = "100-gb-s";
  device.title = "a memory of 100 GB/s, arithmetic without end";
  device.int8_ops_s->value = device.f16_ops_s->value = device.f32_ops_s->value = 1e18;
  device.memory_bytes.value = 64e9;
  device.memory_bytes_s.value = bytes_s;
  return device;
}

int Exercise2(const PlanFlags& asked) {
  PlanFlags flags = asked;
  flags.model = "llama2-7b";
  PlanSetup setup(flags);
  const Device device = OnlyBandwidth(100e9);
  Ceilings ceilings(setup);
  Evaluator& evaluator = ceilings.evaluator();
  const double theirs = device.memory_bytes_s.value / 7e9;  // the document's premise: 7 GB
  Table table({"<our 7B (llama2-7b, every byte counted)", "tok/s"});
  Json ours = Json::Array();
  struct Case {
    const char* what;
    const char* recipe;
    uint32_t prompt;
  };
  for (const Case& one : {Case{"Q8_0 (8.5 bits with its scales), empty cache", "Q8_0", 1},
                          Case{"the same, F16 KV cache of 2048 positions", "Q8_0", 2047}}) {
    Configuration c = {.model = setup.IndexOf("llama2-7b"), .recipe = one.recipe};
    c.usage.prompt = one.prompt;
    c.usage.generate = 1;
    const double tok_s = evaluator.Evaluate(device, c).figures.tok_s;
    table.Add({one.what, Number(tok_s, "%.1f")});
    Json json = Json::Object();
    json.Set("what", one.what).Set("tok_s", tok_s);
    ours.Push(std::move(json));
  }
  if (flags.json) {
    Json json = Json::Object();
    json.Set("preset", "exercise-2")
        .Set("claimed_tok_s", 14.3)
        .Set("tok_s", theirs)
        .Set("ours", std::move(ours));
    json.Print();
    return 0;
  }
  Write(StrCat(Bold("exercise-2"),
               ": 7B in INT8 at 100 GB/s, bound by memory.\nThe documents: 14.3 tokens/s. ",
               "Right: 100 GB/s over 7 GB a token are ", Number(theirs, "%.1f"), " tokens/s.\n",
               table.ToText(), "The same chapter's \"14 GB a token (INT8 and KV), 7 tokens/s\" is F16.\n"));
  return 0;
}

int Exercise5(const PlanFlags& flags) {
  const Battery battery = {.ampere_hours = 3, .volts = 3.7};
  struct Case {
    const char* what;
    double watts;
    const char* claim;
  };
  const Case cases[] = {
      {"3 W", 3, "3.7 h"},
      {"1.5 W", 1.5, "7.4 h: twice"},
      {"3 W for half of the work, 1.5 W for the other", DutyCycleWatts(3, 1.5, 0.5),
       "\"mean 2 W\", about 5.55 h"},
      {"3 W for a third of the work, 1.5 W for two thirds",
       DutyCycleWatts(3, 1.5, 1 - ShareForMean(2, 1.5, 3)), ""},
      {"3 W a quarter of the time, 0.1 W asleep for the rest", DutyCycleWatts(3, 0.1, 0.25), "intermittent"},
      {"0.7 of the clock, 0.3 W idle (voltage with it)", DvfsWatts(3, 0.3, 0.7), "DVFS"},
  };
  Table table({"<", "mean W", "hours", "<the documents"});
  Json list = Json::Array();
  for (const Case& one : cases) {
    const double hours = BatteryHours(battery, one.watts);
    table.Add({one.what, Number(one.watts, "%.3g"), Number(hours, "%.3g"), one.claim});
    Json json = Json::Object();
    json.Set("what", one.what).Set("mean_watts", one.watts).Set("hours", hours).Set("claim", one.claim);
    list.Push(std::move(json));
  }
  if (flags.json) {
    Json json = Json::Object();
    json.Set("preset", "exercise-5").Set("watt_hours", battery.watt_hours()).Set("hours", std::move(list));
    json.Print();
    return 0;
  }
  Write(StrCat(Bold("exercise-5"), ": a battery of 3000 mAh at 3.7 V, ",
               Number(battery.watt_hours(), "%.1f Wh"), ".\n", table.ToText(),
               "A mean of 2 W needs two thirds of the work at 1.5 W, not half of it.\n"));
  return 0;
}

int Exercise6(const PlanFlags& asked) {
  PlanFlags flags = asked;
  flags.model = "llama2-7b";
  PlanSetup setup(flags);
  Device device = DocumentsPhone();
  device.memory_bytes.value = 16e9;
  Ceilings ceilings(setup);
  Evaluator& evaluator = ceilings.evaluator();
  Configuration base = {.model = setup.IndexOf("llama2-7b"), .recipe = "F16"};
  base.usage.prompt = base.usage.generate = 128;
  struct Case {
    const char* what;
    const char* claim;
    std::function<void(Configuration&)> apply;
  };
  const Case cases[] = {
      {"INT8 (Q8_0)", "2x", [](Configuration& c) { c.recipe = "Q8_0"; }},
      {"INT4 (Q4_0)", "4x", [](Configuration& c) { c.recipe = "Q4_0"; }},
      {"speculation, 4 proposed, 60% right (assumed)", "1.5 to 2x",
       [](Configuration& c) {
         c.usage.draft_tokens = 4;
         c.usage.acceptance = 0.6;
       }},
      {"INT8 and that speculation", "",
       [](Configuration& c) {
         c.recipe = "Q8_0";
         c.usage.draft_tokens = 4;
         c.usage.acceptance = 0.6;
       }},
  };
  const Candidate now = evaluator.Evaluate(device, base);
  Table table({"<", "tok/s", "", "<the documents"});
  table.Add({"F16", RateText(now.figures.tok_s), "", ""});
  Json list = Json::Array();
  for (const Case& one : cases) {
    Configuration c = base;
    one.apply(c);
    const Candidate after = evaluator.Evaluate(device, c);
    const double gain = after.figures.tok_s / now.figures.tok_s;
    table.Add({one.what, RateText(after.figures.tok_s), Number(gain, "%.2fx"), one.claim});
    Json json = Json::Object();
    json.Set("what", one.what).Set("gain", gain).Set("claim", one.claim).Set("ppl_loss", after.figures.loss);
    list.Push(std::move(json));
  }
  if (flags.json) {
    Json json = Json::Object();
    json.Set("preset", "exercise-6").Set("gains", std::move(list));
    json.Print();
    return 0;
  }
  Write(StrCat(
      Bold("exercise-6"), ": four times as fast, llama2-7b decoding on ", device.title,
      ", each change priced anew.\n", table.ToText(),
      "The documents multiply INT8 (2) x FlashAttention (1.5) x a light pruning (1.3) to about 4. Factors "
      "multiply\nonly where they act on the same bottleneck: FlashAttention saves scratch traffic of prefill "
      "and "
      "gives a decoded\ntoken nothing, as its time goes into reading weights. Our attention is of that kind "
      "already.\n"));
  return 0;
}

int RaspberryPi(const PlanFlags& asked) {
  PlanFlags flags = asked;
  flags.model = "llama1-7b";
  PlanSetup setup(flags);
  Device device = setup.DeviceNamed("rpi4", {});
  device.memory_bytes.value = 4e9;  // the documents' model of it
  device.free_bytes.reset();
  Configuration c = {.model = setup.IndexOf("llama1-7b"), .recipe = "Q4_0"};
  c.usage.prompt = c.usage.generate = 128;
  const Prediction paging = setup.evaluator().PredictionOf(device, c);
  Device roomy = device;
  roomy.memory_bytes.value = 8e9;
  const Prediction resident = setup.evaluator().PredictionOf(roomy, c);
  const MemoryFit& fit = paging.memory;
  const double again = (1 - fit.resident_share) * static_cast<double>(fit.need.weights);
  if (flags.json) {
    Json json = Json::Object();
    json.Set("preset", "raspberry-pi")
        .Set("claimed_tok_s", 0.1)
        .Set("tok_s", paging.tok_s)
        .Set("bound", NameOf(paging.bound))
        .Set("resident_share", fit.resident_share)
        .Set("paged_bytes", again)
        .Set("tok_s_with_8_gb", resident.tok_s)
        .Set("bound_with_8_gb", NameOf(resident.bound));
    json.Print();
    return 0;
  }
  Write(StrCat(
      Bold("raspberry-pi"),
      ": 7B in 4 bits on a Raspberry Pi 4 of 4 GB.\nThe documents: 2 tokens/s in theory, "
      "0.1 measured; the arithmetic is suspected.\nOurs: ",
      GigabyteText(static_cast<double>(fit.need.total())), " do not fit the ", GigabyteText(fit.usable_bytes),
      " that are usable. ", GigabyteText(again), " of the weights are read from storage at ",
      GigabyteText(device.storage_bytes_s ? device.storage_bytes_s->value : 0),
      "/s again for every token:\n  ", RateText(paging.tok_s), " tok/s, bound by ", NameOf(paging.bound),
      ".\nThe same board with 8 GB: ", RateText(resident.tok_s), " tok/s, bound by ", NameOf(resident.bound),
      ". It is paging, not arithmetic. (0.1 tokens/s of 3.5 GB are 0.35 GB/s: the rate of a disk.)\n"));
  return 0;
}

struct Exercise {
  const char* name;
  int (*print)(const PlanFlags& flags);
};
constexpr Exercise kExercises[] = {
    {"exercise-2", Exercise2},
    {"exercise-5", Exercise5},
    {"exercise-6", Exercise6},
    {"raspberry-pi", RaspberryPi},
};

}  // namespace

int PrintPreset(const std::string& name, const PlanFlags& flags) {
  if (const Scenario* scenario = FindScenario(name)) return PrintScenario(*scenario, flags);
  std::string known;
  for (const Scenario& scenario : Scenarios()) known += StrCat(known.empty() ? "" : ", ", scenario.name);
  for (const Exercise& exercise : kExercises) {
    if (name == exercise.name) {
      if (flags.device || IsAny(LimitsOf(flags))) {
        throw Error(ErrorCode::kUsage,
                    StrCat("--preset ", name, " is a computation: it takes no --device and no limits"));
      }
      return exercise.print(flags);
    }
    known += StrCat(", ", exercise.name);
  }
  throw Error(ErrorCode::kUsage, StrCat("no preset is named '", Printable(name), "': known are ", known));
}

}  // namespace edgewise
