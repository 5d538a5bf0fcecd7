#include "kernels/x86/table-inl.h"
#include "kernels/x86/tables.h"

namespace edgewise::kernels {

constinit const KernelTable kAvx2Table = TableFor(Isa::kAvx2);

}  // namespace edgewise::kernels
