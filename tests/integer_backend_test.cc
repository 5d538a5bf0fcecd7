// A model's products in small integers: close to the floats, the same bits on every chip and on the
// CPU, and with a report that adds up.
#include "chip/integer_backend.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "base/error.h"
#include "chip/test_designs.h"
#include "quant/codec.h"
#include "tiny_models.h"

namespace edgewise::chip {
namespace {

std::vector<float> RandomFloats(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.1f, 1);
  std::vector<float> values(count);
  for (float& v : values) v = normal(random);
  return values;
}

// The products of the first layer and the head.
std::vector<Op> ProductsOf(const Model& model, uint32_t rows) {
  const LayerWeights& layer = model.layers()[0];
  std::vector<Op> ops;
  const auto add = [&](Role role, const Linear& linear) {
    const Weight& w = model.weight(linear.weight);
    ops.push_back({.kind = OpKind::kMatMul,
                   .role = role,
                   .m = rows,
                   .n = w.rows,
                   .k = w.k,
                   .weight = w.type,
                   .weights = linear.weight});
  };
  add(Role::kQ, layer.q);
  add(Role::kV, layer.v);
  add(Role::kDown, layer.down);
  add(Role::kHead, model.head());
  return ops;
}

std::vector<float> Multiplied(ProductBackend& backend, const Op& op, std::span<const float> x) {
  std::vector<float> y(size_t{op.m} * (op.n + 3), -7);  // rows apart
  backend.MatMul(op, op.m, x.data(), op.k, y.data(), op.n + 3);
  return y;
}

constexpr const char* kTypes[] = {"F32",  "F16",  "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1",
                                  "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL"};

TEST(IntegerBackend, IsWithinRoundingOfTheFloatProduct) {
  for (const char* type : kTypes) {
    const TinyModel tiny(TinyShape256("llama"), type);
    for (const WeightScheme scheme : {WeightScheme::kFile, WeightScheme::kRow}) {
      IntegerBackend backend(tiny.model(), std::make_unique<PlainMultiplier>(),
                             {.scheme = scheme, .threads = 2});
      backend.CheckModel();
      for (const Op& op : ProductsOf(tiny.model(), 3)) {
        const std::vector<float> x = RandomFloats(size_t{op.m} * op.k, 3);
        const std::vector<float> y = Multiplied(backend, op, x);
        const Weight& w = tiny.model().weight(op.weights);
        std::vector<float> row(op.k);
        for (uint32_t i = 0; i < op.n; ++i) {
          DecodeRow(w.type, {w.data + i * w.row_bytes(), w.row_bytes()}, row);
          double most_w = 0;
          for (const float v : row) most_w = std::max(most_w, std::abs(double{v}));
          // Half a step of the weights' rounding, where they are rounded.
          const bool rounds = scheme == WeightScheme::kRow || w.type == DType::kF32 ||
                              w.type == DType::kF16 || w.type == DType::kBF16;
          const double w_step = rounds ? most_w / 127 / 2 : 0;
          for (uint32_t j = 0; j < op.m; ++j) {
            double exact = 0, most_x = 0, sum_w = 0, sum_x = 0;
            for (uint32_t l = 0; l < op.k; ++l) {
              const double v = x[size_t{j} * op.k + l];
              exact += v * row[l];
              most_x = std::max(most_x, std::abs(v));
              sum_x += std::abs(v);
              sum_w += std::abs(row[l]);
            }
            const double x_step = most_x / 127 / 2;
            const double bound = x_step * sum_w + w_step * (sum_x + x_step * op.k);
            EXPECT_NEAR(y[size_t{j} * (op.n + 3) + i], exact, bound * 1.001 + 1e-4)
                << type << " " << w.name;
          }
        }
        for (uint32_t j = 0; j < op.m; ++j) EXPECT_EQ(y[size_t{j} * (op.n + 3) + op.n], -7);
      }
    }
  }
}

TEST(IntegerBackend, EveryChipGivesTheBitsOfThePlainProduct) {
  for (const char* type : {"Q4_K", "Q6_K", "F32"}) {
    const TinyModel tiny(TinyShape256("llama"), type);
    for (const WeightScheme scheme : {WeightScheme::kFile, WeightScheme::kRow}) {
      for (const ChipDesign& design : AllDesigns()) {
        SCOPED_TRACE(std::string(type) + " " + design.name);
        IntegerBackend plain(tiny.model(), std::make_unique<PlainMultiplier>(), {.scheme = scheme});
        // Room for one or two tensors' planes only: the others are unpacked again.
        IntegerBackend chip(tiny.model(), std::make_unique<ChipMultiplier>(design),
                            {.scheme = scheme, .threads = 2, .plane_bytes = 100'000});
        for (const uint32_t rows : {1, 11}) {
          for (const Op& op : ProductsOf(tiny.model(), rows)) {
            const std::vector<float> x = RandomFloats(size_t{op.m} * op.k, rows);
            EXPECT_TRUE(Multiplied(chip, op, x) == Multiplied(plain, op, x));
          }
        }
        const ProductReport total = chip.total();
        EXPECT_EQ(total.run.executed_tiles, total.run.cost.tiles);
        EXPECT_EQ(total.host_macs, plain.total().host_macs);
        EXPECT_EQ(plain.total().run.cost.cycles, 0u);
        EXPECT_EQ(total.products, 8u);
      }
    }
  }
}

TEST(IntegerBackend, ReportsByRole) {
  const TinyModel tiny(TinyShape256("llama"), "Q8_0");
  IntegerBackend backend(tiny.model(), std::make_unique<ChipMultiplier>(Compact()), {});
  const Op op = ProductsOf(tiny.model(), 1).front();
  const std::vector<float> x = RandomFloats(op.k, 1);
  Multiplied(backend, op, x);
  const ProductReport& report = backend.report(Role::kQ);
  // Groups of 32, 4 tiles along k each: A is loaded for the first column tile only.
  const uint64_t groups = op.k / 32, columns = op.n / 8;
  EXPECT_EQ(report.multiplies, groups);
  EXPECT_EQ(report.run.cost.tiles, groups * 4 * columns);
  EXPECT_EQ(report.run.cost.cycles, groups * 4 * (8 + columns * (604 - 8)));
  EXPECT_EQ(report.host_macs, op.k + op.n * (groups + 1));
  EXPECT_EQ(backend.report(Role::kHead).products, 0u);
}

TEST(IntegerBackend, RefusesAModelThatTheDatapathCannotHold) {
  const TinyModel tiny(TinyShape256("llama"), "Q8_0");
  ChipDesign design = Streaming();
  design.datapath = Datapath::kInt4;
  const IntegerBackend file(tiny.model(), std::make_unique<ChipMultiplier>(design), {});
  EXPECT_THROW(file.CheckModel(), Error);
  const IntegerBackend row(tiny.model(), std::make_unique<ChipMultiplier>(design),
                           {.scheme = WeightScheme::kRow});
  row.CheckModel();
}

TEST(IntegerBackend, NotANumberStaysOneInItsRow) {
  const TinyModel tiny(TinyShape256("llama"), "Q8_0");
  IntegerBackend backend(tiny.model(), std::make_unique<PlainMultiplier>(), {});
  const Op op = ProductsOf(tiny.model(), 2).front();
  std::vector<float> x = RandomFloats(size_t{2} * op.k, 1);
  x[5] = INFINITY;
  const std::vector<float> y = Multiplied(backend, op, x);
  for (uint32_t i = 0; i < op.n; ++i) {
    EXPECT_TRUE(std::isnan(y[i]));
    EXPECT_TRUE(std::isfinite(y[op.n + 3 + i]));
  }
}

}  // namespace
}  // namespace edgewise::chip
