#include "cli/chip_html.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>
#include <vector>

#include "base/strings.h"
#include "cli/chip_options.h"
#include "cli/chip_report.h"
#include "cli/html.h"
#include "cli/table.h"
#include "machine/chip_cost.h"
#include "machine/chip_file.h"

namespace edgewise {
namespace {

// ---- the array ----

// Pictures outside a page bring their colours.
constexpr std::string_view kPictureStyle =
    "<style>text{font:15px system-ui,sans-serif;fill:#0b0b0b}.small{font-size:13px;fill:#52514e}"
    ".lit{fill:#2a78d6}.idle{fill:none;stroke:#c9c8c2;stroke-width:1.5}.arrow{stroke:#2a78d6;stroke-width:2."
    "5;"
    "fill:none}.head{fill:#2a78d6}.brace{stroke:#c9c8c2;stroke-width:1.5;fill:none}.bg{fill:#fcfcfb}"
    "@media (prefers-color-scheme:dark){text{fill:#fff}.small{fill:#c3c2b7}.lit,.head{fill:#3987e5}"
    ".idle,.brace{stroke:#4b4a46}.arrow{stroke:#3987e5}.bg{fill:#1a1a19}}</style>";

constexpr uint32_t kMostDrawn = 16;

std::string CountText(uint64_t count, const std::string& noun) {
  return StrCat(count, " ", noun, count == 1 ? "" : "s");
}

// ---- phases ----

struct Phase {
  const char* name;
  const char* css;  // class of its colour
  double share;     // of all time
};

std::vector<Phase> PhasesOf(const ChipDesign& design, const ChipCost& cost) {
  const double all = std::max(cost.seconds * design.clock_hz, 1e-300);
  const ChipPhases& p = cost.phases;
  const auto share = [&](uint64_t cycles) { return static_cast<double>(cycles) / all; };
  return {{"compute", "p0", share(p.compute)}, {"load", "p1", share(p.load)},
          {"drain", "p2", share(p.drain)},     {"stall", "p3", share(p.stall)},
          {"host", "p4", share(p.host)},       {"link", "p5", cost.link_s * design.clock_hz / all}};
}

std::string PhaseBar(const ChipDesign& design, const ChipCost& cost, double width, double height) {
  std::string bar =
      StrCat("<svg class=bar viewBox=\"0 0 ", width, " ", height, "\" preserveAspectRatio=none role=img>");
  double x = 0;
  for (const Phase& phase : PhasesOf(design, cost)) {
    if (phase.share <= 0) continue;
    const double w = phase.share * width;
    bar +=
        StrCat("<rect class=", phase.css, " x=", x, " y=0 width=", std::max(0.0, w - (w > 4 ? 2 : 0)),
               " height=", height, " data-tip=\"", phase.name, ": ", PercentText(phase.share), "\"></rect>");
    x += w;
  }
  return bar + "</svg>";
}

std::string PhaseLegend(const ChipDesign& design, const ChipCost& cost) {
  std::string legend = "<ul class=legend>";
  for (const Phase& phase : PhasesOf(design, cost)) {
    if (phase.share > 0) {
      legend +=
          StrCat("<li><i class=", phase.css, "></i>", phase.name, " ", PercentText(phase.share), "</li>");
    }
  }
  return legend + "</ul>";
}

// ---- the page of a chip ----

std::string Tile(const std::string& value, const std::string& what) {
  return StrCat("<div class=tile><b>", EscapeHtml(value), "</b><span>", EscapeHtml(what), "</span></div>");
}

std::string ProductTable(const ChipDesign& design, const Workload& work, const WorkloadCost& cost) {
  double longest = 0;
  for (const ChipCost& c : cost.products) longest = std::max(longest, c.seconds);
  std::string rows;
  for (size_t i = 0; i < work.products.size(); ++i) {
    const WorkProduct& p = work.products[i];
    const ChipCost& c = cost.products[i];
    const double width = longest > 0 ? 100 * c.seconds / longest : 0;
    rows += StrCat("<tr><th>", EscapeHtml(p.name),
                   p.count == 1 ? "" : StrCat(" <small>&times;", Grouped(p.count), "</small>"), "</th><td>",
                   Grouped(p.m), " &times; ", Grouped(p.n), " &times; ", Grouped(p.k), "</td><td>",
                   Grouped(c.tiles), "</td><td>", Grouped(c.cycles), "</td><td>", HumanSeconds(c.seconds),
                   "</td><td class=wide><div style=\"width:", std::max(1.0, width), "%\">",
                   PhaseBar(design, c, 200, 12), "</div></td><td>", PercentText(c.utilisation()), "</td><td>",
                   BoundText(design, c), "</td></tr>");
  }
  const ChipCost& t = cost.total;
  rows += StrCat("<tr class=sum><th>all</th><td></td><td>", Grouped(t.tiles), "</td><td>", Grouped(t.cycles),
                 "</td><td>", HumanSeconds(t.seconds), "</td><td></td><td>", PercentText(t.utilisation()),
                 "</td><td>", BoundText(design, t), "</td></tr>");
  return StrCat(
      "<div class=scroll><table><thead><tr><th>product</th><th>m &times; n &times; k</th><th>tiles</th>"
      "<th>cycles</th><th>time</th><th>by phase</th><th>used</th><th>bound</th></tr></thead><tbody>",
      rows, "</tbody></table></div>");
}

std::string FieldTable(const ChipDesign& design) {
  std::string rows;
  for (const std::string& field : ChipFields()) {
    rows += StrCat("<tr><th>", field, "</th><td>", EscapeHtml(ChipFieldText(design, field)), "</td></tr>");
  }
  return StrCat("<details><summary>All fields of ", EscapeHtml(design.name),
                "</summary><div class=scroll><table>", rows, "</table></div></details>");
}

// ---- the page of a sweep ----

std::string SettingsText(const SweepPlan& plan, uint64_t number) {
  const std::vector<std::string> settings = plan.SettingsOf(number);
  std::string text = plan.bases.size() > 1 ? settings[0] : "";
  for (size_t a = 0; a < plan.axes.size(); ++a) {
    text += StrCat(text.empty() ? "" : ", ", plan.axes[a].name(), " ", settings[a + 1]);
  }
  return text.empty() ? settings[0] : text;
}

std::string Short(double value) { return Number(value, "%.4g"); }

// Energy on the front in five steps of equal ratio, from least to most.
int EnergyStep(const std::vector<SweepRow>& front, double joules) {
  double least = joules, most = joules;
  for (const SweepRow& row : front) {
    least = std::min(least, row.joules_token);
    most = std::max(most, row.joules_token);
  }
  if (most <= least || least <= 0) return 0;
  return std::clamp(static_cast<int>(5 * std::log(joules / least) / std::log(most / least)), 0, 4);
}

std::string Plot(const SweepPlan& plan, const SweepResult& result) {
  const PlotFrame frame = {760, 440, 64, 16, 16, 48};
  std::vector<double> areas, speeds;
  for (const std::vector<SweepRow>* rows : {&result.sample, &result.front}) {
    for (const SweepRow& row : *rows) {
      areas.push_back(row.area_mm2);
      speeds.push_back(row.tok_s);
    }
  }
  const PlotAxis x = PlotAxis::Fit(areas), y = PlotAxis::Fit(speeds);
  std::string svg = StrCat("<svg class=plot viewBox=\"0 0 ", frame.width, " ", frame.height,
                           "\" role=img aria-label="
                           "\"tokens a second against area\">",
                           frame.Grid(x, y, "area, mm\u00b2", "tokens a second"));
  const auto point = [&](const SweepRow& row, const std::string& css, double radius) {
    return StrCat("<circle class=\"", css, "\" cx=", Number(frame.X(x, row.area_mm2), "%.1f"),
                  " cy=", Number(frame.Y(y, row.tok_s), "%.1f"), " r=", radius, " data-row=", row.number,
                  " data-tip=\"", EscapeHtml(SettingsText(plan, row.number)), "\n", Short(row.tok_s),
                  " tok/s, ", Short(row.area_mm2), " mm\u00b2, ", HumanJoules(row.joules_token), " a token, ",
                  PercentText(row.utilisation), " used\"></circle>");
  };
  for (const SweepRow& row : result.sample) svg += point(row, "other", 2.5);
  for (const SweepRow& row : result.front) {
    svg += point(row, StrCat("front e", EnergyStep(result.front, row.joules_token)), 5);
  }
  return svg + "</svg>";
}

std::string EnergyLegend(const std::vector<SweepRow>& front) {
  if (front.empty()) return "";
  const auto [least, most] = std::ranges::minmax_element(front, {}, &SweepRow::joules_token);
  std::string legend =
      StrCat("<ul class=legend><li>on the front, energy a token: ", HumanJoules(least->joules_token),
             "</li><li class=ramp>");
  for (int step = 0; step < 5; ++step) legend += StrCat("<i class=e", step, "></i>");
  return StrCat(legend, "</li><li>", HumanJoules(most->joules_token),
                "</li><li><i class=other></i>other designs</li></ul>");
}

std::string FrontTable(const SweepPlan& plan, const SweepResult& result) {
  constexpr size_t kMostRows = 500;
  std::string heads = "<th>chip</th>";
  for (const SweepAxis& axis : plan.axes) heads += StrCat("<th>", EscapeHtml(axis.name()), "</th>");
  std::string rows;
  for (size_t i = 0; i < std::min(kMostRows, result.front.size()); ++i) {
    const SweepRow& row = result.front[i];
    rows += StrCat("<tr data-row=", row.number, ">");
    for (const std::string& setting : plan.SettingsOf(row.number))
      rows += StrCat("<td>", EscapeHtml(setting), "</td>");
    rows += StrCat("<td>", Short(row.tok_s), "</td><td>", HumanJoules(row.joules_token), "</td><td>",
                   Short(row.area_mm2), "</td><td>", PercentText(row.utilisation), "</td><td>",
                   Short(row.peak_gops), "</td></tr>");
  }
  return StrCat(
      "<div class=scroll><table><thead><tr>", heads,
      "<th>tok/s</th><th>a token</th><th>mm&sup2;</th><th>used</th><th>peak GOPS</th></tr></thead><tbody>",
      rows, "</tbody></table></div>",
      result.front.size() > kMostRows
          ? StrCat("<p>The fastest ", kMostRows, " of ", result.front.size(), ".</p>")
          : "");
}

}  // namespace

std::string LitRowsSvg(const ArrayPicture& array) {
  const auto& [rows, cols, lit, noun, note] = array;
  const uint32_t drawn = std::min(rows, kMostDrawn), across = std::min(cols, kMostDrawn);
  const uint32_t shown = std::min(lit, drawn);
  constexpr double kCell = 30, kGap = 5, kLeft = 110, kTop = 66;
  const double grid_w = across * (kCell + kGap) - kGap, grid_h = drawn * (kCell + kGap) - kGap;
  const double right = kLeft + grid_w, width = right + 262, height = kTop + grid_h + 56;
  std::string svg = StrCat(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 ", width, " ", height, "\" width=\"", width,
      "\" height=\"", height, "\" role=\"img\" class=\"array\">\n<title>", CountText(lit, noun),
      " on an array of ", rows, " x ", cols, ": ", lit, " of ", rows, " rows work</title>\n", kPictureStyle,
      "\n<rect class=\"bg\" width=\"", width, "\" height=\"", height, "\" rx=\"8\"/>\n");
  svg += StrCat("<text x=\"20\" y=\"30\" font-weight=\"600\">", CountText(lit, noun), " on the ", rows,
                " &#215; ", cols, " array: ", lit, " of ", rows, " rows ", lit == 1 ? "works" : "work", ", ",
                Number(100.0 * lit / rows, "%.4g"), "%</text>\n");
  for (uint32_t r = 0; r < drawn; ++r) {
    const double y = kTop + r * (kCell + kGap);
    for (uint32_t c = 0; c < across; ++c) {
      svg += StrCat("<rect class=\"", r < shown ? "lit" : "idle", "\" x=\"", kLeft + c * (kCell + kGap),
                    "\" y=\"", y, "\" width=\"", kCell, "\" height=\"", kCell, "\" rx=\"4\"/>");
    }
    svg += "\n";
    if (r >= shown) continue;
    const double mid = y + kCell / 2;
    svg += StrCat("<text x=\"20\" y=\"", mid + 5, "\">", noun, "</text><path class=\"arrow\" d=\"M66 ", mid,
                  "H94\"/>", "<path class=\"head\" d=\"M94 ", mid - 5, "l9 5-9 5z\"/>\n");
  }
  svg += StrCat("<text class=\"small\" x=\"", right + 20, "\" y=\"", kTop + kCell / 2 + 5, "\">",
                shown < drawn ? "at work" : "all at work", "</text>\n");
  if (shown < drawn) {
    const double top = kTop + shown * (kCell + kGap), bottom = kTop + grid_h, mid = (top + bottom) / 2;
    svg +=
        StrCat("<path class=\"brace\" d=\"M", right + 10, " ", top, "h6V", bottom, "h-6\"/>\n<text x=\"",
               right + 28, "\" y=\"", mid - 12, "\">idle: room for ", CountText(rows - lit, "more " + noun),
               "</text><text class=\"small\" x=\"", right + 28, "\" y=\"", mid + 8, "\">",
               noun == "token" ? "(prompt, batch, speculation)" : "", "</text><text class=\"small\" x=\"",
               right + 28, "\" y=\"", mid + 27, "\">", note, "</text>\n");
  }
  svg += StrCat("<text class=\"small\" x=\"", kLeft, "\" y=\"", kTop + grid_h + 30, "\">", cols,
                " outputs at a time; weights pass every row</text>\n</svg>\n");
  return svg;
}

std::string ChipHtml(const ChipDesign& design, const Workload& work, uint64_t tokens,
                     const std::string& first) {
  const WorkloadCost cost = PriceWorkload(design, work, AttentionOn::kChip);
  const ChipCost& total = cost.total;
  const auto lit = static_cast<uint32_t>(std::min<uint64_t>(
      design.rows, work.products.front().m - (FullRows(design, work.products.front().m) - design.rows)));
  const std::string noun = work.unit.find("token") == std::string::npos ? "row" : "token";
  std::string body = StrCat("<h1>", EscapeHtml(work.name), " on ", EscapeHtml(design.name),
                            "</h1><p class=first>", EscapeHtml(first), "</p><figure>",
                            LitRowsSvg({design.rows, design.cols, lit, noun, ""}), "</figure>");
  body += StrCat("<div class=tiles>", Tile(HumanSeconds(total.seconds), StrCat("a ", work.unit)),
                 Tile(Short(static_cast<double>(tokens) / total.seconds),
                      noun == "token" ? "tokens a second" : StrCat(work.unit, "s a second")),
                 Tile(PercentText(total.utilisation()), "of the multiply-adds used"),
                 Tile(BoundText(design, total), "takes most of the time"),
                 Tile(HumanJoules(total.joules.total()), StrCat("a ", work.unit, ", of what is counted")),
                 "</div>");
  body += StrCat(
      "<h2>Time by phase</h2>", PhaseBar(design, total, 1000, 36), PhaseLegend(design, total),
      "<h2>Products</h2>", ProductTable(design, work, cost), FieldTable(design),
      "<p class=note>Priced by closed form, which the cycle simulator and the RTL prove. Used: the share of "
      "the chip's multiply-adds that the model needed. ",
      EscapeHtml(design.name), ": ", EscapeHtml(design.summary), ". Source: ", EscapeHtml(design.source),
      ".</p>");
  return Page(StrCat(work.name, " on ", design.name), body);
}

std::string SweepHtml(const SweepPlan& plan, const SweepResult& result) {
  std::string bases;
  for (const ChipDesign& base : plan.bases) bases += StrCat(bases.empty() ? "" : ", ", base.name);
  std::string body = StrCat("<h1>", Grouped(result.designs), " designs for ", EscapeHtml(plan.task_name),
                            "</h1><p class=first>");
  if (result.front.empty()) {
    body += StrCat("None is possible: ", EscapeHtml(result.first_refusal), "</p>");
    return Page(plan.task_name, body);
  }
  const auto frugal = std::ranges::min_element(result.front, {}, &SweepRow::joules_token);
  const auto small = std::ranges::min_element(result.front, {}, &SweepRow::area_mm2);
  body += StrCat(
      Grouped(result.front.size()), result.front.size() == 1 ? " design is" : " designs are",
      " not beaten in speed, energy and area at once.</p><div class=tiles>",
      Tile(StrCat(Short(result.front.front().tok_s), " tok/s"),
           StrCat("fastest: ", SettingsText(plan, result.front.front().number))),
      Tile(HumanJoules(frugal->joules_token), StrCat("a token, least: ", SettingsText(plan, frugal->number))),
      Tile(StrCat(Short(small->area_mm2), " mm\u00b2"),
           StrCat("smallest of the front: ", SettingsText(plan, small->number))),
      "</div><figure>", Plot(plan, result), "</figure>", EnergyLegend(result.front), "<h2>The front</h2>",
      FrontTable(plan, result), "<p class=note>From ", EscapeHtml(bases), ". Priced by closed form. ",
      "Energy and area are of what the chip files count.");
  if (result.refused > 0) {
    body += StrCat(" ", Grouped(result.refused), " combinations are no possible chip, the first because ",
                   EscapeHtml(result.first_refusal), ".");
  }
  if (result.sample.size() + result.refused < result.designs) {
    body += StrCat(" Drawn are the front and ", Grouped(result.sample.size()), " others, evenly chosen.");
  }
  return Page(StrCat("sweep: ", plan.task_name), body + "</p>");
}

}  // namespace edgewise
