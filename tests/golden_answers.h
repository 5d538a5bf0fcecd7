// What the product answers to the rows of a golden table. No formula stands here: a row becomes a chip, a
// product or a model, and the functions that the program itself uses price, execute or simulate it.
#pragma once

#include <string>

#include "golden_file.h"

namespace edgewise {

// Rows about chips and about a model's operations.
bool IsChipOp(const std::string& op);
// Rows that only a predictor can answer; none exists yet.
bool IsPredictorOp(const std::string& op);

// Requires IsChipOp(row.op). Throws Error for inputs that no chip or model can have, and
// Error(kUnsupported) when an executed product comes out wrong.
Answer AnswerOf(const GoldenRow& row);

}  // namespace edgewise
