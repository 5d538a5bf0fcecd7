#include "cli/chip_report.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/strings.h"
#include "cli/chip_options.h"
#include "cli/table.h"

namespace edgewise {
namespace {

// Cycles of the time that are no cycles of the chip's clock by themselves.
double LinkCycles(const ChipDesign& design, const ChipCost& cost) { return cost.link_s * design.clock_hz; }

double AllCycles(const ChipDesign& design, const ChipCost& cost) {
  return static_cast<double>(cost.cycles) + static_cast<double>(cost.phases.host) + LinkCycles(design, cost);
}

// True when the memory, not the bus, sets the pace of weights.
bool MemorySetsThePace(const ChipDesign& design) {
  return design.memory_bytes_s > 0 && design.memory_bytes_s < design.bus_bytes * design.clock_hz;
}

std::string LoadText(const ChipDesign& design) {
  switch (design.host) {
    case HostInterface::kNone: return "nothing: operands are free";
    case HostInterface::kAxiLite: return "the host writes operands word by word";
    case HostInterface::kDma:
      return MemorySetsThePace(design) ? "operands come from memory, the array waits"
                                       : "operands come over the bus, the array waits";
  }
  return "";
}

}  // namespace

std::string OperandText(const ChipDesign& design) {
  return design.datapath == Datapath::kInt4 || design.datapath == Datapath::kTernary
             ? StrCat("int8 x ", NameOf(design.datapath))
             : StrCat(NameOf(design.datapath), " x ", NameOf(design.datapath));
}

std::string BoundText(const ChipDesign& design, const ChipCost& cost) {
  const auto& p = cost.phases;
  const bool dma = design.host == HostInterface::kDma;
  const std::array<std::pair<double, const char*>, 6> parts = {{
      {static_cast<double>(p.compute), "compute"},
      {static_cast<double>(p.load), dma && MemorySetsThePace(design) ? "memory" : "bus"},
      {static_cast<double>(p.drain), "results"},
      {static_cast<double>(p.stall), "latency"},
      {static_cast<double>(p.host), "host"},
      {LinkCycles(design, cost), "link"},
  }};
  return std::max_element(parts.begin(), parts.end(),
                          [](const auto& a, const auto& b) { return a.first < b.first; })
      ->second;
}

std::string CostText(const ChipDesign& design, const ChipCost& cost) {
  const double all = AllCycles(design, cost);
  Table table({"<", "", "", "<"});
  const auto cycles = [&](const char* name, uint64_t count, const std::string& what) {
    if (count == 0) return;
    table.Add({name, Grouped(count), PercentText(static_cast<double>(count) / all), what});
  };
  table.Add({"cycles", Grouped(cost.cycles), "",
             StrCat("of the chip, at ", Number(design.clock_hz / 1e6, "%.4g"), " MHz")});
  const bool streams = design.host == HostInterface::kDma;
  cycles("  load", cost.phases.load, LoadText(design));
  cycles("  compute", cost.phases.compute, "the array works");
  cycles("  drain", cost.phases.drain, streams ? "results leave, the array waits" : "the host reads results");
  cycles("  stall", cost.phases.stall, "memory latency that nothing hides");
  cycles("host", cost.phases.host, "the host adds partial sums along k, after the chip");
  if (cost.link_s > 0) {
    table.Add({"link", HumanSeconds(cost.link_s), PercentText(LinkCycles(design, cost) / all),
               "gathering the columns of all chips"});
  }
  table.Add({"time", HumanSeconds(cost.seconds), "", ""});
  const uint64_t peak = PeakMacs(design) * design.chips;
  table.Add({"utilisation", PercentText(cost.utilisation()), "",
             StrCat("of ", Grouped(peak), peak == 1 ? " multiply-add a cycle" : " multiply-adds a cycle")});
  table.Add({"  no padding", PercentText(cost.fill()), "", "of the multiply-adds done"});

  const ChipTraffic& t = cost.traffic;
  const auto bytes = [&](const char* name, uint64_t count) {
    if (count == 0) return;
    table.Add(
        {name, Grouped(count), PercentText(static_cast<double>(count) / static_cast<double>(t.in())), ""});
  };
  if (design.host == HostInterface::kNone) {
    table.Add({"bytes", "", "", "not counted: operands and results move for free"});
  } else {
    table.Add({"bytes in", Grouped(t.in()), "", ""});
    bytes("  weights", t.weights);
    bytes("  activations", t.activations);
    bytes("  commands", t.control);
    table.Add({"bytes out", Grouped(t.results), "", "results of 4 bytes, padding included"});
  }
  if (t.link > 0) table.Add({"bytes by link", Grouped(t.link), "", "between the chips"});

  const ChipJoules& j = cost.joules;
  const auto energy = [&](const char* name, double joules) {
    if (joules > 0) table.Add({name, HumanJoules(joules), PercentText(joules / j.total()), ""});
  };
  if (j.total() > 0) table.Add({"energy", HumanJoules(j.total()), "", ""});
  energy("  multipliers", j.mac);
  energy("  scratchpad", j.scratch);
  energy("  memory", j.memory);
  energy("  link", j.link);
  energy("  static", j.leakage);
  return table.ToText();
}

void SetCost(Json& json, const ChipDesign& design, const ChipCost& cost) {
  Json phases = Json::Object();
  phases.Set("load", cost.phases.load)
      .Set("compute", cost.phases.compute)
      .Set("drain", cost.phases.drain)
      .Set("stall", cost.phases.stall)
      .Set("host", cost.phases.host)
      .Set("link_s", cost.link_s);
  Json traffic = Json::Object();
  traffic.Set("weights", cost.traffic.weights)
      .Set("activations", cost.traffic.activations)
      .Set("control", cost.traffic.control)
      .Set("results", cost.traffic.results)
      .Set("link", cost.traffic.link);
  Json joules = Json::Object();
  joules.Set("mac", cost.joules.mac)
      .Set("scratch", cost.joules.scratch)
      .Set("memory", cost.joules.memory)
      .Set("link", cost.joules.link)
      .Set("static", cost.joules.leakage)
      .Set("total", cost.joules.total());
  json.Set("tiles", cost.tiles)
      .Set("cycles", cost.cycles)
      .Set("phase_cycles", std::move(phases))
      .Set("seconds", cost.seconds)
      .Set("utilisation", cost.utilisation())
      .Set("fill", cost.fill())
      .Set("bound", BoundText(design, cost))
      .Set("traffic_bytes", std::move(traffic))
      .Set("joules", std::move(joules));
}

}  // namespace edgewise
