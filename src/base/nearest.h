// What a user may have meant by a name that does not exist.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace edgewise {

// Letters to insert, remove or replace to make one of the other.
size_t EditDistance(std::string_view a, std::string_view b);

// The candidate that takes the fewest insertions, deletions and replacements to reach from `name`; "" when
// even that takes more than a third of the longer of both, which no slip of the fingers does.
std::string_view Nearest(std::string_view name, std::span<const std::string> candidates);

}  // namespace edgewise
