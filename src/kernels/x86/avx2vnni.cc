#include "kernels/x86/table-inl.h"
#include "kernels/x86/tables.h"

namespace edgewise::kernels {

constinit const KernelTable kAvx2VnniTable = TableFor(Isa::kAvx2Vnni);

}  // namespace edgewise::kernels
