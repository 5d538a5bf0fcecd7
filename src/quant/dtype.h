// The tensor types of GGUF that Edgewise reads and writes, by the ecosystem's names and ids.
// Source: the GGUF specification and the block layouts of ggml (facts, not code).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace edgewise {

enum class DType : uint8_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kIQ4_NL = 20,
  kBF16 = 30,
};

struct TypeInfo {
  DType type;
  const char* name;      // "Q4_K"
  uint32_t block;        // weights per block; a row is a whole number of blocks
  uint32_t block_bytes;  // bytes per block
};

// All supported types, in the order of their ids.
std::span<const TypeInfo> AllTypes();

const TypeInfo& InfoOf(DType type);
inline const char* NameOf(DType type) { return InfoOf(type).name; }

// nullptr when the id is not one we support; names compare without regard to case.
const TypeInfo* FindTypeById(uint32_t gguf_id);
const TypeInfo* FindTypeByName(std::string_view name);

// The ecosystem's name of any known GGUF id ("IQ2_XXS"), for messages; "unknown" otherwise.
const char* GgufTypeName(uint32_t gguf_id);

// "F32, F16, Q4_0, ...": for messages.
std::string SupportedTypeNames();

// Bytes of a row of `k` weights. Requires k % block == 0.
constexpr uint64_t RowBytes(const TypeInfo& info, uint64_t k) {
  return k / info.block * info.block_bytes;
}
inline uint64_t RowBytes(DType type, uint64_t k) { return RowBytes(InfoOf(type), k); }

}  // namespace edgewise
