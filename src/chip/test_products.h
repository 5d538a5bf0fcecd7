// Products, stalls and sizes for the tests of the cycle simulator.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

#include "chip/matrix.h"
#include "chip/program.h"
#include "chip/test_designs.h"
#include "chip/tiler.h"
#include "machine/chip.h"

namespace edgewise::chip {

// A square array of that size; kDma.
inline ChipDesign Square(ArrayKind kind, uint32_t size) {
  ChipDesign design = Streaming(kind);
  design.name = NameOf(kind);
  design.rows = design.cols = design.depth = size;
  return design;
}

// A product with its operands; full range, or what `bits` can hold in two's complement (2: -1, 0, 1).
struct TestProduct {
  TestProduct(const Product& shape, uint32_t a_bits, uint32_t w_bits, std::mt19937_64& random)
      : product(shape), a_values(shape.m * shape.k), w_values(shape.n * shape.k) {
    Fill(a_values, a_bits, random);
    Fill(w_values, w_bits, random);
  }

  Integers a() const { return {a_values.data(), product.k}; }
  Integers w() const { return {w_values.data(), product.k}; }
  std::vector<int32_t> Expected() const {
    std::vector<int32_t> c;
    for (uint64_t i = 0; i < product.m; ++i) {
      for (uint64_t j = 0; j < product.n; ++j) {
        uint32_t sum = 0;
        for (uint64_t k = 0; k < product.k; ++k) {
          sum += static_cast<uint32_t>(a().at(i, k)) * static_cast<uint32_t>(w().at(j, k));
        }
        c.push_back(static_cast<int32_t>(sum));
      }
    }
    return c;
  }

  Product product;
  std::vector<int32_t> a_values, w_values;

 private:
  static void Fill(std::vector<int32_t>& values, uint32_t bits, std::mt19937_64& random) {
    for (int32_t& v : values) {
      v = static_cast<int32_t>(random()) >> (32 - bits);
      if (bits == 2) v = std::max(v, -1);
    }
  }
};

// Up to `count` stalls at random places among `places`.
inline std::vector<Stall> RandomStalls(uint64_t places, size_t count, std::mt19937_64& random) {
  std::vector<uint64_t> indices(count);
  for (uint64_t& index : indices) index = random() % places;
  std::sort(indices.begin(), indices.end());
  indices.erase(std::unique(indices.begin(), indices.end()), indices.end());
  std::vector<Stall> stalls;
  for (const uint64_t index : indices) stalls.push_back({index, 1 + static_cast<uint32_t>(random() % 40)});
  return stalls;
}

}  // namespace edgewise::chip
