// llama-perplexity's file of logits (--kl-divergence-base), written and read, so that either
// program can compare with what the other has computed. Source: tools/perplexity of llama.cpp
// (facts).
//
//   "_logits_", int32 context, int32 vocab, int32 chunks, int32 tokens[chunks][context],
//   then for each chunk and each of its scored positions one row:
//   float scale, float least, uint16 code[vocab rounded up to even]
//
// log p(token) = scale * code + least. What lies more than 16 below the largest logit has code 0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/atomic_file.h"
#include "base/mapped_file.h"
#include "base/token_id.h"

namespace edgewise {

// Positions of a chunk that are scored: the second half but its last, which has no successor.
constexpr uint32_t FirstScored(uint32_t context) { return context / 2; }
constexpr uint32_t ScoredPositions(uint32_t context) { return context - 1 - FirstScored(context); }

// Bytes of a row.
constexpr uint64_t LogitsRowBytes(uint32_t vocab) {
  return 2 * sizeof(float) + (uint64_t{vocab} + 1) / 2 * 2 * sizeof(uint16_t);
}
// Rounds one position's logits to a row of LogitsRowBytes(logits.size()). Requires finite logits.
void EncodeLogitsRow(std::span<const float> logits, std::span<std::byte> row);

class LogitsWriter {
 public:
  // tokens: chunks x context, as in the text (before BOS is put in). Throws Error(kIo).
  LogitsWriter(const std::string& path, uint32_t context, uint32_t vocab,
               std::span<const TokenId> tokens);
  // Rows in order, one or several. Throws Error(kIo).
  void Append(std::span<const std::byte> rows) { file_.Write(rows); }
  // The file appears under its name. Throws Error(kIo).
  void Commit() { file_.Commit(); }

 private:
  AtomicFile file_;
};

class LogitsFile {
 public:
  struct Row {
    float scale, least;
    std::span<const uint16_t> codes;  // vocab of them
  };

  // Throws Error(kNotFound | kIo | kBadFile): no such file, sizes that contradict each other or the
  // file's length, a token outside the vocabulary.
  explicit LogitsFile(const std::string& path);

  uint32_t context() const { return context_; }
  uint32_t vocab() const { return vocab_; }
  uint32_t chunks() const { return chunks_; }
  const std::vector<TokenId>& tokens() const { return tokens_; }  // chunks x context

  // Position FirstScored(context) + i of a chunk. Throws Error(kBadFile) when the row's scale or
  // offset is no log-probability.
  Row RowOf(uint32_t chunk, uint32_t i) const;
  // Throws Error(kIo) if the file was cut short while we read it.
  void CheckIntact() const { file_.CheckIntact(); }

 private:
  MappedFile file_;
  uint32_t context_ = 0, vocab_ = 0, chunks_ = 0;
  uint64_t rows_at_ = 0;
  std::vector<TokenId> tokens_;
};

}  // namespace edgewise
