// Chat templates from untrusted files: any bytes give a prompt or an Error, within tight limits.
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "jinja/eval.h"
#include "jinja/parser.h"

namespace {

using edgewise::jinja::Run;
using edgewise::jinja::Value;

Value Message(Run& run, const char* role, const char* content) {
  const Value message = run.MakeDict();
  run.Set(message.dict(), run.String("role"), run.String(role));
  run.Set(message.dict(), run.String("content"), run.String(content));
  return message;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view source(reinterpret_cast<const char*>(data), size);
  try {
    const auto program = edgewise::jinja::ParseTemplate(source);
    // Small enough for thousands of runs in a second; the depth is the real one.
    Run run({.steps = 20'000, .string_bytes = 1 << 16, .live_bytes = 1 << 20});
    const std::vector<std::pair<std::string, Value>> globals = {
        {"messages", run.List({Message(run, "system", "be brief"), Message(run, "user", "Gr\xC3\xBC\xC3\x9F"),
                               Message(run, "assistant", "<think>\na</think>\n\xFF b"),
                               Message(run, "user", "")})},
        {"tools", Value::None()},
        {"add_generation_prompt", Value::Bool(true)},
        {"bos_token", run.String("<s>")},
        {"eos_token", run.String("</s>")},
        {"x", Value::Float(2.5)},
        {"n", Value::Int(3)}};
    edgewise::jinja::Evaluator(run, *program, globals).Execute();
  } catch (const edgewise::Error&) {
  }
  return 0;
}
