#include "kernels/x86/table-inl.h"
#include "kernels/x86/tables.h"

namespace edgewise::kernels {

constinit const KernelTable kAvx512VnniTable = TableFor(Isa::kAvx512Vnni);

}  // namespace edgewise::kernels
