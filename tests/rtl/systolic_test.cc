// The systolic chip: results, the edge of every row, the interlock, stalls on both sides.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <stdexcept>

#include "streams.h"

namespace edgewise::chip {
namespace {

using ::testing::ElementsAreArray;

constexpr uint32_t kN = kArray;

using Matrix = std::vector<int8_t>;  // 8 x k, row-major

Matrix RandomMatrix(std::mt19937_64& random, uint32_t k) {
  Matrix matrix(kN * k);
  for (int8_t& value : matrix) value = static_cast<int8_t>(random());
  return matrix;
}

// Appends the first `rows` rows of A W^T.
void AppendProduct(std::vector<uint32_t>& out, const Matrix& a, const Matrix& w, uint32_t k,
                   uint32_t rows = kN) {
  for (uint32_t i = 0; i < rows; ++i)
    for (uint32_t j = 0; j < kN; ++j) {
      uint32_t sum = 0;
      for (uint32_t n = 0; n < k; ++n) sum += static_cast<uint32_t>(a[i * k + n] * w[j * k + n]);
      out.push_back(sum);
    }
}

Stream LoadA(const Matrix& a, uint32_t k) {
  Stream stream{Header(kLoadA, 0, 0, k)};
  AppendColumns(stream, a, k, 0, k);
  return stream;
}

void AppendMac(Stream& stream, const Matrix& w, uint32_t k, uint8_t rows = kN) {
  stream.push_back(Header(kMac, kMacFirst | kMacLast, rows, k));
  AppendColumns(stream, w, k, 0, k);
}

TEST(Systolic, OneTileIsRightAndEveryRowComesAtItsEdge) {
  std::mt19937_64 random(1);
  for (uint32_t k = 1; k <= 40; ++k) {
    for (uint8_t rows = 1; rows <= kN; ++rows) {
      const Matrix a = RandomMatrix(random, k), w = RandomMatrix(random, k);
      Stream stream = LoadA(a, k);
      AppendMac(stream, w, k, rows);
      std::vector<uint32_t> expected;
      AppendProduct(expected, a, w, k, rows);
      const auto chip = MakeRtlSystolic();
      const Outcome outcome = chip->Run(stream);
      ASSERT_THAT(outcome.results, ElementsAreArray(expected)) << k;
      // No bubble anywhere; the last beat is at 2k + 2, row 0 is taken 2(N-1) + 2 edges later.
      EXPECT_EQ(chip->accepted().back(), 2 * k + 2);
      for (uint32_t row = 0; row < rows; ++row)
        EXPECT_EQ(chip->delivered()[row], 2 * k + 2 + 1 + 2 * (kN - 1) + 1 + row);
      EXPECT_EQ(outcome.cycles, 2 * k + 2 + 2 * kN + rows - 1);
    }
  }
}

TEST(Systolic, ALastBeatIsAcceptedTheEdgeAfterThePreviousTilesLastRowAndNotBefore) {
  std::mt19937_64 random(2);
  for (uint32_t k = 1; k <= 30; ++k) {
    const Matrix a = RandomMatrix(random, k);
    Stream stream = LoadA(a, k);
    std::vector<uint32_t> expected;
    for (int tile = 0; tile < 4; ++tile) {
      const Matrix w = RandomMatrix(random, k);
      AppendMac(stream, w, k);
      AppendProduct(expected, a, w, k);
    }
    const auto chip = MakeRtlSystolic();
    ASSERT_THAT(chip->Run(stream).results, ElementsAreArray(expected)) << k;
    uint64_t last = chip->accepted()[2 * k + 1];
    for (uint32_t tile = 1; tile < 4; ++tile) {
      const uint64_t previous_row = chip->delivered()[tile * kN - 1];
      EXPECT_EQ(previous_row, last + 2 * kN + kN - 1);
      const uint64_t next = chip->accepted()[(tile + 2) * (k + 1) - 1];
      // k payload beats and a header, unless the drain takes longer: from K = 3N - 1 on it does not.
      EXPECT_EQ(next, std::max<uint64_t>(last + k + 1, previous_row + 1)) << k;
      EXPECT_EQ(next == last + k + 1, k >= 3 * kN - 1) << k;
      last = next;
    }
  }
}

TEST(Systolic, StallsOnBothSidesChangeTimesAndNoResults) {
  std::mt19937_64 random(3);
  for (int round = 0; round < 200; ++round) {
    Stream stream;
    std::vector<uint32_t> expected;
    for (uint64_t blocks = 1 + random() % 3; blocks > 0; --blocks) {
      const uint32_t k = 1 + random() % 40;
      const Matrix a = RandomMatrix(random, k);
      const Stream load = LoadA(a, k);
      stream.insert(stream.end(), load.begin(), load.end());
      for (uint64_t tiles = 1 + random() % 3; tiles > 0; --tiles) {
        const Matrix w = RandomMatrix(random, k);
        const uint8_t rows = 1 + random() % kN;
        AppendMac(stream, w, k, rows);
        AppendProduct(expected, a, w, k, rows);
      }
    }
    std::vector<Stall> stalls, out_stalls;
    for (uint64_t beat = 0; beat < stream.size(); ++beat)
      if (random() % 8 == 0) stalls.push_back({beat, static_cast<uint32_t>(1 + random() % 10)});
    for (uint64_t row = 0; row < expected.size() / kN; ++row)
      if (random() % 4 == 0) out_stalls.push_back({row, static_cast<uint32_t>(1 + random() % 30)});
    const auto chip = MakeRtlSystolic();
    ASSERT_THAT(chip->Run(stream, stalls, out_stalls).results, ElementsAreArray(expected));
  }
}

TEST(Systolic, AStalledRowHoldsBackTheNextLastBeatOnly) {
  std::mt19937_64 random(4);
  const uint32_t k = 30;
  const Matrix a = RandomMatrix(random, k), w = RandomMatrix(random, k);
  Stream stream = LoadA(a, k);
  AppendMac(stream, w, k);
  AppendMac(stream, w, k);
  const std::vector<Stall> out_stalls = {{7, 100}};
  const auto chip = MakeRtlSystolic();
  chip->Run(stream, {}, out_stalls);
  const uint64_t held = chip->delivered()[7];
  EXPECT_EQ(held, chip->delivered()[6] + 1 + 100);
  EXPECT_EQ(chip->accepted()[stream.size() - 2], stream.size() - 1) << "only the last beat waits";
  EXPECT_EQ(chip->accepted()[stream.size() - 1], held + 1);
}

TEST(Systolic, KIsCutIntoChunksThatTheScratchpadHolds) {
  std::mt19937_64 random(5);
  const uint32_t k = 3 * kScratchRows + 17;
  const Matrix a = RandomMatrix(random, k), w = RandomMatrix(random, k);
  Stream stream;
  for (uint32_t from = 0; from < k; from += kScratchRows) {
    const uint32_t count = std::min<uint32_t>(kScratchRows, k - from);
    const uint8_t flags = (from == 0 ? kMacFirst : 0) | (from + count == k ? kMacLast : 0);
    stream.push_back(Header(kLoadA, 0, 0, count));
    AppendColumns(stream, a, k, from, count);
    stream.push_back(Header(kMac, flags, kN, count));
    AppendColumns(stream, w, k, from, count);
  }
  std::vector<uint32_t> expected;
  AppendProduct(expected, a, w, k);
  const auto chip = MakeRtlSystolic();
  const Outcome outcome = chip->Run(stream);
  EXPECT_THAT(outcome.results, ElementsAreArray(expected));
  EXPECT_EQ(outcome.cycles, stream.size() + 3 * kN - 1) << "the scratchpad is reloaded without a bubble";
}

TEST(Systolic, SumsWrapAt32Bits) {
  // -128 * -128 = 2^14: 2^18 of them are 2^32, which is 0. MAC again and again over one loaded chunk.
  const uint32_t k = 2048;
  const Matrix low(kN * k, -128);
  Stream stream = LoadA(low, k);
  std::vector<uint32_t> expected;
  for (uint32_t chunks = 128; chunks > 0; --chunks) {
    const uint8_t flags = (chunks == 128 ? kMacFirst : 0) | (chunks == 1 ? kMacLast : 0);
    stream.push_back(Header(kMac, flags, 1, k));
    AppendColumns(stream, low, k, 0, k);
  }
  const auto chip = MakeRtlSystolic();
  EXPECT_THAT(chip->Run(stream).results, ElementsAreArray(std::vector<uint32_t>(kN, 0)));
}

TEST(Systolic, ABaseChoosesThePlaceInTheScratchpad) {
  std::mt19937_64 random(6);
  const uint32_t k = 24;
  const Matrix first = RandomMatrix(random, k), second = RandomMatrix(random, k), w = RandomMatrix(random, k);
  Stream stream{Header(kLoadA, 0, 0, k, 0)};
  AppendColumns(stream, first, k, 0, k);
  stream.push_back(Header(kLoadA, 0, 0, k, kScratchRows - k));
  AppendColumns(stream, second, k, 0, k);
  for (const uint32_t base : {0u, kScratchRows - k}) {
    stream.push_back(Header(kMac, kMacFirst | kMacLast, kN, k, base));
    AppendColumns(stream, w, k, 0, k);
  }
  std::vector<uint32_t> expected;
  AppendProduct(expected, first, w, k);
  AppendProduct(expected, second, w, k);
  EXPECT_THAT(MakeRtlSystolic()->Run(stream).results, ElementsAreArray(expected));
}

TEST(Systolic, HeadersThatCannotBeObeyedStopTheStream) {
  std::vector<Beat> bad = {Header(0, 0, 0, 1),
                           Header(3, 0, 0, 1),
                           Header(kLoadA, 0, 0, 0),
                           Header(kLoadA, 0, 0, kScratchRows + 1),
                           Header(kMac, kMacFirst, 0, 1, kScratchRows),
                           Header(kMac, kMacFirst, 0, 65535, 65535),
                           Header(kMac, kMacFirst | kMacLast, 0, 1),
                           Header(kMac, kMacFirst | kMacLast, kN + 1, 1)};
  Beat many_rows = Header(kMac, kMacFirst | kMacLast, 1, 1);
  many_rows.bytes[3] = 1;
  bad.push_back(many_rows);
  for (const Beat& header : bad) {
    const auto chip = MakeRtlSystolic();
    EXPECT_THROW(chip->Run(Stream{header}), std::runtime_error);
    EXPECT_TRUE(chip->Outputs().error);
    EXPECT_FALSE(chip->Outputs().in_ready);
  }
  const auto chip = MakeRtlSystolic();
  chip->Run(Stream{Header(kMac, kMacFirst, 0, 1, kScratchRows - 1), Beat{std::vector<uint8_t>(kN)}});
  EXPECT_FALSE(chip->Outputs().error);
}

}  // namespace
}  // namespace edgewise::chip
