// Strings as Python sees them, sequences of code points, over UTF-8 bytes.
//
// Bytes that are not UTF-8 count as one character each and pass unchanged.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace edgewise::jinja {

// The code point at `at`, which moves behind it. An invalid byte gives 0xDC00 + byte, the lone
// surrogate that Python's surrogateescape would give.
uint32_t NextCodePoint(std::string_view text, size_t& at);
void AppendCodePoint(std::string& text, uint32_t code_point);  // undoes NextCodePoint

size_t CountCodePoints(std::string_view text);
bool IsAscii(std::string_view text);

// Python's str.isspace().
bool IsSpace(uint32_t code_point);
// Without white space at the left or the right, or without any of the characters `of` there.
std::string_view StripLeft(std::string_view text);
std::string_view StripRight(std::string_view text);
std::string_view StripLeft(std::string_view text, std::string_view of);
std::string_view StripRight(std::string_view text, std::string_view of);

// Letter case of ASCII, Latin (U+00A0 to U+017F and U+1E00 to U+1EFF), Greek, Cyrillic and
// full-width letters; other characters are unchanged. ASCII is what templates need (role names).
std::string Upper(std::string_view text);
std::string Lower(std::string_view text);
std::string Title(std::string_view text);
std::string Capitalize(std::string_view text);

// Python's repr() of a string.
std::string Quoted(std::string_view text);
// A JSON string with quotes, as json.dumps writes it.
std::string JsonString(std::string_view text, bool ascii);

}  // namespace edgewise::jinja
