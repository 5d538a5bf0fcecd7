// The arithmetic of tiles in registers: blocks of up to 8 rows of A, 8 of W, 8 of k.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace edgewise::chip {

inline constexpr uint32_t kBlockSide = 8;

struct BlockRun {
  const int16_t* a;  // rows x 8 blocks
  size_t a_stride;
  const int8_t* w;  // 8 rows x 8 blocks
  size_t w_stride;
  uint64_t blocks;  // along k
  uint32_t* sums;   // [rows][8]
  uint32_t rows;    // 1..8
};

// sums[i][j] += sum over k of a[i, k] w[j, k], modulo 2^32, block by block; returns the blocks
// executed. Reads exactly these a and w, at any alignment. 8 rows: 14 multiply-adds a cycle with
// AVX2, one: bound by reading W.
struct BlockKernel {
  const char* name;
  uint64_t (*run)(const BlockRun&);
};

// What this CPU can run, best first; all give the same bits.
std::span<const BlockKernel> BlockKernels();

}  // namespace edgewise::chip
