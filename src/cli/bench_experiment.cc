#include "cli/bench_experiment.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "base/atomic_file.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/toml.h"
#include "cli/bench_report.h"
#include "cli/console.h"
#include "cli/machine_state.h"
#include "cli/text.h"
#include "kernels/kernels.h"
#include "model/synth.h"

namespace edgewise {
namespace {

namespace fs = std::filesystem;
using Document = nlohmann::ordered_json;

constexpr size_t kMostRuns = 1000;

// ---- reading ----

[[noreturn]] void Fail(const std::string& name, const toml::node* node, const std::string& what) {
  const uint32_t line = node == nullptr ? 0 : node->source().begin.line;
  throw Error(ErrorCode::kUsage,
              StrCat(Printable(name), ".toml", line == 0 ? "" : StrCat(":", line), ": ", what));
}

// One table of the file. Keys are asked for by name; what nobody asked for is an error at the end.
class Keys {
 public:
  Keys(const std::string& name, const toml::table& table) : name_(name), table_(table) {}

  std::string Text(const char* key, const char* fallback) {
    const toml::node* node = Find(key);
    if (node == nullptr) return fallback;
    const auto value = node->value_exact<std::string>();
    if (!value) Fail(name_, node, StrCat(key, " is a text in quotes"));
    return *value;
  }
  bool Switch(const char* key) {
    const toml::node* node = Find(key);
    if (node == nullptr) return false;
    const auto value = node->value_exact<bool>();
    if (!value) Fail(name_, node, StrCat(key, " is true or false"));
    return *value;
  }
  std::vector<std::string> Texts(const char* key, std::vector<std::string> fallback) {
    return List<std::string>(key, std::move(fallback), "texts in quotes");
  }
  std::string Number(const char* key) {  // "" when the key is absent
    const toml::node* node = Find(key);
    if (node == nullptr) return "";
    const auto value = node->value_exact<int64_t>();
    if (!value || *value < 1) Fail(name_, node, StrCat(key, " is a whole number above 0"));
    return std::to_string(*value);
  }
  // As a flag takes them: "1,2"; "" when the key is absent.
  std::string Numbers(const char* key) {
    std::string text;
    for (const int64_t value : List<int64_t>(key, {}, "whole numbers")) {
      if (value < 0) Fail(name_, Find(key), StrCat(key, " has a negative number"));
      text += (text.empty() ? "" : ",") + std::to_string(value);
    }
    return text;
  }
  const toml::array* Tables(const char* key) {
    const toml::node* node = Find(key);
    return node == nullptr ? nullptr : node->as_array();
  }
  void Finish() const {
    for (const auto& [key, node] : table_) {
      if (asked_.contains(std::string(key.str()))) continue;
      Fail(name_, &node, StrCat("unknown key '", Printable(std::string(key.str())), "'"));
    }
  }

 private:
  const toml::node* Find(const char* key) {
    asked_.insert(key);
    return table_.get(key);
  }
  template <typename T>
  std::vector<T> List(const char* key, std::vector<T> fallback, const char* what) {
    const toml::node* node = Find(key);
    if (node == nullptr) return fallback;
    const toml::array* array = node->as_array();
    std::vector<T> values;
    for (size_t i = 0; array != nullptr && i < array->size(); ++i) {
      const auto value = (*array)[i].template value_exact<T>();
      if (!value) break;
      values.push_back(*value);
    }
    if (array == nullptr || array->empty() || values.size() != array->size()) {
      Fail(name_, node, StrCat(key, " is a list of ", what));
    }
    return values;
  }

  const std::string& name_;
  const toml::table& table_;
  std::set<std::string> asked_;
};

// The runs of one [[case]]: every model type with every instruction set and every KV type.
void AddRuns(Keys& keys, const std::string& threads, std::vector<ExperimentRun>& runs) {
  const std::string shape = keys.Text("shape", "");
  const bool pure = keys.Switch("pure");
  const auto types = keys.Texts("types", {""});
  const auto isas = keys.Texts("isa", {"best"});
  const auto kv_types = keys.Texts("kv", {"f16"});
  const auto neighbours = keys.Texts("neighbours", {});
  std::vector<std::string> flags;
  const auto add = [&](const char* flag, const std::string& value) {
    if (!value.empty()) flags.insert(flags.end(), {flag, value});
  };
  const std::string own_threads = keys.Numbers("threads");
  add("-t", own_threads.empty() ? threads : own_threads);
  const std::string prompts = keys.Numbers("prompt"), generates = keys.Numbers("generate");
  add("-p", prompts.empty() ? "0" : prompts);
  add("-n", generates.empty() ? "0" : generates);
  add("-d", keys.Numbers("depth"));
  add("--batch-decode", keys.Numbers("batch_decode"));
  for (const std::string& who : neighbours) add("--neighbour", who);
  if (keys.Switch("ops")) flags.emplace_back("--ops");
  if (keys.Switch("pin")) flags.emplace_back("--pin");
  if (keys.Switch("huge_pages")) flags.emplace_back("--huge-pages");
  for (const std::string& kv : kv_types) {
    for (const std::string& isa : isas) {
      for (const std::string& type : types) {
        ExperimentRun run = {.shape = shape,
                             .type = type,
                             .pure = pure,
                             .isa = isa == "best" ? "" : isa,
                             .flags = flags};
        run.flags.insert(run.flags.end(), {"-ctk", kv, "-ctv", kv});
        runs.push_back(std::move(run));
      }
    }
  }
}

// ---- running ----

std::string DefaultModelsFolder() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  if (cache != nullptr && *cache != '\0') return std::string(cache) + "/edgewise";
  if (home != nullptr && *home != '\0') return std::string(home) + "/.cache/edgewise";
  throw Error(ErrorCode::kUsage, "neither HOME nor XDG_CACHE_HOME is set: give a folder by --models");
}

void MakeFolder(const std::string& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw Error(ErrorCode::kIo, StrCat("cannot make the folder ", folder, ": ", error.message()));
}

// The path of a run's model, made when it is missing; "" for the bundled one.
std::string ModelOf(const ExperimentRun& run, const std::string& folder) {
  if (run.shape.empty()) return "";
  const std::string path = folder + "/" + run.file_name();
  if (fs::exists(path)) return path;
  MakeFolder(folder);
  WriteJob job("writing " + run.file_name());
  Synthesize(ShapeNamed(run.shape), path,
             {.type = run.type, .pure = run.pure, .seed = 1, .threads = 1},
             [&](uint64_t done, uint64_t total) { job.Show(done, total); });
  job.Finish();
  return path;
}

// What `bench` writes to stdout as JSON, in a process of its own; nullopt when it failed, having said why.
std::optional<std::string> OutputOf(const std::vector<std::string>& arguments, const std::string& isa) {
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  std::string forced = "EDGEWISE_ISA=" + isa;
  std::vector<char*> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (!std::string_view(*entry).starts_with("EDGEWISE_ISA=")) environment.push_back(*entry);
  }
  if (!isa.empty()) environment.push_back(forced.data());
  environment.push_back(nullptr);

  std::array<int, 2> ends;
  if (pipe2(ends.data(), O_CLOEXEC) != 0) {
    throw Error(ErrorCode::kLimit, StrCat("no pipe: ", std::strerror(errno)));
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  pid_t child = 0;
  const int error =
      posix_spawn(&child, "/proc/self/exe", &actions, nullptr, argv.data(), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  std::string text;
  std::array<char, 1 << 16> buffer;
  for (ssize_t count = 0; error == 0; text.append(buffer.data(), static_cast<size_t>(count))) {
    count = read(ends[0], buffer.data(), buffer.size());
    if (count == 0 || (count < 0 && errno != EINTR)) break;
    count = std::max<ssize_t>(count, 0);
  }
  close(ends[0]);
  if (error != 0) throw Error(ErrorCode::kLimit, StrCat("cannot start a run: ", std::strerror(error)));
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return {};
  return text;
}

Spread SpreadFrom(const Document& json, const std::string& key) {
  return {json.at(key), json.at(key + "_min"), json.at(key + "_max")};
}

// What JsonOf(BenchLine) wrote.
BenchLine LineFrom(const Document& json) {
  BenchLine line;
  line.test = json.at("test");
  line.type = json.at("type");
  line.isa = json.at("isa");
  line.k_type = json.at("cache_type_k");
  line.v_type = json.at("cache_type_v");
  line.threads = json.at("threads");
  line.beside = json.at("beside");
  line.tok_s = SpreadFrom(json, "tok_s");
  line.gb_s = SpreadFrom(json, "gb_s");
  line.gop_s = SpreadFrom(json, "gop_s");
  line.roof_share = SpreadFrom(json, "roof_share");
  line.roof_share_of_best = json.at("roof_share_of_best");
  line.bound = json.at("bound");
  line.near = {.read_gb_s = json.at("roof_read_gb_s"),
               .cached_gb_s = json.at("roof_cached_gb_s"),
               .int8_gops = json.at("roof_int8_gops"),
               .narrow_gops = json.at("roof_narrow_gops"),
               .f32_gops = json.at("roof_f32_gops")};
  line.load_average = json.at("load_average");
  line.stolen_share = json.at("stolen_share");
  if (json.contains("kept")) line.kept = json.at("kept").get<double>();
  if (json.contains("of_one_thread")) line.of_one_thread = json.at("of_one_thread").get<double>();
  if (json.contains("joules_per_token")) line.joules_per_token = json.at("joules_per_token").get<double>();
  return line;
}

// Lines of the same model and instruction set, one table.
struct Section {
  std::string title;
  std::vector<BenchLine> lines;
};

std::string Markdown(const Experiment& experiment, const std::vector<Section>& sections,
                     const std::vector<std::string>& notes) {
  std::string out = StrCat("# ", experiment.name, ": ", experiment.title, "\n\n", MachineText());
  for (const Section& section : sections) {
    out += StrCat("\n## ", section.title, "\n\n", TableOf(section.lines).ToMarkdown());
  }
  if (!notes.empty()) out += "\n";
  for (const std::string& note : notes) out += StrCat("- ", note, "\n");
  return out;
}

std::string PlainText(const Experiment& experiment, const std::vector<Section>& sections) {
  std::string out = StrCat(experiment.name, ": ", experiment.title, "\n");
  for (const Section& section : sections) {
    out += StrCat("\n", section.title, "\n", TableOf(section.lines).ToText());
  }
  return out;
}

std::string Csv(const std::vector<Section>& sections) {
  std::vector<BenchLine> lines;
  for (const Section& section : sections) {
    lines.insert(lines.end(), section.lines.begin(), section.lines.end());
  }
  return CsvOf(lines);
}

void WriteText(const std::string& path, const std::string& text) {
  AtomicFile file(path);
  file.Write(text);
  file.Commit();
}

}  // namespace

std::string ExperimentRun::file_name() const {
  return Lower(StrCat(shape, "-", type, pure ? "-pure" : "", ".gguf"));
}

Experiment ParseExperiment(std::string_view text, const std::string& name) {
  const toml::table root = ParseToml(text, StrCat(Printable(name), ".toml"));
  Experiment experiment;
  experiment.name = name;
  Keys keys(name, root);
  experiment.title = keys.Text("title", "");
  const std::string repeats = keys.Number("repetitions"), threads = keys.Numbers("threads");
  const toml::array* cases = keys.Tables("case");
  keys.Finish();
  if (cases == nullptr || cases->empty()) Fail(name, nullptr, "it has no [[case]]");
  for (const toml::node& node : *cases) {
    if (!node.is_table()) Fail(name, &node, "a case is a table: [[case]]");
    Keys one(name, *node.as_table());
    std::vector<ExperimentRun> runs;
    AddRuns(one, threads, runs);
    one.Finish();
    for (ExperimentRun& run : runs) {
      if (run.shape.empty() != run.type.empty()) Fail(name, &node, "shape and types belong together");
      if (!run.shape.empty()) ShapeNamed(run.shape);
      if (!repeats.empty()) run.flags.insert(run.flags.end(), {"-r", repeats});
      experiment.runs.push_back(std::move(run));
    }
    if (experiment.runs.size() > kMostRuns) Fail(name, &node, StrCat("more than ", kMostRuns, " runs"));
  }
  return experiment;
}

int RunExperiment(const ExperimentOptions& options) {
  Experiment experiment =
      ParseExperiment(ReadText(options.file), fs::path(options.file).stem().string());
  const std::string folder = options.models ? *options.models : DefaultModelsFolder();
  if (options.results) MakeFolder(*options.results);
  const InterruptGuard interrupt;
  std::vector<Section> sections;
  std::vector<std::string> notes;
  Document documents = Document::array();
  int failed = 0;
  for (const ExperimentRun& run : experiment.runs) {
    const std::string what = run.shape.empty() ? "the bundled model" : run.file_name();
    const auto has = [](kernels::Isa isa, const std::string& name) { return NameOf(isa) == name; };
    if (!run.isa.empty() && std::ranges::none_of(kernels::SupportedIsas(), [&](kernels::Isa isa) {
          return has(isa, run.isa);
        })) {
      notes.push_back(StrCat(what, ", ", run.isa, ": left out, this machine has no ", run.isa));
      continue;
    }
    std::vector<std::string> arguments = {"edgewise", "bench", "-o", "json"};
    arguments.insert(arguments.end(), run.flags.begin(), run.flags.end());
    if (options.repeats) {
      const auto flag = std::ranges::find(arguments, "-r");
      if (flag != arguments.end()) arguments.erase(flag, flag + 2);
      arguments.insert(arguments.end(), {"-r", std::to_string(*options.repeats)});
    }
    const std::string model = ModelOf(run, folder);
    if (!model.empty()) arguments.insert(arguments.end(), {"-m", model});
    std::fprintf(stderr, "%s: %zu of %zu: %s%s%s\n", experiment.name.c_str(),
                 static_cast<size_t>(&run - experiment.runs.data()) + 1, experiment.runs.size(),
                 what.c_str(), run.isa.empty() ? "" : ", ", run.isa.c_str());
    const std::optional<std::string> output = OutputOf(arguments, run.isa);
    if (interrupt.flag()) throw Error(ErrorCode::kIo, "interrupted");
    if (!output) {
      ++failed;
      notes.push_back(StrCat(what, ": failed"));
      continue;
    }
    Document document = Document::parse(*output);
    const std::string title = StrCat(run.shape.empty() ? "bundled model" : run.shape, ", ",
                                     document.at("isa").get<std::string>());
    if (sections.empty() || sections.back().title != title) sections.push_back({title, {}});
    for (const Document& json : document.at("results")) {
      sections.back().lines.push_back(LineFrom(json));
    }
    document["model"] = what;
    document.erase("machine");  // once for all
    documents.push_back(std::move(document));
  }

  Document all;
  all["experiment"] = experiment.name;
  all["title"] = experiment.title;
  all["machine"] = Document::parse(MachineJson().Text());
  all["notes"] = notes;
  all["runs"] = std::move(documents);
  const std::string json = all.dump(1) + "\n", markdown = Markdown(experiment, sections, notes);
  if (options.results) {
    WriteText(StrCat(*options.results, "/", experiment.name, ".json"), json);
    WriteText(StrCat(*options.results, "/", experiment.name, ".md"), markdown);
  }
  Write(options.output == "json"  ? json
        : options.output == "md"  ? markdown
        : options.output == "csv" ? Csv(sections)
                                  : PlainText(experiment, sections));
  if (failed > 0) {
    throw Error(ErrorCode::kIo, StrCat(failed, " of ", experiment.runs.size(), " runs failed"));
  }
  return 0;
}

}  // namespace edgewise
