// The documents' tables, corrected: a model's products on a chip, per operator, per layer, in all.
#include <cstdio>
#include <optional>
#include <stdexcept>
#include <string>

#include "base/error.h"
#include "cli/chip_execute.h"
#include "cli/chip_html.h"
#include "cli/chip_options.h"
#include "cli/chip_report.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "machine/chip_cost.h"

namespace edgewise {
namespace {

struct TableFlags {
  ChipFlags chip;
  WorkFlags work;
  bool execute = false, json = false;
  uint64_t seed = 1;
  uint32_t threads = 0;
  std::optional<std::string> html;
};

// Products that every layer has once.
bool IsInLayer(const Workload& work, const WorkProduct& p) {
  const bool role = p.role == ProductRole::kProjection || p.role == ProductRole::kFeedForward;
  return role && work.layers > 0 && p.count % work.layers == 0;
}

struct Row {
  const WorkProduct& product;
  ChipCost one, all;  // of one of its copies, of all
};

struct Priced {
  Priced(const ChipDesign& design, const Workload& work) {
    for (const WorkProduct& p : work.products) {
      rows.push_back(
          {p, PriceProduct(design, {p.m, p.n, p.k, 1}), PriceProduct(design, {p.m, p.n, p.k, p.count})});
      (IsAttention(p.role) ? attention : weights) += rows.back().all;
      if (!IsInLayer(work, p)) continue;
      layer += PriceProduct(design, {p.m, p.n, p.k, p.count / work.layers});
      layers += rows.back().all;
    }
  }

  std::vector<Row> rows;
  ChipCost layer, layers;  // weight products of one layer, of all
  ChipCost weights;        // all weight products and the head
  ChipCost attention;
};

std::string ProductText(const Workload& work, const Priced& priced) {
  Table table({"<product", "m", "n", "k", "tiles", "cycles", "time", "used"});
  const auto product = [&](const Row& row) {
    const WorkProduct& p = row.product;
    table.Add({StrCat(p.name, p.count == 1 ? "" : StrCat(" x", p.count)), std::to_string(p.m),
               std::to_string(p.n), std::to_string(p.k), Grouped(row.one.tiles), Grouped(row.one.cycles),
               HumanSeconds(row.one.seconds), PercentText(row.one.utilisation())});
  };
  const auto sum = [&](const std::string& name, const ChipCost& cost) {
    table.Add({name, "", "", "", Grouped(cost.tiles), Grouped(cost.cycles), HumanSeconds(cost.seconds),
               PercentText(cost.utilisation())});
  };
  for (const Row& row : priced.rows) {
    if (IsInLayer(work, row.product)) product(row);
  }
  if (priced.layer.tiles > 0) {
    sum("a layer", priced.layer);
    sum(StrCat("all ", work.layers, " layers"), priced.layers);
  }
  for (const Row& row : priced.rows) {
    if (!IsInLayer(work, row.product) && !IsAttention(row.product.role)) product(row);
  }
  sum("all weights", priced.weights);
  if (priced.attention.tiles == 0) return table.ToText();
  for (const Row& row : priced.rows) {
    if (IsAttention(row.product.role)) product(row);
  }
  sum("attention", priced.attention);
  return table.ToText();
}

std::string ExecutedText(const ExecutedStep& run, const Priced& priced) {
  const double seconds = priced.weights.seconds, wall = run.wall.value();
  Table table({"<", "", "<"});
  table.Add({"tile model", HumanSeconds(wall), StrCat("results ", HashText(run.result_hash))});
  table.Add({"plain integer product", HumanSeconds(run.cpu_int_wall.value()),
             StrCat("results ", HashText(run.cpu_int_hash))});
  return StrCat(
      "Executed on random integers (simulated): ", Grouped(run.tiles), " tiles, ", Grouped(run.cost.cycles),
      run.cost.cycles == priced.weights.cycles ? " cycles, as priced" : " cycles, as zeros are skipped",
      run.overflows == 0 ? "" : StrCat("; ", Grouped(run.overflows), " outputs wrapped at 32 bits"), "\n",
      table.ToText(), "Results are equal. The chip needs ", Number(seconds / wall, "%.3g"),
      " times as long as its simulation.\n");
}

std::string StepText(const WorkFlags& flags, const Workload& work) {
  if (flags.context == 0) return StrCat("one ", work.unit);
  return StrCat("one ", work.unit, " after ", Grouped(flags.context), " in the cache");
}

bool RowsAreTokens(const WorkFlags& flags, const Workload& work) {
  return work.products.front().m == flags.tokens;
}

// What matters most: how much of the array the step uses.
std::string FirstText(const ChipDesign& design, const WorkFlags& flags, const Workload& work,
                      const Priced& priced) {
  const uint64_t m = work.products.front().m;
  if (!RowsAreTokens(flags, work)) {  // an image, a window of sound: many rows from the start
    return StrCat(PercentText(priced.weights.fill()),
                  " of what the array does is no padding: products begin with ", Grouped(m), " rows.");
  }
  const double full = Priced(design, flags.LoadFor(FullRows(design, m))).weights.seconds;
  return RowsText(design, m, "token", full / priced.weights.seconds);
}

double HostAttentionSeconds(const ChipDesign& design, const Priced& priced) {
  return static_cast<double>(priced.attention.useful_macs) / design.host_macs_s;
}

std::string SpeedText(const WorkFlags& flags, const Workload& work, const Priced& priced) {
  const double steps = 1 / priced.weights.seconds;
  return RowsAreTokens(flags, work) ? Number(steps * static_cast<double>(flags.tokens), "%.4g tokens/s")
                                    : Number(steps, "%.4g steps/s");
}

void PrintText(const TableFlags& flags, const ChipDesign& design, const Workload& work, const Priced& priced,
               const ExecutedStep* run) {
  std::printf("%s on %s: %s\n%s\n\n", work.name.c_str(), design.name.c_str(),
              StepText(flags.work, work).c_str(), Bold(FirstText(design, flags.work, work, priced)).c_str());
  std::fputs(ProductText(work, priced).c_str(), stdout);
  if (design.host_macs_s > 0 && priced.attention.useful_macs > 0) {
    std::printf("  Attention takes %s when the host does it.\n",
                HumanSeconds(HostAttentionSeconds(design, priced)).c_str());
  }
  std::printf("\nAll weights (priced): %s\n%s", SpeedText(flags.work, work, priced).c_str(),
              CostText(design, priced.weights).c_str());
  if (run != nullptr) std::printf("\n%s", ExecutedText(*run, priced).c_str());
}

Json OperatorJson(const ChipDesign& design, const Row& row) {
  const WorkProduct& p = row.product;
  Json json = Json::Object();
  json.Set("name", p.name).Set("role", NameOf(p.role)).Set("count", p.count);
  json.Set("m", p.m).Set("n", p.n).Set("k", p.k);
  SetCost(json, design, row.all);
  return json;
}

void PrintJson(const TableFlags& flags, const ChipDesign& design, const Workload& work, const Priced& priced,
               const ExecutedStep* run) {
  Json operators = Json::Array();
  for (const Row& row : priced.rows) operators.Push(OperatorJson(design, row));
  Json json = Json::Object();
  json.Set("chip", design.name)
      .Set("model", work.name)
      .Set("tokens", flags.work.tokens)
      .Set("context", flags.work.context)
      .Set("layers", work.layers)
      .Set("operators", std::move(operators))
      .Set("layer_tiles", priced.layer.tiles)
      .Set("layer_cycles", priced.layer.cycles)
      .Set("layer_seconds", priced.layer.seconds);
  SetCost(json, design, priced.weights);
  json.Set("attention_tiles", priced.attention.tiles)
      .Set("attention_cycles", priced.attention.cycles)
      .Set("attention_seconds", priced.attention.seconds);
  if (design.host_macs_s > 0) json.Set("attention_host_seconds", HostAttentionSeconds(design, priced));
  if (run != nullptr) {
    json.Set("executed_tiles", run->tiles)
        .Set("executed_cycles", run->cost.cycles)
        .Set("overflows", run->overflows)
        .Set("wall_s", run->wall.value())
        .Set("result_hash", HashText(run->result_hash))
        .Set("cpu_int_hash", HashText(run->cpu_int_hash))
        .Set("cpu_int_wall_s", run->cpu_int_wall.value());
  }
  json.Print();
}

void CheckExecuted(const ChipDesign& design, const ExecutedStep& run, const Priced& priced) {
  if (run.result_hash != run.cpu_int_hash)
    throw std::logic_error("tiles and the plain product differ in results");
  const bool dense = design.zero_skip == ZeroSkip::kNone;
  if (dense && (run.cost.cycles != priced.weights.cycles || run.tiles != priced.weights.tiles)) {
    throw std::logic_error("executed tiles and closed form differ in tiles or cycles");
  }
}

int MakeTable(const TableFlags& flags) {
  const ChipDesign design = flags.chip.Design();
  const Workload work = flags.work.Load();
  const Priced priced(design, work);
  ExecutedStep run;
  if (flags.execute) {
    run = ExecuteStep(design, work, ThreadsOf(flags.threads), flags.seed);
    CheckExecuted(design, run, priced);
  }
  if (flags.html) {
    WriteHtml(*flags.html,
              ChipHtml(design, work, flags.work.tokens, FirstText(design, flags.work, work, priced)));
  }
  (flags.json ? PrintJson : PrintText)(flags, design, work, priced, flags.execute ? &run : nullptr);
  return 0;
}

VerbMain Add(Flags& flags) {
  auto options = std::make_shared<TableFlags>();
  options->chip.AddTo(flags);
  options->work.AddTo(flags);
  flags.AddSwitch("--json", options->json, "one JSON document instead of the table");
  flags.Add("--html", options->html, "FILE",
            "also a page that opens offline: the array's lit rows, time by phase");
  flags.Group("Execution");
  flags.AddSwitch(
      "--execute", options->execute,
      "compute every tile, on a synthetic int8 model of these shapes, and once more without tiles");
  flags.Add("--seed", options->seed, "N", "of the random weights and activations");
  flags.Add("-t,--threads", options->threads, "N", "worker threads; 0: one per core");
  return [options] { return MakeTable(*options); };
}

}  // namespace

const Verb kChipTableVerb = {
    .name = "chip table",
    .summary = "a model on a chip: tiles, cycles, time per operator, layer, step",
    .description =
        "Rows of the table are one product each (x22: so many in the step); sums are of whole layers and "
        "steps. Times are priced by closed form, which the cycle simulator and the RTL prove. Used: the "
        "share of the chip's multiply-adds that the model needed.",
    .examples =
        "edgewise chip table --chip compact-532 --model tinyllama-1.1b\n"
        "edgewise chip table --chip compact-532 --model tinyllama-1.1b --execute\n"
        "edgewise chip table --chip edge-llm --model llama2-7b --context 1024 --json\n",
    .add = Add};

}  // namespace edgewise
