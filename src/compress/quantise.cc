#include "compress/quantise.h"

#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "base/thread_pool.h"
#include "gguf/writer.h"
#include "model/tensor_types.h"
#include "model/weight_stream.h"
#include "quant/codec.h"

namespace edgewise {
namespace {

constexpr uint32_t kQuantizationVersion = 2;  // of the K-quants' layout, since 2023

bool IsSameFile(const std::string& a, const std::string& b) {
  struct stat first = {}, second = {};
  return stat(a.c_str(), &first) == 0 && stat(b.c_str(), &second) == 0 &&
         first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

void CheckNotSource(const Gguf& source, const std::string& path) {
  for (const std::string& part : source.paths()) {
    if (!IsSameFile(part, path)) continue;
    throw Error(ErrorCode::kUsage,
                StrCat(path, " is the file being read: name another for the result"));
  }
}

// What a recipe asks of the model; a file without these keys is quantised by the base type's rules.
RecipeModel RecipeModelOf(const Gguf& source) {
  const std::string prefix = StrCat(source.String("general.architecture", ""), ".");
  const auto count = [&](const char* key, int64_t fallback) {
    return static_cast<uint32_t>(
        std::clamp<int64_t>(source.Integer(prefix + key, fallback), 1, 1 << 20));
  };
  const uint32_t heads = count("attention.head_count", 1);
  const uint32_t kv_heads = count("attention.head_count_kv", heads);
  return {.layers = count("block_count", 1),
          .heads_per_kv_head = std::max(1u, heads / kv_heads),
          .tied_embeddings = source.FindTensor("output.weight") == nullptr};
}

// Re-encodes the rows of one tensor; the only state is what goes wrong.
class RowEncoder {
 public:
  RowEncoder(const GgufTensor& from, DType to, std::span<std::vector<float>> floats)
      : from_(from), to_(to), floats_(floats) {
    for (std::vector<float>& row : floats_) row.resize(from.row_length());
  }

  // As WeightStream::Fill.
  void Encode(int worker, uint64_t first, std::span<std::byte> out) {
    const uint64_t from_bytes = RowBytes(from_.type, from_.row_length());
    const uint64_t to_bytes = RowBytes(to_, from_.row_length());
    for (uint64_t i = 0; i * to_bytes < out.size(); ++i) {
      const auto in_row = from_.data.subspan((first + i) * from_bytes, from_bytes);
      const auto out_row = out.subspan(i * to_bytes, to_bytes);
      if (from_.type == to_) {
        std::memcpy(out_row.data(), in_row.data(), to_bytes);
        continue;
      }
      std::vector<float>& row = floats_[static_cast<size_t>(worker)];
      DecodeRow(from_.type, in_row, row);
      if (!std::all_of(row.begin(), row.end(), [](float x) { return std::isfinite(x); })) {
        NoteBad(first + i);
        std::ranges::fill(row, 0.0f);
      }
      EncodeRow(to_, row, out_row);
    }
  }

  void ThrowIfBad(const std::string& path) const {
    if (bad_row_ == kNone) return;
    throw Error(ErrorCode::kBadFile,
                StrCat(path, ": tensor ", Printable(from_.name), " row ", bad_row_.load(),
                       " holds a weight that is NaN or "
                       "infinite: the file is damaged"));
  }

 private:
  static constexpr uint64_t kNone = std::numeric_limits<uint64_t>::max();

  // Keeps the first, whatever the order in which threads come.
  void NoteBad(uint64_t row) {
    uint64_t seen = bad_row_;
    while (row < seen && !bad_row_.compare_exchange_weak(seen, row)) {
    }
  }

  const GgufTensor& from_;
  DType to_;
  std::span<std::vector<float>> floats_;  // one row per worker
  std::atomic<uint64_t> bad_row_{kNone};
};

}  // namespace

QuantiseReport Quantise(const Gguf& source, const std::string& path, const QuantiseOptions& options,
                        FunctionRef<void(uint64_t done, uint64_t total)> progress) {
  TensorTypes types(options.type, options.pure, RecipeModelOf(source));
  CheckNotSource(source, path);

  GgufWriter writer(path);
  for (const GgufEntry& entry : source.entries()) writer.Add(entry.key, entry.value);
  writer.AddU32("general.file_type", types.recipe().file_type);
  writer.AddU32("general.quantization_version", kQuantizationVersion);

  QuantiseReport report;
  std::vector<DType> chosen;
  for (const GgufTensor& tensor : source.tensors()) {
    const DType type = types.For({tensor.name, tensor.rank, tensor.row_length()}, tensor.type);
    chosen.push_back(type);
    writer.DeclareTensor(tensor.name, type, std::span(tensor.dims).first(tensor.rank));
    ++report.tensors;
    ++report.tensors_by_type[type];
    report.weights += tensor.elements();
    report.bytes_before += tensor.data.size();
    report.bytes_after += tensor.rows() * RowBytes(type, tensor.row_length());
  }
  report.notes = types.notes();
  writer.BeginData();

  ThreadPool pool(std::max(1, options.threads));
  std::vector<std::vector<float>> floats(static_cast<size_t>(pool.threads()));
  const auto on_written = [&](uint64_t done) { progress(done, report.bytes_after); };
  WeightStream stream(writer, pool, on_written);
  for (size_t i = 0; i < chosen.size(); ++i) {
    const GgufTensor& tensor = source.tensors()[i];
    RowEncoder encoder(tensor, chosen[i], floats);
    stream.Write(tensor.rows(), RowBytes(chosen[i], tensor.row_length()),
                 [&](int worker, uint64_t first, std::span<std::byte> out) {
                   encoder.Encode(worker, first, out);
                 });
    encoder.ThrowIfBad(source.path());
  }
  stream.Flush();
  source.CheckIntact();
  writer.Finish();
  return report;
}

}  // namespace edgewise
