// Text helpers for messages and tables.
#pragma once

#include <cstdint>
#include <sstream>
#include <string>
#include <string_view>

namespace edgewise {

// Concatenates anything that has operator<<.
template <typename... Parts>
std::string StrCat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return std::move(out).str();
}

// "638.0 MiB": binary units, one decimal, never in scientific notation.
std::string HumanBytes(uint64_t bytes);

// `text` cut to `limit` bytes and with everything but printable ASCII shown as '?', so that a
// hostile file's strings can stand in a one-line message.
std::string Printable(std::string_view text, size_t limit = 60);

// &, <, >, ' and " as HTML entities: for text, and attribute values in either quotes.
std::string EscapeHtml(std::string_view text);

}  // namespace edgewise
