#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "cli/backend.h"
#include "cli/console.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "compress/evaluate.h"

namespace edgewise {
namespace {

struct EvalFlags {
  std::optional<std::string> model, file, save_logits, kl_base;
  EngineFlags engine = {.context = 512};
  uint32_t chunks = 0;
  bool json = false;
};

// The estimate after each chunk, as llama-perplexity shows it: one line on stderr, which ends with
// the object at the latest, so that an error's message begins a new one.
class EstimateLine {
 public:
  ~EstimateLine() { End(); }
  void Add(uint32_t chunk, double perplexity) {
    std::fprintf(stderr, "[%u]%.4f,", chunk, perplexity);
    std::fflush(stderr);
    open_ = true;
  }
  void End() {
    if (open_) std::fputc('\n', stderr);
    open_ = false;
  }

 private:
  bool open_ = false;
};

// As llama-perplexity reads a file: without one newline at its end.
std::string TextOf(const EvalFlags& flags) {
  if (!flags.file) {
    throw Error(ErrorCode::kUsage,
                "a text is missing: give -f FILE, or --kl-base FILE, which "
                "contains one");
  }
  std::string text = ReadText(*flags.file);
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

std::string Format(const char* format, double a, double b) {
  char text[96];
  std::snprintf(text, sizeof(text), format, a, b);
  return text;
}

void PrintResult(const EvalResult& result, bool with_base) {
  std::printf("Final estimate: PPL = %.4f +/- %.5f over %llu tokens\n", result.perplexity.value,
              result.perplexity.error, static_cast<unsigned long long>(result.tokens));
  if (!with_base) return;
  const KlStatistics& kl = result.kl;
  const auto estimate = [](Estimate e, double unit) {
    return Format("%.6f +/- %.6f", e.value * unit, e.error * unit);
  };
  Table table({"<", "<"});
  table.Add({"PPL(base)", estimate(kl.base_perplexity, 1)});
  table.Add({"ln(PPL(Q)/PPL(base))", estimate(kl.log_ratio, 1)});
  table.Add({"correlation of ln(PPL), %", Format("%.4f", 100 * kl.correlation, 0)});
  table.Add({"mean KL divergence", estimate(kl.mean, 1)});
  table.Add({"maximum", Format("%.6f", kl.max, 0)});
  table.Add({"99.9% and 99.0%", Format("%.6f  %.6f", kl.p999, kl.p99)});
  table.Add({"95% and 90%", Format("%.6f  %.6f", kl.p95, kl.p90)});
  table.Add({"median", Format("%.6f", kl.median, 0)});
  table.Add({"10% and 5%", Format("%.6f  %.6f", kl.p10, kl.p5)});
  table.Add({"1% and minimum", Format("%.6f  %.6f", kl.p1, kl.min)});
  table.Add({"mean probability difference, %", estimate(kl.probability_difference, 100)});
  table.Add({"its root mean square, %", estimate(kl.probability_difference_rms, 100)});
  table.Add({"same most likely token, %", estimate(kl.same_top, 100)});
  Write(table.ToText());
}

void PrintJson(const EvalResult& result, const LoadedModel& loaded, const EngineOptions& engine,
               bool with_base, Seconds elapsed) {
  constexpr double kAbsent = std::numeric_limits<double>::quiet_NaN();  // null
  const KlStatistics& kl = result.kl;
  const auto of_base = [with_base](double value) { return with_base ? value : kAbsent; };
  Json json = Json::Object();
  json.Set("model", loaded.file.path())
      .Set("perplexity", result.perplexity.value)
      .Set("perplexity_stderr", result.perplexity.error)
      .Set("nll", result.nll)
      .Set("tokens", result.tokens)
      .Set("chunks", result.chunks)
      .Set("context", result.context)
      .Set("cache_type_k", NameOf(engine.k_type))
      .Set("cache_type_v", NameOf(engine.v_type))
      .Set("kl_mean", of_base(kl.mean.value))
      .Set("kl_mean_stderr", of_base(kl.mean.error))
      .Set("kl_max", of_base(kl.max))
      .Set("kl_p999", of_base(kl.p999))
      .Set("kl_p99", of_base(kl.p99))
      .Set("kl_p95", of_base(kl.p95))
      .Set("kl_p90", of_base(kl.p90))
      .Set("kl_median", of_base(kl.median))
      .Set("kl_p10", of_base(kl.p10))
      .Set("kl_p5", of_base(kl.p5))
      .Set("kl_p1", of_base(kl.p1))
      .Set("kl_min", of_base(kl.min))
      .Set("same_top", of_base(kl.same_top.value))
      .Set("same_top_stderr", of_base(kl.same_top.error))
      .Set("base_perplexity", of_base(kl.base_perplexity.value))
      .Set("base_perplexity_stderr", of_base(kl.base_perplexity.error))
      .Set("log_ratio", of_base(kl.log_ratio.value))
      .Set("log_ratio_stderr", of_base(kl.log_ratio.error))
      .Set("correlation", of_base(kl.correlation))
      .Set("probability_difference", of_base(kl.probability_difference.value))
      .Set("probability_difference_rms", of_base(kl.probability_difference_rms.value))
      .Set("probability_difference_max", of_base(kl.probability_difference_max))
      .Set("seconds", elapsed.value());
  json.Print();
}

int Eval(const EvalFlags& flags) {
  std::unique_ptr<const LogitsFile> base;
  if (flags.kl_base) {
    if (flags.file) {
      throw Error(ErrorCode::kUsage, "--kl-base contains the text: leave out -f");
    }
    base = std::make_unique<LogitsFile>(*flags.kl_base);
  }
  const std::string text = base ? "" : TextOf(flags);
  LoadedModel loaded(ModelPath(flags.model), flags.engine.check_tensors);
  const Tokenizer& tokenizer = *loaded.tokenizer;

  EvalOptions options;
  options.context = base ? base->context() : flags.engine.context;
  options.chunks = flags.chunks;
  options.bos = tokenizer.add_bos() ? tokenizer.bos() : -1;
  options.base = base.get();

  EngineOptions wanted = flags.engine.ToOptions();
  wanted.context = options.context;
  ChosenBackend backend(flags.engine, loaded.model);
  wanted.backend = backend.get();
  wanted.logit_rows = EvalLogitRows(loaded.model.config().vocab, options.context);
  const EngineOptions resolved = ResolveOptions(loaded.model, wanted);
  options.threads = resolved.threads;

  const std::vector<TokenId> tokens = base ? base->tokens() : EvalTokens(tokenizer, text);
  const uint32_t chunks = EvalChunks(tokens.size(), options);
  CheckedPlan(loaded, resolved, SamplerOptions(), flags.engine.force);
  NoteLongContext(loaded.model, resolved);
  Load(loaded.file, resolved);
  Engine engine(loaded.model, resolved);
  std::unique_ptr<LogitsWriter> writer;
  if (flags.save_logits) {
    writer = std::make_unique<LogitsWriter>(
        *flags.save_logits, options.context, loaded.model.config().vocab,
        std::span(tokens).first(size_t{chunks} * options.context));
    options.save = writer.get();
  }

  const InterruptGuard interrupt(InterruptGuard::Of::kAnyEnd);
  const Seconds start = Now();
  EstimateLine line;
  const EvalResult result =
      Evaluate(engine, tokens, options, [&](uint32_t done, uint32_t, const EvalResult& so_far) {
        line.Add(done, so_far.perplexity.value);
        if (interrupt.flag()) throw Error(ErrorCode::kIo, "interrupted");
      });
  line.End();
  const Seconds elapsed = Now() - start;
  loaded.file.CheckIntact();
  if (writer) writer->Commit();
  if (flags.json) {
    PrintJson(result, loaded, resolved, base != nullptr, elapsed);
  } else {
    PrintResult(result, base != nullptr);
  }
  return 0;
}

VerbMain Add(Flags& flags) {
  auto options = std::make_shared<EvalFlags>();
  flags.Add("-m,--model", options->model, "FILE", "the GGUF file; without it the bundled model");
  flags.Add("-f,--file", options->file, "FILE", "the text to predict");
  flags.Add("--chunks", options->chunks, "N", "most chunks to compute; 0: all of the text");
  flags.Add("--save-logits", options->save_logits, "FILE",
            "also write the logits, in llama-perplexity's format");
  flags.Add("--kl-base,--kl-divergence-base", options->kl_base, "FILE",
            "compare with such a file: its text, context and chunks are used");
  flags.AddSwitch("--json", options->json, "one JSON document instead of the table");
  options->engine.AddTo(flags);
  return [options] { return Eval(*options); };
}

}  // namespace

const Verb kEvalVerb = {
    "eval", "perplexity, and divergence from another run",
    "Cuts a text into chunks of -c tokens, computes each from an empty cache and scores how well "
    "the second half of each is predicted: exactly what llama-perplexity does, so that figures "
    "compare, when the KV cache has the same type. With --kl-base also how far the predictions "
    "are from those of the run that wrote the file, by either program.",
    "edgewise eval -m model.gguf -f wiki.test.raw\n"
    "edgewise eval -m model-f16.gguf -f wiki.test.raw --chunks 20 --save-logits base.bin\n"
    "edgewise eval -m model-q4.gguf --kl-base base.bin\n",
    Add};

}  // namespace edgewise
