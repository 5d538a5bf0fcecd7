#include "chip/integer_multiplier.h"

#include "chip/integer_product.h"
#include "machine/chip_cost.h"

namespace edgewise::chip {

void PlainMultiplier::Multiply(const Product& product, const Integers& a, const Integers& w,
                               const Results& c, ThreadPool& pool, TileRun&) {
  MultiplyIntegers(product, a, w, c, pool);
}

void ChipMultiplier::Multiply(const Product& product, const Integers& a, const Integers& w,
                              const Results& c, ThreadPool& pool, TileRun& run) {
  const auto price = [&] {
    return PriceProduct(design_, {.m = product.m, .n = product.n, .k = product.k}).joules.total();
  };
  const auto execute = [&](const Tiling& tiling, const TileCost& cost, double joules) {
    run.cost += cost;
    run.joules += joules;
    run.executed_tiles += ExecuteTiles(tiling, a, w, c, pool);
  };
  if (design_.zero_skip != ZeroSkip::kNone) {  // what it costs depends on the weights
    execute(TileProduct(design_, product, w), TimeProduct(design_, product, &w), price());
  } else {
    const auto shape = std::tuple(product.m, product.n, product.k);
    auto plan = plans_.find(shape);
    if (plan == plans_.end()) {
      plan =
          plans_.emplace(shape, Plan{TileProduct(design_, product), TimeProduct(design_, product), price()})
              .first;
    }
    execute(plan->second.tiling, plan->second.cost, plan->second.joules);
  }
  run.overflows += CountOverflows(product, a, w);
}

}  // namespace edgewise::chip
