// The messages of a chat and their tokens, kept so that a next turn computes only what is new.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/token_id.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/tokenizer.h"

namespace edgewise {

class Conversation {
 public:
  // An empty system message is none. The tokenizer must outlive the conversation.
  Conversation(const Tokenizer& tokenizer, ChatTemplate chat_template, std::string system,
               std::vector<std::pair<std::string, bool>> flags);

  // Adds what the user says; returns the tokens of the whole conversation up to where the answer
  // begins. Throws what ChatTemplate::Render throws; then the message is not kept.
  const std::vector<TokenId>& Ask(std::string message);
  // Takes the last question back (its answer would not fit).
  void Withdraw();
  // Forgets the oldest question and its answer, for room; false when only the last question is
  // left.
  bool DropOldest();
  // Adds the answer: its text as shown, and the tokens as they were sampled.
  void Answer(std::string shown, std::span<const TokenId> sampled);
  void Clear();  // all but the system message

  std::span<const ChatMessage> messages() const { return messages_; }

 private:
  void Encode();

  const Tokenizer& tokenizer_;
  ChatTemplate template_;
  ChatRenderOptions render_;
  std::vector<ChatMessage> messages_;
  size_t system_messages_;
  // The last text given to the model and the answer, and their tokens: sampled tokens need not be
  // those that encoding the answer's text would give.
  std::string text_;
  std::vector<TokenId> tokens_;
};

}  // namespace edgewise
