// SentencePiece-style tokens (tokenizer.ggml.model = "llama"): space becomes U+2581, characters
// merge by score, what is no token falls back to its bytes' tokens.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "tokenizer/merge.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/vocabulary.h"

namespace edgewise {

class SpmTokenizer final : public Tokenizer {
 public:
  SpmTokenizer(const Gguf& file, Vocabulary vocabulary);
  static uint64_t PlanModelBytes(const Gguf& file);
  static uint64_t PlanModelBytes(uint64_t tokens) { return sizeof(SpmTokenizer) + 4 * tokens; }

 private:
  void EncodeText(std::string_view text, bool after_special,
                  std::vector<TokenId>& ids) const override;
  void AppendNormal(TokenId id, std::string& out) const override;
  uint64_t ModelBytes() const override;

  void EncodePart(std::string_view marked, std::vector<Symbol>& symbols,
                  std::vector<MergeCandidate>& heap, std::vector<TokenId>& ids) const;

  // No token has a space mark behind another character: then nothing merges across the start of a
  // word, and words can be merged one by one, in the cache instead of all over the text.
  bool words_are_apart_ = true;
  std::vector<uint32_t> priorities_;      // of each token: the better its score, the smaller
  std::array<TokenId, 256> byte_tokens_;  // <0xXX>, else the byte as a text, else unknown, else -1
};

}  // namespace edgewise
