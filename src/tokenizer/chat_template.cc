#include "tokenizer/chat_template.h"

#include "base/error.h"
#include "base/strings.h"
#include "jinja/eval.h"
#include "jinja/parser.h"

namespace edgewise {
namespace {

// None writes the first BOS: the tokenizer adds it. The text is llama.cpp's for the template of the
// same name, except: llama2 there leaves out <<SYS>>, so this is its llama2-sys-bos, Meta's own
// format; mistral is its mistral-v3, of Mistral 7B v0.3; zephyr ends a turn with the vocabulary's
// EOS (TinyLlama and Zephyr 7B: </s>) and only where there is none with StableLM's <|endoftext|>.
struct BuiltInTemplate {
  std::string_view name, jinja;
};
constexpr BuiltInTemplate kBuiltIns[] = {
    {"chatml", R"jinja(
{%- for m in messages %}
{{- '<|im_start|>' ~ m.role ~ '\n' ~ m.content ~ '<|im_end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %})jinja"},
    {"llama2", R"jinja(
{%- set turn = namespace(open=true) %}
{{- '[INST] ' }}
{%- for m in messages %}
  {%- if not turn.open %}
    {{- '<s>[INST] ' }}
    {%- set turn.open = true %}
  {%- endif %}
  {%- if m.role == 'system' %}
    {{- '<<SYS>>\n' ~ m.content ~ '\n<</SYS>>\n\n' }}
  {%- elif m.role == 'user' %}
    {{- m.content ~ ' [/INST]' }}
  {%- else %}
    {{- m.content ~ '</s>' }}
    {%- set turn.open = false %}
  {%- endif %}
{%- endfor %})jinja"},
    {"llama3", R"jinja(
{%- macro header(role) %}{{ '<|start_header_id|>' ~ role ~ '<|end_header_id|>\n\n' }}{% endmacro %}
{%- for m in messages %}
{{- header(m.role) ~ m.content | trim ~ '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ header('assistant') }}{% endif %})jinja"},
    {"zephyr", R"jinja(
{%- for m in messages %}
{{- '<|' ~ m.role ~ '|>\n' ~ m.content ~ (eos_token or '<|endoftext|>') ~ '\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %})jinja"},
    {"mistral", R"jinja(
{%- set turn = namespace(open=false) %}
{%- for m in messages %}
  {%- if not turn.open %}
    {{- '[INST] ' }}
    {%- set turn.open = true %}
  {%- endif %}
  {%- if m.role == 'system' %}
    {{- m.content ~ '\n\n' }}
  {%- elif m.role == 'user' %}
    {{- m.content ~ '[/INST]' }}
  {%- else %}
    {{- ' ' ~ m.content | trim ~ '</s>' }}
    {%- set turn.open = false %}
  {%- endif %}
{%- endfor %})jinja"}};

}  // namespace

struct ChatTemplate::Impl {
  std::unique_ptr<const jinja::Program> program;
};

ChatTemplate::ChatTemplate(std::unique_ptr<const Impl> impl) : impl_(std::move(impl)) {}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

ChatTemplate ChatTemplate::Parse(std::string_view jinja) {
  return ChatTemplate(std::make_unique<const Impl>(Impl{jinja::ParseTemplate(jinja)}));
}

ChatTemplate ChatTemplate::BuiltIn(std::string_view name) {
  std::string names;
  for (const BuiltInTemplate& known : kBuiltIns) {
    if (known.name == name) return Parse(known.jinja);
    names += StrCat(names.empty() ? "" : ", ", known.name);
  }
  throw Error(ErrorCode::kUsage,
              StrCat("no built-in chat template '", Printable(name), "'; there are ", names));
}

std::vector<std::string_view> ChatTemplate::BuiltInNames() {
  std::vector<std::string_view> names;
  for (const BuiltInTemplate& known : kBuiltIns) names.push_back(known.name);
  return names;
}

std::string ChatTemplate::Render(std::span<const ChatMessage> messages,
                                 const ChatRenderOptions& options) const {
  using jinja::Value;
  jinja::Run run{jinja::Limits{}};
  std::vector<Value> list;
  for (const ChatMessage& message : messages) {
    const Value entry = run.MakeDict();
    run.Set(entry.dict(), run.String("role"), run.String(message.role));
    run.Set(entry.dict(), run.String("content"), run.String(message.content));
    list.push_back(entry);
  }
  // As Hugging Face's apply_chat_template: tools and documents are there, but none.
  std::vector<std::pair<std::string, Value>> globals = {
      {"messages", run.List(std::move(list))},
      {"tools", Value::None()},
      {"documents", Value::None()},
      {"add_generation_prompt", Value::Bool(options.add_generation_prompt)},
      {"bos_token", run.String(options.bos_token)},
      {"eos_token", run.String(options.eos_token)}};
  for (const auto& [name, flag] : options.flags) globals.emplace_back(name, Value::Bool(flag));
  return jinja::Evaluator(run, *impl_->program, globals).Execute();
}

}  // namespace edgewise
