#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string>
#include <tuple>

#include "base/error.h"
#include "base/system_memory.h"
#include "cli/console.h"
#include "cli/inspect_ops.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/table.h"
#include "cli/verb.h"

namespace edgewise {
namespace {

struct InspectOptions {
  std::optional<std::string> model, path;
  bool full = false, ops = false, json = false;
  uint32_t rows = 1, depth = 0;
  EngineFlags engine;
};

// What can be said of a file; the model only if we could run it.
struct Inspected {
  explicit Inspected(const std::string& path) : file(Gguf::Open(path)) {
    if (file.tensors().empty()) {
      reason = "a vocabulary only: there are no weights";
      return;
    }
    try {
      model.emplace(Model::FromGguf(file));
    } catch (const Error& error) {
      reason = error.message();
    }
  }

  Gguf file;
  std::optional<Model> model;
  std::string reason;  // why there is none
};

MemoryPlan PlanOf(const Inspected& in, const EngineOptions& resolved) {
  return PlanMemory(FactsOf(in.file), *in.model, resolved, Tokenizer::PlanMemoryBytes(in.file),
                    Sampler::MemoryBytes({}, in.model->config().vocab));
}

std::string Dims(const GgufTensor& tensor) {
  std::string text = std::to_string(tensor.dims[0]);
  for (uint32_t i = 1; i < tensor.rank; ++i) text += StrCat(" x ", tensor.dims[i]);
  return text;
}

// "blk.*.attn_q.weight" for "blk.7.attn_q.weight".
std::string Family(std::string_view name) {
  constexpr std::string_view kBlock = "blk.";
  if (!name.starts_with(kBlock)) return std::string(name);
  const size_t end = name.find('.', kBlock.size());
  if (end == std::string_view::npos) return std::string(name);
  return StrCat("blk.*", name.substr(end));
}

std::string TensorsText(const Gguf& file, bool full) {
  struct Line {
    std::string name;
    const GgufTensor* tensor;
    uint64_t count, bytes;
  };
  std::vector<Line> lines;
  // By what a line's tensors have in common: a file may have 65,536 families.
  std::map<std::tuple<std::string, DType, std::array<uint64_t, 4>>, size_t> line_of;
  for (const GgufTensor& tensor : file.tensors()) {
    const std::string name = full ? std::string(tensor.name) : Family(tensor.name);
    const auto [at, is_new] = line_of.try_emplace({name, tensor.type, tensor.dims}, lines.size());
    if (is_new) lines.push_back({name, &tensor, 0, 0});
    Line& line = lines[at->second];
    ++line.count;
    line.bytes += tensor.data.size();
  }
  Table table({"<tensor", "", "<type", "<shape (inputs x outputs)", "bytes"});
  for (const Line& line : lines) {
    table.Add({line.name, line.count == 1 ? "" : StrCat("x", line.count), NameOf(line.tensor->type),
               Dims(*line.tensor), Grouped(line.bytes)});
  }
  return table.ToText();
}

struct TypeSum {
  uint64_t tensors = 0, bytes = 0, weights = 0;
};

std::map<DType, TypeSum> SumByType(const Gguf& file) {
  std::map<DType, TypeSum> sums;
  for (const GgufTensor& tensor : file.tensors()) {
    TypeSum& sum = sums[tensor.type];
    ++sum.tensors;
    sum.bytes += tensor.data.size();
    sum.weights += tensor.elements();
  }
  return sums;
}

std::string TypesText(const Gguf& file) {
  Table table({"<type", "tensors", "weights", "bytes"});
  for (const auto& [type, sum] : SumByType(file)) {
    table.Add({NameOf(type), Grouped(sum.tensors), Grouped(sum.weights), Grouped(sum.bytes)});
  }
  return table.ToText();
}

std::string FullText(const GgufValue& value) {
  if (const auto text = value.AsString()) return Quoted(*text);
  if (!value.is_array()) return value.ToText();
  std::string out = StrCat("[", value.size(), " x ", NameOf(value.element_type()), "]");
  if (const auto strings = value.AsStrings()) {
    for (const std::string_view text : *strings) out += " " + Quoted(text);
  } else if (const auto integers = value.AsIntegers()) {
    for (const int64_t integer : *integers) out += StrCat(" ", integer);
  } else if (const auto floats = value.AsFloats()) {
    for (const float number : *floats) out += StrCat(" ", number);
  } else {
    out = value.ToText();
  }
  return out;
}

std::string MetadataText(const Gguf& file, bool full) {
  Table table({"<key", "<type", "<value"});
  for (const GgufEntry& entry : file.entries()) {
    table.Add({std::string(entry.key), NameOf(entry.value.type()),
               full ? FullText(entry.value) : entry.value.ToText()});
  }
  return table.ToText();
}

std::string ModelText(const ModelConfig& c, const Model& model) {
  Table table({"<", "<"});
  const auto add = [&](const char* what, const std::string& value) { table.Add({what, value}); };
  add("parameters", Grouped(model.parameters()));
  add("weights", StrCat(HumanBytes(model.weight_bytes()),
                        model.tied_output() ? ", output tied to the embedding" : ""));
  add("layers", StrCat(c.layers, ", width ", c.width, ", feed-forward ", c.ffn));
  add("heads", StrCat(c.heads, " of ", c.head_dim, ", ", c.kv_heads, " for keys and values"));
  add("vocabulary", Grouped(c.vocab));
  add("context", StrCat(Grouped(c.context),
                        c.window == 0 ? "" : StrCat(", attention to the last ", c.window)));
  return table.ToText();
}

std::string MemoryText(const Inspected& in, const EngineOptions& resolved) {
  const MemoryPlan plan = PlanOf(in, resolved);
  Table table({"<", "", "<"});
  const auto add = [&](const char* what, uint64_t bytes, const std::string& note) {
    table.Add({what, HumanBytes(bytes), note});
  };
  add("weights", plan.mapped + plan.copied,
      plan.copied > 0 ? "copied from the file" : "mapped from the file, reclaimable");
  add("KV cache", plan.kv,
      StrCat(HumanBytes(plan.kv / resolved.context), " a position, ", NameOf(resolved.k_type),
             " and ", NameOf(resolved.v_type)));
  add("scratch", plan.scratch,
      StrCat("batch ", resolved.batch, ", ", resolved.threads, " threads"));
  add("tokenizer", plan.tokenizer, "");
  add("sampler", plan.sampler, "");
  add("program", plan.program, "");
  add("code", plan.code, "the program and its libraries, mapped");
  const auto limit = AvailableMemory();
  std::string verdict;
  if (limit) {
    verdict = StrCat(plan.total() <= limit->available ? "fits: " : "does not fit: ",
                     HumanBytes(limit->available), " available (", limit->source, ")");
  }
  add("all", plan.total(), verdict);
  return StrCat("Memory with a context of ", resolved.context, " (-c)\n", table.ToText());
}

Json ToJson(const GgufValue& value, bool full) {
  Json array = Json::Array();
  if (full) {
    if (const auto strings = value.AsStrings()) {
      for (const std::string_view text : *strings) array.Push(text);
    } else if (const auto integers = value.AsIntegers()) {
      for (const int64_t integer : *integers) array.Push(integer);
    } else if (const auto floats = value.AsFloats()) {
      for (const float number : *floats) array.Push(double{number});
    }
    return array;
  }
  Json summary = Json::Object();
  summary.Set("type", NameOf(value.element_type())).Set("size", value.size());
  return summary;
}

Json MetadataJson(const Gguf& file, bool full) {
  Json json = Json::Object();
  for (const GgufEntry& entry : file.entries()) {
    const GgufValue& value = entry.value;
    if (value.is_array()) {
      json.Set(entry.key, ToJson(value, full));
    } else if (const auto text = value.AsString()) {
      json.Set(entry.key, *text);
    } else if (const auto truth = value.AsBool()) {
      json.Set(entry.key, *truth);
    } else if (const auto integer = value.AsInteger()) {
      json.Set(entry.key, *integer);
    } else if (const auto number = value.AsFloat()) {
      json.Set(entry.key, *number);
    } else {
      json.Set(entry.key, value.ToText());  // an unsigned integer beyond 63 bits
    }
  }
  return json;
}

Json TensorsJson(const Gguf& file) {
  Json tensors = Json::Array();
  for (const GgufTensor& tensor : file.tensors()) {
    Json shape = Json::Array();
    for (uint32_t i = 0; i < tensor.rank; ++i) shape.Push(tensor.dims[i]);
    Json json = Json::Object();
    json.Set("name", tensor.name)
        .Set("type", NameOf(tensor.type))
        .Set("shape", std::move(shape))
        .Set("bytes", uint64_t{tensor.data.size()});
    tensors.Push(std::move(json));
  }
  return tensors;
}

Json MemoryJson(const Inspected& in, const EngineOptions& resolved) {
  const MemoryPlan plan = PlanOf(in, resolved);
  Json json = Json::Object();
  json.Set("context", resolved.context)
      .Set("batch", resolved.batch)
      .Set("threads", resolved.threads)
      .Set("mapped_bytes", plan.mapped)
      .Set("copied_bytes", plan.copied)
      .Set("kv_bytes", plan.kv)
      .Set("scratch_bytes", plan.scratch)
      .Set("tokenizer_bytes", plan.tokenizer)
      .Set("sampler_bytes", plan.sampler)
      .Set("program_bytes", plan.program)
      .Set("code_bytes", plan.code)
      .Set("private_bytes", plan.private_bytes())
      .Set("planned_bytes", plan.total());
  if (const auto limit = AvailableMemory()) {
    json.Set("available_bytes", limit->available).Set("fits", plan.total() <= limit->available);
  }
  return json;
}

void PrintJson(const Inspected& in, const InspectOptions& options, const EngineOptions* resolved,
               const StepShape& shape) {
  Json types = Json::Object();
  for (const auto& [type, sum] : SumByType(in.file)) types.Set(NameOf(type), sum.tensors);
  Json json = Json::Object();
  json.Set("path", in.file.path())
      .Set("gguf_version", in.file.version())
      .Set("file_bytes", in.file.file_bytes())
      .Set("runs", in.model.has_value());
  if (in.model) {
    json.Set("architecture", in.model->config().architecture)
        .Set("name", in.model->config().name)
        .Set("parameters", in.model->parameters())
        .Set("weight_bytes", in.model->weight_bytes())
        .Set("memory", MemoryJson(in, *resolved));
    if (options.ops) json.Set("step", OpsJson(*in.model, shape));
  } else {
    json.Set("reason", in.reason);
  }
  json.Set("types", std::move(types))
      .Set("metadata", MetadataJson(in.file, options.full))
      .Set("tensors", TensorsJson(in.file));
  json.Print();
}

int Inspect(const InspectOptions& options) {
  if (options.model && options.path) {
    throw Error(ErrorCode::kUsage, "give the file once, as FILE or by -m");
  }
  const EngineOptions asked = options.engine.ToOptions();
  const Inspected in(ModelPath(options.model ? options.model : options.path));
  if (options.engine.check_tensors) CheckTensors(in.file);
  if (options.ops && !in.model) throw Error(ErrorCode::kUnsupported, in.reason);
  std::optional<EngineOptions> resolved;
  if (in.model) resolved = ResolveOptions(*in.model, asked);
  const StepShape shape = {options.rows, options.depth, asked.k_type, asked.v_type};
  constexpr uint32_t kMaxPositions = 1 << 24;  // as the engine's largest context
  if (shape.rows == 0 || shape.rows > kMaxPositions || shape.depth > kMaxPositions) {
    throw Error(ErrorCode::kUsage,
                StrCat("--rows is 1 to ", kMaxPositions, ", --depth 0 to ", kMaxPositions));
  }
  if (options.json) {
    PrintJson(in, options, resolved ? &*resolved : nullptr, shape);
    return 0;
  }
  if (options.ops) {
    Write(OpsText(*in.model, shape));
    return 0;
  }
  const std::string_view name = in.file.String("general.name", "");
  Write(StrCat(in.file.path(), ": GGUF ", in.file.version(), ", ", HumanBytes(in.file.file_bytes()),
               name.empty() ? "" : ", ", Printable(name), "\n"));
  if (in.model) {
    Write(StrCat("\nModel (", in.model->config().architecture, ")\n",
                 ModelText(in.model->config(), *in.model), "\n", MemoryText(in, *resolved)));
  } else {
    Write(StrCat("\nThis file cannot be run: ", in.reason, "\n"));
  }
  Write(StrCat("\nMetadata\n", MetadataText(in.file, options.full)));
  if (in.file.tensors().empty()) return 0;
  Write(StrCat("\nTypes\n", TypesText(in.file), "\nTensors\n", TensorsText(in.file, options.full)));
  return 0;
}

VerbMain Add(Flags& flags) {
  auto options = std::make_shared<InspectOptions>();
  flags.AddPositional("FILE", options->path, "the GGUF file, as -m");
  flags.Group("Output");
  flags.Add("-m,--model", options->model, "FILE",
            "the GGUF file (part 1 of a split one); without it the bundled model");
  flags.AddSwitch("--full", options->full,
                  "whole arrays of the metadata, each tensor of each layer");
  flags.AddSwitch("--ops", options->ops,
                  "the operators of a step, with operations and bytes of each");
  flags.Add("--rows", options->rows, "M", "with --ops: tokens of the step (1: decode)");
  flags.Add("--depth", options->depth, "N", "with --ops: positions in the KV cache before it");
  flags.AddSwitch("--json", options->json, "one JSON document");
  flags.AddSwitch("--check-tensors", options->engine.check_tensors,
                  "look for NaN and infinite weights (reads the whole file)");
  options->engine.AddSizesTo(flags);
  return [options] { return Inspect(*options); };
}

}  // namespace

const Verb kInspectVerb = {
    "inspect", "a model's metadata, tensors, memory and operator list",
    "Reads the tables of a GGUF file, not its weights. Memory is planned for the context, batch, "
    "threads and KV types given, as `run` would plan it.",
    "edgewise inspect model.gguf\n"
    "edgewise inspect -m model.gguf -c 32768 -ctk q8_0 -ctv q8_0\n"
    "edgewise inspect -m model.gguf --ops --rows 512\n"
    "edgewise inspect -m model.gguf --ops --depth 4096 --json\n",
    Add};

}  // namespace edgewise
