#include "cli/html.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/strings.h"

namespace edgewise {
namespace {

constexpr std::string_view kStyle = R"css(
:root{color-scheme:light dark;--page:#f9f9f7;--card:#fcfcfb;--ink:#0b0b0b;--soft:#52514e;--line:#e1e0d9;
--dot:#898781;
--p0:#2a78d6;--p1:#eb6834;--p2:#1baf7a;--p3:#eda100;--p4:#4a3aa7;--p5:#e87ba4;
--e0:#86b6ef;--e1:#5598e7;--e2:#2a78d6;--e3:#1c5cab;--e4:#0d366b}
@media (prefers-color-scheme:dark){:root{--page:#0d0d0d;--card:#1a1a19;--ink:#fff;--soft:#c3c2b7;
--line:#2c2c2a;
--dot:#898781;--p0:#3987e5;--p1:#d95926;--p2:#199e70;--p3:#c98500;--p4:#9085e9;--p5:#d55181;
--e0:#1c5cab;--e1:#2a78d6;--e2:#5598e7;--e3:#86b6ef;--e4:#cde2fb}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1080px;padding:24px 20px 48px;background:var(--page);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
h1{font-size:26px;line-height:1.2;margin:0 0 8px}h2{font-size:19px;margin:32px 0 8px}
.first{font-size:18px;margin:0 0 16px}.note{color:var(--soft);font-size:14px;margin-top:24px}
figure{margin:0 0 16px;overflow-x:auto;background:var(--card);border:1px solid var(--line);
border-radius:8px;padding:12px}
figure svg{display:block;width:100%;height:auto}.array{max-width:672px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(170px,1fr));gap:12px;margin:0 0 16px}
.tile{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:12px 14px}
.tile b{display:block;font-size:22px;line-height:1.2}.tile span{color:var(--soft);font-size:14px;
overflow-wrap:anywhere}
.bar{display:block;width:100%;height:12px}h2+.bar{height:36px}
.legend{display:flex;flex-wrap:wrap;gap:4px 18px;list-style:none;padding:0;margin:8px 0;color:var(--soft);
font-size:14px}
.legend i{display:inline-block;width:12px;height:12px;border-radius:3px;margin-right:6px;
vertical-align:-1px}
.ramp i{margin:0;border-radius:0;width:22px}
.p0{fill:var(--p0);background:var(--p0)}.p1{fill:var(--p1);background:var(--p1)}.p2{fill:var(--p2);
background:var(--p2)}
.p3{fill:var(--p3);background:var(--p3)}.p4{fill:var(--p4);background:var(--p4)}.p5{fill:var(--p5);
background:var(--p5)}
.e0{fill:var(--e0);background:var(--e0)}.e1{fill:var(--e1);background:var(--e1)}.e2{fill:var(--e2);
background:var(--e2)}
.e3{fill:var(--e3);background:var(--e3)}.e4{fill:var(--e4);background:var(--e4)}
.other{fill:var(--dot);fill-opacity:.45}i.other{background:var(--dot);border-radius:50%}
.front{stroke:var(--card);stroke-width:1.5}.near{stroke:var(--ink);stroke-width:2}
.plot text{font-size:12px;fill:var(--soft)}.plot line{stroke:var(--line)}
.scroll{overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:8px;
max-height:640px;overflow-y:auto}
table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums}
th,td{padding:6px 12px;text-align:right;white-space:nowrap;border-bottom:1px solid var(--line)}
th:first-child,td:first-child{text-align:left}thead th{position:sticky;top:0;background:var(--card);
color:var(--soft);font-weight:600}
tbody th{font-weight:500}.wide{min-width:150px}.sum th,.sum td{font-weight:600;border-bottom:0}
tr.near td{background:var(--line)}small{color:var(--soft)}
details{margin-top:24px}summary{cursor:pointer;margin-bottom:8px}details table{width:auto}
#tip{position:fixed;display:none;max-width:320px;padding:8px 10px;border-radius:6px;background:var(--ink);
color:var(--page);
font-size:13px;line-height:1.4;white-space:pre-line;pointer-events:none;z-index:1}
@media (max-width:600px){body{padding:16px 12px 32px}h1{font-size:22px}th,td{padding:6px 8px}
.plot text{font-size:18px}.plot circle{stroke-width:1}}
)css";

constexpr std::string_view kScript = R"js(
(function () {
  var tip = document.getElementById('tip'), near = null;
  var dots = Array.prototype.slice.call(document.querySelectorAll('.plot circle'));
  function mark(element, on) {
    if (!element) return;
    element.classList.toggle('near', on);
    var row = document.querySelector('tr[data-row="' + element.dataset.row + '"]');
    if (row) row.classList.toggle('near', on);
  }
  function nearest(x, y) {
    var best = null, least = 24 * 24;
    dots.forEach(function (dot) {
      var box = dot.getBoundingClientRect();
      var dx = box.left + box.width / 2 - x, dy = box.top + box.height / 2 - y;
      var distance = dx * dx + dy * dy - (dot.classList.contains('front') ? 36 : 0);
      if (distance < least) { least = distance; best = dot; }
    });
    return best;
  }
  document.addEventListener('pointermove', function (event) {
    var inPlot = event.target.closest && event.target.closest('.plot');
    var found = inPlot ? nearest(event.clientX, event.clientY)
                       : event.target.closest && event.target.closest('[data-tip]');
    if (found !== near) { mark(near, false); if (inPlot) mark(found, true); near = found; }
    tip.style.display = found ? 'block' : 'none';
    if (!found) return;
    tip.textContent = found.dataset.tip;
    tip.style.left = Math.max(4, Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8)) + 'px';
    tip.style.top = Math.max(4, Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8)) + 'px';
  });
})();
)js";

std::string Fixed(double value) {
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), "%.1f", value);
  return text.data();
}

std::string TickText(double value) {
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), "%.4g", value);
  return text.data();
}

}  // namespace

std::string Page(std::string_view title, std::string_view body) {
  return StrCat(
      "<!doctype html>\n<html lang=en><meta charset=utf-8>\n"
      "<meta name=viewport content=\"width=device-width,initial-scale=1\">\n<title>",
      EscapeHtml(title), "</title>\n<style>", kStyle, "</style>\n<body>\n", body,
      "\n<div id=tip></div>\n<script>", kScript, "</script>\n</body></html>\n");
}

PlotAxis PlotAxis::Fit(std::span<const double> values) {
  PlotAxis axis;
  if (values.empty()) return axis;
  const auto [least, most] = std::ranges::minmax(values);
  axis.is_log = least > 0;
  if (axis.is_log) {
    const double room = std::max(1.1, std::pow(most / least, 0.05));
    axis.least = least / room;
    axis.most = most * room;
  } else {
    axis.least = std::min(0.0, least);
    axis.most = most > axis.least ? most + 0.05 * (most - axis.least) : axis.least + 1;
  }
  return axis;
}

double PlotAxis::At(double value) const {
  if (is_log) return std::log(value / least) / std::log(most / least);
  return (value - least) / (most - least);
}

std::vector<double> PlotAxis::Ticks() const {
  std::vector<double> ticks;
  if (!is_log) {
    const double raw = (most - least) / 6, unit = std::pow(10, std::floor(std::log10(raw)));
    const double step = raw / unit > 5 ? 10 * unit : raw / unit > 2 ? 5 * unit : 2 * unit;
    for (double at = std::ceil(least / step) * step; at <= most; at += step) ticks.push_back(at);
    return ticks;
  }
  const double decades = std::log10(most / least);
  for (double power = std::pow(10, std::floor(std::log10(least))); power <= most; power *= 10) {
    for (const double digit : {1.0, 1.5, 2.0, 3.0, 5.0, 7.0}) {
      if (digit != 1 && decades > 4) continue;
      if ((digit == 3 || digit == 1.5 || digit == 7) && decades > 1) continue;
      const double at = digit * power;
      if (at >= least && at <= most) ticks.push_back(at);
    }
  }
  return ticks;
}

std::string PlotFrame::Grid(const PlotAxis& x, const PlotAxis& y, std::string_view x_title,
                            std::string_view y_title) const {
  std::string svg;
  const double floor = height - bottom, end = width - right;
  for (const double tick : x.Ticks()) {
    const std::string at = Fixed(X(x, tick));
    svg += StrCat("<line x1=", at, " x2=", at, " y1=", top, " y2=", floor, "></line><text x=", at,
                  " y=", floor + 18, " text-anchor=middle>", TickText(tick), "</text>");
  }
  for (const double tick : y.Ticks()) {
    const std::string at = Fixed(Y(y, tick));
    svg += StrCat("<line x1=", left, " x2=", end, " y1=", at, " y2=", at, "></line><text x=", left - 8,
                  " y=", Fixed(Y(y, tick) + 4), " text-anchor=end>", TickText(tick), "</text>");
  }
  return StrCat(svg, "<text x=", Fixed((left + end) / 2), " y=", height - 8, " text-anchor=middle>", x_title,
                "</text><text transform=\"translate(14 ", Fixed((top + floor) / 2),
                ") rotate(-90)\" text-anchor=middle>", y_title, "</text>");
}

void WriteHtml(const std::string& path, const std::string& html) {
  if (path == "-") {
    throw Error(ErrorCode::kUsage,
                "--html -: a page goes into a file, as standard output has the text or --json: name one");
  }
  AtomicFile file(path);
  file.Write(html);
  file.Commit();
}

}  // namespace edgewise
