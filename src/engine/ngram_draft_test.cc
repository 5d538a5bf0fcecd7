#include "engine/ngram_draft.h"

#include <gtest/gtest.h>

namespace edgewise {
namespace {

std::vector<TokenId> Draft(std::vector<TokenId> text, uint32_t most) {
  const auto length = static_cast<ptrdiff_t>(text.size());
  AppendNgramDraft(text, most);
  return {text.begin() + length, text.end()};
}

using Tokens = std::vector<TokenId>;

TEST(NgramDraft, IsWhatFollowedTheSameTokensLast) {
  EXPECT_EQ(Draft({1, 2, 3, 4, 5, 6, 9, 1, 2, 3}, 3), Tokens({4, 5, 6}));
  EXPECT_EQ(Draft({1, 2, 3, 4, 5, 1, 2, 3, 6, 7, 1, 2, 3}, 2), Tokens({6, 7})) << "the latest counts";
  EXPECT_EQ(Draft({1, 2, 3, 4, 5, 8, 2, 3, 6, 7, 1, 2, 3}, 2), Tokens({4, 5})) << "three before two";
  EXPECT_EQ(Draft({8, 2, 3, 6, 7, 1, 2, 3}, 2), Tokens({6, 7})) << "two where three are new";
}

TEST(NgramDraft, GoesOnWithALoop) {
  EXPECT_EQ(Draft({1, 2, 1, 2}, 5), Tokens({1, 2, 1, 2, 1}));
  EXPECT_EQ(Draft({7, 7, 7}, 4), Tokens({7, 7, 7, 7}));
  EXPECT_EQ(Draft({0, 1, 2, 3, 0, 1, 2}, 6), Tokens({3, 0, 1, 2, 3, 0}));
}

TEST(NgramDraft, IsNothingWhereNothingCameBefore) {
  for (const Tokens& text : {Tokens{}, {1}, {1, 2}, {1, 1}, {1, 2, 3}, {1, 2, 3, 1}, {1, 2, 3, 4, 5, 6}}) {
    EXPECT_EQ(Draft(text, 7), Tokens{});
  }
  EXPECT_EQ(Draft({1, 2, 1, 2}, 0), Tokens{});
}

}  // namespace
}  // namespace edgewise
