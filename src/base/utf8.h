// UTF-8, strictly as the Unicode standard defines it (table 3-7): no overlong forms, no surrogates.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace edgewise {

// Bytes (1 to 4) of the well-formed character that starts at text[at]; 0 when there is none.
size_t Utf8Length(std::string_view text, size_t at);

// True when `text` is not empty and some continuation makes it exactly one well-formed character.
bool IsUtf8Prefix(std::string_view text);

bool IsUtf8(std::string_view text);

// `text` with every byte that belongs to no well-formed character replaced by `substitute`; the
// length and all offsets stay.
std::string ReplaceInvalidUtf8(std::string_view text, char substitute);

// Appends the encoding of a code point below U+110000.
void AppendUtf8(std::string& out, char32_t code);

// The code point of the well-formed character that fills `character`.
char32_t DecodeUtf8(std::string_view character);

// Holds back the bytes of an incomplete UTF-8 character, so that streamed output never splits one.
class Utf8Stream {
 public:
  // What may be shown now. Bytes that can never become valid UTF-8 pass unchanged.
  std::string Push(std::string_view bytes);
  // What is left at the end of generation.
  std::string Flush();

 private:
  std::string pending_;
};

}  // namespace edgewise
