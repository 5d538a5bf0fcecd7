#include "chip/lower.h"

#include <algorithm>
#include <bit>
#include <string>

#include "base/error.h"

namespace edgewise::chip {
namespace {

constexpr uint32_t kLeastWindow = 0x100;
constexpr uint64_t kHeaderBytes = 8;

int32_t ValueAt(const Integers& x, uint64_t rows, uint64_t columns, uint64_t row, uint64_t column) {
  return row < rows && column < columns ? x.at(row, column) : 0;
}

void CheckFits(const Product& product, const Integers& x, uint64_t rows, uint32_t bits,
               bool ternary, const char* which) {
  if (bits == 32 || (bits == 8 && x.int8() != nullptr)) return;
  const int64_t most = ternary ? 1 : (int64_t{1} << (bits - 1)) - 1,
                least = ternary ? -1 : -most - 1;
  for (uint64_t i = 0; i < rows; ++i) {
    for (uint64_t k = 0; k < product.k; ++k) {
      if (const int32_t v = x.at(i, k); v < least || v > most) {
        throw Error(ErrorCode::kUnsupported,
                    std::string(which) + " " + std::to_string(v) + " in row " + std::to_string(i) +
                        " does not fit the chip's datapath (" + std::to_string(least) + ".." +
                        std::to_string(most) + ")");
      }
    }
  }
}

void CheckLowerable(const ChipDesign& design, const Tiling& t) {
  if (!t.half_k()) return;
  throw Error(ErrorCode::kUnsupported,
              "chip " + design.name +
                  ": two of four has no tile programs of its own; the tile model "
                  "counts its cycles");
}

// Counts a host's edges as it would plan them, to know how long it must wait.
class BusWriter {
 public:
  explicit BusWriter(const ChipDesign& design) : design_(design) {}

  void Write(uint32_t address, uint32_t data) {
    ops_.push_back({BusOp::Kind::kWrite, address, data});
    edge_ += design_.write_cycles;
  }
  // Returns the edge at which it is latched.
  uint64_t WriteControl(uint32_t address, uint32_t data) {
    ops_.push_back({BusOp::Kind::kWrite, address, data});
    edge_ += design_.control_cycles;
    return edge_ - 1;
  }
  void Read(uint32_t address) {
    ops_.push_back({BusOp::Kind::kRead, address, 0});
    edge_ += design_.read_cycles;
  }
  void IdleUntil(uint64_t edge) {
    if (edge <= edge_) return;
    ops_.push_back({BusOp::Kind::kIdle, 0, static_cast<uint32_t>(edge - edge_)});
    edge_ = edge;
  }
  std::vector<BusOp> Take() { return std::move(ops_); }

 private:
  const ChipDesign& design_;
  std::vector<BusOp> ops_;
  uint64_t edge_ = 1;  // of the next transaction
};

// Packs values into the lanes of a beat.
class BeatPacker {
 public:
  BeatPacker(uint64_t width, uint32_t bits) : bits_(bits) { beat_.bytes.resize(width); }

  void Add(int32_t value) {
    const auto code = static_cast<uint32_t>(value);
    for (uint32_t bit = 0; bit < bits_; bit += 8, at_ += std::min(bits_, 8u)) {
      const uint32_t mask = bits_ < 8 ? (1u << bits_) - 1 : 255;
      beat_.bytes[at_ / 8] =
          static_cast<uint8_t>(beat_.bytes[at_ / 8] | (code >> bit & mask) << at_ % 8);
    }
  }
  Beat Take() { return std::move(beat_); }

 private:
  const uint32_t bits_;
  uint64_t at_ = 0;  // bit
  Beat beat_;
};

class StreamWriter {
 public:
  StreamWriter(const ChipDesign& design, const Tiling& t, const Integers& a, const Integers& w)
      : design_(design),
        t_(t),
        a_(a),
        w_(w),
        width_(StreamBytes(design)),
        beat_k_(design.kind == ArrayKind::kVector ? design.depth : 1) {}

  void Command(uint8_t op, uint8_t flags, uint32_t rows, uint64_t k) {
    const uint64_t count = Beats(k);
    Beat header;
    header.bytes.resize(width_);
    header.bytes[0] = op;
    header.bytes[1] = flags;
    header.bytes[2] = static_cast<uint8_t>(op == kMac ? rows : 0);
    header.bytes[3] = static_cast<uint8_t>(op == kMac ? rows >> 8 : 0);
    header.bytes[4] = static_cast<uint8_t>(count);
    header.bytes[5] = static_cast<uint8_t>(count >> 8);
    beats_.push_back(std::move(header));
  }
  // Beats of k_count columns from k on.
  void LoadA(uint64_t row_block, uint64_t k, uint64_t k_count) {
    for (uint64_t b = 0; b < Beats(k_count); ++b) {
      Pack(a_, t_.product.m, row_block * t_.rows, t_.rows, k + b * beat_k_,
           ActivationBits(design_.datapath));
    }
  }
  void LoadW(uint64_t column_tile, uint64_t k, uint64_t k_count) {
    for (uint64_t b = 0; b < Beats(k_count); ++b) {
      Pack(w_, t_.product.n, column_tile * t_.cols, t_.cols, k + b * beat_k_,
           WeightBits(design_.datapath));
    }
  }
  std::vector<Beat> Take() { return std::move(beats_); }

 private:
  uint64_t Beats(uint64_t k) const { return (k + beat_k_ - 1) / beat_k_; }
  void Pack(const Integers& x, uint64_t x_rows, uint64_t first, uint64_t rows, uint64_t k,
            uint32_t bits) {
    BeatPacker packer(width_, bits);
    for (uint64_t i = first; i < first + rows; ++i) {
      for (uint64_t l = k; l < k + beat_k_; ++l) packer.Add(ValueAt(x, x_rows, t_.product.k, i, l));
    }
    beats_.push_back(packer.Take());
  }

  const ChipDesign& design_;
  const Tiling& t_;
  const Integers &a_, &w_;
  const uint64_t width_;
  const uint64_t beat_k_;  // of k in a beat
  std::vector<Beat> beats_;
};

}  // namespace

RegisterMap MapOf(const ChipDesign& design) {
  const uint32_t words =
      std::max({design.rows * design.depth, design.depth * design.cols, design.rows * design.cols});
  const uint32_t window = std::max(std::bit_ceil(words), kLeastWindow);
  return {
      0,         window, 2 * window, 3 * window, 3 * window + (kAddressStatus - kAddressControl),
      4 * window};
}

uint64_t StreamBytes(const ChipDesign& design) {
  return std::max({ActivationBeatBytes(design), WeightBeatBytes(design), kHeaderBytes});
}

void CheckOperands(const ChipDesign& design, const Product& product, const Integers& a,
                   const Integers& w) {
  CheckFits(product, a, product.m, ActivationBits(design.datapath), false, "activation");
  CheckFits(product, w, product.n, WeightBits(design.datapath),
            design.datapath == Datapath::kTernary, "weight");
}

std::vector<BusOp> LowerToBus(const ChipDesign& design, const Tiling& t, const Integers& a,
                              const Integers& w) {
  EDGEWISE_CHECK(design.host == HostInterface::kAxiLite);
  CheckLowerable(design, t);
  CheckOperands(design, t.product, a, w);
  const RegisterMap map = MapOf(design);
  BusWriter bus(design);
  std::vector<uint64_t> started(t.units);  // edge of each unit's start
  ForEachRound(design, t, [&](const Round& round) {
    const uint64_t row0 = round.row_block * t.rows, k0 = round.k_step * t.depth;
    for (const TileStep& step : round.steps) {
      const uint32_t base = step.unit * map.unit_stride;
      for (uint32_t i = 0; step.load_a && i < round.rows; ++i) {
        for (uint32_t k = 0; k < t.depth; ++k) {
          bus.Write(base + map.a + i * t.depth + k,
                    static_cast<uint32_t>(ValueAt(a, t.product.m, t.product.k, row0 + i, k0 + k)));
        }
      }
      for (uint32_t k = 0; step.load_w && k < t.depth; ++k) {
        for (uint32_t j = 0; j < t.cols; ++j) {
          bus.Write(base + map.b + k * t.cols + j,
                    static_cast<uint32_t>(ValueAt(w, t.product.n, t.product.k,
                                                  step.column_tile * t.cols + j, k0 + k)));
        }
      }
      if (!step.compute) continue;
      started[step.unit] = bus.WriteControl(base + map.control, step.first ? 1 : 3);
      if (!HasInterlock(design)) bus.WriteControl(base + map.control, 0);  // start is a level
    }
    for (const TileStep& step : round.steps) {
      if (!step.read) continue;
      if (!HasInterlock(design)) {
        bus.IdleUntil(started[step.unit] + 1 +
                      ComputeCycles(design, t, step.column_tile, round.k_step, round.rows));
      }
      for (uint32_t e = 0; e < round.rows * t.cols; ++e)
        bus.Read(step.unit * map.unit_stride + map.c + e);
    }
  });
  return bus.Take();
}

std::vector<Beat> LowerToStream(const ChipDesign& design, const Tiling& t, const Integers& a,
                                const Integers& w) {
  EDGEWISE_CHECK(design.host == HostInterface::kDma);
  CheckLowerable(design, t);
  CheckOperands(design, t.product, a, w);
  StreamWriter stream(design, t, a, w);
  const bool commands = IsStreaming(design);
  ForEachRound(design, t, [&](const Round& round) {
    const TileStep& step = round.steps.front();
    const uint64_t k = round.k_step * t.k_step;
    const uint64_t chunk_begin = t.ChunkBegin(round.chunk), chunk_size = t.ChunkSize(round.chunk);
    if (step.load_a) {
      if (commands) stream.Command(kLoadA, 0, round.rows, chunk_size);
      stream.LoadA(round.row_block, chunk_begin, chunk_size);
    }
    if (commands) {
      const int flags = (step.first ? kMacFirst : 0) | (step.read ? kMacLast : 0);
      stream.Command(kMac, static_cast<uint8_t>(flags), round.rows, chunk_size);
      stream.LoadW(step.column_tile, k, chunk_size);
    } else if (step.load_w) {
      stream.LoadW(step.column_tile, k, t.depth);
    }
  });
  return stream.Take();
}

void GatherResults(const ChipDesign& design, const Tiling& t, std::span<const uint32_t> results,
                   const Results& c) {
  for (uint64_t i = 0; i < t.product.m; ++i) std::fill_n(c.row(i), t.product.n, 0);
  size_t at = 0;
  ForEachRound(design, t, [&](const Round& round) {
    for (const TileStep& step : round.steps) {
      if (!step.read) continue;
      for (uint32_t i = 0; i < round.rows; ++i) {
        int32_t* row = c.row(round.row_block * t.rows + i);
        for (uint64_t j = step.column_tile * t.cols; j < (step.column_tile + 1) * t.cols;
             ++j, ++at) {
          EDGEWISE_CHECK(at < results.size());
          if (j >= t.product.n) continue;
          row[j] = static_cast<int32_t>(static_cast<uint32_t>(row[j]) + results[at]);
        }
      }
    }
  });
  EDGEWISE_CHECK(at == results.size());
}

}  // namespace edgewise::chip
