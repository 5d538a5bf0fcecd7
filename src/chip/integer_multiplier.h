// Who multiplies the integers of a backend: a simulated chip, tile by tile, or the plain product.
#pragma once

#include <map>
#include <string>
#include <tuple>

#include "base/thread_pool.h"
#include "chip/matrix.h"
#include "chip/tile_model.h"
#include "chip/tiler.h"
#include "machine/chip.h"

namespace edgewise::chip {

class IntegerMultiplier {
 public:
  virtual ~IntegerMultiplier() = default;

  // C = A W^T modulo 2^32, values within the datapath. What the product cost is added to `run`;
  // nothing for the plain product.
  virtual void Multiply(const Product& product, const Integers& a, const Integers& w,
                        const Results& c, ThreadPool& pool, TileRun& run) = 0;
  virtual std::string name() const = 0;
  virtual Datapath datapath() const = 0;
};

class PlainMultiplier : public IntegerMultiplier {
 public:
  explicit PlainMultiplier(Datapath datapath = Datapath::kInt8) : datapath_(datapath) {}

  void Multiply(const Product& product, const Integers& a, const Integers& w, const Results& c,
                ThreadPool& pool, TileRun& run) override;
  std::string name() const override { return "cpu-int"; }
  Datapath datapath() const override { return datapath_; }

 private:
  const Datapath datapath_;
};

class ChipMultiplier : public IntegerMultiplier {
 public:
  // Requires CheckDesign(design) to pass.
  explicit ChipMultiplier(ChipDesign design) : design_(std::move(design)) {}

  void Multiply(const Product& product, const Integers& a, const Integers& w, const Results& c,
                ThreadPool& pool, TileRun& run) override;
  std::string name() const override { return "chip:" + design_.name; }
  Datapath datapath() const override { return design_.datapath; }
  const ChipDesign& design() const { return design_; }

 private:
  struct Plan {
    Tiling tiling;
    TileCost cost;
  };

  const ChipDesign design_;
  std::map<std::tuple<uint64_t, uint64_t, uint64_t>, Plan> plans_;  // by shape
};

}  // namespace edgewise::chip
