#include "cli/compare_chip.h"

#include <memory>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "chip/integer_backend.h"
#include "chip/integer_multiplier.h"
#include "cli/bench_report.h"
#include "cli/chip_options.h"
#include "cli/console.h"
#include "cli/table.h"

namespace edgewise {
namespace {

bool IsProduct(Role role) {
  switch (role) {
    case Role::kQ:
    case Role::kK:
    case Role::kV:
    case Role::kOut:
    case Role::kGate:
    case Role::kUp:
    case Role::kDown:
    case Role::kHead: return true;
    default: return false;
  }
}

std::string Difference(double predicted, double simulated) {
  if (predicted == simulated) return "0";
  return Number(100 * (predicted / simulated - 1), "%+.2g");
}

double MeasuredOf(const BenchResult& result, Role role) {
  return result.median().counters.by_role[static_cast<size_t>(role)].busy.value() / result.test.threads;
}

}  // namespace

double ChipComparison::predicted_products_s() const {
  double sum = 0;
  for (size_t i = 0; i < kRoles; ++i) {
    if (IsProduct(static_cast<Role>(i))) sum += predicted.time.by_role[i].seconds();
  }
  return sum;
}

double ChipComparison::simulated_s() const {
  double sum = 0;
  for (const ChipRun& run : simulated) sum += run.seconds;
  return sum;
}

std::array<ChipRun, kRoles> SimulateTest(const ChipDesign& design, const Model& model, const BenchTest& test,
                                         const EngineOptions& options, int threads) {
  chip::IntegerBackend backend(model, std::make_unique<chip::ChipMultiplier>(design),
                               {.scheme = chip::WeightScheme::kRow, .threads = threads});
  backend.CheckModel();
  EngineOptions engine_options = options;
  engine_options.backend = &backend;
  Engine engine(model, ResolveOptions(model, engine_options));
  const std::vector<TokenId> tokens(test.depth + test.prompt + test.generate, 1);
  uint64_t total = 0, done = 0;
  ForEachStep(model, test, options, [&](const Step&) { ++total; });
  Progress progress("simulating " + design.name);
  ForEachStep(model, test, options, [&](const Step& step) {
    std::vector<Chunk> chunks;
    for (const Sequence& s : step.sequences) {
      chunks.push_back(
          {.slot = s.slot, .tokens = std::span(tokens).first(s.rows), .logit_rows = s.logit_rows});
    }
    engine.Run(chunks);
    progress.Show(++done, total);
  });
  std::array<ChipRun, kRoles> runs;
  for (size_t i = 0; i < kRoles; ++i) {
    const chip::TileRun& run = backend.report(static_cast<Role>(i)).run;
    runs[i] = {run.executed_tiles, static_cast<double>(run.cost.total_cycles()) / design.clock_hz};
  }
  return runs;
}

std::string ChipComparisonText(const ChipDesign& design, const std::string& model, const ChipComparison& c) {
  Table table({"<operator", "tiles", "predicted", "simulated", "diff %", "this machine", "chip / machine"});
  const auto add = [&](const std::string& name, uint64_t tiles, double predicted, double simulated,
                       double measured) {
    table.Add({name, tiles == 0 ? "-" : Grouped(tiles), HumanSeconds(predicted),
               tiles == 0 ? "-" : HumanSeconds(simulated),
               tiles == 0 ? "-" : Difference(predicted, simulated), HumanSeconds(measured),
               tiles == 0 ? "-" : Number(simulated / measured, "%.3g")});
  };
  uint64_t tiles = 0;
  double products = 0;
  for (size_t i = 0; i < kRoles; ++i) {
    const auto role = static_cast<Role>(i);
    if (!IsProduct(role)) continue;
    add(NameOf(role), c.simulated[i].tiles, c.predicted.time.by_role[i].seconds(), c.simulated[i].seconds,
        MeasuredOf(c.measured, role));
    tiles += c.simulated[i].tiles;
    products += MeasuredOf(c.measured, role);
  }
  add("all products", tiles, c.predicted_products_s(), c.simulated_s(), products);
  const auto attention = static_cast<size_t>(Role::kAttention);
  add("attention", 0, c.predicted.time.by_role[attention].seconds(), 0,
      MeasuredOf(c.measured, Role::kAttention));
  const double all = c.measured.median().elapsed.value();
  return StrCat(model, ", ", c.measured.test.name(), ", on ", design.name, " at ",
                Number(design.clock_hz / 1e6, "%.4g"),
                " MHz: predicted by its closed form, simulated tile by tile, measured on this machine (",
                c.measured.test.threads, c.measured.test.threads == 1 ? " thread" : " threads", ", ",
                HumanSeconds(all), " in all)\n", table.ToText());
}

Json ChipComparisonJson(const ChipDesign& design, const std::string& model, const ChipComparison& c) {
  Json operators = Json::Array();
  for (size_t i = 0; i < kRoles; ++i) {
    const auto role = static_cast<Role>(i);
    if (!IsProduct(role)) continue;
    Json json = Json::Object();
    json.Set("role", NameOf(role))
        .Set("tiles", c.simulated[i].tiles)
        .Set("predicted_s", c.predicted.time.by_role[i].seconds())
        .Set("simulated_s", c.simulated[i].seconds)
        .Set("measured_here_s", MeasuredOf(c.measured, role));
    operators.Push(std::move(json));
  }
  Json json = Json::Object();
  json.Set("model", model)
      .Set("chip", design.name)
      .Set("test", c.measured.test.name())
      .Set("predicted_products_s", c.predicted_products_s())
      .Set("simulated_products_s", c.simulated_s())
      .Set("predicted_s", c.predicted.seconds())
      .Set("measured_here_s", c.measured.median().elapsed.value())
      .Set("operators", std::move(operators));
  return json;
}

}  // namespace edgewise
