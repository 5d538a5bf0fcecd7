#include "quant/dtype.h"

#include <algorithm>
#include <array>
#include <iterator>

#include "base/error.h"
#include "quant/blocks.h"

namespace edgewise {
namespace {

constexpr TypeInfo kTypes[] = {
    {DType::kF32, "F32", 1, 4},
    {DType::kF16, "F16", 1, 2},
    {DType::kQ4_0, "Q4_0", kBlock32, sizeof(BlockQ4_0)},
    {DType::kQ4_1, "Q4_1", kBlock32, sizeof(BlockQ4_1)},
    {DType::kQ5_0, "Q5_0", kBlock32, sizeof(BlockQ5_0)},
    {DType::kQ5_1, "Q5_1", kBlock32, sizeof(BlockQ5_1)},
    {DType::kQ8_0, "Q8_0", kBlock32, sizeof(BlockQ8_0)},
    {DType::kQ2_K, "Q2_K", kBlockK, sizeof(BlockQ2_K)},
    {DType::kQ3_K, "Q3_K", kBlockK, sizeof(BlockQ3_K)},
    {DType::kQ4_K, "Q4_K", kBlockK, sizeof(BlockQ4_K)},
    {DType::kQ5_K, "Q5_K", kBlockK, sizeof(BlockQ5_K)},
    {DType::kQ6_K, "Q6_K", kBlockK, sizeof(BlockQ6_K)},
    {DType::kIQ4_NL, "IQ4_NL", kBlock32, sizeof(BlockIQ4_NL)},
    {DType::kBF16, "BF16", 1, 2},
};

// Every id that GGUF files have carried, supported here or not, withdrawn ones too.
constexpr const char* kGgufNames[] = {
    "F32",   "F16",        "Q4_0",       "Q4_1",       "Q4_2",     "Q4_3",     "Q5_0",
    "Q5_1",  "Q8_0",       "Q8_1",       "Q2_K",       "Q3_K",     "Q4_K",     "Q5_K",
    "Q6_K",  "Q8_K",       "IQ2_XXS",    "IQ2_XS",     "IQ3_XXS",  "IQ1_S",    "IQ4_NL",
    "IQ3_S", "IQ2_S",      "IQ4_XS",     "I8",         "I16",      "I32",      "I64",
    "F64",   "IQ1_M",      "BF16",       "Q4_0_4_4",   "Q4_0_4_8", "Q4_0_8_8", "TQ1_0",
    "TQ2_0", "IQ4_NL_4_4", "IQ4_NL_4_8", "IQ4_NL_8_8", "MXFP4",    "NVFP4",    "Q1_0",
    "Q2_0",
};

constexpr size_t kIdLimit = std::size(kGgufNames);

// Position in kTypes by id, or -1.
constexpr std::array<int8_t, kIdLimit> kIndex = [] {
  std::array<int8_t, kIdLimit> index{};
  index.fill(-1);
  for (size_t i = 0; i < std::size(kTypes); ++i) {
    index[static_cast<size_t>(kTypes[i].type)] = static_cast<int8_t>(i);
  }
  return index;
}();

char LowerAscii(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

std::span<const TypeInfo> AllTypes() { return kTypes; }

const TypeInfo& InfoOf(DType type) {
  const TypeInfo* info = FindTypeById(static_cast<uint32_t>(type));
  EDGEWISE_CHECK(info != nullptr);
  return *info;
}

const TypeInfo* FindTypeById(uint32_t gguf_id) {
  if (gguf_id >= kIdLimit || kIndex[gguf_id] < 0) return nullptr;
  return &kTypes[kIndex[gguf_id]];
}

const TypeInfo* FindTypeByName(std::string_view name) {
  for (const TypeInfo& info : kTypes) {
    const std::string_view own = info.name;
    if (std::equal(own.begin(), own.end(), name.begin(), name.end(),
                   [](char a, char b) { return LowerAscii(a) == LowerAscii(b); })) {
      return &info;
    }
  }
  return nullptr;
}

const char* GgufTypeName(uint32_t gguf_id) {
  return gguf_id < kIdLimit ? kGgufNames[gguf_id] : "unknown";
}

std::string SupportedTypeNames() {
  std::string names;
  for (const TypeInfo& info : kTypes) {
    if (!names.empty()) names += ", ";
    names += info.name;
  }
  return names;
}

}  // namespace edgewise
