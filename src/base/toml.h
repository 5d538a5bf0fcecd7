// toml++ for files that users write, with every failure an Error. Include this, never toml++ itself: all of
// the program must compile the library alike.
//
// toml++ 3.3 asserts what a file can break: "[ = 1" aborts, or, with NDEBUG, is undefined. Here an assertion
// that fails is an exception, in all builds.
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

// Throws Error(kUsage) with `file`, the line and the reason for anything that is not TOML.
inline toml::table ParseToml(std::string_view text, const std::string& file) {
  try {
    return toml::parse(text);
  } catch (const toml::parse_error& error) {
    throw Error(ErrorCode::kUsage,
                StrCat(Printable(file, 200), ":", error.source().begin.line, ": ",
                       Printable(std::string(error.description()), 120)));
  } catch (const TomlAssertion&) {
    throw Error(ErrorCode::kUsage, StrCat(Printable(file, 200), ": no valid TOML, and the parser cannot say "
                                          "where: is a key missing after a '['?"));
  }
}

}  // namespace edgewise
