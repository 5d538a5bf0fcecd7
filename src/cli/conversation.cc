#include "cli/conversation.h"

#include <utility>

namespace edgewise {

Conversation::Conversation(const Tokenizer& tokenizer, ChatTemplate chat_template,
                           std::string system, std::vector<std::pair<std::string, bool>> flags)
    : tokenizer_(tokenizer),
      template_(std::move(chat_template)),
      system_messages_(system.empty() ? 0 : 1) {
  render_.bos_token = tokenizer.Text(tokenizer.bos());
  render_.eos_token = tokenizer.Text(tokenizer.eos());
  render_.flags = std::move(flags);
  if (!system.empty()) messages_.push_back({"system", std::move(system)});
}

const std::vector<TokenId>& Conversation::Ask(std::string message) {
  messages_.push_back({"user", std::move(message)});
  try {
    Encode();
  } catch (...) {
    messages_.pop_back();
    throw;
  }
  return tokens_;
}

void Conversation::Encode() {
  std::string text = template_.Render(messages_, render_);
  if (!text_.empty() && text.starts_with(text_)) {
    // A control token ends whatever is in front of it, so that the rest can be encoded by itself.
    const std::vector<TokenId> rest =
        tokenizer_.Encode(std::string_view(text).substr(text_.size()), {.add_special = false});
    if (!rest.empty() && tokenizer_.Type(rest[0]) == TokenType::kControl) {
      tokens_.insert(tokens_.end(), rest.begin(), rest.end());
      text_ = std::move(text);
      return;
    }
  }
  // Many templates write the BOS themselves.
  const bool has_bos = !render_.bos_token.empty() && text.starts_with(render_.bos_token);
  tokens_ = tokenizer_.Encode(text, {.add_special = !has_bos});
  text_ = std::move(text);
}

void Conversation::Withdraw() {
  messages_.pop_back();
  text_.clear();
}

bool Conversation::DropOldest() {
  if (messages_.size() < system_messages_ + 3) return false;
  const auto oldest = messages_.begin() + static_cast<std::ptrdiff_t>(system_messages_);
  messages_.erase(oldest, oldest + 2);
  text_.clear();
  Encode();
  return true;
}

void Conversation::Answer(std::string shown, std::span<const TokenId> sampled) {
  for (const TokenId token : sampled) text_ += tokenizer_.Piece(token);
  tokens_.insert(tokens_.end(), sampled.begin(), sampled.end());
  messages_.push_back({"assistant", std::move(shown)});
}

void Conversation::Clear() {
  messages_.resize(system_messages_);
  text_.clear();
}

}  // namespace edgewise
