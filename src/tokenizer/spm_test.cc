#include "tokenizer/spm.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <limits>
#include <random>

#include "base/error.h"
#include "tokenizer/test_vocabulary.h"

namespace edgewise {
namespace {

using testing::ElementsAre;

constexpr TokenId kByte0 = 3;  // id of <0x00> in SpmBase()

TEST(SpmTest, MergesTheBestScoreFirstAndTheLeftmostOfEquals) {
  TestVocabulary v = SpmBase();
  v.Flag("add_space_prefix", false);
  for (const char* text : {"a", "b", "c"}) v.Add(text, -9);  // 259, 260, 261
  v.Add("ab", -2).Add("bc", -1).Add("aa", -3);               // 262, 263, 264
  const auto t = v.Make();
  EXPECT_THAT(t->Encode("abc", kPlain), ElementsAre(259, 263));
  EXPECT_THAT(t->Encode("abab", kPlain), ElementsAre(262, 262));
  EXPECT_THAT(t->Encode("aaa", kPlain), ElementsAre(264, 259));
  EXPECT_THAT(t->Encode("aab", kPlain), ElementsAre(259, 262));
}

TEST(SpmTest, SpacesAreMarkedAndOneGoesInFront) {
  TestVocabulary v = SpmBase();
  v.Add("▁", -5).Add("a", -6).Add("▁a", -1);  // 259, 260, 261
  const auto t = v.Make();
  EXPECT_THAT(t->Encode("a", kPlain), ElementsAre(261));
  EXPECT_THAT(t->Encode(" a a", kPlain), ElementsAre(259, 261, 261));
  EXPECT_THAT(t->Encode("", kPlain), ElementsAre());
  EXPECT_EQ(t->Decode(t->Encode("a", kPlain)), "a");
  EXPECT_EQ(t->Decode(t->Encode("  a ", kPlain)), "  a ");
  EXPECT_EQ(t->Piece(261), " a");
}

TEST(SpmTest, SpecialTokensGoInFrontAndATextBehindOneGetsASpace) {
  TestVocabulary v = SpmBase();
  v.Add("▁", -5).Add("a", -6);
  v.Flag("add_eos_token", true);
  const auto t = v.Make();
  EXPECT_TRUE(t->add_bos());
  EXPECT_THAT(t->Encode("a", {}), ElementsAre(1, 259, 260, 2));
  EXPECT_THAT(t->Encode("", {}), ElementsAre(1, 2));
  EXPECT_THAT(t->Encode("a</s>a", {.add_special = false}), ElementsAre(259, 260, 2, 259, 260));
  EXPECT_EQ(t->Decode(std::vector<TokenId>{1, 259, 260, 2}), "a");
  EXPECT_EQ(t->Decode(std::vector<TokenId>{1, 259, 260, 2}, true), "<s>a</s>");
}

TEST(SpmTest, WhatIsNoTokenFallsBackToBytes) {
  const auto t = SpmBase().Add("▁").Flag("add_space_prefix", false).Make();
  EXPECT_THAT(t->Encode("\xE2\x82\xAC", kPlain),
              ElementsAre(kByte0 + 0xE2, kByte0 + 0x82, kByte0 + 0xAC));
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all.push_back(static_cast<char>(byte));
  EXPECT_EQ(t->Decode(t->Encode("x" + all, kPlain)), "x" + all);
  EXPECT_EQ(t->Encode(all, kPlain).size(), 256u);
}

TEST(SpmTest, ABytesTextStandsInForItsTokenAndUnknownForBoth) {
  TestVocabulary v;
  v.Add("<unk>", 0, TokenType::kUnknown).Add("a").Add("\xC3");
  const auto t = v.Flag("add_space_prefix", false).Make();
  EXPECT_THAT(t->Encode("a\xC3\xA9", kPlain), ElementsAre(1, 2, 0));
  TestVocabulary no_unknown;
  no_unknown.Add("a").Add("b").Id("unknown", 0xFFFFFFFF).Flag("add_space_prefix", false);
  EXPECT_THAT(no_unknown.Make()->Encode("axb", kPlain), ElementsAre(0, 1));
}

TEST(SpmTest, ByteTokensAreSpeltInOneWayOnly) {
  for (const char* text : {"<0x-1>", "<0x>", "<0x100>", "<0xG0>", "<0x0 >", "<0X41>", "0x41", "",
                           "<0x4>", "<0x41", "<0x41>>"}) {
    EXPECT_EQ(ByteOfTokenText(text), -1) << text;
    TestVocabulary v = SpmBase();
    v.Add(text, 0, TokenType::kByte);
    try {
      v.Make();
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadFile);
      EXPECT_THAT(error.message(), testing::HasSubstr("byte token 259"));
    }
    v.tokens.back().type = TokenType::kNormal;  // an ordinary text then
    const auto t = v.Make();
    EXPECT_EQ(t->Piece(259), text);
  }
  EXPECT_EQ(ByteOfTokenText("<0xfF>"), 255);
}

TEST(SpmTest, OddTokensAreHarmless) {
  TestVocabulary v = SpmBase();
  v.Add("").Add(std::string("a\0b", 3)).Add("twice").Add("twice").Add("\xFF\xFE").Add("▁");
  const auto t = v.Flag("add_space_prefix", false).Make();
  EXPECT_EQ(t->Find(""), -1);
  EXPECT_EQ(t->Piece(259), "");
  EXPECT_EQ(t->Find(std::string_view("a\0b", 3)), 260);
  EXPECT_EQ(t->Piece(260), std::string("a\0b", 3));
  EXPECT_EQ(t->Find("twice"), 262);  // the last
  const std::string text("a\0b twice \xFF\xFE", 12);
  EXPECT_EQ(t->Decode(t->Encode(text, kPlain)), text);
}

TEST(SpmTest, ScoresMustBeNumbersOneForEachToken) {
  TestVocabulary v = SpmBase();
  v.Add("a", std::numeric_limits<float>::quiet_NaN());
  EXPECT_THROW(v.Make(), Error);
  v.tokens.back().score = -std::numeric_limits<float>::infinity();
  EXPECT_NO_THROW(v.Make());
  const std::string one_short =
      RawGguf()
          .Entry("tokenizer.ggml.model", GgufType::kString, RawString("llama"))
          .Array("tokenizer.ggml.tokens", GgufType::kString, 2, RawString("a") + RawString("b"))
          .Array("tokenizer.ggml.scores", GgufType::kF32, 1, Raw(0.0f))
          .Build();
  EXPECT_THROW(TestVocabulary::FromBytes(one_short), Error);
}

// The definition: merge the best pair, leftmost of equals, until none is a token.
std::vector<TokenId> Reference(const TestVocabulary& v, const Tokenizer& t,
                               std::vector<std::string> symbols) {
  for (;;) {
    size_t best = symbols.size();
    float best_score = 0;
    for (size_t i = 0; i + 1 < symbols.size(); ++i) {
      const TokenId id = t.Find(symbols[i] + symbols[i + 1]);
      if (id < 0 || (best < symbols.size() && v.tokens[id].score <= best_score)) continue;
      best = i;
      best_score = v.tokens[id].score;
    }
    if (best == symbols.size()) break;
    symbols[best] += symbols[best + 1];
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
  std::vector<TokenId> ids;
  for (const std::string& s : symbols) ids.push_back(t.Find(s));
  return ids;
}

TEST(SpmTest, EqualsItsDefinitionOnRandomVocabularies) {
  std::mt19937 random(3);
  for (int round = 0; round < 300; ++round) {
    TestVocabulary v = SpmBase();
    v.Flag("add_space_prefix", false);
    const std::vector<std::string> alphabet = {"a", "b", "\xC3\xA9", "▁"};
    for (const std::string& character : alphabet) v.Add(character, -100);
    for (int i = 0; i < 30; ++i) {
      std::string text;
      for (uint32_t n = 2 + random() % 4; n > 0; --n) text += alphabet[random() % 4];
      v.Add(text, -static_cast<float>(random() % 8));  // many equal scores
    }
    // In every other round no token has a space mark inside, and words are merged apart.
    if (round % 2 == 0) {
      std::erase_if(v.tokens, [](const TestVocabulary::Token& token) {
        for (const char* inside : {"a▁", "b▁", "\xC3\xA9▁"}) {
          if (token.text.find(inside) != std::string::npos) return true;
        }
        return false;
      });
    }
    const auto t = v.Make();
    for (int texts = 0; texts < 10; ++texts) {
      std::vector<std::string> symbols;
      std::string text;
      for (uint32_t n = random() % 60; n > 0; --n) {
        symbols.push_back(alphabet[random() % 4]);
        text += symbols.back() == "▁" ? " " : symbols.back();
      }
      ASSERT_EQ(t->Encode(text, kPlain), Reference(v, *t, symbols)) << text;
    }
  }
}

TEST(SpmTest, AMegabyteOfOneLetterTakesNoQuadraticTime) {
  TestVocabulary v = SpmBase().Add("▁");
  std::string text = "a";
  for (int i = 0; i < 16; ++i, text += text) v.Add(text, static_cast<float>(-i));
  const auto t = v.Make();
  const std::string letters(1 << 20, 'a');
  const auto start = std::chrono::steady_clock::now();
  const std::vector<TokenId> ids = t->Encode(letters, kPlain);
  // About 0.2 s; a quadratic algorithm takes an hour.
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(60));
  EXPECT_TRUE(t->Decode(ids) == letters);
}

}  // namespace
}  // namespace edgewise
