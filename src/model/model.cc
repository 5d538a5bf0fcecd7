#include "model/model.h"

#include <cmath>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace edgewise {
namespace {

// Tensors that old converters wrote and that are computed instead of read.
bool IsIgnored(std::string_view name) { return name.ends_with(".attn_rot_embd.freqs"); }

Weight ReadWeight(const Gguf& file, const GgufTensor& tensor, uint32_t rows, uint32_t k) {
  const bool shape_fits =
      tensor.dims[0] == k && tensor.rows() == rows && (rows == 1 || tensor.rank == 2);
  if (!shape_fits) {
    std::string dims;
    for (uint32_t d = 0; d < tensor.rank; ++d) dims += StrCat(d == 0 ? "" : " x ", tensor.dims[d]);
    throw Error(ErrorCode::kBadFile,
                StrCat(file.path(), ": tensor ", tensor.name, " is ", dims,
                       " where the model's configuration asks for ", k, " x ", rows));
  }
  if (rows == 1 && tensor.type != DType::kF32) {
    throw Error(ErrorCode::kUnsupported, StrCat(file.path(), ": tensor ", tensor.name, " is ",
                                                NameOf(tensor.type), ": vectors must be F32"));
  }
  return {std::string(tensor.name), tensor.type, rows, k, tensor.data.data()};
}

void CheckRopeFactors(const Gguf& file, const Weight& weight) {
  for (uint32_t i = 0; i < weight.k; ++i) {
    float factor;
    std::memcpy(&factor, weight.data + i * sizeof(float), sizeof(float));
    if (!(factor > 0) || !std::isfinite(factor)) {
      throw Error(ErrorCode::kBadFile, StrCat(file.path(), ": tensor ", weight.name, " holds ",
                                              factor, ", not a positive number"));
    }
  }
}

}  // namespace

Model::Model(ModelConfig config) : config_(std::move(config)), layers_(config_.layers) {}

std::vector<Model::Slot> Model::Slots(const Architecture& architecture) {
  const ModelConfig& c = config_;
  std::vector<Slot> slots;
  const auto add = [&](std::string name, uint32_t rows, uint32_t k, Presence presence,
                       TensorId& id) {
    if (presence != Presence::kAbsent) slots.push_back({std::move(name), rows, k, presence, &id});
  };
  const auto linear = [&](const std::string& name, uint32_t rows, uint32_t k, Presence bias,
                          Linear& out) {
    add(name + ".weight", rows, k, Presence::kRequired, out.weight);
    add(name + ".bias", 1, rows, bias, out.bias);
  };
  const Presence norm = Presence::kRequired;
  const Presence qk_norm = architecture.qk_norm ? Presence::kRequired : Presence::kAbsent;

  add("token_embd.weight", c.vocab, c.width, Presence::kRequired, embedding_);
  add("rope_freqs.weight", 1, c.rope.dims / 2, Presence::kOptional, rope_factors_);
  for (uint32_t i = 0; i < c.layers; ++i) {
    const std::string block = StrCat("blk.", i, ".");
    LayerWeights& layer = layers_[i];
    add(block + "attn_norm.weight", 1, c.width, norm, layer.attn_norm);
    linear(block + "attn_q", c.q_width(), c.width, architecture.qkv_bias, layer.q);
    linear(block + "attn_k", c.kv_width(), c.width, architecture.qkv_bias, layer.k);
    linear(block + "attn_v", c.kv_width(), c.width, architecture.qkv_bias, layer.v);
    add(block + "attn_q_norm.weight", 1, c.head_dim, qk_norm, layer.q_norm);
    add(block + "attn_k_norm.weight", 1, c.head_dim, qk_norm, layer.k_norm);
    linear(block + "attn_output", c.width, c.q_width(), architecture.other_bias, layer.out);
    add(block + "ffn_norm.weight", 1, c.width, norm, layer.ffn_norm);
    linear(block + "ffn_gate", c.ffn, c.width, architecture.other_bias, layer.gate);
    linear(block + "ffn_up", c.ffn, c.width, architecture.other_bias, layer.up);
    linear(block + "ffn_down", c.width, c.ffn, architecture.other_bias, layer.down);
  }
  add("output_norm.weight", 1, c.width, norm, output_norm_);
  add("output.weight", c.vocab, c.width, Presence::kOptional, head_.weight);
  return slots;
}

Model Model::FromGguf(const Gguf& file) {
  Model model(ReadConfig(file));
  model.file_ = &file;
  const Architecture& architecture = ArchitectureNamed(model.config_.architecture, file.path());
  std::vector<bool> known(file.tensors().size(), false);
  for (const Slot& slot : model.Slots(architecture)) {
    const GgufTensor* tensor = file.FindTensor(slot.name);
    if (tensor == nullptr) {
      if (slot.presence == Presence::kOptional) continue;
      throw Error(ErrorCode::kBadFile, StrCat(file.path(), ": tensor ", slot.name,
                                              " is missing: the file is incomplete"));
    }
    *slot.id = static_cast<TensorId>(model.weights_.size());
    model.weights_.push_back(ReadWeight(file, *tensor, slot.rows, slot.k));
    known[static_cast<size_t>(tensor - file.tensors().data())] = true;
  }
  for (size_t i = 0; i < known.size(); ++i) {
    const std::string_view name = file.tensors()[i].name;
    if (known[i] || IsIgnored(name)) continue;
    throw Error(ErrorCode::kUnsupported,
                StrCat(file.path(), ": tensor ", Printable(name), " has no place in architecture ",
                       model.config_.architecture, ": running without it would give wrong text"));
  }
  if (model.head_.weight == TensorId::kNone) model.head_.weight = model.embedding_;
  if (model.rope_factors_ != TensorId::kNone) {
    CheckRopeFactors(file, model.weight(model.rope_factors_));
  }
  return model;
}

Model Model::FromShape(const ModelConfig& config, bool tied_output, bool rope_factors,
                       FunctionRef<DType(const Slot& slot)> type_of) {
  Model model(config);
  for (const Slot& slot : model.Slots(ArchitectureNamed(config.architecture, "shape"))) {
    const bool wanted = slot.presence == Presence::kRequired ||
                        (slot.id == &model.head_.weight && !tied_output) ||
                        (slot.id == &model.rope_factors_ && rope_factors);
    if (!wanted) continue;
    *slot.id = static_cast<TensorId>(model.weights_.size());
    model.weights_.push_back({slot.name, type_of(slot), slot.rows, slot.k, nullptr});
  }
  if (model.head_.weight == TensorId::kNone) model.head_.weight = model.embedding_;
  return model;
}

Model Model::FromShape(const ModelConfig& config, DType matrix, bool tied_output) {
  return FromShape(config, tied_output, false,
                   [&](const Slot& slot) { return slot.rows == 1 ? DType::kF32 : matrix; });
}

Model Model::FromShape(const ModelShape& shape, TensorTypes& types) {
  CheckShape(shape);
  return FromShape(shape.config, shape.tied_output, shape.llama3_rope_factor > 0, [&](const Slot& slot) {
    return types.For({slot.name, slot.rows == 1 ? 1u : 2u, slot.k}, DType::kF32);
  });
}

Model Model::FromShape(const ModelShape& shape, std::string_view recipe) {
  CheckShape(shape);
  TensorTypes types(recipe, false, RecipeModelOf(shape));
  return FromShape(shape, types);
}

uint64_t Model::PlaceWeights(const std::byte* data) {
  uint64_t at = 0;
  for (Weight& weight : weights_) {
    weight.data = data == nullptr ? nullptr : data + at;
    at += (weight.bytes() + 63) / 64 * 64;
  }
  return at;
}

void Model::CheckIntact() const {
  if (file_ != nullptr) file_->CheckIntact();
}

uint64_t Model::parameters() const {
  uint64_t sum = 0;
  for (const Weight& w : weights_) sum += uint64_t{w.rows} * w.k;
  return sum;
}

uint64_t Model::weight_bytes() const {
  uint64_t sum = 0;
  for (const Weight& w : weights_) sum += w.bytes();
  return sum;
}

}  // namespace edgewise
