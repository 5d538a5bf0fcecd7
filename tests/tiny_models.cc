#include "tiny_models.h"

#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <random>

#include "model/synth.h"

namespace edgewise {

ModelShape TinyShape(const std::string& architecture) {
  ModelShape shape;
  ModelConfig& c = shape.config;
  c.architecture = architecture;
  c.name = "tiny";
  c.vocab = 360;
  c.context = 512;
  c.width = 64;
  c.layers = 3;
  c.heads = 4;
  c.kv_heads = 2;
  c.head_dim = 24;
  c.ffn = 96;
  c.rope.dims = 24;
  c.rope.interleaved = architecture == "llama";
  return shape;
}

ModelShape TinyShape256(const std::string& architecture) {
  ModelShape shape = TinyShape(architecture);
  shape.config.width = 256;
  shape.config.head_dim = shape.config.rope.dims = 64;
  shape.config.ffn = 512;
  return shape;
}

TinyModel::TinyModel(const ModelShape& shape, const std::string& type) {
  static std::atomic<int> count = 0;
  path_ = std::filesystem::temp_directory_path() /
          ("edgewise-test-" + std::to_string(getpid()) + "-" + std::to_string(count++) + ".gguf");
  Synthesize(shape, path_, {.type = type}, [](uint64_t, uint64_t) {});
  file_ = std::make_unique<Gguf>(Gguf::Open(path_));
  model_ = std::make_unique<Model>(Model::FromGguf(*file_));
}

TinyModel::~TinyModel() {
  std::error_code ignored;
  std::filesystem::remove(path_, ignored);
}

std::vector<TokenId> RandomTokens(const Model& model, size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<TokenId> tokens(count);
  for (TokenId& token : tokens) token = static_cast<TokenId>(random() % model.config().vocab);
  return tokens;
}

}  // namespace edgewise
