// For tests and fuzzing: small vocabularies as GGUF files in memory.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gguf/test_gguf.h"
#include "tokenizer/tokenizer.h"
#include "base/utf8.h"

namespace edgewise {

struct TestVocabulary {
  struct Token {
    std::string text;
    float score = 0;
    TokenType type = TokenType::kNormal;
  };
  std::string model = "llama";
  std::string pre;  // left out when empty
  std::vector<Token> tokens;
  std::vector<std::string> merges;  // left out for SPM
  RawGguf entries = RawGguf();      // further keys

  TestVocabulary& Add(std::string_view text, float score = 0, TokenType type = TokenType::kNormal) {
    tokens.push_back({std::string(text), score, type});
    return *this;
  }
  TestVocabulary& Id(std::string_view name, uint32_t id) {
    entries.Entry("tokenizer.ggml." + std::string(name) + "_token_id", GgufType::kU32, Raw(id));
    return *this;
  }
  TestVocabulary& Flag(std::string_view name, bool value) {
    entries.Entry("tokenizer.ggml." + std::string(name), GgufType::kBool, Raw<uint8_t>(value));
    return *this;
  }

  std::string Bytes() const {
    std::string texts, scores, types, joined;
    for (const Token& token : tokens) {
      texts += RawString(token.text);
      scores += Raw(token.score);
      types += Raw(static_cast<int32_t>(token.type));
    }
    for (const std::string& merge : merges) joined += RawString(merge);
    RawGguf file = entries;
    file.Entry("tokenizer.ggml.model", GgufType::kString, RawString(model))
        .Array("tokenizer.ggml.tokens", GgufType::kString, tokens.size(), texts)
        .Array("tokenizer.ggml.token_type", GgufType::kI32, tokens.size(), types);
    if (!pre.empty()) file.Entry("tokenizer.ggml.pre", GgufType::kString, RawString(pre));
    if (model == "llama") {
      file.Array("tokenizer.ggml.scores", GgufType::kF32, tokens.size(), scores);
    } else {
      file.Array("tokenizer.ggml.merges", GgufType::kString, merges.size(), joined);
    }
    return file.Build();
  }

  std::unique_ptr<const Tokenizer> Make() const { return FromBytes(Bytes()); }

  static std::unique_ptr<const Tokenizer> FromBytes(const std::string& bytes) {
    return Tokenizer::FromGguf(Gguf::FromBytes(std::as_bytes(std::span(bytes)), "file"));
  }
};

// <unk>, <s>, </s>, then the 256 byte tokens: what every SPM vocabulary starts with. Further tokens
// have ids from 259 on.
inline TestVocabulary SpmBase() {
  TestVocabulary v;
  v.Add("<unk>", 0, TokenType::kUnknown)
      .Add("<s>", 0, TokenType::kControl)
      .Add("</s>", 0, TokenType::kControl);
  for (int byte = 0; byte < 256; ++byte) {
    constexpr char kHex[] = "0123456789ABCDEF";
    v.Add(std::string("<0x") + kHex[byte >> 4] + kHex[byte & 15] + ">", 0, TokenType::kByte);
  }
  return v;
}

// `bytes` in the alphabet of byte-level BPE, as its vocabularies store them.
inline std::string ByteLevel(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<uint8_t>(c);
    uint32_t code = byte;
    if (byte <= 0x20) code = 0x100 + byte;
    if (byte >= 0x7F && byte <= 0xA0) code = 0x121 + byte - 0x7F;
    if (byte == 0xAD) code = 0x143;
    AppendUtf8(text, code);
  }
  return text;
}

// Byte-level BPE in which each byte's token is the byte's value. Further tokens have ids from 256
// on.
inline TestVocabulary BpeBase(std::string_view pre = "gpt-2") {
  TestVocabulary v;
  v.model = "gpt2";
  v.pre = pre;
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    v.Add(ByteLevel({&c, 1}));
  }
  return v;
}

// Adds the merge of two texts (plain bytes) and the token that it makes.
inline void AddMerge(TestVocabulary& v, std::string_view left, std::string_view right) {
  v.Add(ByteLevel(std::string(left) + std::string(right)));
  v.merges.push_back(ByteLevel(left) + " " + ByteLevel(right));
}

inline constexpr Tokenizer::EncodeOptions kPlain{.add_special = false, .parse_special = false};

}  // namespace edgewise
