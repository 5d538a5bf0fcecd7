// Which instruction sets this CPU and its operating system support, and their tables.
#pragma once

#include "kernels/kernels.h"

namespace edgewise::kernels {

// Whether kernels for `isa` are in this build and may run here. True for kPlain.
bool CpuSupports(Isa isa);

// nullptr for kPlain, and for what this build has not.
const KernelTable* SimdTable(Isa isa);

}  // namespace edgewise::kernels
