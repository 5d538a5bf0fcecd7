#include "graph/workload.h"

#include <algorithm>
#include <array>

#include "base/error.h"

namespace edgewise {
namespace {

constexpr uint64_t kMostPositions = uint64_t{1} << 32;

// What decoders and encoders have in common.
struct Transformer {
  uint32_t layers, width, heads, kv_heads, head_dim, ffn;
  bool gated;  // the feed-forward layer has three matrices, not two

  uint64_t q_width() const { return uint64_t{heads} * head_dim; }
  uint64_t kv_width() const { return uint64_t{kv_heads} * head_dim; }
};

void CheckStep(const WorkStep& step) {
  if (step.rows == 0) throw Error(ErrorCode::kUsage, "a step of 0 rows: there is nothing to multiply");
  if (step.logit_rows > step.rows) {
    throw Error(ErrorCode::kUsage, StrCat("logits for ", step.logit_rows, " rows of a step of ", step.rows));
  }
  if (step.rows > kMostPositions || step.context > kMostPositions - step.rows) {
    throw Error(ErrorCode::kLimit, StrCat(step.rows, " rows after ", step.context, " positions: at most 2^32 "
                                          "together"));
  }
}

// Appends the products of a network in its order.
class Builder {
 public:
  Builder(std::string name, std::string unit, uint32_t layers) {
    work_.name = std::move(name);
    work_.unit = std::move(unit);
    work_.layers = layers;
  }

  void Add(std::string name, ProductRole role, uint64_t count, uint64_t m, uint64_t n, uint64_t k) {
    work_.products.push_back({std::move(name), role, count, m, n, k});
  }
  // Scores and values of `rows` queries over `positions`: heads that share keys are rows of one product.
  void Attention(const std::string& prefix, const Transformer& t, uint64_t copies, uint64_t rows,
                 uint64_t positions) {
    const uint64_t count = copies * t.layers * t.kv_heads, m = rows * (t.heads / t.kv_heads);
    Add(prefix + "scores", ProductRole::kScore, count, m, positions, t.head_dim);
    Add(prefix + "values", ProductRole::kValue, count, m, t.head_dim, positions);
  }
  // All layers: self-attention and feed-forward, `copies` independent sequences of `rows` rows.
  void Layers(const Transformer& t, uint64_t copies, uint64_t rows, uint64_t positions) {
    const uint64_t m = copies * rows;
    Add("q", ProductRole::kProjection, t.layers, m, t.q_width(), t.width);
    Add("k", ProductRole::kProjection, t.layers, m, t.kv_width(), t.width);
    Add("v", ProductRole::kProjection, t.layers, m, t.kv_width(), t.width);
    Attention("", t, copies, rows, positions);
    Add("out", ProductRole::kProjection, t.layers, m, t.width, t.q_width());
    if (t.gated) Add("gate", ProductRole::kFeedForward, t.layers, m, t.ffn, t.width);
    Add("up", ProductRole::kFeedForward, t.layers, m, t.ffn, t.width);
    Add("down", ProductRole::kFeedForward, t.layers, m, t.width, t.ffn);
  }
  void Head(uint64_t rows, uint64_t classes, uint64_t width) {
    if (rows > 0) Add("head", ProductRole::kHead, 1, rows, classes, width);
  }

  Workload Take() { return std::move(work_); }

 private:
  Workload work_;
};

std::string TokensText(uint64_t rows) { return rows == 1 ? "token" : StrCat("step of ", rows, " tokens"); }

Workload Decoder(std::string name, const Transformer& t, uint32_t vocab, uint32_t window,
                 const WorkStep& step) {
  CheckStep(step);
  uint64_t positions = step.context + step.rows;
  if (window > 0) positions = std::min(positions, window + step.rows - 1);
  Builder b(std::move(name), TokensText(step.rows), t.layers);
  b.Layers(t, 1, step.rows, positions);
  b.Head(step.logit_rows, vocab, t.width);
  return b.Take();
}

// ---- networks that are no decoders of ours ----

// GPT-2 small (Radford et al. 2019; config.json of openai-community/gpt2): an ungated layer of 3072, unlike
// the Llama of the same name in shapes.cc; the head is the embedding.
Workload Gpt2Small(const WorkStep& step) {
  return Decoder("gpt2-small", {12, 768, 12, 12, 64, 3072, false}, 50257, 0, step);
}

// MobileLLM-125M (Liu et al. 2024; model card: 30 layers, 9 heads, 3 KV heads, width 576, 124.6M parameters
// with a shared embedding). The feed-forward length 1536 and the vocabulary of 32000 give just those
// 124.6M: 30 (2 576^2 + 2 576 192 + 3 576 1536) + 32000 576 = 124.60M, and the norms.
Workload MobileLlm(const WorkStep& step) {
  return Decoder("mobilellm-125m", {30, 576, 9, 3, 64, 1536, true}, 32000, 0, step);
}

// BERT base (Devlin et al. 2018) and DistilBERT (Sanh et al. 2019): every token attends to all. Without the
// pooler and classifier, two small products on one token.
Workload Bert(const char* name, uint32_t layers, const WorkStep& step) {
  CheckStep(step);
  const Transformer t = {layers, 768, 12, 12, 64, 3072, false};
  Builder b(name, TokensText(step.rows), layers);
  b.Layers(t, 1, step.rows, step.rows);
  return b.Take();
}
Workload BertBase(const WorkStep& step) { return Bert("bert-base", 12, step); }
Workload DistilBert(const WorkStep& step) { return Bert("distilbert", 6, step); }

// Whisper tiny (Radford et al. 2022; config.json of openai/whisper-tiny): 4 layers of 384 with 6 heads on
// either side, 80 mel bands, a window of 30 s is 3000 frames and 1500 positions, vocabulary 51865.
constexpr Transformer kWhisperTiny = {4, 384, 6, 6, 64, 1536, false};
constexpr uint32_t kWhisperPositions = 1500, kWhisperMels = 80, kWhisperVocab = 51865;

Workload WhisperWindows(const std::string& name, const Transformer& t, uint64_t positions, uint64_t mels,
                        uint64_t windows) {
  Builder b(name, windows == 1 ? "window of 30 s" : StrCat(windows, " windows of 30 s"), t.layers);
  // Filters of three frames; the second convolution takes every other position.
  b.Add("conv1", ProductRole::kConvolution, 1, windows * 2 * positions, t.width, 3 * mels);
  b.Add("conv2", ProductRole::kConvolution, 1, windows * positions, t.width, 3 * uint64_t{t.width});
  b.Layers(t, windows, positions, positions);
  return b.Take();
}

Workload WhisperTinyEncoder(const WorkStep& step) {
  CheckStep(step);
  return WhisperWindows("whisper-tiny-encoder", kWhisperTiny, kWhisperPositions, kWhisperMels, step.rows);
}

// Keys and values of what was heard, for the decoder's cross-attention: once per window.
Workload WhisperTinyCross(const WorkStep& step) {
  CheckStep(step);
  const Transformer& t = kWhisperTiny;
  const uint64_t m = step.rows * kWhisperPositions;
  Builder b("whisper-tiny-cross", step.rows == 1 ? "window of 30 s" : StrCat(step.rows, " windows of 30 s"),
            t.layers);
  b.Add("cross_k", ProductRole::kProjection, t.layers, m, t.kv_width(), t.width);
  b.Add("cross_v", ProductRole::kProjection, t.layers, m, t.kv_width(), t.width);
  return b.Take();
}

Workload WhisperTinyDecoder(const WorkStep& step) {
  CheckStep(step);
  const Transformer& t = kWhisperTiny;
  Builder b("whisper-tiny-decoder", TokensText(step.rows), t.layers);
  b.Layers(t, 1, step.rows, step.context + step.rows);
  b.Add("cross_q", ProductRole::kProjection, t.layers, step.rows, t.q_width(), t.width);
  b.Attention("cross_", t, 1, step.rows, kWhisperPositions);
  b.Add("cross_out", ProductRole::kProjection, t.layers, step.rows, t.width, t.q_width());
  b.Head(step.logit_rows, kWhisperVocab, t.width);
  return b.Take();
}

std::string ImagesText(uint64_t images) { return images == 1 ? "image" : StrCat(images, " images"); }

// MobileNet v1, width 1.0, 224 x 224 (Howard et al. 2017, table 1): 569M multiply-adds.
Workload MobileNetV1(const WorkStep& step) {
  CheckStep(step);
  struct Block {
    uint32_t repeats, side, in, out;  // `side` after the block's stride
  };
  constexpr Block kBlocks[] = {{1, 112, 32, 64},  {1, 56, 64, 128},  {1, 56, 128, 128},
                               {1, 28, 128, 256}, {1, 28, 256, 256}, {1, 14, 256, 512},
                               {5, 14, 512, 512}, {1, 7, 512, 1024}, {1, 7, 1024, 1024}};
  const uint64_t images = step.rows;
  Builder b("mobilenet-v1", ImagesText(images), 27);
  b.Add("conv", ProductRole::kConvolution, 1, images * 112 * 112, 32, 3 * 3 * 3);
  int number = 1;
  for (const Block& block : kBlocks) {
    const uint64_t m = images * block.side * block.side;
    // A filter of its own for each channel: products with one output and k = 9, which no array likes.
    const uint64_t filters = uint64_t{block.repeats} * block.in;
    b.Add(StrCat("depthwise", number), ProductRole::kConvolution, filters, m, 1, 3 * 3);
    b.Add(StrCat("pointwise", number), ProductRole::kConvolution, block.repeats, m, block.out, block.in);
    ++number;
  }
  b.Head(images, 1000, 1024);
  return b.Take();
}

// DS-CNN small, the keyword spotter of Zhang et al. 2017 ("Hello Edge") that MLPerf Tiny uses: a second of
// sound is 49 frames of 10 cepstral coefficients; 64 filters of 10 x 4 with stride 2 leave 25 x 5 positions,
// four depthwise-separable blocks of 64 channels follow; 12 classes. 2.66M multiply-adds.
Workload KeywordDsCnn(const WorkStep& step) {
  CheckStep(step);
  const uint64_t m = step.rows * 25 * 5;
  Builder b("kws-ds-cnn-s", step.rows == 1 ? "second of sound" : StrCat(step.rows, " seconds of sound"), 10);
  b.Add("conv", ProductRole::kConvolution, 1, m, 64, 10 * 4);
  b.Add("depthwise", ProductRole::kConvolution, 4 * 64, m, 1, 3 * 3);
  b.Add("pointwise", ProductRole::kConvolution, 4, m, 64, 64);
  b.Head(step.rows, 12, 64);
  return b.Take();
}

struct Network {
  const char* name;
  Workload (*make)(const WorkStep& step);
};
constexpr Network kNetworks[] = {
    {"gpt2-small", Gpt2Small},
    {"distilbert", DistilBert},
    {"bert-base", BertBase},
    {"mobilellm-125m", MobileLlm},
    {"whisper-tiny-encoder", WhisperTinyEncoder},
    {"whisper-tiny-cross", WhisperTinyCross},
    {"whisper-tiny-decoder", WhisperTinyDecoder},
    {"mobilenet-v1", MobileNetV1},
    {"kws-ds-cnn-s", KeywordDsCnn},
};

uint64_t Add(uint64_t a, uint64_t b) {
  uint64_t sum = 0;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  throw Error(ErrorCode::kLimit, "the multiply-adds of this step do not fit 64 bits");
}

}  // namespace

const char* NameOf(ProductRole role) {
  static constexpr std::array<const char*, 6> kNames = {"projection",  "feed-forward", "head",
                                                        "convolution", "score",        "value"};
  return kNames[static_cast<size_t>(role)];
}

uint64_t MacsOf(const WorkProduct& product) {
  uint64_t macs = 0;
  if (__builtin_mul_overflow(product.m, product.n, &macs) || __builtin_mul_overflow(macs, product.k, &macs) ||
      __builtin_mul_overflow(macs, product.count, &macs)) {
    throw Error(ErrorCode::kLimit,
                StrCat(product.name, ": ", product.count, " products of ", product.m, " x ", product.n, " x ",
                       product.k, " have more multiply-adds than fit 64 bits"));
  }
  return macs;
}

uint64_t Workload::macs(bool with_attention) const {
  uint64_t sum = 0;
  for (const WorkProduct& product : products) {
    if (with_attention || !IsAttention(product.role)) sum = Add(sum, MacsOf(product));
  }
  return sum;
}

uint64_t Workload::weights() const {
  uint64_t sum = 0;
  for (const WorkProduct& product : products) {
    if (!IsAttention(product.role)) sum = Add(sum, product.count * product.n * product.k);
  }
  return sum;
}

Workload WorkloadOf(const ModelConfig& c, const WorkStep& step) {
  CheckShape({.config = c});
  const Transformer t = {c.layers, c.width, c.heads, c.kv_heads, c.head_dim, c.ffn, true};
  return Decoder(c.name.empty() ? c.architecture : c.name, t, c.vocab, c.window, step);
}

Workload WhisperEncoder(uint32_t width, uint32_t layers, uint32_t positions, uint32_t mels) {
  if (width == 0 || width % 64 != 0 || layers == 0 || positions == 0 || mels == 0) {
    throw Error(ErrorCode::kUsage, StrCat("a Whisper encoder of width ", width, ", ", layers, " layers, ",
                                          positions, " positions, ", mels, " mel bands: the width must be a "
                                          "multiple of its heads' 64, and nothing zero"));
  }
  const Transformer t = {layers, width, width / 64, width / 64, 64, 4 * width, false};
  return WhisperWindows("whisper-encoder", t, positions, mels, 1);
}

std::vector<std::string> WorkloadNames() {
  std::vector<std::string> names;
  for (const Network& network : kNetworks) names.emplace_back(network.name);
  for (const std::string_view shape : ShapeNames()) {
    if (std::ranges::find(names, shape) == names.end()) names.emplace_back(shape);
  }
  return names;
}

Workload WorkloadNamed(std::string_view name, const WorkStep& step) {
  const auto network = std::ranges::find(kNetworks, name, &Network::name);
  if (network != std::end(kNetworks)) return network->make(step);
  const std::vector<std::string> names = WorkloadNames();
  if (std::ranges::find(names, name) != names.end()) return WorkloadOf(ShapeNamed(name).config, step);
  std::string known;
  for (const std::string& one : names) known += (known.empty() ? "" : ", ") + one;
  throw Error(ErrorCode::kUsage,
              StrCat("no network is named '", Printable(name), "': known are ", known));
}

}  // namespace edgewise
