#include "chip/integer_multiplier.h"

#include "chip/integer_product.h"

namespace edgewise::chip {

void PlainMultiplier::Multiply(const Product& product, const Integers& a, const Integers& w,
                               const Results& c, ThreadPool& pool, TileRun&) {
  MultiplyIntegers(product, a, w, c, pool);
}

void ChipMultiplier::Multiply(const Product& product, const Integers& a, const Integers& w,
                              const Results& c, ThreadPool& pool, TileRun& run) {
  const auto execute = [&](const Tiling& tiling, const TileCost& cost) {
    run.cost += cost;
    run.executed_tiles += ExecuteTiles(tiling, a, w, c, pool);
  };
  if (design_.zero_skip != ZeroSkip::kNone) {  // what it costs depends on the weights
    execute(TileProduct(design_, product, w), TimeProduct(design_, product, &w));
  } else {
    const auto shape = std::tuple(product.m, product.n, product.k);
    auto plan = plans_.find(shape);
    if (plan == plans_.end()) {
      plan =
          plans_.emplace(shape, Plan{TileProduct(design_, product), TimeProduct(design_, product)})
              .first;
    }
    execute(plan->second.tiling, plan->second.cost);
  }
  run.overflows += CountOverflows(product, a, w);
}

}  // namespace edgewise::chip
