#include "jinja/lexer.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/error.h"
#include "base/strings.h"
#include "jinja/text.h"

namespace edgewise::jinja {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsNameStart(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool IsNameChar(char c) { return IsNameStart(c) || IsDigit(c); }

int HexDigit(char c) {
  if (IsDigit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Longest first.
constexpr std::string_view kOperators[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "*",
                                           "/",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                           ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};

// One newline convention, and without the last one.
std::string NormalizeNewlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      out += source[i];
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(NormalizeNewlines(source)), rest_(source_) {}

  std::vector<Token> Run() {
    while (!rest_.empty()) {
      const size_t tag = FindTag();
      if (tag == rest_.npos) {
        Push(TokenKind::kText, std::string(rest_));
        Advance(rest_.size());
        break;
      }
      LexTag(tag);
    }
    Push(TokenKind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void Fail(ErrorCode code, std::string_view message) const {
    throw Error(code, StrCat("chat template, line ", line_, ": ", message));
  }

  void Push(TokenKind kind, std::string text) {
    tokens_.push_back({.kind = kind, .line = line_, .text = std::move(text)});
  }

  bool At(std::string_view prefix) const { return rest_.starts_with(prefix); }

  void Advance(size_t count) {
    for (const char c : rest_.substr(0, count)) line_ += c == '\n';
    if (count > 0) at_line_start_ = rest_[count - 1] == '\n';
    rest_.remove_prefix(count);
  }

  size_t FindTag() const {
    for (size_t at = rest_.find('{'); at < rest_.size(); at = rest_.find('{', at + 1)) {
      const char next = at + 1 < rest_.size() ? rest_[at + 1] : '\0';
      if (next == '{' || next == '%' || next == '#') return at;
    }
    return rest_.npos;
  }

  // Text in front of a tag whose opening carries `sign` ('-', '+' or none).
  void PushText(std::string_view text, char sign, bool is_print) {
    std::string_view kept = text;
    if (sign == '-') {
      kept = StripRight(text);
    } else if (sign != '+' && !is_print) {
      const size_t line_start = text.rfind('\n') + 1;  // npos + 1 is 0
      if ((line_start > 0 || at_line_start_) && StripLeft(text.substr(line_start)).empty()) {
        kept = text.substr(0, line_start);
      }
    }
    if (!kept.empty()) Push(TokenKind::kText, std::string(kept));
  }

  void LexTag(size_t tag) {
    const std::string_view text = rest_.substr(0, tag);
    const char type = rest_[tag + 1];
    const char third = tag + 2 < rest_.size() ? rest_[tag + 2] : '\0';
    const char sign = third == '-' || third == '+' ? third : '\0';
    PushText(text, sign, type == '{');
    Advance(tag + 2 + (sign != '\0'));
    if (type == '#') return SkipComment();
    if (type == '%' && LexRaw()) return;
    Push(type == '{' ? TokenKind::kPrintBegin : TokenKind::kBlockBegin, "");
    const int opened = line_;
    while (!LexTagEnd(type == '{')) {
      if (rest_.empty()) {
        Fail(ErrorCode::kBadFile, StrCat("the tag opened in line ", opened, " is not closed"));
      }
      LexToken();
    }
  }

  // Behind `-%}` all white space goes, behind `%}` one newline, behind `+%}` nothing.
  bool LexClosing(std::string_view closing, bool trims_newline) {
    const bool strips = At("-"), keeps = trims_newline && At("+");
    const size_t skip = strips || keeps ? 1 : 0;
    if (!rest_.substr(skip).starts_with(closing)) return false;
    Advance(skip + closing.size());
    if (strips) {
      Advance(rest_.size() - StripLeft(rest_).size());
    } else if (trims_newline && !keeps && At("\n")) {
      Advance(1);
    }
    return true;
  }

  bool LexTagEnd(bool is_print) {
    if (!brackets_.empty()) return false;
    const int line = line_;
    if (!LexClosing(is_print ? "}}" : "%}", !is_print)) return false;
    tokens_.push_back({.kind = is_print ? TokenKind::kPrintEnd : TokenKind::kBlockEnd, .line = line,
                       .text = ""});
    return true;
  }

  void SkipComment() {
    const int opened = line_;
    while (!LexClosing("#}", true)) {
      if (rest_.empty()) {
        Fail(ErrorCode::kBadFile, StrCat("the comment opened in line ", opened, " is not closed"));
      }
      Advance(1);
    }
  }

  // `raw`, then the closing of its tag: what follows up to `endraw` is text. Returns false when the
  // tag is another one.
  bool LexRaw() {
    std::string_view rest = StripLeft(rest_);
    if (!rest.starts_with("raw")) return false;
    rest = StripLeft(rest.substr(3));
    const bool strips = rest.starts_with("-%}");
    if (!strips && !rest.starts_with("%}")) return false;
    rest = rest.substr(strips ? 3 : 2);
    if (strips) rest = StripLeft(rest);
    const int opened = line_;
    Advance(rest_.size() - rest.size());

    for (size_t at = rest_.find("{%"); at != rest_.npos; at = rest_.find("{%", at + 2)) {
      const char third = at + 2 < rest_.size() ? rest_[at + 2] : '\0';
      const char sign = third == '-' || third == '+' ? third : '\0';
      std::string_view tail = StripLeft(rest_.substr(at + 2 + (sign != '\0')));
      if (!tail.starts_with("endraw")) continue;
      tail = StripLeft(tail.substr(6));
      if (!tail.starts_with("%}") && !tail.starts_with("-%}") && !tail.starts_with("+%}")) continue;
      PushText(rest_.substr(0, at), sign, false);
      Advance(rest_.size() - tail.size());
      return LexClosing("%}", true);
    }
    Fail(ErrorCode::kBadFile, StrCat("the raw block opened in line ", opened, " is not closed"));
  }

  void LexToken() {
    const char c = rest_.front();
    size_t next = 0;
    if (IsSpace(NextCodePoint(rest_, next))) return Advance(next);
    if (static_cast<uint8_t>(c) >= 0x80) {
      Fail(ErrorCode::kUnsupported, "a character outside ASCII in a tag, but not in a string");
    }
    if (IsDigit(c)) return LexNumber();
    if (IsNameStart(c)) {
      const auto end = std::find_if_not(rest_.begin(), rest_.end(), IsNameChar);
      const size_t length = static_cast<size_t>(end - rest_.begin());
      Push(TokenKind::kName, std::string(rest_.substr(0, length)));
      return Advance(length);
    }
    if (c == '\'' || c == '"') return LexString(c);
    LexOperator();
  }

  // Digits with single underscores between them.
  size_t CountDigits(size_t at) const {
    const size_t begin = at;
    while (at < rest_.size() && (IsDigit(rest_[at]) || (rest_[at] == '_' && at > begin &&
                                                        at + 1 < rest_.size() &&
                                                        IsDigit(rest_[at + 1])))) {
      ++at;
    }
    return at - begin;
  }

  void LexNumber() {
    const size_t whole = CountDigits(0);
    size_t end = whole;
    bool is_float = false;
    const bool after_dot = !tokens_.empty() && tokens_.back().text == "." &&
                           tokens_.back().kind == TokenKind::kOperator;  // x.0.1 is two subscripts
    if (!after_dot) {
      if (end < rest_.size() && rest_[end] == '.') {
        const size_t fraction = CountDigits(end + 1);
        if (fraction > 0) {
          is_float = true;
          end += 1 + fraction;
        }
      }
      if (end < rest_.size() && (rest_[end] == 'e' || rest_[end] == 'E')) {
        size_t at = end + 1;
        if (at < rest_.size() && (rest_[at] == '+' || rest_[at] == '-')) ++at;
        const size_t exponent = CountDigits(at);
        if (exponent > 0) {
          is_float = true;
          end = at + exponent;
        }
      }
    }
    if (!is_float && rest_[0] == '0') end = LeadingZero(whole);
    std::string digits(rest_.substr(0, end));
    std::erase(digits, '_');
    Token token{.kind = is_float ? TokenKind::kFloat : TokenKind::kInteger, .line = line_,
                .text = digits};
    const char* last = digits.data() + digits.size();
    if (is_float) {
      // from_chars gives no value beyond the range: infinity or zero, as Python says.
      const auto result = std::from_chars(digits.data(), last, token.number);
      if (result.ec != std::errc()) Fail(ErrorCode::kLimit, "a number beyond 64-bit floating point");
    } else {
      const int base = digits.size() < 2 ? 10 : BaseOf(digits[1]);
      const char* first = digits.data() + (base == 10 ? 0 : 2);
      if (std::from_chars(first, last, token.integer, base).ec != std::errc()) {
        Fail(ErrorCode::kLimit, "an integer beyond 64 bits");
      }
    }
    tokens_.push_back(std::move(token));
    Advance(end);
  }

  static int BaseOf(char letter) {
    switch (letter | 0x20) {
      case 'x': return 16;
      case 'o': return 8;
      case 'b': return 2;
      default: return 10;
    }
  }

  // 0x1F, 0o17, 0b11 or zeros; 0 in front of other digits is an integer of its own, as in Jinja.
  size_t LeadingZero(size_t whole) const {
    const int base = rest_.size() > 1 ? BaseOf(rest_[1]) : 10;
    if (base != 10) {
      size_t at = 2;
      while (at < rest_.size()) {
        const size_t digit_at = rest_[at] == '_' ? at + 1 : at;
        const int digit = digit_at < rest_.size() ? HexDigit(rest_[digit_at]) : -1;
        if (digit < 0 || digit >= base) break;
        at = digit_at + 1;
      }
      if (at > 2) return at;
    }
    size_t zeros = 0;
    while (zeros < whole && (rest_[zeros] == '0' || rest_[zeros] == '_')) ++zeros;
    while (rest_[zeros - 1] == '_') --zeros;
    return zeros;
  }

  void LexString(char quote) {
    std::string value;
    size_t at = 1;
    while (at < rest_.size() && rest_[at] != quote) {
      if (rest_[at] != '\\') {
        value += rest_[at++];
      } else if (++at < rest_.size()) {
        at = LexEscape(at, value);
      }
    }
    if (at >= rest_.size()) Fail(ErrorCode::kBadFile, "a string without end");
    Push(TokenKind::kString, std::move(value));
    Advance(at + 1);
  }

  // The escape whose letter stands at `at`; returns where the text goes on. Python keeps the
  // backslash of an escape that it does not know.
  size_t LexEscape(size_t at, std::string& value) const {
    static constexpr std::string_view kLetters = "nrtabfv\\'\"", kValues = "\n\r\t\a\b\f\v\\'\"";
    const char c = rest_[at];
    if (const size_t index = kLetters.find(c); index != kLetters.npos) {
      value += kValues[index];
      return at + 1;
    }
    if (c == '\n') return at + 1;
    if (c == 'x' || c == 'u' || c == 'U') {
      const size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : 8;
      uint32_t code_point = 0;
      for (size_t i = 1; i <= digits; ++i) {
        const int digit = at + i < rest_.size() ? HexDigit(rest_[at + i]) : -1;
        if (digit < 0) Fail(ErrorCode::kBadFile, StrCat("an escape \\", c, " with too few digits"));
        code_point = code_point << 4 | static_cast<uint32_t>(digit);
      }
      AppendEscaped(code_point, value);
      return at + 1 + digits;
    }
    if (c >= '0' && c <= '7') {
      uint32_t code_point = 0;
      size_t digits = 0;
      for (; digits < 3 && at + digits < rest_.size() && rest_[at + digits] >= '0' &&
             rest_[at + digits] <= '7';
           ++digits) {
        code_point = code_point * 8 + static_cast<uint32_t>(rest_[at + digits] - '0');
      }
      AppendEscaped(code_point, value);
      return at + digits;
    }
    if (c == 'N') Fail(ErrorCode::kUnsupported, "an escape \\N{name}; write \\u and its digits");
    value += '\\';
    return at;
  }

  void AppendEscaped(uint32_t code_point, std::string& value) const {
    if (code_point > 0x10FFFF || (code_point >= 0xD800 && code_point <= 0xDFFF)) {
      Fail(ErrorCode::kBadFile, "an escape that is no Unicode character");
    }
    AppendCodePoint(value, code_point);
  }

  void LexOperator() {
    const auto found = std::find_if(std::begin(kOperators), std::end(kOperators),
                                    [this](std::string_view text) { return At(text); });
    if (found == std::end(kOperators)) {
      Fail(ErrorCode::kBadFile, StrCat("unexpected character '", Printable(rest_.substr(0, 1)), "'"));
    }
    const char c = found->front();
    if (c == '(' || c == '[' || c == '{') {
      brackets_ += c == '(' ? ')' : c == '[' ? ']' : '}';
    } else if (c == ')' || c == ']' || c == '}') {
      if (brackets_.empty() || brackets_.back() != c) {
        Fail(ErrorCode::kBadFile, StrCat("unexpected '", c, "'"));
      }
      brackets_.pop_back();
    }
    Push(TokenKind::kOperator, std::string(*found));
    Advance(found->size());
  }

  const std::string source_;
  std::string_view rest_;
  std::vector<Token> tokens_;
  std::string brackets_;  // closing ones still due
  int line_ = 1;
  bool at_line_start_ = true;  // the last thing read ended with a newline
};

}  // namespace

std::vector<Token> Tokenize(std::string_view source) { return Lexer(source).Run(); }

}  // namespace edgewise::jinja
