#include "model/shapes.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "base/error.h"
#include "model/model.h"

namespace edgewise {
namespace {

// Totals as the publishers' weight files have them.
const std::map<std::string, uint64_t> kPublishedParameters = {
    {"tinyllama-1.1b", 1100048384},
    {"llama1-7b", 6738415616},
    {"llama1-13b", 13015864320},
    {"llama1-33b", 32528943616},
    {"llama1-65b", 65285660672},
    {"llama2-7b", 6738415616},
    {"llama2-13b", 13015864320},
    {"mistral-7b", 7241732096},
    {"llama3-8b", 8030261248},
    {"llama3.1-8b", 8030261248},
    {"llama3.2-1b", 1235814400},
    {"llama3.2-3b", 3212749824},
    {"smollm2-135m", 134515008},
    {"smollm2-360m", 361821120},
    {"smollm2-1.7b", 1711376384},
    {"qwen2.5-0.5b", 494032768},
    {"qwen2.5-1.5b", 1543714304},
    {"qwen2.5-3b", 3085938688},
    {"qwen2.5-7b", 7615616512},
    {"qwen3-0.6b", 596049920},
    {"qwen3-1.7b", 1720574976},
    {"qwen3-4b", 4022468096},
    {"qwen3-8b", 8190735360},
    // By hand: 50257 x 768 + 12 x (4 x 768^2 + 3 x 768 x 2048 + 2 x 768) + 768.
    {"gpt2-small", 123551232},
};

TEST(ShapesTest, ParameterCountsAreThePublishedOnesToTheUnit) {
  for (const std::string_view name : ShapeNames()) {
    SCOPED_TRACE(name);
    const ModelShape shape = ShapeNamed(name);
    EXPECT_NO_THROW(CheckShape(shape));
    const Model model = Model::FromShape(shape.config, DType::kF16, shape.tied_output);
    ASSERT_TRUE(kPublishedParameters.contains(std::string(name)));
    EXPECT_EQ(model.parameters(), kPublishedParameters.at(std::string(name)));
  }
  EXPECT_EQ(ShapeNames().size(), kPublishedParameters.size());
}

TEST(ShapesTest, AnUnknownNameListsTheKnownOnes) {
  try {
    ShapeNamed("gpt-5");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUsage);
    EXPECT_NE(error.message().find("gpt-5"), std::string::npos);
    EXPECT_NE(error.message().find("tinyllama-1.1b"), std::string::npos);
  }
}

TEST(ShapesTest, ImpossibleShapesAreRefused) {
  const auto refused = [](auto change) {
    ModelShape shape = ShapeNamed("smollm2-135m");
    change(shape.config);
    EXPECT_THROW(CheckShape(shape), Error);
  };
  refused([](ModelConfig& c) { c.width = 0; });
  refused([](ModelConfig& c) { c.kv_heads = 2; });  // of 9
  refused([](ModelConfig& c) { c.head_dim = 63; });
  refused([](ModelConfig& c) { c.layers = 1025; });
}

// Llama 3.2's own figures: 64 values per head, base 500000, factor 32.
TEST(ShapesTest, Llama3RopeFactorsRunFromOneToTheFactor) {
  const std::vector<float> factors = Llama3RopeFactors(ShapeNamed("llama3.2-1b"));
  ASSERT_EQ(factors.size(), 32u);
  EXPECT_EQ(factors.front(), 1.0f);
  EXPECT_EQ(factors.back(), 32.0f);
  EXPECT_TRUE(std::is_sorted(factors.begin(), factors.end()));
  // Frequency 15: 500000^(-30/64) = 2.1312e-3, 2.7786 turns in 8192 positions, smooth 0.59288:
  // 1 / (0.40712 / 32 + 0.59288) = 1.6512.
  EXPECT_NEAR(factors[15], 1.6512f, 2e-3f);
}

}  // namespace
}  // namespace edgewise
