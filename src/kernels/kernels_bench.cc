// Speed of the kernels, per instruction set and type, beside the roofs of this machine measured in
// the same run: bytes read from memory per second, and integer multiply-adds per second.
//
// Rates count what the formula needs (every weight byte once, two operations per multiply-add). One
// thread's rates are of CPU time, so that a busy machine disturbs them little. A case's result is checked
// against the plain kernels before it is timed.
#include <benchmark/benchmark.h>

#include <cmath>
#include <mutex>
#include <string>
#include <thread>

#include "kernels/roof.h"
#include "kernels/test_data.h"
#include "quant/kv_type.h"

namespace edgewise::kernels {
namespace {

constexpr uint32_t kWidth = 2048;  // TinyLlama's
// Weights of a decode case: more than any cache holds, and a part that stays in L2 (compute alone).
constexpr size_t kWeightBytes = 1024ull << 20, kCachedBytes = 512ull << 10;
constexpr size_t kPoolBytes = 64ull << 20;
constexpr uint32_t kRowsPerCall = 128;  // the executor's largest chunk
constexpr uint32_t kCallsPerPass = 64;
constexpr uint32_t kPromptRows = 256, kPromptColumns = 128;

// Weights for all decode cases, one type at a time: rows drawn from a pool of random ones (random bits for
// all of it take longer than the benchmark), so that no two pages are alike.
std::span<const std::byte> Weights(DType type) {
  static std::mutex mutex;
  static const GuardedBytes data(kWeightBytes);
  static int filled = -1;
  const std::lock_guard lock(mutex);
  const size_t row_bytes = RowBytes(type, kWidth), rows = kWeightBytes / row_bytes;
  if (filled != static_cast<int>(type)) {
    filled = static_cast<int>(type);
    Random random(1);
    std::vector<std::byte> pool(kPoolBytes / row_bytes * row_bytes);
    FillWeights(type, pool, random);
    for (size_t i = 0; i < rows; ++i) {
      const size_t from = random() % (pool.size() / row_bytes);
      std::memcpy(data.data() + i * row_bytes, pool.data() + from * row_bytes, row_bytes);
    }
  }
  return data.span();
}

// Activations and results of calls on `rows` rows at most.
struct Case {
  Case(DType type, uint32_t rows_at_most, uint32_t columns, const KernelTable& table)
      : rows(rows_at_most),
        m(columns),
        row_bytes(RowBytes(type, kWidth)),
        x_bytes(ActivationBytes(ActivationFormatOf(type), kWidth)),
        x(m * x_bytes),
        y(size_t{rows} * m) {
    Random random(1);
    for (uint32_t j = 0; j < m; ++j) {
      table.quantize(ActivationFormatOf(type), NormalFloats(kWidth, random).data(), kWidth,
                     x.data() + j * x_bytes);
    }
  }

  MatMulArgs Args(const std::byte* w, uint32_t row_count) {
    return {.w = w,
            .w_stride = row_bytes,
            .x = x.data(),
            .x_stride = x_bytes,
            .y = y.data(),
            .y_stride = rows,
            .rows = row_count,
            .k = kWidth,
            .m = m};
  }

  // Whether the first result of the kernel is that of the plain one.
  bool Agrees(MatMulKernel kernel, DType type, const std::byte* w) {
    KernelsFor(Isa::kPlain).matmul(type, ShapeOf(m)).run(Args(w, 1));
    const float expected = y[0];
    kernel.run(Args(w, rows));
    return std::abs(y[0] - expected) <= 1e-3f * (1 + std::abs(expected));
  }

  uint32_t rows, m;
  size_t row_bytes, x_bytes;
  GuardedBytes x;
  std::vector<float> y;
};

void SetRates(benchmark::State& state, double rows, double row_bytes, double m) {
  using benchmark::Counter;
  state.counters["GB/s"] = Counter(rows * row_bytes / 1e9, Counter::kIsRate);
  state.counters["GOP/s"] = Counter(2 * rows * kWidth * m / 1e9, Counter::kIsRate);
}

// One or a few columns, through the first `bytes` of the weights call by call as the executor would, each
// of several threads through a part of its own.
void Decode(benchmark::State& state, Isa isa, DType type, uint32_t m, size_t bytes) {
  const std::byte* w = Weights(type).data();
  Case c(type, kRowsPerCall, m, KernelsFor(isa));
  const MatMulKernel kernel = KernelsFor(isa).matmul(type, ShapeOf(m));
  if (!c.Agrees(kernel, type, w)) return state.SkipWithError("differs from the plain kernels");
  const size_t call_bytes = kRowsPerCall * c.row_bytes;
  const size_t calls = bytes / call_bytes / static_cast<size_t>(state.threads());
  w += static_cast<size_t>(state.thread_index()) * calls * call_bytes;
  size_t call = 0;
  for (auto _ : state) {
    for (uint32_t i = 0; i < kCallsPerPass; ++i) {
      kernel.run(c.Args(w + call * call_bytes, kRowsPerCall));
      call = (call + 1) % calls;
    }
    benchmark::ClobberMemory();
  }
  SetRates(state, double(state.iterations()) * kCallsPerPass * kRowsPerCall, double(c.row_bytes), m);
  state.SetLabel(kernel.how);
}

void Prefill(benchmark::State& state, Isa isa, DType type) {
  const std::byte* w = Weights(type).data();
  Case c(type, kPromptRows, kPromptColumns, KernelsFor(isa));
  const MatMulKernel kernel = KernelsFor(isa).matmul(type, MatMulShape::kMany);
  if (!c.Agrees(kernel, type, w)) return state.SkipWithError("differs from the plain kernels");
  const MatMulArgs args = c.Args(w, kPromptRows);
  for (auto _ : state) {
    kernel.run(args);
    benchmark::ClobberMemory();
  }
  SetRates(state, double(state.iterations()) * kPromptRows, double(c.row_bytes), kPromptColumns);
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

// The roofs: memory read, integer and float multiply-adds on registers.
void RoofRead(benchmark::State& state, Reader reader) {
  const size_t part = kWeightBytes / static_cast<size_t>(state.threads());
  const std::span<const std::byte> data = Weights(DType::kQ8_0).subspan(
      part * static_cast<size_t>(state.thread_index()), part);
  for (auto _ : state) benchmark::DoNotOptimize(ReadAll(data, reader));
  state.counters["GB/s"] =
      benchmark::Counter(double(part) * double(state.iterations()) / 1e9, benchmark::Counter::kIsRate);
}

void RoofPeak(benchmark::State& state, PeakLoop loop) {
  for (auto _ : state) loop.run();
  state.counters["GOP/s"] = benchmark::Counter(double(loop.ops) * double(state.iterations()) / 1e9,
                                               benchmark::Counter::kIsRate);
  state.SetLabel(loop.what);
}

// With one thread, and with as many as there are cores (in real time, which is what they share).
template <typename... Args>
void OneAndAllCores(const std::string& name, Args... args) {
  benchmark::RegisterBenchmark(name.c_str(), args...);
  const unsigned cores = std::thread::hardware_concurrency();
  if (cores > 1) {
    benchmark::RegisterBenchmark(name.c_str(), args...)->Threads(static_cast<int>(cores))->UseRealTime();
  }
}

// From the tables, so that a new type or instruction set needs no line here.
const bool registered = [] {
  for (const Reader& reader : {Reader{4, 0}, Reader{2, 2048}, Reader{4, 2048}}) {
    OneAndAllCores("roof/read/streams:" + std::to_string(reader.streams) +
                       "/prefetch:" + std::to_string(reader.prefetch),
                   RoofRead, reader);
  }
  for (Isa isa : SupportedIsas()) {
    const std::string name = NameOf(isa);
    benchmark::RegisterBenchmark(("roof/integers/" + name).c_str(), RoofPeak, IntegerPeakLoop(isa));
    benchmark::RegisterBenchmark(("roof/floats/" + name).c_str(), RoofPeak, FloatPeakLoop(isa));
    for (const TypeInfo& info : AllTypes()) {
      const std::string product = "matmul/" + name + "/" + info.name + "/m:";
      OneAndAllCores(product + "1", Decode, isa, info.type, 1, kWeightBytes);
      for (uint32_t m : {4u, kFewColumns}) {
        benchmark::RegisterBenchmark((product + std::to_string(m)).c_str(), Decode, isa, info.type, m,
                                     kWeightBytes);
      }
      for (uint32_t m : {1u, 4u, kFewColumns}) {
        benchmark::RegisterBenchmark((product + std::to_string(m) + "/cached").c_str(), Decode, isa,
                                     info.type, m, kCachedBytes);
      }
      benchmark::RegisterBenchmark((product + std::to_string(kPromptColumns)).c_str(), Prefill, isa,
                                   info.type);
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
