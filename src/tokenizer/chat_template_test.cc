#include "tokenizer/chat_template.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace edgewise {
namespace {

const std::vector<ChatMessage> kTalk = {{"system", "Be brief."},
                                        {"user", "Hi"},
                                        {"assistant", "Hello!"},
                                        {"user", "How are you?"}};
const std::vector<ChatMessage> kQuestion = {{"user", "Grüße {{ x }} 世界"}};

std::string Render(std::string_view name, const std::vector<ChatMessage>& messages,
                   const ChatRenderOptions& options = {}) {
  return ChatTemplate::BuiltIn(name).Render(messages, options);
}

// The expected text is what llama.cpp's llm_chat_apply_template() writes for its chatml,
// llama2-sys-bos, llama3, zephyr and mistral-v3.
TEST(ChatTemplateTest, BuiltInsWriteTheEcosystemsPrompts) {
  EXPECT_EQ(Render("chatml", kTalk),
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
            "<|im_start|>assistant\nHello!<|im_end|>\n<|im_start|>user\nHow are you?<|im_end|>\n"
            "<|im_start|>assistant\n");
  EXPECT_EQ(Render("llama2", kTalk),
            "[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHi [/INST]Hello!</s>"
            "<s>[INST] How are you? [/INST]");
  EXPECT_EQ(Render("llama3", kTalk),
            "<|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
            "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\nHello!<|eot_id|>"
            "<|start_header_id|>user<|end_header_id|>\n\nHow are you?<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n");
  EXPECT_EQ(Render("zephyr", kTalk),
            "<|system|>\nBe brief.<|endoftext|>\n<|user|>\nHi<|endoftext|>\n"
            "<|assistant|>\nHello!<|endoftext|>\n<|user|>\nHow are you?<|endoftext|>\n"
            "<|assistant|>\n");
  EXPECT_EQ(Render("mistral", kTalk),
            "[INST] Be brief.\n\nHi[/INST] Hello!</s>[INST] How are you?[/INST]");
}

TEST(ChatTemplateTest, BuiltInsOfOneQuestion) {
  const std::map<std::string_view, std::string_view> kExpected = {
      {"chatml", "<|im_start|>user\nGrüße {{ x }} 世界<|im_end|>\n<|im_start|>assistant\n"},
      {"llama2", "[INST] Grüße {{ x }} 世界 [/INST]"},
      {"llama3",
       "<|start_header_id|>user<|end_header_id|>\n\nGrüße {{ x }} 世界<|eot_id|>"
       "<|start_header_id|>assistant<|end_header_id|>\n\n"},
      {"zephyr", "<|user|>\nGrüße {{ x }} 世界<|endoftext|>\n<|assistant|>\n"},
      {"mistral", "[INST] Grüße {{ x }} 世界[/INST]"}};
  EXPECT_EQ(ChatTemplate::BuiltInNames().size(), kExpected.size());
  for (const auto& [name, expected] : kExpected) {
    EXPECT_EQ(Render(name, kQuestion), expected) << name;
  }
}

TEST(ChatTemplateTest, WithoutGenerationPromptTheAssistantIsNotOpened) {
  const ChatRenderOptions options{.add_generation_prompt = false, .bos_token = "", .eos_token = ""};
  EXPECT_EQ(Render("chatml", kQuestion, options),
            "<|im_start|>user\nGrüße {{ x }} 世界<|im_end|>\n");
  EXPECT_EQ(Render("zephyr", kQuestion, options), "<|user|>\nGrüße {{ x }} 世界<|endoftext|>\n");
}

TEST(ChatTemplateTest, ZephyrEndsATurnWithTheVocabularysEos) {
  EXPECT_EQ(Render("zephyr", {{"user", "a"}},
                   {.add_generation_prompt = true, .bos_token = "<s>", .eos_token = "</s>"}),
            "<|user|>\na</s>\n<|assistant|>\n");
}

TEST(ChatTemplateTest, OptionsAndFlagsAreVariables) {
  const ChatTemplate chat = ChatTemplate::Parse(
      "{{ bos_token }}{{ messages | length }}{{ eos_token }}{{ add_generation_prompt }}"
      "{{ tools is none and documents is none }}{{ enable_thinking is defined and not enable_thinking }}");
  ChatRenderOptions options{.add_generation_prompt = false, .bos_token = "<s>", .eos_token = "</s>"};
  EXPECT_EQ(chat.Render(kTalk, options), "<s>4</s>FalseTrueFalse");
  options.flags = {{"enable_thinking", false}};
  EXPECT_EQ(chat.Render(kTalk, options), "<s>4</s>FalseTrueTrue");
}

TEST(ChatTemplateTest, MessagesOfAnyBytesPassUnchanged) {
  const std::string bytes("\xFF\0\xE4\xB8 {% endif %}\r\n", 18);
  EXPECT_EQ(ChatTemplate::Parse("{{ messages[0].content }}").Render(std::vector<ChatMessage>{{"user", bytes}}, {}),
            bytes);
}

TEST(ChatTemplateTest, LongConversationsStayBelowTheLimits) {
  const std::vector<ChatMessage> messages(1000, {"user", std::string(1000, 'x')});
  EXPECT_EQ(Render("chatml", messages).size(), 1000 * (1000 + 28) + 22u);
  const std::vector<ChatMessage> large = {{"user", std::string(17 << 20, 'x')}};
  try {
    Render("chatml", large);
    ADD_FAILURE() << "17 MiB are above the limit";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kLimit);
  }
}

TEST(ChatTemplateTest, ErrorsCarryTheirCode) {
  const auto code_of = [](auto&& action) {
    try {
      action();
    } catch (const Error& error) {
      return error.code();
    }
    ADD_FAILURE() << "no error";
    return ErrorCode::kIo;
  };
  EXPECT_EQ(code_of([] { ChatTemplate::BuiltIn("vicuna"); }), ErrorCode::kUsage);
  EXPECT_EQ(code_of([] { ChatTemplate::Parse("{% include 'x' %}"); }), ErrorCode::kUnsupported);
  EXPECT_EQ(code_of([] { ChatTemplate::Parse("{% if %}"); }), ErrorCode::kBadFile);
  EXPECT_EQ(code_of([] { ChatTemplate::Parse("{{ raise_exception('x') }}").Render({}, {}); }),
            ErrorCode::kBadFile);
}

}  // namespace
}  // namespace edgewise
