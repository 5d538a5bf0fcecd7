#include "chip/number_scheme.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "quant/codec.h"
#include "quant/uniform.h"
#include "quant/unpack.h"

namespace edgewise::chip {
namespace {

constexpr uint32_t kFloatGroup = 32;

// The nearest integer, ties to even, of values below 2^22: floats from 2^23 on have no fraction. A
// few cycles, where baseline x86-64 calls a function for nearbyint.
float Round(float x) { return x + 12582912.0f - 12582912.0f; }

// What a type's blocks are made of.
struct Codes {
  uint32_t group = 0;  // weights that share a scale; 0: floats
  int least = 0, most = 0;
  bool has_min = false;
};

Codes CodesOf(DType type) {
  switch (type) {
    case DType::kQ4_0: return {32, -8, 7, false};
    case DType::kQ4_1: return {32, 0, 15, true};
    case DType::kQ5_0: return {32, -16, 15, false};
    case DType::kQ5_1: return {32, 0, 31, true};
    case DType::kQ8_0: return {32, -128, 127, false};
    case DType::kIQ4_NL: return {32, -127, 113, false};
    case DType::kQ2_K: return {16, 0, 3, true};
    case DType::kQ3_K: return {16, -4, 3, false};
    case DType::kQ4_K: return {32, 0, 15, true};
    case DType::kQ5_K: return {32, 0, 31, true};
    case DType::kQ6_K: return {16, -32, 31, false};
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16: return {};
  }
  return {};
}

int MostCode(Datapath datapath) {
  return datapath == Datapath::kTernary ? 1 : (1 << (std::min(WeightBits(datapath), 8u) - 1)) - 1;
}

int LeastCode(Datapath datapath) {
  return datapath == Datapath::kTernary ? -1 : -MostCode(datapath) - 1;
}

// Codes without sign move to the middle where only that makes them fit; the type's minimum takes it
// up.
int ShiftOf(const Codes& codes, Datapath datapath) {
  return codes.has_min && codes.most > MostCode(datapath) ? (codes.most + 1) / 2 : 0;
}

bool Rounds(const Weight& weight, WeightScheme scheme) {
  return scheme == WeightScheme::kRow || CodesOf(weight.type).group == 0;
}

uint32_t GroupOf(const Weight& weight, WeightScheme scheme) {
  if (scheme == WeightScheme::kRow) return weight.k;
  const uint32_t group = CodesOf(weight.type).group;
  return group == 0 ? kFloatGroup : group;
}

// Returns the scale.
float RoundGroup(std::span<const float> w, Datapath datapath, int8_t* codes) {
  float most = 0, sum = 0;
  for (const float v : w) {
    most = std::max(most, std::abs(v));
    sum += std::abs(v);
  }
  const int most_code = MostCode(datapath);
  const float scale = datapath == Datapath::kTernary ? sum / static_cast<float>(w.size())
                                                     : most / static_cast<float>(most_code);
  if (!(scale > 0) || !std::isfinite(scale)) {
    std::fill_n(codes, w.size(), int8_t{0});
    return std::isfinite(most) && std::isfinite(sum) ? 0 : NAN;
  }
  for (size_t i = 0; i < w.size(); ++i) {
    codes[i] = static_cast<int8_t>(UniformCode(w[i], scale, static_cast<float>(most_code)));
  }
  return scale;
}

// f(first weight, codes of one group, scale, min) for each group of a row.
template <typename Block, typename F>
void ForEachGroup(const std::byte* row, uint32_t k, uint32_t group, F&& f) {
  const auto* blocks = reinterpret_cast<const Block*>(row);
  if constexpr (requires(Unpacked32 & u) { Unpack(*blocks, u); }) {
    Unpacked32 u;
    for (uint32_t i = 0; i < k; i += kBlock32) {
      Unpack(blocks[i / kBlock32], u);
      f(i, u.codes, u.d, u.m);
    }
  } else {
    UnpackedK u;
    for (uint32_t i = 0; i < k; i += kBlockK) {
      Unpack(blocks[i / kBlockK], u);
      for (uint32_t l = 0; l < kBlockK; l += group) {
        f(i + l, u.codes + l, u.d * static_cast<float>(u.scales[l / 16]),
          -u.dmin * static_cast<float>(u.mins[l / 16]));
      }
    }
  }
}

template <typename F>
void ForEachGroup(DType type, const std::byte* row, uint32_t k, uint32_t group, F&& f) {
  switch (type) {
    case DType::kQ4_0: return ForEachGroup<BlockQ4_0>(row, k, group, f);
    case DType::kQ4_1: return ForEachGroup<BlockQ4_1>(row, k, group, f);
    case DType::kQ5_0: return ForEachGroup<BlockQ5_0>(row, k, group, f);
    case DType::kQ5_1: return ForEachGroup<BlockQ5_1>(row, k, group, f);
    case DType::kQ8_0: return ForEachGroup<BlockQ8_0>(row, k, group, f);
    case DType::kIQ4_NL: return ForEachGroup<BlockIQ4_NL>(row, k, group, f);
    case DType::kQ2_K: return ForEachGroup<BlockQ2_K>(row, k, group, f);
    case DType::kQ3_K: return ForEachGroup<BlockQ3_K>(row, k, group, f);
    case DType::kQ4_K: return ForEachGroup<BlockQ4_K>(row, k, group, f);
    case DType::kQ5_K: return ForEachGroup<BlockQ5_K>(row, k, group, f);
    case DType::kQ6_K: return ForEachGroup<BlockQ6_K>(row, k, group, f);
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16: break;
  }
  EDGEWISE_CHECK(false);
}

}  // namespace

void ActivationCodes::Quantise(const float* x, size_t stride, uint32_t rows, uint32_t k) {
  codes.resize(size_t{rows} * k);
  scales.resize(rows);
  for (uint32_t i = 0; i < rows; ++i, x += stride) {
    // NaN if any is: max alone would pass over one.
    float most = 0, poison = 0;
    for (uint32_t l = 0; l < k; ++l) {
      most = std::max(most, std::abs(x[l]));
      poison += x[l] * 0;
    }
    int8_t* row = codes.data() + size_t{i} * k;
    const float inverse = 127 / most;
    scales[i] = most / 127 + poison;
    if (std::isnan(scales[i]) || !std::isfinite(inverse)) {  // or so small that it is nothing
      if (!std::isnan(scales[i])) scales[i] = 0;
      std::fill_n(row, k, int8_t{0});
      continue;
    }
    for (uint32_t l = 0; l < k; ++l) row[l] = static_cast<int8_t>(Round(x[l] * inverse));
  }
}

uint64_t PlaneBytes(const Weight& weight, WeightScheme scheme) {
  const uint64_t group = GroupOf(weight, scheme);
  const bool mins = !Rounds(weight, scheme) && CodesOf(weight.type).has_min;
  const uint64_t groups = uint64_t{weight.rows} * ((weight.k + group - 1) / group);
  return uint64_t{weight.rows} * weight.k + groups * sizeof(float) * (mins ? 2 : 1);
}

void CheckScheme(const Weight& weight, WeightScheme scheme, Datapath datapath) {
  if (Rounds(weight, scheme)) return;
  const Codes codes = CodesOf(weight.type);
  const int shift = ShiftOf(codes, datapath);
  if (codes.least - shift >= LeastCode(datapath) && codes.most - shift <= MostCode(datapath))
    return;
  throw Error(ErrorCode::kUnsupported,
              StrCat("tensor ", weight.name, ": codes of ", NameOf(weight.type), " (", codes.least,
                     "..", codes.most, ") do not fit the chip's ", NameOf(datapath),
                     " weights; the row scheme rounds them anew"));
}

WeightPlanes PlanesOf(const Weight& weight, WeightScheme scheme, Datapath datapath,
                      ThreadPool& pool) {
  WeightPlanes planes;
  planes.n = weight.rows;
  planes.k = weight.k;
  planes.group = GroupOf(weight, scheme);
  const uint64_t n = weight.rows;
  const bool rounds = Rounds(weight, scheme);
  const Codes codes = CodesOf(weight.type);
  planes.codes.resize(n * weight.k);
  planes.scales.resize(n * planes.planes());
  if (!rounds && codes.has_min) planes.mins.resize(planes.scales.size());
  const int shift = rounds ? 0 : ShiftOf(codes, datapath);
  const auto code_row = [&](uint32_t plane, uint64_t j) {
    return planes.codes.data() + n * plane * planes.group + j * planes.GroupSize(plane);
  };
  pool.Run([&](Worker& worker) {
    std::vector<float> floats(rounds ? weight.k : 0);
    worker.ForChunks(weight.rows, 16, [&](uint32_t begin, uint32_t end) {
      for (uint32_t j = begin; j < end; ++j) {
        const std::byte* row = weight.data + j * weight.row_bytes();
        if (rounds) {
          DecodeRow(weight.type, {row, weight.row_bytes()}, floats);
          for (uint32_t g = 0; g < planes.planes(); ++g) {
            planes.scales[g * n + j] =
                RoundGroup(std::span(floats).subspan(size_t{g} * planes.group, planes.GroupSize(g)),
                           datapath, code_row(g, j));
          }
          continue;
        }
        ForEachGroup(weight.type, row, weight.k, planes.group,
                     [&](uint32_t first, const int8_t* from, float scale, float min) {
                       const uint32_t g = first / planes.group;
                       int8_t* to = code_row(g, j);
                       for (uint32_t l = 0; l < planes.group; ++l) {
                         to[l] = static_cast<int8_t>(from[l] - shift);
                       }
                       planes.scales[g * n + j] = scale;
                       if (codes.has_min) {
                         planes.mins[g * n + j] = min + scale * static_cast<float>(shift);
                       }
                     });
      }
    });
  });
  return planes;
}

}  // namespace edgewise::chip
