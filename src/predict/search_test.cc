#include "predict/search.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "machine/device_catalog.h"
#include "predict/advice.h"
#include "predict/battery.h"
#include "predict/scenario.h"

namespace edgewise {
namespace {

// A board with 4 GB, 12.8 GB/s, storage at 0.1 GB/s.
Device Board() {
  Device device = DocumentsPhone();
  device.name = "board";
  device.kind = DeviceKind::kCpu;
  device.family = "arm-cpu";
  device.int8_ops_s->value = device.f16_ops_s->value = device.f32_ops_s->value = 100e9;
  device.memory_bytes.value = 4e9;
  device.free_bytes.reset();
  device.memory_bytes_s.value = 12.8e9;
  device.watts->value = 6;
  Figure storage;
  storage.value = 1e8;
  device.storage_bytes_s = storage;
  return device;
}

constexpr auto Need = [](const Model& model, const Usage& usage) -> MemoryNeed {
  const ModelConfig& c = model.config();
  const uint64_t rows = uint64_t{c.layers} * c.kv_heads * usage.positions() * usage.batch;
  return {.weights = model.weight_bytes(),
          .kv = rows * (RowBytes(usage.k_type, c.head_dim) + RowBytes(usage.v_type, c.head_dim)),
          .scratch = uint64_t{usage.chunk} * c.width * 4,
          .other = 10'000'000};
};

constexpr auto Half = [](const Device&, std::string_view) {
  PredictOptions options;
  options.efficiency = {.memory_share = 0.5,
                        .compute_share = 0.3,
                        .decode_share = 0.2,
                        .op_s = 0,
                        .error = 0.3,
                        .from = "the test",
                        .rows = 0};
  return options;
};

std::vector<ModelChoice> Choices() {
  std::vector<ModelChoice> choices;
  for (const char* name : {"smollm2-135m", "tinyllama-1.1b", "llama3.2-3b", "llama2-7b", "llama2-13b"}) {
    choices.push_back({name, ShapeNamed(name), nullptr, ""});
  }
  return choices;
}

class SearchTest : public testing::Test {
 protected:
  const std::vector<ModelChoice> choices_ = Choices();
  const Device device_ = Board();
  Evaluator evaluator_{choices_, Need, Half};

  Space SmallSpace() const {
    Space space;
    space.models = {0, 1, 2, 3, 4};
    space.recipes = {"Q2_K", "Q4_0", "Q4_K_M", "Q8_0", "F16"};
    space.kv_types = {{DType::kF16, DType::kF16}, {DType::kQ8_0, DType::kQ8_0}, {DType::kQ4_0, DType::kQ4_0}};
    space.contexts = {256, 2048};
    space.chunks = {64, 512};
    space.drafts = {0, 4};
    space.base.acceptance = 0.5;
    return space;
  }

  Limits Of(double memory, double ttft, double tok_s, double loss) const {
    Limits limits;
    if (memory > 0) limits[LimitKind::kMemory] = memory;
    if (ttft > 0) limits[LimitKind::kTtft] = ttft;
    if (tok_s > 0) limits[LimitKind::kTokS] = tok_s;
    if (loss > 0) limits[LimitKind::kLoss] = loss;
    return limits;
  }
};

std::string Text(const Configuration& c) {
  return StrCat(c.model, " ", c.recipe, " ", NameOf(c.usage.k_type), NameOf(c.usage.v_type), " ",
                c.usage.context, " ", c.usage.batch, " ", c.usage.chunk, " ", c.usage.draft_tokens, " ",
                c.window);
}

// Every configuration priced by Predict itself, in loops of the test's own.
std::vector<Candidate> AllOf(const std::vector<ModelChoice>& choices, const Device& device,
                             const Space& space) {
  std::vector<Candidate> all;
  for (const uint32_t model : space.models) {
    for (const std::string& recipe : space.recipes) {
      const Model made = Model::FromShape(choices[model].shape, recipe);
      for (const auto& [k, v] : space.kv_types) {
        for (const uint32_t context : space.contexts) {
          for (const uint32_t chunk : space.chunks) {
            for (const uint32_t draft : space.drafts) {
              Candidate candidate;
              Configuration& c = candidate.configuration;
              c = {.model = model, .recipe = recipe, .usage = space.base};
              c.usage.k_type = k;
              c.usage.v_type = v;
              c.usage.context = context;
              c.usage.chunk = chunk;
              c.usage.draft_tokens = draft;
              const Prediction p = Predict(device, made, c.usage, Need, Half(device, recipe));
              const auto parameters = static_cast<double>(made.parameters());
              Figures& f = candidate.figures;
              f.memory_bytes = static_cast<double>(p.memory.need.total());
              f.ttft_s = p.ttft_s();
              f.tok_s = p.tok_s;
              f.joules_per_token = p.joules_per_token;
              f.loss = Together(LossOfWeights(made.config(), parameters, recipe).value,
                                LossOfKv(made.config(), parameters, k, v).value);
              f.perplexity = RelativePerplexity(parameters, f.loss);
              all.push_back(candidate);
            }
          }
        }
      }
    }
  }
  return all;
}

// A board whose memory's rest comes over a link, and a chip: what bounds their speed is another thing.
std::vector<Device> Devices() {
  Device linked = Board();
  linked.name = "linked";
  linked.host_bytes_s = linked.memory_bytes_s;
  return {Board(), linked, DeviceOf(ChipDesign())};
}

// Exact but for rounding: what computes a figure in another order is no better.
constexpr double kRounding = 1e-8;
bool AtLeastAsGood(const Figures& f, const Figures& g, double slack) {
  return f.tok_s >= g.tok_s * (1 - slack) && f.perplexity <= g.perplexity * (1 + slack) &&
         f.memory_bytes <= g.memory_bytes * (1 + slack) &&
         f.joules_per_token <= g.joules_per_token * (1 + slack);
}
bool Beats(const Figures& f, const Figures& g) {
  return AtLeastAsGood(f, g, 0) &&
         (f.tok_s > g.tok_s * (1 + kRounding) || f.perplexity < g.perplexity * (1 - kRounding) ||
          f.memory_bytes < g.memory_bytes * (1 - kRounding) ||
          f.joules_per_token < g.joules_per_token * (1 - kRounding));
}

TEST_F(SearchTest, AgreesWithExhaustiveEnumeration) {
  const Space space = SmallSpace();
  for (const Device& device : Devices()) {
    SCOPED_TRACE(device.name);
    const std::vector<Candidate> all = AllOf(choices_, device, space);
    ASSERT_EQ(all.size(), Enumerate(choices_, space).size());
    int feasible = 0;
    for (const Limits& limits :
         {Of(0, 0, 0, 0), Of(2e9, 0, 0, 0), Of(0, 20, 2, 0.05), Of(3e9, 0, 5, 0.03), Of(1e9, 1, 0, 0),
          Of(0, 0, 10, 0), Of(0, 5e4, 0.001, 0.05), Of(3e9, 0, 0.005, 0.03)}) {
      const SearchAnswer answer = Search(evaluator_, device, space, limits);
      std::set<std::string> expected, given;
      const double memory = std::min(limits[LimitKind::kMemory].value_or(1e18), device.usable_bytes());
      for (const Candidate& c : all) {
        const Figures& f = c.figures;
        const bool keeps = f.memory_bytes <= memory && f.ttft_s <= limits[LimitKind::kTtft].value_or(1e18) &&
                           f.tok_s >= limits[LimitKind::kTokS].value_or(0) &&
                           f.loss <= limits[LimitKind::kLoss].value_or(9);
        if (keeps) expected.insert(Text(c.configuration));
      }
      for (const Candidate& c : answer.ranked) given.insert(Text(c.configuration));
      EXPECT_EQ(given, expected);
      feasible += !expected.empty();
      EXPECT_TRUE(std::ranges::is_sorted(answer.ranked, RanksBefore));
      // Nobody beats a point of the front, and whoever is not on it has one there that is as good.
      std::set<std::string> front;
      for (const Candidate& c : answer.front) front.insert(Text(c.configuration));
      for (const Candidate& c : answer.ranked) {
        if (front.contains(Text(c.configuration))) {
          EXPECT_TRUE(std::ranges::none_of(answer.ranked, [&](const Candidate& other) {
            return Beats(other.figures, c.figures);
          })) << Text(c.configuration);
        } else {
          EXPECT_TRUE(std::ranges::any_of(answer.front, [&](const Candidate& other) {
            return AtLeastAsGood(other.figures, c.figures, kRounding);
          })) << Text(c.configuration);
        }
      }
    }
    EXPECT_GE(feasible, 4);
  }
}

TEST_F(SearchTest, TheNearestPointOfTheInfeasibleIsThatOfEnumeration) {
  Space space = SmallSpace();
  const Limits limits = Of(8e7, 0, 5e4, 0.001);
  for (const Device& device : Devices()) {
    SCOPED_TRACE(device.name);
    const SearchAnswer answer = Search(evaluator_, device, space, limits);
    ASSERT_TRUE(answer.ranked.empty());
    const auto misses = [&](const Figures& f) {
      std::map<LimitKind, double> all;
      for (const LimitKind kind : {LimitKind::kMemory, LimitKind::kTokS, LimitKind::kLoss}) {
        all[kind] = Miss(f, kind, *limits[kind]);
      }
      return all;
    };
    double nearest = 1e18;
    std::map<LimitKind, double> relaxed;  // of those that miss one alone
    for (const Candidate& c : AllOf(choices_, device, space)) {
      double worst = 0;
      std::vector<LimitKind> missed;
      for (const auto& [kind, miss] : misses(c.figures)) {
        worst = std::max(worst, miss);
        if (miss > 1) missed.push_back(kind);
      }
      nearest = std::min(nearest, worst);
      if (missed.size() != 1) continue;
      double& least = relaxed.try_emplace(missed[0], worst).first->second;
      least = std::min(least, worst);
    }
    double worst = 0;
    for (const auto& [kind, miss] : misses(answer.nearest->figures)) worst = std::max(worst, miss);
    EXPECT_NEAR(worst, nearest, 2e-3 * nearest);  // of those within a thousandth the one that ranks first
    ASSERT_EQ(answer.relaxations.size(), relaxed.size());
    for (const Relaxation& r : answer.relaxations) {
      EXPECT_NEAR(Miss(r.at.figures, r.kind, r.asked), relaxed[r.kind], 2e-3 * relaxed[r.kind]);
    }
    ASSERT_TRUE(answer.tightest.has_value());
  }
}

TEST_F(SearchTest, ALimitThatAloneGivesWayIsNamedWithWhatItNeeds) {
  Space space = SmallSpace();
  space.models = {3};  // 7B
  // In 3.4 GB only Q2_K fits, which loses 11%.
  const SearchAnswer answer = Search(evaluator_, device_, space, Of(3.4e9, 0, 0, 0.05));
  ASSERT_TRUE(answer.ranked.empty());
  ASSERT_FALSE(answer.relaxations.empty());
  for (const Relaxation& r : answer.relaxations) {
    Limits rest = Of(3.4e9, 0, 0, 0.05);
    rest[r.kind] = r.needed;
    EXPECT_TRUE(Keeps(r.at.figures, rest)) << NameOf(r.kind);
  }
  EXPECT_EQ(*answer.tightest, answer.relaxations.front().kind);
}

TEST_F(SearchTest, AWindowOfUnknownLossKeepsNoLimitOfIt) {
  Space space = SmallSpace();
  space.windows = {0, 128};
  const SearchAnswer answer = Search(evaluator_, device_, space, Of(0, 0, 0, 0.5));
  EXPECT_TRUE(
      std::ranges::all_of(answer.ranked, [](const Candidate& c) { return c.configuration.window == 0; }));
  const SearchAnswer any = Search(evaluator_, device_, space, Of(0, 0, 0.1, 0));
  EXPECT_TRUE(std::ranges::any_of(any.ranked, [](const Candidate& c) {
    return c.configuration.window == 128 && std::isinf(c.figures.loss);
  }));
  EXPECT_EQ(any.ranked.front().configuration.window, 0u);
}

TEST_F(SearchTest, WattsAreThoseOfTheClock) {
  const Device slow = AtClock(device_, 0.5);
  Limits limits;
  limits[LimitKind::kWatts] = DvfsWatts(6, 0, 0.5);
  EXPECT_FALSE(Search(evaluator_, slow, SmallSpace(), limits).ranked.empty());
  EXPECT_TRUE(Search(evaluator_, device_, SmallSpace(), limits).ranked.empty());
  const Configuration c = {.model = 1, .recipe = "Q4_0"};
  const Figures half = evaluator_.Evaluate(slow, c).figures, full = evaluator_.Evaluate(device_, c).figures;
  EXPECT_DOUBLE_EQ(half.watts, *limits[LimitKind::kWatts]);
  EXPECT_DOUBLE_EQ(full.watts, 6);
  EXPECT_DOUBLE_EQ(half.joules_per_token, half.watts / half.tok_s);
  EXPECT_LE(half.tok_s, full.tok_s);
}

TEST_F(SearchTest, ContradictoryLimitsAreRefused) {
  const auto refused = [&](const Device& device, const Limits& limits) {
    EXPECT_THROW(Search(evaluator_, device, SmallSpace(), limits), Error);
  };
  refused(device_, Of(64e9, 0, 0, 0));
  Device unknown = device_;
  unknown.watts.reset();
  Limits watts;
  watts[LimitKind::kWatts] = 5;
  refused(unknown, watts);
  Space impossible = SmallSpace();
  impossible.contexts = {1 << 20};
  EXPECT_THROW(Search(evaluator_, device_, impossible, Of(0, 0, 1, 0)), Error);
}

TEST_F(SearchTest, AChipHasTheMemoryThatItIsGiven) {
  const Device chip = DeviceOf(ChipDesign());
  const SearchAnswer answer = Search(evaluator_, chip, SmallSpace(), Of(1e9, 0, 0, 0.1));
  ASSERT_FALSE(answer.ranked.empty());
  for (const Candidate& c : answer.ranked) EXPECT_LE(c.figures.memory_bytes, 1e9);
  EXPECT_FALSE(Search(evaluator_, chip, SmallSpace(), Of(0, 0, 1e-9, 0)).ranked.empty());
}

TEST_F(SearchTest, AdviceIsPricedAnew) {
  Configuration c = {.model = 3, .recipe = "Q4_0"};
  const Deployment now = {c, device_};
  ChangeSpace space;
  space.recipes = {"Q2_K", "Q4_0"};
  space.kv_types = {{DType::kQ8_0, DType::kQ8_0}};
  space.drafts = {4};
  space.acceptance = 0.5;
  space.memory_bytes = {4e9, 8e9};
  space.models = {1, 3};
  const std::vector<Change> changes = ChangesOf(choices_, now, space);
  ASSERT_EQ(changes.size(), 5u);  // what is so already is no change
  const Candidate before = evaluator_.Evaluate(device_, c);
  ASSERT_LT(before.resident_share, 1);  // 3.8 GB do not fit
  for (const Advised& advised : Advise(evaluator_, now, changes)) {
    if (advised.kinds[0] == ChangeKind::kMemory) {
      EXPECT_EQ(advised.after.resident_share, 1);
      EXPECT_GT(advised.after.figures.tok_s, before.figures.tok_s);
    }
    if (advised.kinds[0] == ChangeKind::kWeights) {
      c.recipe = "Q2_K";
      EXPECT_EQ(advised.after.figures.tok_s, evaluator_.Evaluate(device_, c).figures.tok_s);
    }
  }
}

TEST_F(SearchTest, TheLeastChangeIsOneIfOneDoes) {
  const Deployment now = {{.model = 2, .recipe = "F16"}, device_};
  ChangeSpace space;
  space.recipes = {"Q8_0", "Q4_K_M", "Q2_K"};
  space.models = {0, 1};
  const std::vector<Change> changes = ChangesOf(choices_, now, space);
  Limits want;
  want[LimitKind::kTokS] = 1.5;
  const LeastChange answer = FindLeastChange(evaluator_, now, changes, want);
  ASSERT_FALSE(answer.holds);
  ASSERT_FALSE(answer.ways.empty());
  for (const Advised& way : answer.ways) {
    EXPECT_EQ(way.what.size(), 1u);
    EXPECT_GE(way.after.figures.tok_s, 1.5);
  }
  // Of weight types that reach it the one that loses least; a smaller model loses more than that.
  EXPECT_EQ(answer.ways.front().what.front(), "weights in Q8_0");
  EXPECT_TRUE(
      std::ranges::is_sorted(answer.ways, {}, [](const Advised& a) { return a.after.figures.perplexity; }));
  want[LimitKind::kTokS] = 0.1;
  EXPECT_TRUE(FindLeastChange(evaluator_, {{.model = 0, .recipe = "Q4_0"}, device_}, changes, want).holds);
  want[LimitKind::kTokS] = 1e6;
  const LeastChange none = FindLeastChange(evaluator_, now, changes, want);
  EXPECT_TRUE(none.ways.empty());
  EXPECT_GT(none.nearest.after.figures.tok_s, none.now.figures.tok_s);
}

TEST_F(SearchTest, TwoChangesWhereOneDoesNot) {
  Deployment now = {{.model = 2, .recipe = "F16"}, device_};
  now.device.int8_ops_s->value = now.device.f16_ops_s->value = 1e13;  // so that memory bounds it
  ChangeSpace space;
  space.recipes = {"Q8_0", "Q4_0"};
  space.drafts = {4};
  space.acceptance = 0.8;
  const std::vector<Change> changes = ChangesOf(choices_, now, space);
  double best = 0;
  for (const Advised& advised : Advise(evaluator_, now, changes))
    best = std::max(best, advised.after.figures.tok_s);
  Limits want;
  want[LimitKind::kTokS] = best * 1.05;
  const LeastChange answer = FindLeastChange(evaluator_, now, changes, want);
  ASSERT_FALSE(answer.ways.empty());
  EXPECT_EQ(answer.ways.front().what.size(), 2u);
}

TEST_F(SearchTest, OfModelsWithTheSameWeightsTheOneWithTheLongerContextStands) {
  const std::vector<ModelChoice> twins = {{"llama1-7b", ShapeNamed("llama1-7b"), nullptr, ""},
                                          {"llama2-7b", ShapeNamed("llama2-7b"), nullptr, ""},
                                          {"llama1-33b", ShapeNamed("llama1-33b"), nullptr, ""}};
  EXPECT_EQ(DistinctModels(twins), (std::vector<uint32_t>{1, 2}));
}

TEST_F(SearchTest, TheScenariosNameShapesAndTypesThatExist) {
  for (const Scenario& scenario : Scenarios()) {
    SCOPED_TRACE(scenario.name);
    EXPECT_NO_THROW(CheckUsage(scenario.usage()));
    for (const Proposal& proposal : scenario.proposals) {
      EXPECT_NO_THROW(Model::FromShape(ShapeNamed(proposal.shape), proposal.recipe));
    }
    EXPECT_TRUE(scenario.memory_bytes > 0 || scenario.tok_s > 0);
  }
  EXPECT_EQ(FindScenario("chess"), nullptr);
  EXPECT_NO_THROW(CheckDevice(DocumentsPhone()));
}

}  // namespace
}  // namespace edgewise
