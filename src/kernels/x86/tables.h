// The tables of the x86 instruction sets, each defined in a source compiled for that set.
#pragma once

#include "kernels/kernels.h"

namespace edgewise::kernels {

extern const KernelTable kSse4Table;
extern const KernelTable kAvx2Table;
extern const KernelTable kAvx2VnniTable;
extern const KernelTable kAvx512VnniTable;

}  // namespace edgewise::kernels
