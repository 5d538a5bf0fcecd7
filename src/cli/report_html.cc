#include "cli/report_html.h"

#include <algorithm>

#include "base/strings.h"
#include "cli/html.h"
#include "cli/json.h"
#include "cli/table.h"
#include "cli/text.h"

namespace edgewise {
namespace {

constexpr std::string_view kStyle = R"css(
<style>
.chart{position:relative;width:100%}.chart canvas{display:block}
.times{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,460px),1fr));gap:16px}
.times figure{margin:0}figcaption{color:var(--soft);font-size:14px;margin-bottom:4px}
figure.memory{overflow:visible}.memory .bar{height:28px}
.memory rect.free{fill:var(--line)}i.free{background:var(--line)}
td.left,th.left{text-align:left}td.left:last-child{white-space:normal;min-width:200px}
</style>
)css";

// Colours come from the page's style, so that one script serves light and dark; both are drawn anew when the
// reader's system changes between them.
constexpr std::string_view kScript = R"js(
(function () {
  var data = JSON.parse(document.getElementById('data').textContent), charts = [];
  function css(name) { return getComputedStyle(document.documentElement).getPropertyValue(name).trim(); }
  function color(i) { return css('--p' + i); }
  function short(v) { return String(Number(v.toPrecision(3))); }
  function ops(v) {
    return v >= 1e12 ? short(v / 1e12) + ' TOP/s' : v >= 1e9 ? short(v / 1e9) + ' GOP/s'
                                                           : short(v / 1e6) + ' MOP/s';
  }
  function time(s) {
    return s >= 1 ? short(s) + ' s' : s >= 1e-3 ? short(s * 1e3) + ' ms' : short(s * 1e6) + ' \u00b5s';
  }
  function plain(v) { return v >= 1 ? String(Math.round(v * 100) / 100) : v.toPrecision(1); }
  function shown(v) {
    return /^1e/.test(v.toExponential()) || innerWidth > 700 && /^[25]e/.test(v.toExponential());
  }
  function axis(title, format, least, most) {
    return {type: 'logarithmic', min: least, max: most,
            title: {display: true, text: title, color: css('--soft')},
            grid: {color: css('--line'), drawTicks: false}, border: {display: false},
            ticks: {color: css('--soft'), maxRotation: 0, autoSkip: false,
                    callback: function (v) { return shown(v) ? format(v) : null; }}};
  }
  // Names beside the points, as far as they have room, and on the roofs.
  var names = {id: 'names', afterDatasetsDraw: function (chart) {
    var ctx = chart.ctx, area = chart.chartArea, taken = [];
    function put(text, x, y) {
      var box = {l: x - 2, r: x + ctx.measureText(text).width + 2, t: y - 7, b: y + 7};
      if (box.r > area.right || box.l < area.left || box.t < area.top || box.b > area.bottom) return;
      function meets(o) { return box.l < o.r && box.r > o.l && box.t < o.b && box.b > o.t; }
      if (taken.some(meets)) return;
      taken.push(box);
      ctx.fillText(text, x, y);
    }
    ctx.save();
    ctx.font = '12px ' + Chart.defaults.font.family;
    ctx.textBaseline = 'middle';
    ctx.fillStyle = css('--soft');
    var drawn = chart.data.datasets.map(function (set, d) {
      return chart.isDatasetVisible(d) ? chart.getDatasetMeta(d).data : [];
    });
    drawn.forEach(function (elements, d) {
      if (chart.data.datasets[d].roof) return;
      elements.forEach(function (e) { taken.push({l: e.x - 5, r: e.x + 5, t: e.y - 5, b: e.y + 5}); });
    });
    chart.data.datasets.forEach(function (set, d) {
      if (!set.roof || !drawn[d].length) return;
      var ridge = drawn[d][1], text = innerWidth > 700 ? set.label + ', ' + ops(set.roof) : set.label;
      put(text, ridge.x + 14, ridge.y - 9);
    });
    // Points of one series that touch have one label.
    chart.data.datasets.forEach(function (set, d) {
      if (set.roof || set.hollow) return;
      var left = drawn[d].map(function (e, i) { return {x: e.x, y: e.y, name: set.data[i].name}; });
      while (left.length) {
        var near = [left.shift()];
        for (var i = 0; i < near.length; ++i) {
          left = left.filter(function (o) {
            if (Math.abs(o.x - near[i].x) > 12 || Math.abs(o.y - near[i].y) > 12) return true;
            near.push(o);
            return false;
          });
        }
        var text = near.slice(0, 3).map(function (o) { return o.name; }).join(', ');
        if (near.length > 3) text += ', \u2026';
        var y = near.reduce(function (sum, o) { return sum + o.y; }, 0) / near.length;
        put(text, near[0].x + 9, y);
      }
    });
    ctx.restore();
  }};
  function roofline() {
    var canvas = document.getElementById('roofline');
    if (!canvas) return;
    var xs = [], ys = [];
    data.series.forEach(function (s) { s.points.forEach(function (p) { xs.push(p.x); ys.push(p.y); }); });
    data.roofs.forEach(function (r) { xs.push(r.peak / r.read); ys.push(r.peak); });
    var x0 = Math.min.apply(null, xs) / 2, x1 = Math.max.apply(null, xs) * 2;
    var y0 = Math.min.apply(null, ys) / 2, y1 = Math.max.apply(null, ys) * 2;
    var sets = data.series.map(function (s) {
      return {label: s.name, hollow: s.hollow, data: s.points,
              pointRadius: 5, pointHoverRadius: 7, pointHitRadius: 8,
              backgroundColor: s.hollow ? 'transparent' : color(s.color), borderColor: color(s.color),
              borderWidth: s.hollow ? 2 : 1, pointStyle: s.hollow ? 'rectRot' : 'circle'};
    });
    data.roofs.forEach(function (r, i) {
      var ridge = r.peak / r.read;
      sets.push({label: r.name, roof: r.peak, type: 'line', showLine: true, pointRadius: 0, pointHitRadius: 0,
                 borderWidth: 2, borderColor: css('--soft'), backgroundColor: 'transparent',
                 borderDash: [[], [7, 4], [2, 3], [9, 3, 2, 3]][i % 4],
                 data: [{x: Math.min(x0, ridge), y: r.read * Math.min(x0, ridge)}, {x: ridge, y: r.peak},
                        {x: Math.max(x1, ridge), y: r.peak}]});
    });
    charts.push(new Chart(canvas, {type: 'scatter', data: {datasets: sets}, plugins: [names], options: {
      responsive: true, maintainAspectRatio: false, animation: false,
      scales: {x: axis('operations per byte read', plain, x0, x1),
               y: axis('operations per second', ops, y0, y1)},
      plugins: {
        legend: {position: 'bottom', labels: {
          color: css('--soft'), usePointStyle: true, boxWidth: 9, boxHeight: 8, padding: 12,
          filter: function (item, all) { return !all.datasets[item.datasetIndex].roof; }}},
        tooltip: {filter: function (item) { return item.raw.name; }, callbacks: {
          title: function (items) {
            return items.length ? items[0].raw.name + ' - ' + items[0].dataset.label : '';
          },
          label: function (item) { return ops(item.raw.y) + ' at ' + plain(item.raw.x) + ' per byte'; },
          afterLabel: function (item) { return item.raw.note; }}}}}}));
  }
  function bars() {
    data.times.forEach(function (group, g) {
      var canvas = document.getElementById('time' + g);
      var names = group.bars[0].parts.map(function (part) { return part.name; });
      charts.push(new Chart(canvas, {type: 'bar', data: {
        labels: group.bars.map(function (bar) { return bar.label; }),
        datasets: names.map(function (name, i) {
          return {label: name, backgroundColor: color(i), borderColor: css('--card'), borderWidth: {right: 2},
                  borderSkipped: false, barPercentage: 0.8, categoryPercentage: 0.9,
                  data: group.bars.map(function (bar) { return bar.parts[i].value; })};
        })}, options: {
        indexAxis: 'y', responsive: true, maintainAspectRatio: false, animation: false,
        scales: {
          x: {stacked: true, grid: {color: css('--line'), drawTicks: false},
              ticks: {color: css('--soft'), maxTicksLimit: 6, maxRotation: 0,
                      callback: function (v) { return v === 0 ? '0' : time(v); }}},
          y: {stacked: true, grid: {display: false}, ticks: {color: css('--ink')}}},
        plugins: {legend: {display: false}, tooltip: {callbacks: {label: function (item) {
          var sum = 0;
          group.bars[item.dataIndex].parts.forEach(function (part) { sum += part.value; });
          return item.dataset.label + ': ' + time(item.raw) + ', ' + (100 * item.raw / sum).toFixed(1) + '%';
        }}}}}}));
    });
  }
  function draw() {
    charts.forEach(function (chart) { chart.destroy(); });
    charts = [];
    Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
    Chart.defaults.font.size = 12;
    roofline();
    bars();
  }
  draw();
  matchMedia('(prefers-color-scheme:dark)').addEventListener('change', draw);
})();
)js";

// JSON inside a script element: nothing in it may look like the element's end.
std::string Inline(const Json& json) {
  std::string out;
  for (const char c : json.Text()) {
    if (c == '<') {
      out += "\\u003c";
    } else {
      out += c;
    }
  }
  return out;
}

Json DataOf(const Report& report) {
  Json roofs = Json::Array(), all_series = Json::Array(), times = Json::Array();
  for (const RoofLine& roof : report.roofs) {
    Json json = Json::Object();
    json.Set("name", roof.name).Set("read", roof.read_bytes_s).Set("peak", roof.peak_ops_s);
    roofs.Push(std::move(json));
  }
  for (const RoofSeries& series : report.series) {
    Json points = Json::Array();
    for (const RoofPoint& point : series.points) {
      Json json = Json::Object();
      json.Set("name", point.name).Set("x", point.intensity).Set("y", point.ops_s).Set("note", point.note);
      points.Push(std::move(json));
    }
    Json json = Json::Object();
    json.Set("name", series.name).Set("hollow", series.hollow).Set("color", series.color);
    json.Set("points", std::move(points));
    all_series.Push(std::move(json));
  }
  for (const BarGroup& group : report.times) {
    Json bars = Json::Array();
    for (const ReportBar& bar : group.bars) {
      Json parts = Json::Array();
      for (const ReportPart& part : bar.parts) {
        Json json = Json::Object();
        json.Set("name", part.name).Set("value", part.value);
        parts.Push(std::move(json));
      }
      Json json = Json::Object();
      json.Set("label", bar.label).Set("parts", std::move(parts));
      bars.Push(std::move(json));
    }
    Json json = Json::Object();
    json.Set("title", group.title).Set("bars", std::move(bars));
    times.Push(std::move(json));
  }
  Json data = Json::Object();
  data.Set("roofs", std::move(roofs)).Set("series", std::move(all_series)).Set("times", std::move(times));
  return data;
}

std::string TilesHtml(const Report& report) {
  if (report.tiles.empty()) return "";
  std::string out = "<div class=tiles>";
  for (const auto& [figure, what] : report.tiles) {
    out += StrCat("<div class=tile><b>", EscapeHtml(figure), "</b><span>", EscapeHtml(what), "</span></div>");
  }
  return out + "</div>";
}

std::string TimesHtml(const Report& report) {
  if (report.times.empty()) return "";
  std::string out = "<h2>Where the time goes</h2><ul class=legend>";
  const auto& parts = report.times.front().bars.front().parts;
  for (size_t i = 0; i < parts.size(); ++i) {
    out += StrCat("<li><i class=p", i, "></i>", EscapeHtml(parts[i].name), "</li>");
  }
  out += "</ul><div class=times>";
  for (size_t g = 0; g < report.times.size(); ++g) {
    const BarGroup& group = report.times[g];
    out += StrCat("<figure><figcaption>", EscapeHtml(group.title),
                  "</figcaption><div class=chart style=\"height:", 40 + 44 * group.bars.size(),
                  "px\"><canvas id=time", g, " role=img aria-label=\"", EscapeHtml(group.title),
                  ": time by part\"></canvas></div></figure>");
  }
  return out + "</div>";
}

std::string MemoryHtml(const ReportMemory& memory) {
  double sum = 0;
  for (const ReportPart& part : memory.parts) sum += part.value;
  const double all = std::max(sum, memory.usable_bytes);
  std::string bar = "<svg class=bar viewBox=\"0 0 1000 28\" preserveAspectRatio=none role=img>", legend;
  double x = 0;
  const auto add = [&](const std::string& css, const std::string& name, double bytes) {
    if (bytes <= 0) return;
    const double width = 1000 * bytes / all;
    const std::string text = StrCat(EscapeHtml(name), " ", HumanBytes(static_cast<uint64_t>(bytes)));
    bar += StrCat("<rect class=", css, " x=", x, " y=0 width=", std::max(1.0, width - (width > 6 ? 2 : 0)),
                  " height=28 data-tip=\"", text, "\"></rect>");
    legend += StrCat("<li><i class=", css, "></i>", text, "</li>");
    x += width;
  };
  for (size_t i = 0; i < memory.parts.size(); ++i) {
    add(StrCat("p", i), memory.parts[i].name, memory.parts[i].value);
  }
  add("free", "left", memory.usable_bytes - sum);
  const std::string over = sum > memory.usable_bytes
                               ? StrCat("<p>", HumanBytes(static_cast<uint64_t>(sum - memory.usable_bytes)),
                                        " more than the device has for it.</p>")
                               : "";
  return StrCat("<h2>Memory</h2><figure class=memory>", bar, "</svg><ul class=legend>", legend, "</ul>", over,
                "</figure>");
}

std::string TableHtml(const ReportTable& table) {
  std::string head, body;
  std::vector<bool> left;
  for (const std::string& heading : table.headings) {
    left.push_back(heading.starts_with('<'));
    head += StrCat("<th", left.back() ? " class=left>" : ">", EscapeHtml(heading.substr(left.back() ? 1 : 0)),
                   "</th>");
  }
  for (const auto& row : table.rows) {
    body += "<tr>";
    for (size_t i = 0; i < row.size(); ++i) {
      body += StrCat("<td", left[i] ? " class=left>" : ">", EscapeHtml(row[i]), "</td>");
    }
    body += "</tr>";
  }
  return StrCat("<h2>", EscapeHtml(table.title), "</h2><div class=scroll><table><thead><tr>", head,
                "</tr></thead><tbody>", body, "</tbody></table></div>");
}

}  // namespace

std::string ReportHtml(const Report& report) {
  std::string body = StrCat(kStyle, "<h1>", EscapeHtml(report.title), "</h1><p class=first>",
                            EscapeHtml(report.first), "</p>", TilesHtml(report));
  const bool drawn = !report.series.empty() || !report.times.empty();
  if (!report.series.empty()) {
    body +=
        "<h2>Roofline: every operator a point</h2><figure><div class=chart style=\"height:460px\">"
        "<canvas id=roofline role=img aria-label=\"Operations per second of each operator against its "
        "operations per byte, below the roofs of the machine\"></canvas></div></figure>";
  }
  body += TimesHtml(report);
  if (report.memory) body += MemoryHtml(*report.memory);
  for (const ReportTable& table : report.tables) body += TableHtml(table);
  body += StrCat("<p class=note>", EscapeHtml(report.note),
                 drawn ? " Drawn by Chart.js, (c) 2022 Chart.js Contributors, MIT License." : "", "</p>");
  if (drawn) {
    body += StrCat("<script id=data type=\"application/json\">", Inline(DataOf(report)),
                   "</script>\n<script>", ChartJs(), "</script>\n<script>", kScript, "</script>");
  }
  return Page(report.title, body);
}

}  // namespace edgewise
