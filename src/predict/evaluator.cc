#include "predict/evaluator.h"

#include <algorithm>
#include <limits>

namespace edgewise {

Evaluator::Evaluator(std::span<const ModelChoice> models, MemoryOf memory, OptionsOf options)
    : models_(models), memory_(memory), options_(options) {}

const Model& Evaluator::ModelFor(const Configuration& c) {
  const ModelChoice& choice = models_[c.model];
  const bool is_exact = choice.exact != nullptr && c.recipe == choice.exact_recipe && c.window == 0;
  if (is_exact) return *choice.exact;
  std::unique_ptr<const Model>& made = made_[{c.model, c.recipe, c.window}];
  if (made == nullptr) {
    ModelShape shape = choice.shape;
    uint32_t& window = shape.config.window;
    if (c.window != 0) window = window == 0 ? c.window : std::min(window, c.window);
    made = std::make_unique<const Model>(Model::FromShape(shape, c.recipe));
  }
  return *made;
}

const Evaluator::Prepared& Evaluator::PreparedFor(const Configuration& c) {
  if (const auto known = prepared_.find(c); known != prepared_.end()) return known->second;
  const Model& model = ModelFor(c);
  const auto parameters = static_cast<double>(model.parameters());
  const double loss = Together(LossOfWeights(model.config(), parameters, c.recipe).value,
                               LossOfKv(model.config(), parameters, c.usage.k_type, c.usage.v_type).value);
  Prepared prepared = {.figures = {}, .need = memory_(model, c.usage), .steps = StepsOf(model, c.usage)};
  prepared.figures.memory_bytes = static_cast<double>(prepared.need.total());
  prepared.figures.loss = loss;
  prepared.figures.perplexity = RelativePerplexity(parameters, loss);
  return prepared_.emplace(c, std::move(prepared)).first->second;
}

Prediction Evaluator::PredictionOf(const Device& device, const Configuration& c) {
  PredictOptions options = options_(device, c.recipe);
  options.threads = c.threads;
  const Model& model = ModelFor(c);
  const Prepared& prepared = PreparedFor(c);
  return Predict(device, model, c.usage, prepared.steps, prepared.need, options);
}

const Figures& Evaluator::WithoutTime(const Configuration& c) { return PreparedFor(c).figures; }

double Evaluator::MostTokensPerSecond(const Device& device, const Configuration& c) {
  if (device.chip || device.host_bytes_s) return std::numeric_limits<double>::infinity();
  double bytes_s = device.memory_bytes_s.value;
  // A team's roof may be above the data sheet's, and a product above the roof: some of it was in a cache.
  for (const TeamRate& team : device.teams) {
    for (const ProductRate& rate : team.products) {
      bytes_s = std::max(bytes_s, team.read_bytes_s.value * std::max(1.0, rate.memory_share));
    }
  }
  const Model& model = ModelFor(c);
  double bytes = static_cast<double>(model.weight_bytes());
  if (!model.tied_output()) bytes -= static_cast<double>(model.weight(model.embedding()).bytes());
  return (1 + c.usage.draft_tokens) * bytes_s / bytes;
}

Candidate Evaluator::Evaluate(const Device& device, const Configuration& c) {
  return CandidateOf(c, WithoutTime(c), PredictionOf(device, c));
}

Candidate CandidateOf(const Configuration& configuration, const Figures& without_time, const Prediction& p) {
  Candidate candidate = {.configuration = configuration,
                         .figures = without_time,
                         .bound = p.bound,
                         .resident_share = p.memory.resident_share,
                         .error = p.error};
  Figures& f = candidate.figures;
  f.ttft_s = p.ttft_s();
  f.tok_s = p.tok_s;
  f.throughput_tok_s = p.throughput_tok_s;
  f.watts = p.watts;
  f.joules_per_token = p.joules_per_token;
  return candidate;
}

}  // namespace edgewise
