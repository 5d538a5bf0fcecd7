#include "cli/options.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "base/cpus.h"
#include "base/error.h"
#include "cli/console.h"
#include "quant/recipe.h"

namespace edgewise {
namespace {

namespace fs = std::filesystem;

constexpr const char* kBundledName = "edgewise-tiny-q8_0.gguf";

// Where the bundled model may be, best first: EDGEWISE_SOURCE_DIR serves a build that was not
// installed.
std::vector<fs::path> BundledFolders() {
  std::vector<fs::path> folders;
  const char* given = std::getenv("EDGEWISE_MODELS");
  if (given != nullptr && *given != '\0') folders.emplace_back(given);
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (!error) folders.push_back(program.parent_path().parent_path() / "share/edgewise/models");
  folders.emplace_back(EDGEWISE_SOURCE_DIR "/models");
  return folders;
}

const std::vector<std::string> kKvTypes = {"f32", "f16", "q8_0", "q4_0"};

}  // namespace

std::string ModelPath(const std::optional<std::string>& given) {
  if (given) return *given;
  std::string places;
  for (const fs::path& folder : BundledFolders()) {
    const fs::path path = folder / kBundledName;
    std::error_code error;
    if (fs::is_regular_file(path, error)) return path.string();
    places += (places.empty() ? "" : ", ") + folder.string();
  }
  throw Error(ErrorCode::kNotFound, StrCat("the bundled model ", kBundledName, " is in none of ",
                                           places, ": give a model by -m"));
}

int ThreadsOf(uint32_t flag) {
  return flag == 0 ? DefaultThreads() : static_cast<int>(std::min<uint32_t>(flag, 1 << 30));
}

void EngineFlags::AddSizesTo(Flags& flags) {
  flags.Group("Engine");
  flags.Add("-c,--ctx-size", context, "N",
            "positions of context; 0: the model's own, at most 4096");
  flags.Add("-b,--batch-size", batch, "N", "prompt tokens computed together");
  flags.Add("-t,--threads", threads, "N", "worker threads; 0: one per core");
  flags.AddChoice("-ctk,--cache-type-k", k_type, kKvTypes, "type of the keys in the KV cache");
  flags.AddChoice("-ctv,--cache-type-v", v_type, kKvTypes, "type of the values in the KV cache");
  flags.AddSwitch("--huge-pages", huge_pages, kHugePagesHelp);
}

void EngineFlags::AddTo(Flags& flags) {
  AddSizesTo(flags);
  flags.Add("--backend", backend, "NAME",
            "who multiplies matrices: cpu; chip:NAME, a simulated chip (edgewise chips); cpu-int, the same "
            "integers without a chip");
  flags.AddChoice("--scheme", scheme, {"file", "row"},
                  "integers of cpu-int and chips: the file's blocks with their scales, or one int8 scale a "
                  "row, which lets a chip add up whole rows");
  flags.AddSwitch("--pin", pin, kPinHelp);
  flags.AddSwitch("--populate", populate, "read all weights and touch all memory before starting");
  flags.AddSwitch("--check-tensors", check_tensors,
                  "look for NaN and infinite weights (reads the whole file)");
  flags.AddSwitch("--force", force, "run although the plan needs more memory than there is");
  flags.AddSwitch(
      "--deterministic", deterministic,
      "logits that do not depend on threads, chunk or batch: always so, as there is one "
      "order of summation; accepted for scripts");
}

EngineOptions EngineFlags::ToOptions() const {
  EngineOptions options;
  options.threads = ThreadsOf(threads);
  options.context = context;
  options.batch = batch;
  options.k_type = FindTypeByName(k_type)->type;
  options.v_type = FindTypeByName(v_type)->type;
  options.populate = populate;
  options.huge_pages = huge_pages;
  options.pin = pin;
  return options;
}

LoadedModel::LoadedModel(const std::string& path, bool check_tensors)
    : file(Gguf::Open(path)), model(Model::FromGguf(file)), tokenizer(Tokenizer::FromGguf(file)) {
  if (tokenizer->size() > model.config().vocab) {
    throw Error(ErrorCode::kBadFile, StrCat(path, ": the vocabulary has ", tokenizer->size(),
                                            " tokens, the embedding only ", model.config().vocab,
                                            " rows: the file is damaged"));
  }
  if (check_tensors) CheckTensors(file);
}

std::string WeightTypeOf(const Gguf& file, const Model& model) {
  const int64_t file_type = file.Integer("general.file_type", -1);
  const Recipe* recipe =
      file_type >= 0 ? FindRecipeByFileType(static_cast<uint32_t>(file_type)) : nullptr;
  if (recipe != nullptr) return recipe->name;
  std::vector<uint64_t> bytes(256, 0);
  for (const Weight& weight : model.weights()) {
    bytes[static_cast<size_t>(weight.type)] += weight.bytes();
  }
  const auto most = std::max_element(bytes.begin(), bytes.end()) - bytes.begin();
  return NameOf(static_cast<DType>(most));
}

void CheckTensors(const Gguf& file) {
  Progress progress("checking");
  uint64_t done = 0;
  for (const GgufTensor& tensor : file.tensors()) {
    file.CheckFinite(tensor);
    done += tensor.data.size();
    progress.Show(done, file.file_bytes());
  }
}

void Load(Gguf& file, const EngineOptions& options) {
  Progress progress("reading");
  const auto show = [&](uint64_t done, uint64_t total) { progress.Show(done, total); };
  if (options.huge_pages) {
    file.CopyToMemory(show);
  } else if (options.populate) {
    file.Populate(show);
  }
}

void NoteLongContext(const Model& model, const EngineOptions& resolved) {
  if (resolved.context <= model.config().context) return;
  std::fprintf(stderr, "note: the model was made for %u positions, text beyond them will be poor\n",
               model.config().context);
}

MemoryPlan CheckedPlan(const LoadedModel& loaded, const EngineOptions& resolved,
                       const SamplerOptions& sampler, bool force) {
  const MemoryPlan plan =
      PlanMemory(FactsOf(loaded.file), loaded.model, resolved, loaded.tokenizer->MemoryBytes(),
                 Sampler::MemoryBytes(sampler, loaded.model.config().vocab));
  if (!force) CheckPlan(plan, loaded.model, resolved);
  return plan;
}

}  // namespace edgewise
