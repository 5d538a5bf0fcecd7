// What `bench` found, as lines: for the terminal, as Markdown, CSV and JSON. All four show the same
// figures; CSV and JSON also the exact ends of every spread and the roofs of each line.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/bench_run.h"
#include "cli/json.h"
#include "cli/table.h"

namespace edgewise {

// A test's result as it is shown.
struct BenchLine {
  std::string test, type, isa, k_type, v_type;
  uint32_t threads = 1;
  std::string beside;  // "", "1:pin", "3"
  Spread tok_s, gb_s, gop_s;
  Spread roof_share;             // of the roofs measured just before and after each run
  double roof_share_of_best = 0;  // of the best roofs seen at any time
  std::string bound;
  kernels::Roof near;          // medians of those before and after
  double load_average = 0;     // the highest at the end of a run
  double stolen_share = 0;     // of all CPUs' time during the runs
  std::optional<double> joules_per_token;  // of the CPU's packages, where they are counted
  std::optional<double> kept;  // of the speed of the same test alone
  std::optional<double> of_one_thread;  // over that of one thread beside the same processes
};

// How the tests were run, the same for all lines.
struct BenchSetup {
  std::string type, isa, k_type, v_type;
};
std::vector<BenchLine> LinesOf(const BenchReport& report, const BenchSetup& setup);

// A rectangle of text. Columns that say nothing (no neighbours, one type of KV cache) are left out; beside
// neighbours GB/s and GOP/s too, or it would be too wide.
struct BenchTable {
  std::vector<std::string> headings;  // '<' before those of columns aligned to the left
  std::vector<std::vector<std::string>> rows;

  std::string ToText() const;
  std::string ToMarkdown() const;
};
BenchTable TableOf(const std::vector<BenchLine>& lines);
std::string CsvOf(const std::vector<BenchLine>& lines);
Json JsonOf(const BenchLine& line);

// Sentences, each on a line of its own: the roofs by number of threads, and what to know about them.
std::string RoofText(const BenchReport& report);
Json JsonOf(const MachineRoof& roof);

// "12.3": three significant digits or so.
std::string Rate(double value);
std::string Percent(double share);  // without the sign

}  // namespace edgewise
