#include "tokenizer/spm.h"

#include <bit>
#include <cmath>

#include "base/error.h"
#include "tokenizer/merge.h"
#include "base/utf8.h"

namespace edgewise {
namespace {

constexpr std::string_view kScoresKey = "tokenizer.ggml.scores";
constexpr std::string_view kSpaceMark = "\xE2\x96\x81";  // U+2581

// Order-reversing map from scores to integers, for the merge queue.
uint32_t PriorityOf(float score) {
  const auto bits = std::bit_cast<uint32_t>(score + 0.0f);  // -0 as 0
  const uint32_t ascending = bits >> 31 ? ~bits : bits | 0x80000000u;
  return ~ascending;
}

// Offset of the first word's end: of the first space mark behind another character, else the size.
size_t WordEnd(std::string_view marked) {
  for (size_t at = marked.find(kSpaceMark, 1); at != std::string_view::npos;
       at = marked.find(kSpaceMark, at + 1)) {
    if (!marked.substr(0, at).ends_with(kSpaceMark)) return at;
  }
  return marked.size();
}

// `text` with all spaces marked, one more in front when `prefix`.
std::string MarkSpaces(std::string_view text, bool prefix) {
  std::string marked;
  marked.reserve(text.size() + text.size() / 2 + kSpaceMark.size());
  if (prefix) marked += kSpaceMark;
  for (const char c : text) {
    if (c == ' ') {
      marked += kSpaceMark;
    } else {
      marked += c;
    }
  }
  return marked;
}

}  // namespace

SpmTokenizer::SpmTokenizer(const Gguf& file, Vocabulary vocabulary)
    : Tokenizer(std::move(vocabulary)) {
  const Vocabulary& v = this->vocabulary();
  priorities_.assign(v.size(), PriorityOf(0.0f));
  if (const GgufValue* value = file.Find(kScoresKey)) {
    const auto scores = value->AsFloats();
    if (!scores || scores->size() != v.size()) {
      throw Error(ErrorCode::kBadFile, StrCat(file.path(), ": ", kScoresKey, " is not a list of ",
                                              v.size(), " numbers, one for each token"));
    }
    for (size_t id = 0; id < scores->size(); ++id) {
      if (std::isnan((*scores)[id])) {
        throw Error(ErrorCode::kBadFile,
                    StrCat(file.path(), ": ", kScoresKey, "[", id, "] is not a number"));
      }
      priorities_[id] = PriorityOf((*scores)[id]);
    }
  }
  for (uint32_t id = 0; id < v.size() && words_are_apart_; ++id) {
    const std::string_view text = v.Text(static_cast<TokenId>(id));
    words_are_apart_ = WordEnd(text) == text.size();
  }
  constexpr char kHex[] = "0123456789ABCDEF";
  for (int byte = 0; byte < 256; ++byte) {
    const char spelt[] = {'<', '0', 'x', kHex[byte >> 4], kHex[byte & 15], '>'};
    const char raw = static_cast<char>(byte);
    TokenId id = v.Find({spelt, sizeof spelt});
    if (id < 0) id = v.Find({&raw, 1});
    byte_tokens_[byte] = id < 0 ? v.unk : id;
  }
}

uint64_t SpmTokenizer::PlanModelBytes(const Gguf& file) {
  const GgufValue* tokens = file.Find("tokenizer.ggml.tokens");
  return PlanModelBytes(tokens == nullptr ? 0 : tokens->size());
}

uint64_t SpmTokenizer::ModelBytes() const {
  return sizeof(SpmTokenizer) + 4 * priorities_.capacity();
}

void SpmTokenizer::EncodeText(std::string_view text, bool after_special,
                              std::vector<TokenId>& ids) const {
  const std::string marked = MarkSpaces(text, vocabulary().add_space_prefix && after_special);
  std::vector<Symbol> symbols;
  std::vector<MergeCandidate> heap;
  for (std::string_view rest = marked; !rest.empty();) {
    const size_t end = words_are_apart_ ? WordEnd(rest) : rest.size();
    EncodePart(rest.substr(0, end), symbols, heap, ids);
    rest.remove_prefix(end);
  }
}

void SpmTokenizer::EncodePart(std::string_view marked, std::vector<Symbol>& symbols,
                              std::vector<MergeCandidate>& heap, std::vector<TokenId>& ids) const {
  const Vocabulary& v = vocabulary();
  symbols.clear();
  for (uint32_t at = 0; at < marked.size();) {
    const auto length = static_cast<uint32_t>(std::max<size_t>(1, Utf8Length(marked, at)));
    const auto index = static_cast<uint32_t>(symbols.size());
    const TokenId id = v.Find(marked.substr(at, length));
    symbols.push_back({static_cast<uint32_t>(id), at, length, index - 1, index + 1});
    at += length;
  }
  symbols.back().next = kNoSymbol;

  MergeSymbols(symbols, heap, [&](const Symbol& left, const Symbol& right) -> Merged {
    const TokenId id = v.Find(marked.substr(left.begin, left.length + right.length));
    return id < 0 ? Merged{} : Merged{static_cast<uint32_t>(id), priorities_[id]};
  });

  for (uint32_t i = 0; i != kNoSymbol; i = symbols[i].next) {
    const Symbol& symbol = symbols[i];
    if (symbol.id != kNoSymbol) {
      ids.push_back(static_cast<TokenId>(symbol.id));
      continue;
    }
    for (uint32_t k = 0; k < symbol.length; ++k) {
      const TokenId id = byte_tokens_[static_cast<uint8_t>(marked[symbol.begin + k])];
      if (id >= 0) ids.push_back(id);
    }
  }
}

void SpmTokenizer::AppendNormal(TokenId id, std::string& out) const {
  const std::string_view text = vocabulary().Text(id);
  for (size_t at = 0; at < text.size();) {
    if (text.substr(at, kSpaceMark.size()) == kSpaceMark) {
      out += ' ';
      at += kSpaceMark.size();
    } else {
      out += text[at++];
    }
  }
}

}  // namespace edgewise
