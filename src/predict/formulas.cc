#include "predict/formulas.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"

namespace edgewise {
namespace {

// Logarithms of softmax(logits / temperature).
std::vector<double> LogSoftmax(std::span<const double> logits, double temperature) {
  const double most = std::ranges::max(logits);
  double sum = 0;
  for (const double logit : logits) sum += std::exp((logit - most) / temperature);
  std::vector<double> logs;
  for (const double logit : logits) logs.push_back((logit - most) / temperature - std::log(sum));
  return logs;
}

}  // namespace

double NominalWeightBytes(double parameters, double bits) { return parameters * bits / 8; }

double NominalKvBytes(uint32_t layers, uint32_t kv_heads, uint32_t head_dim, double bits) {
  return 2.0 * layers * kv_heads * head_dim * bits / 8;
}

double PositionsForKvShare(double weight_bytes, double share, double kv_bytes_per_position) {
  return weight_bytes * share / kv_bytes_per_position;
}

double PeakActivationBytes(double rows, double width, double ffn, double value_bytes) {
  return rows * value_bytes * (width + 2 * ffn);
}

double StandardAttentionElements(double n, double d) { return n * d + n * n; }

double FlashAttentionElements(double n, double d, double m) { return n * n * d * d / m; }

double PropagatedError(std::span<const double> norms, std::span<const double> errors) {
  EDGEWISE_CHECK(norms.size() == errors.size());
  double sum = 0;
  for (size_t i = 0; i < norms.size(); ++i) sum = norms[i] * (errors[i] + sum);
  return sum;
}

double DistillationLoss(std::span<const double> teacher, std::span<const double> student, size_t right,
                        double alpha, double temperature) {
  EDGEWISE_CHECK(teacher.size() == student.size() && right < student.size() && temperature > 0);
  const double cross_entropy = -LogSoftmax(student, 1)[right];
  const std::vector<double> t = LogSoftmax(teacher, temperature), s = LogSoftmax(student, temperature);
  double divergence = 0;
  for (size_t i = 0; i < t.size(); ++i) divergence += std::exp(t[i]) * (t[i] - s[i]);
  return alpha * cross_entropy + (1 - alpha) * temperature * temperature * divergence;
}

namespace printed {

double Parameters(double layers, double width, double vocab) {
  return 12 * layers * width * width + vocab * width;
}

double KvBytes(double layers, double width, double value_bytes) { return layers * value_bytes * 2 * width; }

double TokensPerSecond(double bytes_s, double parameters, double weight_bytes, double batch) {
  return bytes_s / (2 * parameters * weight_bytes * batch);
}

}  // namespace printed
}  // namespace edgewise
