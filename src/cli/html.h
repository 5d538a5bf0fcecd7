// Parts of a page that needs nothing but itself: its shell with style and script, and the frame of a plot.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace edgewise {

// A whole page. What has data-tip shows it under the pointer or finger; of circles in .plot the nearest does,
// and the table row with the same data-row lights up.
std::string Page(std::string_view title, std::string_view body);

// Whole or not at all. Throws Error(kIo), Error(kUsage) for "-".
void WriteHtml(const std::string& path, const std::string& html);

// Logarithmic over positive values, linear else.
struct PlotAxis {
  double least = 0, most = 1;
  bool is_log = false;

  static PlotAxis Fit(std::span<const double> values);
  double At(double value) const;  // 0 to 1
  std::vector<double> Ticks() const;
};

struct PlotFrame {
  double width, height;             // of the drawing
  double left, right, top, bottom;  // margins

  double X(const PlotAxis& x, double value) const { return left + x.At(value) * (width - left - right); }
  double Y(const PlotAxis& y, double value) const {
    return height - bottom - y.At(value) * (height - top - bottom);
  }
  // Lines, numbers and titles of both axes.
  std::string Grid(const PlotAxis& x, const PlotAxis& y, std::string_view x_title,
                   std::string_view y_title) const;
};

}  // namespace edgewise
