#include "cli/plan_presets.h"

#include <algorithm>
#include <optional>
#include <string>

#include "base/error.h"
#include "cli/console.h"
#include "cli/json.h"
#include "cli/plan_exercises.h"
#include "cli/plan_report.h"
#include "cli/plan_setup.h"
#include "cli/text.h"
#include "predict/scenario.h"

namespace edgewise {
namespace {

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
    if (scenario.memory_bytes > 0) json.Set("asked_memory_bytes", scenario.memory_bytes);
    json.Set("prompt", scenario.prompt).Set("generate", scenario.generate);
    json.Set("sequences", scenario.sequences);
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

}  // namespace

int PrintPreset(const std::string& name, const PlanFlags& flags) {
  if (const Scenario* scenario = FindScenario(name)) return PrintScenario(*scenario, flags);
  std::string known;
  for (const Scenario& scenario : Scenarios()) known += StrCat(known.empty() ? "" : ", ", scenario.name);
  for (const Exercise& exercise : Exercises()) {
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
