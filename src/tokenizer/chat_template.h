// Chat templates: the Jinja template of a GGUF file (tokenizer.chat_template), through our own
// interpreter of the subset of Jinja that such templates use; and the usual built-ins by name.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace edgewise {

struct ChatMessage {
  std::string role;  // "system", "user", "assistant"
  std::string content;
};

struct ChatRenderOptions {
  bool add_generation_prompt = true;
  std::string bos_token;
  std::string eos_token;
  std::vector<std::pair<std::string, bool>> flags = {};  // the model's own, as enable_thinking
};

class ChatTemplate {
 public:
  // Throws Error(kUnsupported) naming a construct we do not have and its line, Error(kBadFile) for a
  // syntax error.
  static ChatTemplate Parse(std::string_view jinja);
  // chatml, llama2, llama3, zephyr, mistral. Throws Error(kUsage) listing the names.
  static ChatTemplate BuiltIn(std::string_view name);
  static std::vector<std::string_view> BuiltInNames();

  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;
  ~ChatTemplate();

  // Throws Error(kBadFile | kLimit): raise_exception(), an undefined operation, too many steps or too
  // much output (templates come from untrusted files).
  std::string Render(std::span<const ChatMessage> messages, const ChatRenderOptions& options) const;

 private:
  struct Impl;
  explicit ChatTemplate(std::unique_ptr<const Impl> impl);
  std::unique_ptr<const Impl> impl_;
};

}  // namespace edgewise
