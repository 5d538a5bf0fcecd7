#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "base/system_memory.h"
#include "cli/backend.h"
#include "cli/console.h"
#include "cli/generation.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/verb.h"
#include "base/utf8.h"

namespace edgewise {
namespace {

struct RunOptions {
  std::optional<std::string> model, prompt, file;
  bool no_display_prompt = false, json = false, no_statistics = false;
  std::string color = "auto";
  EngineFlags engine;
  GenerationFlags generation;
};

constexpr const char* kDefaultPrompt = "Once upon a time";

std::string PromptOf(const RunOptions& options) {
  if (options.prompt && options.file) {
    throw Error(ErrorCode::kUsage, "-p and -f contradict each other: give one prompt");
  }
  if (options.file) return ReadText(*options.file);
  if (options.prompt) return options.generation.Unescaped(*options.prompt);
  if (options.model) {
    throw Error(ErrorCode::kUsage, "a prompt is missing: give -p TEXT or -f FILE (- for stdin)");
  }
  return kDefaultPrompt;
}

// Tokens that the text has at least: none stands for more bytes than the longest of the vocabulary.
size_t LeastTokens(const Tokenizer& tokenizer, const std::string& text) {
  size_t longest = 4;  // a character, which the token for what is unknown may stand for
  for (TokenId id = 0; static_cast<uint32_t>(id) < tokenizer.size(); ++id) {
    longest = std::max(longest, tokenizer.Piece(id, true).size());
  }
  return text.size() / longest;
}

// Refused before anything large is read or computed. A text much too long is not even tokenised,
// which would take 30 times its size in memory.
std::vector<TokenId> Encode(const LoadedModel& loaded, const std::string& prompt,
                            uint32_t context) {
  constexpr size_t kLong = 1 << 20;  // below, tokenising takes no longer than LeastTokens()
  if (prompt.size() > kLong) {
    const size_t least = LeastTokens(*loaded.tokenizer, prompt);
    if (least > context) {
      throw Error(ErrorCode::kLimit, StrCat("the prompt has ", HumanBytes(prompt.size()),
                                            ", at least ", least, " tokens, the context holds ",
                                            context, ": shorten it"));
    }
  }
  std::vector<TokenId> tokens = loaded.tokenizer->Encode(prompt, {});
  if (tokens.empty()) {
    throw Error(
        ErrorCode::kUsage,
        "the prompt is empty and this model has no token to begin a text with: give -p TEXT");
  }
  if (tokens.size() > context) {
    throw Error(ErrorCode::kLimit,
                StrCat("the prompt has ", tokens.size(), " tokens, the context holds ", context,
                       ": shorten it or use -c ", tokens.size() + 256));
  }
  return tokens;
}

// What decode read: the whole run's counters without those at the first token.
uint64_t BytesRead(const Engine& engine) {
  const OpCost counted = engine.counters().counted;
  return counted.weight_bytes.value() + counted.kv_read.value();
}

void PrintJson(const RunOptions& options, const RunFigures& figures, const EngineOptions& engine,
               const ChosenBackend& backend, const std::string& path, const std::string& prompt,
               const std::string& generated) {
  const GenerateResult& result = figures.result;
  const ProcessMemory memory = ReadProcessMemory();
  char hash[17];
  std::snprintf(hash, sizeof hash, "%016llx", static_cast<unsigned long long>(result.logits_hash));
  Json draft = Json::Object();
  draft.Set("drafted", result.draft.drafted)
      .Set("accepted", result.draft.accepted)
      .Set("steps", result.draft.steps);
  Json json = Json::Object();
  json.Set("text", options.no_display_prompt ? generated : prompt + generated)
      .Set("generated", generated)
      .Set("stop", NameOf(result.reason))
      .Set("model", path)
      .Set("backend", options.engine.backend)
      .Set("prompt_tokens", result.prompt_tokens)
      .Set("generated_tokens", result.generated_tokens)
      .Set("context_shifts", result.context_shifts)
      .Set("draft", std::move(draft))
      .Set("seed", figures.seed)
      .Set("load_ms", figures.load.value() * 1e3)
      .Set("ttft_ms", result.first_token.value() * 1e3)
      .Set("prefill_tok_s", figures.prefill_tok_s())
      .Set("decode_tok_s", figures.decode_tok_s())
      .Set("decode_gb_s", figures.decode_gb_s())
      .Set("threads", engine.threads)
      .Set("context", engine.context)
      .Set("batch", engine.batch)
      .Set("k_type", options.engine.k_type)
      .Set("v_type", options.engine.v_type)
      .Set("deterministic", true)
      .Set("planned_bytes", figures.plan.total())
      .Set("planned_private_bytes", figures.plan.private_bytes())
      .Set("planned_mapped_bytes", figures.plan.mapped)
      .Set("planned_copied_bytes", figures.plan.copied)
      .Set("planned_code_bytes", figures.plan.code)
      .Set("planned_kv_bytes", figures.plan.kv)
      .Set("planned_scratch_bytes", figures.plan.scratch)
      .Set("planned_backend_bytes", figures.plan.backend)
      .Set("peak_rss_bytes", memory.peak_rss)
      .Set("rss_anon_bytes", memory.rss_anon)
      .Set("rss_file_bytes", memory.rss_file)
      .Set("logits_hash", hash);
  if (backend.is_chip()) backend.SetIn(json, figures.computed_tokens(), result.rows);
  json.Print();
}

int Run(const RunOptions& options) {
  const std::string prompt = PromptOf(options);
  EngineOptions asked = options.engine.ToOptions();
  GenerateOptions generate = options.generation.ToGenerate();
  asked.logit_rows = generate.draft + 1;

  // 1. Open, tokenise, plan: all that can be refused is refused here.
  RunFigures figures;
  const Seconds start = Now();
  const std::string path = ModelPath(options.model);
  LoadedModel loaded(path, options.engine.check_tensors);
  ChosenBackend backend(options.engine, loaded.model);
  asked.backend = backend.get();
  EngineOptions resolved = ResolveOptions(loaded.model, asked);
  const std::vector<TokenId> tokens = Encode(loaded, prompt, resolved.context);
  // No step has more rows than the prompt or a token with its draft, unless a shift recomputes half of a
  // full context.
  if (!generate.context_shift) {
    resolved.batch =
        std::min(resolved.batch, std::max(static_cast<uint32_t>(tokens.size()), resolved.logit_rows));
  }
  const SamplerOptions sampling = options.generation.ToSampler(*loaded.tokenizer, resolved.context);
  figures.plan = CheckedPlan(loaded, resolved, sampling, options.engine.force);
  figures.seed = sampling.seed;
  NoteLongContext(loaded.model, resolved);
  if (!IsUtf8(prompt)) {
    std::fputs("note: the prompt is not valid UTF-8; the model gets its bytes as they are\n",
               stderr);
  }

  // 2. Take the memory.
  Load(loaded.file, resolved);
  Engine engine(loaded.model, resolved);
  Generator generator(engine, 0);
  Sampler sampler(sampling, loaded.model.config().vocab);
  figures.load = Now() - start;

  // 3. Generate.
  const bool color = !options.json && WantsColor(options.color);
  if (!options.json && !options.no_display_prompt) {
    Write(color ? "\033[1m" + prompt + "\033[0m" : prompt);
  }
  Progress progress("prompt");
  generate.hash_logits = options.json;
  generate.on_prefill = [&](uint32_t done, uint32_t total) { progress.Show(done, total); };
  const InterruptGuard interrupt;
  generate.cancel = &interrupt.flag();
  TextStream stream(*loaded.tokenizer, options.generation.Stops());
  std::string generated;
  uint64_t prefill_bytes = 0;
  const auto show = [&](const std::string& text) {
    generated += text;
    if (!options.json) Write(text);
  };
  const auto is_end = [&](TokenId token) { return loaded.tokenizer->IsEndOfGeneration(token); };
  figures.result = generator.Generate(tokens, sampler, generate, is_end, [&](TokenId token) {
    if (prefill_bytes == 0) {
      prefill_bytes = BytesRead(engine);
      progress.Clear();
    }
    show(stream.Push(token));
    return !stream.stopped();
  });
  progress.Clear();
  show(stream.Flush());
  figures.decode_bytes = prefill_bytes == 0 ? 0 : BytesRead(engine) - prefill_bytes;

  // 4. Report.
  if (options.json) {
    PrintJson(options, figures, resolved, backend, path, prompt, generated);
  } else if (!generated.ends_with('\n')) {
    Write("\n");
  }
  if (!options.no_statistics) {
    const bool terminal = isatty(STDERR_FILENO) != 0;
    std::fprintf(stderr, "%s%s\n", terminal ? "\n" : "", figures.ToText().c_str());
    if (backend.is_chip()) {
      std::fputs(backend.ToText(figures.computed_tokens(), figures.result.rows).c_str(), stderr);
    }
  }
  return 0;
}

VerbMain Add(Flags& flags) {
  auto options = std::make_shared<RunOptions>();
  flags.Group("Text");
  flags.Add("-m,--model", options->model, "FILE",
            "the GGUF file (part 1 of a split one); without it the bundled model");
  flags.Add("-p,--prompt", options->prompt, "TEXT", "the beginning of the text");
  flags.Add("-f,--file", options->file, "FILE",
            "the prompt from a file, byte for byte; - reads standard input");
  flags.AddSwitch("--no-display-prompt", options->no_display_prompt, "show what is generated only");
  flags.AddSwitch("--json", options->json,
                  "one JSON document with text and measurements instead of the stream");
  flags.AddSwitch("--no-statistics", options->no_statistics, "nothing on stderr after the text");
  flags.AddChoice("--color", options->color, {"auto", "never", "always"},
                  "prompt in bold; auto: on a terminal, unless NO_COLOR is set");
  options->generation.AddTo(flags, 256);
  options->engine.AddTo(flags);
  return [options] { return Run(*options); };
}

}  // namespace

const Verb kRunVerb = {
    "run", "generate text from a prompt, streaming; the bundled model when there is no -m",
    "Reads the prompt, shows it and writes its continuation to stdout as it is generated. Ctrl-C "
    "stops "
    "and still shows the statistics, a second one ends at once. Statistics go to stderr.\n"
    "Memory is planned before anything is loaded; a plan larger than what the machine has is "
    "refused "
    "with the figures and what to change.",
    "edgewise run\n"
    "edgewise run -m model.gguf -p \"The capital of France is\" -n 32 --temp 0\n"
    "cat notes.txt | edgewise run -m model.gguf -f - -c 8192 -ctk q8_0 -ctv q8_0\n",
    Add};

}  // namespace edgewise
