#include "predict/formulas.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "base/error.h"
#include "predict/energy.h"
#include "predict/roofline.h"
#include "predict/test_machines.h"

namespace edgewise {
namespace {

// The nominal figures are the exact ones where there are neither scales nor other types.
TEST(FormulasTest, NominalBytesAreThoseOfTheModelWhereThereAreNoScales) {
  const Model model = ModelOf("tinyllama-1.1b", "F16");
  const double norms = 45 * 2048;  // stay in floats
  EXPECT_EQ(NominalWeightBytes(static_cast<double>(model.parameters()), 16) + 2 * norms,
            static_cast<double>(model.weight_bytes()));
  const ModelConfig& c = model.config();
  const Step step = StepOf(model, {{.rows = 1}});
  EXPECT_EQ(NominalKvBytes(c.layers, c.kv_heads, c.head_dim, 16),
            static_cast<double>(CostOf(model, step).kv_write.value()));
}

TEST(FormulasTest, ThePrintedParametersAreOffAsSaid) {
  const auto off = [](const char* name) {
    const Model model = ModelOf(name, "F16");
    const ModelConfig& c = model.config();
    return printed::Parameters(c.layers, c.width, c.vocab) / static_cast<double>(model.parameters()) - 1;
  };
  EXPECT_NEAR(off("llama2-7b"), -0.024, 0.001);
  EXPECT_NEAR(off("tinyllama-1.1b"), 0.066, 0.001);
  EXPECT_NEAR(off("llama3-8b"), -0.13, 0.01);
}

TEST(FormulasTest, LaterLayersCarryErrorsOn) {
  EXPECT_DOUBLE_EQ(PropagatedError(std::array{2.0, 3.0}, std::array{0.01, 0.02}), 2 * 0.01 * 3 + 3 * 0.02);
  EXPECT_DOUBLE_EQ(PropagatedError(std::array{2.0, 3.0, 5.0}, std::array{0.01, 0.0, 0.0}), 0.3);
  EXPECT_EQ(PropagatedError({}, {}), 0);
}

TEST(FormulasTest, AStudentLikeItsTeacherHasNoDivergence) {
  const std::array logits = {1.0, -2.0, 0.5};
  EXPECT_DOUBLE_EQ(DistillationLoss(logits, logits, 0, 0, 3), 0);
  const double sum = std::exp(1.0) + std::exp(-2.0) + std::exp(0.5);
  EXPECT_NEAR(DistillationLoss(logits, logits, 1, 1, 3), 2 + std::log(sum), 1e-12);
  const std::array huge = {1e4, -1e4, 0.0};
  EXPECT_TRUE(std::isfinite(DistillationLoss(huge, logits, 2, 0.5, 1)));
}

TEST(FormulasTest, TilesMoveLessThanTheWholeMatrixOnceTheChipHoldsHeadsSquared) {
  EXPECT_LT(FlashAttentionElements(2048, 128, 65536), StandardAttentionElements(2048, 128));
  EXPECT_GT(FlashAttentionElements(2048, 128, 4096), StandardAttentionElements(2048, 128));
}

// Four times the bandwidth and twice the arithmetic gain between two and four, never eight.
TEST(RooflineTest, GainsAreNotMultiplied) {
  EXPECT_EQ(TwoResourceSpeedup(1, 0.1, 2, 4), 2);
  EXPECT_EQ(TwoResourceSpeedup(0.1, 1, 2, 4), 4);
  for (double memory = 0.01; memory < 100; memory *= 1.3) {
    const double gain = TwoResourceSpeedup(1, memory, 2, 4);
    EXPECT_GE(gain, 2);
    EXPECT_LE(gain, 4);
  }
}

TEST(RooflineTest, AtTheRidgeBothResourcesTakeAsLong) {
  const double batch = RidgeBatch(312e12, 1.935e12, 2);
  EXPECT_NEAR(Attainable(312e12, 1.935e12, DecodeIntensity(batch, 2)), 312e12, 1);
  EXPECT_LT(Attainable(312e12, 1.935e12, DecodeIntensity(batch - 1, 2)), 312e12);
  EXPECT_NEAR(GemmIntensity(8192, 2), 2730.67, 0.01);
}

// TinyLlama in Q8_0, one token at position 99: 1,034,420,224 multiply-adds with weights, 9,011,200 in
// attention; 1,099,442,304 bytes of weights, 22,528 of cache written and 2,252,800 read (docs/arithmetic.md).
TEST(EnergyTest, ATokenTakesItsMultiplyAddsAndBytes) {
  const Model model = Model::FromShape(ShapeNamed("tinyllama-1.1b").config, DType::kQ8_0, false);
  const EnergyCounts counts = CountEnergy(model, StepOf(model, {{.rows = 1, .kv_len = 99, .logit_rows = 1}}));
  EXPECT_EQ(counts.int8_macs, 1'034'420'224);
  EXPECT_EQ(counts.f16_macs, 9'011'200);
  EXPECT_EQ(counts.f32_macs, 0);
  EXPECT_EQ(counts.dram_bytes, 1'099'442'304 + 22'528 + 2'252'800);
  const EnergyTable& table = EnergyTables()[0];  // 45 nm
  const DramEnergy& dram = DramEnergies()[0];    // LPDDR4
  const EnergyParts parts = EnergyOf(counts, table, dram);
  EXPECT_NEAR(parts.mac_j, 1'034'420'224 * 0.3e-12 + 9'011'200 * 1.5e-12, 1e-12);
  EXPECT_NEAR(parts.dram_j, 1'101'717'632 * 64e-12, 1e-9);
  EXPECT_GT(parts.dram_j, 100 * parts.mac_j);  // moving a byte costs far more than using it once
  const EnergyParts token = TokenEnergy(model, {.prompt = 35, .generate = 128}, table, dram);
  EXPECT_DOUBLE_EQ(token.total(), parts.total());
  const EnergyParts shared = TokenEnergy(model, {.prompt = 35, .generate = 128, .batch = 8}, table, dram);
  EXPECT_LT(shared.dram_j, parts.dram_j / 7);
  EXPECT_NEAR(shared.mac_j, parts.mac_j, 1e-12);
}

TEST(EnergyTest, TheLeastIsThatOfNoOtherSilicon) {
  const Model model = ModelOf("tinyllama-1.1b");
  const LeastEnergy least = LeastTokenEnergy(model, {});
  for (const EnergyTable& table : EnergyTables()) {
    for (const DramEnergy& dram : DramEnergies()) {
      const double joules = TokenEnergy(model, {}, table, dram).total();
      if (&table == least.table && &dram == least.dram) {
        EXPECT_DOUBLE_EQ(least.parts.total(), joules);
      } else {
        EXPECT_LT(least.parts.total(), joules);
      }
    }
  }
}

// 7B in INT8 moves 7 GB and multiplies as often: 1.4 J and 1.4 mJ by the documents' figures, so that 3 W
// afford 2.1 tokens a second, not the 20 of their 50 ms.
TEST(EnergyTest, TheDocumentsFiguresContradictTheirSpeed) {
  const EnergyParts parts =
      EnergyOf({.int8_macs = 7e9, .dram_bytes = 7e9}, printed::Energy(), printed::Dram());
  EXPECT_DOUBLE_EQ(parts.mac_j, 1.4e-3);
  EXPECT_DOUBLE_EQ(parts.dram_j, 1.4);
  EXPECT_NEAR(3 / parts.total(), 2.14, 0.01);
}

TEST(EnergyTest, AMixMeetsItsMean) {
  const double share = ShareForMean(2, 1.5, 3);
  EXPECT_DOUBLE_EQ(share * 1.5 + (1 - share) * 3, 2);
}

}  // namespace
}  // namespace edgewise
