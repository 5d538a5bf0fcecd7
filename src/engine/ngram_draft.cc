#include "engine/ngram_draft.h"

#include <algorithm>
#include <cstddef>
#include <iterator>

namespace edgewise {
namespace {

// Three tokens that come again are mostly followed by the same token; single tokens ("the") are not.
constexpr ptrdiff_t kLongest = 3, kShortest = 2;

}  // namespace

// No index of the n-grams: looking through a text is nothing beside a step that attends to all of it.
void AppendNgramDraft(std::vector<TokenId>& text, uint32_t most) {
  if (most == 0) return;
  for (ptrdiff_t n = kLongest; n >= kShortest; --n) {
    if (std::ssize(text) <= n) continue;
    const auto last = text.end() - 1;  // an earlier occurrence ends before it, though it may overlap
    const auto found = std::find_end(text.begin(), last, text.end() - n, text.end());
    if (found == last) continue;
    const auto from = static_cast<size_t>(found + n - text.begin());
    for (size_t i = 0; i < most; ++i) text.push_back(text[from + i]);
    return;
  }
}

}  // namespace edgewise
