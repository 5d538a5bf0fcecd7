#include "tokenizer/pre_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "base/error.h"
#include "base/utf8.h"

namespace edgewise {
namespace {

using testing::ElementsAre;

std::vector<std::string> Words(std::string_view rule, std::string_view text) {
  std::vector<uint32_t> ends;
  PreTokenizer(rule, "file").Split(text, ends);
  std::vector<std::string> words;
  uint32_t begin = 0;
  for (const uint32_t end : ends) {
    words.emplace_back(text.substr(begin, end - begin));
    begin = end;
  }
  EXPECT_EQ(begin, text.size());
  return words;
}

TEST(PreTokenizerTest, Gpt2) {
  EXPECT_THAT(Words("gpt-2", "I'm  here, it's 1234!\n\n x"),
              ElementsAre("I", "'m", " ", " here", ",", " it", "'s", " 1234", "!", "\n\n", " x"));
  EXPECT_THAT(Words("gpt-2", "a  "), ElementsAre("a", "  "));
  EXPECT_THAT(Words("gpt-2", "\ta 'S"), ElementsAre("\t", "a", " '", "S"));
}

TEST(PreTokenizerTest, Llama3) {
  EXPECT_THAT(
      Words("llama-bpe", "I'M 12345 (ok)\n\n  x!?\r\ny"),
      ElementsAre("I", "'M", " ", "123", "45", " (", "ok", ")\n\n", " ", " x", "!?\r\n", "y"));
  EXPECT_THAT(Words("llama-bpe", "a \n b"), ElementsAre("a", " \n", " b"));
}

TEST(PreTokenizerTest, Qwen2) {
  EXPECT_THAT(Words("qwen2", "x=12;"), ElementsAre("x", "=", "1", "2", ";"));
}

TEST(PreTokenizerTest, SmolLmSplitsDigitsFirst) {
  EXPECT_THAT(Words("smollm", "a 12 b"), ElementsAre("a", " ", "1", "2", " b"));
}

TEST(PreTokenizerTest, FalconSplitsPunctuationThenThrees) {
  EXPECT_THAT(Words("falcon", "a,b `1234"), ElementsAre("a", ",", "b", " ", "`", "123", "4"));
  EXPECT_THAT(Words("default", "a,b 1234"), ElementsAre("a", ",", "b", " ", "123", "4"));
}

TEST(PreTokenizerTest, DeepSeek) {
  EXPECT_THAT(Words("deepseek-llm", "Hello, world  \n\n你好 123  "),
              ElementsAre("Hello", ",", " world", "  ", "\n", "\n", "你好", " ", "123", "  "));
  EXPECT_THAT(Words("deepseek-coder", "ab, 12\n"), ElementsAre("ab", ",", " ", "1", "2", "\n"));
}

TEST(PreTokenizerTest, ClassesAreThoseOfUnicode15WhateverPcre2Has) {
  const auto encoded = [](char32_t code) {
    std::string text;
    AppendUtf8(text, code);
    return text;
  };
  // New in 15.0 or 15.1: letters, a number, a mark (which counts as neither).
  for (const char32_t letter : {0x1123F, 0x11F02, 0x1E4D0, 0x2EBF0, 0x31350, 0x323AF}) {
    EXPECT_THAT(Words("gpt-2", "a" + encoded(letter)), ElementsAre("a" + encoded(letter)));
  }
  EXPECT_THAT(Words("qwen2", "1" + encoded(0x1E4F0)), ElementsAre("1", encoded(0x1E4F0)));
  EXPECT_THAT(Words("gpt-2", "a" + encoded(0x0CF3)), ElementsAre("a", encoded(0x0CF3)));
  EXPECT_THAT(Words("qwen35", "a" + encoded(0x0CF3)), ElementsAre("a" + encoded(0x0CF3)));
  // White space: NEL is, U+180E no longer is, nor are the separators 1C to 1F.
  EXPECT_THAT(Words("gpt-2", "!" + encoded(0x85)), ElementsAre("!", encoded(0x85)));
  for (const char32_t other : {0x180E, 0x200B, 0x1C}) {
    EXPECT_THAT(Words("gpt-2", "!" + encoded(other)), ElementsAre("!" + encoded(other)));
  }
  // DeepSeek's wide range spans U+3000, which stays white space.
  EXPECT_THAT(Words("deepseek-coder", "、\u3000一"), ElementsAre("、", "\u3000", "一"));
}

TEST(PreTokenizerTest, InvalidBytesAreWordsLikeOtherSigns) {
  EXPECT_THAT(Words("gpt-2", "a\xFF\xFE b\xE2\x82"),
              ElementsAre("a", "\xFF\xFE", " b", "\xE2\x82"));
}

TEST(PreTokenizerTest, UnknownNamesAreListed) {
  try {
    PreTokenizer("gpt-9\n", "file");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    EXPECT_THAT(error.message(), testing::StartsWith("file: pre-tokeniser 'gpt-9?'"));
    EXPECT_THAT(error.message(), testing::HasSubstr("llama-bpe, llama3"));
  }
}

TEST(PreTokenizerTest, LongRunsTakeLinearTime) {
  const std::string spaces(1 << 20, ' ');
  std::string alternating;
  for (int i = 0; i < 1 << 19; ++i) alternating += i % 2 ? "\n" : " ";
  const auto start = std::chrono::steady_clock::now();
  for (const char* rule : {"default", "gpt-2", "llama-bpe", "qwen2", "qwen35", "smollm", "falcon",
                           "deepseek-llm", "deepseek-coder"}) {
    EXPECT_FALSE(Words(rule, spaces + "x").empty());
    EXPECT_FALSE(Words(rule, spaces + "\u2603").empty());  // in no class that takes a space along
    EXPECT_FALSE(Words(rule, alternating + "x").empty());
    EXPECT_FALSE(Words(rule, std::string(1 << 20, 'a')).empty());
    EXPECT_FALSE(Words(rule, std::string(1 << 20, '\xFF')).empty());
  }
  // About 0.5 s; quadratic backtracking takes an hour.
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(60));
}

}  // namespace
}  // namespace edgewise
