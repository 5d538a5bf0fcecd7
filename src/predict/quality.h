// What smaller numbers cost in quality: perplexity over that of the same model with F16 weights and
// KV cache. From tables of measurements, each of one model, published or our own; a model that
// nobody measured is given the figures of the one that is most like it, which is named.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "model/config.h"
#include "quant/dtype.h"

namespace edgewise {

struct WeightLoss {
  const char* recipe;  // "Q4_K_M"; of the documents' table what they call it
  double loss;         // 0.01: perplexity is 1% higher
};
struct KvLoss {
  DType k, v;
  double loss;
};

enum class LossFrom { kPublished, kMeasured, kDocuments };
const char* NameOf(LossFrom from);  // "published", "measured", "the documents'"

struct LossTable {
  const char* model;  // "Llama 3 8B"
  LossFrom from;
  const char* source;
  double parameters;
  bool early;  // LLaMA 1 and 2: fewer than 300 tokens a parameter, which leaves weights room to be
               // rounded
  std::span<const WeightLoss> weights;
  std::span<const KvLoss> kv;
  const char* only = nullptr;  // the architecture that it stands for; null: any
};
// All of them, the documents' (S2's table of W8A8 and W4A16) last. It never answers for a model.
std::span<const LossTable> LossTables();

struct Loss {
  double value = 0;
  const LossTable* table = nullptr;  // where it is from; null: exact, F16 or better
};
// Of the measured tables that have the recipe, that of the model most like this one: of the same
// generation if any is within a factor of 50, then nearest in size. Measured zeros and gains count
// as 0. Throws Error(kUsage) for a recipe in no table.
Loss LossOfWeights(const ModelConfig& config, double parameters, std::string_view recipe);
// A pair of types that was not measured is taken for the worse of both in K and V alike.
Loss LossOfKv(const ModelConfig& config, double parameters, DType k_type, DType v_type);
// Attention to the last `window` positions only, where the model was made to see more. Infinite: what it
// loses is not known, and much: a model that no longer sees its first tokens breaks down, by orders of
// magnitude of perplexity (StreamingLLM, arXiv 2309.17453), unless it was trained so. 0 where nothing is left
// out.
double LossOfWindow(const ModelConfig& config, uint32_t window, uint32_t positions);
inline double Together(double weights, double kv) { return (1 + weights) * (1 + kv) - 1; }

// How the perplexities of models of different size compare, by rule of thumb: as parameters to the
// power of -0.2, relative to seven billion. LLaMA 1 has 5.68, 5.09, 4.10 and 3.53
// at 6.7, 13.0, 32.5 and 65.3 billion (WikiText-2, 2048 tokens), a slope of 0.21 in logarithms;
// Llama 2's 5.48 and 4.89 one of 0.17. It ranks sizes; it knows nothing of how well a model was
// trained.
double RelativePerplexity(double parameters, double loss);

}  // namespace edgewise
