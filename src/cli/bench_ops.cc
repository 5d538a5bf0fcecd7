#include "cli/bench_ops.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "cli/bench_report.h"
#include "cli/table.h"

namespace edgewise {
namespace {

using kernels::Isa;

const char* ColumnsOf(uint32_t m) {
  switch (kernels::ShapeOf(m)) {
    case kernels::MatMulShape::kOne: return "1";
    case kernels::MatMulShape::kFew: return "2..8";
    case kernels::MatMulShape::kMany: break;
  }
  return "many";
}

// Best first, of the family that `isa` belongs to; the plain loops have all before them.
std::span<const Isa> FamilyOf(Isa isa) {
  static constexpr Isa kX86[] = {Isa::kAvx512Vnni, Isa::kAvx2Vnni, Isa::kAvx2, Isa::kSse4};
  static constexpr Isa kArm[] = {Isa::kNeonI8mm, Isa::kNeonDot, Isa::kNeon};
  if (std::ranges::find(kX86, isa) != std::end(kX86)) return kX86;
  if (std::ranges::find(kArm, isa) != std::end(kArm)) return kArm;
  return {};
}

std::string WhyNoBetterIsa(Isa isa) {
  const Isa best = kernels::SupportedIsas().front();
  if (isa != best) return StrCat("EDGEWISE_ISA forces ", NameOf(isa), "; ", NameOf(best), " is available");
  if (isa == Isa::kPlain) return "this build has no kernels for this CPU";
  const std::span<const Isa> family = FamilyOf(isa);
  return isa == family.front() ? "" : StrCat("this CPU lacks ", NameOf(family.front()));
}

std::string KernelsText(const std::vector<KernelChoice>& choices) {
  std::string out;
  for (const KernelChoice& choice : choices) {
    out += StrCat("  ", choice.type, ", columns ", choice.columns, ": ", choice.isa, ", ", choice.how);
    if (!choice.why.empty()) out += StrCat(" (", choice.why, ")");
    out += "\n";
  }
  return out;
}

}  // namespace

KernelChoice ChoiceOf(const kernels::KernelTable& table, DType type, uint32_t k, uint32_t m) {
  const kernels::MatMulShape shape = kernels::ShapeOf(m);
  KernelChoice choice = {.type = NameOf(type),
                         .columns = ColumnsOf(m),
                         .isa = NameOf(table.isa),
                         .how = table.matmul(type, shape).how,
                         .why = WhyNoBetterIsa(table.isa)};
  if (kernels::ActivationFormatFor(type, k) != kernels::ActivationFormatOf(type)) {
    choice.how = StrCat("decoded, then as F32: ", table.matmul(DType::kF32, shape).how);
    choice.why = StrCat("rows of ", k, " are below ", kernels::kLeastIntegerRow,
                        ": multiplied in floats");
  } else if (table.isa != Isa::kPlain &&
             table.matmul(type, shape).run ==
                 kernels::KernelsFor(Isa::kPlain).matmul(type, shape).run) {
    choice.why = StrCat("this build has no ", choice.isa, " kernel for ", choice.type);
  }
  return choice;
}

OpReport OpsOf(const BenchResult& result) {
  const BenchSample& sample = result.median();
  const double threads = result.test.threads;
  OpReport report;
  report.all = sample.elapsed * threads;
  report.waiting = report.all;
  for (size_t index = 0; index < kRoles; ++index) {
    const auto role = static_cast<Role>(index);
    OpLine line = {.role = NameOf(role),
                   .types = "",
                   .busy = sample.counters.by_role[index].busy,
                   .work = sample.work_by_role[index],
                   .roof = {}};
    report.waiting = report.waiting - line.busy;
    if (line.busy == Seconds(0) && line.work.bytes == Bytes(0)) continue;
    line.time_share = line.busy.value() / report.all.value();
    for (const KernelUse& use : result.kernels) {
      const std::string type = NameOf(use.type);
      if (use.role != role || line.types.find(type) != std::string::npos) continue;
      line.types += (line.types.empty() ? "" : "+") + type;
    }
    const bool counted = line.work.bytes > Bytes(0) || line.work.flops() > Flops(0);
    if (counted && line.busy > Seconds(0)) {
      // All threads share the roof, so an operator's time is its part of each.
      line.roof = ShareOf(line.work, Seconds(line.busy.value() / threads), sample.near());
    }
    report.lines.push_back(std::move(line));
  }
  for (const KernelUse& use : result.kernels) {
    KernelChoice choice = ChoiceOf(kernels::Kernels(), use.type, use.k, use.m);
    const bool known = std::ranges::any_of(report.kernels, [&](const KernelChoice& other) {
      return other.type == choice.type && other.columns == choice.columns && other.how == choice.how &&
             other.why == choice.why;
    });
    if (!known) report.kernels.push_back(std::move(choice));
  }
  return report;
}

std::string OpsText(const BenchResult& result, bool markdown) {
  const OpReport report = OpsOf(result);
  const double threads = result.test.threads;
  BenchTable table;
  table.headings = {"<operator", "<weights", "ms", "time %", "MB", "GOP", "GB/s", "GOP/s", "roof %",
                    "<bound"};
  const auto milliseconds = [&](Seconds busy) { return Rate(busy.value() / threads * 1e3); };
  const auto rate = [&](double giga, Seconds busy) {
    return giga == 0 || busy == Seconds(0) ? "-" : Rate(giga / (busy.value() / threads));
  };
  Work all;
  for (const OpLine& line : report.lines) {
    all += line.work;
    const double gb = static_cast<double>(line.work.bytes.value()) / 1e9;
    const double gop = static_cast<double>(line.work.flops().value()) / 1e9;
    table.rows.push_back({line.role, line.types, milliseconds(line.busy), Percent(line.time_share),
                          gb == 0 ? "-" : Rate(gb * 1e3), gop == 0 ? "-" : Rate(gop), rate(gb, line.busy),
                          rate(gop, line.busy), line.roof ? Percent(line.roof->share) : "-",
                          line.roof ? NameOf(line.roof->bound) : ""});
  }
  table.rows.push_back({"waiting", "", milliseconds(report.waiting),
                        Percent(report.waiting.value() / report.all.value()), "-", "-", "-", "-", "-",
                        ""});
  const double gb = static_cast<double>(all.bytes.value()) / 1e9;
  const double gop = static_cast<double>(all.flops().value()) / 1e9;
  const BenchSample& sample = result.median();
  const RoofShare share = ShareOf(all, sample.elapsed, sample.near());
  table.rows.push_back({"all", "", milliseconds(report.all), "100", Rate(gb * 1e3), Rate(gop),
                        rate(gb, report.all), rate(gop, report.all), Percent(share.share),
                        NameOf(share.bound)});
  std::string title = StrCat(result.test.name(), ", ", result.test.threads,
                             result.test.threads == 1 ? " thread" : " threads");
  if (!result.test.beside.name().empty()) title += StrCat(", beside ", result.test.beside.name());
  return StrCat("\n", title, ", the run of median time; ms are of each thread\n", markdown ? "\n" : "",
                markdown ? table.ToMarkdown() : table.ToText(), markdown ? "\n" : "", "kernels\n",
                KernelsText(report.kernels));
}

Json OpsJson(const BenchResult& result) {
  const OpReport report = OpsOf(result);
  Json operators = Json::Array();
  for (const OpLine& line : report.lines) {
    Json json = Json::Object();
    json.Set("role", line.role)
        .Set("types", line.types)
        .Set("busy_s", line.busy.value())
        .Set("time_share", line.time_share)
        .Set("bytes", line.work.bytes.value())
        .Set("flops", line.work.flops().value());
    if (line.roof) json.Set("roof_share", line.roof->share).Set("bound", NameOf(line.roof->bound));
    operators.Push(std::move(json));
  }
  Json choices = Json::Array();
  for (const KernelChoice& choice : report.kernels) {
    Json json = Json::Object();
    json.Set("type", choice.type)
        .Set("columns", choice.columns)
        .Set("isa", choice.isa)
        .Set("how", choice.how)
        .Set("why_no_better", choice.why);
    choices.Push(std::move(json));
  }
  Json json = Json::Object();
  json.Set("thread_seconds", report.all.value())
      .Set("waiting_s", report.waiting.value())
      .Set("operators", std::move(operators))
      .Set("kernels", std::move(choices));
  return json;
}

}  // namespace edgewise
