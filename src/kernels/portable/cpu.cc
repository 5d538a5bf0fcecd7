// No instruction set of our own on this architecture yet: the plain kernels only.
#include "kernels/cpu.h"

namespace edgewise::kernels {

bool CpuSupports(Isa isa) { return isa == Isa::kPlain; }

const KernelTable* SimdTable(Isa /*isa*/) { return nullptr; }

}  // namespace edgewise::kernels
