// Any bytes as a model: read, planned and, when the plan is small, run for two tokens, at once and
// one by one, which must give the same bits. Findings become cases of tests/whole_model_test.cc and
// of the tests in src/model/.
#include <cmath>
#include <span>
#include <vector>

#include "base/error.h"
#include "engine/engine.h"
#include "gguf/gguf.h"
#include "model/model.h"

namespace edgewise {
namespace {

constexpr uint64_t kLargestRun = 8 << 20;  // bytes that an engine may take: more would only be slow

// Logits of the last of `tokens`, brought `at_once` at a time.
std::vector<float> Logits(const Model& model, const EngineOptions& options,
                          std::span<const TokenId> tokens, size_t at_once) {
  Engine engine(model, options);
  std::span<const float> logits;
  for (size_t at = 0; at < tokens.size(); at += at_once) {
    const Chunk chunk{.tokens = tokens.subspan(at, at_once), .logit_rows = 1};
    logits = engine.Run({&chunk, 1});
  }
  EDGEWISE_CHECK(logits.size() == model.config().vocab);
  return {logits.begin(), logits.end()};
}

bool IsSame(float a, float b) { return a == b || (std::isnan(a) && std::isnan(b)); }

void Run(std::span<const std::byte> bytes) {
  try {
    const Gguf file = Gguf::FromBytes(bytes, "file");
    const Model model = Model::FromGguf(file);
    const EngineOptions options =
        ResolveOptions(model, {.threads = 1,
                               .context = 8,
                               .batch = 2,
                               .k_type = DType::kF16,
                               .v_type = DType::kQ8_0});
    const EngineMemory memory = PlanEngineMemory(model, options);
    if (memory.kv + memory.scratch > kLargestRun) return;
    const auto last = static_cast<TokenId>(model.config().vocab - 1);
    const TokenId tokens[] = {0, last};
    const std::vector<float> together = Logits(model, options, tokens, 2);
    const std::vector<float> alone = Logits(model, options, tokens, 1);
    EDGEWISE_CHECK(std::equal(together.begin(), together.end(), alone.begin(), IsSame));
  } catch (const Error& error) {
    EDGEWISE_CHECK(error.code() != ErrorCode::kUsage && error.code() != ErrorCode::kIo);
    EDGEWISE_CHECK(error.message().find('\n') == std::string::npos);
  }
}

}  // namespace
}  // namespace edgewise

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  edgewise::Run({reinterpret_cast<const std::byte*>(data), size});
  return 0;
}
