#include "quant/dtype.h"

#include <gtest/gtest.h>

namespace edgewise {
namespace {

// From the format's definition, bits per weight times the block over eight; not from the structs.
TEST(DTypeTest, SizesOfTheFormat) {
  const struct {
    const char* name;
    uint32_t id, block, bytes;
  } kExpected[] = {
      {"F32", 0, 1, 4},       {"F16", 1, 1, 2},       {"Q4_0", 2, 32, 18},
      {"Q4_1", 3, 32, 20},    {"Q5_0", 6, 32, 22},    {"Q5_1", 7, 32, 24},
      {"Q8_0", 8, 32, 34},    {"Q2_K", 10, 256, 84},  {"Q3_K", 11, 256, 110},
      {"Q4_K", 12, 256, 144}, {"Q5_K", 13, 256, 176}, {"Q6_K", 14, 256, 210},
      {"IQ4_NL", 20, 32, 18}, {"BF16", 30, 1, 2},
  };
  ASSERT_EQ(AllTypes().size(), std::size(kExpected));
  for (const auto& e : kExpected) {
    SCOPED_TRACE(e.name);
    const TypeInfo* info = FindTypeById(e.id);
    ASSERT_NE(info, nullptr);
    EXPECT_STREQ(info->name, e.name);
    EXPECT_EQ(static_cast<uint32_t>(info->type), e.id);
    EXPECT_EQ(info->block, e.block);
    EXPECT_EQ(info->block_bytes, e.bytes);
    EXPECT_STREQ(GgufTypeName(e.id), e.name);
    EXPECT_EQ(FindTypeByName(e.name), info);
    EXPECT_EQ(RowBytes(info->type, 1024), 1024 / e.block * e.bytes);
  }
  // No overflow at the sizes a hostile file can state in 40 bits.
  EXPECT_EQ(RowBytes(DType::kF32, uint64_t{1} << 40), uint64_t{1} << 42);
}

TEST(DTypeTest, NamesIgnoreCaseAndUnknownOnesAreRefused) {
  EXPECT_EQ(FindTypeByName("q4_k"), &InfoOf(DType::kQ4_K));
  EXPECT_EQ(FindTypeByName("iq4_NL"), &InfoOf(DType::kIQ4_NL));
  for (const char* name : {"", "Q4", "Q4_K_M", "Q4_K ", "IQ2_XXS"}) {
    EXPECT_EQ(FindTypeByName(name), nullptr) << name;
  }
  for (const uint32_t id : {4u, 9u, 15u, 16u, 24u, 39u, 43u, 0xffffffffu}) {
    EXPECT_EQ(FindTypeById(id), nullptr) << id;
  }
  EXPECT_STREQ(GgufTypeName(16), "IQ2_XXS");
  EXPECT_STREQ(GgufTypeName(39), "MXFP4");
  EXPECT_STREQ(GgufTypeName(43), "unknown");
  EXPECT_STREQ(GgufTypeName(0xffffffffu), "unknown");
  EXPECT_EQ(SupportedTypeNames(),
            "F32, F16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL, BF16");
}

}  // namespace
}  // namespace edgewise
