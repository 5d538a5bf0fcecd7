// A model's matrix products in small integers: activations rounded per token, weights as planes of
// codes, each plane multiplied by a simulated chip or by the plain product, sums scaled here, on
// the host. The integers are exact and the host's floats are added in one order, so all multipliers
// give the same bits.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "chip/integer_multiplier.h"
#include "chip/number_scheme.h"
#include "graph/op.h"
#include "graph/product_backend.h"
#include "model/model.h"

namespace edgewise::chip {

struct IntegerBackendOptions {
  WeightScheme scheme = WeightScheme::kFile;
  int threads = 1;
  // Planes are kept for so many bytes of them; the weights beyond are unpacked at every use.
  uint64_t plane_bytes = uint64_t{4} << 30;
};

// What a role's products did so far.
struct ProductReport {
  uint64_t products = 0;    // matrix products of the model
  uint64_t multiplies = 0;  // integer products, one for each group along k
  TileRun run;              // of the chip; nothing for the plain product
  uint64_t host_macs =
      0;  // multiply-adds of the host: rounding activations, scaling and adding sums

  ProductReport& operator+=(const ProductReport& other);
};

class IntegerBackend : public ProductBackend {
 public:
  // The model must outlive it.
  IntegerBackend(const Model& model, std::unique_ptr<IntegerMultiplier> multiplier,
                 const IntegerBackendOptions& options);

  void CheckModel() const override;
  uint64_t PlannedBytes(uint32_t rows, uint32_t logit_rows) const override;
  void MatMul(const Op& op, uint32_t rows, const float* x, size_t x_stride, float* y,
              size_t y_stride) override;
  std::string name() const override { return multiplier_->name(); }

  const ProductReport& report(Role role) const { return by_role_[static_cast<size_t>(role)]; }
  ProductReport total() const;

 private:
  // Calls f(weight, is_head) for the weight of every product, in the order of a step.
  template <typename F>
  void ForEachWeight(F&& f) const;
  const WeightPlanes& PlanesFor(TensorId id);
  void AddScaled(const WeightPlanes& w, uint32_t plane, uint32_t rows);

  const Model& model_;
  const std::unique_ptr<IntegerMultiplier> multiplier_;
  const IntegerBackendOptions options_;
  ThreadPool pool_;
  std::map<TensorId, WeightPlanes> planes_;
  uint64_t kept_bytes_ = 0;
  WeightPlanes passing_;  // of the last weight that was not kept
  ActivationCodes x_;
  std::vector<int32_t> sums_;       // [rows][n] of one plane
  std::vector<float> scaled_;       // [rows][n], all planes so far
  std::vector<int32_t> code_sums_;  // by row: of the activation codes of one plane
  std::array<ProductReport, kRoles> by_role_;
};

}  // namespace edgewise::chip
