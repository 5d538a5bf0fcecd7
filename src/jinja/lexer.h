// Splits a template into text and the tokens of its tags, applying the rules for white space that
// chat templates are written for: trim_blocks and lstrip_blocks on, as Hugging Face sets them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace edgewise::jinja {

enum class TokenKind : uint8_t {
  kText,  // between tags
  kPrintBegin, kPrintEnd,  // {{ }}
  kBlockBegin, kBlockEnd,  // {% %}
  kName, kString, kInteger, kFloat,
  kOperator,  // `text` says which: + - * / // % ** ~ == != < <= > >= = . : | , ; ( ) [ ] { }
  kEnd,
};

struct Token {
  TokenKind kind;
  int line;
  std::string text;  // of a string: its value, escapes undone
  int64_t integer = 0;
  double number = 0;
};

// Ends with one kEnd. Throws Error(kBadFile | kUnsupported | kLimit) naming the line.
std::vector<Token> Tokenize(std::string_view source);

}  // namespace edgewise::jinja
