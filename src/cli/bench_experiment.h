// Experiments as data: which models, in which types, are measured how (bench/README.md has the format).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace edgewise {

// One run of `bench`, in a process of its own: the instruction set is chosen once per process.
struct ExperimentRun {
  std::string shape;  // of `synth`; "" for the bundled model
  std::string type;   // of `synth`
  bool pure = false;
  std::string isa;  // "" for the best
  std::vector<std::string> flags;

  // "tinyllama-1.1b-q4_k-pure.gguf": what is made once serves all experiments.
  std::string file_name() const;
};

struct Experiment {
  std::string name;  // of the file, without folder and extension
  std::string title;
  std::vector<ExperimentRun> runs;
};

// From the text of an experiment's file. Throws Error(kUsage): what line is wrong, and how.
Experiment ParseExperiment(std::string_view text, const std::string& name);

struct ExperimentOptions {
  std::string file;
  std::optional<std::string> models, results;  // folders
  std::optional<uint32_t> repeats;             // instead of the file's
  std::string output;                          // "table", "md", "csv", "json"
};
// Makes the models that are missing, runs everything, prints and writes the results. Returns the exit
// status: 1 when a run failed, after all others. Throws Error.
int RunExperiment(const ExperimentOptions& options);

}  // namespace edgewise
