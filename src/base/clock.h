#pragma once

#include <chrono>

#include "base/units.h"

namespace edgewise {

// Monotonic time since an arbitrary start.
inline Seconds Now() {
  return Seconds(
      std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count());
}

}  // namespace edgewise
