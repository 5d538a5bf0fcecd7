#include "model/synth.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <set>

#include "base/error.h"
#include "gguf/gguf.h"
#include "model/model.h"
#include "model/tensor_types.h"
#include "quant/codec.h"

namespace edgewise {
namespace {

class TemporaryPath {
 public:
  explicit TemporaryPath(const std::string& name)
      : path_(testing::TempDir() + StrCat("edgewise-", getpid(), "-", name)) {}
  ~TemporaryPath() { std::remove(path_.c_str()); }
  operator const std::string&() const { return path_; }

 private:
  std::string path_;
};

ModelShape SmallShape(const char* like) {
  ModelShape shape = ShapeNamed(like);
  ModelConfig& c = shape.config;
  c.vocab = 500;
  c.width = 256;
  c.layers = 3;
  c.heads = 4;
  c.kv_heads = 2;
  c.head_dim = c.rope.dims = 32;
  c.ffn = 512;
  return shape;
}

// Rows that are no blocks of any type, heads that four share, as many layers as rules of recipes tell apart.
ModelShape OddShape() {
  ModelShape shape = SmallShape("tinyllama-1.1b");
  ModelConfig& c = shape.config;
  c.name = "odd";
  c.width = 160;
  c.layers = 17;
  c.kv_heads = 1;
  c.ffn = 172;
  return shape;
}

// What prediction prices without a file is what the file holds.
void ExpectSameWeights(const Model& shape, const Model& file) {
  ASSERT_EQ(shape.weights().size(), file.weights().size());
  for (size_t i = 0; i < file.weights().size(); ++i) {
    const Weight &a = shape.weights()[i], &b = file.weights()[i];
    EXPECT_EQ(a.name, b.name);
    EXPECT_EQ(a.type, b.type) << a.name;
    EXPECT_EQ(a.rows, b.rows) << a.name;
    EXPECT_EQ(a.k, b.k) << a.name;
  }
  EXPECT_EQ(shape.parameters(), file.parameters());
  EXPECT_EQ(shape.weight_bytes(), file.weight_bytes());
  EXPECT_EQ(shape.tied_output(), file.tied_output());
  EXPECT_EQ(shape.rope_factors(), file.rope_factors());
}

constexpr auto NoProgress = [](uint64_t, uint64_t) {};

std::string Contents(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class SynthTypeTest : public testing::TestWithParam<std::string> {};

TEST_P(SynthTypeTest, MakesAModelOfFiniteWeights) {
  for (const ModelShape& shape : {SmallShape("tinyllama-1.1b"), SmallShape("llama3.1-8b"),
                                  SmallShape("llama3.2-1b"), SmallShape("qwen2.5-0.5b"),
                                  SmallShape("qwen3-0.6b"), OddShape()}) {
    SCOPED_TRACE(shape.config.name);
    const TemporaryPath path("synth.gguf");
    const SynthReport report =
        Synthesize(shape, path, {.type = GetParam(), .threads = 2}, NoProgress);
    const Gguf file = Gguf::Open(path);
    const Model model = Model::FromGguf(file);
    EXPECT_EQ(model.parameters(), report.parameters);
    EXPECT_EQ(model.weight_bytes(), report.weight_bytes);
    EXPECT_EQ(model.tied_output(), shape.tied_output);
    EXPECT_EQ(model.config().rope.base, shape.config.rope.base);
    ExpectSameWeights(Model::FromShape(shape, GetParam()), model);
    uint64_t data_bytes = 0;
    for (const GgufTensor& tensor : file.tensors()) {
      EXPECT_NO_THROW(file.CheckFinite(tensor));
      data_bytes += tensor.data.size();
    }
    EXPECT_EQ(data_bytes, model.weight_bytes());
  }
}

std::vector<std::string> RecipeNameList() {
  std::vector<std::string> names;
  for (const Recipe& recipe : AllRecipes()) names.emplace_back(recipe.name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(EveryRecipe, SynthTypeTest, testing::ValuesIn(RecipeNameList()),
                         [](const auto& info) { return info.param; });

TEST(SynthTest, TheFileDependsOnTheSeedAloneNotOnTheThreads) {
  const ModelShape shape = SmallShape("smollm2-135m");
  const TemporaryPath a("a.gguf"), b("b.gguf"), c("c.gguf");
  Synthesize(shape, a, {.type = "Q4_K_M", .seed = 5, .threads = 1}, NoProgress);
  Synthesize(shape, b, {.type = "Q4_K_M", .seed = 5, .threads = 3}, NoProgress);
  Synthesize(shape, c, {.type = "Q4_K_M", .seed = 6, .threads = 1}, NoProgress);
  EXPECT_TRUE(Contents(a) == Contents(b));
  EXPECT_FALSE(Contents(a) == Contents(c));
}

TEST(SynthTest, RowsThatAreNoBlocksAreNoted) {
  ModelShape shape = SmallShape("smollm2-135m");
  shape.config.ffn = 172;  // the down projection's rows: no multiple of 32
  const TemporaryPath path("notes.gguf");
  const SynthReport report = Synthesize(shape, path, {.type = "Q8_0"}, NoProgress);
  ASSERT_EQ(report.notes.size(), 3u);
  EXPECT_EQ(report.notes[0], "blk.0.ffn_down.weight: F16, for rows of 172 are no blocks of Q8_0");
}

TEST(SynthTest, PureMeansOneTypeForEveryMatrix) {
  const TemporaryPath path("pure.gguf");
  ModelShape shape = SmallShape("tinyllama-1.1b");
  shape.config.heads = 8;  // rows of 256 everywhere
  Synthesize(shape, path, {.type = "Q4_K_M", .pure = true}, NoProgress);
  const Gguf file = Gguf::Open(path);
  for (const GgufTensor& tensor : file.tensors()) {
    EXPECT_EQ(tensor.type, tensor.rank == 1 ? DType::kF32 : DType::kQ4_K) << tensor.name;
  }
}

TEST(SynthTest, WhatCannotBeMadeIsRefusedAndLeavesNoFile) {
  const TemporaryPath path("refused.gguf");
  const auto code = [&](const ModelShape& shape, const char* type) {
    try {
      Synthesize(shape, path, {.type = type}, NoProgress);
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::kIo;
  };
  ModelShape small_vocabulary = SmallShape("tinyllama-1.1b");
  small_vocabulary.config.vocab = kLeastVocabulary - 1;
  EXPECT_EQ(code(small_vocabulary, "Q4_0"), ErrorCode::kUsage);
  EXPECT_EQ(code(SmallShape("tinyllama-1.1b"), "Q4_Z"), ErrorCode::kUsage);
  EXPECT_NE(access(std::string(path).c_str(), F_OK), 0);
}

TEST(SynthTest, VocabularyIsUniqueAndEveryWordIsMadeOfTwoOthers) {
  for (const uint32_t size : {kLeastVocabulary, 1000u, 32000u}) {
    const SynthVocabulary vocabulary = MakeSynthVocabulary(size);
    uint64_t text_bytes = 0;
    for (const std::string& token : vocabulary.tokens) text_bytes += token.size();
    EXPECT_EQ(SynthTextBytes(size), text_bytes);
    ASSERT_EQ(vocabulary.tokens.size(), size);
    ASSERT_EQ(vocabulary.scores.size(), size);
    ASSERT_EQ(vocabulary.types.size(), size);
    const std::set<std::string> unique(vocabulary.tokens.begin(), vocabulary.tokens.end());
    EXPECT_EQ(unique.size(), size);
    for (uint32_t i = kLeastVocabulary; i < size; ++i) {
      const std::string& word = vocabulary.tokens[i];
      // SPM reaches a word by merging all but its last letter with that letter.
      EXPECT_TRUE(unique.contains(word.substr(0, word.size() - 1))) << word;
      EXPECT_TRUE(unique.contains(word.substr(word.size() - 1))) << word;
      EXPECT_LT(vocabulary.scores[i], vocabulary.scores[i - 1]);
    }
  }
}

}  // namespace
}  // namespace edgewise
