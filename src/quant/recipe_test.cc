#include "quant/recipe.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace edgewise {
namespace {

// Types of one tensor over the layers, one letter each: the base's bits ("4" is Q4_K).
std::string OverLayers(const char* recipe, const char* tensor, RecipeModel model) {
  std::string out;
  for (uint32_t layer = 0; layer < model.layers; ++layer) {
    const std::string name = "blk." + std::to_string(layer) + "." + tensor + ".weight";
    out += NameOf(TypeFor(*FindRecipe(recipe), model, {name, 2, 4096})->type)[1];
  }
  return out;
}

const char* TypeName(const char* recipe, RecipeModel model, RecipeTensor tensor) {
  const auto choice = TypeFor(*FindRecipe(recipe), model, tensor);
  return choice ? NameOf(choice->type) : "kept";
}

// Expected strings are llama-quantize's choices (August 2026) for models of these shapes.
TEST(RecipeTest, LayersThatGetMoreBits) {
  const RecipeModel llama{32, 1, false};
  EXPECT_EQ(OverLayers("Q4_K_M", "ffn_down", llama), "66664464464464464464464464466666")
      << "first eighth, last eighth, every third between";
  EXPECT_EQ(OverLayers("Q4_K_M", "attn_v", llama), OverLayers("Q4_K_M", "ffn_down", llama));
  EXPECT_EQ(OverLayers("Q4_K_S", "attn_v", {8, 1, false}), "55554444");
  EXPECT_EQ(OverLayers("Q4_K_S", "ffn_down", {8, 1, false}), "54444444");
  EXPECT_EQ(OverLayers("Q3_K_M", "attn_v", {8, 1, false}), "55444444");
  EXPECT_EQ(OverLayers("Q3_K_M", "ffn_down", llama).substr(0, 4), "5544");
  EXPECT_EQ(OverLayers("Q2_K", "attn_v", {4, 2, false}), "3333");
  EXPECT_EQ(OverLayers("Q2_K", "attn_v", {4, 4, false}), "4444");
  EXPECT_EQ(OverLayers("Q3_K_M", "attn_v", {80, 8, false}), std::string(80, '5'));
}

TEST(RecipeTest, OutputAndEmbeddings) {
  const RecipeModel untied{8, 1, false}, tied{8, 1, true};
  const RecipeTensor output{"output.weight", 2, 4096}, embedding{"token_embd.weight", 2, 4096};
  EXPECT_STREQ(TypeName("Q4_K_M", untied, output), "Q6_K");
  EXPECT_STREQ(TypeName("Q4_K_M", untied, embedding), "Q4_K");
  EXPECT_STREQ(TypeName("Q4_K_M", tied, embedding), "Q6_K");
  EXPECT_STREQ(TypeName("Q4_0", tied, embedding), "Q6_K");
  EXPECT_STREQ(TypeName("Q8_0", tied, embedding), "Q8_0");
  EXPECT_STREQ(TypeName("F16", untied, output), "F16");
}

TEST(RecipeTest, ShortRowsFallBack) {
  const RecipeModel model{8, 1, false};
  const auto row = [](uint64_t columns) { return RecipeTensor{"blk.1.ffn_up.weight", 2, columns}; };
  EXPECT_STREQ(TypeName("Q2_K", model, row(288)), "Q4_0");
  EXPECT_STREQ(TypeName("Q3_K_S", model, row(288)), "Q4_0");
  EXPECT_STREQ(TypeName("Q4_K_S", model, row(288)), "Q5_0");
  EXPECT_STREQ(TypeName("Q5_K_S", model, row(288)), "Q5_1");
  EXPECT_STREQ(TypeName("Q6_K", model, row(288)), "Q8_0");
  EXPECT_STREQ(TypeName("Q4_0", model, row(288)), "Q4_0");
  for (const Recipe& recipe : AllRecipes()) {
    if (InfoOf(recipe.base).block == 1) continue;
    const auto choice = TypeFor(recipe, model, row(172));
    ASSERT_TRUE(choice);
    EXPECT_EQ(choice->type, DType::kF16) << recipe.name;
    EXPECT_EQ(choice->wanted, recipe.base) << recipe.name;
  }
  // The output asks whether the base type fits, then whether Q6_K does.
  EXPECT_STREQ(TypeName("Q4_0", model, {"output.weight", 2, 288}), "Q8_0");
  EXPECT_STREQ(TypeName("Q4_K_M", model, {"output.weight", 2, 288}), "Q8_0");
  EXPECT_STREQ(TypeName("Q4_K_M", model, {"output.weight", 2, 100}), "F16");
}

TEST(RecipeTest, VectorsNormsAndPositionsAreKept) {
  const RecipeModel model{8, 1, false};
  for (const RecipeTensor& tensor :
       {RecipeTensor{"blk.0.attn_q.bias", 1, 4096}, RecipeTensor{"output_norm.weight", 1, 4096},
        RecipeTensor{"blk.0.attn_norm.weight", 2, 4096}, RecipeTensor{"rope_freqs.weight", 1, 64},
        RecipeTensor{"position_embd.weight", 2, 4096}, RecipeTensor{"blk.0.x.bias", 2, 4096}}) {
    for (const Recipe& recipe : AllRecipes()) {
      EXPECT_FALSE(TypeFor(recipe, model, tensor)) << tensor.name;
    }
  }
}

// Names from hostile files: a layer beyond the model or beyond 32 bits is just another tensor.
TEST(RecipeTest, StrangeNames) {
  const RecipeModel model{8, 1, false};
  for (const char* name : {"blk.99999999999.attn_v.weight", "blk..attn_v.weight", "blk.weight",
                           "blk.-1.attn_v.weight", "weight", "attn_v.weight"}) {
    EXPECT_STREQ(TypeName("Q4_K_M", model, {name, 2, 256}), "Q4_K") << name;
  }
  EXPECT_STREQ(TypeName("Q4_K_M", {}, {"blk.0.attn_v.weight", 2, 256}), "Q6_K");
  EXPECT_STREQ(TypeName("Q4_K_M", model, {"blk.4294967295.attn_v.weight", 2, 256}), "Q6_K");
  EXPECT_STREQ(TypeName("Q4_K_M", model, {"", 2, 256}), "kept");
}

TEST(RecipeTest, FindsByNameAliasAndFileType) {
  EXPECT_EQ(FindRecipe("q4_k_m")->file_type, 15u);
  EXPECT_EQ(FindRecipe("Q4_K"), FindRecipe("Q4_K_M"));
  EXPECT_EQ(FindRecipe("q3_k"), FindRecipe("Q3_K_M"));
  EXPECT_EQ(FindRecipe("Q5_K"), FindRecipe("Q5_K_M"));
  EXPECT_EQ(FindRecipe("IQ2_XXS"), nullptr);
  EXPECT_EQ(FindRecipe(""), nullptr);
  EXPECT_EQ(FindRecipeByFileType(19), nullptr);
  std::set<uint32_t> ids;
  for (const Recipe& recipe : AllRecipes()) {
    EXPECT_EQ(FindRecipe(recipe.name), &recipe);
    EXPECT_EQ(FindRecipeByFileType(recipe.file_type), &recipe);
    EXPECT_TRUE(ids.insert(recipe.file_type).second) << recipe.name;
    EXPECT_NE(RecipeNames().find(recipe.name), std::string::npos);
  }
}

}  // namespace
}  // namespace edgewise
