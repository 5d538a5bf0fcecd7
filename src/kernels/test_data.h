// Inputs for the kernels' tests and benchmarks: memory that ends at a forbidden page, random
// weights of every type, rounded activations and what they stand for.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "kernels/activation.h"
#include "kernels/kernels.h"
#include "quant/codec.h"
#include "quant/half.h"
#include "quant/unpack.h"

namespace edgewise::kernels {

// `size` bytes whose last one is the last before an inaccessible page: reading beyond is a fault.
class GuardedBytes {
 public:
  explicit GuardedBytes(size_t size) : size_(size) {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    mapped_ = (size + page - 1) / page * page + page;
    base_ = static_cast<std::byte*>(
        mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    EDGEWISE_CHECK(base_ != MAP_FAILED);
    EDGEWISE_CHECK(mprotect(base_ + mapped_ - page, page, PROT_NONE) == 0);
    data_ = base_ + mapped_ - page - size;
  }
  GuardedBytes(const GuardedBytes&) = delete;
  GuardedBytes& operator=(const GuardedBytes&) = delete;
  ~GuardedBytes() { munmap(base_, mapped_); }

  std::byte* data() const { return data_; }
  size_t size() const { return size_; }
  std::span<std::byte> span() const { return {data_, size_}; }

 private:
  size_t size_, mapped_;
  std::byte* base_;
  std::byte* data_;
};

using Random = std::mt19937;

inline std::vector<float> NormalFloats(size_t n, Random& random, float deviation = 1.0f) {
  std::normal_distribution<float> normal(0.0f, deviation);
  std::vector<float> values(n);
  for (float& v : values) v = normal(random);
  return values;
}

// Fills rows with random bits, so that every code and sub-scale occurs, then gives the half-float
// scales magnitudes around 1 / 64 of either sign (raw bits would be NaN or 2^-20 to 2^15).
inline void FillWeights(DType type, std::span<std::byte> out, Random& random) {
  std::normal_distribution<float> normal(0.0f, 1.0f);
  const auto put = [&](size_t at, uint16_t bits) { std::memcpy(out.data() + at, &bits, 2); };
  if (type == DType::kF32) {
    for (size_t at = 0; at < out.size(); at += 4) {
      const float v = normal(random);
      std::memcpy(out.data() + at, &v, 4);
    }
    return;
  }
  if (type == DType::kF16 || type == DType::kBF16) {
    for (size_t at = 0; at < out.size(); at += 2) {
      const float v = normal(random);
      put(at, type == DType::kF16 ? F32ToF16(v) : F32ToBf16(v));
    }
    return;
  }
  for (std::byte& b : out) b = static_cast<std::byte>(random());
  const TypeInfo& info = InfoOf(type);
  std::vector<size_t> scales;  // offsets within a block
  switch (type) {
    case DType::kQ4_1:
    case DType::kQ5_1:
    case DType::kQ4_K:
    case DType::kQ5_K: scales = {0, 2}; break;
    case DType::kQ2_K: scales = {offsetof(BlockQ2_K, d), offsetof(BlockQ2_K, dmin)}; break;
    case DType::kQ3_K: scales = {offsetof(BlockQ3_K, d)}; break;
    case DType::kQ6_K: scales = {offsetof(BlockQ6_K, d)}; break;
    default: scales = {0}; break;
  }
  for (size_t block = 0; block < out.size(); block += info.block_bytes) {
    for (size_t scale : scales) put(block + scale, F32ToF16(normal(random) / 64));
  }
}

// For each weight of a row an upper bound on every number its product passes through:
// |d * code| + |min|, which is larger than |weight| where the two cancel.
inline std::vector<double> Magnitudes(DType type, std::span<const std::byte> row, uint32_t k) {
  std::vector<double> out(k);
  const auto each32 = [&]<typename Block>(const Block* blocks) {
    for (uint32_t i = 0; i < k; ++i) {
      Unpacked32 u;
      Unpack(blocks[i / kBlock32], u);
      out[i] = std::abs(double{u.d} * u.codes[i % kBlock32]) + std::abs(double{u.m});
    }
  };
  const auto each_k = [&]<typename Block>(const Block* blocks) {
    UnpackedK u{};
    for (uint32_t i = 0; i < k; ++i) {
      if (i % kBlockK == 0) Unpack(blocks[i / kBlockK], u);
      const uint32_t l = i % kBlockK;
      out[i] = std::abs(double{u.d} * u.scales[l / 16] * u.codes[l]) +
               std::abs(double{u.dmin} * u.mins[l / 16]);
    }
  };
  const std::byte* p = row.data();
  switch (type) {
    case DType::kQ4_0: each32(reinterpret_cast<const BlockQ4_0*>(p)); break;
    case DType::kQ4_1: each32(reinterpret_cast<const BlockQ4_1*>(p)); break;
    case DType::kQ5_0: each32(reinterpret_cast<const BlockQ5_0*>(p)); break;
    case DType::kQ5_1: each32(reinterpret_cast<const BlockQ5_1*>(p)); break;
    case DType::kQ8_0: each32(reinterpret_cast<const BlockQ8_0*>(p)); break;
    case DType::kIQ4_NL: each32(reinterpret_cast<const BlockIQ4_NL*>(p)); break;
    case DType::kQ2_K: each_k(reinterpret_cast<const BlockQ2_K*>(p)); break;
    case DType::kQ3_K: each_k(reinterpret_cast<const BlockQ3_K*>(p)); break;
    case DType::kQ4_K: each_k(reinterpret_cast<const BlockQ4_K*>(p)); break;
    case DType::kQ5_K: each_k(reinterpret_cast<const BlockQ5_K*>(p)); break;
    case DType::kQ6_K: each_k(reinterpret_cast<const BlockQ6_K*>(p)); break;
    default: {
      std::vector<float> decoded(k);
      DecodeRow(type, row, decoded);
      for (uint32_t i = 0; i < k; ++i) out[i] = std::abs(double{decoded[i]});
    }
  }
  return out;
}

// What a rounded activation row stands for.
inline std::vector<double> DecodeActivation(ActivationFormat format, const std::byte* row,
                                            uint32_t k) {
  std::vector<double> out(k);
  for (uint32_t i = 0; i < k; ++i) {
    if (format == ActivationFormat::kF32) {
      out[i] = reinterpret_cast<const float*>(row)[i];
    } else if (format == ActivationFormat::kQ8_0) {
      const ActivationQ8_0 x = ViewQ8_0(row, k);
      out[i] = double{x.scales[i / 32]} * x.codes[i];
    } else {
      const ActivationQ8_K x = ViewQ8_K(row, k);
      out[i] = double{x.scales[i / 256]} * x.codes[i];
    }
  }
  return out;
}

}  // namespace edgewise::kernels
