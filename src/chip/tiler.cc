#include "chip/tiler.h"

#include <algorithm>
#include <array>
#include <string>

#include "base/error.h"

namespace edgewise::chip {
namespace {

// Padded multiply-adds of a product: 256 cycles for each, a hundred times what the slowest chip
// takes, still fit 64 bits.
constexpr uint64_t kMostMacs = uint64_t{1} << 56;
// Payload beats that one command of a stream can announce: its count has 16 bits (lower.h).
constexpr uint64_t kMostStreamBeats = 65535;

uint64_t CeilDiv(uint64_t a, uint64_t b) { return a / b + (a % b != 0); }

std::string ShapeText(const Product& p) {
  return std::to_string(p.m) + " x " + std::to_string(p.n) + " x " + std::to_string(p.k);
}

[[noreturn]] void RefuseSize(const Product& product) {
  throw Error(
      ErrorCode::kUsage,
      "a product of " + ShapeText(product) +
          " (M x N x K) has more than 2^56 multiply-adds: its cycles would not fit 64 bits");
}

void CheckProduct(const Product& p) {
  if (p.m == 0 || p.n == 0 || p.k == 0) {
    throw Error(ErrorCode::kUsage,
                "a product of " + ShapeText(p) + " (M x N x K): no dimension may be zero");
  }
  if (std::max({p.m, p.n, p.k}) > kMostMacs) RefuseSize(p);  // so that padding cannot wrap
}

// Columns of A that the scratchpad holds at once.
uint64_t ChunkOf(const ChipDesign& design, const Tiling& t) {
  const uint64_t column_bits = uint64_t{t.rows} * ActivationBits(design.datapath);
  uint64_t fits = design.scratch_words * design.scratch_word_bits / column_bits;
  const bool columns = design.kind == ArrayKind::kOutputStationary;  // takes A column by column
  if (IsStreaming(design)) fits = std::min(fits, kMostStreamBeats * (columns ? 1 : t.depth));
  if (fits >= t.product.k) return t.product.k;
  if (!columns) fits -= fits % t.depth;
  if (fits == 0) {
    throw Error(ErrorCode::kUsage, "chip " + design.name + ": scratch_words " +
                                       std::to_string(design.scratch_words) + " of " +
                                       std::to_string(design.scratch_word_bits) +
                                       " bits do not hold one tile of activations (" +
                                       std::to_string(t.rows) + " rows)");
  }
  return fits;
}

// Host-driven chips that do not accumulate may keep A or W: whichever moves fewer words.
LoopOrder OrderOf(const ChipDesign& design, const Tiling& t) {
  if (design.accumulate) return LoopOrder::kOutputStationary;
  const uint64_t a_tile_columns = t.product.m * t.depth * t.k_tiles;
  const uint64_t w_words = uint64_t{t.depth} * t.cols * t.k_tiles * t.column_tiles;
  const uint64_t a_stationary =
      a_tile_columns * std::min<uint64_t>(t.units, t.column_tiles) + w_words * t.row_blocks;
  const uint64_t b_stationary =
      a_tile_columns *
          (t.row_blocks == 1 ? std::min<uint64_t>(t.units, t.column_tiles) : t.column_tiles) +
      w_words;
  return b_stationary < a_stationary ? LoopOrder::kBStationary : LoopOrder::kAStationary;
}

bool TwoOfFour(const Product& product, const Integers& w) {
  for (uint64_t j = 0; j < product.n; ++j) {
    for (uint64_t k = 0; k < product.k; k += 4) {
      int nonzeros = 0;
      for (uint64_t i = k; i < std::min(k + 4, product.k); ++i) nonzeros += w.at(j, i) != 0;
      if (nonzeros > 2) return false;
    }
  }
  return true;
}

// Of arrays in lockstep the fullest counts: they wait for it, and only zeros in all let a tile be
// left out.
void CountNonzeros(const ChipDesign& design, const Integers& w, Tiling& t) {
  t.nonzeros.assign(t.column_tiles * t.k_tiles, 0);
  const uint64_t arrays = t.cols / design.cols;
  std::vector<uint32_t> counts(t.k_tiles);
  for (uint64_t array = 0; array < t.column_tiles * arrays; ++array) {
    std::fill(counts.begin(), counts.end(), 0);
    const uint64_t end = std::min<uint64_t>((array + 1) * design.cols, t.product.n);
    for (uint64_t j = array * design.cols; j < end; ++j) {
      for (uint64_t k = 0; k < t.product.k; ++k) counts[k / t.depth] += w.at(j, k) != 0;
    }
    uint32_t* tiles = t.nonzeros.data() + array / arrays * t.k_tiles;
    for (uint64_t k = 0; k < t.k_tiles; ++k) tiles[k] = std::max(tiles[k], counts[k]);
  }
}

Tiling Tile(const ChipDesign& design, const Product& product, bool half_k) {
  CheckProduct(product);
  const bool dma = design.host == HostInterface::kDma;
  Tiling t;
  t.product = product;
  t.operand_k = product.k;
  if (half_k) t.product.k = CeilDiv(product.k, 2);
  t.rows = design.rows;
  t.cols = design.cols * (dma ? design.arrays : 1);
  t.depth = design.depth;
  t.units = dma ? 1 : design.arrays;
  t.row_blocks = CeilDiv(t.product.m, t.rows);
  t.column_tiles = CeilDiv(t.product.n, t.cols);
  t.k_tiles = CeilDiv(t.product.k, t.depth);
  uint64_t macs = 0;
  if (__builtin_mul_overflow(t.row_blocks * t.rows, t.column_tiles * t.cols, &macs) ||
      __builtin_mul_overflow(macs, t.k_tiles * t.depth, &macs) || macs > kMostMacs) {
    RefuseSize(product);
  }
  t.order = OrderOf(design, t);
  t.k_chunk = dma ? ChunkOf(design, t) : t.product.k;
  t.k_step = IsStreaming(design) ? t.k_chunk : t.depth;
  return t;
}

}  // namespace

const char* NameOf(LoopOrder order) {
  static constexpr std::array<const char*, 3> kNames = {"A-stationary", "B-stationary",
                                                        "output-stationary"};
  return kNames[static_cast<size_t>(order)];
}

uint32_t Tiling::RowsOf(uint64_t row_block) const {
  return static_cast<uint32_t>(std::min<uint64_t>(rows, product.m - row_block * rows));
}

uint64_t Tiling::ChunkSize(uint64_t chunk) const {
  return std::min(k_chunk, product.k - ChunkBegin(chunk));
}

bool IsStreaming(const ChipDesign& design) {
  return design.host == HostInterface::kDma &&
         (design.kind == ArrayKind::kOutputStationary || design.kind == ArrayKind::kVector);
}

Tiling TileProduct(const ChipDesign& design, const Product& product) {
  return Tile(design, product, design.zero_skip == ZeroSkip::kTwoOfFour);
}

Tiling TileProduct(const ChipDesign& design, const Product& product, const Integers& w) {
  CheckProduct(product);
  Tiling t =
      Tile(design, product, design.zero_skip == ZeroSkip::kTwoOfFour && TwoOfFour(product, w));
  const bool by_tile =
      design.zero_skip == ZeroSkip::kTile || design.zero_skip == ZeroSkip::kElement;
  if (by_tile && !IsStreaming(design)) {
    CountNonzeros(design, w, t);
    t.skip_zero_tiles = design.zero_skip == ZeroSkip::kTile;
  }
  return t;
}

std::vector<Share> SharesOf(const ChipDesign& design, const Product& product) {
  const uint64_t chips = design.link_bytes_s > 0 ? design.chips : 1;
  const uint64_t cols =
      uint64_t{design.cols} * (design.host == HostInterface::kDma ? design.arrays : 1);
  const uint64_t share = CeilDiv(CeilDiv(product.n, cols), chips) * cols;
  std::vector<Share> shares;
  for (uint64_t first = 0; first < product.n; first += share) {
    shares.push_back({first, std::min(share, product.n - first)});
  }
  return shares;
}

uint64_t ComputeCycles(const ChipDesign& design, const Tiling& tiling, uint64_t column_tile,
                       uint64_t k_tile, uint32_t real_rows) {
  if (design.kind == ArrayKind::kWeightStationary) {
    return uint64_t{real_rows} + design.depth + design.cols - 1;
  }
  uint64_t weights = uint64_t{design.cols} * design.depth;
  if (design.zero_skip == ZeroSkip::kElement && !tiling.nonzeros.empty()) {
    weights = tiling.nonzeros[column_tile * tiling.k_tiles + k_tile];
  }
  // To find nothing takes a cycle too.
  const uint64_t multiply = std::max<uint64_t>(CeilDiv(design.rows * weights, design.macs), 1);
  return design.start_cycles + multiply + design.result_cycles;
}

}  // namespace edgewise::chip
