// Attention tiles and rows of the KV cache, for every instruction set that runs here.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>

#include "kernels/kv_row.h"
#include "kernels/test_data.h"
#include "quant/kv_type.h"

namespace edgewise::kernels {
namespace {

constexpr DType kKvTypes[] = {DType::kF32, DType::kF16, DType::kQ8_0, DType::kQ4_0};
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// A cache of one head: the last row ends at a forbidden page.
struct Cache {
  Cache(DType kv_type, uint32_t positions, uint32_t head_dim, const KernelTable& kernels,
        Random& random)
      : type(kv_type), stride(KvRowBytes(type, head_dim)), bytes(positions * stride) {
    for (uint32_t t = 0; t < positions; ++t) {
      const std::vector<float> x = NormalFloats(head_dim, random);
      kernels.encode_kv_row(type, x.data(), head_dim, bytes.data() + t * stride);
    }
  }
  const std::byte* Row(uint32_t t) const { return bytes.data() + t * stride; }
  std::vector<double> Decode(uint32_t t, uint32_t head_dim) const {
    std::vector<float> row(head_dim);
    DecodeKvRow(type, Row(t), head_dim, row.data());
    return {row.begin(), row.end()};
  }

  DType type;
  size_t stride;
  GuardedBytes bytes;
};

// The state of `rows` rows, at first without meaning.
struct State {
  State(uint32_t rows, uint32_t head_dim)
      : max(rows, std::nanf("")), sum(rows, std::nanf("")), acc(sizeof(float) * rows * AttentionPadded(head_dim)) {
    std::memset(acc.data(), 0xff, acc.size());
    view = {max.data(), sum.data(), reinterpret_cast<float*>(acc.data()), AttentionPadded(head_dim)};
  }
  std::vector<float> Result(uint32_t rows, uint32_t head_dim) const {
    std::vector<float> result;
    for (uint32_t r = 0; r < rows; ++r) {
      for (uint32_t i = 0; i < head_dim; ++i) {
        result.push_back(view.acc[r * view.acc_stride + i] / view.sum[r]);
      }
    }
    return result;
  }

  std::vector<float> max, sum;
  GuardedBytes acc;
  AttentionState view;
};

struct Attention {
  Attention(uint32_t row_count, uint32_t length, uint32_t dim, DType k_type, DType v_type,
            const KernelTable& kernels)
      : rows(row_count),
        positions(length),
        head_dim(dim),
        random(length * 7 + dim),
        k(k_type, positions, head_dim, kernels, random),
        v(v_type, positions, head_dim, kernels, random),
        q(NormalFloats(size_t{rows} * head_dim, random, 2.0f / std::sqrt(float(head_dim)))),
        begin(rows, 0),
        end(rows, positions) {}

  // The result acc / sum of rows first .. first + count, over all spans; each in memory of its own, at
  // whose end lies a forbidden page.
  std::vector<float> Run(const KernelTable& kernels, uint32_t first, uint32_t count) const {
    const State attended(count, head_dim), span(count, head_dim);
    const GuardedBytes scratch(AttentionScratchFloats(head_dim, count) * sizeof(float));
    std::memset(scratch.data(), 0xff, scratch.size());  // NaN: nothing stale may count
    for (uint32_t t = 0; t < positions; t += kKvSpan) {
      const uint32_t length = std::min(kKvSpan, positions - t);
      std::vector<uint32_t> from(count), to(count);
      for (uint32_t r = 0; r < count; ++r) {
        from[r] = std::clamp(begin[first + r], t, t + length) - t;
        to[r] = std::clamp(end[first + r], t, t + length) - t;
      }
      kernels.attention(k.type, v.type,
                        {.q = q.data() + size_t{first} * head_dim,
                         .q_stride = head_dim,
                         .k = k.Row(t),
                         .k_stride = k.stride,
                         .v = v.Row(t),
                         .v_stride = v.stride,
                         .begin = from.data(),
                         .end = to.data(),
                         .state = t == 0 ? attended.view : span.view,
                         .scratch = reinterpret_cast<float*>(scratch.data()),
                         .rows = count,
                         .positions = length,
                         .head_dim = head_dim});
      if (t != 0) kernels.merge_attention(attended.view, span.view, count, head_dim);
    }
    return attended.Result(count, head_dim);
  }

  std::vector<double> Naive(uint32_t r) const {
    std::vector<double> scores(positions, -INFINITY);
    for (uint32_t t = begin[r]; t < end[r]; ++t) {
      const std::vector<double> key = k.Decode(t, head_dim);
      scores[t] = 0;
      for (uint32_t i = 0; i < head_dim; ++i) scores[t] += q[size_t{r} * head_dim + i] * key[i];
    }
    const double top = *std::max_element(scores.begin(), scores.end());
    double total = 0;
    std::vector<double> result(head_dim, 0.0);
    for (uint32_t t = begin[r]; t < end[r]; ++t) {
      const double weight = std::exp2(scores[t] - top);
      total += weight;
      const std::vector<double> value = v.Decode(t, head_dim);
      for (uint32_t i = 0; i < head_dim; ++i) result[i] += weight * value[i];
    }
    for (double& x : result) x /= total;
    return result;
  }

  uint32_t rows, positions, head_dim;
  Random random;
  Cache k, v;
  std::vector<float> q;
  std::vector<uint32_t> begin, end;
};

class AttentionTest : public testing::TestWithParam<Isa> {
 protected:
  const KernelTable& kernels() const { return KernelsFor(GetParam()); }
};

TEST_P(AttentionTest, EqualsANaiveSoftmaxForEveryKvTypeAndHeadSize) {
  for (uint32_t head_dim : {8, 32, 64, 80, 100, 128}) {
    for (DType k_type : kKvTypes) {
      for (DType v_type : kKvTypes) {
        Attention a(5, 150, head_dim, k_type, v_type, kernels());
        // Causal, windowed, one key, all keys, a range that only touches the second tile.
        a.end = {146, 147, 1, 150, 120};
        a.begin = {0, 100, 0, 0, 70};
        const std::vector<float> result = a.Run(kernels(), 0, a.rows);
        for (uint32_t r = 0; r < a.rows; ++r) {
          const std::vector<double> expected = a.Naive(r);
          for (uint32_t i = 0; i < head_dim; ++i) {
            // A score is a chain of head_dim multiply-adds whose terms' magnitudes add up to below
            // 16 here: an absolute error of 16 * 128 * 2^-24 at most, about 2e-6 in practice, which
            // is the relative error of a weight; values are below 4.5. Then sums of 150 weights.
            ASSERT_NEAR(result[size_t{r} * head_dim + i], expected[i], 2e-5)
                << NameOf(k_type) << " " << NameOf(v_type) << " head " << head_dim << " row " << r;
          }
        }
      }
    }
  }
}

TEST_P(AttentionTest, MergesSpansIntoTheSoftmaxOverAll) {
  Attention a(6, 2 * kKvSpan + 100, 64, DType::kF16, DType::kF16, kernels());
  const uint32_t all = a.positions;
  // All, up to a boundary, from a boundary, only the last span, around a boundary, one key.
  a.begin = {0, 0, kKvSpan, 2 * kKvSpan + 3, kKvSpan - 5, 2 * kKvSpan};
  a.end = {all, kKvSpan, all, all, kKvSpan + 5, 2 * kKvSpan + 1};
  const std::vector<float> result = a.Run(kernels(), 0, a.rows);
  for (uint32_t r = 0; r < a.rows; ++r) {
    const std::vector<double> expected = a.Naive(r);
    for (uint32_t i = 0; i < 64; ++i) ASSERT_NEAR(result[r * 64 + i], expected[i], 2e-5) << "row " << r;
  }
}

TEST_P(AttentionTest, ARowsBitsDoNotDependOnItsNeighbours) {
  const uint32_t shift = kKvSpan - 50;  // to either side of a span's end
  for (uint32_t head_dim : {8, 64, 100}) {
    Attention a(64, shift + 100, head_dim, DType::kF16, DType::kQ8_0, kernels());
    for (uint32_t r = 0; r < a.rows; ++r) {
      a.end[r] = r % 7 == 3 ? 0 : shift + 36 + r;  // causal, with empty rows among them
      a.begin[r] = r % 3 == 0 ? 0 : shift + r / 2;
    }
    const std::vector<float> all = a.Run(kernels(), 0, a.rows);
    for (uint32_t count : {1, 2, 3, 4, 7, 8}) {
      for (uint32_t first = 0; first + count <= a.rows; first += count) {
        const std::vector<float> some = a.Run(kernels(), first, count);
        ASSERT_EQ(std::memcmp(some.data(), all.data() + size_t{first} * head_dim,
                              some.size() * sizeof(float)),
                  0)
            << count << " rows from " << first << ", head " << head_dim;
      }
    }
  }
}

TEST_P(AttentionTest, ARowWithoutKeysHasAnEmptyStateThatMergesToNothing) {
  Attention a(3, 20, 32, DType::kF32, DType::kF32, kernels());
  const std::vector<uint32_t> begin = {5, 0, 20}, end = {5, 20, 20};
  const State state(3, 32);
  std::vector<float> scratch(AttentionScratchFloats(32, 3));
  kernels().attention(DType::kF32, DType::kF32,
                      {.q = a.q.data(),
                       .q_stride = 32,
                       .k = a.k.Row(0),
                       .k_stride = a.k.stride,
                       .v = a.v.Row(0),
                       .v_stride = a.v.stride,
                       .begin = begin.data(),
                       .end = end.data(),
                       .state = state.view,
                       .scratch = scratch.data(),
                       .rows = 3,
                       .positions = 20,
                       .head_dim = 32});
  for (const uint32_t r : {0, 2}) {
    EXPECT_EQ(state.max[r], -kInfinity);
    EXPECT_EQ(state.sum[r], 0.0f);
    for (uint32_t i = 0; i < 32; ++i) EXPECT_EQ(state.view.acc[r * 32 + i], 0.0f);
  }
  // Before or after it, row 1 keeps its bits.
  const std::vector<float> row(state.view.acc + 32, state.view.acc + 64);
  const float max = state.max[1], sum = state.sum[1];
  kernels().merge_attention(state.view.From(1), state.view.From(2), 1, 32);
  kernels().merge_attention(state.view.From(0), state.view.From(1), 1, 32);
  for (const uint32_t r : {0, 1}) {
    EXPECT_EQ(state.max[r], max);
    EXPECT_EQ(state.sum[r], sum);
    EXPECT_EQ(std::memcmp(row.data(), state.view.acc + r * 32, 32 * sizeof(float)), 0);
  }
}

// A broken value outside a row's range must not reach it through a neighbour that may see it.
TEST_P(AttentionTest, AnInfiniteValueStaysWithTheRowsThatSeeIt) {
  Attention a(4, 16, 32, DType::kF32, DType::kF32, kernels());
  std::vector<float> broken(32, kInfinity);
  kernels().encode_kv_row(DType::kF32, broken.data(), 32, a.v.bytes.data() + 10 * a.v.stride);
  a.end = {10, 11, 16, 9};
  const std::vector<float> result = a.Run(kernels(), 0, 4);
  EXPECT_TRUE(std::isfinite(result[0]));
  EXPECT_FALSE(std::isfinite(result[32]));
  EXPECT_FALSE(std::isfinite(result[64]));
  EXPECT_TRUE(std::isfinite(result[96]));
}

// Two keys with scores 0 and x: the sum is 1 + 2^x, and with the values 0 and 1 acc is 2^x itself.
TEST_P(AttentionTest, Exp2IsAccurateOverItsWholeRange) {
  constexpr uint32_t kDim = 16;
  std::vector<float> keys(2 * kDim, 0.0f), values(2 * kDim, 0.0f), q(kDim, 0.0f);
  keys[kDim] = values[kDim] = 1.0f;
  const uint32_t begin = 0, end = 2;
  const State state(1, kDim);
  std::vector<float> scratch(AttentionScratchFloats(kDim, 1));
  const auto exp2_of = [&](float x) {
    q[0] = x;
    kernels().attention(DType::kF32, DType::kF32,
                        {.q = q.data(),
                         .q_stride = kDim,
                         .k = reinterpret_cast<const std::byte*>(keys.data()),
                         .k_stride = kDim * sizeof(float),
                         .v = reinterpret_cast<const std::byte*>(values.data()),
                         .v_stride = kDim * sizeof(float),
                         .begin = &begin,
                         .end = &end,
                         .state = state.view,
                         .scratch = scratch.data(),
                         .rows = 1,
                         .positions = 2,
                         .head_dim = kDim});
    EXPECT_EQ(state.max[0], 0.0f);
    EXPECT_EQ(state.sum[0], 1.0f + state.view.acc[0]);
    return state.view.acc[0];
  };
  double worst = 0;
  for (int i = 0; i < 100000; ++i) {
    const float x = -126.0f * static_cast<float>(i) / 100000.0f;
    worst = std::max(worst, std::abs(exp2_of(x) / std::exp2(double{x}) - 1));
  }
  EXPECT_LT(worst, 2e-7);
  EXPECT_EQ(exp2_of(0.0f), 1.0f);
  EXPECT_EQ(exp2_of(-1.0f), 0.5f);
  EXPECT_EQ(exp2_of(-200.0f), 0.0f);
  for (const float x : {-126.25f, -126.75f, -140.0f}) {
    EXPECT_NEAR(exp2_of(x), 0.0f, std::ldexp(1.0, -126));
  }
}

TEST_P(AttentionTest, KvRowsRoundAsStatedAndAsThePlainKernelsDo) {
  Random random(5);
  for (uint32_t head_dim : {1, 8, 31, 32, 33, 80, 100, 128}) {
    const std::vector<float> x = NormalFloats(head_dim, random);
    for (DType type : kKvTypes) {
      const GuardedBytes row(KvRowBytes(type, head_dim)), plain(KvRowBytes(type, head_dim));
      kernels().encode_kv_row(type, x.data(), head_dim, row.data());
      KernelsFor(Isa::kPlain).encode_kv_row(type, x.data(), head_dim, plain.data());
      EXPECT_EQ(std::memcmp(row.data(), plain.data(), row.size()), 0) << NameOf(type);
      std::vector<float> decoded(head_dim);
      DecodeKvRow(type, row.data(), head_dim, decoded.data());
      for (uint32_t i = 0; i < head_dim; ++i) {
        const uint32_t first = i / 32 * 32, last = std::min(first + 32, head_dim);
        float amax = 0;
        for (uint32_t l = first; l < last; ++l) amax = std::max(amax, std::abs(x[l]));
        // Half a step, or in Q4_0 a whole one at the end that the extreme value does not occupy;
        // and the rounding of the f16 scale, 2^-11 of amax at most.
        const double step = type == DType::kQ8_0 ? amax / 127 / 2 : amax / 8;
        const double error = type == DType::kF32   ? 0
                             : type == DType::kF16 ? std::abs(x[i]) * std::ldexp(1.0, -11)
                                                   : step * 1.0001 + amax * std::ldexp(1.0, -11);
        ASSERT_NEAR(decoded[i], x[i], error) << NameOf(type) << " " << head_dim;
      }
    }
  }
}

TEST_P(AttentionTest, KvRowsShowNanAndInfinityAndFlushTinyBlocks) {
  for (DType type : {DType::kQ8_0, DType::kQ4_0}) {
    for (float bad : {std::nanf(""), kInfinity, -kInfinity}) {
      std::vector<float> x(48, 1.0f), decoded(48);
      x[3] = bad;
      const GuardedBytes row(KvRowBytes(type, 48));
      kernels().encode_kv_row(type, x.data(), 48, row.data());
      DecodeKvRow(type, row.data(), 48, decoded.data());
      EXPECT_TRUE(std::isnan(decoded[0])) << NameOf(type);
      EXPECT_NEAR(decoded[40], 1.0f, 1e-3) << NameOf(type);
    }
    std::vector<float> tiny(32, 1e-40f), decoded(32);
    const GuardedBytes row(KvRowBytes(type, 32));
    kernels().encode_kv_row(type, tiny.data(), 32, row.data());
    DecodeKvRow(type, row.data(), 32, decoded.data());
    EXPECT_EQ(decoded, std::vector<float>(32, 0.0f));
  }
}

// Ties, the edge to subnormals and among them, the edge to infinity, payloads; in whole vectors and tails.
TEST_P(AttentionTest, F16RowsRoundToNearestEvenFromEndToEnd) {
  std::vector<float> values = {0.0f, 0x1p-24f, 0x1p-25f, 0x1.8p-25f, 0x1.8p-24f, 0x1p-14f, 0x1.ffep-15f,
                               0x1.ffcp-15f, 0x1.002p0f, 0x1.006p0f, 0x1.0020002p0f, 0x1.001p0f, 65504.0f,
                               65519.996f, 65520.0f, 1e30f, 1e-30f, kInfinity, std::nanf(""),
                               std::nanf("0x155555")};
  for (size_t i = 0, count = values.size(); i < count; ++i) values.push_back(-values[i]);
  for (uint32_t head_dim = 1; head_dim <= 36; ++head_dim) {
    for (size_t first = 0; first < values.size(); ++first) {
      std::vector<float> x(head_dim);
      for (uint32_t i = 0; i < head_dim; ++i) x[i] = values[(first + i) % values.size()];
      const GuardedBytes row(KvRowBytes(DType::kF16, head_dim));
      kernels().encode_kv_row(DType::kF16, x.data(), head_dim, row.data());
      for (uint32_t i = 0; i < head_dim; ++i) {
        uint16_t half;
        std::memcpy(&half, row.data() + 2 * i, sizeof half);
        ASSERT_EQ(half, F32ToF16(x[i])) << x[i] << " at " << i << " of " << head_dim;
      }
    }
  }
}

TEST_P(AttentionTest, NanAndInfinityInTheCacheReachTheResult) {
  for (uint32_t head_dim : {32, 36, 64}) {
    for (DType type : kKvTypes) {
      for (float bad : {std::nanf(""), kInfinity}) {
        const auto first_value = [&](bool in_key) {
          Attention a(1, 20, head_dim, type, type, kernels());
          std::vector<float> x(head_dim, 1.0f);
          x[0] = bad;
          const Cache& cache = in_key ? a.k : a.v;
          kernels().encode_kv_row(type, x.data(), head_dim, cache.bytes.data() + 7 * cache.stride);
          return a.Run(kernels(), 0, 1)[0];
        };
        EXPECT_FALSE(std::isfinite(first_value(false))) << NameOf(type) << " " << head_dim;
        if (std::isinf(bad)) continue;  // such a key only weighs all or nothing, where it is not rounded
        EXPECT_TRUE(std::isnan(first_value(true))) << NameOf(type) << " " << head_dim;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Table, AttentionTest,
                         testing::ValuesIn(SupportedIsas().begin(), SupportedIsas().end()),
                         [](const auto& info) { return NameOf(info.param); });

}  // namespace
}  // namespace edgewise::kernels
