#include "predict/quality.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <limits>
#include <optional>

#include "base/error.h"

namespace edgewise {
namespace {

// WikiText-2, 512 tokens. Differences to F16's 5.9066, over it.
constexpr WeightLoss kLlama1[] = {
    {"Q2_K", 0.6717 / 5.9066},   {"Q3_K_S", 0.5551 / 5.9066}, {"Q3_K_M", 0.2496 / 5.9066},
    {"Q3_K_L", 0.1764 / 5.9066}, {"Q4_0", 0.2166 / 5.9066},   {"Q4_1", 0.1585 / 5.9066},
    {"Q4_K_S", 0.0992 / 5.9066}, {"Q4_K_M", 0.0532 / 5.9066}, {"Q5_0", 0.0683 / 5.9066},
    {"Q5_1", 0.0349 / 5.9066},   {"Q5_K_S", 0.0400 / 5.9066}, {"Q5_K_M", 0.0122 / 5.9066},
    {"Q6_K", -0.0008 / 5.9066},  {"Q8_0", 0.0004 / 5.9066},
};
constexpr WeightLoss kLlama2Of70[] = {
    {"Q2_K", 0.0882}, {"Q3_K_S", 0.0789}, {"Q3_K_M", 0.0472}, {"Q3_K_L", 0.0380},
    {"Q4_0", 0.0361}, {"Q4_1", 0.0237},   {"Q4_K_S", 0.0157}, {"Q4_K_M", 0.0120},
    {"Q5_0", 0.0126}, {"Q5_K_S", 0.0050}, {"Q5_K_M", 0.0040}, {"Q6_K", 0.0016},
};
// Without importance matrices, which `quantize` has not either; IQ4_NL was published with one only. Over
// F16's 6.2332.
constexpr WeightLoss kLlama3[] = {
    {"Q2_K", 9.751568 / 6.23316 - 1},   {"Q3_K_S", 7.863786 / 6.23316 - 1},
    {"Q3_K_M", 6.888498 / 6.23316 - 1}, {"Q3_K_L", 6.787876 / 6.23316 - 1},
    {"Q4_0", 6.700147 / 6.23316 - 1},   {"Q4_1", 6.682737 / 6.23316 - 1},
    {"Q4_K_S", 6.500529 / 6.23316 - 1}, {"Q4_K_M", 6.407115 / 6.23316 - 1},
    {"Q5_0", 6.363224 / 6.23316 - 1},   {"Q5_1", 6.337857 / 6.23316 - 1},
    {"Q5_K_S", 6.336598 / 6.23316 - 1}, {"Q5_K_M", 6.288607 / 6.23316 - 1},
    {"Q6_K", 6.253382 / 6.23316 - 1},   {"Q8_0", 6.234284 / 6.23316 - 1},
    {"IQ4_NL", 6.455593 / 6.23316 - 1},
};
constexpr DType kF16 = DType::kF16, kQ8 = DType::kQ8_0, kQ4 = DType::kQ4_0;
constexpr KvLoss kLlama3Kv[] = {
    {kF16, kQ8, 6.232771 / 6.232196 - 1},
    {kQ8, kF16, 6.233073 / 6.232196 - 1},
    {kQ8, kQ8, 6.234369 / 6.232196 - 1},
};
constexpr KvLoss kQwen3Kv[] = {{kQ4, kQ4, 7.3833 / 7.2256 - 1}};
constexpr KvLoss kSmallQwen3Kv[] = {{kQ4, kQ4, 47.8404 / 13.5068 - 1}};

constexpr WeightLoss kDocuments[] = {{"INT8 (W8A8)", 0.019}, {"INT4 (W4A16)", 0.067}};

// Text that the F16 file wrote itself (24 times 490 tokens, temperature 1), so that a loss is how far
// predictions moved. Over F16's 22.8475.
constexpr WeightLoss kTiny[] = {
    {"Q2_K", 25.9238 / 22.8475 - 1},   {"Q3_K_S", 23.9965 / 22.8475 - 1}, {"Q3_K_M", 23.2404 / 22.8475 - 1},
    {"Q3_K_L", 23.2452 / 22.8475 - 1}, {"Q4_0", 23.2529 / 22.8475 - 1},   {"Q4_1", 23.0356 / 22.8475 - 1},
    {"Q4_K_S", 23.0117 / 22.8475 - 1}, {"Q4_K_M", 23.0004 / 22.8475 - 1}, {"Q5_0", 22.9284 / 22.8475 - 1},
    {"Q5_1", 22.9131 / 22.8475 - 1},   {"Q5_K_S", 22.9417 / 22.8475 - 1}, {"Q5_K_M", 22.9207 / 22.8475 - 1},
    {"Q6_K", 22.8783 / 22.8475 - 1},   {"Q8_0", 22.8552 / 22.8475 - 1},   {"IQ4_NL", 23.0760 / 22.8475 - 1},
};
constexpr KvLoss kTinyKv[] = {
    {kQ8, kQ8, 22.8493 / 22.8475 - 1},  {kQ8, kF16, 22.8487 / 22.8475 - 1},
    {kF16, kQ8, 22.8479 / 22.8475 - 1}, {kQ4, kQ4, 22.9654 / 22.8475 - 1},
    {kQ8, kQ4, 22.8683 / 22.8475 - 1},  {kQ4, kF16, 22.9746 / 22.8475 - 1},
    {kF16, kQ4, 22.8571 / 22.8475 - 1},
};

// clang-format off
constexpr LossTable kTables[] = {
    {"LLaMA 7B", LossFrom::kPublished, "help of llama.cpp's quantize, WikiText-2",
     6.738e9, true, kLlama1, {}},
    {"Llama 2 70B", LossFrom::kPublished, "llama.cpp examples/perplexity, ffe88a36",
     68.98e9, true, kLlama2Of70, {}},
    {"Llama 3 8B", LossFrom::kPublished, "llama.cpp examples/perplexity, f364eb6f; KV: its #7412",
     8.03e9, false, kLlama3, kLlama3Kv},
    {"Qwen3 8B", LossFrom::kPublished, "ik_llama.cpp #1509, with rotated K and V, which we have not",
     8.19e9, false, {}, kQwen3Kv},
    {"Qwen3 0.6B", LossFrom::kPublished, "ik_llama.cpp #1509, with rotated K and V, which we have not",
     0.596e9, false, {}, kSmallQwen3Kv, "qwen3"},
    {"Edgewise Tiny", LossFrom::kMeasured, "ours: edgewise eval -c 256, 5,842 tokens of its own",
     4.459e6, false, kTiny, kTinyKv},
    {"a 7B model", LossFrom::kDocuments, "the documents: FP16 10.5, INT8 10.7, INT4 11.2",
     7e9, true, kDocuments, {}},
};
// clang-format on

// "llama2-7b", "LLaMA v2", "Llama-2-13b-chat".
bool IsEarly(const ModelConfig& config) {
  std::string name;
  for (const char c : config.name) {
    if (std::isalnum(static_cast<unsigned char>(c))) {
      name += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
  }
  for (const char* early : {"llama1", "llama2", "llamav2", "llama7b", "llama13b", "llama30b", "llama65b"}) {
    if (name.starts_with(early)) return true;
  }
  return false;
}

// How unlike a table's model is.
double Distance(const LossTable& table, bool early, double parameters) {
  const double size = std::abs(std::log(parameters / table.parameters));
  return size + (table.early == early ? 0 : std::log(50.0));
}

// The loss that `find` reads from the nearest table in which it finds one.
template <typename Find>
std::optional<Loss> Nearest(const ModelConfig& config, double parameters, Find&& find) {
  const bool early = IsEarly(config);
  std::optional<Loss> best;
  for (const LossTable& table : kTables) {
    if (table.from == LossFrom::kDocuments) continue;
    if (table.only != nullptr && config.architecture != table.only) continue;
    const std::optional<double> loss = find(table);
    if (!loss) continue;
    if (best && Distance(*best->table, early, parameters) <= Distance(table, early, parameters)) continue;
    best = Loss{std::max(*loss, 0.0), &table};
  }
  return best;
}

bool IsExact(DType type) { return type == DType::kF16 || type == DType::kF32; }

}  // namespace

const char* NameOf(LossFrom from) {
  switch (from) {
    case LossFrom::kPublished: return "published";
    case LossFrom::kMeasured: return "measured";
    case LossFrom::kDocuments: return "the documents'";
  }
  return "";
}

std::span<const LossTable> LossTables() { return kTables; }

Loss LossOfWeights(const ModelConfig& config, double parameters, std::string_view recipe) {
  if (recipe == "F32" || recipe == "F16" || recipe == "BF16") return {};
  const auto loss = Nearest(config, parameters, [&](const LossTable& table) -> std::optional<double> {
    const auto row = std::ranges::find(table.weights, recipe, &WeightLoss::recipe);
    if (row == table.weights.end()) return std::nullopt;
    return row->loss;
  });
  if (!loss) {
    throw Error(ErrorCode::kUsage,
                StrCat("nobody measured what the weights lose as '", Printable(recipe), "'"));
  }
  return *loss;
}

Loss LossOfKv(const ModelConfig& config, double parameters, DType k_type, DType v_type) {
  if (IsExact(k_type) && IsExact(v_type)) return {};
  const auto of_pair = [&](DType k, DType v) {
    return Nearest(config, parameters, [&](const LossTable& table) -> std::optional<double> {
      const auto row = std::ranges::find_if(table.kv, [&](const KvLoss& r) { return r.k == k && r.v == v; });
      if (row == table.kv.end()) return std::nullopt;
      return row->loss;
    });
  };
  const DType k = IsExact(k_type) ? kF16 : k_type, v = IsExact(v_type) ? kF16 : v_type;
  if (const auto loss = of_pair(k, v)) return *loss;
  const DType worse = k == kQ4 || v == kQ4 ? kQ4 : kQ8;
  const auto loss = of_pair(worse, worse);
  EDGEWISE_CHECK(loss.has_value());
  return *loss;
}

double LossOfWindow(const ModelConfig& config, uint32_t window, uint32_t positions) {
  const bool narrower = config.window == 0 || window < config.window;
  return window != 0 && narrower && window < positions ? std::numeric_limits<double>::infinity() : 0;
}

double RelativePerplexity(double parameters, double loss) {
  return (1 + loss) * std::pow(parameters / 7e9, -0.2);
}

}  // namespace edgewise
