// The tables of the Arm instruction sets, each defined in a source compiled for that set.
#pragma once

#include "kernels/kernels.h"

namespace edgewise::kernels {

extern const KernelTable kNeonTable;
extern const KernelTable kNeonDotTable;
extern const KernelTable kNeonI8mmTable;

}  // namespace edgewise::kernels
