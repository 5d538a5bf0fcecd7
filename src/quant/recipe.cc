#include "quant/recipe.h"

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <iterator>
#include <system_error>

namespace edgewise {
namespace {

using enum RecipeRole;
using enum RecipeWhere;

constexpr RecipeRule kRulesQ2K[] = {
    {kAttentionV, kSharedByFour, DType::kQ4_K},
    {kAttentionV, kAll, DType::kQ3_K},
    {kFfnDown, kAll, DType::kQ3_K},
    {kAttentionOutput, kAll, DType::kQ3_K},
};
constexpr RecipeRule kRulesQ3KM[] = {
    {kAttentionV, kFirstTwo, DType::kQ5_K},    {kAttentionV, kAll, DType::kQ4_K},
    {kFfnDown, kFirstSixteenth, DType::kQ5_K}, {kFfnDown, kAll, DType::kQ4_K},
    {kAttentionOutput, kAll, DType::kQ4_K},
};
constexpr RecipeRule kRulesQ3KL[] = {
    {kAttentionV, kAll, DType::kQ5_K},
    {kFfnDown, kAll, DType::kQ5_K},
    {kAttentionOutput, kAll, DType::kQ5_K},
};
constexpr RecipeRule kRulesQ4KS[] = {
    {kAttentionV, kFirstFour, DType::kQ5_K},
    {kFfnDown, kFirstEighth, DType::kQ5_K},
};
// Of Q4_K_M and Q5_K_M.
constexpr RecipeRule kRulesMoreBits[] = {
    {kAttentionV, kMoreBits, DType::kQ6_K},
    {kFfnDown, kMoreBits, DType::kQ6_K},
};
constexpr RecipeRule kRulesIQ4NL[] = {
    {kAttentionV, kSharedByFour, DType::kQ5_K},
    {kFfnDown, kFirstEighth, DType::kQ5_K},
};

constexpr Recipe kRecipes[] = {
    {"F32", 0, DType::kF32, {}},
    {"F16", 1, DType::kF16, {}},
    {"Q4_0", 2, DType::kQ4_0, {}},
    {"Q4_1", 3, DType::kQ4_1, {}},
    {"Q8_0", 7, DType::kQ8_0, {}},
    {"Q5_0", 8, DType::kQ5_0, {}},
    {"Q5_1", 9, DType::kQ5_1, {}},
    {"Q2_K", 10, DType::kQ2_K, kRulesQ2K},
    {"Q3_K_S", 11, DType::kQ3_K, {}},
    {"Q3_K_M", 12, DType::kQ3_K, kRulesQ3KM},
    {"Q3_K_L", 13, DType::kQ3_K, kRulesQ3KL},
    {"Q4_K_S", 14, DType::kQ4_K, kRulesQ4KS},
    {"Q4_K_M", 15, DType::kQ4_K, kRulesMoreBits},
    {"Q5_K_S", 16, DType::kQ5_K, {}},
    {"Q5_K_M", 17, DType::kQ5_K, kRulesMoreBits},
    {"Q6_K", 18, DType::kQ6_K, {}},
    {"IQ4_NL", 25, DType::kIQ4_NL, kRulesIQ4NL},
    {"BF16", 32, DType::kBF16, {}},
};

bool EqualIgnoringCase(std::string_view a, std::string_view b) {
  const auto lower = [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](char x, char y) { return lower(x) == lower(y); });
}

bool IsFloat(DType type) { return InfoOf(type).block == 1; }

bool Fits(DType type, uint64_t columns) { return columns % InfoOf(type).block == 0; }

bool IsQuantisable(const RecipeTensor& tensor) {
  constexpr std::string_view kKept[] = {"_norm.weight", "position_embd.weight",
                                        "token_types.weight", "ffn_gate_inp.weight"};
  const auto ends = [&](std::string_view end) { return tensor.name.ends_with(end); };
  return tensor.dims >= 2 && ends("weight") &&
         std::none_of(std::begin(kKept), std::end(kKept), ends);
}

struct LayerTensor {
  uint32_t layer;
  RecipeRole role;
};

// "blk.<layer>.<role>.weight" for the roles that rules name.
std::optional<LayerTensor> ParseName(std::string_view name) {
  constexpr std::string_view kPrefix = "blk.";
  if (!name.starts_with(kPrefix)) return std::nullopt;
  uint32_t layer = 0;
  const char* end = name.data() + name.size();
  const auto [rest, error] = std::from_chars(name.data() + kPrefix.size(), end, layer);
  if (error != std::errc()) return std::nullopt;
  const std::string_view role(rest, static_cast<size_t>(end - rest));
  if (role == ".attn_v.weight") return LayerTensor{layer, kAttentionV};
  if (role == ".attn_output.weight") return LayerTensor{layer, kAttentionOutput};
  if (role == ".ffn_down.weight") return LayerTensor{layer, kFfnDown};
  return std::nullopt;
}

bool Holds(RecipeWhere where, uint32_t layer, const RecipeModel& model) {
  const uint32_t eighth = model.layers / 8;
  switch (where) {
    case kAll:
      return true;
    case kFirstTwo:
      return layer < 2;
    case kFirstFour:
      return layer < 4;
    case kFirstSixteenth:
      return layer < model.layers / 16;
    case kFirstEighth:
      return layer < eighth;
    case kMoreBits:
      return layer < eighth || layer >= uint64_t{7} * model.layers / 8 || (layer - eighth) % 3 == 2;
    case kSharedByFour:
      return model.heads_per_kv_head >= 4;
  }
  return false;
}

DType LayerType(const Recipe& recipe, const RecipeModel& model, std::string_view name) {
  const std::optional<LayerTensor> tensor = ParseName(name);
  if (!tensor) return recipe.base;
  DType type = recipe.base;
  for (const RecipeRule& rule : recipe.rules) {
    if (rule.role == tensor->role && Holds(rule.where, tensor->layer, model)) {
      type = rule.type;
      break;
    }
  }
  // The ecosystem's exception for its 70B shapes: attn_v is a small tensor there.
  const bool is_70b = model.layers == 80 && model.heads_per_kv_head > 1;
  if (is_70b && tensor->role == kAttentionV && (type == DType::kQ3_K || type == DType::kQ4_K)) {
    type = DType::kQ5_K;
  }
  return type;
}

DType OutputType(DType base, uint64_t columns) {
  if (base == DType::kQ8_0 || !Fits(base, columns)) return DType::kQ8_0;
  return DType::kQ6_K;
}

// The 32-weight type that replaces a K-quant on short rows.
DType ShortRowType(DType type) {
  switch (type) {
    case DType::kQ2_K:
    case DType::kQ3_K:
      return DType::kQ4_0;
    case DType::kQ4_K:
      return DType::kQ5_0;
    case DType::kQ5_K:
      return DType::kQ5_1;
    case DType::kQ6_K:
      return DType::kQ8_0;
    default:
      return DType::kF16;
  }
}

}  // namespace

std::span<const Recipe> AllRecipes() { return kRecipes; }

const Recipe* FindRecipe(std::string_view name) {
  std::string wanted(name);
  for (const char* family : {"Q3_K", "Q4_K", "Q5_K"}) {
    if (EqualIgnoringCase(name, family)) wanted += "_M";
  }
  for (const Recipe& recipe : kRecipes) {
    if (EqualIgnoringCase(recipe.name, wanted)) return &recipe;
  }
  return nullptr;
}

const Recipe* FindRecipeByFileType(uint32_t file_type) {
  for (const Recipe& recipe : kRecipes) {
    if (recipe.file_type == file_type) return &recipe;
  }
  return nullptr;
}

std::string RecipeNames() {
  std::string names;
  for (const Recipe& recipe : kRecipes) {
    if (!names.empty()) names += ", ";
    names += recipe.name;
  }
  return names;
}

std::optional<RecipeChoice> TypeFor(const Recipe& recipe, const RecipeModel& model,
                                    const RecipeTensor& tensor) {
  if (!IsQuantisable(tensor)) return std::nullopt;
  if (IsFloat(recipe.base)) return RecipeChoice{recipe.base, recipe.base};
  const bool is_output = tensor.name == "output.weight" ||
                         (model.tied_embeddings && tensor.name == "token_embd.weight");
  const DType wanted =
      is_output ? OutputType(recipe.base, tensor.columns) : LayerType(recipe, model, tensor.name);
  DType type = wanted;
  if (!Fits(type, tensor.columns)) type = ShortRowType(type);
  if (!Fits(type, tensor.columns)) type = DType::kF16;
  return RecipeChoice{type, wanted};
}

}  // namespace edgewise
