#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include "base/error.h"
#include "cli/console.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "model/architecture.h"
#include "model/synth.h"

namespace edgewise {
namespace {

constexpr const char* kCustom = "custom";

struct SynthFlags {
  std::string shape, output, type = "Q4_0";
  uint64_t seed = 1;
  uint32_t threads = 0;
  bool pure = false, json = false;
  // What changes the shape.
  std::optional<std::string> architecture;
  std::optional<uint32_t> width, layers, heads, kv_heads, head_dim, ffn, vocab, context;
  bool tied = false, untied = false;
};

// A shape all by flags; what is not given follows from what is.
ModelShape CustomShape(const SynthFlags& flags) {
  if (!flags.width || !flags.layers || !flags.heads) {
    throw Error(ErrorCode::kUsage, "a custom shape needs --width, --layers and --heads");
  }
  ModelShape shape;
  ModelConfig& c = shape.config;
  c.architecture = "llama";
  c.name = kCustom;
  c.vocab = 32000;
  c.context = 2048;
  c.heads = *flags.heads;
  c.kv_heads = c.heads;
  c.head_dim = *flags.width / std::max(1u, c.heads);
  // Llama's ratio of 8/3, to the next multiple of 256.
  c.ffn = static_cast<uint32_t>((uint64_t{*flags.width} * 8 / 3 + 255) / 256 * 256);
  return shape;
}

ModelShape ShapeOf(const SynthFlags& flags) {
  ModelShape shape = flags.shape == kCustom ? CustomShape(flags) : ShapeNamed(flags.shape);
  ModelConfig& c = shape.config;
  if (flags.architecture) c.architecture = *flags.architecture;
  c.rope.interleaved = ArchitectureNamed(c.architecture, "--arch").interleaved_rope;
  c.width = flags.width.value_or(c.width);
  c.layers = flags.layers.value_or(c.layers);
  c.heads = flags.heads.value_or(c.heads);
  c.kv_heads = flags.kv_heads.value_or(c.kv_heads);
  c.head_dim = flags.head_dim.value_or(c.head_dim);
  c.ffn = flags.ffn.value_or(c.ffn);
  c.vocab = flags.vocab.value_or(c.vocab);
  c.context = flags.context.value_or(c.context);
  c.rope.dims = c.head_dim;
  if (flags.tied && flags.untied) {
    throw Error(ErrorCode::kUsage, "--tied and --untied contradict each other");
  }
  if (flags.tied || flags.untied) shape.tied_output = flags.tied;
  return shape;
}

void Print(const SynthFlags& flags, const SynthReport& report, Seconds elapsed) {
  for (const std::string& note : report.notes) std::printf("%s\n", note.c_str());
  std::printf("%s: %s parameters in %s of %s, written in %.2f s (%.0f MB/s)\n",
              flags.output.c_str(), Grouped(report.parameters).c_str(),
              HumanBytes(report.weight_bytes).c_str(), flags.type.c_str(), elapsed.value(),
              Bytes(report.weight_bytes) / elapsed / 1e6);
}

void PrintJson(const SynthFlags& flags, const SynthReport& report, Seconds elapsed) {
  Json notes = Json::Array();
  for (const std::string& note : report.notes) notes.Push(note);
  Json json = Json::Object();
  json.Set("shape", flags.shape)
      .Set("output", flags.output)
      .Set("type", flags.type)
      .Set("seed", flags.seed)
      .Set("parameters", report.parameters)
      .Set("tensors", report.tensors)
      .Set("weight_bytes", report.weight_bytes)
      .Set("notes", std::move(notes))
      .Set("seconds", elapsed.value())
      .Set("write_mb_s", Bytes(report.weight_bytes) / elapsed / 1e6);
  json.Print();
}

int Synth(const SynthFlags& flags) {
  const ModelShape shape = ShapeOf(flags);
  WriteJob job("writing");
  const SynthOptions options = {
      .type = flags.type,
      .pure = flags.pure,
      .seed = flags.seed,
      .threads = ThreadsOf(flags.threads)};
  const SynthReport report =
      Synthesize(shape, flags.output, options, [&](uint64_t done, uint64_t total) {
        job.Show(done, total);
      });
  const Seconds elapsed = job.Finish();
  if (flags.json) {
    PrintJson(flags, report, elapsed);
  } else {
    Print(flags, report, elapsed);
  }
  return 0;
}

VerbMain Add(Flags& flags) {
  auto options = std::make_shared<SynthFlags>();
  flags.AddPositional("SHAPE", options->shape,
                      "tinyllama-1.1b, llama2-7b, smollm2-135m, qwen2.5-0.5b, qwen3-0.6b, "
                      "gpt2-small, ...; a wrong one lists all; custom: by flags");
  flags.AddPositional("OUT", options->output, "the file to write");
  flags.Add("--type", options->type, "TYPE", "tensor type or recipe, as in `quantize`");
  flags.AddSwitch("--pure", options->pure, "every matrix in the same type");
  flags.Add("--seed", options->seed, "N", "of the weights");
  flags.Add("-t,--threads", options->threads, "N", "worker threads; 0: one per core");
  flags.AddSwitch("--json", options->json, "one JSON document instead of the summary");
  flags.Group("Shape");
  flags.Add("--arch", options->architecture, "NAME", "llama, qwen2 or qwen3");
  flags.Add("--width", options->width, "N", "of the residual stream");
  flags.Add("--layers", options->layers, "N", "layers");
  flags.Add("--heads", options->heads, "N", "query heads");
  flags.Add("--kv-heads", options->kv_heads, "N", "key and value heads");
  flags.Add("--head-dim", options->head_dim, "N", "values of a head");
  flags.Add("--ffn", options->ffn, "N", "values of the feed-forward layer");
  flags.Add("--vocab", options->vocab, "N", "tokens");
  flags.Add("-c,--context", options->context, "N", "positions that the file says it is made for");
  flags.AddSwitch("--tied", options->tied, "the embedding is the output matrix too");
  flags.AddSwitch("--untied", options->untied, "the output matrix is one of its own");
  return [options] { return Synth(*options); };
}

}  // namespace

const Verb kSynthVerb = {
    "synth", "a GGUF with random weights in a model's shapes",
    "To measure a machine without the model: the file has the shapes, types and metadata of the "
    "real one and costs the same, but what it writes means nothing. Flags change a named shape.",
    "edgewise synth tinyllama-1.1b tl.gguf --type Q4_0\n"
    "edgewise synth qwen2.5-0.5b qw.gguf --type Q4_K_M --layers 4\n"
    "edgewise synth custom x.gguf --width 512 --layers 8 --heads 8 --vocab 4096 --type F16\n",
    Add};

}  // namespace edgewise
