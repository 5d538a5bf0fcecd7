#include <algorithm>
#include <string_view>

#include "base/error.h"
#include "model/synth.h"

namespace edgewise {
namespace {

constexpr std::string_view kSpaceMark = "\xe2\x96\x81";  // U+2581, which SPM puts for a space
// By frequency in English, so that a small vocabulary has the likelier words.
constexpr std::string_view kLetters = "etaoinshrdlcumwfgypbvkjxqz";
enum : int32_t { kNormal = 1, kUnknown = 2, kControl = 3, kByte = 6 };

std::string ByteToken(int byte) {
  constexpr char kHex[] = "0123456789ABCDEF";
  return {'<', '0', 'x', kHex[byte >> 4], kHex[byte & 15], '>'};
}

}  // namespace

SynthVocabulary MakeSynthVocabulary(uint32_t size) {
  if (size < kLeastVocabulary) {
    throw Error(ErrorCode::kUsage,
                StrCat("a vocabulary of ", size, " is too small: the least is ", kLeastVocabulary,
                       ", three special tokens, 256 bytes and "
                       "the printable characters"));
  }
  SynthVocabulary out;
  const auto add = [&](std::string token, float score, int32_t type) {
    out.tokens.push_back(std::move(token));
    out.scores.push_back(score);
    out.types.push_back(type);
  };
  add("<unk>", 0, kUnknown);
  add("<s>", 0, kControl);
  add("</s>", 0, kControl);
  for (int byte = 0; byte < 256; ++byte) add(ByteToken(byte), 0, kByte);

  // The earlier a piece, the better its score: what is short merges first.
  const auto add_piece = [&](std::string piece) {
    add(std::move(piece), -static_cast<float>(out.tokens.size()), kNormal);
  };
  add_piece(std::string(kSpaceMark));
  for (char c = '!'; c <= '~'; ++c) add_piece(std::string(1, c));

  // Words of n + 1 letters are all words of n letters, each extended by every letter; the space
  // mark counts as a first letter.
  std::vector<std::string> words = {std::string(kSpaceMark)};
  for (const char letter : kLetters) words.push_back(std::string(1, letter));
  while (out.tokens.size() < size) {
    std::vector<std::string> longer;
    for (const std::string& word : words) {
      for (const char letter : kLetters) {
        if (out.tokens.size() == size) return out;
        longer.push_back(word + letter);
        add_piece(longer.back());
      }
    }
    words = std::move(longer);
  }
  return out;
}

uint64_t SynthTextBytes(uint32_t size) {
  constexpr uint64_t kLetterCount = kLetters.size();
  constexpr uint64_t kSpecialBytes = 5 + 3 + 4 + 256 * 6, kPieceBytes = kSpaceMark.size() + 94;
  uint64_t bytes = kSpecialBytes + kPieceBytes;
  uint64_t left = size > kLeastVocabulary ? size - kLeastVocabulary : 0;
  // Words of a length: those that begin with the mark, which come first, and the others.
  uint64_t marked = kLetterCount, plain = kLetterCount * kLetterCount;
  for (uint64_t letters = 2; left > 0; ++letters) {
    const uint64_t with_mark = std::min(left, marked);
    bytes += with_mark * (kSpaceMark.size() + letters - 1);
    left -= with_mark;
    const uint64_t without = std::min(left, plain);
    bytes += without * letters;
    left -= without;
    marked *= kLetterCount;
    plain *= kLetterCount;
  }
  return bytes;
}

}  // namespace edgewise
