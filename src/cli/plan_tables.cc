#include "cli/plan_tables.h"

#include <algorithm>
#include <cstdio>
#include <optional>
#include <vector>

#include "base/error.h"
#include "cli/console.h"
#include "cli/json.h"
#include "cli/plan_report.h"
#include "cli/table.h"
#include "cli/text.h"
#include "predict/energy.h"
#include "predict/formulas.h"
#include "predict/quality.h"
#include "predict/roofline.h"
#include "predict/rules.h"
#include "quant/recipe.h"

namespace edgewise {
namespace {

// The models and precisions of the documents' lost table, and the devices that they name with it.
constexpr const char* kSizes[] = {"llama1-7b", "llama1-13b", "llama1-33b", "llama1-65b"};
constexpr const char* kPrecisions[] = {"F16", "Q8_0", "Q4_0"};
constexpr const char* kSizeDevices[] = {"a100-pcie", "rtx-4090", "m2-max", "m2-pro", "m1", "rpi4"};

int PrintSizes(const PlanFlags& asked) {
  PlanFlags flags = asked;
  flags.model = kSizes[0];
  flags.context = flags.context.value_or(2048);
  PlanSetup setup(flags);
  std::vector<Device> devices;
  for (const char* name : kSizeDevices) devices.push_back(setup.DeviceNamed(name, {}));
  std::vector<std::string> headings = {"<model", "<weights in", "weights", "with KV"};
  for (const Device& device : devices) {
    headings.push_back(StrCat(device.name, " ", Number(device.memory_bytes.value / 0x1p30, "%.0f GiB")));
  }
  Table table(headings);
  Json list = Json::Array();
  for (const char* model : kSizes) {
    for (const char* recipe : kPrecisions) {
      Configuration c = {.model = setup.IndexOf(model), .recipe = recipe, .usage = UsageOf(flags)};
      const MemoryPlan memory = setup.MemoryOf(c);
      std::vector<std::string> cells = {model, recipe, GigabyteText(static_cast<double>(memory.mapped)),
                                        GigabyteText(static_cast<double>(memory.total()))};
      Json on = Json::Object();
      for (const Device& device : devices) {
        const Candidate candidate = setup.evaluator().Evaluate(device, c);
        const bool fits = candidate.resident_share >= 1;
        cells.push_back(fits ? RateText(candidate.figures.tok_s) : "does not fit");
        if (fits) on.Set(device.name, candidate.figures.tok_s);
      }
      table.Add(cells);
      Json json = Json::Object();
      json.Set("model", model)
          .Set("type", recipe)
          .Set("weight_bytes", memory.mapped)
          .Set("planned_bytes", memory.total())
          .Set("tok_s", std::move(on));
      list.Push(std::move(json));
    }
  }
  if (flags.json) {
    list.Print();
    return 0;
  }
  Write(StrCat(
      "Tokens per second by model, precision and device (predicted; context ", *flags.context,
      ", one sequence)\n", table.ToText(),
      "The documents: in 4 bits everything fits the A100, all but 65B fit 24 GB (true); 65B takes 16.25 GB\n"
      "(that is 33B: 65B takes twice as much); A100 277 (7B) and 30 (65B), M1 10 and 1, M2 Max 6 (65B) in 4\n"
      "bits, by a formula that halves them; an M1 Air has 16 GB at most, which 65B does not fit.\n"));
  return 0;
}

int PrintLosses(const PlanFlags& flags) {
  Json list = Json::Array();
  std::vector<std::string> headings = {"<weights in"};
  std::vector<const LossTable*> shown;
  for (const LossTable& table : LossTables()) {
    if (table.from == LossFrom::kDocuments || table.weights.empty()) continue;
    headings.push_back(table.model);
    shown.push_back(&table);
  }
  Table weights(headings);
  for (const Recipe& recipe : AllRecipes()) {
    std::vector<std::string> cells = {recipe.name};
    bool any = false;
    for (const LossTable* table : shown) {
      const auto row =
          std::ranges::find(table->weights, std::string_view(recipe.name),
                            [](const WeightLoss& loss) { return std::string_view(loss.recipe); });
      any |= row != table->weights.end();
      cells.push_back(row == table->weights.end() ? "" : Number(100 * row->loss, "%+.2f%%"));
    }
    if (any) weights.Add(cells);
  }
  Table kv({"<K", "<V", "loss", "<of"});
  std::string sources, documents;
  for (const LossTable& table : LossTables()) {
    for (const KvLoss& row : table.kv) {
      kv.Add({NameOf(row.k), NameOf(row.v), Number(100 * row.loss, "%+.2f%%"), table.model});
    }
    if (table.from == LossFrom::kDocuments) {
      for (const WeightLoss& row : table.weights) {
        documents +=
            StrCat(documents.empty() ? "" : ", ", row.recipe, " ", Number(100 * row.loss, "%+.1f%%"));
      }
      continue;
    }
    sources += StrCat("  ", table.model, ": ", NameOf(table.from), ", ", table.source, "\n");
    Json json = Json::Object(), losses = Json::Object();
    for (const WeightLoss& row : table.weights) losses.Set(row.recipe, row.loss);
    json.Set("model", table.model).Set("from", NameOf(table.from)).Set("source", table.source);
    json.Set("weights", std::move(losses));
    list.Push(std::move(json));
  }
  if (flags.json) {
    list.Print();
    return 0;
  }
  Write(StrCat("Perplexity over that in F16, weights\n", weights.ToText(), "KV cache\n", kv.ToText(),
               "From\n", sources, "  The documents: ", documents, ", of a model that they do not name.\n"));
  return 0;
}

// What a token takes in silicon, by counting.
int PrintEnergy(const PlanFlags& flags) {
  PlanSetup setup(flags);
  const Configuration c = setup.configuration();
  const Model& model = setup.evaluator().ModelFor(c);
  Table table({"<technology", "<DRAM", "multiply-adds", "SRAM", "DRAM", "a token", "DRAM byte / INT8 MAC"});
  Json list = Json::Array();
  const auto add = [&](const EnergyTable& technology, const DramEnergy& dram) {
    const EnergyParts parts = TokenEnergy(model, c.usage, technology, dram);
    const double ratio = dram.pj_byte / technology.int8_mac_pj;
    table.Add({technology.name, dram.name, HumanJoules(parts.mac_j), HumanJoules(parts.sram_j),
               HumanJoules(parts.dram_j), HumanJoules(parts.total()), Number(ratio, "%.0fx")});
    Json json = Json::Object();
    json.Set("technology", technology.name).Set("dram", dram.name).Set("mac_j", parts.mac_j);
    json.Set("sram_j", parts.sram_j).Set("dram_j", parts.dram_j).Set("joules_per_token", parts.total());
    list.Push(std::move(json));
  };
  std::string sources;
  for (const EnergyTable& technology : EnergyTables()) {
    for (const DramEnergy& dram : DramEnergies()) add(technology, dram);
    sources += StrCat("  ", technology.name, ": ", technology.source, "\n");
  }
  for (const DramEnergy& dram : DramEnergies()) sources += StrCat("  ", dram.name, ": ", dram.source, "\n");
  add(printed::Energy(), printed::Dram());
  if (flags.json) {
    list.Print();
    return 0;
  }
  Write(StrCat("Energy of a token of ", setup.models()[c.model].name, " (", ConfigurationText(c),
               ") by its multiply-adds and bytes (model: no control, no leakage, nothing idle)\n",
               table.ToText(), "From\n", sources,
               "The documents: INT8 multiply-add 0.2 pJ, SRAM 5 (25 times), DRAM 200 (1000 times), but not\n"
               "how wide an access is: here a byte. What follows is right either way: moving a weight takes\n"
               "a hundred to a thousand times what using it once does.\n"));
  return 0;
}

// The documents' formulas that are not so, beside what is.
int PrintFormulas(const PlanFlags& flags) {
  constexpr double kBytesPerSecond = 1.935e12, kBits = 4, kHalfBytes = 2;  // theirs: an A100, 4 bits, F16
  Table table({"<model", "parameters", "12 L d^2 + V d", "KV a position", "2 L d bytes", "tok/s at most",
               "BW / (2 P bytes)"});
  Json list = Json::Array();
  for (const std::string_view name : ShapeNames()) {
    const ModelShape shape = ShapeNamed(name);
    const ModelConfig& m = shape.config;
    const auto parameters = static_cast<double>(Model::FromShape(shape, "F16").parameters());
    const double parameters_printed = printed::Parameters(m.layers, m.width, m.vocab);
    const double kv = NominalKvBytes(m.layers, m.kv_heads, m.head_dim, 8 * kHalfBytes);
    const double kv_printed = printed::KvBytes(m.layers, m.width, kHalfBytes);
    const double tok_s = TokensBoundByMemory(kBytesPerSecond, NominalWeightBytes(parameters, kBits));
    const double tok_s_printed = printed::TokensPerSecond(kBytesPerSecond, parameters, kBits / 8, 1);
    table.Add({std::string(name), Grouped(static_cast<uint64_t>(parameters)),
               Number(100 * (parameters_printed / parameters - 1), "%+.1f%%"),
               Grouped(static_cast<uint64_t>(kv)), Number(kv_printed / kv, "%.3gx"), RateText(tok_s),
               RateText(tok_s_printed)});
    Json json = Json::Object();
    json.Set("model", std::string(name)).Set("parameters", parameters);
    json.Set("parameters_printed", parameters_printed).Set("kv_position_bytes", kv);
    json.Set("kv_position_bytes_printed", kv_printed).Set("tok_s", tok_s).Set("tok_s_printed", tok_s_printed);
    list.Push(std::move(json));
  }
  if (flags.json) {
    list.Print();
    return 0;
  }
  Write(StrCat("Parameters, KV cache in F16, and tokens per second of 4-bit weights at 1935 GB/s (an A100)\n",
               table.ToText(),
               "Right is what stands before each printed formula. Theirs leave out that query heads share\n"
               "keys and values (GQA), that a feed-forward layer has a width and three matrices of its own\n"
               "and the head may have one, and count every byte twice.\n"));
  return 0;
}

}  // namespace

int PrintPlanTable(const std::string& name, const PlanFlags& flags) {
  if (name == "sizes") return PrintSizes(flags);
  if (name == "losses") return PrintLosses(flags);
  if (name == "energy") return PrintEnergy(flags);
  if (name == "formulas") return PrintFormulas(flags);
  throw Error(ErrorCode::kUsage, StrCat("--table: there is no '", Printable(name),
                                        "': there are sizes, losses, energy, formulas"));
}

int PrintRules(PlanSetup& setup, const PlanFlags& flags) {
  if (*flags.rules != "source") {
    throw Error(ErrorCode::kUsage, StrCat("--rules: there are those of the source, not of '",
                                          Printable(*flags.rules), "': --rules source"));
  }
  const Limits limits = LimitsOf(flags);
  Configuration c = setup.configuration();
  const Device device = setup.DeviceNamed(setup.DeviceNames().front(), {&c, 1});
  if (device.chip && !limits[LimitKind::kMemory]) {
    throw Error(ErrorCode::kUsage, StrCat("--rules: the design of ", device.name,
                                          " does not say how much memory there is: give --mem 2G"));
  }
  const Model& model = setup.evaluator().ModelFor(c);
  const double memory = limits[LimitKind::kMemory].value_or(device.memory_bytes.value);
  const auto weights = static_cast<double>(model.weight_bytes());
  const double needed_s = 1 / limits[LimitKind::kTokS].value_or(5);
  const double loss = limits[LimitKind::kLoss].value_or(0.03);
  const Candidate ours = setup.evaluator().Evaluate(device, c);
  const HardwareRule hardware = DecideHardware(memory, weights, needed_s);
  const QuantisationRule quantisation = DecideQuantisation(loss);

  const double free = std::min(memory, device.usable_bytes());
  const bool fits = ours.figures.memory_bytes <= free, fast = ours.figures.tok_s * needed_s >= 1;
  const std::string first = fits && fast ? "nothing has to change"
                            : fits       ? "it fits, but must be made faster"
                            : fast       ? "it must be made smaller; it would be fast enough"
                                   : "it must be made smaller and faster: both, not the one or the other";
  // The smallest recipe whose measured loss is tolerated.
  std::string best;
  double least = 0, best_loss = 0;
  for (const std::string& recipe : setup.RecipesOn(device, c.model)) {
    c.recipe = recipe;
    const Model& made = setup.evaluator().ModelFor(c);
    const double lost = LossOfWeights(made.config(), static_cast<double>(made.parameters()), recipe).value;
    const auto bytes = static_cast<double>(made.weight_bytes());
    if (lost > loss || (!best.empty() && bytes >= least)) continue;
    best = recipe;
    least = bytes;
    best_loss = lost;
  }
  if (flags.json) {
    Json json = Json::Object();
    json.Set("decide_hw", NameOf(hardware))
        .Set("decide_quant", NameOf(quantisation))
        .Set("fits", fits)
        .Set("fast_enough", fast)
        .Set("tok_s", ours.figures.tok_s)
        .Set("smallest_type", best);
    json.Print();
    return 0;
  }
  Write(StrCat(
      "The documents' first rule (memory below 1.5 times the model: quantise; else below 100 ms a token: "
      "accelerate;\n"
      "else the CPU), with ",
      GigabyteText(memory), " for ", GigabyteText(weights), ", ", HumanSeconds(needed_s), " a token:\n  ",
      AdviceOf(hardware), "\nOurs: ", first, " (", GigabyteText(ours.figures.memory_bytes), " of ",
      GigabyteText(free), ", ", RateText(ours.figures.tok_s), " tok/s of ", RateText(1 / needed_s), ").\n\n",
      "Their second rule (loss below 1%: INT8; below 5%: INT4; else mixed), with ", PercentText(loss),
      ":\n  ", AdviceOf(quantisation), "\nOurs: the smallest type that loses less is ", best, " (",
      PercentText(best_loss), ", ", GigabyteText(least),
      "). Who tolerates more may take smaller numbers, not more careful ones;\n"
      "their own table has INT4 at +6.7%, which \"below 5%\" would not allow.\n"));
  return 0;
}

}  // namespace edgewise
