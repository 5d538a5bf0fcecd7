// FNV-1a in 64 bits (Fowler, Noll, Vo): to compare results and name inputs, no defence against forgery.
#pragma once

#include <cstdint>

namespace edgewise {

inline constexpr uint64_t kFnvOffset = 0xcbf29ce484222325;  // where a hash begins

constexpr uint64_t FnvMix(uint64_t hash, uint64_t value) { return (hash ^ value) * 0x100000001b3; }

// The `bytes` lowest bytes of `value`, the lowest first.
constexpr uint64_t FnvMixBytes(uint64_t hash, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) hash = FnvMix(hash, value >> 8 * i & 255);
  return hash;
}

}  // namespace edgewise
