#include "base/utf8.h"

#include <gtest/gtest.h>

#include <random>


namespace edgewise {
namespace {

std::string Encoded(char32_t code) {
  std::string text;
  AppendUtf8(text, code);
  return text;
}

TEST(Utf8Test, EveryCodePointSurvivesEncoding) {
  for (char32_t code = 0; code < 0x110000; ++code) {
    const std::string text = Encoded(code);
    if (code >= 0xD800 && code < 0xE000) {  // surrogates are no characters
      EXPECT_EQ(Utf8Length(text, 0), 0u);
      continue;
    }
    ASSERT_EQ(Utf8Length(text, 0), text.size()) << uint32_t{code};
    ASSERT_EQ(DecodeUtf8(text), code);
    for (size_t cut = 1; cut < text.size(); ++cut) {
      ASSERT_TRUE(IsUtf8Prefix(text.substr(0, cut)));
      ASSERT_EQ(Utf8Length(text.substr(0, cut), 0), 0u);
    }
    ASSERT_FALSE(IsUtf8Prefix(text));
  }
}

TEST(Utf8Test, IllFormedBytesAreNoCharacters) {
  for (const std::string_view text :
       {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF",
        "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\xC3 ", "\xE2\x82 "}) {
    EXPECT_EQ(Utf8Length(text, 0), 0u) << testing::PrintToString(text);
    EXPECT_FALSE(IsUtf8(text));
    EXPECT_FALSE(IsUtf8(std::string("12345678") + std::string(text)));
  }
  EXPECT_TRUE(IsUtf8("12345678 \xE2\x82\xAC 12345678"));
  EXPECT_TRUE(IsUtf8(""));
}

TEST(Utf8Test, ReplacingKeepsLengthAndCharacters) {
  EXPECT_EQ(ReplaceInvalidUtf8("a\xFF\xE2\x82\xAC\xE2\x82", '?'), "a?\xE2\x82\xAC??");
}

// Text of characters of all lengths and, one time in eight, any byte.
std::string RandomBytes(std::mt19937& random, bool valid) {
  std::string text;
  for (uint32_t n = random() % 40; n > 0; --n) {
    constexpr char32_t kLimits[] = {0x80, 0x800, 0xD800, 0x110000};
    if (!valid && random() % 8 == 0) {
      text.push_back(static_cast<char>(random()));
      continue;
    }
    const char32_t code = random() % kLimits[random() % 4];
    AppendUtf8(text, code >= 0xD800 && code < 0xE000 ? 0x20AC : code);
  }
  return text;
}

TEST(Utf8StreamTest, NoSplitOfValidTextShowsHalfACharacter) {
  std::mt19937 random(1);
  for (int round = 0; round < 2000; ++round) {
    const std::string text = RandomBytes(random, true);
    Utf8Stream stream;
    std::string shown;
    for (size_t at = 0; at < text.size();) {
      const size_t take = std::min<size_t>(random() % 4, text.size() - at);
      const std::string part = stream.Push(std::string_view(text).substr(at, take));
      ASSERT_TRUE(IsUtf8(part)) << testing::PrintToString(text);
      shown += part;
      at += take;
      ASSERT_LE(at - shown.size(), 3u);  // never more is held back than one character needs
    }
    ASSERT_EQ(shown, text);
    ASSERT_EQ(stream.Flush(), "");
  }
}

TEST(Utf8StreamTest, NoByteOfAnyTextIsLost) {
  std::mt19937 random(2);
  for (int round = 0; round < 2000; ++round) {
    const std::string text = RandomBytes(random, false);
    Utf8Stream stream;
    std::string shown;
    for (const char c : text) shown += stream.Push({&c, 1});
    shown += stream.Flush();
    ASSERT_EQ(shown, text);
    ASSERT_EQ(stream.Flush(), "");
  }
}

TEST(Utf8StreamTest, BytesThatCannotBecomeACharacterPassAtOnce) {
  Utf8Stream stream;
  EXPECT_EQ(stream.Push("\xE2\x82"), "");
  EXPECT_EQ(stream.Push("x"), "\xE2\x82x");
  EXPECT_EQ(stream.Push("\xFF"), "\xFF");
  EXPECT_EQ(stream.Push("\xED"), "");
  EXPECT_EQ(stream.Push("\xA0"), "\xED\xA0");  // would be a surrogate
  EXPECT_EQ(stream.Push("a\xF0\x9F"), "a");
  EXPECT_EQ(stream.Flush(), "\xF0\x9F");
}

}  // namespace
}  // namespace edgewise
