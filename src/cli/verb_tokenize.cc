#include <unistd.h>

#include <cstdio>
#include <optional>
#include <string>

#include "base/error.h"
#include "cli/console.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "tokenizer/tokenizer.h"

namespace edgewise {
namespace {

struct TokenizeOptions {
  std::optional<std::string> model, text, prompt, file, ids;
  bool no_bos = false, no_special = false, json = false;
};

void CheckSources(const TokenizeOptions& options) {
  const int sources = options.text.has_value() + options.prompt.has_value() +
                      options.file.has_value() + options.ids.has_value();
  if (sources > 1) {
    throw Error(ErrorCode::kUsage, "give one of TEXT, -p, -f and --ids, not several");
  }
}

// Text as it is: no escapes, unlike the prompts of `run`.
std::string TextOf(const TokenizeOptions& options) {
  if (options.text) return *options.text;
  if (options.prompt) return *options.prompt;
  if (!options.file && isatty(STDIN_FILENO) != 0) {
    throw Error(ErrorCode::kUsage, "a text is missing: give TEXT, -f FILE or pipe one in");
  }
  return ReadText(options.file.value_or("-"));
}

// Numbers with anything between them that is no letter: "1, 15043", "[1,15043]".
std::vector<TokenId> ParseIds(std::string_view text, const Tokenizer& tokenizer) {
  constexpr std::string_view kBetween = " ,;[]\t\r\n";
  std::vector<TokenId> ids;
  for (size_t at = text.find_first_not_of(kBetween); at != std::string_view::npos;
       at = text.find_first_not_of(kBetween, at)) {
    const size_t end = std::min(text.find_first_of(kBetween, at), text.size());
    uint64_t id = 0;
    const std::string_view word = text.substr(at, end - at);
    for (const char c : word) {
      const bool is_digit = c >= '0' && c <= '9';
      id = is_digit && id < tokenizer.size() ? id * 10 + static_cast<uint64_t>(c - '0')
                                             : tokenizer.size();
    }
    if (id >= tokenizer.size()) {
      throw Error(ErrorCode::kUsage,
                  StrCat("--ids: '", Printable(word), "' is no token: the vocabulary has 0 to ",
                         tokenizer.size() - 1));
    }
    ids.push_back(static_cast<TokenId>(id));
    at = end;
  }
  return ids;
}

int Detokenize(const TokenizeOptions& options, const Tokenizer& tokenizer) {
  const std::string list = *options.ids == "-" ? ReadText("-") : *options.ids;
  std::vector<TokenId> ids = ParseIds(list, tokenizer);
  // A leading BOS is what encoding adds, not text.
  const bool drops_bos =
      !options.no_bos && tokenizer.add_bos() && !ids.empty() && ids[0] == tokenizer.bos();
  const std::string text =
      tokenizer.Decode(std::span(ids).subspan(drops_bos ? 1 : 0), !options.no_special);
  if (options.json) {
    Json array = Json::Array();
    for (const TokenId id : ids) array.Push(id);
    Json json = Json::Object();
    json.Set("text", text).Set("ids", std::move(array));
    json.Print();
  } else {
    Write(text);
    if (isatty(STDOUT_FILENO) != 0) Write("\n");
  }
  return 0;
}

int Tokenize(const TokenizeOptions& options) {
  CheckSources(options);
  const Gguf file = Gguf::Open(ModelPath(options.model));
  const auto tokenizer = Tokenizer::FromGguf(file);
  if (options.ids) return Detokenize(options, *tokenizer);
  const std::string text = TextOf(options);
  std::vector<TokenId> ids;
  if (!text.empty()) {
    ids = tokenizer->Encode(text,
                            {.add_special = !options.no_bos, .parse_special = !options.no_special});
  }
  if (options.json) {
    Json array = Json::Array();
    for (const TokenId id : ids) array.Push(id);
    Json json = Json::Object();
    json.Set("ids", std::move(array));
    json.Print();
    return 0;
  }
  Table table({"", "<"});
  for (const TokenId id : ids) {
    const bool is_control = tokenizer->Type(id) == TokenType::kControl;
    table.Add({std::to_string(id),
               is_control ? std::string(tokenizer->Text(id)) : Quoted(tokenizer->Piece(id))});
  }
  Write(table.ToText());
  std::fprintf(stderr, "%zu tokens, %zu bytes\n", ids.size(), text.size());
  return 0;
}

VerbMain Add(Flags& flags) {
  auto options = std::make_shared<TokenizeOptions>();
  flags.AddPositional("TEXT", options->text, "the text; taken literally");
  flags.Group("Text");
  flags.Add("-m,--model", options->model, "FILE",
            "the GGUF file, a vocabulary is enough; without it the bundled model");
  flags.Add("-p,--prompt", options->prompt, "TEXT", "the text, as TEXT");
  flags.Add("-f,--file", options->file, "FILE",
            "the text from a file, byte for byte; - reads standard input");
  flags.Add("--ids", options->ids, "IDS",
            "the other way: the text of these tokens, as 1,15043; - reads standard input");
  flags.AddSwitch("--no-bos", options->no_bos,
                  "without the tokens that the vocabulary puts around a text");
  flags.AddSwitch("--no-special", options->no_special,
                  "take control tokens spelt in the text as text; with --ids hide them");
  flags.AddSwitch("--json", options->json, "{\"ids\": [...]}");
  return [options] { return Tokenize(*options); };
}

}  // namespace

const Verb kTokenizeVerb = {
    "tokenize", "text to token ids and back",
    "Shows the tokens of a text, one in a line: id and bytes. Without TEXT, -p "
    "and -f it reads standard input. An empty text has no tokens.",
    "edgewise tokenize -m model.gguf \"Hello, world\"\n"
    "edgewise tokenize -m model.gguf -f book.txt --json\n"
    "edgewise tokenize -m model.gguf --ids 1,15043\n",
    Add};

}  // namespace edgewise
