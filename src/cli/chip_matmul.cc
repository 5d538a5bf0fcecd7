// One product on a chip: priced, and on request executed by tiles and cycle by cycle.
#include <algorithm>
#include <cstdio>
#include <optional>
#include <stdexcept>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "chip/cycle_simulator.h"
#include "chip/integer_product.h"
#include "chip/lower.h"
#include "chip/tile_model.h"
#include "cli/chip_execute.h"
#include "cli/chip_options.h"
#include "cli/chip_report.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/table.h"
#include "cli/verb.h"

namespace edgewise {
namespace {

using chip::Integers;
using chip::Product;

// Products of more cycles are executed by the tile model only. The simulator does 70 to 140 million a second
// of a few multiply-adds each, but 3 of a 32 x 32 array: about a second of work.
uint64_t MostSimulatedCycles(const ChipDesign& design) {
  constexpr uint64_t kCycles = 4'000'000, kElementCycles = 256'000'000;
  return std::min(kCycles, std::max<uint64_t>(kElementCycles / PeakMacs(design), 1));
}

struct MatmulFlags {
  ChipFlags chip;
  std::string m, n, k;
  bool execute = false, json = false;
  uint32_t bits = 8, threads = 0;
  uint64_t seed = 1;
};

struct Executed {
  chip::TileRun run;
  uint64_t hash = 0, plain_hash = 0;
  Seconds wall, plain_wall;
  struct Simulated {
    uint64_t cycles = 0, hash = 0;
    Seconds wall;
  };
  std::optional<Simulated> simulated;
};

// All chips of the design, one after the other; they work side by side, so the slowest counts.
Executed::Simulated Simulate(const ChipDesign& design, const Product& product, const Integers& a,
                             const Integers& w, const chip::Results& c) {
  Executed::Simulated out;
  const Seconds start = Now();
  for (const chip::Share& share : chip::SharesOf(design, product)) {
    const Integers part = w.FromRow(share.first);
    const chip::Tiling tiling = chip::TileProduct(design, {product.m, share.n, product.k}, part);
    chip::CycleSimulator simulator(design);
    const chip::Outcome outcome = simulator.Run(tiling, a, part);
    chip::GatherResults(design, tiling, outcome.results, {c.data + share.first, c.stride});
    out.cycles = std::max(out.cycles, outcome.cycles);
  }
  out.wall = Now() - start;
  out.hash = chip::HashOf(product, c);
  return out;
}

Executed Execute(const MatmulFlags& flags, const ChipDesign& design, const Product& p) {
  if (flags.bits < 2 || flags.bits > 32) throw Error(ErrorCode::kUsage, "--bits is 2 to 32");
  const uint32_t a_bits = std::min(flags.bits, ActivationBits(design.datapath));
  const uint32_t w_bits = std::min(flags.bits, WeightBits(design.datapath));
  CheckMemory(3 * RandomIntegers::Bytes(p.m, p.k, a_bits) + RandomIntegers::Bytes(p.n, p.k, w_bits) +
                  RandomIntegers::Bytes(p.m, p.n, 32),
              "the matrices of this product");
  ThreadPool pool(ThreadsOf(flags.threads));
  const RandomIntegers a(p.m, p.k, a_bits, flags.seed, pool), w(p.n, p.k, w_bits, ~flags.seed, pool);
  std::vector<int32_t> results(p.m * p.n);
  const chip::Results c = {results.data(), p.n};

  Executed out;
  Seconds start = Now();
  out.run = chip::RunTiles(design, p, a.view(), w.view(), c, {}, pool);
  out.wall = Now() - start;
  out.hash = chip::HashOf(p, c);
  start = Now();
  chip::MultiplyIntegers(p, a.view(), w.view(), c, pool);
  out.plain_wall = Now() - start;
  out.plain_hash = chip::HashOf(p, c);
  if (out.run.cost.cycles <= MostSimulatedCycles(design))
    out.simulated = Simulate(design, p, a.view(), w.view(), c);
  return out;
}

void CheckAgreement(const ChipDesign& design, const Executed& run, const ChipCost& priced) {
  if (run.hash != run.plain_hash || (run.simulated && run.simulated->hash != run.hash)) {
    throw std::logic_error("tile model, cycle simulator and plain product differ in results");
  }
  if (run.simulated && run.simulated->cycles != run.run.cost.cycles) {
    throw std::logic_error("tile model and cycle simulator differ in cycles");
  }
  if (design.zero_skip == ZeroSkip::kNone && run.run.cost.cycles != priced.cycles) {
    throw std::logic_error("tile model and closed form differ in cycles");
  }
}

std::string ShapeText(const ChipDesign& design, const Product& p) {
  const chip::Tiling tiling = chip::TileProduct(design, p);
  return StrCat("C [", p.m, ", ", p.n, "] = A [", p.m, ", ", p.k, "] x W [", p.n, ", ", p.k, "], ",
                OperandText(design), ": ", Grouped(tiling.row_blocks), " x ", Grouped(tiling.column_tiles),
                " x ", Grouped(tiling.k_tiles), " = ", Grouped(tiling.tiles()), " tiles of ", tiling.rows,
                " x ", tiling.cols, " x ", tiling.depth);
}

std::string ExecutedText(const ChipDesign& design, const Executed& run, const ChipCost& priced) {
  Table table({"<executed (simulated)", "tiles", "cycles", "<results", "time here"});
  table.Add({"tile model", Grouped(run.run.executed_tiles), Grouped(run.run.cost.cycles), HashText(run.hash),
             HumanSeconds(run.wall.value())});
  if (run.simulated) {
    table.Add({"cycle simulator", "", Grouped(run.simulated->cycles), HashText(run.simulated->hash),
               HumanSeconds(run.simulated->wall.value())});
  }
  table.Add(
      {"plain integer product", "", "", HashText(run.plain_hash), HumanSeconds(run.plain_wall.value())});
  std::string text = table.ToText();
  text += StrCat("Results are equal", run.simulated ? ", and so are cycles" : "",
                 run.run.cost.cycles == priced.cycles ? ", which the closed form gives too"
                                                      : "; the closed form prices dense weights",
                 ". ", run.run.overflows == 0 ? "No" : Grouped(run.run.overflows),
                 run.run.overflows == 1 ? " output" : " outputs", " wrapped at 32 bits.\n");
  if (!run.simulated) {
    text += StrCat("(The cycle simulator takes products of up to ", Grouped(MostSimulatedCycles(design)),
                   " cycles.)\n");
  }
  return text;
}

Json ExecutedJson(const Executed& run) {
  Json json = Json::Object();
  json.Set("executed_tiles", run.run.executed_tiles)
      .Set("executed_cycles", run.run.cost.cycles)
      .Set("overflows", run.run.overflows)
      .Set("wall_s", run.wall.value())
      .Set("result_hash", HashText(run.hash))
      .Set("cpu_int_hash", HashText(run.plain_hash))
      .Set("cpu_int_wall_s", run.plain_wall.value());
  if (run.simulated) {
    json.Set("simulator_cycles", run.simulated->cycles)
        .Set("simulator_hash", HashText(run.simulated->hash))
        .Set("simulator_wall_s", run.simulated->wall.value());
  }
  return json;
}

int Matmul(const MatmulFlags& flags) {
  const ChipDesign design = flags.chip.Design();
  const Product p = {ParseSize("M", flags.m), ParseSize("N", flags.n), ParseSize("K", flags.k)};
  const ChipCost priced = PriceProduct(design, {p.m, p.n, p.k});
  std::optional<Executed> run;
  if (flags.execute) {
    run = Execute(flags, design, p);
    CheckAgreement(design, *run, priced);
  }
  if (flags.json) {
    Json json = Json::Object();
    json.Set("chip", design.name).Set("m", p.m).Set("n", p.n).Set("k", p.k);
    SetCost(json, design, priced);
    if (run) json.Set("executed", ExecutedJson(*run));
    json.Print();
    return 0;
  }
  const double full = PriceProduct(design, {FullRows(design, p.m), p.n, p.k}).seconds;
  std::printf("%s\n%s: %s\n%s\n\nPriced by closed form\n%s",
              Bold(RowsText(design, p.m, "row", full / priced.seconds)).c_str(), design.name.c_str(),
              design.summary.c_str(), ShapeText(design, p).c_str(), CostText(design, priced).c_str());
  if (run) std::printf("\n%s", ExecutedText(design, *run, priced).c_str());
  return 0;
}

VerbMain Add(Flags& flags) {
  auto options = std::make_shared<MatmulFlags>();
  flags.AddPositional("M", options->m, "rows of A and C: tokens");
  flags.AddPositional("N", options->n, "columns of C: outputs");
  flags.AddPositional("K", options->k, "what is summed: inputs");
  options->chip.AddTo(flags);
  flags.AddSwitch("--json", options->json, "one JSON document instead");
  flags.Group("Execution");
  flags.AddSwitch("--execute", options->execute,
                  "on random integers: tile by tile, cycle by cycle when it is small, and at once");
  flags.Add("--bits", options->bits, "N",
            "width of the random integers, at most that of the chip's operands");
  flags.Add("--seed", options->seed, "N", "of the random integers");
  flags.Add("-t,--threads", options->threads, "N", "worker threads; 0: one per core");
  return [options] { return Matmul(*options); };
}

}  // namespace

const Verb kChipMatmulVerb = {
    .name = "chip matmul",
    .summary = "one matrix product on a chip: tiles, cycles, time, traffic, energy",
    .description = "C [M, N] = A [M, K] x W [N, K]: activations by weights, as in a linear layer.",
    .examples = "edgewise chip matmul 1 2048 2048 --chip compact-rtl\n"
                "edgewise chip matmul 8 64 64 --chip compact-16mac --execute --bits 32\n",
    .add = Add};

}  // namespace edgewise
