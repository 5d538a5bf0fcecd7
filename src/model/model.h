// A model: its configuration and the table of its weights, as views into the GGUF mapping.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/function_ref.h"
#include "gguf/gguf.h"
#include "model/architecture.h"
#include "model/config.h"
#include "model/shapes.h"
#include "model/tensor_types.h"
#include "quant/dtype.h"

namespace edgewise {

// Index into Model::weights.
enum class TensorId : uint16_t { kNone = 0xffff };

// A matrix of rows x k, or a vector (rows = 1).
struct Weight {
  std::string name;                // as in the file
  DType type = DType::kF32;
  uint32_t rows = 0;
  uint32_t k = 0;
  const std::byte* data = nullptr;  // null when only shapes are known

  uint64_t row_bytes() const { return RowBytes(type, k); }
  uint64_t bytes() const { return rows * row_bytes(); }
};

// A matrix and its optional bias.
struct Linear {
  TensorId weight = TensorId::kNone;
  TensorId bias = TensorId::kNone;
};

struct LayerWeights {
  TensorId attn_norm;
  Linear q, k, v;
  TensorId q_norm = TensorId::kNone, k_norm = TensorId::kNone;  // per head, over head_dim
  Linear out;
  TensorId ffn_norm;
  Linear gate, up, down;
};

class Model {
 public:
  // Reads configuration and weight table; checks that every tensor needed is there in the right
  // shape and that no tensor is left over that we would silently ignore. The file must outlive the
  // model. Throws Error(kBadFile | kUnsupported).
  static Model FromGguf(const Gguf& file);

  // The same table for a model that exists as shapes only: matrices of `matrix` type, vectors F32;
  // no output matrix when tied. qk_norm and biases as the architecture has them.
  static Model FromShape(const ModelConfig& config, DType matrix, bool tied_output);
  // As a file of this recipe (quant/recipe.h) has it, to the byte: types by tensor, and Llama 3's factors.
  // Throws Error(kUsage) as CheckShape and TensorTypes do.
  static Model FromShape(const ModelShape& shape, std::string_view recipe);
  static Model FromShape(const ModelShape& shape, TensorTypes& types);

  Model(Model&&) = default;

  // Has a model of shapes only read its weights from memory, one after the other in the order of weights(),
  // each aligned to a cache line. Returns the bytes from the first to the last; with nullptr it only adds up.
  // The memory must outlive the model.
  uint64_t PlaceWeights(const std::byte* data);

  const ModelConfig& config() const { return config_; }
  std::span<const Weight> weights() const { return weights_; }
  const Weight& weight(TensorId id) const { return weights_[static_cast<size_t>(id)]; }
  std::span<const LayerWeights> layers() const { return layers_; }
  TensorId embedding() const { return embedding_; }
  TensorId output_norm() const { return output_norm_; }
  const Linear& head() const { return head_; }  // the embedding again when tied
  bool tied_output() const { return head_.weight == embedding_; }
  TensorId rope_factors() const { return rope_factors_; }  // Llama 3: divides each frequency

  // Throws Error(kIo) if the file was cut short since it was opened; nothing for shapes only.
  void CheckIntact() const;

  uint64_t parameters() const;    // tied matrices counted once
  uint64_t weight_bytes() const;

 private:
  // One tensor that a model of this configuration has, and where its index goes.
  struct Slot {
    std::string name;
    uint32_t rows, k;  // rows = 1: a vector, always F32
    Presence presence;
    TensorId* id;
  };

  explicit Model(ModelConfig config);
  std::vector<Slot> Slots(const Architecture& architecture);
  static Model FromShape(const ModelConfig& config, bool tied_output, bool rope_factors,
                         FunctionRef<DType(const Slot& slot)> type_of);

  ModelConfig config_;
  const Gguf* file_ = nullptr;
  std::vector<Weight> weights_;
  std::vector<LayerWeights> layers_;
  TensorId embedding_ = TensorId::kNone, output_norm_ = TensorId::kNone,
           rope_factors_ = TensorId::kNone;
  Linear head_;
};

}  // namespace edgewise
