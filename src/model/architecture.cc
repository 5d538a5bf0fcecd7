#include "model/architecture.h"

#include <array>
#include <cmath>

#include "base/error.h"

namespace edgewise {
namespace {

constexpr std::array<const Architecture*, 3> kArchitectures = {&kLlama, &kQwen2, &kQwen3};

// Larger than any published model by a factor of four or more; small enough that no product of two
// overflows 64 bits and no table of a model grows without bound.
constexpr int64_t kMaxLayers = 1024;
constexpr int64_t kMaxWidth = 1 << 20;
constexpr int64_t kMaxHeads = 1 << 14;
constexpr int64_t kMaxHeadDim = 1 << 12;
constexpr int64_t kMaxVocab = 1 << 24;
constexpr int64_t kMaxContext = 1 << 28;

// Reads <architecture>.<key> with limits.
class Keys {
 public:
  Keys(const Gguf& file, std::string architecture)
      : file_(file), prefix_(std::move(architecture) + ".") {}

  uint32_t Count(std::string_view key, int64_t max, std::optional<int64_t> fallback = {}) const {
    const int64_t value = file_.Integer(Name(key), fallback);
    if (value < 1 || value > max) {
      throw Error(ErrorCode::kBadFile, StrCat(file_.path(), ": ", Name(key), " is ", value,
                                              ", outside 1..", max, ": the file is damaged"));
    }
    return static_cast<uint32_t>(value);
  }
  float Positive(std::string_view key, std::optional<double> fallback = {}) const {
    // As we compute with it: a 64-bit 1e-300 would become 0.
    const auto value = static_cast<float>(file_.Float(Name(key), fallback));
    if (!(value > 0) || !std::isfinite(value)) {
      throw Error(ErrorCode::kBadFile, StrCat(file_.path(), ": ", Name(key), " is ", value,
                                              ", not a positive number: the file is damaged"));
    }
    return value;
  }
  bool Has(std::string_view key) const { return file_.Find(Name(key)) != nullptr; }
  std::string Name(std::string_view key) const { return prefix_ + std::string(key); }

 private:
  const Gguf& file_;
  std::string prefix_;
};

RopeConfig ReadRope(const Gguf& file, const Keys& keys, const Architecture& architecture,
                    const ModelConfig& config) {
  RopeConfig rope;
  rope.interleaved = architecture.interleaved_rope;
  rope.base = keys.Positive("rope.freq_base", 10000.0);
  rope.dims = keys.Count("rope.dimension_count", kMaxHeadDim, config.head_dim);
  if (rope.dims > config.head_dim || rope.dims % 2 != 0) {
    throw Error(ErrorCode::kBadFile,
                StrCat(file.path(), ": ", keys.Name("rope.dimension_count"), " is ", rope.dims,
                       " for heads of ", config.head_dim, ": must be even and not larger"));
  }
  const bool has_factor = keys.Has("rope.scaling.factor");
  rope.factor = keys.Positive(has_factor ? "rope.scaling.factor" : "rope.scale_linear", 1.0);
  const std::string_view type = file.String(keys.Name("rope.scaling.type"), "linear");
  if (type == "none") {
    rope.factor = 1.0f;
  } else if (type == "linear") {
    if (rope.factor != 1.0f) rope.scaling = RopeConfig::Scaling::kLinear;
  } else if (type == "yarn") {
    rope.scaling = RopeConfig::Scaling::kYarn;
    rope.original_context =
        keys.Count("rope.scaling.original_context_length", kMaxContext, config.context);
    rope.attention_factor = keys.Positive("rope.scaling.attn_factor", 1.0);
    rope.beta_fast = keys.Positive("rope.scaling.yarn_beta_fast", 32.0);
    rope.beta_slow = keys.Positive("rope.scaling.yarn_beta_slow", 1.0);
  } else {
    throw Error(ErrorCode::kUnsupported,
                StrCat(file.path(), ": RoPE scaling '", Printable(type),
                       "' is not supported: only none, linear and yarn are"));
  }
  return rope;
}

}  // namespace

const Architecture& ArchitectureNamed(std::string_view name, std::string_view where) {
  std::string names;
  for (const Architecture* architecture : kArchitectures) {
    if (name == architecture->name) return *architecture;
    names += (names.empty() ? "" : ", ") + std::string(architecture->name);
  }
  throw Error(ErrorCode::kUnsupported, StrCat(where, ": architecture '", Printable(name),
                                              "' is not supported: supported are ", names));
}

ModelConfig ReadConfig(const Gguf& file) {
  ModelConfig config;
  config.architecture = file.String("general.architecture");
  const Architecture& architecture = ArchitectureNamed(config.architecture, file.path());
  const Keys keys(file, config.architecture);
  config.name = file.String("general.name", "");

  config.layers = keys.Count("block_count", kMaxLayers);
  config.width = keys.Count("embedding_length", kMaxWidth);
  config.ffn = keys.Count("feed_forward_length", kMaxWidth);
  config.heads = keys.Count("attention.head_count", kMaxHeads);
  config.kv_heads = keys.Count("attention.head_count_kv", kMaxHeads, config.heads);
  config.context = keys.Count("context_length", kMaxContext);
  config.norm_eps = keys.Positive("attention.layer_norm_rms_epsilon");
  if (config.heads % config.kv_heads != 0) {
    throw Error(ErrorCode::kBadFile, StrCat(file.path(), ": ", config.heads,
                                            " attention heads do not divide into ", config.kv_heads,
                                            " KV heads: the file is damaged"));
  }
  const bool has_head_dim = keys.Has("attention.key_length");
  if (!has_head_dim && config.width % config.heads != 0) {
    throw Error(ErrorCode::kBadFile,
                StrCat(file.path(), ": embedding_length ", config.width, " is no multiple of ",
                       config.heads, " heads and attention.key_length is missing"));
  }
  config.head_dim = keys.Count("attention.key_length", kMaxHeadDim,
                               has_head_dim ? std::nullopt
                                            : std::optional<int64_t>(config.width / config.heads));
  const uint32_t value_dim = keys.Count("attention.value_length", kMaxHeadDim, config.head_dim);
  if (value_dim != config.head_dim) {
    throw Error(ErrorCode::kUnsupported,
                StrCat(file.path(), ": value heads of ", value_dim, " beside key heads of ",
                       config.head_dim, " are not supported"));
  }
  if (keys.Has("expert_count") && file.Integer(keys.Name("expert_count")) > 0) {
    throw Error(ErrorCode::kUnsupported,
                StrCat(file.path(), ": a mixture of experts is not supported: use a dense model"));
  }
  // A window as large as the context changes nothing.
  if (keys.Has("attention.sliding_window")) {
    const int64_t window = file.Integer(keys.Name("attention.sliding_window"));
    if (window > 0 && window < config.context) config.window = static_cast<uint32_t>(window);
  }
  if (const GgufTensor* embedding = file.FindTensor("token_embd.weight")) {
    config.vocab = static_cast<uint32_t>(std::min<uint64_t>(embedding->rows(), kMaxVocab));
  } else {
    throw Error(ErrorCode::kBadFile,
                StrCat(file.path(), ": tensor token_embd.weight is missing: is this a "
                                    "vocabulary-only file?"));
  }
  config.rope = ReadRope(file, keys, architecture, config);
  if (architecture.read != nullptr) architecture.read(file, config);
  return config;
}

}  // namespace edgewise
