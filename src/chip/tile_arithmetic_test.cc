// The arithmetic of tiles and of the plain product, against sums in 128 bits.
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "base/thread_pool.h"
#include "chip/integer_product.h"
#include "chip/test_designs.h"
#include "chip/tile_kernel.h"
#include "chip/tile_model.h"

namespace edgewise::chip {
namespace {

template <typename T>
struct Operands {
  Operands(const Product& p, uint32_t seed)
      : a(RandomValues<T>(p.m * p.k, seed)), w(RandomValues<T>(p.n * p.k, seed + 1)), product(p) {}

  Integers A() const { return {a.data(), product.k}; }
  Integers W() const { return {w.data(), product.k}; }
  std::vector<int32_t> Expected() const {
    std::vector<int32_t> c;
    for (uint64_t i = 0; i < product.m; ++i) {
      for (uint64_t j = 0; j < product.n; ++j) {
        __int128 sum = 0;
        for (uint64_t k = 0; k < product.k; ++k) {
          sum += static_cast<__int128>(a[i * product.k + k]) * w[j * product.k + k];
        }
        c.push_back(static_cast<int32_t>(static_cast<uint32_t>(sum)));
      }
    }
    return c;
  }

  std::vector<T> a, w;
  Product product;
};

Product RandomProduct(std::mt19937& random, uint32_t most) {
  const auto side = [&] { return 1 + random() % most; };
  return {side(), side(), side()};
}

template <typename T>
void ExpectExact(const ChipDesign& design, const Product& p, uint32_t seed, ThreadPool& pool) {
  SCOPED_TRACE(testing::Message() << design.name << " " << p.m << " x " << p.n << " x " << p.k);
  const Operands<T> x(p, seed);
  std::vector<int32_t> c(p.m * p.n, 77), plain(p.m * p.n, 78);
  const Tiling tiling = TileProduct(design, p, x.W());
  const uint64_t tiles = ExecuteTiles(tiling, x.A(), x.W(), {c.data(), p.n}, pool);
  EXPECT_EQ(c, x.Expected());
  EXPECT_EQ(tiles, tiling.tiles());
  MultiplyIntegers(p, x.A(), x.W(), {plain.data(), p.n}, pool);
  EXPECT_EQ(plain, x.Expected());
}

TEST(TileArithmetic, IsTheExactProductOfInt8) {
  std::mt19937 random(1);
  for (const int threads : {1, 3}) {
    ThreadPool pool(threads);
    for (const ChipDesign& design : AllDesigns()) {
      for (int i = 0; i < 12; ++i)
        ExpectExact<int8_t>(design, RandomProduct(random, 50), random(), pool);
    }
  }
}

TEST(TileArithmetic, WrapsAt32BitsOverTheFullRange) {
  std::mt19937 random(2);
  ThreadPool pool(2);
  for (const ChipDesign& design : {Compact(), Compact16Mac(), Compact532()}) {
    for (int i = 0; i < 12; ++i)
      ExpectExact<int32_t>(design, RandomProduct(random, 40), random(), pool);
  }
}

TEST(TileArithmetic, LongRowsOfExtremesDoNotOverflowInBetween) {
  // 300000 products of -128 -128 are 4.9e9: more than 32 bits, so sums wrap, but the same
  // everywhere.
  const Product p = {1, 9, 300'000};
  const std::vector<int8_t> a(p.k, -128), w(p.n * p.k, -128);
  std::vector<int32_t> c(p.n), plain(p.n);
  ThreadPool pool(1);
  ExecuteTiles(TileProduct(Compact(), p), {a.data(), p.k}, {w.data(), p.k}, {c.data(), p.n}, pool);
  MultiplyIntegers(p, {a.data(), p.k}, {w.data(), p.k}, {plain.data(), p.n}, pool);
  const auto expected = static_cast<int32_t>(static_cast<uint32_t>(p.k * 128 * 128));
  EXPECT_EQ(c, std::vector<int32_t>(p.n, expected));
  EXPECT_EQ(plain, c);
  EXPECT_EQ(CountOverflows(p, {a.data(), p.k}, {w.data(), p.k}), p.n);
}

TEST(TileArithmetic, CountsOutputsWhoseExactSumDoesNotFit) {
  // Rows of A: 1, and 2^31 - 1. W: 1, and 2. Only (2^31 - 1) * 2 does not fit.
  const std::vector<int32_t> a = {1, INT32_MAX}, w = {1, 2};
  EXPECT_EQ(CountOverflows({2, 2, 1}, {a.data(), 1}, {w.data(), 1}), 1u);
  const std::vector<int32_t> least = {INT32_MIN}, one = {1}, minus = {-1};
  EXPECT_EQ(CountOverflows({1, 1, 1}, {least.data(), 1}, {one.data(), 1}), 0u);
  EXPECT_EQ(CountOverflows({1, 1, 1}, {least.data(), 1}, {minus.data(), 1}), 1u);
}

// What is executed is what is priced, whether chips share the columns or leave out zeros.
TEST(TileArithmetic, RunsTheTilesThatItPrices) {
  std::mt19937 random(3);
  ThreadPool pool(2);
  for (ChipDesign design : AllDesigns()) {
    for (const ZeroSkip skip :
         {ZeroSkip::kNone, ZeroSkip::kElement, ZeroSkip::kTile, ZeroSkip::kTwoOfFour}) {
      for (const uint32_t chips : {1, 3}) {
        design.zero_skip = skip;
        design.chips = chips;
        design.link_bytes_s = 1e9;
        const Product p = RandomProduct(random, 60);
        SCOPED_TRACE(testing::Message()
                     << design.name << ", skips " << NameOf(skip) << ", " << chips
                     << " chips: " << p.m << " x " << p.n << " x " << p.k);
        Operands<int8_t> x(p, random());
        for (int8_t& v : x.w) v = random() % 16 == 0 ? v : 0;  // two of four most times
        std::vector<int32_t> c(p.m * p.n);
        const Results results = {c.data(), p.n};
        const TileRun run = RunTiles(design, p, x.A(), x.W(), results, {}, pool);
        EXPECT_EQ(c, x.Expected());
        EXPECT_EQ(run.executed_tiles, run.cost.tiles);
        EXPECT_EQ(run.overflows, 0u);
        if (skip == ZeroSkip::kNone) {
          EXPECT_LE(Utilisation(design, run.cost), 1);
        }
        const uint64_t hash = HashOf(p, results);
        MultiplyIntegers(p, x.A(), x.W(), results, pool);
        EXPECT_EQ(HashOf(p, results), hash);
        c[0] ^= 1;
        EXPECT_NE(HashOf(p, results), hash);
      }
    }
  }
}

TEST(TileArithmetic, EveryKernelGivesTheSameBits) {
  const uint64_t blocks = 5, k = blocks * kBlockSide, stride = k + 3;
  const auto a = RandomValues<int8_t>(kBlockSide * stride, 5);
  const auto w = RandomValues<int8_t>(kBlockSide * stride, 6);
  const std::vector<int16_t> wide(a.begin(), a.end());
  for (const BlockKernel& kernel : BlockKernels()) {
    for (uint32_t rows = 1; rows <= kBlockSide; ++rows) {
      SCOPED_TRACE(testing::Message() << kernel.name << " " << rows << " rows");
      uint32_t sums[kBlockSide * kBlockSide];
      std::fill(std::begin(sums), std::end(sums), 1000);  // it adds
      EXPECT_EQ(kernel.run({wide.data(), stride, w.data(), stride, blocks, sums, rows}), blocks);
      for (uint32_t i = 0; i < kBlockSide; ++i) {
        for (uint32_t j = 0; j < kBlockSide; ++j) {
          int32_t expected = 1000;
          for (uint64_t l = 0; i < rows && l < k; ++l)
            expected += a[i * stride + l] * w[j * stride + l];
          EXPECT_EQ(static_cast<int32_t>(sums[i * kBlockSide + j]), expected) << i << ", " << j;
        }
      }
    }
  }
}

}  // namespace
}  // namespace edgewise::chip
