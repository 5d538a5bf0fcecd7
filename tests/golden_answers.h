// What the product answers to the rows of a golden table. No formula stands here: a row becomes a chip, a
// product or a model, and the functions that the program itself uses price, execute or simulate it.
#pragma once

#include <span>
#include <string>

#include "golden_file.h"

namespace edgewise {

// Throws Error(kUnsupported) for an op that is none; Error for inputs that no chip, model or device can have,
// and when an executed product comes out wrong.
Answer AnswerOf(const GoldenRow& row);

// Of chips, their products and a model's operations (golden_answers.cc); of devices, precisions, caches and
// rules of choice (golden_formulas.cc).
struct GoldenOp {
  const char* name;
  Answer (*answer)(const GoldenRow& row);
};
std::span<const GoldenOp> ChipOps();
std::span<const GoldenOp> FormulaOps();

}  // namespace edgewise
