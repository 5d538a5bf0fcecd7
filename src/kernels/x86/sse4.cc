#include "kernels/v128/table-inl.h"
#include "kernels/x86/tables.h"

namespace edgewise::kernels {

constinit const KernelTable kSse4Table = TableFor(Isa::kSse4);

}  // namespace edgewise::kernels
