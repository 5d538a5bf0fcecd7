#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <iostream>
#include <optional>
#include <string>

#include "base/atomic_file.h"
#include "base/error.h"
#include "cli/backend.h"
#include "cli/console.h"
#include "cli/conversation.h"
#include "cli/generation.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/verb.h"

namespace edgewise {
namespace {

struct ChatOptions {
  std::optional<std::string> model, chat_template;
  std::string system;
  bool no_thinking = false, no_statistics = false;
  std::string color = "auto";
  EngineFlags engine;
  GenerationFlags generation;
};

constexpr const char* kHelp =
    "/help        this list\n"
    "/clear       forget the conversation, not the system prompt\n"
    "/save FILE   write the conversation as JSON\n"
    "/exit        leave (also Ctrl-D, or Ctrl-C at the prompt)\n"
    "A line that ends in \\ goes on in the next one. Ctrl-C stops an answer.\n";

std::string TemplateNames() {
  std::string names;
  for (const std::string_view name : ChatTemplate::BuiltInNames()) {
    names += (names.empty() ? "" : ", ") + std::string(name);
  }
  return names;
}

ChatTemplate TemplateOf(const ChatOptions& options, const Gguf& file) {
  if (options.chat_template) {
    std::error_code error;
    if (std::filesystem::is_regular_file(*options.chat_template, error)) {
      return ChatTemplate::Parse(ReadText(*options.chat_template));
    }
    return ChatTemplate::BuiltIn(*options.chat_template);
  }
  if (file.Find("tokenizer.chat_template") != nullptr) {
    return ChatTemplate::Parse(file.String("tokenizer.chat_template"));
  }
  throw Error(ErrorCode::kUsage,
              StrCat(file.path(),
                     " has no chat template, so it was hardly trained to converse: use "
                     "`edgewise run`, or choose by --chat-template one of ",
                     TemplateNames(), " or a file"));
}

// The prompt's line, with those that a trailing backslash joins to it; nullopt at the end of input.
std::optional<std::string> ReadMessage(bool terminal, bool color) {
  std::string message;
  for (bool first = true;; first = false) {
    if (terminal)
      Write(StrCat(color ? "\033[1;32m" : "", first ? "> " : ". ", color ? "\033[0m" : ""));
    std::string line;
    if (!std::getline(std::cin, line)) {
      if (terminal) Write("\n");
      if (message.empty()) return std::nullopt;
      return message;
    }
    if (line.ends_with('\r')) line.pop_back();
    if (!line.ends_with('\\')) return message + line;
    line.back() = '\n';
    message += line;
  }
}

class Chat {
 public:
  Chat(const ChatOptions& options, const LoadedModel& loaded, const EngineOptions& resolved,
       const SamplerOptions& sampling)
      : options_(options),
        tokenizer_(*loaded.tokenizer),
        model_path_(loaded.file.path()),
        conversation_(tokenizer_, TemplateOf(options, loaded.file),
                      options.generation.Unescaped(options.system),
                      options.no_thinking
                          ? std::vector<std::pair<std::string, bool>>{{"enable_thinking", false}}
                          : std::vector<std::pair<std::string, bool>>{}),
        engine_(loaded.model, resolved),
        generator_(engine_, 0),
        sampler_(sampling, loaded.model.config().vocab),
        color_(WantsColor(options.color)) {}

  void Run() {
    const bool terminal = isatty(STDIN_FILENO) != 0;
    if (terminal) {
      Write(StrCat("Chatting with ", model_path_, "; /help lists the commands.\n"));
    }
    for (;;) {
      const InterruptGuard interrupt;  // makes Ctrl-C end the reading, not the process
      const auto message = ReadMessage(terminal, color_);
      if (!message || *message == "/exit" || *message == "/quit") return;
      if (message->empty()) continue;
      if (message->starts_with('/')) {
        Command(*message);
      } else {
        Turn(*message);
      }
    }
  }

 private:
  void Command(const std::string& line) {
    const std::string name = line.substr(0, line.find(' '));
    const std::string argument = name.size() == line.size() ? "" : line.substr(name.size() + 1);
    if (name == "/help") {
      Write(kHelp);
    } else if (name == "/clear") {
      conversation_.Clear();
      std::fputs("the conversation is forgotten\n", stderr);
    } else if (name == "/save" && !argument.empty()) {
      Save(argument);
    } else {
      std::fprintf(stderr, "%s: /help lists the commands\n",
                   name == "/save" ? "/save needs a file name" : "there is no such command");
    }
  }

  void Save(const std::string& path) {
    Json messages = Json::Array();
    for (const ChatMessage& message : conversation_.messages()) {
      Json json = Json::Object();
      json.Set("role", message.role).Set("content", message.content);
      messages.Push(std::move(json));
    }
    Json json = Json::Object();
    json.Set("model", model_path_).Set("messages", std::move(messages));
    try {
      AtomicFile file(path);
      file.Write(json.Text() + "\n");
      file.Commit();
      std::fprintf(stderr, "saved %zu messages\n", conversation_.messages().size());
    } catch (const Error& error) {
      std::fprintf(stderr, "not saved: %s\n", error.message().c_str());
    }
  }

  // Asks, and makes room for the answer where the user allowed to.
  const std::vector<TokenId>* Ask(const std::string& message) {
    const std::vector<TokenId>& tokens = conversation_.Ask(message);
    const uint32_t context = engine_.options().context;
    while (tokens.size() >= context) {
      if (options_.generation.context_shift && conversation_.DropOldest()) continue;
      std::fprintf(
          stderr,
          "the conversation would have %zu tokens, the context holds %u: /clear forgets it; "
          "-c makes it larger, --context-shift drops the oldest\n",
          tokens.size(), context);
      conversation_.Withdraw();
      return nullptr;
    }
    return &tokens;
  }

  void Turn(const std::string& message) {
    const std::vector<TokenId>* tokens = nullptr;
    try {
      tokens = Ask(message);
    } catch (const Error& error) {  // of the template: it may accept another message
      std::fprintf(stderr, "%s\n", error.message().c_str());
    }
    if (tokens == nullptr) return;

    Progress progress("prompt");
    GenerateOptions generate = options_.generation.ToGenerate();
    generate.on_prefill = [&](uint32_t done, uint32_t total) { progress.Show(done, total); };
    const InterruptGuard interrupt;
    generate.cancel = &interrupt.flag();
    TextStream stream(tokenizer_, options_.generation.Stops());
    std::string answer;
    bool shown = false;
    std::vector<TokenId> sampled;
    const auto show = [&](std::string text) {
      answer += text;
      if (!shown) text.erase(0, std::min(text.find_first_not_of(" \n"), text.size()));
      shown = shown || !text.empty();
      Write(text);
    };
    const auto is_end = [&](TokenId token) { return tokenizer_.IsEndOfGeneration(token); };
    const GenerateResult result =
        generator_.Generate(*tokens, sampler_, generate, is_end, [&](TokenId token) {
          progress.Clear();
          sampled.push_back(token);
          show(stream.Push(token));
          return !stream.stopped();
        });
    progress.Clear();
    show(stream.Flush());
    if (!answer.ends_with('\n')) Write("\n");
    const size_t all = tokens->size();
    conversation_.Answer(std::move(answer), sampled);
    Report(result, all);
  }

  void Report(const GenerateResult& result, size_t conversation_tokens) const {
    if (result.reason == StopReason::kContextFull) {
      std::fputs(
          "the context is full: /clear forgets the conversation; -c makes it larger, "
          "--context-shift drops the oldest\n",
          stderr);
    } else if (result.reason == StopReason::kCancelled) {
      std::fputs("stopped\n", stderr);
    }
    if (options_.no_statistics) return;
    RunFigures figures;
    figures.result = result;
    std::fprintf(stderr, "[prompt %u of %zu tokens new, TTFT %.1f ms | generated %u, %.1f tok/s%s]\n",
                 result.prompt_tokens, conversation_tokens, result.first_token.value() * 1e3,
                 result.generated_tokens, figures.decode_tok_s(), DraftText(result.draft).c_str());
  }

  const ChatOptions& options_;
  const Tokenizer& tokenizer_;
  const std::string model_path_;
  Conversation conversation_;
  Engine engine_;
  Generator generator_;
  Sampler sampler_;
  bool color_;
};

int RunChat(const ChatOptions& options) {
  EngineOptions asked = options.engine.ToOptions();
  // Refuses wrong flags before the model is read.
  asked.logit_rows = options.generation.ToGenerate().draft + 1;
  LoadedModel loaded(ModelPath(options.model), options.engine.check_tensors);
  ChosenBackend backend(options.engine, loaded.model);
  asked.backend = backend.get();
  const EngineOptions resolved = ResolveOptions(loaded.model, asked);
  const SamplerOptions sampling = options.generation.ToSampler(*loaded.tokenizer, resolved.context);
  CheckedPlan(loaded, resolved, sampling, options.engine.force);
  NoteLongContext(loaded.model, resolved);
  Load(loaded.file, resolved);
  Chat(options, loaded, resolved, sampling).Run();
  return 0;
}

VerbMain Add(Flags& flags) {
  auto options = std::make_shared<ChatOptions>();
  flags.Group("Conversation");
  flags.Add("-m,--model", options->model, "FILE",
            "the GGUF file (part 1 of a split one); without it the bundled model");
  flags.Add("-sys,--system-prompt", options->system, "TEXT", "what the model is told beforehand");
  flags.Add(
      "--chat-template", options->chat_template, "NAME|FILE",
      StrCat("instead of the model's own: ", TemplateNames(), ", or a file with a Jinja template"));
  flags.AddSwitch("--no-thinking", options->no_thinking,
                  "tell the template that the model shall answer at once (enable_thinking)");
  flags.AddSwitch("--no-statistics", options->no_statistics, "no figures after an answer");
  flags.AddChoice("--color", options->color, {"auto", "never", "always"},
                  "auto: on a terminal, unless NO_COLOR is set");
  options->generation.AddTo(flags, -1);
  options->engine.AddTo(flags);
  return [options] { return RunChat(*options); };
}

}  // namespace

const Verb kChatVerb = {"chat", "converse in the terminal with the model's own chat template",
                        "Reads a message, writes the answer, remembers both; the KV cache is kept, "
                        "so that only what is new "
                        "is computed. Input from a pipe works too: one message a line. Commands: "
                        "/help, /clear, /save FILE, "
                        "/exit. Ctrl-C stops an answer, at the prompt it leaves.",
                        "edgewise chat -m model.gguf -sys \"You are brief.\"\n"
                        "edgewise chat -m model.gguf --chat-template chatml -c 8192\n",
                        Add};

}  // namespace edgewise
