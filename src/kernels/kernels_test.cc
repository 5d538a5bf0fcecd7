// The table in use, and how EDGEWISE_ISA forces one.
#include "kernels/kernels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "base/error.h"

namespace edgewise::kernels {
namespace {

// Kernels() chooses once per process, so each choice is made in a process of its own.
[[noreturn]] void ExitWithTheTableFor(const char* name, Isa expected) {
  setenv("EDGEWISE_ISA", name, 1);
  std::exit(Kernels().isa == expected ? 0 : 1);
}

[[noreturn]] void ExitWithTheErrorFor(const char* name) {
  setenv("EDGEWISE_ISA", name, 1);
  try {
    Kernels();
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    std::exit(error.code() == ErrorCode::kUsage ? 3 : 4);
  }
  std::exit(0);
}

TEST(KernelTableTest, PlainIsAlwaysSupportedAndLast) {
  EXPECT_EQ(SupportedIsas().back(), Isa::kPlain);
  for (Isa isa : SupportedIsas()) EXPECT_EQ(KernelsFor(isa).isa, isa) << NameOf(isa);
}

TEST(KernelTableDeathTest, ForcingAnInstructionSetForcesIt) {
  for (Isa isa : SupportedIsas()) {
    EXPECT_EXIT(ExitWithTheTableFor(NameOf(isa), isa), testing::ExitedWithCode(0), "")
        << NameOf(isa);
  }
  EXPECT_EXIT(ExitWithTheTableFor("", SupportedIsas().front()), testing::ExitedWithCode(0), "");
}

TEST(KernelTableDeathTest, ANameWithoutATableIsAnErrorThatListsTheOthers) {
  EXPECT_EXIT(ExitWithTheErrorFor("sse9"), testing::ExitedWithCode(3), "EDGEWISE_ISA=sse9.*plain");
  for (Isa isa : {Isa::kSse4, Isa::kAvx2, Isa::kAvx2Vnni, Isa::kAvx512Vnni, Isa::kNeon,
                  Isa::kNeonDot, Isa::kNeonI8mm}) {
    if (std::ranges::count(SupportedIsas(), isa) != 0) continue;
    EXPECT_EXIT(ExitWithTheErrorFor(NameOf(isa)), testing::ExitedWithCode(3), "plain");
  }
}

TEST(KernelTableTest, EveryWeightTypeHasAProductInEveryTable) {
  for (Isa isa : SupportedIsas()) {
    for (const TypeInfo& info : AllTypes()) {
      for (MatMulShape shape : {MatMulShape::kOne, MatMulShape::kFew, MatMulShape::kMany}) {
        const MatMulKernel kernel = KernelsFor(isa).matmul(info.type, shape);
        EXPECT_NE(kernel.run, nullptr) << NameOf(isa) << " " << info.name;
        EXPECT_STRNE(kernel.how, "") << NameOf(isa) << " " << info.name;
      }
    }
  }
}

TEST(ActivationTest, RowsArePaddedToWholeCacheLines) {
  for (uint32_t k : {256u, 512u, 5632u}) {
    EXPECT_EQ(ActivationBytes(ActivationFormat::kF32, k), 4 * k);
    EXPECT_EQ(ActivationBytes(ActivationFormat::kQ8_0, k), (k + k / 4 + 63) / 64 * 64);
    EXPECT_EQ(ActivationBytes(ActivationFormat::kQ8_K, k), (k + k / 64 + k / 8 + 63) / 64 * 64);
  }
  EXPECT_EQ(ActivationBytes(ActivationFormat::kF32, 7), 64u);
}

}  // namespace
}  // namespace edgewise::kernels
