// The fit recovers rates that made-up timings were computed from, with noise and without.
#include "cli/host_fit.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace edgewise {
namespace {

constexpr double kWeights = 1e8, kOutputs = 5e4, kBytes = 1.0625e8, kRoof = 20e9;

// A kernel: what its arithmetic takes per weight, what a sum takes besides, and the share of the roof that it
// reads with.
struct Kernel {
  double unpack_s, mac_s, each_s, share;
};
constexpr Kernel kOne = {0, 30e-12, 4e-9, 0.9}, kFew = {25e-12, 6e-12, 2e-9, 0.8},
                 kMany = {120e-12, 5e-12, 1e-9, 0.8};

const Kernel& KernelOf(uint32_t rows) { return rows == 1 ? kOne : rows <= 8 ? kFew : kMany; }

double ComputeOf(uint32_t rows, double weights, double outputs) {
  const Kernel& k = KernelOf(rows);
  return weights * (k.unpack_s + rows * k.mac_s) + outputs * rows * k.each_s;
}
double SecondsOf(uint32_t rows, double roof) {
  return std::max(ComputeOf(rows, kWeights, kOutputs), kBytes / (KernelOf(rows).share * roof));
}

// Runs of a machine whose memory gives `roof`, each off by up to `noise`, one in `outliers` by a factor of 2.
std::vector<ProductSample> Samples(double roof, double noise, int outliers) {
  std::vector<ProductSample> samples;
  int count = 0;
  const auto off = [&] {
    const double factor = 1 + noise * ((count * 7 % 11) / 5.0 - 1);
    return outliers != 0 && ++count % outliers == 0 ? 2 * factor : factor;
  };
  for (int round = 0; round < 9; ++round) {
    for (const uint32_t rows : {1u, 2u, 4u, 8u, 16u, 32u, 128u, 512u}) {
      samples.push_back({rows, false, kWeights, kOutputs, kBytes, SecondsOf(rows, roof) * off(), roof});
      for (const double length : {256.0, 1024.0}) {
        const double weights = 1e6, outputs = weights / length;
        samples.push_back({rows, true, weights, outputs, 0, ComputeOf(rows, weights, outputs) * off(), roof});
      }
    }
  }
  return samples;
}

double Price(const std::vector<ProductRate>& rates, uint32_t rows, double roof) {
  for (const ProductRate& rate : rates) {
    if (rows < rate.least_rows || rows > rate.most_rows) continue;
    return std::max(kWeights * (rate.unpack_s + rows * rate.mac_s) + kOutputs * rows * rate.each_s,
                    kBytes / (rate.memory_share * roof));
  }
  ADD_FAILURE() << "no rate holds for " << rows << " rows";
  return 0;
}

TEST(FitProducts, GivesBackWhatWasMeasured) {
  const auto rates = FitProducts(DType::kQ8_0, Samples(kRoof, 0, 0));
  for (const uint32_t rows : {1u, 2u, 4u, 8u, 16u, 32u, 128u, 512u}) {
    EXPECT_NEAR(Price(rates, rows, kRoof) / SecondsOf(rows, kRoof), 1, 1e-9) << rows;
  }
  // And what was not: between the points, and beyond them.
  for (const uint32_t rows : {3u, 6u, 20u, 77u, 300u, 2048u}) {
    EXPECT_NEAR(Price(rates, rows, kRoof) / SecondsOf(rows, kRoof), 1, 1e-9) << rows;
  }
}

TEST(FitProducts, RangesFollowEachOtherAndEndWithTheKernels) {
  const auto rates = FitProducts(DType::kQ8_0, Samples(kRoof, 0, 0));
  ASSERT_EQ(rates.size(), 8u);
  uint32_t next = 1;
  for (const ProductRate& rate : rates) {
    EXPECT_EQ(rate.type, DType::kQ8_0);
    EXPECT_EQ(rate.least_rows, next);
    next = rate.most_rows + 1;
  }
  EXPECT_EQ(rates[0].most_rows, 1u);
  EXPECT_EQ(rates[3].most_rows, 8u);
  EXPECT_EQ(rates.back().most_rows, UINT32_MAX);
}

TEST(FitProducts, FollowsTheRoofWhereMemoryBindsAndArithmeticWhereItDoesNot) {
  const auto rates = FitProducts(DType::kQ8_0, Samples(kRoof, 0, 0));
  // One row was bound by memory: half the bandwidth doubles it, and twice as much leaves the arithmetic.
  EXPECT_NEAR(Price(rates, 1, kRoof / 2), SecondsOf(1, kRoof / 2), 1e-9);
  EXPECT_NEAR(Price(rates, 1, 4 * kRoof), ComputeOf(1, kWeights, kOutputs), 1e-9);
  EXPECT_NEAR(Price(rates, 128, kRoof / 2), SecondsOf(128, kRoof), 1e-9);
}

TEST(FitProducts, TakesOutThePaceOfTheMoment) {
  // Half of the rounds at 0.7 of the pace: arithmetic took longer, memory did not.
  auto samples = Samples(kRoof, 0, 0);
  for (size_t i = 0; i < samples.size(); i += 2) {
    samples[i].pace = 0.7;
    const bool by_memory = !samples[i].cached && samples[i].rows <= 4;
    if (!by_memory) samples[i].seconds /= 0.7;
  }
  const auto rates = FitProducts(DType::kQ8_0, samples);
  for (const uint32_t rows : {1u, 2u, 4u, 8u, 16u, 32u, 128u, 512u}) {
    EXPECT_NEAR(Price(rates, rows, kRoof) / SecondsOf(rows, kRoof), 1, 1e-9) << rows;
  }
}

TEST(FitProducts, BearsNoiseAndOutliers) {
  const auto rates = FitProducts(DType::kQ8_0, Samples(kRoof, 0.05, 10));
  for (const uint32_t rows : {1u, 2u, 3u, 4u, 8u, 16u, 64u, 512u}) {
    EXPECT_NEAR(Price(rates, rows, kRoof) / SecondsOf(rows, kRoof), 1, 0.06) << rows;
  }
  for (const ProductRate& rate : rates) {
    EXPECT_GE(rate.unpack_s, 0);
    EXPECT_GE(rate.mac_s, 0);
    EXPECT_LE(rate.memory_share, 1);
  }
}

TEST(FitProducts, SlowMachinesWithoutTheLongestRuns) {
  auto samples = Samples(kRoof, 0, 0);
  std::erase_if(samples, [](const ProductSample& s) { return s.rows > 16; });
  const auto rates = FitProducts(DType::kQ8_0, samples);
  EXPECT_EQ(rates.back().least_rows, 9u);
  EXPECT_EQ(rates.back().most_rows, UINT32_MAX);
  EXPECT_NEAR(Price(rates, 16, kRoof) / SecondsOf(16, kRoof), 1, 1e-9);
}

// What a product of 256 weights a sum takes more than its weights alone is told from products in cache.
TEST(FitProducts, TellsOutputsFromWeights) {
  const auto rates = FitProducts(DType::kQ8_0, Samples(kRoof, 0, 0));
  EXPECT_NEAR(rates[0].each_s, kOne.each_s, 1e-14);
  EXPECT_NEAR(rates[2].each_s, kFew.each_s, 1e-14);
  EXPECT_NEAR(rates[6].each_s, kMany.each_s, 1e-14);
}

// A token after `positions` - 1 others, or a block of 32 rows of a prompt.
struct Attended {
  uint32_t group;
  bool decode;
  double positions;
};
AttentionSample Attention(const Attended& a, double each_s, double unpack_s, double mac_s) {
  AttentionSample sample = {.sharing = a.group * (a.decode ? 1 : 32), .decode = a.decode, .pieces = 6};
  sample.kv_values = 6 * 2 * 64 * a.positions;
  sample.macs = sample.kv_values / 2 * sample.sharing;
  sample.seconds = sample.pieces * each_s + sample.kv_values * unpack_s + sample.macs * mac_s;
  return sample;
}

TEST(FitAttention, TellsPiecesUnpackingAndMultiplying) {
  std::vector<AttentionSample> samples;
  for (const uint32_t group : {1u, 4u, 8u}) {
    for (const double positions : {128.0, 1024.0}) {
      samples.push_back(Attention({group, true, positions}, 3e-6, 2e-10, 2e-11));
      samples.push_back(Attention({group, false, positions}, 9e-6, 3e-10, 4e-11));
    }
  }
  const auto rates = FitAttention(DType::kF16, samples);
  ASSERT_EQ(rates.size(), 4u);
  const uint32_t most[] = {1, 4, 8, UINT32_MAX};
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(rates[i].least_rows, i == 0 ? 1 : most[i - 1] + 1);
    EXPECT_EQ(rates[i].most_rows, most[i]);
  }
  for (size_t i = 0; i < 3; ++i) {
    const double macs = most[i] / 2.0;  // of a value
    EXPECT_NEAR(rates[i].each_s, 3e-6, 1e-12);
    EXPECT_NEAR(rates[i].unpack_s + macs * rates[i].mac_s, 2e-10 + macs * 2e-11, 1e-15);
  }
  EXPECT_NEAR(rates[2].mac_s, 2e-11, 1e-15);
  EXPECT_NEAR(rates[3].each_s, 9e-6, 1e-10);
  EXPECT_NEAR(rates[3].unpack_s, 3e-10, 1e-14);
  EXPECT_NEAR(rates[3].mac_s, 4e-11, 1e-15);
}

// Kernels take rows four at a time: three cost nearly as much as four.
TEST(FitAttention, FollowsSteps) {
  std::vector<AttentionSample> samples;
  const std::pair<uint32_t, double> kSteps[] = {{1, 2e-10}, {3, 2.1e-10}, {4, 2.1e-10}, {8, 4e-10}};
  for (const auto& [group, value_s] : kSteps) {
    for (const double positions : {128.0, 1024.0}) {
      samples.push_back(Attention({group, true, positions}, 1e-6, value_s, 0));
    }
  }
  const auto rates = FitAttention(DType::kF16, samples);
  ASSERT_EQ(rates.size(), 4u);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_NEAR(rates[i].unpack_s + kSteps[i].first / 2.0 * rates[i].mac_s, kSteps[i].second, 1e-15);
  }
}

TEST(FitAttention, NothingIsNegative) {
  // Pieces and unpacking that cost nothing, with noise that would make them less.
  std::vector<AttentionSample> samples;
  for (const bool decode : {true, false}) {
    for (const uint32_t group : {1u, 8u}) {
      for (const double positions : {128.0, 1024.0}) {
        samples.push_back(Attention({group, decode, positions}, 0, 0, 2e-11));
        samples.back().seconds *= group == 1 ? 0.9 : positions == 128 ? 0.95 : 1;
      }
    }
  }
  const auto rates = FitAttention(DType::kF16, samples);
  ASSERT_EQ(rates.size(), 3u);
  for (const AttentionRate& rate : rates) {
    EXPECT_GE(rate.each_s, 0);
    EXPECT_GE(rate.unpack_s, 0);
    EXPECT_GE(rate.mac_s, 0);
  }
  EXPECT_NEAR(rates[2].mac_s, 2e-11, 2e-12);
}

TEST(FitOverhead, PhasesAndStep) {
  const std::vector<OverheadSample> samples = {
      {7, 20e-6 + 7 * 3e-6}, {7, 1}, {7, 20e-6 + 7 * 3e-6}, {52, 20e-6 + 52 * 3e-6}, {52, 20e-6 + 52 * 3e-6}};
  const Overhead overhead = FitOverhead(samples);
  EXPECT_NEAR(overhead.phase_s, 3e-6, 1e-12);
  EXPECT_NEAR(overhead.step_s, 20e-6, 1e-10);
}

TEST(FitOverhead, NeverNegative) {
  const std::vector<OverheadSample> samples = {{7, -1e-6}, {52, -3e-6}};
  const Overhead overhead = FitOverhead(samples);
  EXPECT_EQ(overhead.phase_s, 0);
  EXPECT_EQ(overhead.step_s, 0);
}

}  // namespace
}  // namespace edgewise
