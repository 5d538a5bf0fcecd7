#include "model/shapes.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "base/error.h"
#include "base/nearest.h"
#include "model/architecture.h"

namespace edgewise {
namespace {

struct Row {
  const char* name;
  const char* architecture;
  uint32_t vocab, context, width, layers, heads, kv_heads, head_dim, ffn;
  float eps, rope_base;
  bool tied;
  uint32_t window = 0;
  float llama3_rope_factor = 0;
};

// Source: config.json of each model's publisher; shapes_test.cc has their parameter counts.
// gpt2-small is not GPT-2 (whose layers differ) but a Llama of its width, depth, heads and
// vocabulary; a gated layer of 2048 has the weights of GPT-2's ungated 3072, so a token costs the same.
constexpr Row kRows[] = {
    // name, architecture, vocab, context, width, layers, heads, kv, head, ffn, eps, rope base, tied
    {"tinyllama-1.1b", "llama", 32000, 2048, 2048, 22, 32, 4, 64, 5632, 1e-5f, 1e4f, false},
    {"llama1-7b", "llama", 32000, 2048, 4096, 32, 32, 32, 128, 11008, 1e-6f, 1e4f, false},
    {"llama1-13b", "llama", 32000, 2048, 5120, 40, 40, 40, 128, 13824, 1e-6f, 1e4f, false},
    {"llama1-33b", "llama", 32000, 2048, 6656, 60, 52, 52, 128, 17920, 1e-6f, 1e4f, false},
    {"llama1-65b", "llama", 32000, 2048, 8192, 80, 64, 64, 128, 22016, 1e-5f, 1e4f, false},
    {"llama2-7b", "llama", 32000, 4096, 4096, 32, 32, 32, 128, 11008, 1e-5f, 1e4f, false},
    {"llama2-13b", "llama", 32000, 4096, 5120, 40, 40, 40, 128, 13824, 1e-5f, 1e4f, false},
    {"mistral-7b", "llama", 32000, 32768, 4096, 32, 32, 8, 128, 14336, 1e-5f, 1e4f, false, 4096},
    {"llama3-8b", "llama", 128256, 8192, 4096, 32, 32, 8, 128, 14336, 1e-5f, 5e5f, false},
    {"llama3.1-8b", "llama", 128256, 131072, 4096, 32, 32, 8, 128, 14336, 1e-5f, 5e5f, false, 0, 8},
    {"llama3.2-1b", "llama", 128256, 131072, 2048, 16, 32, 8, 64, 8192, 1e-5f, 5e5f, true, 0, 32},
    {"llama3.2-3b", "llama", 128256, 131072, 3072, 28, 24, 8, 128, 8192, 1e-5f, 5e5f, true, 0, 32},
    {"smollm2-135m", "llama", 49152, 8192, 576, 30, 9, 3, 64, 1536, 1e-5f, 1e5f, true},
    {"smollm2-360m", "llama", 49152, 8192, 960, 32, 15, 5, 64, 2560, 1e-5f, 1e5f, true},
    {"smollm2-1.7b", "llama", 49152, 8192, 2048, 24, 32, 32, 64, 8192, 1e-5f, 1.3e5f, true},
    {"qwen2.5-0.5b", "qwen2", 151936, 32768, 896, 24, 14, 2, 64, 4864, 1e-6f, 1e6f, true},
    {"qwen2.5-1.5b", "qwen2", 151936, 32768, 1536, 28, 12, 2, 128, 8960, 1e-6f, 1e6f, true},
    {"qwen2.5-3b", "qwen2", 151936, 32768, 2048, 36, 16, 2, 128, 11008, 1e-6f, 1e6f, true},
    {"qwen2.5-7b", "qwen2", 152064, 32768, 3584, 28, 28, 4, 128, 18944, 1e-6f, 1e6f, false},
    {"qwen3-0.6b", "qwen3", 151936, 40960, 1024, 28, 16, 8, 128, 3072, 1e-6f, 1e6f, true},
    {"qwen3-1.7b", "qwen3", 151936, 40960, 2048, 28, 16, 8, 128, 6144, 1e-6f, 1e6f, true},
    {"qwen3-4b", "qwen3", 151936, 40960, 2560, 36, 32, 8, 128, 9728, 1e-6f, 1e6f, true},
    {"qwen3-8b", "qwen3", 151936, 40960, 4096, 36, 32, 8, 128, 12288, 1e-6f, 1e6f, false},
    {"gpt2-small", "llama", 50257, 1024, 768, 12, 12, 12, 64, 2048, 1e-5f, 1e4f, true},
};

const Row* FindRow(std::string_view name) {
  const Row* row = std::ranges::find(kRows, name, &Row::name);
  return row == std::end(kRows) ? nullptr : row;
}

void CheckRange(const char* what, uint64_t value, uint64_t max) {
  if (value >= 1 && value <= max) return;
  throw Error(ErrorCode::kUsage, StrCat(what, " ", value, " is outside 1..", max));
}

}  // namespace

std::vector<std::string_view> ShapeNames() {
  std::vector<std::string_view> names;
  for (const Row& row : kRows) names.push_back(row.name);
  return names;
}

ModelShape ShapeNamed(std::string_view name) {
  const Row* row = FindRow(name);
  if (row == nullptr) {
    std::string known;
    std::vector<std::string> names;
    for (const Row& r : kRows) {
      known += (known.empty() ? "" : ", ") + std::string(r.name);
      names.emplace_back(r.name);
    }
    const std::string_view nearest = Nearest(name, names);
    const std::string meant = nearest.empty() ? "" : StrCat(" (did you mean ", nearest, "?)");
    throw Error(ErrorCode::kUsage,
                StrCat("no shape is named '", Printable(name), "'", meant, ": known are ", known));
  }
  ModelShape shape;
  ModelConfig& c = shape.config;
  c.architecture = row->architecture;
  c.name = row->name;
  c.vocab = row->vocab;
  c.context = row->context;
  c.width = row->width;
  c.layers = row->layers;
  c.heads = row->heads;
  c.kv_heads = row->kv_heads;
  c.head_dim = row->head_dim;
  c.ffn = row->ffn;
  c.norm_eps = row->eps;
  c.window = row->window;
  c.rope.base = row->rope_base;
  c.rope.dims = row->head_dim;
  c.rope.interleaved = ArchitectureNamed(row->architecture, "shape").interleaved_rope;
  shape.tied_output = row->tied;
  shape.llama3_rope_factor = row->llama3_rope_factor;
  return shape;
}

RecipeModel RecipeModelOf(const ModelShape& shape) {
  return {.layers = shape.config.layers,
          .heads_per_kv_head = shape.config.group(),
          .tied_embeddings = shape.tied_output};
}

void CheckShape(const ModelShape& shape) {
  const ModelConfig& c = shape.config;
  CheckRange("vocabulary", c.vocab, 1 << 24);
  CheckRange("context", c.context, 1 << 28);
  CheckRange("width", c.width, 1 << 20);
  CheckRange("layers", c.layers, 1024);
  CheckRange("heads", c.heads, 1 << 14);
  CheckRange("kv-heads", c.kv_heads, c.heads);
  CheckRange("head-dim", c.head_dim, 1 << 12);
  CheckRange("ffn", c.ffn, 1 << 20);
  if (c.heads % c.kv_heads != 0) {
    throw Error(ErrorCode::kUsage, StrCat(c.kv_heads, " KV heads do not divide ", c.heads,
                                          " heads: change --kv-heads"));
  }
  if (c.head_dim % 2 != 0) {
    throw Error(ErrorCode::kUsage, StrCat("head-dim ", c.head_dim,
                                          " is odd: rotary positions turn pairs of values"));
  }
}

std::vector<float> Llama3RopeFactors(const ModelShape& shape) {
  EDGEWISE_CHECK(shape.llama3_rope_factor > 0);
  // Published with the models as low_freq_factor 1, high_freq_factor 4, original context 8192.
  constexpr double kOriginalContext = 8192, kLow = 1, kHigh = 4;
  const RopeConfig& rope = shape.config.rope;
  std::vector<float> factors;
  for (uint32_t i = 0; i < rope.dims; i += 2) {
    const double frequency = std::pow(double{rope.base}, -double{1} * i / rope.dims);
    const double turns = kOriginalContext * frequency / (2 * std::numbers::pi);
    const double smooth = std::clamp((turns - kLow) / (kHigh - kLow), 0.0, 1.0);
    factors.push_back(
        static_cast<float>(1 / ((1 - smooth) / shape.llama3_rope_factor + smooth)));
  }
  return factors;
}

}  // namespace edgewise
