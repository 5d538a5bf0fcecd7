#include "golden_answers.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "base/thread_pool.h"
#include "chip/cycle_simulator.h"
#include "chip/integer_product.h"
#include "chip/lower.h"
#include "chip/tile_model.h"
#include "chip/tiler.h"
#include "graph/workload.h"
#include "machine/chip_catalog.h"
#include "machine/chip_cost.h"
#include "model/model.h"

namespace edgewise {
namespace {

using chip::CycleSimulator;
using chip::Integers;
using chip::Product;
using chip::TileProduct;
using chip::Tiling;

constexpr double kMega = 1e6, kGiga = 1e9;
// Steps with so many weights are executed; of larger ones the tiler counts the tiles. TinyLlama has 1.03e9
// and takes 0.1 s with AVX2.
constexpr uint64_t kMostExecutedWeights = 2'000'000'000;

uint32_t Narrow(uint64_t value, const char* what) {
  if (value <= std::numeric_limits<uint32_t>::max()) return static_cast<uint32_t>(value);
  throw Error(ErrorCode::kBadFile, StrCat(what, " is ", value, ": above 2^32"));
}

// ---- chips ----

ChipDesign Named(const std::string& name) { return ChipCatalog({EDGEWISE_SOURCE_DIR "/chips"}).Find(name); }

// The documented chip with tiles of n x n x n.
ChipDesign Compact(uint64_t n, const std::string& name = "compact-512") {
  ChipDesign design = Named(name);
  design.rows = design.cols = design.depth = Narrow(n, "n");
  CheckDesign(design);
  return design;
}

// The same, taking `cycles` a tile at f hertz: the fewest multiply-adders that can, and then a margin.
ChipDesign CompactTaking(const GoldenRow& row, uint64_t n, uint64_t units = 1) {
  ChipDesign design = Compact(n);
  const uint64_t cycles = row.Count("cycles");
  const auto tile_cycles = [&] { return PriceProduct(design, {n, n, n}).cycles; };
  while (tile_cycles() > cycles) {
    ++design.macs;
    CheckDesign(design);  // refuses more multiply-adders than a tile has work for
  }
  design.result_cycles = Narrow(cycles - tile_cycles(), "cycles");
  design.clock_hz = row.Number("f");
  design.arrays = Narrow(units, "units");
  CheckDesign(design);
  return design;
}

// ---- models ----

// A decoder of the row's shape. K and V may be narrower than the residual stream. Heads have 64 columns, or
// fewer where these do not divide the widths: nothing asked here depends on how many they are.
ModelConfig ConfigOf(const GoldenRow& row) {
  ModelConfig config;
  config.architecture = "llama";
  config.width = Narrow(row.Count("d"), "d");
  const uint32_t kv = Narrow(row.Count("kv", config.width), "kv");
  config.head_dim = std::gcd(64u, std::gcd(config.width, kv));
  config.rope.dims = config.head_dim;
  config.heads = config.width / config.head_dim;
  config.kv_heads = kv / config.head_dim;
  config.layers = Narrow(row.Count("L", 1), "L");
  config.ffn = Narrow(row.Count("ff", config.width), "ff");
  config.vocab = Narrow(row.Count("V", config.width), "V");
  config.context = 1 << 20;
  return config;
}

// Matrices of a feed-forward layer: gate, up and down, or without the gate.
bool IsGated(const GoldenRow& row) {
  const uint64_t matrices = row.Count("ffn", 3);
  if (matrices == 2 || matrices == 3) return matrices == 3;
  throw Error(ErrorCode::kBadFile, StrCat("a feed-forward layer of ", matrices, " matrices"));
}

Workload WorkloadOf(const GoldenRow& row, const ModelConfig& config, const WorkStep& step) {
  Workload work = edgewise::WorkloadOf(config, step);
  if (!IsGated(row)) std::erase_if(work.products, [](const WorkProduct& p) { return p.name == "gate"; });
  return work;
}

// A step of M tokens, all of which go through the head when there is one.
Workload StepOf(const GoldenRow& row) {
  const uint64_t tokens = row.Count("M", 1);
  const uint64_t logit_rows = row.Count("head", 0) == 1 ? tokens : 0;
  return WorkloadOf(row, ConfigOf(row), {.rows = tokens, .logit_rows = logit_rows});
}

Workload LayerOf(const GoldenRow& row) {
  ModelConfig config = ConfigOf(row);
  config.layers = 1;
  return WorkloadOf(row, config, {.rows = row.Count("M", 1), .logit_rows = 0});
}

double MacsOf(const Workload& work, ProductRole role) {
  uint64_t macs = 0;
  for (const WorkProduct& product : work.products) macs += product.role == role ? MacsOf(product) : 0;
  return static_cast<double>(macs);
}

// ---- execution ----

ThreadPool& Pool() {
  static ThreadPool pool(1);
  return pool;
}

std::vector<int8_t> Values(uint64_t count) {
  std::vector<int8_t> values(count);
  uint32_t state = 12345;
  for (int8_t& value : values) {
    state = state * 1664525 + 1013904223;
    value = static_cast<int8_t>(state >> 24);
  }
  return values;
}

// Executes products tile by tile and counts the tiles. Operands are random, and the same for all copies of
// a product; the first copy's results are held against those of the product without tiles.
class TileCounter {
 public:
  TileCounter(const ChipDesign& design, const Workload& work) : design_(design) {
    uint64_t a = 0, w = 0, c = 0;
    for (const WorkProduct& p : work.products) {
      a = std::max(a, p.m * p.k);
      w = std::max(w, p.n * p.k);
      c = std::max(c, p.m * p.n);
    }
    a_ = Values(a);
    w_ = Values(w);
    c_.resize(c);
    plain_.resize(c);
  }

  uint64_t Run(const WorkProduct& p) {
    const Product product = {p.m, p.n, p.k};
    const Tiling tiling = TileProduct(design_, product);
    const Integers a(a_.data(), p.k), w(w_.data(), p.k);
    uint64_t tiles = 0;
    for (uint64_t copy = 0; copy < p.count; ++copy) {
      tiles += ExecuteTiles(tiling, a, w, {c_.data(), p.n}, Pool());
    }
    MultiplyIntegers(product, a, w, {plain_.data(), p.n}, Pool());
    if (!std::equal(c_.begin(), c_.begin() + static_cast<ptrdiff_t>(p.m * p.n), plain_.begin())) {
      throw Error(ErrorCode::kUnsupported, StrCat(p.name, ": tiles give another product"));
    }
    return tiles;
  }

 private:
  const ChipDesign& design_;
  std::vector<int8_t> a_, w_;
  std::vector<int32_t> c_, plain_;
};

// Tiles of the products with weights, executed unless they are too many; the tiler's count and the price's
// must be the same.
double TilesOf(const GoldenRow& row, Workload work) {
  const ChipDesign design = Compact(row.Count("n"));
  std::erase_if(work.products, [](const WorkProduct& p) { return IsAttention(p.role); });
  uint64_t planned = 0;
  for (const WorkProduct& p : work.products) {
    planned += TileProduct(design, {p.m, p.n, p.k}).tiles() * p.count;
  }
  const uint64_t priced = PriceWorkload(design, work, AttentionOn::kNothing).total.tiles;
  uint64_t executed = planned;
  if (work.weights() <= kMostExecutedWeights) {
    TileCounter counter(design, work);
    executed = 0;
    for (const WorkProduct& p : work.products) executed += counter.Run(p);
  }
  if (executed != planned || priced != planned) {
    throw Error(ErrorCode::kUnsupported, StrCat("tiles: ", executed, " executed, ", planned, " planned, ",
                                                priced, " priced"));
  }
  return static_cast<double>(executed);
}

// One matrix as a workload: `cols` outputs of `rows` inputs, for M tokens.
Workload MatrixOf(const GoldenRow& row) {
  Workload work;
  work.products.push_back({.name = "matrix",
                           .role = ProductRole::kProjection,
                           .count = 1,
                           .m = row.Count("M", 1),
                           .n = row.Count("cols"),
                           .k = row.Count("rows")});
  return work;
}

// C = A W^T on the chip as its RTL is: tile by tile, and cycle by cycle with the host's additions.
std::vector<int32_t> Execute(const Product& product, const std::vector<int32_t>& a,
                             const std::vector<int32_t>& w) {
  const ChipDesign design = Named("compact-rtl");
  const Integers a_view(a.data(), product.k), w_view(w.data(), product.k);
  std::vector<int32_t> tiles(product.m * product.n), simulated(tiles.size());
  RunTiles(design, product, a_view, w_view, {tiles.data(), product.n}, {}, Pool());
  const Tiling tiling = TileProduct(design, product);
  const chip::Outcome outcome = CycleSimulator(design).Run(tiling, a_view, w_view);
  GatherResults(design, tiling, outcome.results, {simulated.data(), product.n});
  if (tiles != simulated) {
    throw Error(ErrorCode::kUnsupported, "the tile model and the cycle simulator give two products");
  }
  return tiles;
}

// "5,5|5,1": rows of a matrix.
std::vector<std::vector<int32_t>> MatrixFrom(const std::string& text) {
  std::vector<std::vector<int32_t>> rows(1);
  const char* at = text.data();
  const char* const end = at + text.size();
  while (true) {
    int32_t value = 0;
    const auto [rest, error] = std::from_chars(at, end, value);
    if (error != std::errc() || (rest != end && *rest != ',' && *rest != '|')) break;
    rows.back().push_back(value);
    if (rest == end) {
      const auto ragged = [&](const auto& row) { return row.size() != rows[0].size(); };
      if (std::ranges::none_of(rows, ragged)) return rows;
      break;
    }
    if (*rest == '|') rows.emplace_back();
    at = rest + 1;
  }
  throw Error(ErrorCode::kBadFile, StrCat("'", text, "' is no matrix of 32-bit integers"));
}

Answer Matmul(const GoldenRow& row) {
  const auto a = MatrixFrom(row.Text("A")), b = MatrixFrom(row.Text("B"));
  const Product product = {a.size(), b[0].size(), b.size()};
  if (a[0].size() != product.k) throw Error(ErrorCode::kBadFile, "the columns of A are not the rows of B");
  std::vector<int32_t> a_values, w_values;  // W is B transposed
  for (const auto& values : a) a_values.insert(a_values.end(), values.begin(), values.end());
  for (uint64_t j = 0; j < product.n; ++j) {
    for (uint64_t k = 0; k < product.k; ++k) w_values.push_back(b[k][j]);
  }
  const std::vector<int32_t> c = Execute(product, a_values, w_values);
  std::string text;
  for (size_t i = 0; i < c.size(); ++i) {
    if (i > 0) text += i % product.n == 0 ? '|' : ',';
    text += std::to_string(c[i]);
  }
  return text;
}

// A sum of two products whose exact value is v: high 2^20 + low.
Answer Wrap32(const GoldenRow& row) {
  const double v = row.Number("v");
  const double high = std::floor(std::ldexp(v, -20)), low = v - std::ldexp(high, 20);
  if (v != std::floor(v) || std::abs(high) >= 0x1p31) {
    throw Error(ErrorCode::kBadFile, StrCat("v is no whole number below 2^51: '", row.Text("v"), "'"));
  }
  const std::vector<int32_t> a = {static_cast<int32_t>(high), static_cast<int32_t>(low)}, w = {1 << 20, 1};
  return static_cast<double>(Execute({1, 1, 2}, a, w)[0]);
}

Answer TileCycles(const GoldenRow& row) {
  const uint64_t n = row.Count("n");
  ChipDesign design = Compact(n);
  design.macs = Narrow(row.Count("macs"), "macs");
  CheckDesign(design);
  const std::vector<int8_t> values = Values(n * n);
  const Integers matrix(values.data(), n);
  const Tiling tiling = TileProduct(design, {n, n, n});
  return static_cast<double>(CycleSimulator(design).Run(tiling, matrix, matrix).cycles);
}

// Edges from the one that latches the start write to the one that sets done: a read of the status that is
// accepted at the next edge is the first to show it.
Answer RtlDoneCycles(const GoldenRow& row) {
  const ChipDesign design = Compact(row.Count("n"), "compact-rtl");
  const chip::RegisterMap map = chip::MapOf(design);
  constexpr uint32_t kDone = 4;  // of the status register
  const auto is_done_after = [&](uint64_t edges) {
    using Kind = chip::BusOp::Kind;
    const std::array<chip::BusOp, 3> program = {{{Kind::kWrite, map.control, 1},
                                                 {Kind::kIdle, 0, Narrow(edges, "edges")},
                                                 {Kind::kRead, map.status, 0}}};
    return (CycleSimulator(design).RunBus(program).results.at(0) & kDone) != 0;
  };
  uint64_t before = 1, done = 2;
  while (!is_done_after(done)) before = done, done *= 2;
  while (done - before > 1) {
    const uint64_t middle = std::midpoint(before, done);
    (is_done_after(middle) ? done : before) = middle;
  }
  return static_cast<double>(done);
}

// ---- prices ----

Answer TileOps(const GoldenRow& row) {
  const uint64_t n = row.Count("n");
  return 2.0 * static_cast<double>(PriceProduct(Compact(n), {n, n, n}).useful_macs);
}

Answer TileMicroseconds(const GoldenRow& row) {
  const uint64_t n = row.Count("n", 8);
  return PriceProduct(CompactTaking(row, n), {n, n, n}).seconds * kMega;
}

// Every unit has a tile.
Answer TileGops(const GoldenRow& row) {
  const uint64_t n = row.Count("n"), units = row.Count("units");
  return PriceProduct(CompactTaking(row, n, units), {n, n * units, n}).ops_per_second() / kGiga;
}

Answer Utilisation(const GoldenRow& row) {
  const uint64_t n = row.Count("n");
  return PriceProduct(Compact(n), {row.Count("M"), n, n}).fill();
}

Answer RowTiles(const GoldenRow& row) {
  const uint64_t n = row.Count("n");
  return static_cast<double>(TileProduct(Compact(n), {row.Count("M"), n, n}).row_blocks);
}

Answer StepRatio(const GoldenRow& row) {
  const uint64_t n = row.Count("n");
  const auto cycles = [&](const char* tokens) {
    return static_cast<double>(PriceProduct(Compact(n), {row.Count(tokens), n, n}).cycles);
  };
  return cycles("Ma") / cycles("Mb");
}

// The chip whose operands have that many bytes.
ChipDesign WithElement(ChipDesign design, const GoldenRow& row) {
  const double bits = 8 * row.Number("elem");
  for (const Datapath datapath : {Datapath::kInt32, Datapath::kInt16, Datapath::kInt8, Datapath::kInt4,
                                  Datapath::kTernary}) {
    if (WeightBits(datapath) != bits) continue;
    design.datapath = datapath;
    return design;
  }
  throw Error(ErrorCode::kBadFile, StrCat("no chip has operands of ", row.Text("elem"), " bytes"));
}

Answer TileBytes(const GoldenRow& row) {
  const uint64_t n = row.Count("n");
  const ChipTraffic traffic = PriceProduct(WithElement(Compact(n), row), {n, n, n}).traffic;
  return static_cast<double>(traffic.weights * row.Count("mats"));
}

Answer WeightBandwidth(const GoldenRow& row) {
  const uint64_t n = row.Count("n");
  const ChipCost cost = PriceProduct(WithElement(CompactTaking(row, n), row), {n, n, n});
  return static_cast<double>(cost.traffic.weights) / cost.seconds / kMega;
}

double SecondsOf(const GoldenRow& row, const Workload& work) {
  return PriceWorkload(CompactTaking(row, row.Count("n")), work, AttentionOn::kNothing).seconds();
}

Answer BlockSkip(const GoldenRow& row) {
  return RandomTileSkip(Compact(row.Count("n")), row.Number("p_zero"));
}

// So much work in full tiles, on a chip that does gops at its best.
Answer RealTimeFactor(const GoldenRow& row) {
  ChipDesign design = Compact(8);
  design.clock_hz = row.Number("gops") * kGiga / (2.0 * static_cast<double>(PeakMacs(design)));
  CheckDesign(design);
  const ChipCost tile = PriceProduct(design, {8, 8, 8});
  const double tiles = row.Number("gflop") * kGiga / (2.0 * static_cast<double>(tile.useful_macs));
  const ChipCost cost = PriceProduct(design, {8, 8, 8, static_cast<uint64_t>(std::llround(tiles))});
  return cost.seconds / row.Number("audio_s");
}

// ---- operations and parameters ----

Answer Parameters(const GoldenRow& row) {
  if (!IsGated(row)) throw Error(ErrorCode::kUnsupported, "a model without a gate is none of this engine's");
  const bool tied = row.Count("untied", 1) == 0;
  return static_cast<double>(Model::FromShape(ConfigOf(row), DType::kF32, tied).parameters());
}

Answer MatrixOps(const GoldenRow& row) { return 2 * MacsOf(MatrixOf(row), ProductRole::kProjection); }

double ProjectionMacs(const GoldenRow& row) { return MacsOf(LayerOf(row), ProductRole::kProjection); }

Answer FeedForwardFlops(const GoldenRow& row) { return 2 * MacsOf(LayerOf(row), ProductRole::kFeedForward); }

Answer ScoreFlops(const GoldenRow& row) {
  const WorkStep step = {.rows = 1, .context = row.Count("N") - 1, .logit_rows = 0};
  const Workload work = edgewise::WorkloadOf(ConfigOf(row), step);
  return 2 * (MacsOf(work, ProductRole::kScore) + MacsOf(work, ProductRole::kValue));
}

// ctx are the positions that the token sees, itself included; 0: scores left out.
Answer FlopsPerToken(const GoldenRow& row) {
  const uint64_t positions = row.Count("ctx");
  const Workload work = WorkloadOf(
      row, ConfigOf(row),
      {.rows = 1, .context = positions > 0 ? positions - 1 : 0, .logit_rows = row.Count("head", 0)});
  return 2.0 * static_cast<double>(work.macs(positions > 0));
}

Answer WhisperGflop(const GoldenRow& row) {
  const Workload work = WhisperEncoder(Narrow(row.Count("d"), "d"), Narrow(row.Count("L"), "L"),
                                       Narrow(row.Count("T"), "T"), Narrow(row.Count("mel"), "mel"));
  return 2.0 * static_cast<double>(work.macs(true)) / kGiga;
}

constexpr GoldenOp kChipOps[] = {
    {"tile_ops", TileOps},
    {"tile_cycles", TileCycles},
    {"tile_time_us", TileMicroseconds},
    {"tile_gops", TileGops},
    {"util", Utilisation},
    {"row_tiles", RowTiles},
    {"step_ratio", StepRatio},
    {"tile_bytes", TileBytes},
    {"weight_bw_mbs", WeightBandwidth},
    {"blocks", [](const GoldenRow& row) -> Answer { return TilesOf(row, MatrixOf(row)); }},
    {"layer_blocks", [](const GoldenRow& row) -> Answer { return TilesOf(row, LayerOf(row)); }},
    {"model_blocks", [](const GoldenRow& row) -> Answer { return TilesOf(row, StepOf(row)); }},
    {"matvec_ops", MatrixOps},
    {"matvec_s", [](const GoldenRow& row) -> Answer { return SecondsOf(row, MatrixOf(row)); }},
    {"layer_s", [](const GoldenRow& row) -> Answer { return SecondsOf(row, LayerOf(row)); }},
    {"step_s", [](const GoldenRow& row) -> Answer { return SecondsOf(row, StepOf(row)); }},
    {"block_skip", BlockSkip},
    {"rtf", RealTimeFactor},
    {"rtl_done_cycles", RtlDoneCycles},
    {"matmul", Matmul},
    {"wrap32", Wrap32},
    {"params", Parameters},
    {"attn_macs", [](const GoldenRow& row) -> Answer { return ProjectionMacs(row); }},
    {"attn_flops", [](const GoldenRow& row) -> Answer { return 2 * ProjectionMacs(row); }},
    {"ffn_flops", FeedForwardFlops},
    {"score_flops", ScoreFlops},
    {"flops_token", FlopsPerToken},
    {"whisper_enc_gflop", WhisperGflop},
};

}  // namespace

std::span<const GoldenOp> ChipOps() { return kChipOps; }

Answer AnswerOf(const GoldenRow& row) {
  for (const std::span<const GoldenOp> ops : {ChipOps(), FormulaOps()}) {
    for (const GoldenOp& op : ops) {
      if (row.op == op.name) return op.answer(row);
    }
  }
  throw Error(ErrorCode::kUnsupported, StrCat("no function answers the op '", row.op, "'"));
}

}  // namespace edgewise
