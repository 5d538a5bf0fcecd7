// Speed of the kernels, per instruction set and type, beside the roofs of this machine measured in
// the same run: bytes read from memory per second, and integer multiply-adds per second.
//
// Rates count what the formula needs (every weight byte once, two operations per multiply-add) and
// CPU time, so that a busy machine disturbs them little. Weights of a decode case are larger than
// any cache here; a case's result is checked against the plain kernels before it is timed.
#include <benchmark/benchmark.h>

#include <cmath>
#include <string>

#include "kernels/roof.h"
#include "kernels/test_data.h"
#include "quant/kv_type.h"

namespace edgewise::kernels {
namespace {

constexpr uint32_t kWidth = 2048;             // TinyLlama's
constexpr size_t kWeightBytes = 64ull << 20;  // for decode: beyond the L3 share of two cores
constexpr uint32_t kPromptRows = 256, kPromptColumns = 128;

struct Case {
  Case(DType type, uint32_t row_count, uint32_t columns, const KernelTable& table)
      : rows(row_count),
        m(columns),
        row_bytes(RowBytes(type, kWidth)),
        x_bytes(ActivationBytes(ActivationFormatOf(type), kWidth)),
        w(rows * row_bytes),
        x(m * x_bytes),
        y(size_t{rows} * m) {
    Random random(1);
    // One row of random blocks, repeated: random bits for all of it take longer than the benchmark.
    FillWeights(type, w.span().first(row_bytes), random);
    for (uint32_t i = 1; i < rows; ++i) {
      std::memcpy(w.data() + i * row_bytes, w.data(), row_bytes);
    }
    for (uint32_t j = 0; j < m; ++j) {
      table.quantize(ActivationFormatOf(type), NormalFloats(kWidth, random).data(), kWidth,
                     x.data() + j * x_bytes);
    }
  }

  MatMulArgs Args(uint32_t row_count) {
    return {.w = w.data(),
            .w_stride = row_bytes,
            .x = x.data(),
            .x_stride = x_bytes,
            .y = y.data(),
            .y_stride = rows,
            .rows = row_count,
            .k = kWidth,
            .m = m};
  }

  uint32_t rows, m;
  size_t row_bytes, x_bytes;
  GuardedBytes w, x;
  std::vector<float> y;
};

void MatMul(benchmark::State& state, Isa isa, DType type, uint32_t m) {
  const KernelTable& table = KernelsFor(isa);
  const size_t row_bytes = RowBytes(type, kWidth);
  const bool decode = m < kPromptColumns;
  const uint32_t rows = decode ? static_cast<uint32_t>(kWeightBytes / row_bytes) : kPromptRows;
  Case c(type, rows, m, table);

  KernelsFor(Isa::kPlain).matmul(type, ShapeOf(m)).run(c.Args(1));
  const float expected = c.y[0];
  const MatMulKernel kernel = table.matmul(type, ShapeOf(m));
  const MatMulArgs args = c.Args(rows);
  kernel.run(args);
  if (std::abs(c.y[0] - expected) > 1e-3f * (1 + std::abs(expected))) {
    state.SkipWithError("differs from the plain kernels");
    return;
  }
  for (auto _ : state) {
    kernel.run(args);
    benchmark::ClobberMemory();
  }
  const double macs = double(rows) * kWidth * m * double(state.iterations());
  using benchmark::Counter;
  state.counters["GB/s"] = Counter(
      double(rows) * double(row_bytes) * double(state.iterations()) / 1e9, Counter::kIsRate);
  state.counters["GOP/s"] = Counter(2 * macs / 1e9, Counter::kIsRate);
  state.SetLabel(kernel.how);
}

// A tile of full F16 keys and values; bytes count the tile once.
// One span, for `rows` query rows of one KV head.
void Attention(benchmark::State& state, Isa isa, DType type, uint32_t rows) {
  constexpr uint32_t kDim = 64;
  const KernelTable& table = KernelsFor(isa);
  Random random(2);
  const size_t stride = KvRowBytes(type, kDim);
  GuardedBytes k(kKvSpan * stride), v(kKvSpan * stride);
  for (uint32_t t = 0; t < kKvSpan; ++t) {
    table.encode_kv_row(type, NormalFloats(kDim, random).data(), kDim, k.data() + t * stride);
    table.encode_kv_row(type, NormalFloats(kDim, random).data(), kDim, v.data() + t * stride);
  }
  const std::vector<float> q = NormalFloats(rows * kDim, random, 0.1f);
  const std::vector<uint32_t> begin(rows, 0), end(rows, kKvSpan);
  std::vector<float> max(rows), sum(rows);
  const GuardedBytes acc(sizeof(float) * rows * kDim);
  const GuardedBytes scratch(sizeof(float) * AttentionScratchFloats(kDim, rows));
  const AttentionArgs args{.q = q.data(),
                           .q_stride = kDim,
                           .k = k.data(),
                           .k_stride = stride,
                           .v = v.data(),
                           .v_stride = stride,
                           .begin = begin.data(),
                           .end = end.data(),
                           .state = {.max = max.data(),
                                     .sum = sum.data(),
                                     .acc = reinterpret_cast<float*>(acc.data()),
                                     .acc_stride = kDim},
                           .scratch = reinterpret_cast<float*>(scratch.data()),
                           .rows = rows,
                           .positions = kKvSpan,
                           .head_dim = kDim};
  for (auto _ : state) {
    table.attention(type, type, args);
    benchmark::ClobberMemory();
  }
  using benchmark::Counter;
  const double calls = double(state.iterations());
  state.counters["GB/s"] = Counter(2.0 * kKvSpan * double(stride) * calls / 1e9, Counter::kIsRate);
  state.counters["GOP/s"] = Counter(4.0 * kKvSpan * kDim * rows * calls / 1e9, Counter::kIsRate);
}

void Quantise(benchmark::State& state, Isa isa, ActivationFormat format) {
  Random random(3);
  const std::vector<float> x = NormalFloats(kWidth, random);
  std::vector<std::byte> out(ActivationBytes(format, kWidth));
  for (auto _ : state) {
    KernelsFor(isa).quantize(format, x.data(), kWidth, out.data());
    benchmark::ClobberMemory();
  }
  state.counters["Gvalues/s"] = benchmark::Counter(
      double(kWidth) * double(state.iterations()) / 1e9, benchmark::Counter::kIsRate);
}

void SwiGlu(benchmark::State& state, Isa isa) {
  Random random(4);
  const std::vector<float> gate = NormalFloats(kWidth, random), up = gate;
  std::vector<float> y(kWidth);
  for (auto _ : state) {
    KernelsFor(isa).swiglu(gate.data(), up.data(), kWidth, y.data());
    benchmark::ClobberMemory();
  }
  state.counters["Gvalues/s"] = benchmark::Counter(
      double(kWidth) * double(state.iterations()) / 1e9, benchmark::Counter::kIsRate);
}

// The roofs, on one core: memory read, integer and float multiply-adds on registers.
void RoofRead(benchmark::State& state) {
  const GuardedBytes data(kWeightBytes);
  std::memset(data.data(), 1, data.size());  // untouched pages would all be the page of zeros
  for (auto _ : state) benchmark::DoNotOptimize(ReadAll(data.span(), {4, 2048}));
  state.counters["GB/s"] = benchmark::Counter(
      double(kWeightBytes) * double(state.iterations()) / 1e9, benchmark::Counter::kIsRate);
}

void RoofPeak(benchmark::State& state, PeakLoop loop) {
  for (auto _ : state) loop.run();
  state.counters["GOP/s"] = benchmark::Counter(double(loop.ops) * double(state.iterations()) / 1e9,
                                               benchmark::Counter::kIsRate);
  state.SetLabel(loop.what);
}

// From the tables, so that a new type or instruction set needs no line here.
const bool registered = [] {
  benchmark::RegisterBenchmark("roof/read", RoofRead);
  for (Isa isa : SupportedIsas()) {
    const std::string name = NameOf(isa);
    benchmark::RegisterBenchmark(("roof/integers/" + name).c_str(), RoofPeak, IntegerPeakLoop(isa));
    benchmark::RegisterBenchmark(("roof/floats/" + name).c_str(), RoofPeak, FloatPeakLoop(isa));
    for (const TypeInfo& info : AllTypes()) {
      for (uint32_t m : {1u, 4u, kFewColumns, kPromptColumns}) {
        benchmark::RegisterBenchmark(
            ("matmul/" + name + "/" + info.name + "/m:" + std::to_string(m)).c_str(), MatMul, isa,
            info.type, m);
      }
    }
    for (DType type : {DType::kF32, DType::kF16, DType::kQ8_0, DType::kQ4_0}) {
      for (uint32_t rows : {1u, 8u, 256u}) {
        benchmark::RegisterBenchmark(
            ("attention/" + name + "/" + edgewise::NameOf(type) + "/rows:" + std::to_string(rows))
                .c_str(),
            Attention, isa, type, rows);
      }
    }
    benchmark::RegisterBenchmark(("quantize/" + name + "/Q8_0").c_str(), Quantise, isa,
                                 ActivationFormat::kQ8_0);
    benchmark::RegisterBenchmark(("quantize/" + name + "/Q8_K").c_str(), Quantise, isa,
                                 ActivationFormat::kQ8_K);
    benchmark::RegisterBenchmark(("swiglu/" + name).c_str(), SwiGlu, isa);
  }
  return true;
}();

}  // namespace
}  // namespace edgewise::kernels
