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
  for (const int streams : {1, 4}) {
    const uint64_t sum = ReadAll(std::as_bytes(std::span(words)), streams);
    for (size_t i = 0; i < words.size(); ++i) {
      words[i] ^= uint64_t{1} << 40;
      EXPECT_NE(ReadAll(std::as_bytes(std::span(words)), streams), sum) << "word " << i;
      words[i] ^= uint64_t{1} << 40;
    }
  }
}

TEST(RoofTest, EverySupportedIsaHasPeakLoopsThatRun) {
  for (const Isa isa : SupportedIsas()) {
    for (const PeakLoop& loop : {IntegerPeakLoop(isa), FloatPeakLoop(isa)}) {
      SCOPED_TRACE(loop.what);
      EXPECT_GT(loop.ops, 0u);
      loop.run();
    }
  }
}

}  // namespace
}  // namespace edgewise::kernels
