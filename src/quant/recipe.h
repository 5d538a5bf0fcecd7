// Recipes: which type each tensor gets when a file is quantised "as Q4_K_M". A recipe has a base
// type and a few rules that spend more bits where they buy most (attention values, the down
// projection, the output). Names, numbers and choices are the ecosystem's, so that a file of ours
// and one of llama-quantize differ in no tensor's type.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "quant/dtype.h"

namespace edgewise {

// Tensors that rules can name.
enum class RecipeRole : uint8_t { kAttentionV, kAttentionOutput, kFfnDown };

// Layers in which a rule holds. kMoreBits: the first and the last eighth and every third between.
enum class RecipeWhere : uint8_t {
  kAll,
  kFirstTwo,
  kFirstFour,
  kFirstSixteenth,
  kFirstEighth,
  kMoreBits,
  kSharedByFour,  // all, if four or more query heads share each value head
};

struct RecipeRule {
  RecipeRole role;
  RecipeWhere where;
  DType type;
};

struct Recipe {
  const char* name;                   // "Q4_K_M"
  uint32_t file_type;                 // general.file_type of the file
  DType base;                         // what no rule says otherwise
  std::span<const RecipeRule> rules;  // the first that applies counts
};

// What a recipe asks of the model.
struct RecipeModel {
  uint32_t layers = 0;
  uint32_t heads_per_kv_head = 1;
  bool tied_embeddings = false;  // no output.weight: token_embd.weight is the output too
};

struct RecipeTensor {
  std::string_view name;  // "blk.3.attn_v.weight"
  uint32_t dims = 0;
  uint64_t columns = 0;  // weights per row
};

struct RecipeChoice {
  DType type;
  DType wanted;  // differs from type where `columns` is no whole number of wanted's blocks
};

std::span<const Recipe> AllRecipes();

// Without regard to case; Q3_K, Q4_K and Q5_K mean their _M. nullptr when there is none.
const Recipe* FindRecipe(std::string_view name);
const Recipe* FindRecipeByFileType(uint32_t file_type);

// "Q4_0, Q4_1, ...": for messages.
std::string RecipeNames();

// nullopt: the tensor is not for quantising (vectors, norms, positions) and keeps its type.
// A row too short for a K-quant falls back to the type of 32-weight blocks above it, and one that
// is no multiple of 32 to F16.
std::optional<RecipeChoice> TypeFor(const Recipe& recipe, const RecipeModel& model,
                                    const RecipeTensor& tensor);

}  // namespace edgewise
