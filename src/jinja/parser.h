// Source of a template to a Program.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "jinja/ast.h"

namespace edgewise::jinja {

// Throws Error, its message naming the line: kBadFile (syntax), kUnsupported (a tag, or a filter or
// test outside any condition, that we do not have), kLimit (source over kMaxSourceBytes, or nested
// deeper than kMaxNesting).
std::unique_ptr<const Program> ParseTemplate(std::string_view source);

// The longest template in use has 40 KB. A pair of brackets costs the parser up to four levels.
inline constexpr size_t kMaxSourceBytes = 256 << 10;
inline constexpr int kMaxNesting = 400;

}  // namespace edgewise::jinja
