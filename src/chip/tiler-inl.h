// The loop nest of tiler.h, inline: models have tens of millions of tiles.
#pragma once

#include <algorithm>
#include <vector>

#include "chip/tiler.h"

namespace edgewise::chip {
namespace tiler_internal {

// Builds the steps of one round, and remembers what each unit holds.
class RoundBuilder {
 public:
  RoundBuilder(const ChipDesign& design, const Tiling& tiling)
      : t_(tiling),
        by_chunk_(design.host == HostInterface::kDma),
        keeps_sums_(tiling.order == LoopOrder::kOutputStationary),
        chunk_steps_((tiling.k_chunk + tiling.k_step - 1) / tiling.k_step),
        last_step_(tiling.k_steps() - 1),
        units_(std::min<uint64_t>(tiling.units, tiling.column_tiles)) {
    steps_.reserve(units_.size());
  }

  Round Build(uint64_t row_block, uint64_t k_step, uint64_t first_tile) {
    steps_.clear();
    const uint64_t chunk = by_chunk_ ? k_step / chunk_steps_ : 0;
    const uint64_t a_key = row_block * (last_step_ + 1) + (by_chunk_ ? chunk : k_step);
    const uint64_t end = std::min<uint64_t>(first_tile + units_.size(), t_.column_tiles);
    for (uint64_t tile = first_tile; tile < end; ++tile) {
      TileStep step;
      step.unit = static_cast<uint32_t>(tile - first_tile);
      step.column_tile = tile;
      Unit& unit = units_[step.unit];
      step.compute = !t_.Skips(tile, k_step);
      if (k_step == 0) unit.summing = false;
      if (step.compute) {
        const uint64_t w_key = tile * (last_step_ + 1) + k_step;
        // Registers of a chip that keeps its sums are written anew for every tile.
        step.load_a = (keeps_sums_ && !by_chunk_) || unit.a != a_key;
        step.load_w = keeps_sums_ || unit.w != w_key;
        step.first = !keeps_sums_ || !unit.summing;
        unit = {a_key, w_key, true};
      }
      step.read = keeps_sums_ ? k_step == last_step_ && unit.summing : step.compute;
      if (step.compute || step.read) steps_.push_back(step);
    }
    return {row_block, k_step, t_.RowsOf(row_block), chunk, steps_};
  }

 private:
  struct Unit {
    uint64_t a = ~uint64_t{0}, w = ~uint64_t{0};  // what it holds
    bool summing = false;                         // has computed a tile of its current outputs
  };

  const Tiling& t_;
  const bool by_chunk_, keeps_sums_;
  const uint64_t chunk_steps_, last_step_;
  std::vector<Unit> units_;
  std::vector<TileStep> steps_;
};

}  // namespace tiler_internal

template <typename F>
void ForEachRound(const ChipDesign& design, const Tiling& t, F&& f) {
  tiler_internal::RoundBuilder builder(design, t);
  const auto visit = [&](uint64_t row_block, uint64_t k_step, uint64_t first_tile) {
    const Round round = builder.Build(row_block, k_step, first_tile);
    if (!round.steps.empty()) f(round);
  };
  const uint64_t k_steps = t.k_steps();
  switch (t.order) {
    case LoopOrder::kAStationary:
      for (uint64_t row = 0; row < t.row_blocks; ++row) {
        for (uint64_t k = 0; k < k_steps; ++k) {
          for (uint64_t tile = 0; tile < t.column_tiles; tile += t.units) visit(row, k, tile);
        }
      }
      return;
    case LoopOrder::kBStationary:
      for (uint64_t k = 0; k < k_steps; ++k) {
        for (uint64_t tile = 0; tile < t.column_tiles; tile += t.units) {
          for (uint64_t row = 0; row < t.row_blocks; ++row) visit(row, k, tile);
        }
      }
      return;
    case LoopOrder::kOutputStationary:
      for (uint64_t row = 0; row < t.row_blocks; ++row) {
        for (uint64_t tile = 0; tile < t.column_tiles; tile += t.units) {
          for (uint64_t k = 0; k < k_steps; ++k) visit(row, k, tile);
        }
      }
      return;
  }
}

}  // namespace edgewise::chip
