// Exact arithmetic of a product, tile by tile. Sums modulo 2^32 do not depend on their order, so
// tiles are executed in the order that suits caches: a strip of 8 outputs along all of k, for each
// row block.
#include <algorithm>
#include <atomic>
#include <vector>

#include "base/error.h"
#include "chip/tile_kernel.h"
#include "chip/tile_model.h"

namespace edgewise::chip {
namespace {

uint64_t RoundUp(uint64_t value, uint64_t to) { return (value + to - 1) / to * to; }

class Int8Tiles {
 public:
  Int8Tiles(const Tiling& t, const Integers& a, const Integers& w, const Results& c)
      : t_(t),
        a_(a),
        w_(w),
        c_(c),
        kernel_(BlockKernels().front()),
        padded_k_(RoundUp(t.operand_k, kBlockSide)),
        strips_per_tile_((t.cols + kBlockSide - 1) / kBlockSide),
        tile_k_(uint64_t{t.depth} * (t.half_k() ? 2 : 1)),
        wide_a_(t.product.m * padded_k_) {}

  void Run(Worker& worker) {
    const Product& p = t_.product;
    worker.ForChunks(static_cast<uint32_t>(p.m), 8, [&](uint32_t begin, uint32_t end) {
      for (uint32_t i = begin; i < end; ++i) {
        std::copy_n(a_.int8() + i * a_.stride(), t_.operand_k, wide_a_.data() + i * padded_k_);
      }
    });
    // Some ten microseconds are worth handing out: 2^16 multiply-adds, of which a call is worth a
    // thousand.
    const uint64_t strip_macs = p.m * (padded_k_ * kBlockSide + 1024 / kBlockSide) + 1024;
    const auto grain = static_cast<uint32_t>(std::max<uint64_t>((1u << 16) / strip_macs, 1));
    std::vector<int8_t> padded;
    worker.ForChunks(static_cast<uint32_t>(t_.column_tiles * strips_per_tile_), grain,
                     [&](uint32_t begin, uint32_t end) {
                       uint64_t tiles = 0;
                       for (uint32_t strip = begin; strip < end; ++strip)
                         tiles += Strip(strip, padded);
                       tiles_.fetch_add(tiles, std::memory_order_relaxed);
                     });
  }

  uint64_t tiles() const { return tiles_.load(); }

 private:
  // Outputs of one strip, all rows. Returns the tiles whose last strip this is.
  uint64_t Strip(uint64_t strip, std::vector<int8_t>& padded) {
    const uint64_t column_tile = strip / strips_per_tile_, in_tile = strip % strips_per_tile_;
    const uint64_t tile_begin = column_tile * t_.cols, begin = tile_begin + in_tile * kBlockSide;
    const uint64_t tile_end = std::min<uint64_t>(tile_begin + t_.cols, t_.product.n);
    const uint64_t columns =
        begin < tile_end ? std::min<uint64_t>(tile_end - begin, kBlockSide) : 0;
    const int8_t* w = columns == 0 ? nullptr : w_.int8() + begin * w_.stride();
    size_t stride = w_.stride();
    if (columns < kBlockSide || padded_k_ != t_.operand_k) {
      padded.assign(kBlockSide * padded_k_, 0);
      for (uint64_t j = 0; j < columns; ++j) {
        std::copy_n(w + j * stride, t_.operand_k, padded.data() + j * padded_k_);
      }
      w = padded.data();
      stride = padded_k_;
    }
    uint64_t tiles = 0;
    for (uint64_t row_block = 0; row_block < t_.row_blocks; ++row_block) {
      const uint64_t row0 = row_block * t_.rows;
      uint64_t tiles_here = 0;
      for (uint32_t i = 0; i < t_.RowsOf(row_block); i += kBlockSide) {
        const uint32_t rows = std::min(t_.RowsOf(row_block) - i, kBlockSide);
        uint32_t sums[kBlockSide * kBlockSide];
        std::fill_n(sums, rows * kBlockSide, 0);
        const BlockRun run = {wide_a_.data() + (row0 + i) * padded_k_,
                              padded_k_,
                              w,
                              stride,
                              padded_k_ / kBlockSide,
                              sums,
                              rows};
        tiles_here = Tiles(run, column_tile);
        for (uint32_t r = 0; r < rows; ++r) {
          for (uint64_t j = 0; j < columns; ++j) {
            c_.row(row0 + i + r)[begin + j] = static_cast<int32_t>(sums[r * kBlockSide + j]);
          }
        }
      }
      if (in_tile + 1 == strips_per_tile_) tiles += tiles_here;
    }
    return tiles;
  }

  // The tiles of one column tile along k, without those that are left out.
  uint64_t Tiles(const BlockRun& all, uint64_t column_tile) const {
    if (tile_k_ % kBlockSide != 0) {  // tiles share blocks: what is left out is zero anyway
      kernel_.run(all);
      uint64_t tiles = 0;
      for (uint64_t k = 0; k < t_.k_tiles; ++k) tiles += !t_.Skips(column_tile, k);
      return tiles;
    }
    const uint64_t blocks_of_tile = tile_k_ / kBlockSide;
    uint64_t tiles = 0;
    for (uint64_t k = 0; k < t_.k_tiles;) {
      if (t_.Skips(column_tile, k)) {
        ++k;
        continue;
      }
      uint64_t end = t_.skip_zero_tiles ? k + 1 : t_.k_tiles;
      while (end < t_.k_tiles && !t_.Skips(column_tile, end)) ++end;
      BlockRun run = all;
      run.a += k * tile_k_;
      run.w += k * tile_k_;
      run.blocks = std::min(end * blocks_of_tile, all.blocks) - k * blocks_of_tile;
      tiles += (kernel_.run(run) + blocks_of_tile - 1) / blocks_of_tile;
      k = end;
    }
    return tiles;
  }

  const Tiling& t_;
  const Integers &a_, &w_;
  const Results& c_;
  const BlockKernel kernel_;
  const uint64_t padded_k_;
  const uint64_t strips_per_tile_, tile_k_;
  std::vector<int16_t> wide_a_;  // [m][padded_k_]
  std::atomic<uint64_t> tiles_{0};
};

// Values of 32 bits: the documented chip's own range, for products of its size.
uint64_t ExecuteWide(const Tiling& t, const Integers& a, const Integers& w, const Results& c) {
  const uint64_t tile_k = uint64_t{t.depth} * (t.half_k() ? 2 : 1);
  uint64_t tiles = 0;
  for (uint64_t i = 0; i < t.product.m; ++i) std::fill_n(c.row(i), t.product.n, 0);
  for (uint64_t row_block = 0; row_block < t.row_blocks; ++row_block) {
    const uint64_t row0 = row_block * t.rows;
    for (uint64_t column_tile = 0; column_tile < t.column_tiles; ++column_tile) {
      const uint64_t column0 = column_tile * t.cols;
      const uint64_t column_end = std::min<uint64_t>(column0 + t.cols, t.product.n);
      for (uint64_t k_tile = 0; k_tile < t.k_tiles; ++k_tile) {
        if (t.Skips(column_tile, k_tile)) continue;
        ++tiles;
        const uint64_t k_end = std::min((k_tile + 1) * tile_k, t.operand_k);
        for (uint64_t i = row0; i < row0 + t.RowsOf(row_block); ++i) {
          for (uint64_t j = column0; j < column_end; ++j) {
            auto sum = static_cast<uint32_t>(c.row(i)[j]);
            for (uint64_t k = k_tile * tile_k; k < k_end; ++k) {
              sum += static_cast<uint32_t>(a.at(i, k)) * static_cast<uint32_t>(w.at(j, k));
            }
            c.row(i)[j] = static_cast<int32_t>(sum);
          }
        }
      }
    }
  }
  return tiles;
}

}  // namespace

uint64_t ExecuteTiles(const Tiling& tiling, const Integers& a, const Integers& w, const Results& c,
                      ThreadPool& pool) {
  if (a.int8() == nullptr || w.int8() == nullptr) return ExecuteWide(tiling, a, w, c);
  EDGEWISE_CHECK(tiling.product.m <= UINT32_MAX && tiling.product.n <= UINT32_MAX / 2);
  Int8Tiles tiles(tiling, a, w, c);
  pool.Run([&](Worker& worker) { tiles.Run(worker); });
  return tiles.tiles();
}

}  // namespace edgewise::chip
