// What both models share: special tokens, keys and their defaults, bad files, memory.
#include "tokenizer/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <random>

#include "base/error.h"
#include "tokenizer/special_matcher.h"
#include "tokenizer/test_vocabulary.h"

namespace edgewise {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr Tokenizer::EncodeOptions kParse{.add_special = false, .parse_special = true};

std::string ErrorOf(const TestVocabulary& v) {
  try {
    v.Make();
  } catch (const Error& error) {
    EXPECT_THAT(error.message(), testing::Not(HasSubstr("\n")));
    EXPECT_THAT(error.message(), testing::StartsWith("file"));
    return error.message();
  }
  return "";
}

TEST(TokenizerTest, ControlTokensAreReadOnlyOnDemandAndUserDefinedAlways) {
  TestVocabulary v = BpeBase();
  v.Add("<|control|>", 0, TokenType::kControl).Add("<user>", 0, TokenType::kUserDefined);
  const auto t = v.Make();
  EXPECT_THAT(t->Encode("a<|control|><user>b", kParse), ElementsAre('a', 256, 257, 'b'));
  const std::vector<TokenId> plain = t->Encode("<|control|><user>b", kPlain);
  EXPECT_EQ(plain.size(), 11u + 2u);
  EXPECT_EQ(plain[11], 257);
  EXPECT_EQ(t->Decode(std::vector<TokenId>{'a', 256, 257}), "a<user>");
  EXPECT_EQ(t->Decode(std::vector<TokenId>{'a', 256, 257}, true), "a<|control|><user>");
}

TEST(TokenizerTest, TheLongestSpecialTokenWinsThenTheLeftmost) {
  TestVocabulary v = BpeBase();
  for (const char* text : {"<a", "<ab", "<abcd", "cde", "d<a<a<a"}) {  // 256 to 260
    v.Add(text, 0, TokenType::kUserDefined);
  }
  const auto t = v.Make();
  EXPECT_THAT(t->Encode("<abcd", kPlain), ElementsAre(258));
  EXPECT_THAT(t->Encode("<abcx", kPlain), ElementsAre(257, 'c', 'x'));
  EXPECT_THAT(t->Encode("<abcde", kPlain), ElementsAre(258, 'e'));
  // The longest takes the d, what is left of it falls back to the shorter <ab.
  EXPECT_THAT(t->Encode("<abcd<a<a<a", kPlain), ElementsAre(257, 'c', 260));
  EXPECT_THAT(t->Encode("<a<abcde<", kPlain), ElementsAre(256, 258, 'e', '<'));
}

TEST(TokenizerTest, SpecialTokensAreFoundAsByTryingEachOverTheWholeText) {
  std::mt19937 random(6);
  for (int round = 0; round < 500; ++round) {
    TestVocabulary v = BpeBase();
    std::vector<std::string> specials;
    for (size_t length = 1; length <= 8; ++length) {  // one of each length: no ties
      std::string text = "<";
      while (text.size() < length) text.push_back("<ab"[random() % 3]);
      specials.insert(specials.begin(), text);
      v.Add(text, 0, TokenType::kControl);
    }
    const std::string bytes = v.Bytes();
    const Gguf file = Gguf::FromBytes(std::as_bytes(std::span(bytes)), "file");
    const Vocabulary vocabulary(file);
    std::string text;
    for (uint32_t n = random() % 60; n > 0; --n) text.push_back("<<aabbx"[random() % 7]);

    std::vector<TokenId> owner(text.size(), -1);
    for (const std::string& special : specials) {  // the longest first
      for (size_t at = 0; at + special.size() <= text.size(); ++at) {
        bool found = text.compare(at, special.size(), special) == 0;
        for (size_t i = 0; i < special.size(); ++i) found = found && owner[at + i] < 0;
        if (!found) continue;
        for (size_t i = 0; i < special.size(); ++i) owner[at + i] = vocabulary.Find(special);
      }
    }
    std::vector<TokenId> got(text.size(), -1);
    uint32_t at = 0;
    for (const auto& [begin, end, token] :
         SpecialMatcher(vocabulary).Split(vocabulary, text, true)) {
      ASSERT_EQ(begin, at);
      ASSERT_LT(begin, end);
      for (uint32_t i = begin; i < end; ++i) got[i] = token;
      at = end;
    }
    ASSERT_EQ(at, text.size());
    ASSERT_EQ(got, owner) << text;
  }
}

TEST(TokenizerTest, ManySpecialTokensInALongTextTakeLinearTime) {
  TestVocabulary v = BpeBase();
  std::string text;
  for (int i = 0; i < 20000; ++i) {
    const std::string special = "<|reserved_special_token_" + std::to_string(i) + "|>";
    v.Add(special, 0, TokenType::kControl);
    text += special + "x";
  }
  for (size_t n = 1; n <= 100; ++n) v.Add(std::string(n, '<'), 0, TokenType::kControl);
  text += std::string(1 << 19, '<');
  const auto t = v.Make();
  const auto start = std::chrono::steady_clock::now();
  // About 0.3 s; each token searched for in the whole text takes minutes.
  EXPECT_EQ(t->Encode(text, kParse).size(), 2 * 20000 + (size_t{1} << 19) / 100 + 1);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30));
}

TEST(TokenizerTest, Phi3DropsWhiteSpaceBehindSpecialTokens) {
  for (const char* name : {"Phi-3 mini", "phi3", "other"}) {
    TestVocabulary v = SpmBase();
    v.entries.Entry("general.name", GgufType::kString, RawString(name));
    v.Flag("add_space_prefix", false).Add("<|end|>", 0, TokenType::kControl);
    const auto t = v.Make();
    const bool strips = std::string_view(name) != "other";
    EXPECT_EQ(t->Encode("<|end|>\n \nx", kParse).size(), strips ? 2u : 7u) << name;
    EXPECT_EQ(t->Encode("<s>\nx", kParse).size(), 3u) << name;
  }
}

TEST(TokenizerTest, AdditionsFollowTheKeysElseTheModel) {
  EXPECT_TRUE(SpmBase().Make()->add_bos());
  EXPECT_EQ(SpmBase().Make()->bos(), 1);
  EXPECT_EQ(SpmBase().Make()->eos(), 2);
  EXPECT_FALSE(SpmBase().Flag("add_bos_token", false).Make()->add_bos());
  EXPECT_FALSE(BpeBase().Make()->add_bos());
  EXPECT_EQ(BpeBase().Make()->bos(), -1);
  EXPECT_TRUE(BpeBase().Id("bos", 7).Flag("add_bos_token", true).Make()->add_bos());
  EXPECT_TRUE(BpeBase("llama-bpe").Id("bos", 7).Make()->add_bos());
  EXPECT_FALSE(BpeBase("llama-bpe").Make()->add_bos());  // no such token
  EXPECT_THAT(BpeBase()
                  .Id("bos", 7)
                  .Id("eos", 8)
                  .Flag("add_bos_token", true)
                  .Flag("add_eos_token", true)
                  .Make()
                  ->Encode("a", {}),
              ElementsAre(7, 'a', 8));
}

TEST(TokenizerTest, EndOfGenerationIsKnownByTextAndByKey) {
  TestVocabulary v = BpeBase();
  v.Add("<|im_end|>").Add("<|endoftext|>").Add("<|fim_pad|>").Add("<|other|>").Add("<|eom_id|>");
  v.Id("eos", 'q');
  const auto t = v.Make();
  for (const TokenId id : {256, 257, 258, 260, TokenId{'q'}}) {
    EXPECT_TRUE(t->IsEndOfGeneration(id)) << id;
  }
  for (const TokenId id : {259, TokenId{'r'}, -1, 1 << 20}) {
    EXPECT_FALSE(t->IsEndOfGeneration(id)) << id;
  }
  EXPECT_EQ(t->eot(), 256);
  EXPECT_EQ(t->Type(256), TokenType::kControl);  // whatever the file says
  EXPECT_EQ(t->Piece(256), "");
  EXPECT_EQ(t->Type(259), TokenType::kNormal);
}

TEST(TokenizerTest, HarmonysEndClosesAMessageOnly) {
  TestVocabulary v = BpeBase();
  v.Add("<|end|>").Add("<|return|>").Add("<|call|>").Add("<|channel|>", 0, TokenType::kControl);
  const auto t = v.Make();
  EXPECT_FALSE(t->IsEndOfGeneration(256));
  EXPECT_TRUE(t->IsEndOfGeneration(257));
  EXPECT_EQ(t->Piece(256), "<|end|>");
  EXPECT_EQ(t->Piece(259), "<|channel|>");
}

TEST(TokenizerTest, IdsOutOfRangeAreEmpty) {
  const auto t = BpeBase().Make();
  for (const TokenId id : {-1, 256, 1 << 30, INT32_MIN}) {
    EXPECT_EQ(t->Piece(id, true), "");
    EXPECT_EQ(t->Text(id), "");
    EXPECT_EQ(t->Type(id), TokenType::kUndefined);
  }
  EXPECT_EQ(t->Decode(std::vector<TokenId>{-1, 'a', 256}, true), "a");
  EXPECT_EQ(t->Find("no such"), -1);
}

TEST(TokenizerTest, BadFilesAreRefusedInOneLine) {
  EXPECT_THAT(ErrorOf(BpeBase().Id("bos", 256)), HasSubstr("outside the vocabulary of 256"));
  EXPECT_THAT(ErrorOf(SpmBase().Id("eot", 0x80000000u)), HasSubstr("eot_token_id"));
  EXPECT_EQ(ErrorOf(BpeBase().Id("bos", 0xFFFFFFFFu)), "");  // how converters write "none"
  EXPECT_THAT(ErrorOf(BpeBase().Flag("add_bos_token", true)), HasSubstr("names no token"));
  EXPECT_THAT(ErrorOf(TestVocabulary()), HasSubstr("not a list of at least one text"));
  EXPECT_THAT(ErrorOf(BpeBase("unheard-of")), HasSubstr("'unheard-of'"));
  TestVocabulary model = BpeBase();
  model.model = "bert";
  EXPECT_THAT(ErrorOf(model), HasSubstr("supported are llama (SPM) and gpt2 (BPE)"));
  EXPECT_THAT(ErrorOf(SpmBase().Add(std::string(kMaxTokenBytes + 1, 'x'))), HasSubstr("65536"));
  EXPECT_THAT(ErrorOf(SpmBase().Add(std::string(513, 'x'), 0, TokenType::kControl)),
              HasSubstr("special token 259 has 513 bytes"));
  for (const std::string& bytes :
       {RawGguf().Build(),
        RawGguf().Entry("tokenizer.ggml.model", GgufType::kString, RawString("llama")).Build(),
        RawGguf()
            .Entry("tokenizer.ggml.model", GgufType::kString, RawString("llama"))
            .Array("tokenizer.ggml.tokens", GgufType::kString, 1, RawString("a"))
            .Array("tokenizer.ggml.token_type", GgufType::kI32, 2, Raw(1) + Raw(1))
            .Build()}) {
    EXPECT_THROW(TestVocabulary::FromBytes(bytes), Error);
  }
}

TEST(TokenizerTest, OutlivesTheFile) {
  auto bytes = std::make_unique<std::string>(SpmBase().Add("▁word", -1).Bytes());
  const auto t = TestVocabulary::FromBytes(*bytes);
  std::fill(bytes->begin(), bytes->end(), '\xEE');
  bytes.reset();
  EXPECT_EQ(t->Text(259), "▁word");
  EXPECT_EQ(t->Find("<s>"), 1);
}

TEST(TokenizerTest, MemoryIsAsPlanned) {
  for (const bool spm : {true, false}) {
    TestVocabulary v = spm ? SpmBase() : BpeBase();
    for (int i = 0; i < 20000; ++i) {
      spm ? void(v.Add("token" + std::to_string(i)))
          : AddMerge(v, std::to_string(i), std::to_string(7 * i));
    }
    v.Add("<|im_end|>", 0, TokenType::kControl);
    const std::string bytes = v.Bytes();
    const auto planned = static_cast<double>(
        Tokenizer::PlanMemoryBytes(Gguf::FromBytes(std::as_bytes(std::span(bytes)), "file")));
    const auto t = v.Make();
    EXPECT_NEAR(static_cast<double>(t->MemoryBytes()), planned, 0.01 * planned);
    // The texts, and per token and merge less than this: no std::string, no node per entry.
    EXPECT_LT(planned, static_cast<double>(bytes.size()) + t->size() * (spm ? 17 : 41) + 1e5);
  }
}

}  // namespace
}  // namespace edgewise
