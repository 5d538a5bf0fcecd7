#include "tokenizer/bpe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <random>

#include "base/error.h"
#include "tokenizer/test_vocabulary.h"

namespace edgewise {
namespace {

using testing::ElementsAre;

TEST(BpeTest, MergesByRankWithinWords) {
  TestVocabulary v = BpeBase();
  AddMerge(v, "b", "c");   // 256
  AddMerge(v, "a", "b");   // 257
  AddMerge(v, "a", "bc");  // 258
  AddMerge(v, " ", "a");   // 259
  const auto t = v.Make();
  EXPECT_THAT(t->Encode("abc", kPlain), ElementsAre(258));
  EXPECT_THAT(t->Encode("ab", kPlain), ElementsAre(257));
  EXPECT_THAT(t->Encode(" ab", kPlain), ElementsAre(' ', 257));
  EXPECT_THAT(t->Encode("1a a", kPlain), ElementsAre('1', 'a', 259));
  EXPECT_EQ(t->Piece(259), " a");
}

TEST(BpeTest, AnyBytesComeBack) {
  TestVocabulary v = BpeBase();
  AddMerge(v, "\xE2", "\x82");
  AddMerge(v, "\n", "\n");
  const auto t = v.Make();
  std::mt19937 random(4);
  for (int round = 0; round < 500; ++round) {
    std::string text;
    for (uint32_t n = random() % 100; n > 0; --n) {
      constexpr char kOften[] = "\xE2\x82\xAC \nab'1";
      text.push_back(random() % 2 ? kOften[random() % 9] : static_cast<char>(random()));
    }
    ASSERT_EQ(t->Decode(t->Encode(text, kPlain)), text) << testing::PrintToString(text);
  }
}

TEST(BpeTest, AWordThatIsATokenNeedsNoMergesWhereTheRuleSaysSo) {
  for (const bool ignore : {false, true}) {
    TestVocabulary v = BpeBase(ignore ? "llama-bpe" : "qwen2");
    v.Add("whole");
    const auto t = v.Make();
    EXPECT_EQ(t->Encode("whole", kPlain).size(), ignore ? 1u : 5u);
    EXPECT_EQ(t->Encode("wholes", kPlain).size(), 6u);
  }
}

TEST(BpeTest, AnAddedTokensTextIsNotInTheAlphabet) {
  TestVocabulary v = BpeBase("llama-bpe");
  v.Add(ByteLevel(" a"), 0, TokenType::kUserDefined).Add("b", 0, TokenType::kUserDefined);
  const auto t = v.Make();
  EXPECT_THAT(t->Encode(" a", kPlain), ElementsAre(' ', 'a'));
  EXPECT_THAT(t->Encode("\xC4\xA0"
                        "a",
                        kPlain),
              ElementsAre(256));
  EXPECT_THAT(t->Encode("b", kPlain), ElementsAre(257));
}

TEST(BpeTest, TextsOfMergesNeedNotBeTokens) {
  TestVocabulary v = BpeBase();
  v.merges = {"a b", "ab c", "x y", "ab c"};  // "ab" and "xy" are no tokens, one merge comes twice
  v.Add("abc");
  const auto t = v.Make();
  EXPECT_THAT(t->Encode("abc", kPlain), ElementsAre(256));
  EXPECT_THAT(t->Encode("abxy", kPlain), ElementsAre('a', 'b', 'x', 'y'));
}

TEST(BpeTest, BytesWithoutATokenAreLeftOut) {
  TestVocabulary v;
  v.model = "gpt2";
  v.Add("a").Add("b").Add("<|endoftext|>", 0, TokenType::kControl).Id("unknown", 2);
  EXPECT_THAT(v.Make()->Encode("axb", kPlain), ElementsAre(0, 1));
}

TEST(BpeTest, ACharacterOfTheAlphabetMayAlsoBeAnAddedToken) {
  // U+00F8 is the alphabet's character for byte F8, here taken by the letter itself.
  TestVocabulary v = BpeBase();
  v.tokens[0xF8].type = TokenType::kUserDefined;
  const auto t = v.Make();
  EXPECT_THAT(t->Encode("\xC3\xB8", kPlain), ElementsAre(0xF8));
  EXPECT_EQ(t->Decode(std::vector<TokenId>{0xF8}), "\xC3\xB8");
  EXPECT_THAT(t->Encode("a\xF8", kPlain), ElementsAre('a'));
}

TEST(BpeTest, TextsOutsideTheAlphabetAreShownAsTheyAre) {
  TestVocabulary v = BpeBase();
  v.Add("日\xC4\xA0\xFF");  // U+0120 is the space
  EXPECT_EQ(v.Make()->Piece(256), "日 \xFF");
}

TEST(BpeTest, MergesMustBePairs) {
  for (const char* merge : {"", "a", "ab", "a ", " ", " a"}) {
    TestVocabulary v = BpeBase();
    v.merges = {"a b", merge};
    try {
      v.Make();
      ADD_FAILURE() << merge;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadFile);
      EXPECT_THAT(error.message(), testing::HasSubstr("tokenizer.ggml.merges[1]"));
    }
  }
  const std::string none = RawGguf()
                               .Entry("tokenizer.ggml.model", GgufType::kString, RawString("gpt2"))
                               .Array("tokenizer.ggml.tokens", GgufType::kString, 1, RawString("a"))
                               .Build();
  EXPECT_THROW(TestVocabulary::FromBytes(none), Error);
}

// The definition: of all adjacent pairs merge the one of lowest rank, leftmost of equals.
std::vector<std::string> Reference(const std::vector<std::string>& merges, std::string_view word) {
  std::vector<std::string> symbols;
  for (const char c : word) symbols.emplace_back(1, c);
  for (;;) {
    size_t best = symbols.size(), best_rank = merges.size();
    for (size_t i = 0; i + 1 < symbols.size(); ++i) {
      const std::string pair = symbols[i] + " " + symbols[i + 1];
      const size_t rank =
          static_cast<size_t>(std::find(merges.begin(), merges.end(), pair) - merges.begin());
      if (rank >= best_rank) continue;
      best = i;
      best_rank = rank;
    }
    if (best == symbols.size()) return symbols;
    symbols[best] += symbols[best + 1];
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

TEST(BpeTest, EqualsItsDefinitionOnRandomMerges) {
  std::mt19937 random(5);
  for (int round = 0; round < 200; ++round) {
    TestVocabulary v = BpeBase();
    std::vector<std::string> texts = {"a", "b", "c"};
    for (int i = 0; i < 25; ++i) {
      const std::string left = texts[random() % texts.size()];
      const std::string right = texts[random() % texts.size()];
      if (left.size() + right.size() > 12) continue;
      AddMerge(v, left, right);
      texts.push_back(left + right);
    }
    const auto t = v.Make();
    for (int words = 0; words < 10; ++words) {
      std::string word;
      for (uint32_t n = 1 + random() % 60; n > 0; --n) word.push_back("abc"[random() % 3]);
      std::vector<TokenId> expected;
      for (const std::string& s : Reference(v.merges, word)) expected.push_back(t->Find(s));
      ASSERT_EQ(t->Encode(word, kPlain), expected) << word;
    }
  }
}

TEST(BpeTest, AMegabyteOfOneLetterTakesNoQuadraticTime) {
  TestVocabulary v = BpeBase();
  std::string text = "a";
  for (int i = 0; i < 15; ++i, text += text) AddMerge(v, text, text);
  const auto t = v.Make();
  const std::string letters(1 << 20, 'a');
  const auto start = std::chrono::steady_clock::now();
  const std::vector<TokenId> ids = t->Encode(letters, kPlain);
  // About 0.2 s; a quadratic algorithm takes an hour.
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(60));
  EXPECT_EQ(ids.size(), size_t{1} << 5);
}

}  // namespace
}  // namespace edgewise
