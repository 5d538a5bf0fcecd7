#include <algorithm>
#include <atomic>
#include <cstdio>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/cpus.h"
#include "base/error.h"
#include "cli/console.h"
#include "cli/html.h"
#include "cli/json.h"
#include "cli/plan_html.h"
#include "cli/plan_options.h"
#include "cli/plan_presets.h"
#include "cli/plan_report.h"
#include "cli/plan_setup.h"
#include "cli/plan_tables.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/verb.h"
#include "predict/energy.h"
#include "predict/quality.h"

namespace edgewise {
namespace {

// What advice may turn to. Of weights and models the usual ones; of what costs an assumption (speculation, a
// prefix that is kept, a window) only what was asked for.
ChangeSpace ChangesAllowed(PlanSetup& setup, const PlanFlags& flags, const Deployment& now) {
  const Configuration& c = now.configuration;
  ChangeSpace space;
  const std::vector<std::string> priced = setup.RecipesOn(now.device, c.model);
  for (const char* recipe : {"F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_0", "Q3_K_M", "Q2_K"}) {
    if (std::ranges::find(priced, recipe) != priced.end()) space.recipes.push_back(recipe);
  }
  for (const DType type : {DType::kF16, DType::kQ8_0, DType::kQ4_0}) space.kv_types.push_back({type, type});
  const uint32_t need = c.usage.prompt + c.usage.generate;
  for (const uint32_t context : {need, 1024u, 2048u, 4096u}) {
    if (context >= need && context < c.usage.positions()) space.contexts.push_back(context);
  }
  if (flags.threads) {
    for (const TeamRate& team : now.device.teams) space.threads.push_back(team.threads);
  }
  if (c.usage.batch == 1) space.batches = {2, 4, 8};
  space.drafts = {4};
  space.acceptance = flags.acceptance;
  space.memory_bytes = now.device.memory_sizes;
  space.models = DistinctModels(setup.models());
  space.devices = setup.AllDevices();
  // Advice is about boards like this one; a wish may take any.
  if (flags.want.empty()) {
    std::erase_if(space.devices, [&](const Device& device) { return device.family != now.device.family; });
  }
  return space;
}

// "Llama 3 8B (published)": whose losses stand for this model's.
std::string LossSource(const Model& model, const Configuration& c) {
  const auto parameters = static_cast<double>(model.parameters());
  const LossTable* tables[] = {LossOfWeights(model.config(), parameters, c.recipe).table,
                               LossOfKv(model.config(), parameters, c.usage.k_type, c.usage.v_type).table};
  std::string text;
  for (const LossTable* table : tables) {
    const bool named = !text.empty() && table == tables[0];
    if (table == nullptr || named) continue;
    text += StrCat(text.empty() ? "" : " and ", table->model, " (", NameOf(table->from), ")");
  }
  return text;
}

PlanView ViewOf(PlanSetup& setup, const Device& device, const Configuration& configuration,
                const EnergyOptions& energy) {
  const bool has_cores = device.kind == DeviceKind::kCpu && !device.is_measured() && device.cores > 0;
  if (has_cores && configuration.threads > device.cores) {
    throw Error(ErrorCode::kUsage,
                StrCat("-t ", configuration.threads, ": ", device.name, " has ", device.cores, " cores"));
  }
  const Model& model = setup.evaluator().ModelFor(configuration);
  const ModelChoice& choice = setup.models()[configuration.model];
  PlanView view;
  view.device = device;
  view.configuration = configuration;
  view.model = choice.name;
  view.model_file = setup.FileOf(configuration);
  view.parameters = model.parameters();
  view.made_for = model.config().context;
  view.prediction = setup.evaluator().PredictionOf(device, configuration);
  view.figures =
      CandidateOf(configuration, setup.evaluator().WithoutTime(configuration), view.prediction).figures;
  view.memory = setup.MemoryOf(configuration);
  view.efficiency = setup.EfficiencyOn(device, configuration.recipe);
  view.energy = energy;
  view.loss_from = LossSource(model, configuration);
  view.least_joules = LeastTokenEnergy(model, configuration.usage).parts.total();
  return view;
}

int PlanOne(PlanSetup& setup, const PlanFlags& flags) {
  const EnergyOptions energy = EnergyOptionsOf(flags);
  const Limits wants = WantsOf(flags);
  const Configuration configuration = setup.configuration();
  const Device device = setup.DeviceNamed(setup.DeviceNames().front(), {&configuration, 1});
  const PlanView view = ViewOf(setup, device, configuration, energy);
  const Deployment now = {configuration, device};
  const ChangeSpace space = ChangesAllowed(setup, flags, now);
  std::vector<Change> changes = ChangesOf(setup.models(), now, space);
  const Candidate candidate = CandidateOf(configuration, view.figures, view.prediction);
  std::optional<LeastChange> least;
  std::vector<Advised> advised;
  std::optional<SearchResult> chip;
  if (IsAny(wants)) {
    least = FindLeastChange(setup.evaluator(), now, changes, wants);
    const auto& tok_s = wants[LimitKind::kTokS];
    if (now.device.chip && tok_s) {
      chip = FindChipChange(*now.device.chip, setup.evaluator().ModelFor(configuration), configuration.usage,
                            *tok_s, {});
    }
  } else {
    // Another model is another answer, not advice on how to run this one.
    std::erase_if(changes, [](const Change& change) { return change.kind == ChangeKind::kModel; });
    advised = Advise(setup.evaluator(), now, changes);
  }
  if (flags.html) {
    const Model& model = setup.evaluator().ModelFor(configuration);
    WriteHtml(*flags.html, ReportHtml(PlanReport(view, model, candidate, advised)));
    std::fprintf(stderr, "wrote %s\n", flags.html->c_str());
  }
  if (flags.json) {
    Json json = ViewJson(view);
    json.Set("advice", AdviceJson(candidate, advised));
    if (least) json.Set("want", LeastChangeJson(wants, *least));
    json.Print();
    return 0;
  }
  std::string text = ViewText(view) + "\n";
  text += least ? LeastChangeText(wants, *least) : AdviceText(candidate, advised);
  if (chip) text += ChipChangeText(*now.device.chip, *wants[LimitKind::kTokS], *chip);
  Write(StrCat(text, "\nRun it\n  ", CommandText(view), "\n"));
  return 0;
}

// One line for each device.
int PlanMany(PlanSetup& setup, const PlanFlags& flags, const std::vector<std::string>& names) {
  const EnergyOptions energy = EnergyOptionsOf(flags);
  const Configuration configuration = setup.configuration();
  Table table(
      {"<device", "<", "memory bandwidth", "fits", "first token", "tok/s", "+-", "<bound by", "J/token"});
  Json list = Json::Array();
  for (const std::string& name : names) {
    const Device device = setup.DeviceNamed(name, {&configuration, 1});
    const PlanView view = ViewOf(setup, device, configuration, energy);
    if (flags.json) {
      list.Push(ViewJson(view));
      continue;
    }
    const Prediction& p = view.prediction;
    const auto joules = EnergyOf(view);
    table.Add({device.name, device.title,
               device.chip ? "" : StrCat(GigabyteText(device.memory_bytes_s.value), "/s"),
               p.memory.fits() ? "yes" : (p.memory.runs() ? "no: pages" : "no"), HumanSeconds(p.ttft_s()),
               RateText(p.tok_s), p.error > 0 ? Number(100 * p.error, "%.0f%%") : "", NameOf(p.bound),
               joules ? HumanJoules(joules->joules_per_token) : "?"});
  }
  if (flags.json) {
    list.Print();
    return 0;
  }
  const ModelChoice& model = setup.models()[configuration.model];
  Write(StrCat(Bold(StrCat(model.name, " (", ConfigurationText(configuration), ")")), ", prompt of ",
               flags.prompt, ", ", flags.generate, " generated: predicted\n", table.ToText()));
  return 0;
}

Space SpaceOf(PlanSetup& setup, const PlanFlags& flags, const Device& device) {
  Space space;
  space.base = UsageOf(flags);
  if (setup.named_model()) {
    space.models = {*setup.named_model()};
  } else {
    space.models = DistinctModels(setup.models());
  }
  if (flags.type) {
    space.recipes = {setup.default_recipe()};
  } else {
    space.recipes = setup.RecipesOn(device, space.models.front());
  }
  if (flags.k_type || flags.v_type) {
    space.kv_types = {{space.base.k_type, space.base.v_type}};
  } else {
    for (const DType type : {DType::kF16, DType::kQ8_0, DType::kQ4_0}) space.kv_types.push_back({type, type});
  }
  space.contexts = {space.base.context};
  space.batches = {space.base.batch};
  space.chunks = flags.chunk ? std::vector{*flags.chunk} : std::vector<uint32_t>{64, 512};
  const auto with_and_without = [](uint32_t value) {
    return value == 0 ? std::vector<uint32_t>{0} : std::vector<uint32_t>{0, value};
  };
  space.windows = with_and_without(flags.window);
  space.cached_prefixes = with_and_without(flags.prefix);
  space.drafts = with_and_without(flags.draft);
  space.threads = {flags.threads.value_or(0)};
  return space;
}

int PlanSearch(PlanSetup& setup, const PlanFlags& flags, const std::string& name) {
  const Limits limits = LimitsOf(flags);
  const Device device = setup.DeviceNamed(name, setup.HostConfigurations());
  const SearchAnswer answer = Search(setup.evaluator(), device, SpaceOf(setup, flags, device), limits);
  if (flags.json) {
    SearchJson(setup.models(), device, limits, answer).Print();
  } else {
    Write(SearchText(setup.models(), device, limits, answer));
  }
  return 0;
}

// A search on one of several devices.
struct DeviceSearch {
  Device device;
  Limits limits;
  Space space;
  std::optional<SearchAnswer> answer;  // none where the limits cannot be judged
};

// Carries all out, each thread with an evaluator of its own.
void SearchAll(PlanSetup& setup, std::vector<DeviceSearch>& searches) {
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    Evaluator evaluator = setup.NewEvaluator();
    for (size_t i = next++; i < searches.size(); i = next++) {
      DeviceSearch& one = searches[i];
      if (one.limits[LimitKind::kWatts] && !one.device.watts && !one.device.chip) continue;
      one.answer = Search(evaluator, one.device, one.space, one.limits);
    }
  };
  // A device takes milliseconds, and each thread prepares all configurations: more than a few gain nothing.
  const int threads = std::min(DefaultThreads(), 4);
  std::vector<std::future<void>> others;
  for (int i = 1; i < threads; ++i) others.push_back(std::async(std::launch::async, work));
  work();
  for (std::future<void>& other : others) other.get();
}

// One line for each device: the best that keeps the limits there, or which limit cannot be kept.
int PlanSearchMany(PlanSetup& setup, const PlanFlags& flags, const std::vector<std::string>& names) {
  std::vector<DeviceSearch> searches;
  for (const std::string& name : names) {
    Device device = setup.DeviceNamed(name, setup.HostConfigurations());
    Space space = SpaceOf(setup, flags, device);
    Limits limits = LimitsOf(flags);
    std::optional<double>& memory = limits[LimitKind::kMemory];
    if (memory) memory = std::min(*memory, device.usable_bytes());
    searches.push_back({std::move(device), limits, std::move(space), std::nullopt});
  }
  SearchAll(setup, searches);
  Table table({"<device", "<model", "<configuration", "tok/s", "first token", "memory", "perplexity*"});
  Json list = Json::Array();
  for (const DeviceSearch& one : searches) {
    const std::string& name = one.device.name;
    if (!one.answer) {
      table.Add({name, "nobody knows its watts", "", "", "", "", ""});
      continue;
    }
    const SearchAnswer& answer = *one.answer;
    if (flags.json) {
      list.Push(SearchJson(setup.models(), one.device, one.limits, answer));
      continue;
    }
    if (answer.ranked.empty()) {
      table.Add({name, StrCat("infeasible: ", NameOf(*answer.tightest)), "", "", "", "", ""});
      continue;
    }
    const Candidate& best = answer.ranked.front();
    table.Add({name, setup.models()[best.configuration.model].name, ConfigurationText(best.configuration),
               RateText(best.figures.tok_s), HumanSeconds(best.figures.ttft_s),
               GigabyteText(best.figures.memory_bytes), PerplexityText(best.figures.perplexity)});
  }
  if (flags.json) {
    list.Print();
  } else {
    Write(StrCat(
        "The best that keeps the limits on each device (* expected, over 7 billion parameters in F16)\n",
        table.ToText()));
  }
  return 0;
}

// What would not be read is refused.
void CheckTogether(const PlanFlags& flags) {
  const auto refuse = [](bool is_so, const char* why) {
    if (is_so) throw Error(ErrorCode::kUsage, why);
  };
  const bool has_limits = IsAny(LimitsOf(flags)), has_energy = flags.battery || flags.duty;
  const int reports = (flags.preset ? 1 : 0) + (flags.table ? 1 : 0) + (flags.rules ? 1 : 0);
  refuse(reports > 1, "--preset, --table and --rules are answers of their own: ask for one");
  refuse(reports == 1 && (flags.html || has_energy || flags.clock || !flags.want.empty()),
         "--preset, --table and --rules take no --html, --want, --battery, --dvfs and --duty");
  const bool has_model = flags.model || flags.shape;
  refuse(flags.table && (has_limits || flags.device), "--table has its own devices and no limits");
  refuse(flags.table && *flags.table != "energy" && has_model, "only --table energy is of a MODEL");
  refuse(flags.preset && has_model, "--preset has its own models: leave MODEL out");
  refuse(has_limits && !flags.want.empty(),
         "--want changes a given configuration, limits search for one: give only one sort");
  refuse(has_limits && has_energy && !flags.rules,
         "--battery and --duty are of one configuration: leave the limits out");
}

int Plan(const PlanFlags& flags) {
  CheckTogether(flags);
  if (flags.table) return PrintPlanTable(*flags.table, flags);
  if (flags.preset) return PrintPreset(*flags.preset, flags);
  PlanSetup setup(flags);
  if (flags.html && (setup.DeviceNames().size() > 1 || IsAny(LimitsOf(flags)))) {
    throw Error(ErrorCode::kUsage,
                "--html is a page of one model on one device: give one --device and no limits");
  }
  const std::vector<std::string> names = setup.DeviceNames();
  if (flags.rules) {
    if (names.size() > 1) throw Error(ErrorCode::kUsage, "--rules judge one device: give one --device");
    return PrintRules(setup, flags);
  }
  if (IsAny(LimitsOf(flags))) {
    return names.size() == 1 ? PlanSearch(setup, flags, names.front()) : PlanSearchMany(setup, flags, names);
  }
  if (names.size() == 1) return PlanOne(setup, flags);
  if (!flags.want.empty()) {
    throw Error(ErrorCode::kUsage, "--want changes one device at a time: give one --device");
  }
  return PlanMany(setup, flags, names);
}

VerbMain Add(Flags& flags) {
  auto options = std::make_shared<PlanFlags>();
  options->AddTo(flags);
  return [options] { return Plan(*options); };
}

}  // namespace

const Verb kPlanVerb = {"plan", "will it fit, how fast, how hot, how good, and what must change",
                        "Predicts a model on a device: memory to the byte, time to the first token, tokens "
                        "per second with what bounds "
                        "them, watts, and what each change would give. With limits it searches models, "
                        "number formats and techniques for "
                        "what keeps them, or says which limit cannot be kept. Nothing is loaded or run, but "
                        "the device `host` is measured "
                        "once (seconds) and remembered.",
                        "edgewise plan tinyllama-1.1b --device rpi4\n"
                        "edgewise plan model.gguf -c 4096 -ctk q8_0 -ctv q8_0 --battery 3000mAh@3.7V\n"
                        "edgewise plan tinyllama-1.1b --device host,rpi4,compact-532\n"
                        "edgewise plan llama2-7b --device rpi5 --want tok_s=5\n"
                        "edgewise plan --device rpi5 --mem 4G --ttft 2s --tok-s 5 --max-ppl-loss 3%\n"
                        "edgewise plan --preset exercise-4\n",
                        Add};

}  // namespace edgewise
