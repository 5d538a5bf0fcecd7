#include "chip/integer_backend.h"

#include <algorithm>

#include "base/error.h"

namespace edgewise::chip {
namespace {

// Outputs of one worker's piece when sums are scaled.
constexpr uint32_t kPiece = 4096;

}  // namespace

ProductReport& ProductReport::operator+=(const ProductReport& other) {
  products += other.products;
  multiplies += other.multiplies;
  run += other.run;
  host_macs += other.host_macs;
  return *this;
}

IntegerBackend::IntegerBackend(const Model& model, std::unique_ptr<IntegerMultiplier> multiplier,
                               const IntegerBackendOptions& options)
    : model_(model),
      multiplier_(std::move(multiplier)),
      options_(options),
      pool_(options.threads) {}

template <typename F>
void IntegerBackend::ForEachWeight(F&& f) const {
  for (const LayerWeights& layer : model_.layers()) {
    for (const Linear* linear :
         {&layer.q, &layer.k, &layer.v, &layer.out, &layer.gate, &layer.up, &layer.down}) {
      f(model_.weight(linear->weight), false);
    }
  }
  f(model_.weight(model_.head().weight), true);
}

void IntegerBackend::CheckModel() const {
  ForEachWeight([&](const Weight& weight, bool) {
    CheckScheme(weight, options_.scheme, multiplier_->datapath());
  });
}

uint64_t IntegerBackend::PlannedBytes(uint32_t rows, uint32_t logit_rows) const {
  uint64_t kept = 0, passing = 0, inputs = 0, outputs = 0;
  ForEachWeight([&](const Weight& weight, bool is_head) {
    const uint64_t planes = PlaneBytes(weight, options_.scheme);
    if (kept + planes > options_.plane_bytes) {
      passing = std::max(passing, planes);
    } else {
      kept += planes;
    }
    const uint64_t m = is_head ? logit_rows : rows;
    // A code and, where a plane has all of k, its 16 bits while it is multiplied.
    const uint64_t wide = options_.scheme == WeightScheme::kRow ? sizeof(int16_t) : 0;
    inputs = std::max(inputs, m * weight.k * (sizeof(int8_t) + wide));
    outputs = std::max(outputs, m * weight.rows * (sizeof(int32_t) + sizeof(float)));
  });
  return kept + passing + inputs + outputs + uint64_t{rows} * (sizeof(float) + sizeof(int32_t));
}

void IntegerBackend::MatMul(const Op& op, uint32_t rows, const float* x, size_t x_stride, float* y,
                            size_t y_stride) {
  const WeightPlanes& w = PlanesFor(op.weights);
  ProductReport& report = by_role_[static_cast<size_t>(op.role)];
  x_.Quantise(x, x_stride, rows, w.k);
  sums_.resize(size_t{rows} * w.n);
  scaled_.assign(size_t{rows} * w.n, 0);
  for (uint32_t g = 0; g < w.planes(); ++g) {
    const Product product = {rows, w.n, w.GroupSize(g)};
    multiplier_->Multiply(product, {x_.codes.data() + size_t{g} * w.group, w.k},
                          {w.Plane(g), product.k}, {sums_.data(), w.n}, pool_, report.run);
    AddScaled(w, g, rows);
  }
  for (uint32_t i = 0; i < rows; ++i) {
    const float* from = scaled_.data() + size_t{i} * w.n;
    for (uint32_t j = 0; j < w.n; ++j) y[i * y_stride + j] = x_.scales[i] * from[j];
  }

  const uint64_t outputs = uint64_t{rows} * w.n;
  const uint64_t terms = w.mins.empty() ? 1 : 2;
  ++report.products;
  report.multiplies += w.planes();
  report.host_macs += uint64_t{rows} * w.k * terms + outputs * (w.planes() * terms + 1);
}

// scaled += scale * sums (+ min * sum of the codes), in the order of the planes.
void IntegerBackend::AddScaled(const WeightPlanes& w, uint32_t plane, uint32_t rows) {
  if (!w.mins.empty()) {
    code_sums_.assign(rows, 0);
    for (uint32_t i = 0; i < rows; ++i) {
      const int8_t* codes = x_.codes.data() + size_t{i} * w.k + size_t{plane} * w.group;
      for (uint32_t l = 0; l < w.GroupSize(plane); ++l) code_sums_[i] += codes[l];
    }
  }
  const float* scales = w.scales.data() + size_t{plane} * w.n;
  const float* mins = w.mins.empty() ? nullptr : w.mins.data() + size_t{plane} * w.n;
  const auto add = [&](uint32_t i, uint32_t begin, uint32_t end) {
    const int32_t* sums = sums_.data() + size_t{i} * w.n;
    float* to = scaled_.data() + size_t{i} * w.n;
    for (uint32_t j = begin; j < end; ++j) to[j] += scales[j] * static_cast<float>(sums[j]);
    if (mins == nullptr) return;
    const auto code_sum = static_cast<float>(code_sums_[i]);
    for (uint32_t j = begin; j < end; ++j) to[j] += mins[j] * code_sum;
  };
  if (uint64_t{rows} * w.n <= 2 * kPiece) {  // sooner done than shared
    for (uint32_t i = 0; i < rows; ++i) add(i, 0, w.n);
    return;
  }
  const uint32_t pieces = (w.n + kPiece - 1) / kPiece;
  pool_.Run([&](Worker& worker) {
    worker.ForChunks(rows * pieces, 1, [&](uint32_t piece, uint32_t) {
      const uint32_t begin = piece % pieces * kPiece;
      add(piece / pieces, begin, std::min(begin + kPiece, w.n));
    });
  });
}

const WeightPlanes& IntegerBackend::PlanesFor(TensorId id) {
  if (const auto known = planes_.find(id); known != planes_.end()) return known->second;
  const Weight& weight = model_.weight(id);
  EDGEWISE_CHECK(weight.data != nullptr);
  passing_ = {};  // before the next is unpacked: there is never more than one
  WeightPlanes planes = PlanesOf(weight, options_.scheme, multiplier_->datapath(), pool_);
  // The first that fit stay: of weights used in turn, whoever was used longest ago is needed next.
  if (kept_bytes_ + planes.bytes() > options_.plane_bytes) return passing_ = std::move(planes);
  kept_bytes_ += planes.bytes();
  return planes_.emplace(id, std::move(planes)).first->second;
}

ProductReport IntegerBackend::total() const {
  ProductReport total;
  for (const ProductReport& report : by_role_) total += report;
  return total;
}

}  // namespace edgewise::chip
