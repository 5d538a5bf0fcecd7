#include "predict/energy.h"

#include <vector>

#include "graph/cost.h"

namespace edgewise {
namespace {

constexpr EnergyTable kTables[] = {
    // Multiplications 0.2 (8 bits), 1.1 (f16), 3.7 (f32), additions 0.1 (32 bits), 0.4, 0.9; cache of 32 KB:
    // 20 pJ for 8 bytes.
    {"45nm", "Horowitz, ISSCC 2014: 45 nm, 0.9 V", 0.3, 1.5, 4.6, 2.5},
    // Multiplications 0.07, 0.34, 1.31, additions 0.03, 0.16, 0.38; SRAM of 32 KB: 8.5 pJ for 8 bytes.
    {"7nm", "Jouppi et al., ISCA 2021: 7 nm (from memory, unverified)", 0.10, 0.50, 1.69, 1.0625},
};

// Where a source gives a range, its middle.
constexpr DramEnergy kDrams[] = {
    {"lpddr4", "512 pJ for 64 bits (Accelergy's table, NVlabs/timeloop#259)", 64},
    {"ddr4", "1300 pJ for 64 bits (Jouppi 2021; the lower end of Horowitz 2014)", 162.5},
    {"gddr6", "350 to 480 pJ for 64 bits (Jouppi 2021, from memory, unverified)", 51.875},
    {"hbm2", "3.9 pJ a bit (O'Connor et al., MICRO 2017, from memory, unverified)", 31.2},
};

constexpr EnergyTable kPrintedTable = {"the documents'", "S2 1.2.3", 0.2, 0.2, 0.2, 5};
constexpr DramEnergy kPrintedDram = {"the documents'", "S2 1.2.3", 200};

EnergyCounts CountToken(const Model& model, const Usage& usage) {
  const std::vector<Sequence> sequences(
      usage.batch, {.rows = 1, .kv_len = usage.prompt + usage.generate / 2, .logit_rows = 1});
  Step step;
  BuildStep(model, usage.k_type, usage.v_type, sequences, step);
  EnergyCounts counts = CountEnergy(model, step);
  for (double* count : {&counts.int8_macs, &counts.f16_macs, &counts.f32_macs, &counts.sram_bytes,
                        &counts.dram_bytes}) {
    *count /= usage.batch;
  }
  return counts;
}

}  // namespace

std::span<const EnergyTable> EnergyTables() { return kTables; }
std::span<const DramEnergy> DramEnergies() { return kDrams; }

namespace printed {
const EnergyTable& Energy() { return kPrintedTable; }
const DramEnergy& Dram() { return kPrintedDram; }
}  // namespace printed

EnergyCounts CountEnergy(const Model& model, const Step& step) {
  EnergyCounts counts;
  for (const Op& op : step.ops) {
    const OpCost cost = CostOf(model, op, step);
    const double macs = static_cast<double>(cost.flops.value()) / 2;
    if (op.kind == OpKind::kMatMul && op.weight == DType::kF32) {
      counts.f32_macs += macs;
    } else if (op.kind == OpKind::kMatMul && InfoOf(op.weight).block > 1) {
      counts.int8_macs += macs;
    } else {
      counts.f16_macs += macs;
    }
    const Bytes dram = cost.weight_bytes + cost.kv_read + cost.kv_write;
    counts.dram_bytes += static_cast<double>(dram.value());
    counts.sram_bytes += static_cast<double>(2 * dram.value() + cost.activation_bytes.value());
  }
  return counts;
}

EnergyParts EnergyOf(const EnergyCounts& counts, const EnergyTable& table, const DramEnergy& dram) {
  return {.mac_j = Joules(counts.int8_macs, table.int8_mac_pj) + Joules(counts.f16_macs, table.f16_mac_pj) +
                   Joules(counts.f32_macs, table.f32_mac_pj),
          .sram_j = Joules(counts.sram_bytes, table.sram_pj_byte),
          .dram_j = Joules(counts.dram_bytes, dram.pj_byte)};
}

EnergyParts TokenEnergy(const Model& model, const Usage& usage, const EnergyTable& table,
                        const DramEnergy& dram) {
  return EnergyOf(CountToken(model, usage), table, dram);
}

LeastEnergy LeastTokenEnergy(const Model& model, const Usage& usage) {
  const EnergyCounts counts = CountToken(model, usage);
  LeastEnergy least;
  for (const EnergyTable& table : kTables) {
    for (const DramEnergy& dram : kDrams) {
      const EnergyParts parts = EnergyOf(counts, table, dram);
      if (least.table == nullptr || parts.total() < least.parts.total()) least = {&table, &dram, parts};
    }
  }
  return least;
}

}  // namespace edgewise
