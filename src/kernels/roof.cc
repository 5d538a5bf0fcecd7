#include "kernels/roof.h"

#include <algorithm>
#include <atomic>

#include "base/clock.h"
#include "base/error.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace edgewise::kernels {
namespace {

constexpr size_t kProbeBytes = 256 << 20;
constexpr size_t kPieceBytes = 1 << 20;  // a worker's share at a time
constexpr int kReadPasses = 3;
constexpr uint32_t kPeakCalls = 400;     // about a millisecond each worker

// Twelve sums hide a latency of 4 to 5 cycles at two instructions a cycle, and leave four of sixteen
// registers for operands.
constexpr int kSteps = 1000, kChains = 12;

std::atomic<uint64_t> sink;  // makes every result used

typedef uint64_t Words __attribute__((vector_size(16), may_alias));
typedef int16_t Shorts __attribute__((vector_size(16)));
typedef float Floats __attribute__((vector_size(16)));

template <int kStreams>
uint64_t ReadStreams(const std::byte* data, size_t bytes) {
  Words sums[kStreams] = {};
  const size_t part = bytes / kStreams;
  for (size_t i = 0; i < part; i += 64) {
    for (int s = 0; s < kStreams; ++s) {
      const auto* line = reinterpret_cast<const Words*>(data + static_cast<size_t>(s) * part + i);
      sums[s] += (line[0] ^ line[1]) + (line[2] ^ line[3]);
    }
  }
  for (int s = 1; s < kStreams; ++s) sums[0] += sums[s];
  return sums[0][0] + sums[0][1];
}

// sums[c] = STEP(sums[c], a) over and over. The empty asm keeps a sum in its register and hides what
// it holds, so that no step is hoisted, merged or left out. A macro, because a template cannot carry
// an instruction set.
#define EDGEWISE_PEAK_LOOP(Name, Vector, Register, STEP)                         \
  void Name() {                                                                  \
    Vector sums[kChains] = {}, a = {};                                           \
    for (int i = 0; i < kSteps; ++i) {                                           \
      _Pragma("GCC unroll 12") for (int c = 0; c < kChains; ++c) {               \
        __asm__("" : "+" Register(a));                                           \
        sums[c] = STEP(sums[c], a);                                              \
        __asm__("" : "+" Register(sums[c]));                                     \
      }                                                                          \
    }                                                                            \
    _Pragma("GCC unroll 12") for (int c = 0; c < kChains; ++c) {                 \
      __asm__ volatile("" : : Register(sums[c]));                                \
    }                                                                            \
  }

#if defined(__x86_64__)
#define EDGEWISE_REGISTER "x"
#elif defined(__aarch64__)
#define EDGEWISE_REGISTER "w"
#else
#define EDGEWISE_REGISTER "m"
#endif

#define EDGEWISE_STEP(sum, a) ((a) * (a) + (sum))
EDGEWISE_PEAK_LOOP(BaselineIntegers, Shorts, EDGEWISE_REGISTER, EDGEWISE_STEP)
EDGEWISE_PEAK_LOOP(BaselineFloats, Floats, EDGEWISE_REGISTER, EDGEWISE_STEP)
#undef EDGEWISE_STEP

constexpr uint64_t Ops(int macs_per_step) { return 2ull * kSteps * kChains * macs_per_step; }

#if defined(__x86_64__)
#define EDGEWISE_STEP(sum, a) \
  _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(a, a), _mm256_set1_epi16(1)))
[[gnu::target("avx2")]] EDGEWISE_PEAK_LOOP(Avx2Integers, __m256i, "x", EDGEWISE_STEP)
#undef EDGEWISE_STEP
#define EDGEWISE_STEP(sum, a) _mm256_dpbusd_avx_epi32(sum, a, a)
[[gnu::target("avx2,avxvnni")]] EDGEWISE_PEAK_LOOP(AvxVnniIntegers, __m256i, "x", EDGEWISE_STEP)
#undef EDGEWISE_STEP
#define EDGEWISE_STEP(sum, a) _mm512_dpbusd_epi32(sum, a, a)
[[gnu::target("avx512f,avx512vnni")]] EDGEWISE_PEAK_LOOP(Avx512Integers, __m512i, "v",
                                                         EDGEWISE_STEP)
#undef EDGEWISE_STEP
#define EDGEWISE_STEP(sum, a) _mm256_fmadd_ps(a, a, sum)
[[gnu::target("avx2,fma")]] EDGEWISE_PEAK_LOOP(Avx2Floats, __m256, "x", EDGEWISE_STEP)
#undef EDGEWISE_STEP
#define EDGEWISE_STEP(sum, a) _mm512_fmadd_ps(a, a, sum)
[[gnu::target("avx512f")]] EDGEWISE_PEAK_LOOP(Avx512Floats, __m512, "v", EDGEWISE_STEP)
#undef EDGEWISE_STEP
#endif
#undef EDGEWISE_PEAK_LOOP
#undef EDGEWISE_REGISTER

// Operations per second of the whole team.
double PeakOf(ThreadPool& pool, const PeakLoop& loop) {
  const uint32_t calls = kPeakCalls * static_cast<uint32_t>(pool.threads());
  const Seconds start = Now();
  pool.Run([&](Worker& worker) {
    worker.ForChunks(calls, 8, [&](uint32_t begin, uint32_t end) {
      for (uint32_t i = begin; i < end; ++i) loop.run();
    });
  });
  return Flops(loop.ops * calls) / (Now() - start);
}

}  // namespace

PeakLoop IntegerPeakLoop(Isa isa) {
  EDGEWISE_CHECK(std::ranges::count(SupportedIsas(), isa) == 1);
#if defined(__x86_64__)
  switch (isa) {
    case Isa::kAvx2: return {"vpmaddubsw and vpmaddwd, 256 bits", Ops(32), Avx2Integers};
    case Isa::kAvx2Vnni: return {"vpdpbusd, 256 bits", Ops(32), AvxVnniIntegers};
    case Isa::kAvx512Vnni: return {"vpdpbusd, 512 bits", Ops(64), Avx512Integers};
    default: break;
  }
#endif
  return {"16-bit multiply and add, 128 bits", Ops(8), BaselineIntegers};
}

PeakLoop FloatPeakLoop(Isa isa) {
  EDGEWISE_CHECK(std::ranges::count(SupportedIsas(), isa) == 1);
#if defined(__x86_64__)
  switch (isa) {
    case Isa::kAvx2:
    case Isa::kAvx2Vnni: return {"fused multiply-add, 256 bits", Ops(8), Avx2Floats};
    case Isa::kAvx512Vnni: return {"fused multiply-add, 512 bits", Ops(16), Avx512Floats};
    default: break;
  }
#endif
  return {"multiply and add, 128 bits", Ops(4), BaselineFloats};
}

uint64_t ReadAll(std::span<const std::byte> data, int streams) {
  EDGEWISE_CHECK(data.size() % 4096 == 0 && (streams == 1 || streams == 4));
  return streams == 1 ? ReadStreams<1>(data.data(), data.size())
                      : ReadStreams<4>(data.data(), data.size());
}

RoofProbe::RoofProbe() : data_(kProbeBytes) {
  // Written, or all pages would be the one page of zeros; different, or a machine could share them.
  auto* words = reinterpret_cast<uint64_t*>(data_.data());
  uint64_t x = 1;
  for (size_t i = 0; i < kProbeBytes / sizeof(uint64_t); ++i) {
    x = x * 6364136223846793005u + 1442695040888963407u;
    words[i] = x;
  }
}

Roof RoofProbe::Measure(ThreadPool& pool) const {
  Roof roof;
  const std::span<const std::byte> data(data_.data(), data_.size());
  for (int pass = 0; pass < kReadPasses; ++pass) {
    for (const int streams : {1, 4}) {
      const Seconds start = Now();
      pool.Run([&](Worker& worker) {
        uint64_t sum = 0;
        worker.ForChunks(kProbeBytes / kPieceBytes, 1, [&](uint32_t begin, uint32_t) {
          sum += ReadAll(data.subspan(begin * kPieceBytes, kPieceBytes), streams);
        });
        sink += sum;
      });
      roof.read_gb_s = std::max(roof.read_gb_s, Bytes(kProbeBytes) / (Now() - start) / 1e9);
    }
    const Isa isa = Kernels().isa;
    roof.int8_gops = std::max(roof.int8_gops, PeakOf(pool, IntegerPeakLoop(isa)) / 1e9);
    roof.f32_gops = std::max(roof.f32_gops, PeakOf(pool, FloatPeakLoop(isa)) / 1e9);
  }
  return roof;
}

}  // namespace edgewise::kernels
