// What a user may have meant by a name that does not exist.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace edgewise {

// The candidate that takes the fewest insertions, deletions and replacements to reach from `name`; "" when
// even that takes more than a third of the longer of both, which no slip of the fingers does.
std::string_view Nearest(std::string_view name, std::span<const std::string> candidates);

}  // namespace edgewise
