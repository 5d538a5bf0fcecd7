// What `bench` measures: one test is a prompt or a generation of given length at a given depth of
// context, on so many threads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "base/function_ref.h"
#include "engine/engine.h"
#include "graph/cost.h"
#include "kernels/roof.h"

namespace edgewise {

struct BenchTest {
  uint32_t prompt = 0;    // tokens prefilled, or
  uint32_t generate = 0;  // tokens decoded one after the other
  uint32_t slots = 1;     // sequences decoded at once
  uint32_t depth = 0;     // positions in the cache beforehand
  uint32_t threads = 1;

  std::string name() const;  // "pp256", "tg32@b4", "pp256@d4096"
  uint64_t tokens() const { return uint64_t{prompt} + uint64_t{generate} * slots; }
};

// What one run of a test took and counted.
struct BenchSample {
  Seconds elapsed;
  OpCost counted;
};

struct BenchResult {
  BenchTest test;
  std::vector<BenchSample> samples;  // in the order of the repeats

  double tok_s(const BenchSample& sample) const;
  BenchSample median() const;  // by time
};

struct MachineRoof {
  uint32_t threads = 1;
  kernels::Roof best;           // of all probes
  double read_gb_s_median = 0;  // of the probes, to show how steady the machine was
};

struct BenchPlan {
  std::vector<BenchTest> tests;
  uint32_t repeats = 5;
  EngineOptions options;  // threads, context, slots and logit_rows are set per engine
};

struct BenchReport {
  std::vector<BenchResult> results;  // in the order of the plan's tests
  std::vector<MachineRoof> roofs;    // by number of threads
};

// The engine that the plan needs for one number of threads. Throws Error(kUsage) as
// ResolveOptions().
EngineOptions BenchEngineOptions(const Model& model, const BenchPlan& plan, uint32_t threads);

// Runs each test once to warm up, then `repeats` rounds over all of them, so that a disturbance
// does not hit one test alone; each round also probes the roofs. progress: rounds of tests done, of
// how many; it may throw.
BenchReport RunBench(const Model& model, const BenchPlan& plan,
                     FunctionRef<void(uint64_t done, uint64_t total)> progress);

// Seconds that these bytes and operations take at least. The two overlap, so the larger counts.
struct RoofTime {
  double memory = 0, compute = 0;
  double least() const { return std::max(memory, compute); }
};
RoofTime TimeAtRoof(const OpCost& cost, const MachineRoof& roof, bool integer);

}  // namespace edgewise
