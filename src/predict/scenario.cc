#include "predict/scenario.h"

#include <algorithm>

namespace edgewise {
namespace {

const std::vector<Scenario>& All() {
  static const std::vector<Scenario> kScenarios = {
      {.name = "mobile-app",
       .title = "a mobile app",
       .asked = "below 500 MB, first response within 200 ms, on a phone's GPU",
       .claim = "a model distilled to 1 to 3 billion parameters, in INT4",
       .device = "adreno-740",
       .memory_bytes = 500e6,
       .ttft_s = 0.2,
       .proposals = {{"llama3.2-1b", "Q4_0"}, {"llama3.2-3b", "Q4_0"}}},
      {.name = "offline-device",
       .title = "an offline device",
       .asked = "2 to 4 GB, below 5 W, on an NPU",
       .claim = "INT8, compressed KV cache",
       .device = "hexagon-698",
       .memory_bytes = 4e9,
       .watts = 5,
       .proposals = {{"tinyllama-1.1b", "Q8_0", DType::kQ8_0}, {"llama3.2-3b", "Q8_0", DType::kQ8_0}}},
      {.name = "edge-server",
       .title = "an edge server",
       .asked = "8 to 16 GB, several users",
       .claim = "continuous batching, speculation, TensorRT",
       .device = "rtx-4080",
       .memory_bytes = 16e9,
       .tok_s = 5,
       .prompt = 512,
       .generate = 256,
       .sequences = 8,
       .proposals = {{"llama2-7b", "Q8_0"}, {"llama2-13b", "Q4_0"}}},
      {.name = "real-time",
       .title = "real-time interaction",
       .asked = "below 50 ms a token, streaming",
       .claim = "FlashAttention, chunked prefill, a streaming architecture",
       .device = "orin-nano",
       .tok_s = 20,
       .prompt = 256,
       .proposals = {{"llama2-7b", "Q4_0"}, {"tinyllama-1.1b", "Q4_0"}}},
      {.name = "exercise-4",
       .title = "13B on a phone",
       .asked = "a model of 13B in 4 GB, first token within 500 ms, more than 5 tokens/s",
       .claim = "13B takes 6.5 GB in INT4 (5.2 in mixed bits): take 7B in INT4, 3.5 GB; 400 ms and 6 to 7 "
                "tokens/s",
       .device = "",
       .memory_bytes = 4e9,
       .ttft_s = 0.5,
       .tok_s = 5,
       .prompt = 128,
       .generate = 128,
       .proposals = {{"llama2-13b", "Q4_0"}, {"llama2-7b", "Q4_0"}},
       .models = "llama2-13b"},
      {.name = "exercise-7",
       .title = "the language half of a model of images and text",
       .asked = "more than 10 tokens/s in 4 GB",
       .claim = "targets, without a computation: an encoder on the NPU, the language model on the CPU",
       .device = "",
       .memory_bytes = 4e9,
       .tok_s = 10,
       .prompt = 320,  // an image of 224 x 224 in patches of 14 is 256 tokens, and a question
       .generate = 64,
       .proposals = {{"llama3.2-3b", "Q4_0"}, {"qwen2.5-1.5b", "Q8_0"}}},
  };
  return kScenarios;
}

}  // namespace

Limits Scenario::limits() const {
  Limits limits;
  const auto set = [&](LimitKind kind, double value) {
    if (value > 0) limits[kind] = value;
  };
  set(LimitKind::kMemory, memory_bytes);
  set(LimitKind::kTtft, ttft_s);
  set(LimitKind::kTokS, tok_s);
  set(LimitKind::kWatts, watts);
  return limits;
}

Usage Scenario::usage() const {
  Usage usage;
  usage.prompt = prompt;
  usage.generate = generate;
  usage.batch = sequences;
  return usage;
}

std::span<const Scenario> Scenarios() { return All(); }

const Scenario* FindScenario(std::string_view name) {
  const auto found =
      std::ranges::find(All(), name, [](const Scenario& s) { return std::string_view(s.name); });
  return found == All().end() ? nullptr : &*found;
}

Device DocumentsPhone() {
  const auto stated = [](double value, const char* source) {
    Figure figure;
    figure.value = value;
    figure.from = Provenance::kStated;
    figure.source = source;
    return figure;
  };
  Device device;
  device.name = "documents-phone";
  device.title = "the documents' phone at its ceilings";
  device.kind = DeviceKind::kNpu;
  device.family = "documents";
  device.int8_ops_s = stated(15e12, "S2: an NPU of 5 to 15 TOPS, 0.5 to 2 W");
  device.f16_ops_s = stated(7.5e12, "half of it");
  device.f32_ops_s = stated(3.75e12, "a quarter of it");
  device.memory_bytes = stated(4e9, "S2: a device of 4 GB");
  device.memory_bytes_s = stated(25.6e9, "S2: LPDDR5-6400, 32 bits");
  device.watts = stated(3, "S2: 3 W");
  return device;
}

Efficiency Ceiling() {
  return {.memory_share = 1,
          .compute_share = 1,
          .decode_share = 1,
          .op_s = 0,
          .error = 0,
          .from = "its peaks: an upper bound",
          .rows = 0};
}

}  // namespace edgewise
