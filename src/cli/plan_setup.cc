#include "cli/plan_setup.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <set>
#include <tuple>

#include "base/cpus.h"
#include "base/error.h"
#include "cli/custom_shape.h"
#include "cli/device_options.h"
#include "cli/engine_memory.h"
#include "cli/host_device.h"
#include "cli/options.h"
#include "cli/published_report.h"
#include "cli/quantity.h"
#include "predict/efficiency.h"
#include "predict/published_power.h"
#include "quant/codec.h"
#include "quant/recipe.h"

namespace edgewise {
namespace {

constexpr const char* kHost = "host";
// Weight types that this machine is measured with for a search, if none is named: from few bits to many.
const std::vector<std::string> kHostRecipes = {"Q4_0", "Q4_K_M", "Q8_0", "F16"};

bool LooksLikeFile(const std::string& name) {
  std::error_code error;
  return name.ends_with(".gguf") || name.find('/') != std::string::npos ||
         std::filesystem::is_regular_file(name, error);
}

// Of Llama 3's files: what its lowest frequencies are divided by; 0 of others.
float RopeFactorOf(const Model& model) {
  if (model.rope_factors() == TensorId::kNone) return 0;
  const Weight& factors = model.weight(model.rope_factors());
  std::vector<float> values(factors.k);
  DecodeRow(factors.type, {factors.data, factors.bytes()}, values);
  return *std::ranges::max_element(values);
}

std::string RecipeNamed(const std::string& name) {
  if (const Recipe* recipe = FindRecipe(name)) return recipe->name;
  throw Error(ErrorCode::kUsage, StrCat("--type: no type or recipe is named '", Printable(name),
                                        "': there are ", RecipeNames()));
}

}  // namespace

PlanSetup::PlanSetup(const PlanFlags& flags)
    : flags_(flags),
      threads_(flags.threads ? *flags.threads : static_cast<uint32_t>(DefaultThreads())),
      clock_share_(ClockShareOf(flags)),
      catalog_(NamedDevices()),
      published_(NamedPublished(catalog_)) {
  if (flags.model && flags.shape) {
    throw Error(ErrorCode::kUsage, "give the model once, by name or by --shape");
  }
  for (const std::string_view name : ShapeNames())
    models_.push_back({std::string(name), ShapeNamed(name), nullptr, ""});
  if (flags.shape) {
    models_.push_back({kCustomShape, ParseShape(*flags.shape), nullptr, ""});
    named_ = static_cast<uint32_t>(models_.size() - 1);
  } else if (flags.model && !LooksLikeFile(*flags.model)) {
    ShapeNamed(*flags.model);  // names the nearest where there is none
    named_ = IndexOf(*flags.model);
  } else if (flags.model || flags.rules || !IsAny(LimitsOf(flags))) {
    AddFile(ModelPath(flags.model));
  }
  memory_ = [this](const Model& model, const Usage& usage) { return NeedFor(model, usage); };
  options_ = [this](const Device& device, std::string_view recipe) { return OptionsFor(device, recipe); };
  evaluator_ = std::make_unique<Evaluator>(models_, memory_, options_);
}

void PlanSetup::AddFile(const std::string& path) {
  file_ = std::make_unique<Gguf>(Gguf::Open(path));
  file_model_ = std::make_unique<Model>(Model::FromGguf(*file_));
  const ModelShape shape = {.config = file_model_->config(),
                            .tied_output = file_model_->tied_output(),
                            .llama3_rope_factor = RopeFactorOf(*file_model_)};
  std::string name = std::filesystem::path(path).filename().string();
  models_.push_back({std::move(name), shape, file_model_.get(), WeightTypeOf(*file_, *file_model_)});
  named_ = static_cast<uint32_t>(models_.size() - 1);
}

PredictOptions PlanSetup::OptionsFor(const Device& device, std::string_view recipe) {
  if (device.is_measured() || device.chip) {
    PredictOptions options;
    options.include_load = flags_.cold;
    return options;
  }
  const auto value = [](const std::optional<Figure>& figure) { return figure ? figure->value : 0; };
  const std::array<double, 6> figures = {
      value(device.f32_ops_s),  value(device.f16_ops_s),
      value(device.int8_ops_s), value(device.int4_ops_s),
      value(device.watts),      device.watts ? static_cast<double>(device.watts->from) : -1};
  const auto key = std::tie(device.published_as, device.family, device.kind, figures);
  PredictOptions options;
  options.include_load = flags_.cold;
  {
    const std::lock_guard lock(options_mutex_);
    auto known = known_options_.find(key);
    if (known == known_options_.end()) {
      double watts_share = 1;
      const Watts watts = WattsFor(device, kPublishedEngine, published_);
      if (device.watts && watts.watts > 0) watts_share = watts.watts / device.watts->value;
      known = known_options_.emplace(key, DeviceOptions{watts_share, {}}).first;
    }
    const auto& [watts_share, by_recipe] = known->second;
    if (const auto found = by_recipe.find(recipe); found != by_recipe.end()) return found->second;
    options.watts_share = watts_share;
  }
  // Takes long, and two threads seldom ask for the same.
  options.efficiency = EfficiencyFor(device, kPublishedEngine, recipe, published_);
  const std::lock_guard lock(options_mutex_);
  return known_options_.find(key)->second.by_recipe.emplace(recipe, std::move(options)).first->second;
}

std::optional<Efficiency> PlanSetup::EfficiencyOn(const Device& device, std::string_view recipe) {
  if (device.is_measured() || device.chip) return std::nullopt;
  return OptionsFor(device, recipe).efficiency;
}

MemoryNeed PlanSetup::NeedFor(const Model& model, const Usage& usage) const {
  return NeedOf(PlanRun(model, usage, threads_, &model == file_model_.get() ? file_.get() : nullptr));
}

uint32_t PlanSetup::IndexOf(const std::string& shape) const {
  const auto at = std::ranges::find(models_, shape, &ModelChoice::name);
  EDGEWISE_CHECK(at != models_.end());
  return static_cast<uint32_t>(at - models_.begin());
}

std::string PlanSetup::default_recipe() const {
  if (flags_.type) return RecipeNamed(*flags_.type);
  if (named_ && models_[*named_].exact != nullptr) return models_[*named_].exact_recipe;
  return kDefaultRecipe;
}

Configuration PlanSetup::configuration() const {
  EDGEWISE_CHECK(named_.has_value());
  return {.model = *named_,
          .recipe = default_recipe(),
          .usage = UsageOf(flags_),
          .window = flags_.window,
          .threads = flags_.threads.value_or(0)};
}

Device PlanSetup::DeviceNamed(const std::string& name, std::span<const Configuration> configurations) {
  if (name != kHost) return AtClock(catalog_.Find(name), clock_share_);
  std::set<DType> types, kv_types;
  HostRequest request;
  for (const Configuration& c : configurations) {
    request = HostRequestFor(evaluator_->ModelFor(c));
    types.insert(request.types.begin(), request.types.end());
    kv_types.insert({c.usage.k_type, c.usage.v_type});
  }
  request.types.assign(types.begin(), types.end());
  request.kv_types.assign(kv_types.begin(), kv_types.end());
  if (configurations.size() != 1) request.resident_bytes = 0;  // a cache holds some models and not others
  if (flags_.threads) request.threads = {*flags_.threads};
  request.remeasure = flags_.remeasure;
  request.roofs_again = flags_.fresh;
  return AtClock(HostDevice(request), clock_share_);
}

std::vector<Device> PlanSetup::AllDevices() const {
  std::vector<Device> devices;
  for (const auto& names : {catalog_.Names(), catalog_.ChipNames()}) {
    for (const std::string& name : names) devices.push_back(AtClock(catalog_.Find(name), clock_share_));
  }
  return devices;
}

std::vector<std::string> PlanSetup::DeviceNames() const {
  const std::string device = flags_.device.value_or(kHost);
  if (device != "all") return SplitNames("--device", device);
  std::vector<std::string> names = catalog_.Names();
  for (const std::string& name : catalog_.ChipNames()) names.push_back(name);
  return names;
}

std::vector<std::string> PlanSetup::RecipesOn(const Device& device, uint32_t model) {
  std::vector<std::string> recipes;
  for (const Recipe& recipe : AllRecipes()) {
    if (recipe.base == DType::kF32 || recipe.base == DType::kBF16) continue;
    if (device.is_measured()) {
      const auto measured = [&](const Weight& weight) {
        const auto& products = device.teams[0].products;
        return weight.rows == 1 ||
               std::ranges::find(products, weight.type, &ProductRate::type) != products.end();
      };
      const Model& made = evaluator_->ModelFor({.model = model, .recipe = recipe.name});
      if (!std::ranges::all_of(made.weights(), measured)) continue;
    }
    recipes.push_back(recipe.name);
  }
  return recipes;
}

std::vector<Configuration> PlanSetup::HostConfigurations() const {
  // Any model has the types: the smallest is made fastest. Two at least, for their sizes do not count.
  const uint32_t model = named_.value_or(IndexOf("smollm2-135m"));
  std::vector<std::string> recipes = kHostRecipes;
  if (flags_.type) recipes = {default_recipe(), default_recipe()};
  std::vector<Configuration> configurations;
  for (const std::string& recipe : recipes) {
    for (const DType type : {DType::kF16, DType::kQ8_0, DType::kQ4_0}) {
      Configuration c = {.model = model, .recipe = recipe, .usage = UsageOf(flags_)};
      if (!flags_.k_type && !flags_.v_type) c.usage.k_type = c.usage.v_type = type;
      configurations.push_back(c);
    }
  }
  return configurations;
}

std::string PlanSetup::FileOf(const Configuration& c) const {
  const ModelChoice& choice = models_[c.model];
  return choice.exact != nullptr && c.recipe == choice.exact_recipe ? file_->path() : "";
}

MemoryPlan PlanSetup::MemoryOf(const Configuration& c) {
  const Model& model = evaluator_->ModelFor(c);
  return PlanRun(model, c.usage, threads_, &model == file_model_.get() ? file_.get() : nullptr);
}

}  // namespace edgewise
