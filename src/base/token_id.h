#pragma once

#include <cstdint>

namespace edgewise {

using TokenId = int32_t;  // index into the vocabulary; -1: none

}  // namespace edgewise
