#include "cli/compare_report.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/strings.h"
#include "cli/bench_report.h"
#include "cli/chip_options.h"

namespace edgewise {
namespace {

std::string Signed(double share) { return StrCat(share < 0 ? "" : "+", Number(100 * share, "%.1f")); }

std::string TestName(const BenchTest& test) {
  return StrCat(test.name(), ", ", test.threads, test.threads == 1 ? " thread" : " threads");
}

std::string BoundOf(const TestPrediction& prediction) { return NameOf(prediction.time.total.bound()); }

// What a person tells apart in a bar: a few parts, in the order of a step.
constexpr const char* kParts[] = {"attention's projections", "attention", "feed-forward", "head",
                                  "norms and others",        "waiting"};
size_t PartOf(Role role) {
  switch (role) {
    case Role::kQ:
    case Role::kK:
    case Role::kV:
    case Role::kOut: return 0;
    case Role::kAttention: return 1;
    case Role::kGate:
    case Role::kUp:
    case Role::kDown: return 2;
    case Role::kHead: return 3;
    default: return 4;
  }
}

ReportBar BarOf(const Comparison& c, bool measured) {
  ReportBar bar = {.label = measured ? "measured" : "predicted", .parts = {}};
  for (const char* name : kParts) bar.parts.push_back({name, 0});
  for (const RoleComparison& role : c.roles) {
    bar.parts[PartOf(role.role)].value += measured ? role.measured_s : role.predicted_s;
  }
  bar.parts.back().value = std::max(0.0, measured ? c.measured_wait_s : c.predicted_wait_s);
  return bar;
}

BenchTable OperatorTable(const Comparison& c) {
  BenchTable table;
  table.headings = {"<operator",         "predicted ms",     "measured ms", "diff %",
                    "predicted share %", "measured share %", "points",      "<bound"};
  const auto add = [&](const std::string& name, double predicted, double measured, const std::string& bound) {
    const double all_predicted = c.predicted.seconds(), all_measured = c.measured.median().elapsed.value();
    const double points = 100 * (predicted / all_predicted - measured / all_measured);
    table.rows.push_back({name, Rate(1e3 * predicted), Rate(1e3 * measured),
                          measured > 0 ? Signed(predicted / measured - 1) : "-",
                          Number(100 * predicted / all_predicted, "%.1f"),
                          Number(100 * measured / all_measured, "%.1f"), Number(points, "%+.1f"), bound});
  };
  for (const RoleComparison& role : c.roles) {
    if (std::max(role.predicted_share, role.measured_share) < 5e-4) continue;  // would show as 0.0%
    add(NameOf(role.role), role.predicted_s, role.measured_s, NameOf(role.bound));
  }
  add("waiting", c.predicted_wait_s, c.measured_wait_s, NameOf(TimeBound::kOverhead));
  add("all", c.predicted.seconds(), c.measured.median().elapsed.value(), BoundOf(c.predicted));
  return table;
}

BenchTable TotalTable(std::span<const ComparedModel> models) {
  BenchTable table;
  table.headings = {"<model",   "<type",    "<test",   "threads", "predicted tok/s", "at first", "measured",
                    "<min..max", "error %", "first %", "shares",  "<bound",          "<why"};
  const bool energy = std::ranges::any_of(models, [](const ComparedModel& m) { return m.no_energy.empty(); });
  if (energy) table.headings.emplace_back("J/token");
  for (const ComparedModel& model : models) {
    for (const Comparison& c : model.tests) {
      const Spread seconds = c.measured_s();
      std::vector<std::string> row = {model.name,
                                      model.type,
                                      c.measured.test.name(),
                                      StrCat(c.measured.test.threads),
                                      Rate(c.tok_s(SpreadOf(c.foreseen_s).median)),
                                      Rate(c.tok_s(c.predicted.seconds())),
                                      Rate(c.tok_s(seconds.median)),
                                      StrCat(Rate(c.tok_s(seconds.max)), "..", Rate(c.tok_s(seconds.min))),
                                      Signed(c.error()),
                                      Signed(c.first_error()),
                                      Number(100 * c.worst_share(), "%.1f"),
                                      BoundOf(c.predicted),
                                      c.Reason()};
      if (energy) {
        const auto joules = c.measured.joules_per_token();
        row.push_back(joules ? Rate(*joules) : "-");
      }
      table.rows.push_back(std::move(row));
    }
  }
  return table;
}

// Of one kind of test: how far speeds were off, and the shares of time.
struct Score {
  std::vector<double> errors, first, spreads, shares;
};

std::map<std::string, Score> ScoresOf(std::span<const ComparedModel> models) {
  std::map<std::string, Score> scores;
  for (const ComparedModel& model : models) {
    for (const Comparison& c : model.tests) {
      const BenchTest& test = c.measured.test;
      Score& score = scores[test.first_token ? "first token" : test.prompt > 0 ? "prefill" : "decode"];
      const Spread seconds = c.measured_s();
      score.errors.push_back(std::abs(c.error()));
      score.first.push_back(std::abs(c.first_error()));
      score.spreads.push_back(seconds.max / seconds.min - 1);
      score.shares.push_back(c.worst_share());
    }
  }
  return scores;
}

std::string PointNote(double seconds, double all, TimeBound bound) {
  return StrCat(HumanSeconds(seconds), ", ", Number(100 * seconds / all, "%.1f"), "% of the time, bound by ",
                NameOf(bound));
}

}  // namespace

std::string PredictionText(const std::string& model, const std::vector<TestPrediction>& predictions) {
  BenchTable table;
  table.headings = {"<model", "<test", "threads", "predicted tok/s", "ms", "<bound"};
  for (const TestPrediction& p : predictions) {
    table.rows.push_back({model, p.test.name(), StrCat(p.test.threads),
                          Rate(static_cast<double>(p.test.tokens()) / p.seconds()), Rate(1e3 * p.seconds()),
                          BoundOf(p)});
  }
  return table.ToText();
}

std::string ComparisonText(std::span<const ComparedModel> models, bool operators) {
  std::string out = TotalTable(models).ToText();
  out += "predicted: at first, over how much slower models that the rates were fitted on were before each run\n"
         "first: the error of the prediction before all runs\n"
         "shares: the largest difference of an operator's share of the time, in points\n";
  if (!models.front().no_energy.empty())
    out += StrCat("no energy counter (", models.front().no_energy, "): model only\n");
  if (!operators) return out;
  for (const ComparedModel& model : models) {
    for (const Comparison& c : model.tests) {
      out += StrCat("\n", model.name, ", ", TestName(c.measured.test),
                    ", the run of median time; ms of each thread\n", OperatorTable(c).ToText());
    }
  }
  return out;
}

std::string ScoreText(std::span<const ComparedModel> models) {
  std::string out;
  for (const auto& [kind, score] : ScoresOf(models)) {
    if (score.errors.size() < 3) continue;
    const auto both = [](const std::vector<double>& values, const char* unit) {
      const Spread spread = SpreadOf(values);
      return StrCat(Number(100 * spread.median, "%.1f"), unit, " (median), ",
                    Number(100 * spread.max, "%.1f"), unit, " (worst)");
    };
    out += StrCat(kind, ": speed off by ", both(score.errors, "%"), " in ", score.errors.size(),
                  " tests; as first predicted ", both(score.first, "%"), "; runs spread by ",
                  both(score.spreads, "%"), "; shares of time within ", both(score.shares, " points"), "\n");
  }
  return out;
}

Json ComparisonJson(const ComparedModel& model) {
  Json tests = Json::Array();
  for (const Comparison& c : model.tests) {
    Json operators = Json::Array();
    for (const RoleComparison& role : c.roles) {
      Json json = Json::Object();
      json.Set("role", NameOf(role.role))
          .Set("predicted_s", role.predicted_s)
          .Set("measured_s", role.measured_s)
          .Set("predicted_share", role.predicted_share)
          .Set("measured_share", role.measured_share)
          .Set("bytes", role.work.bytes.value())
          .Set("flops", role.work.flops().value())
          .Set("bound", NameOf(role.bound));
      operators.Push(std::move(json));
    }
    Json samples = Json::Array();
    for (const BenchSample& sample : c.measured.samples) samples.Push(c.measured.tok_s(sample));
    Json foreseen = Json::Array();
    for (const double seconds : c.foreseen_s) foreseen.Push(c.tok_s(seconds));
    const Spread seconds = c.measured_s();
    Json json = Json::Object();
    json.Set("test", c.measured.test.name())
        .Set("threads", c.measured.test.threads)
        .Set("predicted_tok_s", c.tok_s(SpreadOf(c.foreseen_s).median))
        .Set("predicted_tok_s_samples", std::move(foreseen))
        .Set("first_predicted_tok_s", c.tok_s(c.predicted.seconds()))
        .Set("measured_tok_s", c.tok_s(seconds.median))
        .Set("measured_tok_s_min", c.tok_s(seconds.max))
        .Set("measured_tok_s_max", c.tok_s(seconds.min))
        .Set("measured_tok_s_samples", std::move(samples))
        .Set("error", c.error())
        .Set("first_error", c.first_error())
        .Set("worst_share_difference", c.worst_share())
        .Set("bound", BoundOf(c.predicted))
        .Set("why", c.Reason())
        .Set("roof_read_gb_s_predicted", c.roof_bytes_s / 1e9)
        .Set("roof_read_gb_s_measured", c.near_bytes_s() / 1e9)
        .Set("predicted_waiting_s", c.predicted_wait_s)
        .Set("measured_waiting_s", c.measured_wait_s);
    if (const auto joules = c.measured.joules_per_token()) json.Set("joules_per_token", *joules);
    json.Set("operators", std::move(operators));
    tests.Push(std::move(json));
  }
  Json json = Json::Object();
  json.Set("model", model.name).Set("type", model.type).Set("no_energy", model.no_energy);
  json.Set("tests", std::move(tests));
  return json;
}

Report ComparisonReport(const Device& device, std::span<const ComparedModel> models,
                        const std::vector<MachineRoof>& roofs) {
  Report report;
  report.title = StrCat(models.front().name, " on ", device.title);
  report.note = StrCat(
      "Measured: medians of interleaved runs on this machine. Predicted beforehand from the rates "
      "of its kernels (",
      device.measured,
      ") and its roof, measured just before. A point is all operators of one role, of all threads; "
      "its height is what it reached, the lines are what the machine can do.");
  for (const MachineRoof& roof : roofs) {
    const std::string threads = StrCat(roof.threads, roof.threads == 1 ? " thread" : " threads");
    const double read = 1e9 * std::max(roof.best.read_gb_s, roof.best.cached_gb_s);
    report.roofs.push_back({StrCat("8-bit integers, ", threads), read, roof.best.int8_gops * 1e9});
    report.roofs.push_back({StrCat("floats, ", threads), read, roof.best.f32_gops * 1e9});
  }
  uint32_t color = 0;
  for (const ComparedModel& model : models) {
    for (const Comparison& c : model.tests) {
      const std::string name = models.size() == 1 ? TestName(c.measured.test)
                                                  : StrCat(model.name, ", ", TestName(c.measured.test));
      for (const bool measured : {true, false}) {
        RoofSeries series = {.name = StrCat(name, measured ? ", measured" : ", predicted"),
                             .hollow = !measured,
                             .color = color,
                             .points = {}};
        for (const RoleComparison& role : c.roles) {
          const double seconds = measured ? role.measured_s : role.predicted_s;
          const auto flops = static_cast<double>(role.work.flops().value());
          const auto bytes = static_cast<double>(role.work.bytes.value());
          if (flops == 0 || bytes == 0 || seconds <= 0) continue;
          series.points.push_back(
              {NameOf(role.role), flops / bytes, flops / seconds,
               PointNote(seconds, measured ? c.measured.median().elapsed.value() : c.predicted.seconds(),
                         role.bound)});
        }
        report.series.push_back(std::move(series));
      }
      color = (color + 1) % 6;
      report.times.push_back({name, {BarOf(c, false), BarOf(c, true)}});
      const BenchTable table = OperatorTable(c);
      report.tables.push_back({StrCat("Operators: ", name), table.headings, table.rows});
    }
  }
  const BenchTable totals = TotalTable(models);
  report.tables.insert(report.tables.begin(), {"Predicted and measured", totals.headings, totals.rows});
  const Comparison& first = models.front().tests.front();
  for (const ComparedModel& model : models) {
    for (const Comparison& c : model.tests) {
      if (report.tiles.size() == 4) break;
      report.tiles.push_back(
          {StrCat(Rate(c.tok_s(c.measured_s().median)), " tok/s"),
           StrCat(model.name, ", ", TestName(c.measured.test), "; predicted ",
                  Rate(c.tok_s(c.predicted.seconds())), " (", Signed(c.first_error()), "%)")});
    }
  }
  report.first = StrCat(models.front().name, " in ", models.front().type, " was predicted at ",
                        Rate(first.tok_s(first.predicted.seconds())), " and measured at ",
                        Rate(first.tok_s(first.measured_s().median)), " tokens a second (",
                        TestName(first.measured.test), "), bound by ", BoundOf(first.predicted), ".");
  report.memory = models.front().memory;
  return report;
}

}  // namespace edgewise
