#include "kernels/arm/tables.h"
#include "kernels/v128/table-inl.h"

namespace edgewise::kernels {

constinit const KernelTable kNeonI8mmTable = TableFor(Isa::kNeonI8mm);

}  // namespace edgewise::kernels
