#include "jinja/text.h"

#include <array>
#include <cstdio>

#include "base/utf8.h"

namespace edgewise::jinja {
namespace {

constexpr uint32_t kEscapedByte = 0xDC00;

bool IsContinuation(char c) { return (static_cast<uint8_t>(c) & 0xC0) == 0x80; }

bool InRange(uint32_t c, uint32_t first, uint32_t last) { return c >= first && c <= last; }

// Blocks in which the upper-case letter is even and its lower case follows it.
bool IsEvenUpperPair(uint32_t c) {
  return InRange(c, 0x100, 0x12F) || InRange(c, 0x132, 0x137) || InRange(c, 0x14A, 0x177) ||
         InRange(c, 0x460, 0x481) || InRange(c, 0x48A, 0x4BF) || InRange(c, 0x4D0, 0x52F) ||
         InRange(c, 0x1E00, 0x1E95) || InRange(c, 0x1EA0, 0x1EFF);
}

// The same with an odd upper-case letter.
bool IsOddUpperPair(uint32_t c) {
  return InRange(c, 0x139, 0x148) || InRange(c, 0x179, 0x17E) || InRange(c, 0x4C1, 0x4CE);
}

uint32_t UpperOf(uint32_t c) {
  if (c < 0x80) return InRange(c, 'a', 'z') ? c - 32 : c;
  if (InRange(c, 0xE0, 0xFE) && c != 0xF7) return c - 32;
  if (IsEvenUpperPair(c)) return c & ~1u;
  if (IsOddUpperPair(c)) return (c & 1) == 0 ? c - 1 : c;
  if (InRange(c, 0x3B1, 0x3CB) && c != 0x3C2) return c - 32;
  if (InRange(c, 0x3AD, 0x3AF)) return c - 37;
  if (InRange(c, 0x430, 0x44F) || InRange(c, 0xFF41, 0xFF5A)) return c - 32;
  if (InRange(c, 0x450, 0x45F)) return c - 80;
  switch (c) {
    case 0xB5: return 0x39C;
    case 0xFF: return 0x178;
    case 0x131: return 'I';
    case 0x17F: return 'S';
    case 0x3AC: return 0x386;
    case 0x3C2: return 0x3A3;
    case 0x3CC: return 0x38C;
    case 0x3CD: return 0x38E;
    case 0x3CE: return 0x38F;
    case 0x4CF: return 0x4C0;
    case 0x1E9B: return 0x1E60;
    default: return c;
  }
}

uint32_t LowerOf(uint32_t c) {
  if (c < 0x80) return InRange(c, 'A', 'Z') ? c + 32 : c;
  if (InRange(c, 0xC0, 0xDE) && c != 0xD7) return c + 32;
  if (IsEvenUpperPair(c)) return c | 1;
  if (IsOddUpperPair(c)) return (c & 1) != 0 ? c + 1 : c;
  if (InRange(c, 0x391, 0x3AB) && c != 0x3A2) return c + 32;
  if (InRange(c, 0x388, 0x38A)) return c + 37;
  if (InRange(c, 0x410, 0x42F) || InRange(c, 0xFF21, 0xFF3A)) return c + 32;
  if (InRange(c, 0x400, 0x40F)) return c + 80;
  switch (c) {
    case 0x178: return 0xFF;
    case 0x386: return 0x3AC;
    case 0x38C: return 0x3CC;
    case 0x38E: return 0x3CD;
    case 0x38F: return 0x3CE;
    case 0x4C0: return 0x4CF;
    case 0x1E9E: return 0xDF;
    default: return c;
  }
}

constexpr uint32_t kSharpS = 0xDF;  // the one common letter whose upper case is two letters

bool IsCased(uint32_t c) { return UpperOf(c) != c || LowerOf(c) != c || c == kSharpS; }

void AppendUpper(std::string& out, uint32_t c, bool title = false) {
  if (c == kSharpS) {
    out += title ? "Ss" : "SS";
  } else {
    AppendCodePoint(out, UpperOf(c));
  }
}

bool Contains(std::string_view set, uint32_t wanted) {
  for (size_t at = 0; at < set.size();) {
    if (NextCodePoint(set, at) == wanted) return true;
  }
  return false;
}

// Where the last character of `text` begins.
size_t LastCharacter(std::string_view text) {
  size_t begin = text.size() - 1;
  for (size_t back = 1; back <= 4 && back <= text.size(); ++back) {
    size_t at = text.size() - back;
    const size_t start = at;
    if (IsContinuation(text[start])) continue;
    const uint32_t c = NextCodePoint(text, at);
    if (at == text.size() && c < 0x110000) begin = start;
    break;
  }
  return begin;
}

template <typename Predicate>
std::string_view TrimLeft(std::string_view text, Predicate&& drop) {
  size_t at = 0;
  while (at < text.size()) {
    size_t next = at;
    if (!drop(NextCodePoint(text, next))) break;
    at = next;
  }
  return text.substr(at);
}

template <typename Predicate>
std::string_view TrimRight(std::string_view text, Predicate&& drop) {
  while (!text.empty()) {
    const size_t begin = LastCharacter(text);
    size_t at = begin;
    if (!drop(NextCodePoint(text, at))) break;
    text = text.substr(0, begin);
  }
  return text;
}

// What repr() shows as an escape: controls, separators other than the space, unassigned ends.
bool IsPrintable(uint32_t c) {
  if (c < 0x20 || InRange(c, 0x7F, 0xA0) || c == 0xAD) return false;
  if (c == 0x1680 || InRange(c, 0x2000, 0x200F) || InRange(c, 0x2028, 0x202F)) return false;
  if (InRange(c, 0x205F, 0x206F) || c == 0x3000 || c == 0xFEFF) return false;
  if (InRange(c, 0xD800, 0xF8FF) || InRange(c, 0xFFF0, 0xFFFB)) return false;
  return c < 0xF0000 && (c & 0xFFFE) != 0xFFFE;
}

template <typename... Numbers>
void AppendFormatted(std::string& out, const char* format, Numbers... numbers) {
  std::array<char, 24> buffer;
  std::snprintf(buffer.data(), buffer.size(), format, numbers...);
  out += buffer.data();
}

}  // namespace

uint32_t NextCodePoint(std::string_view text, size_t& at) {
  const size_t length = Utf8Length(text, at);
  if (length == 0) return kEscapedByte + static_cast<uint8_t>(text[at++]);
  const uint32_t c = DecodeUtf8(text.substr(at, length));
  at += length;
  return c;
}

void AppendCodePoint(std::string& text, uint32_t c) {
  if (InRange(c, kEscapedByte + 0x80, kEscapedByte + 0xFF)) {
    text += static_cast<char>(c - kEscapedByte);
  } else {
    AppendUtf8(text, c);
  }
}

size_t CountCodePoints(std::string_view text) {
  size_t count = 0;
  for (size_t at = 0; at < text.size(); ++count) NextCodePoint(text, at);
  return count;
}

bool IsAscii(std::string_view text) {
  for (const char c : text) {
    if (static_cast<uint8_t>(c) >= 0x80) return false;
  }
  return true;
}

bool IsSpace(uint32_t c) {
  return InRange(c, 0x09, 0x0D) || InRange(c, 0x1C, 0x20) || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || InRange(c, 0x2000, 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
         c == 0x205F || c == 0x3000;
}

std::string_view StripLeft(std::string_view text) { return TrimLeft(text, IsSpace); }
std::string_view StripRight(std::string_view text) { return TrimRight(text, IsSpace); }
std::string_view StripLeft(std::string_view text, std::string_view of) {
  return TrimLeft(text, [of](uint32_t c) { return Contains(of, c); });
}
std::string_view StripRight(std::string_view text, std::string_view of) {
  return TrimRight(text, [of](uint32_t c) { return Contains(of, c); });
}

std::string Upper(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) AppendUpper(out, NextCodePoint(text, at));
  return out;
}

std::string Lower(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) AppendCodePoint(out, LowerOf(NextCodePoint(text, at)));
  return out;
}

std::string Title(std::string_view text) {
  std::string out;
  bool inside = false;
  for (size_t at = 0; at < text.size();) {
    const uint32_t c = NextCodePoint(text, at);
    if (inside) {
      AppendCodePoint(out, LowerOf(c));
    } else {
      AppendUpper(out, c, true);
    }
    inside = IsCased(c);
  }
  return out;
}

std::string Capitalize(std::string_view text) {
  if (text.empty()) return "";
  size_t at = 0;
  std::string out;
  AppendUpper(out, NextCodePoint(text, at), true);
  return out + Lower(text.substr(at));
}

std::string Quoted(std::string_view text) {
  const bool has_single = text.find('\'') != text.npos, has_double = text.find('"') != text.npos;
  const char quote = has_single && !has_double ? '"' : '\'';
  std::string out(1, quote);
  for (size_t at = 0; at < text.size();) {
    const uint32_t c = NextCodePoint(text, at);
    if (c == static_cast<uint8_t>(quote) || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n' || c == '\r' || c == '\t') {
      out += c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t";
    } else if (IsPrintable(c)) {
      AppendCodePoint(out, c);
    } else {
      AppendFormatted(out, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
    }
  }
  return out + quote;
}

std::string JsonString(std::string_view text, bool ascii) {
  std::string out = "\"";
  for (size_t at = 0; at < text.size();) {
    const uint32_t c = NextCodePoint(text, at);
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      case '\f': out += "\\f"; break;
      case '\b': out += "\\b"; break;
      default:
        if (c < 0x20 || (ascii && c >= 0x7F && c < 0x10000)) {
          AppendFormatted(out, "\\u%04x", c);
        } else if (ascii && c >= 0x10000) {
          AppendFormatted(out, "\\u%04x\\u%04x", 0xD800 + ((c - 0x10000) >> 10),
                          0xDC00 + ((c - 0x10000) & 0x3FF));
        } else {
          AppendCodePoint(out, c);
        }
    }
  }
  return out + '"';
}

}  // namespace edgewise::jinja
