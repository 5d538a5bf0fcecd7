#include "predict/quality.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "base/error.h"
#include "model/model.h"
#include "model/shapes.h"
#include "quant/recipe.h"

namespace edgewise {
namespace {

TEST(QualityTest, AWindowLosesNothingWhereTheModelWasMadeForItOrNothingIsLeftOut) {
  ModelConfig config;
  EXPECT_EQ(LossOfWindow(config, 0, 4096), 0);
  EXPECT_EQ(LossOfWindow(config, 4096, 4096), 0);
  EXPECT_TRUE(std::isinf(LossOfWindow(config, 1024, 4096)));
  config.window = 1024;
  EXPECT_EQ(LossOfWindow(config, 1024, 4096), 0);
  EXPECT_TRUE(std::isinf(LossOfWindow(config, 512, 4096)));
}

double ParametersOf(const ModelShape& shape) {
  return static_cast<double>(Model::FromShape(shape.config, DType::kF16, shape.tied_output).parameters());
}

Loss WeightsOf(const char* name, const char* recipe) {
  const ModelShape shape = ShapeNamed(name);
  return LossOfWeights(shape.config, ParametersOf(shape), recipe);
}

TEST(QualityTest, TheMostAlikeMeasuredModelAnswers) {
  EXPECT_STREQ(WeightsOf("llama2-7b", "Q4_0").table->model, "LLaMA 7B");
  EXPECT_NEAR(WeightsOf("llama2-7b", "Q4_0").value, 0.2166 / 5.9066, 1e-9);
  EXPECT_STREQ(WeightsOf("llama1-65b", "Q4_K_M").table->model, "Llama 2 70B");
  EXPECT_STREQ(WeightsOf("llama3-8b", "Q4_0").table->model, "Llama 3 8B");
  // Trained on as many tokens as Llama 3: they lose more than LLaMA 7B did.
  EXPECT_STREQ(WeightsOf("tinyllama-1.1b", "Q2_K").table->model, "Llama 3 8B");
  EXPECT_GT(WeightsOf("tinyllama-1.1b", "Q2_K").value, 0.5);
  // Llama 2 70B was not measured in Q8_0.
  EXPECT_STREQ(WeightsOf("llama1-65b", "Q8_0").table->model, "LLaMA 7B");
}

TEST(QualityTest, EveryRecipeHasALossForEveryShapeAndMoreBitsLoseLess) {
  for (const std::string_view name : ShapeNames()) {
    const ModelShape shape = ShapeNamed(name);
    const double parameters = ParametersOf(shape);
    for (const Recipe& recipe : AllRecipes()) {
      const Loss loss = LossOfWeights(shape.config, parameters, recipe.name);
      EXPECT_GE(loss.value, 0) << name << " " << recipe.name;
      EXPECT_EQ(loss.table == nullptr,
                recipe.base == DType::kF32 || recipe.base == DType::kF16 || recipe.base == DType::kBF16);
    }
    double least = 1;
    for (const char* recipe : {"Q2_K", "Q3_K_M", "Q4_K_M", "Q5_K_M", "Q6_K", "F16"}) {
      const double loss = LossOfWeights(shape.config, parameters, recipe).value;
      EXPECT_LE(loss, least) << name << " " << recipe;
      least = loss;
    }
  }
}

TEST(QualityTest, AnUnknownTypeOfWeightsIsAnError) { EXPECT_THROW(WeightsOf("llama2-7b", "INT8"), Error); }

TEST(QualityTest, KvTypes) {
  const ModelShape shape = ShapeNamed("llama3-8b");
  const auto loss = [&](DType k, DType v) { return LossOfKv(shape.config, 8.03e9, k, v); };
  EXPECT_EQ(loss(DType::kF16, DType::kF32).value, 0);
  EXPECT_STREQ(loss(DType::kQ8_0, DType::kQ8_0).table->model, "Llama 3 8B");
  EXPECT_STREQ(loss(DType::kQ4_0, DType::kQ4_0).table->model, "Qwen3 8B");
  // K in 4 bits beside V in 8 was measured by nobody.
  EXPECT_EQ(loss(DType::kQ4_0, DType::kQ8_0).value, loss(DType::kQ4_0, DType::kQ4_0).value);
  // A small Qwen3 cannot stand four bits, others can.
  const ModelShape qwen = ShapeNamed("qwen3-0.6b"), small = ShapeNamed("llama3.2-1b");
  EXPECT_GT(LossOfKv(qwen.config, 0.6e9, DType::kQ4_0, DType::kQ4_0).value, 2);
  EXPECT_LT(LossOfKv(small.config, 1.2e9, DType::kQ4_0, DType::kQ4_0).value, 0.05);
}

TEST(QualityTest, TheDocumentsTableIsShownButAnswersForNoModel) {
  bool shown = false;
  for (const LossTable& table : LossTables()) {
    if (table.from != LossFrom::kDocuments) continue;
    shown = true;
    EXPECT_EQ(table.weights[0].loss, 0.019);
    EXPECT_EQ(table.weights[1].loss, 0.067);
  }
  EXPECT_TRUE(shown);
}

TEST(QualityTest, LargerModelsAndSmallerLossesRankBefore) {
  EXPECT_DOUBLE_EQ(RelativePerplexity(7e9, 0), 1);
  EXPECT_LT(RelativePerplexity(13e9, 0.1), RelativePerplexity(7e9, 0));
  EXPECT_NEAR(Together(0.1, 0.1), 0.21, 1e-12);
}

}  // namespace
}  // namespace edgewise
