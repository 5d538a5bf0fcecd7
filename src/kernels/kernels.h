// The kernels of a step, behind one table filled at start for this CPU.
//
// Kernels take raw pointers, allocate nothing (panels and sums of up to 212 KiB lie on the caller's stack),
// start no threads, know no model and do not throw. Every matrix kernel has one order of summation
// per output, whatever the number of rows and columns it is handed: the same weights and
// activations give the same bits alone or in a batch. With quantised weights, and in rounding
// activations and KV rows, every instruction set gives the same bits too; float sums differ by
// instruction set.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "quant/dtype.h"
#include "quant/kv_type.h"  // rows of the KV cache

namespace edgewise::kernels {

enum class Isa : uint8_t { kPlain, kSse4, kAvx2, kAvx2Vnni, kAvx512Vnni, kNeon, kNeonDot, kNeonI8mm };

// How a weight type wants the activations of its products; layouts in activation.h.
enum class ActivationFormat : uint8_t {
  kF32,   // floats as they are: F32, F16, BF16 weights
  kQ8_0,  // blocks of 32: int8 codes, one float scale, the codes' sum: the 32-blocks
  kQ8_K,  // blocks of 256: int8 codes, one float scale, sums per 16: the K-quants
};
ActivationFormat ActivationFormatOf(DType weight);

// Bytes of one activation row of k values in `format`, padded to a multiple of 64.
size_t ActivationBytes(ActivationFormat format, uint32_t k);

// How long before its use a weight is asked for; row_lanes-inl.h has the measurements.
inline constexpr size_t kPrefetchBytes = 512;

// Kernels of one and few columns read `lanes` rows side by side, each lane its share of the rows one after
// the other. How many: evenly shared, but not such that the lanes lie whole pages apart, for then their lines
// all belong to one set of the first cache, which holds fewer (16 lanes of Q4_0 and Q8_0, one thread from
// memory: 512 and 1024 rows are 5 to 16% slower than 16 more or fewer). A row more of at least 32 costs 3% of
// the computing at most, and no memory.
inline constexpr uint32_t RowsOfLane(uint32_t rows, uint32_t lanes, size_t w_stride) {
  const uint32_t share = (rows + lanes - 1) / lanes;
  return share + (share >= 32 && share * w_stride % 4096 == 0);
}

// y[j * y_stride + i] = sum over k of W[i, k] * x[j, k]   for i < rows, j < m.
//   w  rows x k in its GGUF type, rows w_stride bytes apart
//   x  m activation rows in ActivationFormatOf(type), x_stride bytes apart
//   y  floats, overwritten; y_stride in floats
// Alignment: w as its type's blocks (2 bytes; 4 for F32), x 4 bytes, better 64; nothing is read
// beyond the last byte of a row. y may hold anything before. m and rows may be 0.
// Precision: quantised types have exact integer dots within a block, then one chain of fused
// multiply-adds over the blocks (plain_matmul.cc states it); float types 8 or 16 lanes and a tree.
// Traffic: every weight byte once per call; a panel of rows stays in cache for all columns.
struct MatMulArgs {
  const std::byte* w;
  size_t w_stride;
  const std::byte* x;
  size_t x_stride;
  float* y;
  size_t y_stride;
  uint32_t rows, k, m;
  // How long before its use a weight is asked for, by kernels of one or few columns that ask.
  size_t prefetch_bytes = kPrefetchBytes;
};
using MatMulFn = void (*)(const MatMulArgs&);

// How many columns a matrix kernel is made for. All of one weight type give the same bits; any may be
// called with any m within its shape, and kMany with any m at all.
enum class MatMulShape : uint8_t {
  kOne,   // m = 1: decoding one token; bound by reading the weights
  kFew,   // m = 2 .. kFewColumns: speculation, small batches
  kMany,  // prefill; bound by the multiply-add units
};
inline constexpr uint32_t kFewColumns = 8;
inline constexpr MatMulShape ShapeOf(uint32_t m) {
  return m == 1 ? MatMulShape::kOne : m <= kFewColumns ? MatMulShape::kFew : MatMulShape::kMany;
}

// An entry of the table: dispatch, tests and benchmarks are generated from these.
struct MatMulKernel {
  MatMulFn run;
  const char* how;  // in a few words, for people: "8 rows at once, maddubs"
};

// What attention over some positions leaves of each query row: the maximum of its scores in base 2, the
// sum of exp2(score - max), and the same sum over exp2(score - max) * v. The result is acc / sum.
// A row that saw no position has max = -inf, sum = 0, acc = 0.
struct AttentionState {
  float* max = nullptr;
  float* sum = nullptr;
  float* acc = nullptr;   // AttentionPadded(head_dim) floats a row, those beyond head_dim without meaning
  size_t acc_stride = 0;  // floats

  AttentionState From(size_t row) const {
    return {max + row, sum + row, acc + row * acc_stride, acc_stride};
  }
};

// One span of KV positions for a block of query rows, by online softmax over tiles of kKvTile positions:
// for each row r and the positions t in [begin[r], end[r]) of this span, score = q_r . k_t; `state` is
// overwritten. A row's result depends on where the span begins and on the row's own range only, never on
// the other rows. exp2 has a relative error below 2e-7 down to 2^-126, and is 0 below.
//   q  rows x head_dim floats, already scaled by log2(e) / sqrt(head_dim)
//   k, v  `positions` <= kKvSpan rows in kv type, k_stride / v_stride bytes apart
//   scratch  AttentionScratchFloats(head_dim, rows) floats
// Whoever attends to more than a span merges the states of its spans, positions ascending: spans can be
// shared among threads, and the bits stay the same.
inline constexpr uint32_t kKvTile = 64;
inline constexpr uint32_t kKvSpan = 512;
struct AttentionArgs {
  const float* q;
  size_t q_stride;  // floats
  const std::byte* k;
  size_t k_stride;
  const std::byte* v;
  size_t v_stride;
  const uint32_t* begin;  // per row
  const uint32_t* end;
  AttentionState state;
  float* scratch;
  uint32_t rows, positions, head_dim;
};
inline constexpr uint32_t AttentionPadded(uint32_t head_dim) { return (head_dim + 15) / 16 * 16; }
size_t AttentionScratchFloats(uint32_t head_dim, uint32_t rows);

struct KernelTable {
  Isa isa;
  MatMulKernel (*matmul)(DType weight, MatMulShape shape);  // run is never null
  // Rounds a row of k floats; out has ActivationBytes(format, k). A block that holds a NaN or an
  // infinity gets scale NaN, so that its products are NaN. Requires k to be whole blocks.
  void (*quantize)(ActivationFormat format, const float* x, uint32_t k, std::byte* out);
  void (*attention)(DType kv_type_k, DType kv_type_v, const AttentionArgs& args);
  // Merges the states of `rows` rows over later positions into those over earlier ones.
  void (*merge_attention)(const AttentionState& earlier, const AttentionState& later, uint32_t rows,
                          uint32_t head_dim);
  // Writes KvRowBytes(type, head_dim) bytes (quant/kv_type.h).
  void (*encode_kv_row)(DType type, const float* x, uint32_t head_dim, std::byte* out);
  // y = x / sqrt(mean(x^2) + eps) * weight; x and y may be the same.
  void (*rms_norm)(const float* x, const float* weight, float eps, uint32_t n, float* y);
  // y = silu(gate) * up; y may be either input.
  void (*swiglu)(const float* gate, const float* up, uint32_t n, float* y);
  // y += x
  void (*add)(const float* x, uint32_t n, float* y);
  // Rotates pairs by angles given as cos and sin (n/2 each): (x[2i], x[2i+1]) when interleaved,
  // (x[i], x[i + n/2]) otherwise.
  void (*rope)(float* x, const float* cos, const float* sin, uint32_t n, bool interleaved);
};

// Rows shorter than this are multiplied in floats whatever their type. Rounding so few activations to
// eight bits shows in the logits (stories260K in Q8_0, rows of 64: mean KL divergence 6.4e-4 from
// floats), and such products take no time.
inline constexpr uint32_t kLeastIntegerRow = 256;

// What a product with rows of k weights wants its activations in.
ActivationFormat ActivationFormatFor(DType weight, uint32_t k);

// The product of MatMulArgs with x in ActivationFormatFor(weight, args.k): the table's kernel, or for
// short rows its float kernel over decoded weights.
void MatMul(const KernelTable& kernels, DType weight, const MatMulArgs& args);

// The table in use: the best this CPU and operating system support, or what EDGEWISE_ISA names.
// Throws Error(kUsage) once, at the first call, when EDGEWISE_ISA names none or one not supported.
const KernelTable& Kernels();

const char* NameOf(Isa isa);
// What this CPU can run, best first; kPlain is always last.
std::span<const Isa> SupportedIsas();
const KernelTable& KernelsFor(Isa isa);  // requires a supported isa

}  // namespace edgewise::kernels
