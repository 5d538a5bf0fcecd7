// The type of each tensor of a file about to be written, by the user's choice of a recipe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "quant/recipe.h"

namespace edgewise {

class TensorTypes {
 public:
  // pure: every matrix in the recipe's base type. Throws Error(kUsage), listing the recipes, when
  // there is none of that name.
  TensorTypes(std::string_view recipe, bool pure, RecipeModel model);

  // For a tensor stored in type `stored` (F32 where it is yet to be made). Vectors become F32, what
  // a recipe does not touch keeps its type.
  DType For(const RecipeTensor& tensor, DType stored);

  const Recipe& recipe() const { return recipe_; }
  // One line for each tensor so far whose rows do not fit the type wanted:
  // "blk.0.ffn_down.weight: F16, for rows of 172 are no blocks of Q4_0".
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  const Recipe& recipe_;
  bool pure_;
  RecipeModel model_;
  std::vector<std::string> notes_;
};

}  // namespace edgewise
