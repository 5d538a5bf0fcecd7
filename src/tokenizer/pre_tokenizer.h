// Splits text into the words within which BPE merges (tokenizer.ggml.pre names the rule).
//
// A rule is a list of patterns: each splits the pieces that the one before left, into its matches
// and what lies between them. Patterns run on PCRE2 with its just-in-time compiler.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace edgewise {

class PreTokenizer {
 public:
  // Throws Error(kUnsupported) listing the names supported; `file` is for the message.
  PreTokenizer(std::string_view name, std::string_view file);
  ~PreTokenizer();
  PreTokenizer(PreTokenizer&&) noexcept;

  // Offsets at which the words of `text` end, in order, the last one text.size(). Any bytes do:
  // words end where they would if each byte of no well-formed character were U+0001. Takes time
  // linear in the text. Throws Error(kLimit) when PCRE2 runs out of memory.
  void Split(std::string_view text, std::vector<uint32_t>& ends) const;

  bool ignore_merges() const { return ignore_merges_; }  // a word that is a token is not merged
  bool add_bos() const { return add_bos_; }              // unless the file says otherwise
  uint64_t MemoryBytes() const;                          // of the compiled patterns

 private:
  class Pattern;
  std::vector<Pattern> patterns_;
  bool ignore_merges_ = false, add_bos_ = false;
};

}  // namespace edgewise
