// A test on a simulated chip, role by role: the chip's closed form, its tile model, and this machine beside
// them.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "cli/compare_run.h"
#include "cli/json.h"
#include "machine/chip.h"

namespace edgewise {

// Of one role: what the chip's tiles did.
struct ChipRun {
  uint64_t tiles = 0;
  double seconds = 0;
};
struct ChipComparison {
  TestPrediction predicted;               // products and attention on the chip, nothing else
  std::array<ChipRun, kRoles> simulated;  // products only: attention and norms ran on this CPU
  BenchResult measured;                   // this machine's own kernels, in the types of the file

  double predicted_products_s() const;
  double simulated_s() const;
};

// Executes the test's steps with the chip multiplying every matrix: weights as int8 with one scale a row, so
// that each product of the model is one of the chip, as the closed form takes it. Throws Error as the chip's
// backend does (a tensor that it cannot take).
std::array<ChipRun, kRoles> SimulateTest(const ChipDesign& design, const Model& model, const BenchTest& test,
                                         const EngineOptions& options, int threads);

std::string ChipComparisonText(const ChipDesign& design, const std::string& model, const ChipComparison& c);
Json ChipComparisonJson(const ChipDesign& design, const std::string& model, const ChipComparison& c);

}  // namespace edgewise
