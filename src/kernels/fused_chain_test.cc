// A quantised output is a chain of fused multiply-adds, rounded once each. Where an instruction set has
// none (SSE4), sums in double would do, but for those that lie halfway between two floats: random
// weights never meet one.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "kernels/activation.h"
#include "kernels/kernels.h"
#include "quant/blocks.h"
#include "quant/half.h"

namespace edgewise::kernels {
namespace {

constexpr uint32_t kRows = 9, kLength = 2 * kBlock32;

struct Case {
  const char* what;
  float first, second;  // the scales of two blocks whose dots are 1 and 65535
};

// One row of weights, repeated, and one column of activations with those dots.
struct Operands {
  explicit Operands(const Case& c) : w(kRows * 2), x(ActivationBytes(ActivationFormat::kQ8_0, kLength)) {
    constexpr int8_t kWeights[6] = {127, 127, 127, 127, 8, 3};
    constexpr int8_t kCodes[6] = {127, 127, 127, 127, 127, 1};
    static_assert(4 * 127 * 127 + 8 * 127 + 3 == 65535);
    for (uint32_t i = 0; i < kRows; ++i) {
      w[2 * i] = w[2 * i + 1] = {.d = F32ToF16(1.0f), .qs = {}};
      w[2 * i].qs[31] = 1;
      std::memcpy(w[2 * i + 1].qs, kWeights, sizeof kWeights);
    }
    x[31] = std::byte{1};
    std::memcpy(x.data() + kBlock32, kCodes, sizeof kCodes);
    const float scales[2] = {c.first, c.second};
    std::memcpy(x.data() + kLength, scales, sizeof scales);
    const int32_t sums[2] = {1, 5 * 127 + 1};
    std::memcpy(x.data() + kLength + sizeof scales, sums, sizeof sums);
  }
  std::vector<BlockQ8_0> w;
  std::vector<std::byte> x;
};

TEST(FusedChainTest, SumsHalfwayBetweenFloatsAreRoundedByTheirLastBits) {
  const float odd = std::ldexp(8388609.0f, 33);  // 2^56 + 2^33: its last bit is set
  const Case cases[] = {
      // 65537 * 65535 = 2^32 - 1: less than half a place (2^32) above, which double cannot tell.
      {"below half", odd, 65537.0f},
      {"below half, downwards", odd, -65537.0f},
      {"tie from odd", std::ldexp(8388609.0f, 40 - 23), std::ldexp(1.0f, 16)},
      {"tie downwards", std::ldexp(8388609.0f, 40 - 23), -std::ldexp(1.0f, 16)},
      {"tie to even", std::ldexp(1.0f, 40), std::ldexp(1.0f, 16)},
      {"no tie", odd, 65536.0f},
      {"exact", 131070.0f, 1.0f},
  };
  for (const Case& c : cases) {
    const Operands o(c);
    const float expected = std::fma(c.second, 65535.0f, c.first);
    for (Isa isa : SupportedIsas()) {
      for (uint32_t m : {1u, 3u, 9u}) {
        std::vector<float> y(kRows * m);
        KernelsFor(isa).matmul(DType::kQ8_0, ShapeOf(m)).run({
            .w = reinterpret_cast<const std::byte*>(o.w.data()),
            .w_stride = 2 * sizeof(BlockQ8_0),
            .x = o.x.data(),
            .x_stride = 0,
            .y = y.data(),
            .y_stride = kRows,
            .rows = kRows,
            .k = kLength,
            .m = m});
        EXPECT_EQ(y, std::vector<float>(kRows * m, expected))
            << c.what << ", " << NameOf(isa) << ", " << m << " columns";
      }
    }
  }
}

}  // namespace
}  // namespace edgewise::kernels
