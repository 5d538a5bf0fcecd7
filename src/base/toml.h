// toml++ for files that users write, with every failure an Error. Include this, never toml++ itself: all of
// the program must compile the library alike.
//
// toml++ 3.3 asserts what a file can break: "[ = 1" aborts, or, with NDEBUG, is undefined. Here an assertion
// that fails is an exception, in all builds. It also runs into undefined behaviour at letters beyond ASCII
// where it looks for white space (U+00A1 to U+049A in a key): it is never shown any.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace edgewise {
struct TomlAssertion {};
[[noreturn]] inline void FailTomlAssertion() { throw TomlAssertion(); }
}  // namespace edgewise

#pragma push_macro("NDEBUG")
#undef NDEBUG
#define TOML_ASSERT(expr) ((expr) ? void(0) : ::edgewise::FailTomlAssertion())
#define TOML_EXCEPTIONS 1
#include <toml++/toml.h>
#pragma pop_macro("NDEBUG")

namespace edgewise {

// The text with '?' for each byte beyond ASCII after a '#'. Throws Error(kUsage) for one elsewhere.
inline std::string OnlyAscii(std::string_view text, const std::string& file) {
  std::string ascii(text);
  size_t line = 1;
  bool after_hash = false;
  for (char& c : ascii) {
    if (c == '\n') {
      ++line;
      after_hash = false;
    }
    after_hash |= c == '#';
    if (static_cast<unsigned char>(c) < 0x80) continue;
    if (!after_hash) {
      throw Error(ErrorCode::kUsage, StrCat(Printable(file, 200), ":", line,
                                            ": a character beyond ASCII: only comments may have such"));
    }
    c = '?';
  }
  return ascii;
}

// Throws Error(kUsage) with `file`, the line and the reason for anything that is not TOML.
inline toml::table ParseToml(std::string_view text, const std::string& file) {
  const std::string ascii = OnlyAscii(text, file);
  try {
    return toml::parse(ascii);
  } catch (const toml::parse_error& error) {
    throw Error(ErrorCode::kUsage,
                StrCat(Printable(file, 200), ":", error.source().begin.line, ": ",
                       Printable(std::string(error.description()), 120)));
  } catch (const TomlAssertion&) {
    throw Error(ErrorCode::kUsage, StrCat(Printable(file, 200), ": no valid TOML, and the parser cannot say "
                                          "where: is a key missing after a '['?"));
  }
}

// Throws Error(kUsage) with file, the line of `node` where there is one, and `what`.
[[noreturn]] inline void FailAt(const std::string& file, const toml::node* node, const std::string& what) {
  const uint32_t line = node == nullptr ? 0 : node->source().begin.line;
  throw Error(ErrorCode::kUsage,
              StrCat(Printable(file, 200), line == 0 ? "" : StrCat(":", line), ": ", what));
}

// The text of a key; "" where it is absent. Throws Error(kUsage) for another type.
inline std::string TextAt(const std::string& file, const toml::table& table, const char* key) {
  const toml::node* node = table.get(key);
  if (node == nullptr) return "";
  const auto value = node->value_exact<std::string>();
  if (!value) FailAt(file, node, StrCat(key, " must be a text in quotes"));
  return *value;
}

}  // namespace edgewise
