#include "kernels/kernels.h"

#include <array>
#include <cstdlib>
#include <string>

#include "base/error.h"
#include "kernels/activation.h"
#include "kernels/cpu.h"
#include "kernels/plain.h"

namespace edgewise::kernels {
namespace {

constexpr KernelTable kPlainTable = {
    .isa = Isa::kPlain,
    .matmul = plain::MatMulFor,
    .quantize = plain::Quantize,
    .attention = plain::Attention,
    .merge_attention = plain::MergeAttention,
    .encode_kv_row = plain::EncodeKvRow,
    .rms_norm = plain::RmsNorm,
    .swiglu = plain::SwiGlu,
    .add = plain::Add,
    .rope = plain::Rope,
};

struct IsaList {
  std::array<Isa, 8> isas;
  size_t count = 0;
};

const IsaList& Supported() {
  static const IsaList list = [] {
    IsaList found;
    for (Isa isa : {Isa::kAvx512Vnni, Isa::kAvx2Vnni, Isa::kAvx2, Isa::kSse4, Isa::kNeonI8mm,
                    Isa::kNeonDot, Isa::kNeon, Isa::kPlain}) {
      if (CpuSupports(isa)) found.isas[found.count++] = isa;
    }
    return found;
  }();
  return list;
}

const KernelTable& ChooseTable() {
  const char* forced = std::getenv("EDGEWISE_ISA");
  if (forced == nullptr || *forced == '\0') return KernelsFor(SupportedIsas().front());
  std::string names;
  for (Isa isa : SupportedIsas()) {
    if (std::string_view(forced) == NameOf(isa)) return KernelsFor(isa);
    if (!names.empty()) names += ", ";
    names += NameOf(isa);
  }
  throw Error(ErrorCode::kUsage,
              "EDGEWISE_ISA=" + std::string(forced) +
                  " names no instruction set this machine supports; use one of " + names +
                  ", or unset it");
}

}  // namespace

ActivationFormat ActivationFormatOf(DType weight) {
  switch (weight) {
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16: return ActivationFormat::kF32;
    case DType::kQ4_0:
    case DType::kQ4_1:
    case DType::kQ5_0:
    case DType::kQ5_1:
    case DType::kQ8_0:
    case DType::kIQ4_NL: return ActivationFormat::kQ8_0;
    default: return ActivationFormat::kQ8_K;
  }
}

size_t ActivationBytes(ActivationFormat format, uint32_t k) {
  size_t bytes = sizeof(float) * size_t{k};
  if (format == ActivationFormat::kQ8_0) {
    bytes = k + k / kActivationBlock32 * (sizeof(float) + sizeof(int32_t));
  } else if (format == ActivationFormat::kQ8_K) {
    bytes = k + k / kActivationBlockK * sizeof(float) + k / 16 * sizeof(int16_t);
  }
  return (bytes + 63) / 64 * 64;
}

size_t AttentionScratchFloats(uint32_t head_dim, uint32_t rows) {
  // A decoded tile of keys, then of values; the scores of all rows and their factors; eight decoded rows
  // on their way to being transposed.
  const size_t padded = AttentionPadded(head_dim);
  return kKvTile * padded + size_t{rows} * kKvTile + (size_t{rows} + 15) / 16 * 16 + 8 * padded;
}

const char* NameOf(Isa isa) {
  switch (isa) {
    case Isa::kPlain: return "plain";
    case Isa::kSse4: return "sse4";
    case Isa::kAvx2: return "avx2";
    case Isa::kAvx2Vnni: return "avx2vnni";
    case Isa::kAvx512Vnni: return "avx512vnni";
    case Isa::kNeon: return "neon";
    case Isa::kNeonDot: return "neondot";
    case Isa::kNeonI8mm: return "neoni8mm";
  }
  return "unknown";
}

std::span<const Isa> SupportedIsas() {
  const IsaList& list = Supported();
  return {list.isas.data(), list.count};
}

const KernelTable& KernelsFor(Isa isa) {
  EDGEWISE_CHECK(CpuSupports(isa));
  const KernelTable* table = SimdTable(isa);
  return table == nullptr ? kPlainTable : *table;
}

const KernelTable& Kernels() {
  static const KernelTable& table = ChooseTable();
  return table;
}

}  // namespace edgewise::kernels
