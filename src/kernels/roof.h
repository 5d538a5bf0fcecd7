// Probes of what this machine can do at most: read memory, multiply and add. The shares of `bench`
// and the micro-benchmarks are shares of these, measured in the same run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/memory.h"
#include "base/thread_pool.h"
#include "kernels/kernels.h"

namespace edgewise::kernels {

// Independent multiply-adds on registers alone, on one thread. Their operands are known to no compiler
// pass, so that none is left out.
struct PeakLoop {
  const char* what;  // "vpdpbusd, 512 bits"
  uint64_t ops;      // of one call; a multiply-add counts twice
  void (*run)();     // a few microseconds
};
// 8-bit codes into 32-bit sums, with the instructions that the kernels of `isa` use; kPlain: 16-bit
// vectors of the baseline. Requires a supported isa.
PeakLoop IntegerPeakLoop(Isa isa);
// The same for codes of at most 6 bits: without dot-product instructions, several of their products may be
// added in 16 bits before they are widened (which is left out here: it comes once in 2 to 8 steps).
PeakLoop NarrowPeakLoop(Isa isa);
// 32-bit floats, fused where the instruction set has it.
PeakLoop FloatPeakLoop(Isa isa);

// The best of two milliseconds of IntegerPeakLoop on all workers, as RoofProbe has it: 10^9 operations a
// second.
double IntegerPeak(ThreadPool& pool);

// A reader sums all words of what it is given: `streams` (1, 2 or 4) stretches side by side, asking for
// lines `prefetch` bytes ahead of each (0: never). Which is fastest depends on the memory system.
struct Reader {
  int streams = 1;
  int prefetch = 0;
};
// Requires data.size() to be a multiple of 4096.
uint64_t ReadAll(std::span<const std::byte> data, const Reader& reader);

// Caches that the CPUs this process may run on share among them, from sysfs; empty where it does not say.
struct CacheLevel {
  int level;       // 1, 2, 3
  uint64_t bytes;  // of all instances together; instructions' caches are left out
  int instances;
};
std::vector<CacheLevel> DataCaches();

// What a probe reads: 4 times the last cache, so that most of it comes from memory in every pass; at most
// 1 GiB and a quarter of the memory that is free; at least 256 MiB, or one pass is too short to time.
uint64_t ProbeBytesFor(uint64_t last_cache, uint64_t available);

// What a machine reached, all workers of a team together.
struct Roof {
  double read_gb_s = 0;    // from memory
  double cached_gb_s = 0;  // from the cache that holds the bytes asked for; 0 where none does
  double int8_gops = 0;
  double narrow_gops = 0;  // of codes of at most 6 bits
  double f32_gops = 0;
};

// Owns what a measurement reads: random data, in the pages that the system gives unasked, as the mapped
// weights have them (huge ones were read 8% faster here).
class RoofProbe {
 public:
  // Throws Error(kLimit) where the system gives no memory.
  RoofProbe();
  // With all workers of the pool, for about a fifth of a second: the best of several short measurements.
  // resident: bytes that are read over and over, a model's weights; 0: no matter.
  Roof Measure(ThreadPool& pool, uint64_t resident);

  uint64_t bytes() const { return data_.size(); }
  // Whether a part of what is read could stay in a cache from one pass to the next. (A piece is read again
  // after all others were: twice the cache leave little of it even where lines are replaced at random.)
  bool fits_cache() const { return data_.size() < 2 * last_cache_; }

 private:
  AnonymousMemory data_;
  uint64_t last_cache_ = 0;
  size_t at_ = 0;  // where the next reader begins: it finds what was read longest ago
};

}  // namespace edgewise::kernels
