#include "tokenizer/stop_strings.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace edgewise {
namespace {

struct Outcome {
  std::string shown;
  bool stopped = false;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

// Pushes `text` in pieces of random size, up to `longest` bytes.
Outcome Stream(const std::vector<std::string>& stops, const std::string& text, size_t longest,
               std::mt19937& random) {
  StopStrings stream(stops);
  Outcome outcome;
  for (size_t at = 0; at < text.size() && !stream.stopped();) {
    const size_t piece = 1 + random() % longest;
    outcome.shown += stream.Push(std::string_view(text).substr(at, piece));
    at += piece;
  }
  outcome.stopped = stream.stopped();
  if (!outcome.stopped) outcome.shown += stream.Flush();
  return outcome;
}

// By definition: the shortest prefix of the text that ends in a stop string.
Outcome Oracle(const std::vector<std::string>& stops, const std::string& text) {
  for (size_t end = 0; end <= text.size(); ++end) {
    size_t cut = 0;
    for (const std::string& stop : stops) {
      if (!stop.empty() && text.substr(0, end).ends_with(stop)) cut = std::max(cut, stop.size());
    }
    if (cut > 0) return {text.substr(0, end - cut), true};
  }
  return {text, false};
}

TEST(StopStrings, AnyPiecesGiveTheShortestPrefixThatEndsInOne) {
  std::mt19937 random(1);
  const auto word = [&](size_t longest) {
    std::string text(random() % (longest + 1), ' ');
    for (char& c : text)
      c = static_cast<char>('a' + random() % 2);  // two letters: many near misses
    return text;
  };
  int stopped = 0;
  for (int i = 0; i < 5000; ++i) {
    std::vector<std::string> stops(1 + random() % 3);
    for (std::string& stop : stops) stop = word(6);
    const std::string text = word(24);
    const Outcome expected = Oracle(stops, text);
    stopped += expected.stopped;
    ASSERT_EQ(Stream(stops, text, 1 + random() % 8, random), expected) << text;
  }
  EXPECT_GT(stopped, 1000);
  EXPECT_LT(stopped, 4500);
}

TEST(StopStrings, ShowsAtOnceWhatCannotBecomeAStop) {
  StopStrings stream({"User:", "\n\n"});
  EXPECT_EQ(stream.Push("Hello"), "Hello");
  EXPECT_EQ(stream.Push(" Us"), " ");
  EXPECT_EQ(stream.Push("ual\n"), "Usual");
  EXPECT_EQ(stream.Push("x"), "\nx");
  EXPECT_EQ(stream.Push("yUse"), "y");
  EXPECT_EQ(stream.Push("r: z"), "");
  EXPECT_TRUE(stream.stopped());
  EXPECT_EQ(stream.Push("more"), "");
  EXPECT_EQ(stream.Flush(), "");
}

TEST(StopStrings, WithoutAnyPassesEverything) {
  StopStrings stream({""});
  EXPECT_EQ(stream.Push("a\nb"), "a\nb");
  EXPECT_FALSE(stream.stopped());
}

}  // namespace
}  // namespace edgewise
