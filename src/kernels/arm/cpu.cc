// What this CPU and its kernel support, from the auxiliary vector: 64-bit Arm always has NEON.
#include "kernels/cpu.h"

#include <sys/auxv.h>

#include "kernels/arm/tables.h"

namespace edgewise::kernels {
namespace {

// Of asm/hwcap.h; headers older than the CPU lack the second.
constexpr unsigned long kDotProduct = 1ul << 20;     // AT_HWCAP, ASIMDDP
constexpr unsigned long kMatrixProduct = 1ul << 13;  // AT_HWCAP2, I8MM

bool HasDotProduct() { return (getauxval(AT_HWCAP) & kDotProduct) != 0; }
bool HasMatrixProduct() { return HasDotProduct() && (getauxval(AT_HWCAP2) & kMatrixProduct) != 0; }

}  // namespace

bool CpuSupports(Isa isa) {
  switch (isa) {
    case Isa::kPlain:
    case Isa::kNeon: return true;
    case Isa::kNeonDot: return HasDotProduct();
    case Isa::kNeonI8mm: return HasMatrixProduct();
    default: return false;
  }
}

const KernelTable* SimdTable(Isa isa) {
  switch (isa) {
    case Isa::kNeon: return &kNeonTable;
    case Isa::kNeonDot: return &kNeonDotTable;
    case Isa::kNeonI8mm: return &kNeonI8mmTable;
    default: return nullptr;
  }
}

}  // namespace edgewise::kernels
