// Weights and activations as integers mean what the model's file means.
#include "chip/number_scheme.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "base/error.h"
#include "quant/codec.h"

namespace edgewise::chip {
namespace {

constexpr uint32_t kRows = 5;

struct Encoded {
  Encoded(DType type, uint32_t k, uint32_t seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0.01f, 0.05f);
    weight = {.name = "blk.0.ffn_up.weight", .type = type, .rows = kRows, .k = k, .data = nullptr};
    bytes.resize(weight.bytes());
    decoded.resize(size_t{kRows} * k);
    for (uint32_t j = 0; j < kRows; ++j) {
      std::vector<float> row(k);
      for (float& v : row) v = normal(random);
      const auto at = std::span(bytes).subspan(j * weight.row_bytes(), weight.row_bytes());
      EncodeRow(type, row, at);
      DecodeRow(type, at, std::span(decoded).subspan(size_t{j} * k, k));
    }
    weight.data = bytes.data();
  }

  Weight weight;
  std::vector<std::byte> bytes;
  std::vector<float> decoded;
};

bool IsFloat(DType type) {
  return type == DType::kF32 || type == DType::kF16 || type == DType::kBF16;
}

// max_error(scale) bounds |w - (scale * code + min)|.
template <typename F>
void ExpectDecodes(const Encoded& e, const WeightPlanes& planes, Datapath datapath, F&& max_error) {
  const int most = datapath == Datapath::kInt4 ? 7 : 127;
  ASSERT_EQ(planes.codes.size(), e.decoded.size());
  for (uint32_t g = 0; g < planes.planes(); ++g) {
    for (uint32_t j = 0; j < kRows; ++j) {
      const float scale = planes.scales[g * kRows + j];
      const float min = planes.mins.empty() ? 0 : planes.mins[g * kRows + j];
      for (uint32_t l = 0; l < planes.GroupSize(g); ++l) {
        const int code = planes.Plane(g)[j * planes.GroupSize(g) + l];
        ASSERT_GE(code, -most - 1);
        ASSERT_LE(code, most);
        const float w = e.decoded[size_t{j} * e.weight.k + g * planes.group + l];
        ASSERT_NEAR(scale * static_cast<float>(code) + min, w, max_error(scale) + 1e-6)
            << "row " << j << ", k " << g * planes.group + l;
      }
    }
  }
}

TEST(NumberScheme, FilesBlocksKeepTheirMeaning) {
  ThreadPool pool(2);
  for (const TypeInfo& info : AllTypes()) {
    if (IsFloat(info.type)) continue;
    SCOPED_TRACE(info.name);
    const Encoded e(info.type, 512, 7);
    for (const Datapath datapath : {Datapath::kInt32, Datapath::kInt8}) {
      const WeightPlanes planes = PlanesOf(e.weight, WeightScheme::kFile, datapath, pool);
      EXPECT_TRUE(planes.group == 16 || planes.group == 32);
      EXPECT_EQ(planes.bytes(), PlaneBytes(e.weight, WeightScheme::kFile));
      ExpectDecodes(e, planes, datapath, [](float) { return 0.0f; });
    }
  }
}

TEST(NumberScheme, FourBitCodesFitFourBitWeightsAndWiderOnesAreRefused) {
  ThreadPool pool(1);
  for (const TypeInfo& info : AllTypes()) {
    if (IsFloat(info.type)) continue;
    SCOPED_TRACE(info.name);
    const Encoded e(info.type, 256, 8);
    const DType fit[] = {DType::kQ4_0, DType::kQ4_1, DType::kQ4_K, DType::kQ2_K, DType::kQ3_K};
    if (std::find(std::begin(fit), std::end(fit), info.type) == std::end(fit)) {
      EXPECT_THROW(CheckScheme(e.weight, WeightScheme::kFile, Datapath::kInt4), Error);
      CheckScheme(e.weight, WeightScheme::kRow, Datapath::kInt4);
      continue;
    }
    CheckScheme(e.weight, WeightScheme::kFile, Datapath::kInt4);
    ExpectDecodes(e, PlanesOf(e.weight, WeightScheme::kFile, Datapath::kInt4, pool),
                  Datapath::kInt4, [](float) { return 0.0f; });
  }
}

TEST(NumberScheme, RefusalNamesTheTensorAndTheWayOut) {
  const Encoded e(DType::kQ8_0, 64, 9);
  try {
    CheckScheme(e.weight, WeightScheme::kFile, Datapath::kTernary);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.message(),
              "tensor blk.0.ffn_up.weight: codes of Q8_0 (-128..127) do not fit the chip's ternary "
              "weights; "
              "the row scheme rounds them anew");
  }
}

TEST(NumberScheme, FloatsBecomeGroupsOf32TheLastShort) {
  ThreadPool pool(1);
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16}) {
    const Encoded e(type, 72, 10);
    const WeightPlanes planes = PlanesOf(e.weight, WeightScheme::kFile, Datapath::kInt8, pool);
    EXPECT_EQ(planes.planes(), 3u);
    EXPECT_EQ(planes.GroupSize(2), 8u);
    ExpectDecodes(e, planes, Datapath::kInt8, [](float scale) { return scale / 2; });
  }
}

TEST(NumberScheme, RowsHaveOneScale) {
  ThreadPool pool(3);
  for (const TypeInfo& info : AllTypes()) {
    SCOPED_TRACE(info.name);
    const Encoded e(info.type, 256, 11);
    for (const Datapath datapath : {Datapath::kInt8, Datapath::kInt4}) {
      const WeightPlanes planes = PlanesOf(e.weight, WeightScheme::kRow, datapath, pool);
      EXPECT_EQ(planes.planes(), 1u);
      EXPECT_TRUE(planes.mins.empty());
      ExpectDecodes(e, planes, datapath, [](float scale) { return scale / 2; });
    }
  }
}

TEST(NumberScheme, TernaryRoundsToTheMeanMagnitude) {
  ThreadPool pool(1);
  const float rows[] = {1.0f, -1.0f, 0.15f, 0.25f};  // mean of magnitudes 0.6
  const Weight weight = {.name = "w",
                         .type = DType::kF32,
                         .rows = 1,
                         .k = 4,
                         .data = reinterpret_cast<const std::byte*>(rows)};
  const WeightPlanes planes = PlanesOf(weight, WeightScheme::kRow, Datapath::kTernary, pool);
  EXPECT_EQ(planes.codes, (std::vector<int8_t>{1, -1, 0, 0}));
  EXPECT_FLOAT_EQ(planes.scales[0], 0.6f);
}

TEST(NumberScheme, ActivationsAreRoundedToNearestPerToken) {
  const std::vector<float> x = {1.27f, -0.634f, 0.005f, 0.0149f, 0, 0,        0, 0,
                                NAN,   1,       2,      3,       1, INFINITY, 0, 0};
  ActivationCodes codes;
  codes.Quantise(x.data(), 4, 4, 4);
  EXPECT_EQ(codes.codes, (std::vector<int8_t>{127, -63, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}));
  EXPECT_FLOAT_EQ(codes.scales[0], 0.01f);
  EXPECT_EQ(codes.scales[1], 0);
  EXPECT_TRUE(std::isnan(codes.scales[2]));
  EXPECT_TRUE(std::isnan(codes.scales[3]));
}

}  // namespace
}  // namespace edgewise::chip
