#include "machine/chip_applications.h"

#include <algorithm>

#include "base/error.h"

namespace edgewise {
namespace {

constexpr double kWindowSeconds = 30;  // of Whisper
// Tokens that Whisper writes for a window of speech: 150 words a minute, 4/3 tokens a word.
constexpr uint64_t kWindowTokens = 100;

Task Decode(std::string_view model, uint64_t tokens) {
  return {{{WorkloadNamed(model, {tokens, 0, tokens}), 1}}, static_cast<double>(tokens), 0};
}

ModelConfig Shape(const char* name, uint32_t width, uint32_t layers, uint32_t heads, uint32_t kv_heads,
                  uint32_t ffn, uint32_t vocab) {
  ModelConfig c;
  c.architecture = "llama";
  c.name = name;
  c.vocab = vocab;
  c.context = 2048;
  c.width = width;
  c.layers = layers;
  c.heads = heads;
  c.kv_heads = kv_heads;
  c.head_dim = width / heads;
  c.rope.dims = c.head_dim;
  c.ffn = ffn;
  return c;
}

Task DecodeShape(const ModelConfig& config, uint64_t tokens) {
  return {{{WorkloadOf(config, {tokens, 0, tokens}), 1}}, static_cast<double>(tokens), 0};
}

Task Keyword(uint64_t) { return TaskOfNetwork("kws-ds-cnn-s", {}); }

// A layer 256 wide (4 matrices of 256 x 256, 2 of 256 x 1024) for each of 50 frames of a second.
Task Keyword256(uint64_t) {
  Workload work{"layer-256", "second of sound", 1, {}};
  work.products = {{"attention", ProductRole::kProjection, 4, 50, 256, 256},
                   {"up", ProductRole::kFeedForward, 1, 50, 1024, 256},
                   {"down", ProductRole::kFeedForward, 1, 50, 256, 1024}};
  return {{{work, 1}}, 1, 1};
}

// The anomaly detector of MLPerf Tiny: 640-128-128-128-128-8-128-128-128-128-640, one frame each 32 ms.
Task Sensor(uint64_t) {
  Workload work{"ad-autoencoder", "frame", 10, {}};
  work.products = {{"in", ProductRole::kFeedForward, 1, 1, 128, 640},
                   {"hidden", ProductRole::kFeedForward, 6, 1, 128, 128},
                   {"code", ProductRole::kFeedForward, 1, 1, 8, 128},
                   {"decode", ProductRole::kFeedForward, 1, 1, 128, 8},
                   {"out", ProductRole::kFeedForward, 1, 1, 640, 128}};
  return {{{work, 1}}, 1, 0.032};
}

Task Text8(uint64_t) { return TaskOfNetwork("distilbert", {8, 0, 0}); }
Task Text128(uint64_t) { return TaskOfNetwork("distilbert", {128, 0, 0}); }

// Decoder steps half way through the text stand for all.
Task Speech(uint64_t) {
  Task task = TaskOfNetwork("whisper-tiny-encoder", {});
  task.parts.push_back({WorkloadNamed("whisper-tiny-cross", {}), 1});
  task.parts.push_back(
      {WorkloadNamed("whisper-tiny-decoder", {1, kWindowTokens / 2, 1}), static_cast<double>(kWindowTokens)});
  return task;
}

Task Image(uint64_t) { return TaskOfNetwork("mobilenet-v1", {}); }
Task MobileLlm(uint64_t tokens) { return Decode("mobilellm-125m", tokens); }
Task Gpt2(uint64_t tokens) { return Decode("gpt2-small", tokens); }
Task TinyLlama(uint64_t tokens) { return Decode("tinyllama-1.1b", tokens); }
Task Llama7b(uint64_t tokens) { return Decode("llama2-7b", tokens); }

Task Llama70b(uint64_t tokens) {
  return DecodeShape(Shape("llama2-70b", 8192, 80, 64, 8, 28672, 32000), tokens);
}

// GPT-3 has two feed-forward matrices of 4 x 12,288; three of 8/3 x 12,288 are as many weights.
Task Gpt3(uint64_t tokens) {
  return DecodeShape(Shape("gpt3-175b", 12288, 96, 96, 96, 32768, 50257), tokens);
}

// Backwards, every product is done twice more: for the gradient of its input and of its weights.
Task Training(uint64_t) {
  constexpr uint64_t kTokens = 512;
  return {{{WorkloadNamed("tinyllama-1.1b", {kTokens, 0, kTokens}), 3}}, kTokens, 0};
}

constexpr auto kTokS = SpeedUnit::kTokensPerSecond;
constexpr auto kRtf = SpeedUnit::kRealTimeFactor;
constexpr auto kMs = SpeedUnit::kMilliseconds;

// clang-format off
constexpr Application kApplications[] = {
    {"keyword", "keyword spotting, DS-CNN small", {kRtf, 1}, "a second of sound in a second", 5,
     "recommended, real time", Keyword},
    {"keyword-256", "keyword spotting, one layer 256 wide on 50 frames", {kRtf, 1},
     "a second of sound in a second; the documents' 256 x 256", 5, "recommended, real time", Keyword256},
    {"sensor", "sensor data, MLPerf Tiny autoencoder", {kRtf, 1}, "a frame each 32 ms", 4,
     "sensor data analysis", Sensor},
    {"text", "text classification, DistilBERT, 8 tokens", {kMs, 100}, "the documents' < 100 ms", 5,
     "recommended, < 100 ms", Text8},
    {"text-128", "text classification, DistilBERT, 128 tokens", {kMs, 100}, "the documents' < 100 ms", 5,
     "recommended, < 100 ms", Text128},
    {"speech", "speech recognition, Whisper tiny", {kRtf, 1}, "as fast as people speak: 30 s, 100 tokens", 4,
     "recommended, real time", Speech},
    {"image", "images, MobileNet v1", {kMs, 1000}, "an image a second (ours)", 0, "with work: im2col", Image},
    {"video", "real-time video, MobileNet v1", {kMs, 1000.0 / 30}, "30 images a second", 1, "not suitable",
     Image},
    {"mobilellm", "voice assistant, MobileLLM 125M", {kTokS, 5}, "as fast as people read (ours)", 0,
     "feasible", MobileLlm},
    {"gpt2", "a language model 768 wide, GPT-2 small", {kTokS, 5}, "as fast as people read (ours)", 0,
     "~21 tokens/s (from one matrix)", Gpt2},
    {"tinyllama", "chat, TinyLlama 1.1B", {kTokS, 1}, "the documents' \"near usable\"", 3,
     "feasible; 96.8 s/token in the other document", TinyLlama},
    {"llama2-7b", "chat, Llama 2 7B", {kTokS, 20}, "the documents' 20 tokens/s", 1,
     "42.9 s/token; limited", Llama7b},
    {"llama2-70b", "chat, Llama 2 70B", {kTokS, 20}, "the documents' 20 tokens/s", 0, "unsuitable", Llama70b},
    {"gpt3", "chat, GPT-3 175B", {kTokS, 20}, "the documents' 20 tokens/s", 0, "unsuitable", Gpt3},
    {"training", "training, TinyLlama 1.1B", {kTokS, 1e6 / 86400},
     "fine-tuning on 1M tokens in a day (ours)", 0,
     "unsuitable: no floating point, no gradients", Training},
};
// clang-format on

}  // namespace

std::span<const Application> Applications() { return kApplications; }

const Application& ApplicationNamed(std::string_view name) {
  const auto found = std::ranges::find(kApplications, name, &Application::name);
  if (found != std::end(kApplications)) return *found;
  std::string known;
  for (const Application& one : kApplications) known += StrCat(known.empty() ? "" : ", ", one.name);
  throw Error(ErrorCode::kUsage,
              StrCat("no application is named '", Printable(name), "': known are ", known));
}

double MediaSeconds(std::string_view network) {
  if (network == "whisper-tiny-encoder" || network == "whisper-tiny-cross") return kWindowSeconds;
  return network == "kws-ds-cnn-s" ? 1 : 0;
}

Task TaskOfNetwork(std::string_view network, const WorkStep& step) {
  const auto rows = static_cast<double>(step.rows);
  return {{{WorkloadNamed(network, step), 1}}, rows, rows * MediaSeconds(network)};
}

std::vector<Verdict> JudgeApplications(const ChipDesign& design, AttentionOn attention) {
  std::vector<Verdict> verdicts;
  for (const Application& application : kApplications) {
    const Speed speed = SpeedOf(design, application.task(1), application.want, attention);
    verdicts.push_back({&application, speed, StarsOf(speed.ratio)});
  }
  return verdicts;
}

}  // namespace edgewise
