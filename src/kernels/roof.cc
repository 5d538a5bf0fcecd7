#include "kernels/roof.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <set>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "base/strings.h"
#include "base/system_memory.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace edgewise::kernels {
namespace {

constexpr uint64_t kLeastProbe = 256 << 20, kMostProbe = 1 << 30;
constexpr size_t kPieceBytes = 1 << 20;        // a worker's share at a time
constexpr size_t kCachedPieceBytes = 64 << 10;  // the same of what may be a few MiB in all
constexpr uint64_t kCachedBytes = 64 << 20;     // read in a measurement, or it is too short
constexpr int kPasses = 2;
constexpr uint32_t kPeakCalls = 400;     // about a millisecond each worker

// GB/s of these four on a Sapphire Rapids under KVM, 1 and 2 threads, pages of 4 KiB: 11.4 and 22.4,
// 14.5 and 22.5, 16.8 and 28.5, 15.2 and 29.1. Nearer prefetches reach less (4 streams, 512 bytes: 13.4
// and 26.9), 8 streams no more.
constexpr Reader kReaders[] = {{1, 0}, {4, 0}, {2, 2048}, {4, 2048}};

// Twelve sums hide a latency of 4 to 5 cycles at two instructions a cycle, and leave four of sixteen
// registers for operands.
constexpr int kSteps = 1000, kChains = 12;

std::atomic<uint64_t> sink;  // makes every result used

typedef uint64_t Words __attribute__((vector_size(16), may_alias));
typedef int16_t Shorts __attribute__((vector_size(16)));
typedef float Floats __attribute__((vector_size(16)));

template <int kStreams>
uint64_t ReadStreams(const std::byte* data, size_t bytes, int prefetch) {
  Words sums[kStreams] = {};
  const size_t part = bytes / kStreams;
  for (size_t i = 0; i < part; i += 64) {
    for (int s = 0; s < kStreams; ++s) {
      const std::byte* at = data + static_cast<size_t>(s) * part + i;
      if (prefetch != 0) __builtin_prefetch(at + prefetch);
      const auto* line = reinterpret_cast<const Words*>(at);
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
#define EDGEWISE_STEP(sum, a) _mm256_add_epi16(sum, _mm256_maddubs_epi16(a, a))
[[gnu::target("avx2")]] EDGEWISE_PEAK_LOOP(Avx2Narrow, __m256i, "x", EDGEWISE_STEP)
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

// GB/s of the whole team over `passes` of the data.
double ReadRate(ThreadPool& pool, std::span<const std::byte> data, size_t piece, uint32_t passes,
                const Reader& reader) {
  const auto pieces = static_cast<uint32_t>(data.size() / piece);
  const Seconds start = Now();
  pool.Run([&](Worker& worker) {
    uint64_t sum = 0;
    worker.ForChunks(pieces * passes, 1, [&](uint32_t begin, uint32_t) {
      sum += ReadAll(data.subspan(begin % pieces * piece, piece), reader);
    });
    sink += sum;
  });
  return Bytes(uint64_t{pieces} * piece * passes) / (Now() - start) / 1e9;
}

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

PeakLoop NarrowPeakLoop(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::kAvx2) return {"vpmaddubsw and 16-bit sums, 256 bits", Ops(32), Avx2Narrow};
#endif
  return IntegerPeakLoop(isa);
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

double IntegerPeak(ThreadPool& pool) {
  const PeakLoop loop = IntegerPeakLoop(Kernels().isa);
  double best = 0;
  for (int pass = 0; pass < kPasses; ++pass) best = std::max(best, PeakOf(pool, loop) / 1e9);
  return best;
}

uint64_t ReadAll(std::span<const std::byte> data, const Reader& reader) {
  EDGEWISE_CHECK(data.size() % 4096 == 0);
  switch (reader.streams) {
    case 1: return ReadStreams<1>(data.data(), data.size(), reader.prefetch);
    case 2: return ReadStreams<2>(data.data(), data.size(), reader.prefetch);
    default: EDGEWISE_CHECK(reader.streams == 4);
  }
  return ReadStreams<4>(data.data(), data.size(), reader.prefetch);
}

uint64_t ProbeBytesFor(uint64_t last_cache, uint64_t available) {
  const uint64_t wanted = std::min({4 * last_cache, kMostProbe, available / 4});
  return std::max(wanted, kLeastProbe) / kPieceBytes * kPieceBytes;
}

std::vector<CacheLevel> DataCaches() {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return {};
  std::set<std::pair<int, std::string>> seen;  // an instance is named by the CPUs that share it
  std::vector<CacheLevel> caches;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    for (int index = 0; index < 8; ++index) {
      const std::string folder =
          StrCat("/sys/devices/system/cpu/cpu", cpu, "/cache/index", index, "/");
      int level = 0;
      uint64_t kib = 0;  // the file says "491520K"
      std::string type, shared;
      if (!(std::ifstream(folder + "level") >> level)) break;
      std::ifstream(folder + "size") >> kib;
      std::ifstream(folder + "type") >> type;
      std::ifstream(folder + "shared_cpu_list") >> shared;
      if (type == "Instruction" || !seen.emplace(level, shared).second) continue;
      auto found = std::ranges::find(caches, level, &CacheLevel::level);
      if (found == caches.end()) found = caches.insert(found, {level, 0, 0});
      found->bytes += kib << 10;
      ++found->instances;
    }
  }
  std::ranges::sort(caches, {}, &CacheLevel::level);
  return caches;
}

RoofProbe::RoofProbe() {
  const std::vector<CacheLevel> caches = DataCaches();
  if (!caches.empty()) last_cache_ = caches.back().bytes;
  const auto memory = AvailableMemory();
  data_ = AnonymousMemory(ProbeBytesFor(last_cache_, memory ? memory->available : kMostProbe));
  // Written, or all pages would be the one page of zeros; different, or a machine could share them.
  auto* words = reinterpret_cast<uint64_t*>(data_.data());
  uint64_t x = 1;
  for (size_t i = 0; i < data_.size() / sizeof(uint64_t); ++i) {
    x = x * 6364136223846793005u + 1442695040888963407u;
    words[i] = x;
  }
}

Roof RoofProbe::Measure(ThreadPool& pool, uint64_t resident) {
  Roof roof;
  const Isa isa = Kernels().isa;
  const PeakLoop integers = IntegerPeakLoop(isa), narrow = NarrowPeakLoop(isa);
  const size_t share = data_.size() / std::size(kReaders) / kPieceBytes * kPieceBytes;
  for (int pass = 0; pass < kPasses; ++pass) {
    // Each reader takes the next share of the buffer, so that it finds what was read longest ago.
    for (const Reader& reader : kReaders) {
      const std::span<const std::byte> data(data_.data() + at_, share);
      at_ = (at_ + share) % (share * std::size(kReaders));
      roof.read_gb_s = std::max(roof.read_gb_s, ReadRate(pool, data, kPieceBytes, 1, reader));
    }
    roof.int8_gops = std::max(roof.int8_gops, PeakOf(pool, integers) / 1e9);
    roof.narrow_gops =
        std::max(roof.narrow_gops, narrow.run == integers.run ? roof.int8_gops : PeakOf(pool, narrow) / 1e9);
    roof.f32_gops = std::max(roof.f32_gops, PeakOf(pool, FloatPeakLoop(isa)) / 1e9);
  }
  // What nearly fills a cache is partly elsewhere.
  if (resident == 0 || resident > last_cache_ / 2 || resident > data_.size()) return roof;
  const uint64_t pieces = (resident + kCachedPieceBytes - 1) / kCachedPieceBytes;
  const std::span<const std::byte> data(data_.data(), pieces * kCachedPieceBytes);
  const auto passes = static_cast<uint32_t>(1 + kCachedBytes / data.size());
  ReadRate(pool, data, kCachedPieceBytes, 1, kReaders[0]);  // brings it there
  for (const Reader& reader : kReaders) {
    roof.cached_gb_s =
        std::max(roof.cached_gb_s, ReadRate(pool, data, kCachedPieceBytes, passes, reader));
  }
  return roof;
}

}  // namespace edgewise::kernels
