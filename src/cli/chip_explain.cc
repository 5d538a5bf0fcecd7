// The tiler's account of a model on a chip: how each product is cut, what moves, what waits.
#include <algorithm>
#include <cstdio>
#include <string>

#include "base/strings.h"
#include "chip/tiler.h"
#include "cli/chip_options.h"
#include "cli/chip_report.h"
#include "cli/json.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "machine/chip_cost.h"

namespace edgewise {
namespace {

struct ExplainFlags {
  ChipFlags chip;
  WorkFlags work;
  bool json = false;
};

class Account {
 public:
  Account(const ChipDesign& design, const WorkProduct& p)
      : product(p),
        tiling(chip::TileProduct(design, {p.m, p.n, p.k})),
        cost(PriceProduct(design, {p.m, p.n, p.k})) {}

  const WorkProduct& product;
  chip::Tiling tiling;
  ChipCost cost;  // of one copy

  uint64_t moved() const { return cost.traffic.in() + cost.traffic.results; }
  // Multiply-adds for each byte that crosses the pins.
  double reuse() const {
    return moved() == 0 ? 0 : static_cast<double>(cost.useful_macs) / static_cast<double>(moved());
  }
  // Times that A and W go over the pins, padding included.
  double a_passes(const ChipDesign& design) const {
    return Passes(cost.traffic.activations, product.m, product.k, design, ActivationBits(design.datapath));
  }
  double w_passes(const ChipDesign& design) const {
    return Passes(cost.traffic.weights, product.n, product.k, design, WeightBits(design.datapath));
  }

 private:
  static double Passes(uint64_t bytes, uint64_t rows, uint64_t k, const ChipDesign& design, uint32_t bits) {
    const double value_bytes = design.host == HostInterface::kAxiLite ? 4 : bits / 8.0;  // a word each
    return static_cast<double>(bytes) / (static_cast<double>(rows) * static_cast<double>(k) * value_bytes);
  }
};

std::vector<Account> AccountsOf(const ChipDesign& design, const Workload& work) {
  std::vector<Account> accounts;
  for (const WorkProduct& p : work.products) accounts.emplace_back(design, p);
  return accounts;
}

std::string NameText(const WorkProduct& p) {
  return StrCat(p.name, p.count == 1 ? "" : StrCat(" x", p.count));
}

std::string Share(uint64_t part, double all) {
  return part == 0 ? "" : PercentText(static_cast<double>(part) / all);
}

std::string TilesText(const std::vector<Account>& accounts) {
  Table table({"<product", "<m x n x k", "<in tiles", "tiles", "<loop order"});
  for (const Account& a : accounts) {
    const WorkProduct& p = a.product;
    const chip::Tiling& t = a.tiling;
    std::string order = NameOf(t.order);
    if (t.k_chunk > 0 && t.k_chunk < t.product.k) order += StrCat(", k by ", t.k_chunk);
    table.Add({NameText(p), StrCat(p.m, " x ", p.n, " x ", p.k),
               StrCat(t.row_blocks, " x ", t.column_tiles, " x ", t.k_tiles), Grouped(t.tiles()), order});
  }
  return table.ToText();
}

std::string TimeText(const ChipDesign& design, const std::vector<Account>& accounts) {
  Table table({"<product", "load", "compute", "drain", "stall", "host", "link", "time", "used", "<bound"});
  for (const Account& a : accounts) {
    const ChipPhases& p = a.cost.phases;
    const double all = a.cost.seconds * design.clock_hz;
    const double link = a.cost.link_s * design.clock_hz;
    table.Add({NameText(a.product), Share(p.load, all), Share(p.compute, all), Share(p.drain, all),
               Share(p.stall, all), Share(p.host, all), link > 0 ? PercentText(link / all) : "",
               HumanSeconds(a.cost.seconds), PercentText(a.cost.utilisation()), BoundText(design, a.cost)});
  }
  return table.ToText();
}

std::string BytesText(const ChipDesign& design, const std::vector<Account>& accounts) {
  Table table({"<product", "weights", "activations", "commands", "results", "W sent", "A sent", "MAC/B"});
  for (const Account& a : accounts) {
    const ChipTraffic& t = a.cost.traffic;
    table.Add({NameText(a.product), Grouped(t.weights), Grouped(t.activations), Grouped(t.control),
               Grouped(t.results), Number(a.w_passes(design), "%.3gx"), Number(a.a_passes(design), "%.3gx"),
               Number(a.reuse(), "%.3g")});
  }
  return table.ToText();
}

// How the chip works on a tile, as the orders above need it.
std::string ChipText(const ChipDesign& d) {
  std::string text =
      StrCat("The chip: ", NameOf(d.kind), ", tiles of ", ArrayText(d), ", ", OperandText(d), ", ",
             d.accumulate ? "sums along k stay on the chip" : "the host adds partial sums along k");
  if (d.double_buffer) text += ", weights loaded while the tile before computes";
  return text;
}

void PrintText(const ChipDesign& design, const Workload& work, const std::vector<Account>& accounts) {
  std::printf("%s on %s: one %s\n%s\n\n", work.name.c_str(), design.name.c_str(), work.unit.c_str(),
              ChipText(design).c_str());
  std::printf("Tiles of each product, padded with zeros to whole ones\n%s\n", TilesText(accounts).c_str());
  std::printf("Where its time goes (priced)\n%s\n", TimeText(design, accounts).c_str());
  if (design.host == HostInterface::kNone) {
    std::puts("Bytes: none are counted, operands and results of this chip move for free");
  } else {
    std::printf("Bytes over the pins (priced), how often W and A are sent, multiply-adds for each byte\n%s",
                BytesText(design, accounts).c_str());
  }
}

void PrintJson(const ChipDesign& design, const Workload& work, const std::vector<Account>& accounts) {
  Json operators = Json::Array();
  for (const Account& a : accounts) {
    const WorkProduct& p = a.product;
    Json json = Json::Object();
    json.Set("name", p.name).Set("role", NameOf(p.role)).Set("count", p.count);
    json.Set("m", p.m).Set("n", p.n).Set("k", p.k);
    json.Set("row_blocks", a.tiling.row_blocks)
        .Set("column_tiles", a.tiling.column_tiles)
        .Set("k_tiles", a.tiling.k_tiles)
        .Set("k_chunk", a.tiling.k_chunk)
        .Set("loop_order", NameOf(a.tiling.order))
        .Set("macs_per_byte", a.reuse());
    SetCost(json, design, a.cost);
    operators.Push(std::move(json));
  }
  Json json = Json::Object();
  json.Set("chip", design.name).Set("model", work.name).Set("operators", std::move(operators));
  json.Print();
}

int Explain(const ExplainFlags& flags) {
  const ChipDesign design = flags.chip.Design();
  const Workload work = flags.work.Load();
  const std::vector<Account> accounts = AccountsOf(design, work);
  if (flags.json) {
    PrintJson(design, work, accounts);
  } else {
    PrintText(design, work, accounts);
  }
  return 0;
}

VerbMain Add(Flags& flags) {
  auto options = std::make_shared<ExplainFlags>();
  options->chip.AddTo(flags);
  options->work.AddTo(flags);
  flags.AddSwitch("--json", options->json, "one JSON document instead");
  return [options] { return Explain(*options); };
}

}  // namespace

const Verb kChipExplainVerb = {
    .name = "chip explain",
    .summary = "how a model is cut into tiles: order, bytes, reuse, stalls, bounds",
    .description =
        "Figures are of one product each (x22: so many in the step). Loop order: what stays on the chip "
        "while the rest changes. Bound: what takes most of the time.",
    .examples =
        "edgewise chip explain --chip compact-rtl --model tinyllama-1.1b\n"
        "edgewise chip explain --chip systolic-8x8 --tokens 512\n",
    .add = Add};

}  // namespace edgewise
