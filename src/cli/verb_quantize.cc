#include <cstdio>
#include <memory>
#include <string>

#include "base/strings.h"
#include "cli/console.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/verb.h"
#include "compress/quantise.h"

namespace edgewise {
namespace {

struct QuantizeFlags {
  std::string input, output, type;
  uint32_t threads = 0;
  bool pure = false, json = false;
};

double BitsPerWeight(const QuantiseReport& report, uint64_t bytes) {
  return 8.0 * static_cast<double>(bytes) / static_cast<double>(report.weights);
}

void PrintSummary(const QuantizeFlags& flags, const QuantiseReport& report, Seconds elapsed) {
  for (const std::string& note : report.notes) std::printf("%s\n", note.c_str());
  std::string types;
  for (const auto& [type, count] : report.tensors_by_type) {
    types += StrCat(types.empty() ? "" : ", ", count, " ", NameOf(type));
  }
  std::printf("%s: %s, %.2f bits per weight, from %s, %.2f; tensors: %s; %.1f s\n",
              flags.output.c_str(), HumanBytes(report.bytes_after).c_str(),
              BitsPerWeight(report, report.bytes_after), HumanBytes(report.bytes_before).c_str(),
              BitsPerWeight(report, report.bytes_before), types.c_str(), elapsed.value());
}

void PrintJson(const QuantizeFlags& flags, const QuantiseReport& report, Seconds elapsed) {
  Json types = Json::Object();
  for (const auto& [type, count] : report.tensors_by_type) types.Set(NameOf(type), count);
  Json notes = Json::Array();
  for (const std::string& note : report.notes) notes.Push(note);
  Json json = Json::Object();
  json.Set("input", flags.input)
      .Set("output", flags.output)
      .Set("type", flags.type)
      .Set("tensors", report.tensors)
      .Set("weights", report.weights)
      .Set("weight_bytes_before", report.bytes_before)
      .Set("weight_bytes", report.bytes_after)
      .Set("bits_per_weight", BitsPerWeight(report, report.bytes_after))
      .Set("tensors_by_type", std::move(types))
      .Set("notes", std::move(notes))
      .Set("seconds", elapsed.value());
  json.Print();
}

int Quantize(const QuantizeFlags& flags) {
  const Gguf source = Gguf::Open(flags.input);
  WriteJob job("quantizing");
  const QuantiseOptions options = {
      .type = flags.type,
      .pure = flags.pure,
      .threads = ThreadsOf(flags.threads)};
  const QuantiseReport report =
      Quantise(source, flags.output, options, [&](uint64_t done, uint64_t total) {
        job.Show(done, total);
      });
  const Seconds elapsed = job.Finish();
  if (flags.json) {
    PrintJson(flags, report, elapsed);
  } else {
    PrintSummary(flags, report, elapsed);
  }
  return 0;
}

VerbMain Add(Flags& flags) {
  auto options = std::make_shared<QuantizeFlags>();
  flags.AddPositional("IN", options->input, "the GGUF file to read; part 1 of a split one");
  flags.AddPositional("OUT", options->output, "the file to write");
  flags.AddPositional("TYPE", options->type, "Q4_K_M, Q8_0, F16, ...; a wrong one lists all");
  flags.Add("-t,--threads", options->threads, "N", "worker threads; 0: one per core");
  flags.AddSwitch("--pure", options->pure,
                  "every matrix in the same type, the output and the embedding too");
  flags.AddSwitch("--json", options->json, "one JSON document instead of the summary");
  return [options] { return Quantize(*options); };
}

}  // namespace

const Verb kQuantizeVerb = {
    "quantize", "one GGUF to another type",
    "Rounds the matrices of a model to fewer bits, each tensor to the type that llama-quantize "
    "gives it under the same name; no calibration data is used. Vectors stay F32. A matrix whose "
    "rows are no whole number of the type's blocks falls back to a type of shorter blocks, or to "
    "F16, and is listed. The source may have any supported type; F16, BF16 or F32 is best.",
    "edgewise quantize model-f16.gguf model-q4_k_m.gguf Q4_K_M\n"
    "edgewise quantize model-f16.gguf model-q4_0.gguf Q4_0 --pure\n",
    Add};

}  // namespace edgewise
