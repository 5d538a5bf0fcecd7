#include "cli/plan_html.h"

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "cli/table.h"
#include "cli/text.h"
#include "graph/cost.h"

namespace edgewise {
namespace {

struct RoleSum {
  OpCost cost;
  double seconds = 0;
};

// Operations, bytes and predicted time of a step by role.
std::array<RoleSum, kRoles> SumByRole(const Model& model, const Usage& usage, const RoleTimes& time,
                                      const Sequence& sequence) {
  Step step;
  BuildStep(model, usage.k_type, usage.v_type, {&sequence, 1}, step);
  std::array<RoleSum, kRoles> sums{};
  for (const Op& op : step.ops) sums[static_cast<size_t>(op.role)].cost += CostOf(model, op, step);
  for (size_t i = 0; i < kRoles; ++i) sums[i].seconds = time.by_role[i].seconds();
  return sums;
}

RoofSeries SeriesOf(const char* name, uint32_t color, const std::array<RoleSum, kRoles>& sums,
                    double total_s) {
  RoofSeries series = {.name = name, .hollow = true, .color = color, .points = {}};
  for (size_t i = 0; i < kRoles; ++i) {
    const OpCost& cost = sums[i].cost;
    const auto flops = static_cast<double>(cost.flops.value());
    const auto bytes = static_cast<double>(cost.weight_bytes.value() + cost.kv_read.value());
    if (flops == 0 || bytes == 0 || sums[i].seconds == 0) continue;
    series.points.push_back({.name = NameOf(static_cast<Role>(i)),
                             .intensity = flops / bytes,
                             .ops_s = flops / sums[i].seconds,
                             .note = StrCat(HumanSeconds(sums[i].seconds), ", ",
                                            PercentText(sums[i].seconds / total_s), " of the time")});
  }
  return series;
}

std::vector<ReportPart> Spent(const OpTime& time) {
  std::vector<ReportPart> parts;
  for (size_t i = 0; i < kTimeBounds; ++i) {
    const auto bound = static_cast<TimeBound>(i);
    parts.push_back({NameOf(bound), time.spent(bound)});
  }
  return parts;
}

// The roof that a prediction for so many threads stands under.
std::vector<RoofLine> RoofsOf(const Device& device, uint32_t threads) {
  if (device.chip) return {};
  double peak = 0;
  for (const auto* ops : {&device.f32_ops_s, &device.f16_ops_s, &device.int8_ops_s}) {
    if (*ops) peak = std::max(peak, (*ops)->value);
  }
  for (const TeamRate& team : device.teams) {
    if (team.threads != threads) continue;
    return {{StrCat("measured, ", threads, threads == 1 ? " thread" : " threads"), team.read_bytes_s.value,
             peak}};
  }
  return {{"peaks", device.memory_bytes_s.value, peak}};
}

}  // namespace

Report PlanReport(const PlanView& view, const Model& model, const Candidate& now,
                  std::span<const Advised> advised) {
  const Prediction& p = view.prediction;
  const Usage& u = view.configuration.usage;
  Report report;
  report.title = StrCat(view.model, " on ", view.device.name);
  report.first = StrCat(p.memory.fits() ? "It fits" : "It does not fit", ", and is predicted to decode ",
                        RateText(p.tok_s), " tokens per second, bound by ", NameOf(p.bound), ".");
  report.tiles = {{RateText(p.tok_s) + " tok/s", "decode"},
                  {HumanSeconds(p.ttft_s()), StrCat("first token, prompt of ", u.prompt)},
                  {GigabyteText(static_cast<double>(p.memory.need.total())), "memory"},
                  {LossText(view.figures.loss), "perplexity lost to number formats or a window"}};
  if (const auto energy = EnergyOf(view))
    report.tiles.push_back({HumanJoules(energy->joules_per_token), "a token (model)"});
  const Sequence decode = {
      .slot = 0, .first_row = 0, .rows = 1, .kv_len = u.prompt + u.generate / 2, .logit_rows = 1};
  const Sequence prefill = {
      .slot = 0, .first_row = 0, .rows = std::min(u.prompt, u.chunk), .kv_len = 0, .logit_rows = 1};
  report.roofs = RoofsOf(view.device, p.threads);
  report.series = {
      SeriesOf("decode, predicted", 0, SumByRole(model, u, p.decode, decode), p.decode.total.seconds()),
      SeriesOf("prefill, predicted", 1, SumByRole(model, u, p.prefill, prefill), p.prefill.total.seconds())};
  report.times = {{"a decoded token", {{"predicted", Spent(p.decode.total)}}},
                  {StrCat("a prompt of ", u.prompt), {{"predicted", Spent(p.prefill.total)}}}};
  const MemoryNeed& need = p.memory.need;
  report.memory = ReportMemory{.parts = {{"weights", static_cast<double>(need.weights)},
                                         {"KV cache", static_cast<double>(need.kv)},
                                         {"scratch", static_cast<double>(need.scratch)},
                                         {"program", static_cast<double>(need.other)}},
                               // Designs of chips do not say how much memory there is: nothing is left then.
                               .usable_bytes = view.device.chip ? static_cast<double>(need.total())
                                                                : p.memory.usable_bytes};
  ReportTable changes = {.title = "What one change gives, each priced anew",
                         .headings = {"<change", "tok/s", "first token", "memory", "loss"},
                         .rows = {}};
  for (const Advised* one : Selected(now, advised)) {
    const Figures& f = one->after.figures;
    changes.rows.push_back({one->what.front(), RateText(f.tok_s), HumanSeconds(f.ttft_s),
                            GigabyteText(f.memory_bytes), LossText(f.loss)});
  }
  if (!changes.rows.empty()) report.tables.push_back(std::move(changes));
  report.note = BasisText(view);
  return report;
}

}  // namespace edgewise
