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
  const double formats = Together(LossOfWeights(model.config(), parameters, c.recipe).value,
                                  LossOfKv(model.config(), parameters, c.usage.k_type, c.usage.v_type).value);
  const ModelConfig& made = models_[c.model].shape.config;
  const double loss = Together(formats, LossOfWindow(made, c.window, c.usage.positions()));
  Prepared prepared = {.figures = {}, .need = memory_(model, c.usage), .steps = StepsOf(model, c.usage)};
  const Weight& embedding = model.weight(model.embedding());
  prepared.streamed_bytes = static_cast<double>(model.weight_bytes());
  if (!model.tied_output()) prepared.streamed_bytes -= static_cast<double>(embedding.bytes());
  for (const OpClass& one : prepared.steps.decode.ops) {
    if (one.op.kind == OpKind::kMatMul) prepared.streamed_macs += double{1} * one.op.n * one.op.k * one.count;
  }
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
  const Prepared& prepared = PreparedFor(c);
  const double tokens = 1 + c.usage.draft_tokens;  // of a step at most
  if (device.chip) {
    const ChipDesign& chip = *device.chip;
    const double skips = chip.zero_skip == ZeroSkip::kTwoOfFour ? 2 : 1;
    const double macs_s = skips * static_cast<double>(PeakMacs(chip)) * chip.chips * chip.clock_hz;
    return macs_s / prepared.streamed_macs;
  }
  if (device.host_bytes_s) return std::numeric_limits<double>::infinity();
  double bytes_s = device.memory_bytes_s.value;
  if (!device.is_measured()) bytes_s *= options_(device, c.recipe).efficiency.memory_share;
  // A team's roof may be above the data sheet's, and a product above the roof: some of it was in a cache.
  for (const TeamRate& team : device.teams) {
    for (const ProductRate& rate : team.products) {
      bytes_s = std::max(bytes_s, team.read_bytes_s.value * std::max(1.0, rate.memory_share));
    }
  }
  return tokens * bytes_s / prepared.streamed_bytes;
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
