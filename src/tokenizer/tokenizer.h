// Text to token ids and back, by the vocabulary stored in a GGUF file.
//
// Two models of segmentation: SPM (merge the adjacent pair with the best score, byte fallback) and
// BPE (split by a pre-tokeniser's pattern, merge by rank). Both take n log n in the text's length.
// Thread-safe once made: all functions are const.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/token_id.h"
#include "gguf/gguf.h"

namespace edgewise {

// tokenizer.ggml.token_type
enum class TokenType : uint8_t {
  kUndefined = 0,
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

class SpecialMatcher;
class Vocabulary;

class Tokenizer {
 public:
  // Reads tokenizer.ggml.*; a vocabulary-only file is enough, and it may be closed afterwards.
  // Throws Error(kBadFile | kUnsupported | kLimit): missing or contradictory keys, ids out of
  // range, unknown tokenizer model or pre-tokeniser (the message lists those supported).
  static std::unique_ptr<const Tokenizer> FromGguf(const Gguf& file);
  virtual ~Tokenizer();
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  static constexpr size_t kMaxTextBytes = size_t{256}
                                          << 20;  // encoding takes up to 40 bytes a byte

  struct EncodeOptions {
    bool add_special = true;    // BOS in front (and EOS behind) where the vocabulary says so
    bool parse_special = true;  // control tokens spelt in the text become their ids
  };
  // Any bytes: what is not UTF-8 is encoded byte by byte as the vocabulary allows. A byte that no
  // token stands for becomes SPM's unknown token, in BPE nothing. Throws Error(kLimit), for a text
  // over kMaxTextBytes only.
  std::vector<TokenId> Encode(std::string_view text, const EncodeOptions& options) const;

  // The bytes of one token; control tokens are empty unless `special`. Ids out of range are empty.
  std::string Piece(TokenId id, bool special = false) const;
  // All pieces; undoes SPM's space prefix at the start.
  std::string Decode(std::span<const TokenId> ids, bool special = false) const;

  uint32_t size() const;
  std::string_view Text(TokenId id) const;  // as stored in the file; empty for ids out of range
  TokenType Type(TokenId id) const;         // kUndefined for ids out of range
  // Id of the token stored exactly so, or -1.
  TokenId Find(std::string_view stored_text) const;

  TokenId bos() const;  // -1 where there is none, like the following
  TokenId eos() const;
  TokenId eot() const;  // end of turn
  bool add_bos() const;
  // EOS, EOT and the ecosystem's other end-of-generation tokens (<|im_end|>, <|eot_id|>, ...).
  bool IsEndOfGeneration(TokenId id) const;

  // Heap bytes that this object holds (for the memory plan), and the same computed from the file's
  // keys before the object is made. Throws as FromGguf does where a key it needs is bad.
  size_t MemoryBytes() const;
  static uint64_t PlanMemoryBytes(const Gguf& file);
  // Of an SPM tokenizer without a file: so many tokens, whose texts have so many bytes together. (One of byte
  // pairs needs about half as much again, for its merges.)
  static uint64_t PlanSpmBytes(uint64_t tokens, uint64_t text_bytes);

 protected:
  explicit Tokenizer(Vocabulary vocabulary);
  const Vocabulary& vocabulary() const { return *vocabulary_; }

 private:
  // Appends the ids of a text without special tokens; `after_special`: nothing or a special token
  // is in front of it.
  virtual void EncodeText(std::string_view text, bool after_special,
                          std::vector<TokenId>& ids) const = 0;
  // Appends the bytes of a token of type kNormal.
  virtual void AppendNormal(TokenId id, std::string& out) const = 0;
  virtual uint64_t ModelBytes() const = 0;

  std::unique_ptr<const Vocabulary> vocabulary_;
  std::unique_ptr<const SpecialMatcher> special_;
};

}  // namespace edgewise
