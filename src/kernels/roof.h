// Probes of what this machine can do at most: read memory, multiply and add. The shares of `bench`
// and the micro-benchmarks are shares of these, measured in the same run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

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
// 32-bit floats, fused where the instruction set has it.
PeakLoop FloatPeakLoop(Isa isa);

// Sums all words. Reads `streams` (1 or 4) stretches side by side: which is faster depends on the
// memory system. Requires data.size() to be a multiple of 4096.
uint64_t ReadAll(std::span<const std::byte> data, int streams);

// Best of several short measurements, all workers of a team together.
struct Roof {
  double read_gb_s = 0;  // memory that no cache holds
  double int8_gops = 0;
  double f32_gops = 0;
};

// Owns what a measurement reads: 256 MiB of random data, beyond any cache of today's CPUs but a few
// servers' (whose cache then serves a part: the figure is that of this buffer).
class RoofProbe {
 public:
  RoofProbe();
  // With all workers of the pool, for about a tenth of a second.
  Roof Measure(ThreadPool& pool) const;

 private:
  AnonymousMemory data_;
};

}  // namespace edgewise::kernels
