#include "base/error.h"

#include <cstdio>
#include <cstdlib>

namespace edgewise {

void CheckFailed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "edgewise: internal error, please report it: %s at %s:%d\n", condition, file,
               line);
  std::abort();
}

}  // namespace edgewise
