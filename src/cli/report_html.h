// A report of what a model costs on a device, as a page that opens offline: a roofline plot with every
// operator a point, where the time goes, what the memory holds, and tables. Drawn by Chart.js, which the page
// carries.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace edgewise {

// What a machine can do at most.
struct RoofLine {
  std::string name;         // "2 threads, 8-bit integers"
  double read_bytes_s = 0;  // the slope
  double peak_ops_s = 0;    // the ceiling
};

struct RoofPoint {
  std::string name;      // "gate"
  double intensity = 0;  // operations per byte
  double ops_s = 0;
  std::string note;  // under the pointer: "12.1 ms, 41% of the time, 93% of the roof"
};
// Points of one colour: the operators of a test.
struct RoofSeries {
  std::string name;     // "decode, measured"
  bool hollow = false;  // predicted, beside the measured ones of the same colour
  uint32_t color = 0;   // 0 to 5
  std::vector<RoofPoint> points;
};

struct ReportPart {
  std::string name;
  double value = 0;
};
// One stacked bar; bars of a group are drawn to one scale, with the same parts in the same order (at most 6).
struct ReportBar {
  std::string label;              // "predicted"
  std::vector<ReportPart> parts;  // seconds
};
struct BarGroup {
  std::string title;  // "tg32, 2 threads"
  std::vector<ReportBar> bars;
};

struct ReportMemory {
  std::vector<ReportPart> parts;  // bytes, at most 6
  double usable_bytes = 0;        // of the device
};

struct ReportTable {
  std::string title;
  std::vector<std::string> headings;  // '<' before those of columns aligned to the left
  std::vector<std::vector<std::string>> rows;
};

struct Report {
  std::string title;
  std::string first;                                       // the answer in a sentence or two
  std::vector<std::pair<std::string, std::string>> tiles;  // figure, what it is
  std::vector<RoofLine> roofs;
  std::vector<RoofSeries> series;
  std::vector<BarGroup> times;
  std::optional<ReportMemory> memory;
  std::vector<ReportTable> tables;
  std::string note;  // what the figures mean, where they come from
};
// Parts of the page for which nothing is given are left out.
std::string ReportHtml(const Report& report);

// The library as Debian packages it, its licence note first (chart_js.cc is made by the build).
std::string_view ChartJs();

}  // namespace edgewise
