// The ecosystem's own tokenizer tests: vocabulary files beside texts and the ids expected.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "tokenizer/tokenizer.h"

namespace edgewise {
namespace {

std::string ReadAll(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::filesystem::path SharedFolder() {
  if (const char* folder = std::getenv("EDGEWISE_SHARED")) return folder;
  return std::filesystem::path(EDGEWISE_SOURCE_DIR) / ".." / "shared";
}

class TestVectorsTest : public testing::TestWithParam<const char*> {};

TEST_P(TestVectorsTest, EveryLineGivesTheExpectedIds) {
  const std::filesystem::path path =
      SharedFolder() / "data" / "vocabs" / (std::string("ggml-vocab-") + GetParam() + ".gguf");
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is absent (EDGEWISE_SHARED)";
  const Gguf file = Gguf::Open(path.string());
  const auto tokenizer = Tokenizer::FromGguf(file);
  EXPECT_NEAR(static_cast<double>(tokenizer->MemoryBytes()),
              static_cast<double>(Tokenizer::PlanMemoryBytes(file)),
              0.01 * static_cast<double>(tokenizer->MemoryBytes()));

  const std::string texts = ReadAll(path.string() + ".inp");
  std::istringstream expected_lines(ReadAll(path.string() + ".out"));
  constexpr std::string_view kSeparator = "\n__ggml_vocab_test__\n";
  int cases = 0;
  for (size_t at = 0; at < texts.size();) {
    const size_t end = std::min(texts.find(kSeparator, at), texts.size());
    const std::string text = texts.substr(at, end - at);
    at = end + kSeparator.size();
    std::string line;
    ASSERT_TRUE(std::getline(expected_lines, line));
    std::istringstream numbers(line);
    const std::vector<TokenId> expected{std::istream_iterator<TokenId>(numbers), {}};
    const std::vector<TokenId> ids =
        tokenizer->Encode(text, {.add_special = false, .parse_special = false});
    EXPECT_EQ(ids, expected) << testing::PrintToString(text);
    EXPECT_EQ(tokenizer->Decode(ids), text);
    ++cases;
  }
  EXPECT_GE(cases, 46);
}

INSTANTIATE_TEST_SUITE_P(Vocabularies, TestVectorsTest,
                         testing::Values("llama-spm", "phi-3", "gpt-2", "starcoder", "refact",
                                         "deepseek-llm"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::erase(name, '-');
                           return name;
                         });

}  // namespace
}  // namespace edgewise
