#include "tokenizer/bpe.h"

#include <algorithm>

#include "base/error.h"
#include "base/utf8.h"

namespace edgewise {
namespace {

constexpr std::string_view kMergesKey = "tokenizer.ggml.merges";

// Byte-level BPE stores each byte as a printable character: itself where that is one in Latin-1,
// else U+0100 and following, in order.
struct ByteCharacters {
  std::array<char32_t, 256> code_of;
  std::array<int, 0x144> byte_of;  // -1: stands for no byte

  ByteCharacters() {
    byte_of.fill(-1);
    char32_t next = 0x100;
    for (int byte = 0; byte < 256; ++byte) {
      const bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
      code_of[byte] = printable ? static_cast<char32_t>(byte) : next++;
      byte_of[code_of[byte]] = byte;
    }
  }
};

const ByteCharacters& Characters() {
  static const ByteCharacters characters;
  return characters;
}

void AppendByteCharacter(std::string& out, char byte) {
  AppendUtf8(out, Characters().code_of[static_cast<uint8_t>(byte)]);
}

uint64_t MergeSlotCount(uint64_t merges) { return merges + merges / 2 + 1; }

size_t SlotOf(uint32_t left, uint32_t right, size_t slots) {
  uint64_t hash = (uint64_t{left} << 32 | right) * 0x9E3779B97F4A7C15u;
  hash = (hash ^ hash >> 32) * 0xD6E8FEB86659FD93u;
  return (hash >> 32) * slots >> 32;
}

struct MergeTexts {
  std::string_view left, right;
};

MergeTexts SplitMerge(const Gguf& file, size_t index, std::string_view text) {
  const size_t space = text.find(' ', 1);
  if (space == std::string_view::npos || space + 1 == text.size()) {
    throw Error(ErrorCode::kBadFile, StrCat(file.path(), ": ", kMergesKey, "[", index, "] is '",
                                            Printable(text), "', not two texts with a space"));
  }
  return {text.substr(0, space), text.substr(space + 1)};
}

const GgufValue& MergesOf(const Gguf& file) {
  const GgufValue* merges = file.Find(kMergesKey);
  if (merges == nullptr || !merges->is_array() ||
      (merges->size() > 0 && merges->element_type() != GgufType::kString)) {
    throw Error(ErrorCode::kBadFile,
                StrCat(file.path(), ": a BPE vocabulary needs a list of texts in ", kMergesKey));
  }
  if (merges->size() > kMaxTokens) {
    throw Error(ErrorCode::kLimit,
                StrCat(file.path(), ": ", merges->size(), " merges; the limit is ", kMaxTokens));
  }
  return *merges;
}

}  // namespace

struct BpeTokenizer::Scratch {
  std::vector<Symbol> symbols;
  std::vector<MergeCandidate> heap;
  std::string encoded;
};

BpeTokenizer::BpeTokenizer(const Gguf& file, Vocabulary vocabulary, PreTokenizer pre_tokenizer)
    : Tokenizer(std::move(vocabulary)), pre_tokenizer_(std::move(pre_tokenizer)) {
  ReadMerges(file);
}

uint64_t BpeTokenizer::PlanModelBytes(const Gguf& file) {
  return sizeof(BpeTokenizer) + sizeof(Merge) * MergeSlotCount(MergesOf(file).size()) +
         PreTokenizer(file.String("tokenizer.ggml.pre", "default"), file.path()).MemoryBytes();
}

uint64_t BpeTokenizer::ModelBytes() const {
  return sizeof(BpeTokenizer) + sizeof(Merge) * merges_.capacity() + pre_tokenizer_.MemoryBytes();
}

void BpeTokenizer::ReadMerges(const Gguf& file) {
  const Vocabulary& v = vocabulary();
  const GgufValue& value = MergesOf(file);
  std::vector<std::string_view> texts;
  if (value.size() > 0) texts = *value.AsStrings();

  // In sound files every text is a token. Those that are not get numbers behind the tokens.
  struct Unknown {
    std::string text;
    uint32_t rank;
    uint32_t Merge::*place;
  };
  std::vector<Unknown> unknown;
  std::vector<Merge> in_order(texts.size());
  std::string joined;
  for (uint32_t rank = 0; rank < texts.size(); ++rank) {
    const MergeTexts merge = SplitMerge(file, rank, texts[rank]);
    joined.assign(merge.left).append(merge.right);
    in_order[rank].rank = rank;
    const auto look_up = [&](std::string_view text, uint32_t Merge::*place) {
      const TokenId id = v.Find(text);
      in_order[rank].*place = static_cast<uint32_t>(id);
      if (id < 0) unknown.push_back({std::string(text), rank, place});
    };
    look_up(merge.left, &Merge::left);
    look_up(merge.right, &Merge::right);
    look_up(joined, &Merge::result);
  }
  std::sort(unknown.begin(), unknown.end(),
            [](const Unknown& a, const Unknown& b) { return a.text < b.text; });
  std::vector<std::string_view> others;  // without duplicates, sorted
  for (const Unknown& u : unknown) {
    if (others.empty() || others.back() != u.text) others.push_back(u.text);
    in_order[u.rank].*u.place = v.size() + static_cast<uint32_t>(others.size() - 1);
  }

  merges_.assign(MergeSlotCount(texts.size()), Merge{});
  for (const Merge& merge : in_order) {
    if (!AddMerge(merge)) {
      throw Error(ErrorCode::kLimit,
                  StrCat(file.path(), ": ", kMergesKey, "[", merge.rank, "] collides with over ",
                         kMaxProbes, " others; the file is crafted"));
    }
  }
  std::string character;
  for (int byte = 0; byte < 256; ++byte) {
    character.clear();
    AppendByteCharacter(character, static_cast<char>(byte));
    // In some files a character of the alphabet is also an added token, which stands for itself.
    const TokenId id = v.Find(character);
    const bool other_meaning =
        id >= 0 && Piece(id, true) != std::string(1, static_cast<char>(byte));
    const auto other = std::lower_bound(others.begin(), others.end(), character);
    const bool in_merges = other != others.end() && *other == character;
    byte_symbols_[byte] = id >= 0     ? static_cast<uint32_t>(other_meaning ? -1 : id)
                          : in_merges ? v.size() + static_cast<uint32_t>(other - others.begin())
                                      : kNoSymbol;
    byte_tokens_[byte] = other_meaning ? -1 : id;
  }
}

bool BpeTokenizer::AddMerge(const Merge& merge) {
  size_t at = SlotOf(merge.left, merge.right, merges_.size());
  for (uint32_t probes = 0; merges_[at].rank != kNoRank; ++probes) {
    if (merges_[at].left == merge.left && merges_[at].right == merge.right) {
      return true;  // the first of equal pairs counts
    }
    if (probes == kMaxProbes) return false;
    if (++at == merges_.size()) at = 0;
  }
  merges_[at] = merge;
  return true;
}

Merged BpeTokenizer::FindMerge(uint32_t left, uint32_t right) const {
  for (size_t at = SlotOf(left, right, merges_.size()); merges_[at].rank != kNoRank;
       at = at + 1 == merges_.size() ? 0 : at + 1) {
    const Merge& merge = merges_[at];
    if (merge.left == left && merge.right == right) return {merge.result, merge.rank};
  }
  return {};
}

void BpeTokenizer::EncodeText(std::string_view text, bool /*after_special*/,
                              std::vector<TokenId>& ids) const {
  std::vector<uint32_t> ends;
  pre_tokenizer_.Split(text, ends);
  Scratch scratch;
  uint32_t begin = 0;
  for (const uint32_t end : ends) {
    EncodeWord(text.substr(begin, end - begin), scratch, ids);
    begin = end;
  }
}

void BpeTokenizer::EncodeWord(std::string_view word, Scratch& scratch,
                              std::vector<TokenId>& ids) const {
  const Vocabulary& v = vocabulary();
  if (pre_tokenizer_.ignore_merges() && word.size() <= v.longest_text()) {
    scratch.encoded.clear();
    for (const char byte : word) AppendByteCharacter(scratch.encoded, byte);
    // An added token's text is plain, not in the alphabet: it must be the word itself.
    const TokenId id = v.Find(scratch.encoded);
    if (id >= 0 && (v.Type(id) != TokenType::kUserDefined || v.Text(id) == word)) {
      ids.push_back(id);
      return;
    }
  }
  std::vector<Symbol>& symbols = scratch.symbols;
  symbols.clear();
  for (uint32_t i = 0; i < word.size(); ++i) {
    symbols.push_back({byte_symbols_[static_cast<uint8_t>(word[i])], i, 1, i - 1, i + 1});
  }
  symbols.back().next = kNoSymbol;
  MergeSymbols(symbols, scratch.heap, [this](const Symbol& left, const Symbol& right) {
    return FindMerge(left.id, right.id);
  });
  for (uint32_t i = 0; i != kNoSymbol; i = symbols[i].next) {
    const Symbol& symbol = symbols[i];
    if (symbol.id < v.size()) {
      ids.push_back(static_cast<TokenId>(symbol.id));
      continue;
    }
    for (uint32_t k = 0; k < symbol.length; ++k) {
      const TokenId id = byte_tokens_[static_cast<uint8_t>(word[symbol.begin + k])];
      if (id >= 0) ids.push_back(id);
    }
  }
}

void BpeTokenizer::AppendNormal(TokenId id, std::string& out) const {
  const std::string_view text = vocabulary().Text(id);
  const ByteCharacters& characters = Characters();
  for (size_t at = 0; at < text.size();) {
    const size_t valid = Utf8Length(text, at), length = std::max<size_t>(1, valid);
    const std::string_view character = text.substr(at, length);
    const char32_t code = valid > 0 ? DecodeUtf8(character) : 0;
    const bool known = code < characters.byte_of.size() && characters.byte_of[code] >= 0;
    // What is not in the alphabet was not made by byte-level BPE: show it as it is.
    if (known) {
      out.push_back(static_cast<char>(characters.byte_of[code]));
    } else {
      out += character;
    }
    at += length;
  }
}

}  // namespace edgewise
