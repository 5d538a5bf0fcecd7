#include "tokenizer/vocabulary.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cctype>
#include <cstring>

#include "base/error.h"

namespace edgewise {
namespace {

constexpr std::string_view kTokensKey = "tokenizer.ggml.tokens";
constexpr std::string_view kTypesKey = "tokenizer.ggml.token_type";
constexpr uint32_t kEmptySlot = 0xFFFFFFFF;

// Texts by which the ecosystem's engines recognise tokens whose ids files often lack. Such a token
// is a control token whatever its stored type says. In each list the first text present counts.
constexpr std::string_view kEotTexts[] = {
    "<|eot_id|>",        "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>",
    "<|end_of_text|>",   "<EOT>",      "_<EOT>",  "[EOT]",         "<｜end▁of▁sentence｜>",
    "<end_of_utterance>"};
constexpr std::string_view kEomTexts[] = {"<|eom_id|>"};
constexpr std::string_view kFimPreTexts[] = {"<|fim_prefix|>",  "<fim-prefix>", "<fim_prefix>",
                                             "<｜fim▁begin｜>", "<PRE>",        "▁<PRE>",
                                             "<|code_prefix|>", "<|prefix|>"};
constexpr std::string_view kFimSufTexts[] = {"<|fim_suffix|>",  "<fim-suffix>", "<fim_suffix>",
                                             "<｜fim▁hole｜>",  "<SUF>",        "▁<SUF>",
                                             "<|code_suffix|>", "<|suffix|>"};
constexpr std::string_view kFimMidTexts[] = {"<|fim_middle|>",  "<fim-middle>", "<fim_middle>",
                                             "<｜fim▁end｜>",   "<MID>",        "▁<MID>",
                                             "<|code_middle|>", "<|middle|>"};
constexpr std::string_view kFimPadTexts[] = {"<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>",
                                             "[PAD]"};
constexpr std::string_view kFimRepTexts[] = {"<|fim_repo|>", "<|repo_name|>", "<fim-repo>",
                                             "<REPO>", "<reponame>"};
constexpr std::string_view kFimSepTexts[] = {"<|file_sep|>"};

// All of these end generation, wherever they occur in a vocabulary.
constexpr std::string_view kEndTexts[] = {"<|eot_id|>",
                                          "<|im_end|>",
                                          "<|end|>",
                                          "<|return|>",
                                          "<|call|>",
                                          "<|flush|>",
                                          "<|calls|>",
                                          "<end_of_turn>",
                                          "<|endoftext|>",
                                          "</s>",
                                          "<|eom_id|>",
                                          "<EOT>",
                                          "_<EOT>",
                                          "[EOT]",
                                          "[EOS]",
                                          "<|end_of_text|>",
                                          "<end_of_utterance>",
                                          "<eos>",
                                          "<turn|>",
                                          "<|tool_response>",
                                          "<｜end▁of▁sentence｜>",
                                          "[e~["};

// Parts of a message that applications want to see in the output.
constexpr std::string_view kShownTexts[] = {"<|channel|>", "<|message|>", "<|start|>",
                                            "<|constrain|>"};

const GgufValue& TokensOf(const Gguf& file) {
  const GgufValue* tokens = file.Find(kTokensKey);
  if (tokens == nullptr) {
    throw Error(ErrorCode::kBadFile, StrCat(file.path(), ": no vocabulary (", kTokensKey,
                                            "); use a GGUF file that has its tokenizer"));
  }
  if (!tokens->is_array() || tokens->element_type() != GgufType::kString || tokens->size() == 0) {
    throw Error(ErrorCode::kBadFile,
                StrCat(file.path(), ": ", kTokensKey, " is not a list of at least one text"));
  }
  if (tokens->size() > kMaxTokens) {
    throw Error(ErrorCode::kLimit, StrCat(file.path(), ": vocabulary of ", tokens->size(),
                                          " tokens; the limit is ", kMaxTokens));
  }
  return *tokens;
}

uint64_t SlotCount(uint64_t tokens) { return 2 * tokens; }

}  // namespace

uint64_t HashBytes(std::string_view text) {
  // Multiply and fold, eight bytes at a time. Speed matters, resistance to attack does not:
  // kMaxProbes bounds what a crafted file can cost.
  uint64_t hash = 0x9E3779B97F4A7C15u ^ text.size();
  const auto mix = [&hash](uint64_t word) {
    hash = (hash ^ word) * 0xD6E8FEB86659FD93u;
    hash ^= hash >> 32;
  };
  const char* p = text.data();
  size_t left = text.size();
  for (; left >= 8; p += 8, left -= 8) {
    uint64_t word;
    std::memcpy(&word, p, 8);
    mix(word);
  }
  uint64_t tail = 0;
  if (left > 0) std::memcpy(&tail, p, left);
  mix(tail);
  mix(0);
  return hash;
}

int ByteOfTokenText(std::string_view text) {
  if (text.size() != 6 || text.substr(0, 3) != "<0x" || text[5] != '>') return -1;
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
  };
  const int high = digit(text[3]), low = digit(text[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

Vocabulary::Vocabulary(const Gguf& file) {
  ReadTexts(file);
  ReadTypes(file);
  BuildIndex(file);
  ReadSpecialIds(file);
  FindSpecialTokens();
  CheckSpecialTokens(file);
}

uint64_t Vocabulary::PlanMemoryBytes(const Gguf& file) {
  const GgufValue& tokens = TokensOf(file);
  const uint64_t texts = tokens.bytes().size() - 8 * tokens.size();  // each has a length before it
  return PlanMemoryBytes(tokens.size(), texts);
}

uint64_t Vocabulary::PlanMemoryBytes(uint64_t tokens, uint64_t text_bytes) {
  return sizeof(Vocabulary) + text_bytes + 4 * (tokens + 1) + tokens + 4 * SlotCount(tokens);
}

uint64_t Vocabulary::MemoryBytes() const {
  return sizeof(Vocabulary) + text_.capacity() + 4 * begin_.capacity() + types_.capacity() +
         4 * slots_.capacity() + 4 * end_of_generation_.capacity();
}

void Vocabulary::ReadTexts(const Gguf& file) {
  const std::vector<std::string_view> texts = *TokensOf(file).AsStrings();
  uint64_t total = 0;
  for (size_t id = 0; id < texts.size(); ++id) {
    if (texts[id].size() > kMaxTokenBytes) {
      throw Error(ErrorCode::kLimit, StrCat(file.path(), ": token ", id, " has ", texts[id].size(),
                                            " bytes; the limit is ", kMaxTokenBytes));
    }
    total += texts[id].size();
    longest_text_ = std::max(longest_text_, texts[id].size());
  }
  if (total > UINT32_MAX) {
    throw Error(ErrorCode::kLimit,
                StrCat(file.path(), ": the tokens' texts together exceed 4 GiB"));
  }
  text_.reserve(total);
  begin_.reserve(texts.size() + 1);
  for (const std::string_view text : texts) {
    begin_.push_back(static_cast<uint32_t>(text_.size()));
    text_ += text;
  }
  begin_.push_back(static_cast<uint32_t>(text_.size()));
}

void Vocabulary::ReadTypes(const Gguf& file) {
  const size_t count = begin_.size() - 1;
  types_.assign(count, TokenType::kNormal);
  const GgufValue* value = file.Find(kTypesKey);
  if (value == nullptr) return;
  const auto types = value->AsIntegers();
  if (!types || types->size() != count) {
    throw Error(ErrorCode::kBadFile, StrCat(file.path(), ": ", kTypesKey, " is not a list of ",
                                            count, " integers, one for each token"));
  }
  for (size_t id = 0; id < count; ++id) {
    const int64_t type = (*types)[id];
    const bool known = type >= 0 && type <= static_cast<int64_t>(TokenType::kByte);
    types_[id] = known ? static_cast<TokenType>(type) : TokenType::kUndefined;
    if (types_[id] == TokenType::kByte && ByteOfTokenText(Text(static_cast<TokenId>(id))) < 0) {
      throw Error(ErrorCode::kBadFile,
                  StrCat(file.path(), ": byte token ", id, " is spelt '",
                         Printable(Text(static_cast<TokenId>(id))), "', not <0x00> to <0xFF>"));
    }
  }
}

void Vocabulary::BuildIndex(const Gguf& file) {
  slots_.assign(SlotCount(size()), kEmptySlot);
  for (uint32_t id = 0; id < size(); ++id) {
    const std::string_view text = Text(static_cast<TokenId>(id));
    if (text.empty()) continue;
    const uint64_t hash = HashBytes(text);
    const uint32_t tag = static_cast<uint32_t>(hash & 0xFF) % 255 << 24;  // 255 is kEmptySlot's
    size_t at = (hash >> 32) * slots_.size() >> 32;
    for (uint32_t probes = 0; slots_[at] != kEmptySlot; ++probes) {
      if ((slots_[at] >> 24) == (tag >> 24) &&
          Text(static_cast<TokenId>(slots_[at] & 0xFFFFFF)) == text) {
        break;
      }
      if (probes == kMaxProbes) {
        throw Error(ErrorCode::kLimit,
                    StrCat(file.path(), ": token ", id, " ('", Printable(text),
                           "') collides with over ", kMaxProbes, " others; the file is crafted"));
      }
      if (++at == slots_.size()) at = 0;
    }
    slots_[at] = tag | id;
  }
}

TokenId Vocabulary::Find(std::string_view text) const {
  if (text.empty() || text.size() > longest_text_) return -1;
  const uint64_t hash = HashBytes(text);
  const uint32_t tag = static_cast<uint32_t>(hash & 0xFF) % 255;
  size_t at = (hash >> 32) * slots_.size() >> 32;
  for (; slots_[at] != kEmptySlot; at = at + 1 == slots_.size() ? 0 : at + 1) {
    if ((slots_[at] >> 24) != tag) continue;
    const auto id = static_cast<TokenId>(slots_[at] & 0xFFFFFF);
    if (Text(id) == text) return id;
  }
  return -1;
}

void Vocabulary::ReadSpecialIds(const Gguf& file) {
  const auto read = [&](const char* name, TokenId fallback) -> TokenId {
    const std::string key = StrCat("tokenizer.ggml.", name, "_token_id");
    const int64_t id = file.Integer(key, Has(fallback) ? fallback : -1);
    if (id == -1 || id == UINT32_MAX) return -1;  // converters write "none" so
    if (id < 0 || id >= size()) {
      throw Error(ErrorCode::kBadFile, StrCat(file.path(), ": ", key, " = ", id,
                                              " is outside the vocabulary of ", size()));
    }
    return static_cast<TokenId>(id);
  };
  // SentencePiece's own order is the default of SPM files.
  const bool spm = file.String("tokenizer.ggml.model") == "llama";
  unk = read("unknown", spm ? 0 : -1);
  bos = read("bos", spm ? 1 : -1);
  eos = read("eos", spm ? 2 : -1);
  eot = read("eot", -1);
  eom = read("eom", -1);
  std::string name(file.String("general.name", ""));
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  strips_after_special =
      name.find("phi-3") != std::string::npos || name.find("phi3") != std::string::npos;
}

TokenId Vocabulary::MarkFirst(std::span<const std::string_view> texts) {
  for (const std::string_view text : texts) {
    const TokenId id = Find(text);
    if (id < 0) continue;
    SetType(id, TokenType::kControl);
    return id;
  }
  return -1;
}

void Vocabulary::FindSpecialTokens() {
  const TokenId found_eot = eot < 0 ? MarkFirst(kEotTexts) : eot;
  const TokenId found_eom = eom < 0 ? MarkFirst(kEomTexts) : eom;
  eot = found_eot;
  eom = found_eom;
  MarkFirst(kFimPreTexts);
  MarkFirst(kFimSufTexts);
  MarkFirst(kFimMidTexts);
  std::vector<TokenId>& ends = end_of_generation_;
  ends = {MarkFirst(kFimPadTexts), MarkFirst(kFimRepTexts), MarkFirst(kFimSepTexts)};
  for (const std::string_view text : kEndTexts) {
    const TokenId id = Find(text);
    if (id < 0) continue;
    SetType(id, TokenType::kControl);
    ends.push_back(id);
  }
  for (const std::string_view text : kShownTexts) {
    if (const TokenId id = Find(text); id >= 0) SetType(id, TokenType::kUserDefined);
  }
  ends.insert(ends.end(), {eos, eot, eom});

  const auto ends_by = [&](std::string_view text) {
    return std::find(ends.begin(), ends.end(), Find(text)) != ends.end() && Find(text) >= 0;
  };
  const auto keep_going_at = [&](std::string_view text, TokenType type) {
    const TokenId id = Find(text);
    std::erase(ends, id);
    SetType(id, type);
  };
  // In the harmony format <|end|> only closes one message of several.
  if (ends_by("<|end|>") && (ends_by("<|call|>") || ends_by("<|calls|>")) &&
      (ends_by("<|return|>") || ends_by("<|flush|>"))) {
    keep_going_at("<|end|>", TokenType::kUserDefined);
  }
  // Gemma 4 has HTML tags as ordinary tokens, </s> (strike-through) among them.
  if (ends_by("<|tool_response>") && ends_by("</s>")) {
    keep_going_at("</s>", TokenType::kNormal);
  }
  std::erase(ends, -1);
  std::sort(ends.begin(), ends.end());
  ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
  ends.shrink_to_fit();
}

bool Vocabulary::IsSpecial(TokenId id) const {
  const TokenType type = types_[id];
  return type == TokenType::kControl || type == TokenType::kUnknown ||
         type == TokenType::kUserDefined;
}

void Vocabulary::CheckSpecialTokens(const Gguf& file) const {
  for (uint32_t i = 0; i < size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    if (!IsSpecial(id) || Text(id).size() <= kMaxSpecialTokenBytes) continue;
    throw Error(ErrorCode::kLimit,
                StrCat(file.path(), ": special token ", id, " has ", Text(id).size(),
                       " bytes; the limit is ", kMaxSpecialTokenBytes));
  }
}

bool Vocabulary::IsEndOfGeneration(TokenId id) const {
  return std::binary_search(end_of_generation_.begin(), end_of_generation_.end(), id);
}

}  // namespace edgewise
