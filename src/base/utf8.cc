#include "base/utf8.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace edgewise {
namespace {

struct LeadByte {
  size_t length;                   // of the character it starts; 0: starts none
  uint8_t second_min, second_max;  // allowed second byte; the others are 80..BF
};

LeadByte LeadOf(uint8_t byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (byte < 0xC2) return {0, 0, 0};
  if (byte < 0xE0) return {2, 0x80, 0xBF};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte < 0xF0) return {3, 0x80, 0xBF};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte < 0xF4) return {4, 0x80, 0xBF};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

// How many bytes of `text` fit a character that `lead` starts (at most its length).
size_t MatchingBytes(std::string_view text, const LeadByte& lead) {
  const size_t end = std::min(text.size(), lead.length);
  for (size_t i = 1; i < end; ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    const uint8_t low = i == 1 ? lead.second_min : 0x80, high = i == 1 ? lead.second_max : 0xBF;
    if (byte < low || byte > high) return i;
  }
  return end;
}

}  // namespace

size_t Utf8Length(std::string_view text, size_t at) {
  const std::string_view rest = text.substr(at);
  if (rest.empty()) return 0;
  const LeadByte lead = LeadOf(static_cast<uint8_t>(rest[0]));
  return MatchingBytes(rest, lead) == lead.length ? lead.length : 0;
}

bool IsUtf8Prefix(std::string_view text) {
  if (text.empty()) return false;
  const LeadByte lead = LeadOf(static_cast<uint8_t>(text[0]));
  return text.size() < lead.length && MatchingBytes(text, lead) == text.size();
}

bool IsUtf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    uint64_t eight;
    if (i + 8 <= text.size()) {  // ASCII, eight bytes at a time
      std::memcpy(&eight, text.data() + i, 8);
      if ((eight & 0x8080808080808080u) == 0) {
        i += 8;
        continue;
      }
    }
    const size_t length = Utf8Length(text, i);
    if (length == 0) return false;
    i += length;
  }
  return true;
}

std::string ReplaceInvalidUtf8(std::string_view text, char substitute) {
  std::string result(text);
  for (size_t i = 0; i < result.size();) {
    const size_t length = Utf8Length(text, i);
    if (length == 0) result[i] = substitute;
    i += std::max<size_t>(length, 1);
  }
  return result;
}

void AppendUtf8(std::string& out, char32_t code) {
  const auto push = [&](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    push(code);
  } else if (code < 0x800) {
    push(0xC0 | code >> 6);
    push(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    push(0xE0 | code >> 12);
    push(0x80 | (code >> 6 & 0x3F));
    push(0x80 | (code & 0x3F));
  } else {
    push(0xF0 | code >> 18);
    push(0x80 | (code >> 12 & 0x3F));
    push(0x80 | (code >> 6 & 0x3F));
    push(0x80 | (code & 0x3F));
  }
}

char32_t DecodeUtf8(std::string_view character) {
  const auto first = static_cast<uint8_t>(character[0]);
  if (character.size() == 1) return first;
  char32_t code = first & (0x7Fu >> character.size());
  for (const char c : character.substr(1)) code = code << 6 | (static_cast<uint8_t>(c) & 0x3F);
  return code;
}

std::string Utf8Stream::Push(std::string_view bytes) {
  std::string ready = std::move(pending_);
  ready += bytes;
  pending_.clear();
  // Only the last three bytes can be the start of a character that is not complete yet.
  for (size_t back = std::min<size_t>(3, ready.size()); back > 0; --back) {
    const std::string_view tail = std::string_view(ready).substr(ready.size() - back);
    if (IsUtf8Prefix(tail)) {
      pending_ = tail;
      ready.resize(ready.size() - back);
      break;
    }
  }
  return ready;
}

std::string Utf8Stream::Flush() {
  std::string rest = std::move(pending_);
  pending_.clear();
  return rest;
}

}  // namespace edgewise
