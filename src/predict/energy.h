// Energy from counts: what the multiply-adds and the bytes of a step would take in silicon, with published
// figures for each. A floor: no control, no instruction fetch, no leakage, nothing idle. What a device really
// draws is its watts (Device::watts) for the time that request.h predicts; battery.h says how long that
// lasts.
#pragma once

#include <cstdint>
#include <span>
#include "graph/op.h"
#include "predict/request.h"

namespace edgewise {

constexpr double Joules(double count, double picojoules) { return count * picojoules * 1e-12; }

// Picojoules of one technology.
struct EnergyTable {
  const char* name;
  const char* source;
  double int8_mac_pj, f16_mac_pj, f32_mac_pj;  // a multiplication and an addition, int8 into 32 bits
  double sram_pj_byte;                         // of 32 KB, eight bytes at a time
};
std::span<const EnergyTable> EnergyTables();

struct DramEnergy {
  const char* name;
  const char* source;
  double pj_byte;
};
std::span<const DramEnergy> DramEnergies();

// The documents' 0.2 pJ for an INT8 multiply-add, 5 for SRAM (25 times) and 200 for DRAM (1000 times). They
// do not say how wide an access is: a byte, which is the reading that fits silicon best. Nor what floats
// take: as INT8.
namespace printed {
const EnergyTable& Energy();
const DramEnergy& Dram();
}  // namespace printed

// What a step does that takes energy. Products with quantised weights multiply 8-bit integers, attention
// halves. Bytes of DRAM are weights and cache; each passes the on-chip memory once (written and read), and
// activations stay there.
struct EnergyCounts {
  double int8_macs = 0, f16_macs = 0, f32_macs = 0;
  double sram_bytes = 0, dram_bytes = 0;
};
EnergyCounts CountEnergy(const Model& model, const Step& step);

struct EnergyParts {
  double mac_j = 0, sram_j = 0, dram_j = 0;
  double total() const { return mac_j + sram_j + dram_j; }
};
EnergyParts EnergyOf(const EnergyCounts& counts, const EnergyTable& table, const DramEnergy& dram);

// Of one decoded token in the middle of the generation, a sequence's share of a step. Without speculation.
EnergyParts TokenEnergy(const Model& model, const Usage& usage, const EnergyTable& table,
                        const DramEnergy& dram);
// With the table and the DRAM that take least.
struct LeastEnergy {
  const EnergyTable* table = nullptr;
  const DramEnergy* dram = nullptr;
  EnergyParts parts;
};
LeastEnergy LeastTokenEnergy(const Model& model, const Usage& usage);

// Share of cases at `low` when the others take `high` and the mean is `target`: easy and hard queries, or a
// device that sleeps. Outside [0, 1]: no such mix.
constexpr double ShareForMean(double target, double low, double high) {
  return (high - target) / (high - low);
}

}  // namespace edgewise
