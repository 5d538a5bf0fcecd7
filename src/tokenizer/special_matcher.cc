#include "tokenizer/special_matcher.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <type_traits>

namespace edgewise {
namespace {

// Of Phi-3's special tokens only these keep the white space behind them.
bool KeepsSpaceBehind(std::string_view text) {
  return text == "<unk>" || text == "<s>" || text == "<|endoftext|>";
}

struct Occurrence {
  uint32_t begin;
  uint32_t length;
  TokenId token;
  // For a queue that gives the longest first, the leftmost among equals.
  bool operator<(const Occurrence& other) const {
    return length != other.length ? length < other.length : begin > other.begin;
  }
};

}  // namespace

SpecialMatcher::SpecialMatcher(const Vocabulary& vocabulary) {
  for (uint32_t i = 0; i < vocabulary.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    if (vocabulary.IsSpecial(id) && !vocabulary.Text(id).empty()) sorted_.push_back(id);
  }
  sorted_.shrink_to_fit();
  std::sort(sorted_.begin(), sorted_.end(), [&](TokenId a, TokenId b) {
    const int order = vocabulary.Text(a).compare(vocabulary.Text(b));
    return order != 0 ? order < 0 : a < b;
  });
  for (const TokenId id : sorted_) ++first_[static_cast<uint8_t>(vocabulary.Text(id)[0]) + 1];
  for (size_t byte = 0; byte < 256; ++byte) first_[byte + 1] += first_[byte];
}

uint64_t SpecialMatcher::PlanMemoryBytes(const Gguf& file) {
  const GgufValue* value = file.Find("tokenizer.ggml.token_type");
  const auto types = value == nullptr ? std::nullopt : value->AsIntegers();
  if (!types) return 0;
  constexpr int64_t kSpecial[] = {static_cast<int64_t>(TokenType::kControl),
                                  static_cast<int64_t>(TokenType::kUnknown),
                                  static_cast<int64_t>(TokenType::kUserDefined)};
  return 4 * static_cast<uint64_t>(std::count_if(types->begin(), types->end(), [&](int64_t type) {
           return std::find(std::begin(kSpecial), std::end(kSpecial), type) != std::end(kSpecial);
         }));
}

// The longest token that `text` starts with, as a part of `text`; empty when there is none.
std::string_view SpecialMatcher::LongestAt(const Vocabulary& vocabulary, std::string_view text,
                                           bool parse_special, TokenId& token) const {
  const auto byte = static_cast<uint8_t>(text[0]);
  uint32_t low = first_[byte], high = first_[byte + 1];  // tokens that share text[0, depth)
  size_t best = 0;
  for (size_t depth = 1; low < high; ++depth) {
    for (; low < high && vocabulary.Text(sorted_[low]).size() == depth; ++low) {  // ends here
      if (!parse_special && vocabulary.Type(sorted_[low]) != TokenType::kUserDefined) continue;
      best = depth;
      token = sorted_[low];
    }
    if (low == high || depth == text.size()) break;
    const auto at_depth = [&](uint32_t i) {
      return static_cast<uint8_t>(vocabulary.Text(sorted_[i])[depth]);
    };
    const auto next = static_cast<uint8_t>(text[depth]);
    if (at_depth(low) == next && at_depth(high - 1) == next) continue;  // the usual case
    const auto begin = sorted_.begin();
    const auto narrowed =
        std::equal_range(begin + low, begin + high, next, [&](const auto& a, const auto& b) {
          const auto byte_of = [&](const auto& x) -> uint8_t {
            if constexpr (std::is_same_v<std::decay_t<decltype(x)>, TokenId>) {
              return static_cast<uint8_t>(vocabulary.Text(x)[depth]);
            } else {
              return x;
            }
          };
          return byte_of(a) < byte_of(b);
        });
    low = static_cast<uint32_t>(narrowed.first - begin);
    high = static_cast<uint32_t>(narrowed.second - begin);
  }
  return text.substr(0, best);
}

std::vector<SpecialMatcher::Fragment> SpecialMatcher::Split(const Vocabulary& vocabulary,
                                                            std::string_view text,
                                                            bool parse_special) const {
  const auto size = static_cast<uint32_t>(text.size());
  std::vector<Occurrence> found;
  const auto add_longest = [&](uint32_t begin, uint32_t limit) -> bool {
    TokenId token = -1;
    const size_t length =
        LongestAt(vocabulary, text.substr(begin, limit), parse_special, token).size();
    if (length > 0) found.push_back({begin, static_cast<uint32_t>(length), token});
    return length > 0;
  };
  for (uint32_t i = 0; i < size; ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    if (first_[byte] != first_[byte + 1]) add_longest(i, size - i);
  }
  if (found.empty())
    return size == 0 ? std::vector<Fragment>{} : std::vector{Fragment{0, size, -1}};

  // What is taken was at least as long as what comes now, so an overlap covers one of its ends. One
  // that only runs into a taken token may still have a shorter token in front of that.
  std::vector<bool> taken(size);
  std::vector<Fragment> tokens;
  std::make_heap(found.begin(), found.end());
  while (!found.empty()) {
    std::pop_heap(found.begin(), found.end());
    const Occurrence now = found.back();
    found.pop_back();
    if (taken[now.begin]) continue;
    const uint32_t end = now.begin + now.length;
    if (taken[end - 1]) {
      uint32_t room = 1;
      while (!taken[now.begin + room]) ++room;
      if (add_longest(now.begin, room)) std::push_heap(found.begin(), found.end());
      continue;
    }
    std::fill(taken.begin() + now.begin, taken.begin() + end, true);
    tokens.push_back({now.begin, end, now.token});
  }
  std::sort(tokens.begin(), tokens.end(),
            [](const Fragment& a, const Fragment& b) { return a.begin < b.begin; });

  std::vector<Fragment> fragments;
  uint32_t at = 0;
  const auto add_text = [&](uint32_t end) {
    if (at < end) fragments.push_back({at, end, -1});
  };
  for (const Fragment& token : tokens) {
    add_text(token.begin);
    fragments.push_back(token);
    at = token.end;
    if (!vocabulary.strips_after_special || KeepsSpaceBehind(vocabulary.Text(token.token)))
      continue;
    while (at < size && !taken[at] && std::isspace(static_cast<unsigned char>(text[at]))) ++at;
  }
  add_text(size);
  return fragments;
}

}  // namespace edgewise
