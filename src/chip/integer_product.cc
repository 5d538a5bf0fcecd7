#include "chip/integer_product.h"

#include <algorithm>
#include <vector>

#include "base/error.h"

namespace edgewise::chip {
namespace {

// Sums of so many products of int8 fit int32.
constexpr uint64_t kExact = 1 << 16;

// Left to the vectoriser, which turns int16 times int16 summed in int32 into multiply-adds of
// pairs.
[[gnu::always_inline]] inline int32_t ShortDot(const int16_t* a, const int8_t* w, uint64_t k) {
  int32_t sum = 0;
  for (uint64_t l = 0; l < k; ++l) sum += a[l] * static_cast<int16_t>(w[l]);
  return sum;
}

[[gnu::always_inline]] inline uint32_t DotOf(const int16_t* a, const int8_t* w, uint64_t k) {
  uint32_t sum = 0;
  for (uint64_t begin = 0; begin < k; begin += kExact) {
    sum += static_cast<uint32_t>(ShortDot(a + begin, w + begin, std::min(kExact, k - begin)));
  }
  return sum;
}

using DotFn = uint32_t (*)(const int16_t* a, const int8_t* w, uint64_t k);

uint32_t DotPlain(const int16_t* a, const int8_t* w, uint64_t k) { return DotOf(a, w, k); }

#if defined(__x86_64__)
__attribute__((target("avx2"))) uint32_t DotAvx2(const int16_t* a, const int8_t* w, uint64_t k) {
  return DotOf(a, w, k);
}
#endif

DotFn BestDot() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) return DotAvx2;
#endif
  return DotPlain;
}

uint32_t WideDot(const Integers& a, uint64_t i, const Integers& w, uint64_t j, uint64_t k) {
  uint32_t sum = 0;
  for (uint64_t l = 0; l < k; ++l) {
    sum += static_cast<uint32_t>(a.at(i, l)) * static_cast<uint32_t>(w.at(j, l));
  }
  return sum;
}

}  // namespace

void MultiplyIntegers(const Product& product, const Integers& a, const Integers& w,
                      const Results& c, ThreadPool& pool) {
  EDGEWISE_CHECK(product.n <= UINT32_MAX);
  const uint64_t k = product.k;
  const bool narrow = a.int8() != nullptr && w.int8() != nullptr;
  const DotFn dot = BestDot();
  std::vector<int16_t> wide_a(narrow ? product.m * k : 0);
  for (uint64_t i = 0; narrow && i < product.m; ++i) {
    std::copy_n(a.int8() + i * a.stride(), k, wide_a.data() + i * k);
  }
  // Some ten microseconds are worth handing out: 2^16 multiply-adds, of which a call is worth a
  // hundred.
  const auto grain =
      static_cast<uint32_t>(std::max<uint64_t>((1u << 16) / (product.m * (k + 100)), 1));
  pool.Run([&](Worker& worker) {
    worker.ForChunks(static_cast<uint32_t>(product.n), grain, [&](uint32_t begin, uint32_t end) {
      for (uint32_t j = begin; j < end; ++j) {
        for (uint64_t i = 0; i < product.m; ++i) {
          const uint32_t sum = narrow ? dot(wide_a.data() + i * k, w.int8() + j * w.stride(), k)
                                      : WideDot(a, i, w, j, k);
          c.row(i)[j] = static_cast<int32_t>(sum);
        }
      }
    });
  });
}

}  // namespace edgewise::chip
