// What this CPU and its operating system support, from CPUID and XGETBV: compilers' own checks
// differ in the names they know (clang 14 has no "avxvnni").
#include "kernels/cpu.h"

#include <cpuid.h>

#include "kernels/x86/tables.h"

namespace edgewise::kernels {
namespace {

struct Features {
  bool sse4 = false;
  bool avx2 = false;
  bool avx_vnni = false;
  bool avx512_vnni = false;
};

bool Bit(uint32_t word, int bit) { return (word >> bit & 1) != 0; }

// The register states the operating system saves (XCR0). Requires OSXSAVE.
uint64_t EnabledStates() {
  uint32_t low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t{high} << 32 | low;
}

Features Detect() {
  Features found;
  uint32_t a, b, c, d;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0) return found;
  // SSSE3, SSE4.1, SSE4.2 and POPCNT: what -msse4.2 lets the compiler use.
  found.sse4 = Bit(c, 9) && Bit(c, 19) && Bit(c, 20) && Bit(c, 23);
  const bool fma = Bit(c, 12), osxsave = Bit(c, 27), avx = Bit(c, 28), f16c = Bit(c, 29);
  if (!osxsave || !avx || !fma || !f16c) return found;
  constexpr uint64_t kYmm = 0x6, kZmm = 0xe6;  // SSE, AVX; and opmask, upper and high ZMM
  const uint64_t states = EnabledStates();
  if ((states & kYmm) != kYmm) return found;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return found;
  const bool bmi = Bit(b, 3) && Bit(b, 8);
  found.avx2 = Bit(b, 5) && bmi;
  // F, DQ, CD, BW, VL and VNNI: what -mavx512* of avx512vnni.cc lets the compiler use.
  found.avx512_vnni = found.avx2 && (states & kZmm) == kZmm && Bit(b, 16) && Bit(b, 17) &&
                      Bit(b, 28) && Bit(b, 30) && Bit(b, 31) && Bit(c, 11);
  if (__get_cpuid_count(7, 1, &a, &b, &c, &d) != 0) found.avx_vnni = found.avx2 && Bit(a, 4);
  return found;
}

}  // namespace

bool CpuSupports(Isa isa) {
  static const Features features = Detect();
  switch (isa) {
    case Isa::kPlain: return true;
    case Isa::kSse4: return features.sse4;
    case Isa::kAvx2: return features.avx2;
    case Isa::kAvx2Vnni: return features.avx_vnni;
    case Isa::kAvx512Vnni: return features.avx512_vnni;
    default: return false;
  }
}

const KernelTable* SimdTable(Isa isa) {
  switch (isa) {
    case Isa::kPlain: return nullptr;
    case Isa::kSse4: return &kSse4Table;
    case Isa::kAvx2: return &kAvx2Table;
    case Isa::kAvx2Vnni: return &kAvx2VnniTable;
    case Isa::kAvx512Vnni: return &kAvx512VnniTable;
    default: return nullptr;
  }
}

}  // namespace edgewise::kernels
