#include "tokenizer/pre_tokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <span>

#include "base/error.h"
#include "base/utf8.h"

namespace edgewise {
namespace {

// Character classes, as the ecosystem's engines define them. PCRE2 10.42 knows Unicode 14; the
// characters that Unicode 15.0 and 15.1 added are spelt out, so that a newer PCRE2 changes nothing.
// (No character assigned in 14 changed its class.)
constexpr std::string_view kLetter =
    R"(\p{L})"
    R"(\x{1123F}-\x{11240}\x{11F02}\x{11F04}-\x{11F10}\x{11F12}-\x{11F33}\x{1342F})"
    R"(\x{13441}-\x{13446}\x{1B132}\x{1B155}\x{1DF25}-\x{1DF2A}\x{1E030}-\x{1E06D})"
    R"(\x{1E4D0}-\x{1E4EB}\x{2B739}\x{2EBF0}-\x{2EE5D}\x{31350}-\x{323AF})";
constexpr std::string_view kNumber = R"(\p{N})"
                                     R"(\x{11F50}-\x{11F59}\x{1D2C0}-\x{1D2D3}\x{1E4F0}-\x{1E4F9})";
constexpr std::string_view kPunctuation = R"(\p{P})"
                                          R"(\x{11B00}-\x{11B09}\x{11F43}-\x{11F4F})";
constexpr std::string_view kMark =
    R"(\p{M})"
    R"(\x{CF3}\x{ECE}\x{10EFD}-\x{10EFF}\x{11241}\x{11F00}-\x{11F01}\x{11F03})"
    R"(\x{11F34}-\x{11F3A}\x{11F3E}-\x{11F42}\x{13440}\x{13447}-\x{13455}\x{1E08F})"
    R"(\x{1E4EC}-\x{1E4EF})";
// Unicode's White_Space; PCRE2's \s also has U+180E, which left that set in Unicode 6.3.
constexpr std::string_view kSpace =
    R"(\t-\r \x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";

// DeepSeek's list of cased letters, as its tokenizer.json spells it.
constexpr std::string_view kCased =
    R"(A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF}\x{1C4}-\x{293})"
    R"(\x{295}-\x{2AF}\x{370}-\x{373}\x{376}\x{377}\x{37B}-\x{37D}\x{37F}\x{386})"
    R"(\x{388}-\x{38A}\x{38C}\x{38E}-\x{3A1}\x{3A3}-\x{3F5}\x{3F7}-\x{481}\x{48A}-\x{52F})"
    R"(\x{531}-\x{556}\x{10A0}-\x{10C5}\x{13A0}-\x{13F5}\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA})"
    R"(\x{1CBD}-\x{1CBF}\x{1D00}-\x{1D2B}\x{1D6B}-\x{1D77}\x{1D79}-\x{1D9A})"
    R"(\x{1E00}-\x{1F15}\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D})"
    R"(\x{1F50}-\x{1F57}\x{1F59}\x{1F5B}\x{1F5D}\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4})"
    R"(\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4}\x{1FC6}-\x{1FCC}\x{1FD0}-\x{1FD3})"
    R"(\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4}\x{1FF6}-\x{1FFC}\x{2102}\x{2107})"
    R"(\x{210A}-\x{2113}\x{2115}\x{2119}-\x{211D}\x{2124}\x{2126}\x{2128}\x{212A}-\x{212D})"
    R"(\x{212F}-\x{2134}\x{2139}\x{213C}-\x{213F}\x{2145}-\x{2149}\x{214E}\x{2183}\x{2184})"
    R"(\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4}\x{2CEB}-\x{2CEE}\x{2CF2}\x{2CF3}\x{A640}-\x{A66D})"
    R"(\x{A680}-\x{A69B}\x{A722}-\x{A76F}\x{A771}-\x{A787}\x{A78B}-\x{A78E})"
    R"(\x{AB70}-\x{ABBF}\x{FB00}-\x{FB06}\x{FB13}-\x{FB17}\x{FF21}-\x{FF3A})"
    R"(\x{FF41}-\x{FF5A}\x{10400}-\x{1044F}\x{104B0}-\x{104D3}\x{104D8}-\x{104FB})"
    R"(\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2}\x{118A0}-\x{118DF}\x{1E900}-\x{1E943})";
// DeepSeek's [U+4E00-U+9FA5 U+0800-U+4E00 U+AC00-U+D7FF] without white space, which the ecosystem's
// engines do not count here.
constexpr std::string_view kDeepSeekWide =
    R"(\x{800}-\x{167F}\x{1681}-\x{1FFF}\x{200B}-\x{2027}\x{202A}-\x{202E}\x{2030}-\x{205E})"
    R"(\x{2060}-\x{2FFF}\x{3001}-\x{9FA5}\x{AC00}-\x{D7FF})";

// In these patterns \s \S \p{L} \p{N} \p{P} \p{M} \p{Cased} \p{Wide} mean the classes above.
constexpr const char* kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S))";
constexpr const char* kLlama3 =
    R"('[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]|[^\r\n\p{L}\p{N}]?\p{L}+|)"
    R"(\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kQwen2 =
    R"('[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]|[^\r\n\p{L}\p{N}]?\p{L}+|)"
    R"(\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kQwen35 =
    R"('[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|)"
    R"(\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
struct Rule {
  std::vector<std::string_view> names;
  std::vector<const char*> patterns;
  bool ignore_merges = false, add_bos = false;
};

const std::vector<Rule>& Rules() {
  static const std::vector<Rule> rules = {
      {{"default"}, {R"([\p{P}$+<=>^~|]+)", kGpt2, R"(\p{N}+)", R"([0-9][0-9][0-9])"}},
      {{"gpt-2", "phi-2", "mpt", "olmo", "jais", "trillion", "granite-docling", "exaone4",
        "gigachat", "mellum", "a.x-4.0"},
       {kGpt2}},
      {{"llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"},
       {kLlama3},
       /*ignore_merges=*/true,
       /*add_bos=*/true},
      {{"dbrx", "smaug-bpe", "glm4", "chatglm-bpe"}, {kLlama3}},
      {{"qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez", "stablelm2", "hunyuan", "grok-2",
        "solar-open"},
       {kQwen2}},
      {{"qwen35"}, {kQwen35}},
      {{"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b",
        "mellum2"},
       {R"(\p{N})", kGpt2}},
      {{"falcon"}, {R"([\p{P}$+<=>^~|`]+)", kGpt2, R"([0-9][0-9][0-9])"}},
      // \s+$ of the original with a look-behind: otherwise PCRE2's interpreter (where there is no
      // just-in-time compiler) tries each space of a long run that is not at the end, which is
      // quadratic: 65,536 spaces took 25 s, now 11 ms.
      {{"deepseek-llm"},
       {R"([\r\n])", R"(\s?\p{Cased}+)",
        R"(\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3001}\x{3002}]+)",
        R"((?<!\s)\s++\z)", R"(\p{Wide}+)", R"(\p{N}+)"}},
      {{"deepseek-coder"},
       {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)", R"(\p{Wide}+)", R"(\p{N})"}},
  };
  return rules;
}

const Rule& RuleNamed(std::string_view name, std::string_view file) {
  std::string names;
  for (const Rule& rule : Rules()) {
    for (const std::string_view known : rule.names) {
      if (known == name) return rule;
      names += names.empty() ? "" : ", ";
      names += known;
    }
  }
  throw Error(ErrorCode::kUnsupported, StrCat(file, ": pre-tokeniser '", Printable(name),
                                              "' (tokenizer.ggml.pre) is none of: ", names));
}

// Puts the classes above in place of their names, within [...] or as a [...] of their own.
std::string Expand(std::string_view pattern) {
  struct Name {
    std::string_view name, members;
    bool negated = false;
  };
  static constexpr Name kNames[] = {
      {R"(\p{Cased})", kCased}, {R"(\p{Wide})", kDeepSeekWide}, {R"(\p{L})", kLetter},
      {R"(\p{N})", kNumber},    {R"(\p{P})", kPunctuation},     {R"(\p{M})", kMark},
      {R"(\s)", kSpace},        {R"(\S)", kSpace, true},
  };
  std::string out;
  bool in_class = false;
  while (!pattern.empty()) {
    const Name* found = nullptr;
    for (const Name& name : kNames) {
      if (pattern.starts_with(name.name)) found = &name;
    }
    if (found != nullptr) {
      if (!in_class) out += found->negated ? "[^" : "[";
      out += found->members;
      if (!in_class) out += "]";
      pattern.remove_prefix(found->name.size());
      continue;
    }
    if (pattern[0] == '[') in_class = true;
    if (pattern[0] == ']') in_class = false;
    const size_t taken = pattern[0] == '\\' ? 2 : 1;
    out += pattern.substr(0, taken);
    pattern.remove_prefix(taken);
  }
  return out;
}

struct MatchDataDeleter {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};
struct MatchContextDeleter {
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};

}  // namespace

class PreTokenizer::Pattern {
 public:
  explicit Pattern(const char* pattern) {
    const std::string expanded = Expand(pattern);
    int error = 0;
    size_t at = 0;
    code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expanded.data()), expanded.size(),
                              PCRE2_UTF | PCRE2_UCP, &error, &at, nullptr));
    EDGEWISE_CHECK(code_ != nullptr);                    // our own patterns
    pcre2_jit_compile(code_.get(), PCRE2_JIT_COMPLETE);  // without it the interpreter runs: slower
  }

  // Splits text[begin, end) and appends the ends of its parts.
  void Split(std::string_view text, uint32_t begin, uint32_t end, pcre2_match_data* data,
             pcre2_match_context* context, std::vector<uint32_t>& ends) const {
    const auto subject = reinterpret_cast<PCRE2_SPTR>(text.data() + begin);
    const uint32_t length = end - begin;
    uint32_t at = 0;
    while (at < length) {
      const int found =
          pcre2_match(code_.get(), subject, length, at, PCRE2_NO_UTF_CHECK, data, context);
      if (found == PCRE2_ERROR_NOMATCH) break;
      if (found < 0) {
        throw Error(ErrorCode::kLimit, StrCat("splitting a text of ", text.size(),
                                              " bytes into words failed (PCRE2 error ", found,
                                              "); give a shorter text"));
      }
      const size_t* match = pcre2_get_ovector_pointer(data);
      const auto first = static_cast<uint32_t>(match[0]), last = static_cast<uint32_t>(match[1]);
      if (first > at) ends.push_back(begin + first);
      ends.push_back(begin + last);
      at = last;
    }
    if (at < length) ends.push_back(end);
  }

  uint64_t MemoryBytes() const {
    size_t code = 0, jit = 0;
    pcre2_pattern_info(code_.get(), PCRE2_INFO_SIZE, &code);
    pcre2_pattern_info(code_.get(), PCRE2_INFO_JITSIZE, &jit);
    return code + jit;
  }

 private:
  struct CodeDeleter {
    void operator()(pcre2_code* code) const { pcre2_code_free(code); }
  };
  std::unique_ptr<pcre2_code, CodeDeleter> code_;
};

PreTokenizer::PreTokenizer(std::string_view name, std::string_view file) {
  const Rule& rule = RuleNamed(name, file);
  ignore_merges_ = rule.ignore_merges;
  add_bos_ = rule.add_bos;
  for (const char* pattern : rule.patterns) patterns_.emplace_back(pattern);
}

PreTokenizer::~PreTokenizer() = default;
PreTokenizer::PreTokenizer(PreTokenizer&&) noexcept = default;

void PreTokenizer::Split(std::string_view text, std::vector<uint32_t>& ends) const {
  ends.clear();
  if (text.empty()) return;
  std::string replaced;
  if (!IsUtf8(text)) {
    replaced = ReplaceInvalidUtf8(text, '\x01');
    text = replaced;
  }
  const std::unique_ptr<pcre2_match_data, MatchDataDeleter> data(
      pcre2_match_data_create(1, nullptr));
  const std::unique_ptr<pcre2_match_context, MatchContextDeleter> context(
      pcre2_match_context_create(nullptr));
  if (!data || !context) throw Error(ErrorCode::kLimit, "out of memory while splitting a text");
  // The default limit would stop at a run of ten million spaces; our patterns take linear time.
  pcre2_set_match_limit(context.get(), UINT32_MAX);
  ends.push_back(static_cast<uint32_t>(text.size()));
  std::vector<uint32_t> coarser;
  for (const Pattern& pattern : patterns_) {
    coarser.swap(ends);
    ends.clear();
    uint32_t begin = 0;
    for (const uint32_t end : coarser) {
      pattern.Split(text, begin, end, data.get(), context.get(), ends);
      begin = end;
    }
  }
}

uint64_t PreTokenizer::MemoryBytes() const {
  uint64_t bytes = sizeof(PreTokenizer) + sizeof(Pattern) * patterns_.capacity();
  for (const Pattern& pattern : patterns_) bytes += pattern.MemoryBytes();
  return bytes;
}

}  // namespace edgewise
