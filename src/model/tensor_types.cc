#include "model/tensor_types.h"

#include "base/error.h"

namespace edgewise {
namespace {

const Recipe& RecipeNamed(std::string_view name) {
  const Recipe* recipe = FindRecipe(name);
  if (recipe == nullptr) {
    throw Error(ErrorCode::kUsage, StrCat("no type or recipe is named '", Printable(name),
                                          "': there are ", RecipeNames()));
  }
  return *recipe;
}

// A matrix that no rule of any recipe names: TypeFor() gives it the base type or what replaces it
// on short rows, which is what `pure` asks for all.
constexpr std::string_view kOrdinaryMatrix = "blk.0.ffn_up.weight";

}  // namespace

TensorTypes::TensorTypes(std::string_view recipe, bool pure, RecipeModel model)
    : recipe_(RecipeNamed(recipe)), pure_(pure), model_(model) {}

DType TensorTypes::For(const RecipeTensor& tensor, DType stored) {
  if (tensor.dims <= 1) return DType::kF32;
  std::optional<RecipeChoice> choice = TypeFor(recipe_, model_, tensor);
  if (!choice) return stored;
  if (pure_) choice = TypeFor(recipe_, model_, {kOrdinaryMatrix, tensor.dims, tensor.columns});
  if (choice->type != choice->wanted) {
    notes_.push_back(StrCat(Printable(tensor.name), ": ", NameOf(choice->type), ", for rows of ",
                            tensor.columns, " are no blocks of ", NameOf(choice->wanted)));
  }
  return choice->type;
}

}  // namespace edgewise
