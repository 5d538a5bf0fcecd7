#include "cli/backend.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "chip/integer_multiplier.h"
#include "cli/chip_options.h"
#include "cli/table.h"

namespace edgewise {
namespace {

constexpr std::string_view kChipPrefix = "chip:";

double ChipSeconds(const ChipDesign& design, const chip::TileCost& cost) {
  return static_cast<double>(cost.total_cycles()) / design.clock_hz;
}

}  // namespace

ChosenBackend::ChosenBackend(const EngineFlags& flags, const Model& model) {
  if (flags.backend == "cpu") return;
  std::unique_ptr<chip::IntegerMultiplier> multiplier;
  if (flags.backend == "cpu-int") {
    multiplier = std::make_unique<chip::PlainMultiplier>();
  } else if (flags.backend.starts_with(kChipPrefix)) {
    design_ = std::make_unique<const ChipDesign>(NamedChips().Find(flags.backend.substr(kChipPrefix.size())));
    multiplier = std::make_unique<chip::ChipMultiplier>(*design_);
  } else {
    throw Error(ErrorCode::kUsage, StrCat("--backend ", Printable(flags.backend),
                                          " is not there: cpu, cpu-int and chip:NAME are (edgewise chips)"));
  }
  const chip::IntegerBackendOptions options = {
      .scheme = flags.scheme == "row" ? chip::WeightScheme::kRow : chip::WeightScheme::kFile,
      .threads = ThreadsOf(flags.threads)};
  backend_ = std::make_unique<chip::IntegerBackend>(model, std::move(multiplier), options);
  backend_->CheckModel();
}

std::string ChosenBackend::ToText(uint64_t tokens, uint64_t rows) const {
  const chip::ProductReport report = backend_->total();
  const chip::TileCost& cost = report.run.cost;
  const double seconds = ChipSeconds(*design_, cost);
  const double per_token = 1.0 / static_cast<double>(std::max<uint64_t>(tokens, 1));
  Table table({"<", "", "", "<"});
  const auto cycles = [&](const char* name, uint64_t count, const char* what) {
    if (count == 0) return;
    const double share = static_cast<double>(count) / static_cast<double>(cost.total_cycles());
    table.Add({name, Grouped(count), PercentText(share), what});
  };
  table.Add({"tiles", Grouped(report.run.executed_tiles), "",
             StrCat("of ", Grouped(report.multiplies), " integer products of ", Grouped(report.products),
                    " matrix products")});
  table.Add({"cycles", Grouped(cost.total_cycles()), "",
             StrCat("at ", Number(design_->clock_hz / 1e6, "%.4g"), " MHz")});
  cycles("  load", cost.phases.load, "operands and commands come in");
  cycles("  compute", cost.phases.compute, "the array works");
  cycles("  drain", cost.phases.drain, "results leave");
  cycles("  stall", cost.phases.stall, "memory latency that nothing hides");
  cycles("  host", cost.phases.host, "the host adds partial sums along k");
  cycles("  link", cost.phases.link, "gathering the columns of all chips");
  table.Add({"time", HumanSeconds(seconds), "", StrCat(HumanSeconds(seconds * per_token), " a token")});
  table.Add({"utilisation", PercentText(chip::Utilisation(*design_, cost)), "",
             "of the multiply-adds it could have done"});
  if (design_->host != HostInterface::kNone) {
    table.Add({"bytes in", Grouped(cost.traffic.in()), "",
               StrCat("weights ", Grouped(cost.traffic.weights))});
    table.Add({"bytes out", Grouped(cost.traffic.results), "", ""});
  }
  if (report.run.joules > 0) {
    table.Add({"energy", HumanJoules(report.run.joules), "",
               StrCat(HumanJoules(report.run.joules * per_token), " a token (model)")});
  }
  table.Add({"host", Grouped(report.host_macs), "", "multiply-adds to round activations and scale sums"});
  if (report.run.overflows > 0) {
    table.Add({"overflows", Grouped(report.run.overflows), "", "sums beyond 32 bits"});
  }
  return StrCat("simulated on ", design_->name, ", all ", tokens, " tokens",
                rows == tokens ? "" : StrCat(" in ", rows, " rows"), ", attention and norms on this CPU:\n",
                table.ToText());
}

void ChosenBackend::SetIn(Json& json, uint64_t tokens, uint64_t rows) const {
  const chip::ProductReport report = backend_->total();
  const chip::TileCost& cost = report.run.cost;
  Json phases = Json::Object();
  phases.Set("load", cost.phases.load)
      .Set("compute", cost.phases.compute)
      .Set("drain", cost.phases.drain)
      .Set("stall", cost.phases.stall)
      .Set("host", cost.phases.host)
      .Set("link", cost.phases.link);
  Json chip = Json::Object();
  chip.Set("name", design_->name)
      .Set("tokens", tokens)
      .Set("rows", rows)
      .Set("tiles", report.run.executed_tiles)
      .Set("cycles", cost.total_cycles())
      .Set("phase_cycles", std::move(phases))
      .Set("seconds", ChipSeconds(*design_, cost))
      .Set("utilisation", chip::Utilisation(*design_, cost))
      .Set("bytes_in", cost.traffic.in())
      .Set("bytes_out", cost.traffic.results)
      .Set("joules", report.run.joules)
      .Set("host_macs", report.host_macs)
      .Set("overflows", report.run.overflows);
  json.Set("chip", std::move(chip));
}

}  // namespace edgewise
