// What a product or a step costs on a chip, in lines that the chip verbs share.
#pragma once

#include <string>

#include "cli/json.h"
#include "machine/chip.h"
#include "machine/chip_cost.h"

namespace edgewise {

// Lines of cycles by phase, time, utilisation, traffic, energy.
std::string CostText(const ChipDesign& design, const ChipCost& cost);
// What takes most of the time, in words: "compute", "loading over the bus", ...
std::string BoundText(const ChipDesign& design, const ChipCost& cost);
// "int8 x int8": what the datapath multiplies.
std::string OperandText(const ChipDesign& design);

// cycles, phases, seconds, utilisation, traffic_bytes, joules.
void SetCost(Json& json, const ChipDesign& design, const ChipCost& cost);

}  // namespace edgewise
