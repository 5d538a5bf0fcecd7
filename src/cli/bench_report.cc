#include "cli/bench_report.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <functional>

#include "base/error.h"

namespace edgewise {
namespace {

std::string Number(double value, int decimals) {
  char text[48];
  std::snprintf(text, sizeof(text), "%.*f", decimals, value);
  return text;
}

std::string SpreadText(const Spread& figure, std::string (*show)(double)) {
  return show(figure.min) + ".." + show(figure.max);
}

std::string KvName(const BenchLine& line) {
  return line.k_type == line.v_type ? line.k_type : line.k_type + "/" + line.v_type;
}

// A column, and for which tables it is worth its width.
struct Column {
  const char* heading;
  std::function<std::string(const BenchLine&)> cell;
  bool wanted = true;
};

template <typename F>
Spread SpreadOfSamples(const BenchResult& result, F&& value) {
  std::vector<double> values;
  for (const BenchSample& sample : result.samples) values.push_back(value(sample));
  return SpreadOf(std::move(values));
}

void SetSpread(Json& json, const std::string& key, const Spread& figure) {
  json.Set(key, figure.median).Set(key + "_min", figure.min).Set(key + "_max", figure.max);
}

BenchLine LineOf(const BenchResult& result, const BenchReport& report, const BenchSetup& setup) {
  BenchLine line;
  line.test = result.test.name();
  line.type = setup.type;
  line.isa = setup.isa;
  line.k_type = setup.k_type;
  line.v_type = setup.v_type;
  line.threads = result.test.threads;
  line.beside = result.test.beside.name();
  using Sample = const BenchSample&;
  const auto figure = [&](auto&& value) { return SpreadOfSamples(result, value); };
  line.tok_s = figure([&](Sample s) { return result.tok_s(s); });
  line.gb_s = figure([](Sample s) { return s.work.bytes / s.elapsed / 1e9; });
  line.gop_s = figure([](Sample s) { return s.work.flops() / s.elapsed / 1e9; });
  line.roof_share = figure([](Sample s) { return ShareOf(s.work, s.elapsed, s.near()).share; });
  line.near.read_gb_s = figure([](Sample s) { return s.near().read_gb_s; }).median;
  line.near.cached_gb_s = figure([](Sample s) { return s.near().cached_gb_s; }).median;
  line.near.int8_gops = figure([](Sample s) { return s.near().int8_gops; }).median;
  line.near.narrow_gops = figure([](Sample s) { return s.near().narrow_gops; }).median;
  line.near.f32_gops = figure([](Sample s) { return s.near().f32_gops; }).median;
  line.joules_per_token = result.joules_per_token();
  const BenchSample& median = result.median();
  line.bound = NameOf(ShareOf(median.work, median.elapsed, median.near()).bound);
  const MachineRoof& roof =
      *std::ranges::find(report.roofs, result.test.threads, &MachineRoof::threads);
  line.roof_share_of_best = ShareOf(median.work, median.elapsed, roof.best).share;
  Seconds elapsed(0), stolen(0);
  for (const BenchSample& sample : result.samples) {
    line.load_average = std::max(line.load_average, sample.load_average);
    elapsed += sample.elapsed;
    stolen += sample.stolen;
  }
  line.stolen_share =
      stolen.value() / (elapsed.value() * static_cast<double>(sysconf(_SC_NPROCESSORS_ONLN)));
  return line;
}

}  // namespace

std::string Rate(double value) { return Number(value, value < 10 ? 2 : value < 1000 ? 1 : 0); }
std::string Percent(double share) { return Number(100 * share, share < 0.0995 ? 1 : 0); }

std::vector<BenchLine> LinesOf(const BenchReport& report, const BenchSetup& setup) {
  std::vector<BenchLine> lines;
  for (const BenchResult& result : report.results) lines.push_back(LineOf(result, report, setup));
  for (BenchLine& line : lines) {
    if (line.beside.empty()) continue;
    for (const BenchLine& other : lines) {
      if (other.test != line.test) continue;
      const double ratio = line.tok_s.median / other.tok_s.median;
      if (other.threads == line.threads && other.beside.empty()) line.kept = ratio;
      if (other.threads == 1 && other.beside == line.beside) line.of_one_thread = ratio;
    }
  }
  return lines;
}

BenchTable TableOf(const std::vector<BenchLine>& lines) {
  const bool beside = std::ranges::any_of(lines, [](const BenchLine& l) { return !l.beside.empty(); });
  const bool kv = std::ranges::any_of(
      lines, [&](const BenchLine& l) { return KvName(l) != KvName(lines.front()); });
  const bool energy = std::ranges::any_of(lines, [](const BenchLine& l) { return l.joules_per_token.has_value(); });
  using Line = const BenchLine&;
  const auto share = [](const std::optional<double>& value) { return value ? Percent(*value) : "-"; };
  const Column columns[] = {
      {"<test", [](Line l) { return l.test; }},
      {"<type", [](Line l) { return l.type; }},
      {"<KV", KvName, kv},
      {"threads", [](Line l) { return StrCat(l.threads); }},
      {"<beside", [](Line l) { return l.beside.empty() ? "-" : l.beside; }, beside},
      {"tok/s", [](Line l) { return Rate(l.tok_s.median); }},
      {"<min..max", [](Line l) { return SpreadText(l.tok_s, Rate); }},
      {"kept %", [&](Line l) { return share(l.kept); }, beside},
      {"/1 thread", [](Line l) { return l.of_one_thread ? Number(*l.of_one_thread, 2) : "-"; }, beside},
      {"GB/s", [](Line l) { return Rate(l.gb_s.median); }, !beside},
      {"GOP/s", [](Line l) { return Rate(l.gop_s.median); }, !beside},
      {"roof %", [](Line l) { return Percent(l.roof_share.median); }},
      {"<min..max", [](Line l) { return SpreadText(l.roof_share, Percent); }},
      {"<bound", [](Line l) { return l.bound; }},
      {"J/token", [](Line l) { return l.joules_per_token ? Rate(*l.joules_per_token) : "-"; }, energy},
      {"load", [](Line l) { return Number(l.load_average, 1); }},
      {"stolen %", [](Line l) { return Number(100 * l.stolen_share, 1); }},
  };
  BenchTable table;
  for (const Column& column : columns) {
    if (column.wanted) table.headings.emplace_back(column.heading);
  }
  for (const BenchLine& line : lines) {
    std::vector<std::string> row;
    for (const Column& column : columns) {
      if (column.wanted) row.push_back(column.cell(line));
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

std::string BenchTable::ToText() const {
  Table table(headings);
  for (const auto& row : rows) table.Add(row);
  return table.ToText();
}

std::string BenchTable::ToMarkdown() const {
  std::string names = "|", rules = "|", body;
  for (const std::string& heading : headings) {
    const bool left = heading.starts_with('<');
    names += " " + heading.substr(left ? 1 : 0) + " |";
    rules += left ? " --- |" : " ---: |";
  }
  for (const auto& row : rows) {
    body += "|";
    for (const std::string& cell : row) body += " " + cell + " |";
    body += "\n";
  }
  return names + "\n" + rules + "\n" + body;
}

std::string CsvOf(const std::vector<BenchLine>& lines) {
  // Names and numbers without commas or quotes, so that nothing needs any.
  std::string out =
      "test,type,isa,cache_type_k,cache_type_v,threads,beside,tok_s,tok_s_min,tok_s_max,gb_s,gb_s_min,"
      "gb_s_max,gop_s,gop_s_min,gop_s_max,roof_share,roof_share_min,roof_share_max,roof_share_of_best,"
      "bound,roof_read_gb_s,roof_cached_gb_s,roof_int8_gops,roof_narrow_gops,roof_f32_gops,load_average,"
      "stolen_share,kept,of_one_thread,joules_per_token\n";
  for (const BenchLine& l : lines) {
    out += StrCat(l.test, ",", l.type, ",", l.isa, ",", l.k_type, ",", l.v_type, ",", l.threads, ",",
                  l.beside);
    for (const Spread* figure : {&l.tok_s, &l.gb_s, &l.gop_s, &l.roof_share}) {
      out += StrCat(",", figure->median, ",", figure->min, ",", figure->max);
    }
    out += StrCat(",", l.roof_share_of_best, ",", l.bound, ",", l.near.read_gb_s, ",",
                  l.near.cached_gb_s, ",", l.near.int8_gops, ",", l.near.narrow_gops, ",",
                  l.near.f32_gops, ",", l.load_average, ",", l.stolen_share);
    for (const std::optional<double>& value : {l.kept, l.of_one_thread, l.joules_per_token}) {
      out += value ? StrCat(",", *value) : ",";
    }
    out += "\n";
  }
  return out;
}

Json JsonOf(const BenchLine& line) {
  Json json = Json::Object();
  json.Set("test", line.test)
      .Set("type", line.type)
      .Set("isa", line.isa)
      .Set("cache_type_k", line.k_type)
      .Set("cache_type_v", line.v_type)
      .Set("threads", line.threads)
      .Set("beside", line.beside);
  SetSpread(json, "tok_s", line.tok_s);
  SetSpread(json, "gb_s", line.gb_s);
  SetSpread(json, "gop_s", line.gop_s);
  SetSpread(json, "roof_share", line.roof_share);
  json.Set("roof_share_of_best", line.roof_share_of_best)
      .Set("bound", line.bound)
      .Set("roof_read_gb_s", line.near.read_gb_s)
      .Set("roof_cached_gb_s", line.near.cached_gb_s)
      .Set("roof_int8_gops", line.near.int8_gops)
      .Set("roof_narrow_gops", line.near.narrow_gops)
      .Set("roof_f32_gops", line.near.f32_gops)
      .Set("load_average", line.load_average)
      .Set("stolen_share", line.stolen_share);
  if (line.kept) json.Set("kept", *line.kept);
  if (line.of_one_thread) json.Set("of_one_thread", *line.of_one_thread);
  if (line.joules_per_token) json.Set("joules_per_token", *line.joules_per_token);
  return json;
}

std::string RoofText(const BenchReport& report) {
  std::string out;
  for (const MachineRoof& roof : report.roofs) {
    const std::string narrow =
        roof.best.narrow_gops > roof.best.int8_gops
            ? StrCat(" (", Number(roof.best.narrow_gops, 0), " for codes up to 6 bits)")
            : "";
    const std::string cached =
        roof.best.cached_gb_s == 0
            ? ""
            : StrCat(", ", Number(roof.best.cached_gb_s, 1), " from the cache that the weights fit");
    out += StrCat("roof with ", roof.threads, roof.threads == 1 ? " thread" : " threads", ": reads ",
                  Number(roof.best.read_gb_s, 1), " GB/s (median ", Number(roof.read_gb_s_median, 1),
                  ")", cached, ", int8 ", Number(roof.best.int8_gops, 0), " GOP/s", narrow, ", float ",
                  Number(roof.best.f32_gops, 0), " GFLOP/s\n");
  }
  if (report.probe_fits_cache) {
    out += StrCat("the buffer of the read probe, ", HumanBytes(report.probe_bytes),
                  ", is not twice the last cache: its GB/s are partly those of the cache\n");
  }
  return out;
}

Json JsonOf(const MachineRoof& roof) {
  const kernels::Isa isa = kernels::Kernels().isa;
  Json json = Json::Object();
  json.Set("threads", roof.threads)
      .Set("read_gb_s", roof.best.read_gb_s)
      .Set("read_gb_s_median", roof.read_gb_s_median)
      .Set("cached_gb_s", roof.best.cached_gb_s)
      .Set("int8_gops", roof.best.int8_gops)
      .Set("int8_loop", kernels::IntegerPeakLoop(isa).what)
      .Set("narrow_gops", roof.best.narrow_gops)
      .Set("narrow_loop", kernels::NarrowPeakLoop(isa).what)
      .Set("f32_gops", roof.best.f32_gops)
      .Set("f32_loop", kernels::FloatPeakLoop(isa).what);
  return json;
}

}  // namespace edgewise
