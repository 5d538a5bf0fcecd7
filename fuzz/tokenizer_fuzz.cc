// A small vocabulary and a text, both from the input. Findings become cases of the tests in
// src/tokenizer/.
//
// The input is lines, an empty one, and then the text:
//   first line   options, one letter each: s (SPM) or b (BPE, a letter A.. picks the
//   pre-tokeniser),
//                p (SPM's space prefix), n (no byte tokens), x (types and duplicates as they come)
//   other lines  "m" LEFT tab RIGHT: a merge and its token, plain bytes
//                "u" TEXT: a user-defined token
//                "t" TYPE SCORE TEXT: a token, type a digit, score a character
#include <chrono>

#include "base/error.h"
#include "tokenizer/test_vocabulary.h"

namespace edgewise {
namespace {

constexpr std::string_view kRules[] = {"gpt-2",        "llama-bpe",      "qwen2",
                                       "qwen35",       "smollm",         "falcon",
                                       "deepseek-llm", "deepseek-coder", "default"};

std::string_view TakeLine(std::string_view& input) {
  const size_t end = std::min(input.find('\n'), input.size());
  const std::string_view line = input.substr(0, end);
  input.remove_prefix(std::min(end + 1, input.size()));
  return line;
}

struct Case {
  TestVocabulary vocabulary;
  std::string_view text;
  bool complete = true;  // every text must come back
};

Case Read(std::string_view input) {
  const std::string_view options = TakeLine(input);
  const auto has = [&](char option) { return options.find(option) != std::string_view::npos; };
  std::vector<std::string_view> lines;
  while (!input.empty() && lines.size() < 200) {
    const std::string_view line = TakeLine(input);
    if (line.empty()) break;
    lines.push_back(line);
  }
  Case c;
  c.text = input;
  TestVocabulary& v = c.vocabulary;
  const bool spm = has('s');
  size_t rule = 0;
  for (const char option : options) {
    if (option >= 'A' && option <= 'Z') rule = static_cast<size_t>(option - 'A');
  }
  static const TestVocabulary none, spm_base = SpmBase().Add("▁"), bpe_base = BpeBase();
  const TestVocabulary& base = has('n') ? none : spm ? spm_base : bpe_base;
  v.model = spm ? "llama" : "gpt2";
  v.pre = spm ? "" : kRules[rule % std::size(kRules)];
  if (spm) v.Flag("add_space_prefix", has('p'));
  c.complete = !has('n') && !has('x');

  // Added tokens first: of equal texts the last is found, and that must be the bytes' own.
  for (const std::string_view line : lines) {
    if (line[0] == 'u') {
      v.Add(line.substr(1), 0, TokenType::kUserDefined);
      if (spm) c.complete = false;  // the text behind one gets a space
    } else if (line[0] == 't' && line.size() >= 3) {
      const auto type = static_cast<TokenType>(line[1] & 7);
      const bool plain = spm && line.find('<') == std::string_view::npos;
      if (!plain || has('x')) c.complete = false;
      v.Add(line.substr(3), static_cast<float>(static_cast<int8_t>(line[2])),
            has('x') ? type : TokenType::kNormal);
    }
  }
  v.tokens.insert(v.tokens.end(), base.tokens.begin(), base.tokens.end());
  for (const std::string_view line : lines) {
    const size_t tab = line.find('\t');
    if (line[0] != 'm' || tab == std::string_view::npos) continue;
    const std::string_view left = line.substr(1, tab - 1), right = line.substr(tab + 1);
    if (has('x')) {
      v.merges.push_back(std::string(left) + " " + std::string(right));
    } else if (!left.empty() && !right.empty() && !spm) {
      AddMerge(v, left, right);
    }
  }
  if (spm) {  // ids are those of the base, behind the added tokens
    const auto first = static_cast<uint32_t>(v.tokens.size() - base.tokens.size());
    v.Id("unknown", has('n') ? 0xFFFFFFFF : first);
    v.Id("bos", has('n') ? 0xFFFFFFFF : first + 1).Id("eos", has('n') ? 0xFFFFFFFF : first + 2);
    if (c.text.find("▁") != std::string_view::npos) c.complete = false;
  }
  return c;
}

void Run(const Case& c) {
  const std::string bytes = c.vocabulary.Bytes();
  std::unique_ptr<const Tokenizer> tokenizer;
  try {
    const Gguf file = Gguf::FromBytes(std::as_bytes(std::span(bytes)), "file");
    const uint64_t planned = Tokenizer::PlanMemoryBytes(file);
    tokenizer = Tokenizer::FromGguf(file);
    // A few special tokens found by their text may not be in the plan.
    EDGEWISE_CHECK(tokenizer->MemoryBytes() <= planned + 4096);
  } catch (const Error& error) {
    EDGEWISE_CHECK(error.message().find('\n') == std::string::npos);
    return;
  }
  const auto start = std::chrono::steady_clock::now();
  for (const bool special : {false, true}) {
    const std::vector<TokenId> ids =
        tokenizer->Encode(c.text, {.add_special = special, .parse_special = special});
    EDGEWISE_CHECK(ids.size() <= 3 * c.text.size() + 5);
    Utf8Stream stream;
    std::string streamed;
    for (const TokenId id : ids) {
      EDGEWISE_CHECK(id >= 0 && static_cast<uint32_t>(id) < tokenizer->size());
      streamed += stream.Push(tokenizer->Piece(id, true));
    }
    streamed += stream.Flush();
    const std::string decoded = tokenizer->Decode(ids, true);
    EDGEWISE_CHECK(decoded.size() <= streamed.size() && streamed.size() <= decoded.size() + 1);
    if (c.complete && !special) EDGEWISE_CHECK(decoded == c.text);
  }
  // Even under sanitizers a few kilobytes take milliseconds; the rest is for a busy machine.
  EDGEWISE_CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(10));
}

}  // namespace
}  // namespace edgewise

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  edgewise::Run(edgewise::Read({reinterpret_cast<const char*>(data), size}));
  return 0;
}
