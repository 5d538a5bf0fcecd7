// The plain integer product: the oracle of the tile model, and the arithmetic of --backend cpu-int.
// It knows no tiles and shares no code with what does.
#pragma once

#include "base/thread_pool.h"
#include "chip/matrix.h"
#include "chip/tiler.h"

namespace edgewise::chip {

// C = A W^T, each output one dot product; sums wrap at 32 bits. int8: 16 multiply-adds an
// instruction with AVX2; one row of A is bound by reading W.
void MultiplyIntegers(const Product& product, const Integers& a, const Integers& w,
                      const Results& c, ThreadPool& pool);

}  // namespace edgewise::chip
