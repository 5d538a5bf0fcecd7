#include "cli/chip_html.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/test_files.h"
#include "cli/html.h"
#include "machine/chip_applications.h"
#include "machine/chip_catalog.h"

namespace edgewise {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

ChipDesign Named(const std::string& name) {
  return ChipCatalog({std::string(EDGEWISE_SOURCE_DIR) + "/chips"}).Find(name);
}

size_t CountOf(std::string_view text, std::string_view part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

// What a browser would fetch.
void ExpectSelfContained(const std::string& page) {
  for (const char* part : {"src=", "href=", "@import", "url(", "fetch("})
    EXPECT_THAT(page, Not(HasSubstr(part)));
  std::string rest = page;
  for (size_t at = rest.find("http"); at != std::string::npos; at = rest.find("http", at + 1)) {
    EXPECT_EQ(rest.substr(at, 26), "http://www.w3.org/2000/svg");  // a name, not an address
  }
}

TEST(ChipHtml, PictureShowsOneLitRowOfEight) {
  const std::string svg = LitRowsSvg({});
  EXPECT_EQ(CountOf(svg, "class=\"lit\""), 8u);
  EXPECT_EQ(CountOf(svg, "class=\"idle\""), 56u);
  EXPECT_THAT(svg, HasSubstr("1 of 8 rows works, 12.5%"));
  EXPECT_EQ(CountOf(LitRowsSvg({.lit = 8}), "class=\"idle\""), 0u);
  EXPECT_EQ(CountOf(LitRowsSvg({.rows = 4096, .cols = 4096, .lit = 4096}), "class=\"lit\""),
            256u);  // no more than can be seen
}

TEST(ChipHtml, TheReadmesPictureIsOurs) {
  const std::string path = testing::TempDir() + "/one-lit-row.svg";
  WriteHtml(path, LitRowsSvg({.note = "at the cost of one"}));
  EXPECT_EQ(ReadFile(std::string(EDGEWISE_SOURCE_DIR) + "/docs/images/one-lit-row.svg"), ReadFile(path))
      << "the picture as it should be: " << path;
}

TEST(ChipHtml, PagesStandAlone) {
  const ChipDesign design = Named("compact-rtl");
  const std::string page = ChipHtml(design, WorkloadNamed("tinyllama-1.1b", {}), 1, "first <thing>");
  ExpectSelfContained(page);
  EXPECT_THAT(page, HasSubstr("first &lt;thing&gt;"));
  EXPECT_THAT(page, HasSubstr("prefers-color-scheme"));
  EXPECT_EQ(CountOf(page, "class=\"lit\""), 8u);

  SweepPlan plan{
      .bases = {design}, .axes = {ParseSweepAxis("array.macs=1,2,4,600")}, .task = {}, .task_name = "a & b"};
  plan.task = TaskOfNetwork("tinyllama-1.1b", {});
  const SweepResult result = RunSweep(plan, {});
  const std::string sweep = SweepHtml(plan, result);
  ExpectSelfContained(sweep);
  EXPECT_EQ(CountOf(sweep, "<tr data-row"), result.front.size());
  EXPECT_THAT(sweep, HasSubstr("a &amp; b"));
  EXPECT_THAT(sweep, HasSubstr("array.macs is 600"));
}

TEST(ChipHtml, AnEmptyFrontIsSaid) {
  SweepPlan plan{
      .bases = {Named("edge-mid")}, .axes = {ParseSweepAxis("array.macs=2,3")}, .task = {}, .task_name = "x"};
  plan.task = TaskOfNetwork("tinyllama-1.1b", {});
  EXPECT_THAT(SweepHtml(plan, RunSweep(plan, {})), HasSubstr("None is possible"));
}

TEST(Html, AxesHoldTheirValuesAndTicks) {
  for (const std::vector<double>& values :
       {std::vector<double>{1, 1000}, {0.5, 0.5}, {0, 0}, {0, 7}, {3, 4, 5}, {1e-9, 1e9}}) {
    const PlotAxis axis = PlotAxis::Fit(values);
    for (const double value : values) {
      EXPECT_GE(axis.At(value), -1e-9);
      EXPECT_LE(axis.At(value), 1 + 1e-9);
    }
    const std::vector<double> ticks = axis.Ticks();
    EXPECT_LE(ticks.size(), 24u);
    for (const double tick : ticks) EXPECT_TRUE(axis.At(tick) >= -1e-9 && axis.At(tick) <= 1 + 1e-9) << tick;
  }
}

}  // namespace
}  // namespace edgewise
