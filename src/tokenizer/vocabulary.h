// The tokens of a GGUF file: texts, types, ids of the special ones, and the way from text to id.
//
// One packed copy of the texts and an open-addressing index of four bytes per slot: a vocabulary of
// 150,000 tokens takes about 3 MB and 20 ms.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/token_id.h"
#include "gguf/gguf.h"
#include "tokenizer/tokenizer.h"

namespace edgewise {

// Limits for hostile files. Real vocabularies have up to 262,144 tokens of up to about 200 bytes.
inline constexpr uint64_t kMaxTokens = 1u << 24;      // the index keeps ids in 24 bits
inline constexpr size_t kMaxTokenBytes = 65535;       // bounds a look-up while merging
inline constexpr size_t kMaxSpecialTokenBytes = 512;  // bounds the search for one at each byte
// No honest table comes near this many probes (linear probing, load at most 2/3): a file that does
// was made to collide.
inline constexpr uint32_t kMaxProbes = 1024;

// Its high half selects a slot, its low byte can serve as a tag.
uint64_t HashBytes(std::string_view text);

class Vocabulary {
 public:
  // Reads and checks tokenizer.ggml.{tokens,token_type,*_token_id,add_*}. Throws Error(kBadFile |
  // kLimit).
  explicit Vocabulary(const Gguf& file);
  // Of the object that the constructor would make.
  static uint64_t PlanMemoryBytes(const Gguf& file);
  static uint64_t PlanMemoryBytes(uint64_t tokens, uint64_t text_bytes);
  uint64_t MemoryBytes() const;

  uint32_t size() const { return static_cast<uint32_t>(types_.size()); }
  std::string_view Text(TokenId id) const {
    return std::string_view(text_).substr(begin_[id], begin_[id + 1] - begin_[id]);
  }
  TokenType Type(TokenId id) const { return types_[id]; }
  // Control, unknown and user-defined tokens: a text may spell them.
  bool IsSpecial(TokenId id) const;
  bool Has(TokenId id) const { return id >= 0 && static_cast<uint32_t>(id) < size(); }
  // -1 when absent; empty texts are absent. Of several tokens with one text the last is found.
  TokenId Find(std::string_view text) const;
  size_t longest_text() const { return longest_text_; }

  TokenId bos = -1, eos = -1, eot = -1, eom = -1, unk = -1;
  bool add_bos = false, add_eos = false;
  bool add_space_prefix = false;
  bool strips_after_special = false;  // Phi-3: white space behind a special token is not encoded
  bool IsEndOfGeneration(TokenId id) const;

 private:
  void ReadTexts(const Gguf& file);
  void ReadTypes(const Gguf& file);
  void ReadSpecialIds(const Gguf& file);
  void BuildIndex(const Gguf& file);
  void FindSpecialTokens();
  void CheckSpecialTokens(const Gguf& file) const;
  void SetType(TokenId id, TokenType type) { types_[id] = type; }
  TokenId MarkFirst(std::span<const std::string_view> texts);

  std::string text_;             // all texts, one behind the other
  std::vector<uint32_t> begin_;  // size() + 1 offsets into text_
  std::vector<TokenType> types_;
  std::vector<uint32_t> slots_;             // tag << 24 | id, or kEmptySlot
  std::vector<TokenId> end_of_generation_;  // sorted
  size_t longest_text_ = 0;
};

// The value of "<0x00>" to "<0xFF>", as byte tokens are spelt; -1 for any other text.
int ByteOfTokenText(std::string_view text);

}  // namespace edgewise
