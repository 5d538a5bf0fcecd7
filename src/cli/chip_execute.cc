#include "cli/chip_execute.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/clock.h"
#include "base/error.h"
#include "base/fnv.h"
#include "base/memory.h"
#include "base/system_memory.h"
#include "chip/integer_product.h"
#include "cli/console.h"
#include "model/random_weights.h"

namespace edgewise {
namespace {

using chip::Integers;
using chip::Product;

constexpr uint64_t kPiece = 1 << 20;  // values of one seed

// Eight bytes of random bits as eight values of `bits` bits.
uint64_t Narrowed(uint64_t word, uint32_t bits) {
  if (bits == 8) return word;
  uint64_t out = 0;
  for (int shift = 0; shift < 64; shift += 8) {
    const auto byte = static_cast<uint8_t>(word >> shift);
    const int value = bits == 2 ? byte % 3 - 1 : static_cast<int8_t>(byte) >> (8 - bits);
    out |= static_cast<uint64_t>(static_cast<uint8_t>(value)) << shift;
  }
  return out;
}

void FillPiece(std::span<int8_t> out, uint32_t bits, uint64_t seed) {
  RandomBits random(seed);
  for (size_t i = 0; i < out.size(); i += 8) {
    const uint64_t word = Narrowed(random.Next(), bits);
    std::memcpy(out.data() + i, &word, std::min<size_t>(8, out.size() - i));
  }
}
void FillPiece(std::span<int32_t> out, uint32_t bits, uint64_t seed) {
  RandomBits random(seed);
  for (int32_t& value : out)
    value = static_cast<int32_t>(static_cast<uint32_t>(random.Next())) >> (32 - bits);
}

// Pieces [first, last) of `out`.
template <typename T>
void FillPieces(std::span<T> out, uint64_t first, uint64_t last, uint32_t bits, uint64_t seed,
                ThreadPool& pool) {
  pool.Run([&](Worker& worker) {
    worker.ForChunks(static_cast<uint32_t>(last - first), 1, [&](uint32_t begin, uint32_t end) {
      for (uint64_t piece = first + begin; piece < first + end; ++piece) {
        const uint64_t at = piece * kPiece;
        FillPiece(out.subspan(at, std::min<uint64_t>(kPiece, out.size() - at)), bits, seed + piece);
      }
    });
  });
}

uint64_t Pieces(uint64_t values) { return (values + kPiece - 1) / kPiece; }

uint64_t Times(uint64_t a, uint64_t b) {
  uint64_t out = 0;
  return __builtin_mul_overflow(a, b, &out) ? std::numeric_limits<uint64_t>::max() / 4 : out;
}

// Of what ExecuteStep holds; saturating, far above what any machine has.
struct StepSizes {
  uint64_t weights = 0, most_a = 0, most_c = 0;
};
StepSizes SizesOf(const Workload& work) {
  constexpr uint64_t kMost = std::numeric_limits<uint64_t>::max() / 16;
  StepSizes sizes;
  for (const WorkProduct& p : work.products) {
    if (IsAttention(p.role)) continue;
    sizes.weights = std::min(kMost, sizes.weights + std::min(kMost, Times(p.count, Times(p.n, p.k))));
    sizes.most_a = std::min(kMost, std::max(sizes.most_a, Times(p.m, p.k)));
    sizes.most_c = std::min(kMost, std::max(sizes.most_c, Times(p.m, p.n)));
  }
  return sizes;
}

// The model and what one product needs besides.
class SyntheticStep {
 public:
  SyntheticStep(const ChipDesign& design, const Workload& work, uint64_t seed, ThreadPool& pool)
      : work_(work),
        sizes_(SizesOf(work)),
        weights_((CheckFits(), sizes_.weights), Pages::kHuge),
        a_(1, sizes_.most_a, std::min(8u, ActivationBits(design.datapath)), seed, pool),
        c_(sizes_.most_c) {
    const uint64_t pieces = Pieces(sizes_.weights);
    const std::span<int8_t> values(reinterpret_cast<int8_t*>(weights_.data()), sizes_.weights);
    Progress progress("making random weights, MiB");
    constexpr uint64_t kStride = 64;
    for (uint64_t piece = 0; piece < pieces; piece += kStride) {
      FillPieces(values, piece, std::min(pieces, piece + kStride), std::min(8u, WeightBits(design.datapath)),
                 seed + (uint64_t{1} << 40), pool);
      progress.Show(std::min(pieces, piece + kStride), pieces);
    }
  }

  uint64_t weight_bytes() const { return sizes_.weights; }

  // f(product, a, w, c) returns how long it took; adds it up and hashes C.
  template <typename F>
  Seconds ForEachProduct(const char* what, uint64_t& hash, F&& f) {
    Progress progress(what);
    const uint64_t all = work_.macs(false) >> 20;
    uint64_t done = 0;
    Seconds time;
    hash = kFnvOffset;
    const auto* at = reinterpret_cast<const int8_t*>(weights_.data());
    for (const WorkProduct& p : work_.products) {
      if (IsAttention(p.role)) continue;
      const Product product = {p.m, p.n, p.k};
      const chip::Results c = {c_.data(), p.n};
      for (uint64_t i = 0; i < p.count; ++i, at += p.n * p.k) {
        const Seconds start = Now();
        f(product, Integers(a_.view().int8(), p.k), Integers(at, p.k), c);
        time += Now() - start;
        hash = FnvMixBytes(hash, chip::HashOf(product, c), 8);
        done += p.m * p.n * p.k;
        progress.Show(done >> 20, all);
      }
    }
    return time;
  }

 private:
  void CheckFits() const {
    // The tile model widens A to int16 and gathers C.
    CheckMemory(sizes_.weights + 3 * sizes_.most_a + 4 * sizes_.most_c,
                "the synthetic model and its activations");
  }

  const Workload& work_;
  const StepSizes sizes_;
  AnonymousMemory weights_;
  RandomIntegers a_;
  std::vector<int32_t> c_;
};

}  // namespace

void CheckMemory(uint64_t bytes, const std::string& what) {
  constexpr uint64_t kReserve = 64 << 20;
  const auto limit = AvailableMemory();
  if (!limit || bytes + kReserve <= limit->available) return;
  throw Error(ErrorCode::kLimit,
              StrCat(what, " take ", HumanBytes(bytes), ", but ", HumanBytes(limit->available),
                     " are available (", limit->source, ")"));
}

RandomIntegers::RandomIntegers(uint64_t rows, uint64_t columns, uint32_t bits, uint64_t seed,
                               ThreadPool& pool)
    : columns_(columns) {
  const uint64_t values = rows * columns;
  if (bits <= 8) {
    int8_.resize(values);
    FillPieces<int8_t>(int8_, 0, Pieces(values), bits, seed, pool);
  } else {
    int32_.resize(values);
    FillPieces<int32_t>(int32_, 0, Pieces(values), bits, seed, pool);
  }
}

uint64_t RandomIntegers::Bytes(uint64_t rows, uint64_t columns, uint32_t bits) {
  return Times(Times(rows, columns), bits <= 8 ? 1 : 4);
}

Integers RandomIntegers::view() const {
  return int32_.empty() ? Integers(int8_.data(), columns_) : Integers(int32_.data(), columns_);
}

ExecutedStep ExecuteStep(const ChipDesign& design, const Workload& work, int threads, uint64_t seed) {
  ThreadPool pool(threads);
  SyntheticStep step(design, work, seed, pool);
  ExecutedStep out;
  out.weight_bytes = step.weight_bytes();
  out.wall = step.ForEachProduct(
      "executing tiles, million multiply-adds", out.result_hash,
      [&](const Product& product, const Integers& a, const Integers& w, const chip::Results& c) {
        const chip::TileRun run = chip::RunTiles(design, product, a, w, c, {}, pool);
        out.cost += run.cost;
        out.tiles += run.executed_tiles;
        out.overflows += run.overflows;
      });
  out.cpu_int_wall = step.ForEachProduct(
      "the plain product, million multiply-adds", out.cpu_int_hash,
      [&](const Product& product, const Integers& a, const Integers& w, const chip::Results& c) {
        chip::MultiplyIntegers(product, a, w, c, pool);
      });
  return out;
}

}  // namespace edgewise
