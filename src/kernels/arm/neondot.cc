#include "kernels/arm/tables.h"
#include "kernels/v128/table-inl.h"

namespace edgewise::kernels {

constinit const KernelTable kNeonDotTable = TableFor(Isa::kNeonDot);

}  // namespace edgewise::kernels
