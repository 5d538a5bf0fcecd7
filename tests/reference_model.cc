#include "reference_model.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "quant/codec.h"

namespace edgewise {

ReferenceModel::ReferenceModel(const Model& model) : model_(model), c_(model.config()) {
  embedding_ = Load({model.embedding(), TensorId::kNone});
  head_ = Load(model.head());
  output_norm_ = LoadVector(model.output_norm());
  rope_factors_ = LoadVector(model.rope_factors());
  for (const LayerWeights& l : model.layers()) {
    layers_.push_back({.attn_norm = LoadVector(l.attn_norm),
                       .q_norm = LoadVector(l.q_norm),
                       .k_norm = LoadVector(l.k_norm),
                       .ffn_norm = LoadVector(l.ffn_norm),
                       .q = Load(l.q),
                       .k = Load(l.k),
                       .v = Load(l.v),
                       .out = Load(l.out),
                       .gate = Load(l.gate),
                       .up = Load(l.up),
                       .down = Load(l.down)});
  }
}

ReferenceModel::Vector ReferenceModel::LoadVector(TensorId id) const {
  if (id == TensorId::kNone) return {};
  const Weight& w = model_.weight(id);
  std::vector<float> row(w.k);
  DecodeRow(w.type, {w.data, w.row_bytes()}, row);
  return {row.begin(), row.end()};
}

ReferenceModel::Matrix ReferenceModel::Load(const Linear& linear) const {
  const Weight& w = model_.weight(linear.weight);
  Matrix matrix{.rows = w.rows, .k = w.k, .values = {}, .bias = LoadVector(linear.bias)};
  std::vector<float> row(w.k);
  for (uint32_t i = 0; i < w.rows; ++i) {
    DecodeRow(w.type, {w.data + i * w.row_bytes(), w.row_bytes()}, row);
    matrix.values.insert(matrix.values.end(), row.begin(), row.end());
  }
  return matrix;
}

ReferenceModel::Vector ReferenceModel::Norm(std::span<const double> x, const Vector& weight) const {
  double squares = 0;
  for (const double v : x) squares += v * v;
  const double scale = 1 / std::sqrt(squares / static_cast<double>(x.size()) + c_.norm_eps);
  Vector y(x.size());
  for (size_t i = 0; i < x.size(); ++i) y[i] = x[i] * scale * weight[i];
  return y;
}

ReferenceModel::Vector ReferenceModel::Multiply(const Matrix& w, std::span<const double> x) {
  Vector y(w.rows);
  for (uint32_t i = 0; i < w.rows; ++i) {
    double sum = w.bias.empty() ? 0 : w.bias[i];
    for (uint32_t j = 0; j < w.k; ++j) sum += w.values[size_t{i} * w.k + j] * x[j];
    y[i] = sum;
  }
  return y;
}

// RoFormer's rotation. YaRN: a pair that turns more than beta_fast times within the original context
// is left alone, one that turns less than beta_slow times is interpolated, linear between, in the
// index of the pair (rounded outwards); values grow by 0.1 ln(factor) + 1.
void ReferenceModel::Rotate(std::span<double> head, uint32_t position) const {
  const RopeConfig& rope = c_.rope;
  const uint32_t pairs = rope.dims / 2;
  const auto pair_with_turns = [&](double turns) {
    const double wavelength = rope.original_context / turns;
    return rope.dims / 2.0 * std::log(wavelength / (2 * std::numbers::pi)) / std::log(rope.base);
  };
  for (uint32_t i = 0; i < pairs; ++i) {
    double angle = position / std::pow(rope.base, 2.0 * i / rope.dims);
    double magnitude = 1;
    if (!rope_factors_.empty()) angle /= rope_factors_[i];
    if (rope.scaling == RopeConfig::Scaling::kLinear) angle /= rope.factor;
    if (rope.scaling == RopeConfig::Scaling::kYarn) {
      const double first = std::max(std::floor(pair_with_turns(rope.beta_fast)), 0.0);
      const double last = std::min(std::ceil(pair_with_turns(rope.beta_slow)), rope.dims - 1.0);
      const double share =
          std::min(std::max((i - first) / std::max(last - first, 0.001), 0.0), 1.0);
      angle = angle / rope.factor * share + angle * (1 - share);
      magnitude = (1 + 0.1 * std::log(rope.factor)) * rope.attention_factor;
    }
    double& a = rope.interleaved ? head[2 * i] : head[i];
    double& b = rope.interleaved ? head[2 * i + 1] : head[i + pairs];
    const double c = std::cos(angle) * magnitude, s = std::sin(angle) * magnitude;
    const double rotated = a * c - b * s;
    b = a * s + b * c;
    a = rotated;
  }
}

std::vector<double> ReferenceModel::Logits(std::span<const TokenId> tokens) const {
  const uint32_t dim = c_.head_dim;
  std::vector<Vector> x;
  for (const TokenId token : tokens) {
    const auto row = embedding_.values.begin() + static_cast<ptrdiff_t>(token) * c_.width;
    x.emplace_back(row, row + c_.width);
  }
  for (const Layer& layer : layers_) {
    std::vector<Vector> q, k, v;
    for (uint32_t p = 0; p < x.size(); ++p) {
      const Vector normed = Norm(x[p], layer.attn_norm);
      q.push_back(Multiply(layer.q, normed));
      k.push_back(Multiply(layer.k, normed));
      v.push_back(Multiply(layer.v, normed));
      for (Vector* both : {&q.back(), &k.back()}) {
        const Vector& norm = both == &q.back() ? layer.q_norm : layer.k_norm;
        for (size_t at = 0; at < both->size(); at += dim) {
          const std::span<double> head(both->data() + at, dim);
          if (!norm.empty()) std::ranges::copy(Norm(head, norm), head.begin());
          Rotate(head, p);
        }
      }
    }
    for (uint32_t p = 0; p < x.size(); ++p) {
      const uint32_t first = c_.window == 0 || p < c_.window ? 0 : p - c_.window + 1;
      Vector attended(size_t{c_.heads} * dim, 0.0);
      for (uint32_t h = 0; h < c_.heads; ++h) {
        const size_t at = size_t{h} * dim, kv_at = size_t{h / c_.group()} * dim;
        Vector scores;
        for (uint32_t t = first; t <= p; ++t) {
          double dot = 0;
          for (uint32_t d = 0; d < dim; ++d) dot += q[p][at + d] * k[t][kv_at + d];
          scores.push_back(dot / std::sqrt(dim));
        }
        const double highest = *std::ranges::max_element(scores);
        double sum = 0;
        for (double& s : scores) sum += s = std::exp(s - highest);
        for (uint32_t t = first; t <= p; ++t) {
          for (uint32_t d = 0; d < dim; ++d) {
            attended[at + d] += scores[t - first] / sum * v[t][kv_at + d];
          }
        }
      }
      const Vector projected = Multiply(layer.out, attended);
      for (uint32_t i = 0; i < c_.width; ++i) x[p][i] += projected[i];
    }
    for (Vector& row : x) {
      const Vector normed = Norm(row, layer.ffn_norm);
      Vector gate = Multiply(layer.gate, normed);
      const Vector up = Multiply(layer.up, normed);
      for (uint32_t i = 0; i < c_.ffn; ++i) gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
      const Vector down = Multiply(layer.down, gate);
      for (uint32_t i = 0; i < c_.width; ++i) row[i] += down[i];
    }
  }
  std::vector<double> logits;
  for (const Vector& row : x) {
    const Vector out = Multiply(head_, Norm(row, output_norm_));
    logits.insert(logits.end(), out.begin(), out.end());
  }
  return logits;
}

}  // namespace edgewise
