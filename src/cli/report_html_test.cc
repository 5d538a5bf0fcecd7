#include "cli/report_html.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace edgewise {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Report Small() {
  Report report;
  report.title = "a </script><b> & \"model\"";
  report.first = "It was predicted at 10 and measured at 11.";
  report.tiles = {{"11 tok/s", "decode"}};
  report.roofs = {{"floats, 1 thread", 10e9, 100e9}};
  report.series = {{"decode</script>, measured", false, 0, {{"gate", 2, 15e9, "a note"}}}};
  report.times = {
      {"tg4", {{"predicted", {{"head", 1}, {"waiting", 2}}}, {"measured", {{"head", 3}, {"waiting", 4}}}}}};
  report.memory = ReportMemory{{{"weights", 6e8}, {"KV cache", 1e8}}, 1e9};
  report.tables = {{"Operators", {"<name", "ms"}, {{"gate<", "1.5"}}}};
  return report;
}

TEST(ReportHtml, CarriesTheLibraryWithItsLicence) {
  const std::string page = ReportHtml(Small());
  EXPECT_THAT(page, HasSubstr("Chart.js v"));
  EXPECT_THAT(page, HasSubstr("Released under the MIT License"));
  // Nothing is fetched: the library names its own page in the licence note and SVG's namespace, no more.
  for (const char* part : {" src=", " href=", "@import", "url(", "fetch("}) {
    const std::string own = page.substr(0, page.find("/*!\n * Chart.js"));
    EXPECT_THAT(own, Not(HasSubstr(part)));
  }
}

TEST(ReportHtml, NothingGivenEndsAScriptOrBeginsAnElement) {
  const std::string page = ReportHtml(Small());
  size_t begins = 0, ends = 0;
  for (size_t at = page.find("<script"); at != std::string::npos; at = page.find("<script", at + 1)) ++begins;
  for (size_t at = page.find("</script>"); at != std::string::npos; at = page.find("</script>", at + 1))
    ++ends;
  EXPECT_EQ(begins, ends);
  EXPECT_EQ(begins, 4u);  // data, library, drawing, the page's own
  EXPECT_THAT(page, HasSubstr("a &lt;/script&gt;&lt;b&gt; &amp; &#34;model&#34;"));
  EXPECT_THAT(page, HasSubstr("gate&lt;"));
  EXPECT_THAT(page, HasSubstr("decode\\u003c/script>, measured"));
}

TEST(ReportHtml, MemoryShowsWhatIsLeftAndWhatIsTooMuch) {
  Report report = Small();
  EXPECT_THAT(ReportHtml(report), HasSubstr("left 286.1 MiB"));
  report.memory->usable_bytes = 5e8;
  EXPECT_THAT(ReportHtml(report), HasSubstr("190.7 MiB more than the device has for it."));
}

TEST(ReportHtml, LeavesOutWhatIsNotGiven) {
  Report report;
  report.title = "nothing";
  const std::string page = ReportHtml(report);
  EXPECT_THAT(page, Not(HasSubstr("Chart.js")));
  EXPECT_THAT(page, Not(HasSubstr("<canvas")));
  EXPECT_THAT(page, Not(HasSubstr("Memory")));
}

}  // namespace
}  // namespace edgewise
