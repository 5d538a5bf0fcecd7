// What `bench` measures: one test is a prompt or a generation of given length at a given depth of
// context, on so many threads, alone or beside busy processes.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/function_ref.h"
#include "cli/neighbours.h"
#include "engine/engine.h"
#include "graph/cost.h"
#include "kernels/kernels.h"
#include "kernels/roof.h"

namespace edgewise {

struct BenchTest {
  uint32_t prompt = 0;    // tokens prefilled, or
  uint32_t generate = 0;  // tokens decoded one after the other
  uint32_t slots = 1;     // sequences decoded at once
  uint32_t depth = 0;     // positions in the cache beforehand
  uint32_t threads = 1;
  bool first_token = false;  // a text of `prompt` tokens: tokenised, prefilled, a token chosen
  Neighbourhood beside;

  std::string name() const;  // "pp256", "tg32@b4", "pp256@d4096", "ttft256"
  uint64_t tokens() const { return uint64_t{prompt} + uint64_t{generate} * slots; }
};

// What a test made the machine do at least.
struct Work {
  Bytes bytes;  // weights and KV
  Flops int8, narrow, floats;

  Flops flops() const { return int8 + narrow + floats; }
  Work& operator+=(const Work& other) {
    bytes += other.bytes;
    int8 += other.int8;
    narrow += other.narrow;
    floats += other.floats;
    return *this;
  }
};

// Which roof a time is held against.
enum class Bound : uint8_t { kMemory, kCache, kCompute };  // kCache: the weights fit one
const char* NameOf(Bound bound);

struct RoofShare {
  double share = 0;  // least time over the time taken
  Bound bound = Bound::kMemory;
};
// Reading and computing overlap, so the longer of both is the least time; computing with integers and
// with floats does not.
RoofShare ShareOf(const Work& work, Seconds taken, const kernels::Roof& roof);

// One run of a test. The roofs are of the same number of threads, alone, measured within seconds of it.
struct BenchSample {
  Seconds elapsed;
  Counters counters;
  Work work;  // the sum of work_by_role
  std::array<Work, kRoles> work_by_role;
  kernels::Roof before, after;
  double load_average = 0;  // at its end
  Seconds stolen;           // of all CPUs, meanwhile
  Seconds others;           // CPU time of other processes, meanwhile
  double drift = 1;         // what BenchPlan::before_run said
  double joules = 0;        // of the CPU's packages (base/rapl.h); 0 where nothing counts them

  kernels::Roof near() const;  // the mean of before and after
};

// A kernel that a test used.
struct KernelUse {
  Role role;
  DType type;
  uint32_t k, m;
  friend bool operator==(const KernelUse&, const KernelUse&) = default;
};

struct BenchResult {
  BenchTest test;
  std::vector<BenchSample> samples;  // in the order of the repeats
  std::vector<KernelUse> kernels;    // of its matrix products, by role, each once

  double tok_s(const BenchSample& sample) const;
  // The median of the runs; nothing where no energy is counted.
  std::optional<double> joules_per_token() const;
  const BenchSample& median() const;  // by time
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
  // The tokens of a text of so many, for tests of the first token: at least these.
  std::function<std::vector<TokenId>(uint32_t count)> tokenize = nullptr;
  // Called just before each run; what it says is kept as BenchSample::drift.
  std::function<double(const BenchTest& test)> before_run = nullptr;
};

struct BenchReport {
  std::vector<BenchResult> results;  // in the order of the plan's tests
  std::vector<MachineRoof> roofs;    // by number of threads
  uint64_t probe_bytes = 0;
  bool probe_fits_cache = false;  // its GB/s are partly those of a cache
  std::string no_energy;          // why no energy was measured; "" when it was
};

// The engine that the plan needs for one number of threads. Throws Error(kUsage) as
// ResolveOptions().
EngineOptions BenchEngineOptions(const Model& model, const BenchPlan& plan, uint32_t threads);

// Runs each test once to warm up, then `repeats` rounds over all of them, each in another order, so that
// neither a disturbance nor a drift hits one test alone. The roofs are probed before and after each run.
// progress: runs of tests done, of how many; it may throw.
BenchReport RunBench(const Model& model, const BenchPlan& plan,
                     FunctionRef<void(uint64_t done, uint64_t total)> progress);

// The work behind what was counted. `step` is one of the steps: it says which roles compute in what.
std::array<Work, kRoles> WorkOf(const Counters& counters, const Model& model, const Step& step);

// The least, the middle and the largest of some values. Requires one at least.
struct Spread {
  double median = 0, min = 0, max = 0;
};
Spread SpreadOf(std::vector<double> values);

}  // namespace edgewise
