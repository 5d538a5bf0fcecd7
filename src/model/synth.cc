#include "model/synth.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string_view>

#include "base/error.h"
#include "base/thread_pool.h"
#include "gguf/writer.h"
#include "model/model.h"
#include "model/random_weights.h"
#include "model/tensor_types.h"
#include "model/weight_stream.h"

namespace edgewise {
namespace {

constexpr uint32_t kQuantizationVersion = 2;  // of the K-quants' layout, since 2023
constexpr float kNormDeviation = 0.1f, kBiasDeviation = 0.1f;

void AddConfig(const ModelShape& shape, GgufWriter& writer) {
  const ModelConfig& c = shape.config;
  const auto key = [&c](const char* name) { return StrCat(c.architecture, ".", name); };
  writer.AddString("general.architecture", c.architecture);
  writer.AddString("general.name", StrCat("synthetic ", c.name));
  writer.AddU32(key("vocab_size"), c.vocab);
  writer.AddU32(key("context_length"), c.context);
  writer.AddU32(key("embedding_length"), c.width);
  writer.AddU32(key("block_count"), c.layers);
  writer.AddU32(key("feed_forward_length"), c.ffn);
  writer.AddU32(key("attention.head_count"), c.heads);
  writer.AddU32(key("attention.head_count_kv"), c.kv_heads);
  writer.AddU32(key("attention.key_length"), c.head_dim);
  writer.AddU32(key("attention.value_length"), c.head_dim);
  writer.AddF32(key("attention.layer_norm_rms_epsilon"), c.norm_eps);
  writer.AddU32(key("rope.dimension_count"), c.rope.dims);
  writer.AddF32(key("rope.freq_base"), c.rope.base);
  if (c.window != 0) writer.AddU32(key("attention.sliding_window"), c.window);
}

void AddVocabulary(uint32_t size, GgufWriter& writer) {
  const SynthVocabulary vocabulary = MakeSynthVocabulary(size);
  writer.AddString("tokenizer.ggml.model", "llama");
  writer.AddStrings("tokenizer.ggml.tokens", vocabulary.tokens);
  writer.AddFloats("tokenizer.ggml.scores", vocabulary.scores);
  writer.AddIntegers("tokenizer.ggml.token_type", vocabulary.types);
  writer.AddU32("tokenizer.ggml.unknown_token_id", 0);
  writer.AddU32("tokenizer.ggml.bos_token_id", 1);
  writer.AddU32("tokenizer.ggml.eos_token_id", 2);
  writer.AddBool("tokenizer.ggml.add_bos_token", true);
  writer.AddBool("tokenizer.ggml.add_eos_token", false);
}

constexpr std::string_view kRopeFactors = "rope_freqs.weight";

std::vector<float> MakeVector(const ModelShape& shape, const Weight& weight, uint64_t seed) {
  if (weight.name == kRopeFactors) return Llama3RopeFactors(shape);
  const bool bias = weight.name.ends_with(".bias");
  const float mean = bias ? 0 : 1;
  std::vector<float> values(weight.k);
  RandomWeights(DType::kF32, bias ? kBiasDeviation : kNormDeviation)
      .Fill(seed, std::as_writable_bytes(std::span(values)));
  for (float& value : values) value += mean;
  return values;
}

}  // namespace

SynthReport Synthesize(const ModelShape& shape, const std::string& path,
                       const SynthOptions& options,
                       FunctionRef<void(uint64_t done, uint64_t total)> progress) {
  CheckShape(shape);
  TensorTypes types(options.type, options.pure, RecipeModelOf(shape));
  const Model model = Model::FromShape(shape, types);
  std::vector<Weight> weights(model.weights().begin(), model.weights().end());
  // Last, so that having them changes no other tensor's seed.
  std::stable_partition(weights.begin(), weights.end(),
                        [](const Weight& w) { return w.name != kRopeFactors; });

  GgufWriter writer(path);
  AddConfig(shape, writer);
  writer.AddU32("general.file_type", types.recipe().file_type);
  writer.AddU32("general.quantization_version", kQuantizationVersion);
  AddVocabulary(shape.config.vocab, writer);

  SynthReport report;
  report.tensors = weights.size();
  report.parameters = model.parameters();
  report.weight_bytes = model.weight_bytes();
  for (const Weight& weight : weights) {
    const uint64_t dims[] = {weight.k, weight.rows};
    writer.DeclareTensor(weight.name, weight.type, std::span(dims, weight.rows == 1 ? 1 : 2));
  }
  writer.BeginData();

  ThreadPool pool(options.threads);
  const auto on_written = [&](uint64_t done) { progress(done, report.weight_bytes); };
  WeightStream stream(writer, pool, on_written);
  RandomBits seeds(options.seed);
  for (const Weight& weight : weights) {
    const uint64_t seed = seeds.Next();
    const uint64_t row_bytes = weight.row_bytes();
    if (weight.rows == 1) {
      const std::vector<float> values = MakeVector(shape, weight, seed);
      stream.Write(1, row_bytes, [&](int, uint64_t, std::span<std::byte> out) {
        std::memcpy(out.data(), values.data(), out.size());
      });
      continue;
    }
    const RandomWeights random(weight.type, 1 / std::sqrt(static_cast<double>(weight.k)));
    // A row has its own seed, so that the file does not depend on how threads share the rows.
    stream.Write(weight.rows, row_bytes, [&](int, uint64_t first, std::span<std::byte> out) {
      for (uint64_t i = 0; i * row_bytes < out.size(); ++i) {
        random.Fill(seed + first + i, out.subspan(i * row_bytes, row_bytes));
      }
    });
  }
  stream.Flush();
  writer.Finish();
  report.notes = types.notes();
  return report;
}

}  // namespace edgewise
