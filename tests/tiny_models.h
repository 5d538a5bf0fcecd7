// Small models with random weights, for tests that need a whole model of some architecture.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/token_id.h"
#include "gguf/gguf.h"
#include "model/model.h"
#include "model/shapes.h"

namespace edgewise {

// Three layers, 4 query heads on 2 KV heads of 24 (no multiple of 32), width 64, ffn 96, vocabulary
// 360. head_dim * heads differs from the width on purpose.
ModelShape TinyShape(const std::string& architecture);
// The same with all row lengths multiples of 256, for the K-quants.
ModelShape TinyShape256(const std::string& architecture);

// A model file in the test's temporary folder, opened; removed with the object.
class TinyModel {
 public:
  TinyModel(const ModelShape& shape, const std::string& type);
  ~TinyModel();

  const Model& model() const { return *model_; }
  const Gguf& file() const { return *file_; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  std::unique_ptr<Gguf> file_;
  std::unique_ptr<Model> model_;
};

// `count` ids below the vocabulary, the same for the same seed.
std::vector<TokenId> RandomTokens(const Model& model, size_t count, uint32_t seed = 1);

}  // namespace edgewise
