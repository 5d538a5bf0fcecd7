// The whole model in scalar double precision, written from the papers' formulas and sharing no code
// with the engine beyond the weight table: the oracle for logits.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/token_id.h"
#include "model/model.h"

namespace edgewise {

class ReferenceModel {
 public:
  explicit ReferenceModel(const Model& model);

  // Logits of every position, [tokens, vocab].
  std::vector<double> Logits(std::span<const TokenId> tokens) const;

 private:
  using Vector = std::vector<double>;
  struct Matrix {
    uint32_t rows = 0, k = 0;
    Vector values, bias;
  };
  struct Layer {
    Vector attn_norm, q_norm, k_norm, ffn_norm;
    Matrix q, k, v, out, gate, up, down;
  };

  Matrix Load(const Linear& linear) const;
  Vector LoadVector(TensorId id) const;
  Vector Norm(std::span<const double> x, const Vector& weight) const;
  void Rotate(std::span<double> head, uint32_t position) const;
  static Vector Multiply(const Matrix& w, std::span<const double> x);

  const Model& model_;
  const ModelConfig& c_;
  Matrix embedding_, head_;
  Vector output_norm_, rope_factors_;
  std::vector<Layer> layers_;
};

}  // namespace edgewise
