// Products on random integers: computed tile by tile as a chip does, and at once as its oracle.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "base/units.h"
#include "chip/matrix.h"
#include "chip/tile_model.h"
#include "graph/workload.h"
#include "machine/chip.h"

namespace edgewise {

// Throws Error(kLimit) when the system has not so much memory: "`what` take 6.2 GiB, 3.1 GiB are available".
void CheckMemory(uint64_t bytes, const std::string& what);

// Uniform random integers of `bits` bits (2: ternary, so -1, 0 and 1), int8 when they fit. The same for any
// number of threads.
class RandomIntegers {
 public:
  RandomIntegers(uint64_t rows, uint64_t columns, uint32_t bits, uint64_t seed, ThreadPool& pool);
  static uint64_t Bytes(uint64_t rows, uint64_t columns, uint32_t bits);

  chip::Integers view() const;

 private:
  uint64_t columns_;
  std::vector<int8_t> int8_;
  std::vector<int32_t> int32_;
};

// A whole step on a synthetic int8 model of its shapes: weights of their own for every product, random. Every
// weight product and the head are executed tile by tile, then all once more by the plain integer product.
struct ExecutedStep {
  chip::TileCost cost;
  uint64_t tiles = 0, overflows = 0;
  uint64_t result_hash = 0, cpu_int_hash = 0;  // FNV-1a over the hashes of all products, in order
  Seconds wall, cpu_int_wall;                  // of the products only
  uint64_t weight_bytes = 0;
};
// Throws Error(kLimit) when the memory does not suffice; (kUnsupported) for a chip wider than int8 cannot
// happen: narrower values are drawn for narrower chips. Shows progress.
ExecutedStep ExecuteStep(const ChipDesign& design, const Workload& work, int threads, uint64_t seed);

}  // namespace edgewise
