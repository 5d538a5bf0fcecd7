// Where the time of a test went, operator by operator, and which kernels computed it (`bench --ops`).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cli/bench_run.h"
#include "cli/json.h"

namespace edgewise {

// A kernel chosen for a weight type and a number of columns, and what stood in the way of a better one.
struct KernelChoice {
  std::string type, columns;  // "Q4_0", "one"
  std::string isa, how;       // "avx2", "8 rows at once, ..."
  std::string why;            // "this CPU lacks avx512vnni"; "" where none is better
};
KernelChoice ChoiceOf(const kernels::KernelTable& table, DType type, uint32_t k, uint32_t m);

// One line for each role that moved bytes, computed or took time, in the order of the step.
struct OpLine {
  std::string role, types;
  Seconds busy;             // of all workers together
  double time_share = 0;    // of threads x wall
  Work work;
  std::optional<RoofShare> roof;  // none where nothing is counted or no time was seen
};
struct OpReport {
  std::vector<OpLine> lines;
  Seconds all;      // threads x wall
  Seconds waiting;  // of it in no operator: barriers, sleeping, the scheduler
  std::vector<KernelChoice> kernels;
};
// Of the run with the median time. Requires an engine with EngineOptions::profile.
OpReport OpsOf(const BenchResult& result);

std::string OpsText(const BenchResult& result, bool markdown);
Json OpsJson(const BenchResult& result);

}  // namespace edgewise
