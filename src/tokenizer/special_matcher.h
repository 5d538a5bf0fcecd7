// Finds the special tokens that a text spells: longest first, as the ecosystem's engines do.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/token_id.h"
#include "tokenizer/vocabulary.h"

namespace edgewise {

class SpecialMatcher {
 public:
  // A piece of text to encode (token -1), or a token that the text spells.
  struct Fragment {
    uint32_t begin, end;
    TokenId token;
  };

  // Collects the special tokens, which have at most kMaxSpecialTokenBytes.
  explicit SpecialMatcher(const Vocabulary& vocabulary);
  static uint64_t PlanMemoryBytes(const Gguf& file);
  uint64_t MemoryBytes() const { return 4 * sorted_.capacity(); }

  // Cuts `text` at the tokens found; of overlapping ones the longest wins, then the leftmost.
  // Control and unknown tokens count only with `parse_special`. Time: linear in the text for texts
  // without special tokens, at worst the longest special token's length times that.
  std::vector<Fragment> Split(const Vocabulary& vocabulary, std::string_view text,
                              bool parse_special) const;

 private:
  std::string_view LongestAt(const Vocabulary& vocabulary, std::string_view text,
                             bool parse_special, TokenId& token) const;

  std::vector<TokenId> sorted_;           // by text
  std::array<uint32_t, 257> first_ = {};  // sorted_[first_[b], first_[b + 1]) start with byte b
};

}  // namespace edgewise
