// Byte-level BPE (tokenizer.ggml.model = "gpt2"): text is split into words by a pre-tokeniser;
// within a word, bytes merge pairwise in the order of tokenizer.ggml.merges.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "tokenizer/merge.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/vocabulary.h"

namespace edgewise {

class BpeTokenizer final : public Tokenizer {
 public:
  BpeTokenizer(const Gguf& file, Vocabulary vocabulary, PreTokenizer pre_tokenizer);
  static uint64_t PlanModelBytes(const Gguf& file);

 private:
  // A symbol is a token's id, or (from size() on) the number of a text that only merges mention.
  struct Merge {
    uint32_t left, right, result;
    uint32_t rank = kNoRank;  // kNoRank: an empty slot
  };
  static constexpr uint32_t kNoRank = 0xFFFFFFFF;
  struct Scratch;

  void EncodeText(std::string_view text, bool after_special,
                  std::vector<TokenId>& ids) const override;
  void AppendNormal(TokenId id, std::string& out) const override;
  uint64_t ModelBytes() const override;
  void EncodeWord(std::string_view word, Scratch& scratch, std::vector<TokenId>& ids) const;
  void ReadMerges(const Gguf& file);
  bool AddMerge(const Merge& merge);  // false: the table is crowded beyond kMaxProbes
  Merged FindMerge(uint32_t left, uint32_t right) const;

  PreTokenizer pre_tokenizer_;
  std::vector<Merge> merges_;               // open addressing
  std::array<uint32_t, 256> byte_symbols_;  // kNoSymbol: in no token and no merge
  // -1: none. Such bytes are left out, not made the unknown token: in files of this kind that is
  // often the token that ends a document.
  std::array<TokenId, 256> byte_tokens_;
};

}  // namespace edgewise
