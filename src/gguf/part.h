// One GGUF file, or one part of a split one: internal to gguf/.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gguf/gguf.h"

namespace edgewise {

struct GgufPart {
  uint32_t version = 0;
  std::vector<GgufEntry> entries;  // in file order
  NameIndex by_key;
  std::vector<GgufTensor> tensors;  // in file order; names unique only once the parts are joined
};

// Reads and checks everything that one file can tell; views point into `bytes`. Throws
// Error(kBadFile | kUnsupported | kLimit), the message beginning with `name`.
//
// Time O(n log n) in the file's bytes, whatever they are; memory at most about five bytes per byte
// of header, metadata and tensor table.
GgufPart ReadGgufPart(std::span<const std::byte> bytes, const std::string& name);

// nullptr when absent.
const GgufValue* FindEntry(std::span<const GgufEntry> entries, const NameIndex& by_key,
                           std::string_view key);

}  // namespace edgewise
