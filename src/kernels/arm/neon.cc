#include "kernels/arm/tables.h"
#include "kernels/v128/table-inl.h"

namespace edgewise::kernels {

constinit const KernelTable kNeonTable = TableFor(Isa::kNeon);

}  // namespace edgewise::kernels
