// Every instruction set that runs here x every weight type.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <tuple>

#include "kernels/test_data.h"

namespace edgewise::kernels {
namespace {

std::vector<DType> TypesWithBlocks(uint32_t at_least) {
  std::vector<DType> types;
  for (const TypeInfo& info : AllTypes()) {
    if (info.block >= at_least) types.push_back(info.type);
  }
  return types;
}

std::vector<Isa> EveryIsa() { return {SupportedIsas().begin(), SupportedIsas().end()}; }

// Row lengths: one block, odd numbers of blocks, more than one panel (128 to 2048 codes), and the
// widths of TinyLlama; for floats also lengths that end inside a vector.
std::vector<uint32_t> RowLengths(DType type) {
  switch (InfoOf(type).block) {
    case 1: return {1, 7, 172, 576, 2048};
    case 32: return {32, 288, 576, 2048, 5632};
    default: return {256, 768, 2048, 5632};
  }
}

struct Product {
  Product(DType weight_type, uint32_t row_count, uint32_t length, uint32_t columns,
          const KernelTable& kernels)
      : type(weight_type),
        rows(row_count),
        k(length),
        m(columns),
        row_bytes(RowBytes(type, k)),
        x_bytes(ActivationBytes(ActivationFormatOf(type), k)),
        w(rows * row_bytes),
        x(m * x_bytes) {
    Random random(rows * 31 + k);
    FillWeights(type, w.span(), random);
    for (uint32_t j = 0; j < m; ++j) {
      kernels.quantize(ActivationFormatOf(type), NormalFloats(k, random).data(), k,
                       x.data() + j * x_bytes);
    }
  }

  // Rows first .. first + count and columns j .. j + width; y row-major by column.
  std::vector<float> Run(const KernelTable& kernels, uint32_t first, uint32_t count, uint32_t j,
                         uint32_t width) const {
    return Run(kernels, first, count, j, width, ShapeOf(width));
  }
  std::vector<float> Run(const KernelTable& kernels, uint32_t first, uint32_t count, uint32_t j,
                         uint32_t width, MatMulShape shape) const {
    // One float more than needed in a column: the kernel must leave it alone.
    const size_t stride = count + 1;
    std::vector<float> y(stride * width, -123.0f);
    kernels.matmul(type, shape).run({.w = w.data() + first * row_bytes,
                          .w_stride = row_bytes,
                          .x = x.data() + j * x_bytes,
                          .x_stride = x_bytes,
                          .y = y.data(),
                          .y_stride = stride,
                          .rows = count,
                          .k = k,
                          .m = width});
    std::vector<float> dense;
    for (uint32_t c = 0; c < width; ++c) {
      EXPECT_EQ(y[c * stride + count], -123.0f) << "wrote beyond the rows it was given";
      dense.insert(dense.end(), y.begin() + c * stride, y.begin() + c * stride + count);
    }
    return dense;
  }

  DType type;
  uint32_t rows, k, m;
  size_t row_bytes, x_bytes;
  GuardedBytes w, x;
};

class MatMulTest : public testing::TestWithParam<std::tuple<Isa, DType>> {
 protected:
  const KernelTable& kernels() const { return KernelsFor(std::get<0>(GetParam())); }
  DType type() const { return std::get<1>(GetParam()); }
};

// Rows below kLeastIntegerRow: the float kernel over decoded weights, for any company.
TEST_P(MatMulTest, ShortRowsAreMultipliedInFloats) {
  constexpr uint32_t kRows = 21, kColumns = 3;
  for (uint32_t k : RowLengths(type())) {
    if (k >= kLeastIntegerRow) continue;
    ASSERT_EQ(ActivationFormatFor(type(), k), ActivationFormat::kF32);
    const Product p(type(), kRows, k, kColumns, kernels());
    Random random(k);
    const std::vector<float> x = NormalFloats(k * kColumns, random);
    std::vector<float> decoded(size_t{kRows} * k), expected(kRows * kColumns, -1.0f);
    for (uint32_t i = 0; i < kRows; ++i) {
      DecodeRow(type(), {p.w.data() + i * p.row_bytes, p.row_bytes}, {&decoded[i * k], k});
    }
    const MatMulArgs floats = {.w = reinterpret_cast<const std::byte*>(decoded.data()),
                               .w_stride = k * sizeof(float),
                               .x = reinterpret_cast<const std::byte*>(x.data()),
                               .x_stride = k * sizeof(float),
                               .y = expected.data(),
                               .y_stride = kRows,
                               .rows = kRows,
                               .k = k,
                               .m = kColumns};
    kernels().matmul(DType::kF32, ShapeOf(kColumns)).run(floats);
    std::vector<float> y(kRows * kColumns, -2.0f);
    MatMulArgs short_rows = floats;
    short_rows.w = p.w.data();
    short_rows.w_stride = p.row_bytes;
    short_rows.y = y.data();
    MatMul(kernels(), type(), short_rows);
    EXPECT_EQ(y, expected) << "rows of " << k;
  }
}

// Damage must show: a conversion that continues the exponents makes 65536 of an infinite half.
TEST_P(MatMulTest, AnInfiniteHalfStaysInfinite) {
  if (type() != DType::kF16) GTEST_SKIP() << "no halves";
  constexpr uint32_t kLength = 37;  // whole vectors and a tail
  for (uint32_t at = 0; at < kLength; ++at) {
    for (const auto& [half, is_nan] : {std::pair<uint16_t, bool>(0xfc00, false), {0x7e01, true}}) {
      Product p(type(), 5, kLength, kFewColumns + 1, kernels());
      std::memcpy(p.w.data() + 3 * p.row_bytes + 2 * at, &half, sizeof half);
      for (uint32_t columns : {1u, 3u, kFewColumns + 1}) {
        const std::vector<float> y = p.Run(kernels(), 0, 5, 0, columns);
        for (size_t i = 0; i < y.size(); ++i) {
          EXPECT_EQ(std::isfinite(y[i]), i % 5 != 3) << at;
          if (is_nan && i % 5 == 3) EXPECT_TRUE(std::isnan(y[i])) << at;
        }
      }
    }
  }
}

TEST_P(MatMulTest, IsWithinRoundingOfADoubleReference) {
  constexpr uint32_t kRows = 21, kColumns = 9;
  for (uint32_t k : RowLengths(type())) {
    const Product p(type(), kRows, k, kColumns, kernels());
    const std::vector<float> y = p.Run(kernels(), 0, kRows, 0, kColumns);
    std::vector<std::vector<double>> x;
    for (uint32_t j = 0; j < kColumns; ++j) {
      x.push_back(DecodeActivation(ActivationFormatOf(type()), p.x.data() + j * p.x_bytes, k));
    }
    for (uint32_t i = 0; i < kRows; ++i) {
      const std::span<const std::byte> row(p.w.data() + i * p.row_bytes, p.row_bytes);
      std::vector<float> w(k);
      DecodeRow(type(), row, w);
      const std::vector<double> bound = Magnitudes(type(), row, k);
      for (uint32_t j = 0; j < kColumns; ++j) {
        double sum = 0, magnitude = 0;
        for (uint32_t c = 0; c < k; ++c) {
          sum += double{w[c]} * x[j][c];
          magnitude += bound[c] * std::abs(x[j][c]);
        }
        // Relative to the sum of magnitudes, each float operation rounds by 2^-24 at most. A
        // quantised chain has two additions per block (one without mins), and three roundings of
        // its terms: scale product, integer to float, and the decoder's own. A float lane has
        // k / 8 additions at most, then four levels of the tree.
        const uint32_t block = InfoOf(type()).block;
        const double roundings = block == 1 ? k / 8 + 6 : 2 * k / block + 4;
        ASSERT_NEAR(y[j * kRows + i], sum, magnitude * roundings * std::ldexp(1.0, -24))
            << "k " << k << " row " << i << " column " << j;
      }
    }
  }
}

// The promise on which determinism stands: alone, in a batch, in a range of rows, the same bits.
TEST_P(MatMulTest, HasTheSameBitsForAnyRowsAndColumns) {
  constexpr uint32_t kRows = 37, kColumns = 33;
  for (uint32_t k : RowLengths(type())) {
    const Product p(type(), kRows, k, kColumns, kernels());
    const std::vector<float> whole = p.Run(kernels(), 0, kRows, 0, kColumns);
    for (uint32_t width : {1, 2, 3, 4, 5, 6, 7, 8, 9}) {
      const uint32_t first = width % 4, count = 3 * width, j = kColumns - width;
      const std::vector<float> part = p.Run(kernels(), first, count, j, width);
      for (uint32_t c = 0; c < width; ++c) {
        for (uint32_t r = 0; r < count; ++r) {
          ASSERT_EQ(part[c * count + r], whole[(j + c) * kRows + first + r])
              << "k " << k << ", " << width << " columns, row " << first + r;
        }
      }
    }
  }
}

// A kernel for many columns serves any number of them: which shape is called never shows.
TEST_P(MatMulTest, EveryShapeHasTheSameBits) {
  constexpr uint32_t kRows = 21;
  for (uint32_t k : RowLengths(type())) {
    for (uint32_t width : {1u, 2u, kFewColumns}) {
      const Product p(type(), kRows, k, width, kernels());
      EXPECT_EQ(p.Run(kernels(), 0, kRows, 0, width),
                p.Run(kernels(), 0, kRows, 0, width, MatMulShape::kMany))
          << "k " << k << ", " << width << " columns";
    }
  }
}

// More columns than a block of the kernels for many has (256, of floats 126), more rows than a panel.
TEST_P(MatMulTest, BlocksOfColumnsHaveTheSameBits) {
  constexpr uint32_t kRows = 131;
  const bool floats = InfoOf(type()).block == 1;
  const uint32_t k = 512, columns = floats ? 130 : 300;
  const Product p(type(), kRows, k, columns, kernels());
  const std::vector<float> whole = p.Run(kernels(), 0, kRows, 0, columns);
  for (uint32_t j : {0u, 125u, 126u, columns / 2 - 1, columns / 2, columns - 1}) {
    const std::vector<float> alone = p.Run(kernels(), 0, kRows, j, 1);
    const std::vector<float> column(whole.begin() + j * kRows, whole.begin() + (j + 1) * kRows);
    EXPECT_EQ(alone, column) << "column " << j;
  }
}

// Float types are left out: their lanes differ by instruction set.
using QuantisedMatMulTest = MatMulTest;

TEST_P(QuantisedMatMulTest, HasTheBitsOfThePlainKernels) {
  constexpr uint32_t kRows = 19, kColumns = 11;
  for (uint32_t k : RowLengths(type())) {
    const Product p(type(), kRows, k, kColumns, kernels());
    EXPECT_EQ(p.Run(kernels(), 0, kRows, 0, kColumns),
              p.Run(KernelsFor(Isa::kPlain), 0, kRows, 0, kColumns));
  }
}

// The largest codes of either sign against the largest activations: where 16-bit sums would
// saturate.
TEST_P(QuantisedMatMulTest, ExtremeCodesDoNotSaturate) {
  const uint32_t k = 512;
  Product p(type(), 4, k, 5, kernels());
  std::vector<float> ones(k, 1.0f), alternating(k), mixed(k);
  Random signs(2);
  for (uint32_t i = 0; i < k; ++i) {
    alternating[i] = i % 2 == 0 ? 1.0f : -1.0f;
    mixed[i] = signs() % 2 == 0 ? 1.0f : -1.0f;
  }
  for (uint32_t j = 0; j < p.m; ++j) {
    const std::vector<float>& x = j % 3 == 0 ? ones : j % 3 == 1 ? alternating : mixed;
    kernels().quantize(ActivationFormatOf(type()), x.data(), k, p.x.data() + j * p.x_bytes);
  }
  for (int fill : {0x00, 0xff, 0x80, 0x7f}) {
    Random random(1);
    FillWeights(type(), p.w.span(), random);
    // All bytes but the scales, which FillWeights has just written: keep what is a half float.
    std::vector<std::byte> scales(p.w.data(), p.w.data() + p.w.size());
    GuardedBytes other(p.w.size());
    FillWeights(type(), other.span(), random);
    std::memset(p.w.data(), fill, p.w.size());
    const uint32_t bytes = InfoOf(type()).block_bytes;
    const bool at_end = type() == DType::kQ2_K || type() == DType::kQ3_K || type() == DType::kQ6_K;
    const bool two = type() == DType::kQ4_1 || type() == DType::kQ5_1 || type() == DType::kQ2_K ||
                     type() == DType::kQ4_K || type() == DType::kQ5_K;
    for (size_t block = 0; block < p.w.size(); block += bytes) {
      const size_t width = two ? 4 : 2, at = block + (at_end ? bytes - width : 0);
      std::memcpy(p.w.data() + at, scales.data() + at, width);
    }
    const std::vector<float> expected = p.Run(KernelsFor(Isa::kPlain), 0, 4, 0, 5);
    EXPECT_EQ(p.Run(kernels(), 0, 4, 0, 5), expected) << fill;
    EXPECT_EQ(p.Run(kernels(), 0, 4, 0, 5, MatMulShape::kMany), expected) << fill;
    EXPECT_EQ(p.Run(kernels(), 0, 4, 0, 2), p.Run(KernelsFor(Isa::kPlain), 0, 4, 0, 2)) << fill;
  }
}

std::string ProductName(const testing::TestParamInfo<std::tuple<Isa, DType>>& info) {
  return std::string(NameOf(std::get<0>(info.param))) + "_" + NameOf(std::get<1>(info.param));
}

INSTANTIATE_TEST_SUITE_P(Table, MatMulTest,
                         testing::Combine(testing::ValuesIn(EveryIsa()),
                                          testing::ValuesIn(TypesWithBlocks(1))),
                         ProductName);
INSTANTIATE_TEST_SUITE_P(Table, QuantisedMatMulTest,
                         testing::Combine(testing::ValuesIn(EveryIsa()),
                                          testing::ValuesIn(TypesWithBlocks(32))),
                         ProductName);

}  // namespace
}  // namespace edgewise::kernels
