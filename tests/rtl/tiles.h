// Hand-made data and bus programs for single tiles.
#pragma once

#include <array>
#include <cstdint>
#include <random>
#include <vector>

#include "rtl_chip.h"

namespace edgewise::chip {

constexpr uint32_t kStart = 1, kAccumulate = 2;  // CTRL; STATUS has kStart too
constexpr uint32_t kBusy = 2, kDone = 4;         // STATUS

using Tile = std::array<uint32_t, 64>;  // 8 x 8, row-major

inline Tile RandomTile(std::mt19937_64& random) {
  Tile tile;
  for (uint32_t& word : tile) word = static_cast<uint32_t>(random());
  return tile;
}

// c + a b modulo 2^32.
inline Tile Multiply(const Tile& a, const Tile& b, Tile c = {}) {
  for (int i = 0; i < 8; ++i)
    for (int j = 0; j < 8; ++j)
      for (int k = 0; k < 8; ++k) c[i * 8 + j] += a[i * 8 + k] * b[k * 8 + j];
  return c;
}

inline BusOp Write(uint32_t address, uint32_t data) { return {BusOp::Kind::kWrite, address, data}; }
inline BusOp Read(uint32_t address) { return {BusOp::Kind::kRead, address}; }
inline BusOp Idle(uint32_t cycles) { return {BusOp::Kind::kIdle, 0, cycles}; }

using Program = std::vector<BusOp>;

inline void Append(Program& program, std::initializer_list<BusOp> ops) {
  program.insert(program.end(), ops.begin(), ops.end());
}
inline void AppendLoad(Program& program, const Tile& a, const Tile& b) {
  for (uint32_t i = 0; i < 64; ++i) program.push_back(Write(kAddressA + i, a[i]));
  for (uint32_t i = 0; i < 64; ++i) program.push_back(Write(kAddressB + i, b[i]));
}
inline void AppendReadAll(Program& program) {
  for (uint32_t i = 0; i < 64; ++i) program.push_back(Read(kAddressC + i));
}

}  // namespace edgewise::chip
