#include "kernels/roof.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

namespace edgewise::kernels {
namespace {

// Words whose xor and sum any order of reading must give; each byte changes the result.
TEST(RoofTest, ReadAllTouchesEveryWord) {
  std::vector<uint64_t> words(3 * 4096 / 8);
  for (size_t i = 0; i < words.size(); ++i) words[i] = i * i;
  for (const Reader reader : {Reader{1, 0}, Reader{2, 2048}, Reader{4, 0}, Reader{4, 2048}}) {
    const uint64_t sum = ReadAll(std::as_bytes(std::span(words)), reader);
    for (size_t i = 0; i < words.size(); ++i) {
      words[i] ^= uint64_t{1} << 40;
      EXPECT_NE(ReadAll(std::as_bytes(std::span(words)), reader), sum) << "word " << i;
      words[i] ^= uint64_t{1} << 40;
    }
  }
}

TEST(RoofTest, ProbeOutgrowsTheCacheAsFarAsMemoryAllows) {
  constexpr uint64_t kMiB = 1 << 20, kPlenty = 64ull << 30;
  EXPECT_EQ(ProbeBytesFor(32 * kMiB, kPlenty), 256 * kMiB);
  EXPECT_EQ(ProbeBytesFor(96 * kMiB, kPlenty), 384 * kMiB);
  EXPECT_EQ(ProbeBytesFor(480 * kMiB, kPlenty), 1024 * kMiB);
  EXPECT_EQ(ProbeBytesFor(480 * kMiB, 2048 * kMiB), 512 * kMiB);
  EXPECT_EQ(ProbeBytesFor(480 * kMiB, 512 * kMiB), 256 * kMiB);
  EXPECT_EQ(ProbeBytesFor(0, kPlenty), 256 * kMiB);  // the system does not say
}

TEST(RoofTest, CachesGrowWithTheirLevel) {
  int level = 0;
  for (const CacheLevel& cache : DataCaches()) {
    EXPECT_GT(cache.level, level);
    EXPECT_GT(cache.bytes, 0u);
    EXPECT_GT(cache.instances, 0);
    level = cache.level;
  }
}

TEST(RoofTest, EverySupportedIsaHasPeakLoopsThatRun) {
  for (const Isa isa : SupportedIsas()) {
    for (const PeakLoop& loop : {IntegerPeakLoop(isa), NarrowPeakLoop(isa), FloatPeakLoop(isa)}) {
      SCOPED_TRACE(loop.what);
      EXPECT_GT(loop.ops, 0u);
      loop.run();
    }
  }
}

}  // namespace
}  // namespace edgewise::kernels
