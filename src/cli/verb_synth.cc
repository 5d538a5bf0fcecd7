#include <cstdio>
#include <memory>
#include <string>

#include "base/error.h"
#include "cli/console.h"
#include "cli/custom_shape.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "model/synth.h"

namespace edgewise {
namespace {

struct SynthFlags {
  std::string shape, output, type = "Q4_0";
  uint64_t seed = 1;
  uint32_t threads = 0;
  bool pure = false, json = false;
  ShapeChanges changes;
};

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
  const ModelShape shape = ShapeOf(flags.shape, flags.changes);
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
  flags.Add("--arch", options->changes.architecture, "NAME", "llama, qwen2 or qwen3");
  flags.Add("--width", options->changes.width, "N", "of the residual stream");
  flags.Add("--layers", options->changes.layers, "N", "layers");
  flags.Add("--heads", options->changes.heads, "N", "query heads");
  flags.Add("--kv-heads", options->changes.kv_heads, "N", "key and value heads");
  flags.Add("--head-dim", options->changes.head_dim, "N", "values of a head");
  flags.Add("--ffn", options->changes.ffn, "N", "values of the feed-forward layer");
  flags.Add("--vocab", options->changes.vocab, "N", "tokens");
  flags.Add("-c,--context", options->changes.context, "N", "positions that the file says it is made for");
  flags.AddSwitch("--tied", options->changes.tied, "the embedding is the output matrix too");
  flags.AddSwitch("--untied", options->changes.untied, "the output matrix is one of its own");
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
