// What the flags of `plan` name, found: models, devices, and an evaluator that prices the one on the other.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "cli/plan_options.h"
#include "engine/memory_plan.h"
#include "gguf/gguf.h"
#include "machine/device_catalog.h"
#include "predict/evaluator.h"
#include "predict/published.h"

namespace edgewise {

// Efficiency and watts of devices that were not measured here are those of this program's published rows.
inline constexpr const char* kPublishedEngine = "llama.cpp";

class PlanSetup {
 public:
  // Opens the model. Throws Error for a model, shape or type that is none (naming the nearest), flags that
  // contradict each other.
  explicit PlanSetup(const PlanFlags& flags);
  PlanSetup(const PlanSetup&) = delete;

  Evaluator& evaluator() { return *evaluator_; }
  // Another one, for another thread. The setup must outlive it.
  Evaluator NewEvaluator() const { return Evaluator(models_, memory_, options_); }
  std::span<const ModelChoice> models() const { return models_; }
  // The one that was named; nullopt where limits choose among all.
  std::optional<uint32_t> named_model() const { return named_; }
  uint32_t IndexOf(const std::string& shape) const;  // requires that it is a named shape

  // The configuration that the flags describe. Requires a named model.
  Configuration configuration() const;
  std::string default_recipe() const;  // of the named model: the file's, or --type, or kDefaultRecipe

  // A device by name, at the clock of --dvfs; host is measured for these configurations (their weight and KV
  // types), if need be.
  // Throws as DeviceCatalog::Find and HostDevice do.
  Device DeviceNamed(const std::string& name, std::span<const Configuration> configurations);
  // All but host, at that clock; chips last.
  std::vector<Device> AllDevices() const;
  // Of --device: all their names.
  std::vector<std::string> DeviceNames() const;

  // What a search on this machine needs to have measured.
  std::vector<Configuration> HostConfigurations() const;

  // The file that a configuration is, "" for shapes.
  std::string FileOf(const Configuration& configuration) const;

  // Recipes whose tensor types the device can be priced with: of a machine those that were measured. Without
  // F32 and BF16, which are no better than F16 here and no smaller.
  std::vector<std::string> RecipesOn(const Device& device, uint32_t model);

  // What programs reach of the device's peaks; absent of measured machines and chips, whose prices need none.
  std::optional<Efficiency> EfficiencyOn(const Device& device, std::string_view recipe);

  MemoryNeed NeedFor(const Model& model, const Usage& usage) const;
  MemoryPlan MemoryOf(const Configuration& configuration);

 private:
  void AddFile(const std::string& path);
  PredictOptions OptionsFor(const Device& device, std::string_view recipe);

  const PlanFlags flags_;
  const uint32_t threads_;  // whose buffers memory is planned for
  const double clock_share_;
  DeviceCatalog catalog_;
  PublishedTable published_;
  std::unique_ptr<Gguf> file_;
  std::unique_ptr<Model> file_model_;
  std::vector<ModelChoice> models_;
  std::optional<uint32_t> named_;
  // What options depend on: two devices may have one name, or one device two clocks.
  using DeviceKey = std::tuple<std::string, std::string, DeviceKind, std::array<double, 6>>;
  struct DeviceOptions {
    double watts_share;
    std::map<std::string, PredictOptions, std::less<>> by_recipe;
  };
  std::mutex options_mutex_;
  std::map<DeviceKey, DeviceOptions, std::less<>> known_options_;
  std::function<MemoryNeed(const Model&, const Usage&)> memory_;
  std::function<PredictOptions(const Device&, std::string_view)> options_;
  std::unique_ptr<Evaluator> evaluator_;
};

}  // namespace edgewise
