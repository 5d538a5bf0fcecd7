// A model in a number format, used in some way, on a device: what it costs, and what it loses.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/function_ref.h"
#include "machine/device.h"
#include "model/model.h"
#include "model/shapes.h"
#include "predict/quality.h"
#include "predict/request.h"

namespace edgewise {

// A model that may be chosen, in any weight type; `exact` is the one that exists as a file, if any.
struct ModelChoice {
  std::string name;
  ModelShape shape;
  const Model* exact = nullptr;
  std::string exact_recipe;  // its weight type, as general.file_type says
};

struct Configuration {
  uint32_t model = 0;  // of the evaluator's choices
  std::string recipe;  // "Q4_K_M"
  Usage usage = {};
  uint32_t window = 0;   // attention to so many last positions; 0: as the model has it
  uint32_t threads = 0;  // of a measured machine; 0: its fastest team
  friend auto operator<=>(const Configuration&, const Configuration&) = default;
};

// The figures that people set limits for.
struct Figures {
  double memory_bytes = 0;
  double ttft_s = 0;
  double tok_s = 0;             // of a sequence
  double throughput_tok_s = 0;  // of all
  double watts = 0;             // 0: nobody knows
  double joules_per_token = 0;  // 0: nobody knows
  double loss = 0;              // of perplexity, by weight and KV types; infinite: nobody knows (windows)
  double perplexity = 0;        // relative: RelativePerplexity()
};

struct Candidate {
  Configuration configuration;
  Figures figures;
  TimeBound bound = TimeBound::kMemory;
  double resident_share = 1;  // of the weights; below 1 it pages
  double error = 0;           // relative, of times
};

// How a device runs weights of a type: efficiency factors, share of its watts (efficiency.h,
// published.h).
using OptionsOf = FunctionRef<PredictOptions(const Device& device, std::string_view recipe)>;

// Makes models from shapes once, and prices configurations on devices. What it is given must
// outlive it.
class Evaluator {
 public:
  Evaluator(std::span<const ModelChoice> models, MemoryOf memory, OptionsOf options);

  std::span<const ModelChoice> models() const { return models_; }
  const Model& ModelFor(const Configuration& configuration);

  // Throws as Predict, Model::FromShape and LossOfWeights do.
  Prediction PredictionOf(const Device& device, const Configuration& configuration);
  Candidate Evaluate(const Device& device, const Configuration& configuration);

  // The part of Evaluate that no device changes: memory and quality; the other figures are 0.
  const Figures& WithoutTime(const Configuration& configuration);
  // No configuration decodes faster than its weights can be read at what programs reach of the memory, or on
  // a chip multiplied at its peak; infinite where some come over a link.
  double MostTokensPerSecond(const Device& device, const Configuration& configuration);

 private:
  // What a configuration is on every device.
  struct Prepared {
    Figures figures;
    MemoryNeed need;
    RequestSteps steps;
    double streamed_bytes = 0, streamed_macs = 0;  // of the weights that every token needs, each once
  };
  const Prepared& PreparedFor(const Configuration& configuration);

  std::span<const ModelChoice> models_;
  MemoryOf memory_;
  OptionsOf options_;
  std::map<Configuration, Prepared> prepared_;
  std::map<std::tuple<uint32_t, std::string, uint32_t>, std::unique_ptr<const Model>> made_;
};

// What a prediction says of its configuration.
Candidate CandidateOf(const Configuration& configuration, const Figures& without_time,
                      const Prediction& prediction);

}  // namespace edgewise
