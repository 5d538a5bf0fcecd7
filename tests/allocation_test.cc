// Decoding allocates nothing. A program of its own: it replaces operator new, which the sanitizers do
// too, so it is not built with them.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>

#include "engine/engine.h"
#include "engine/generate.h"
#include "tiny_models.h"

namespace {
std::atomic<size_t> allocations = 0;
}  // namespace

// Counts every allocation of this program made through operator new. Not inlined: g++ would take the
// malloc in one and the free in the other for a mismatch.
[[gnu::noinline]] void* operator new(size_t bytes) {
  ++allocations;
  if (void* p = std::malloc(bytes == 0 ? 1 : bytes)) return p;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, size_t) noexcept { std::free(p); }

namespace edgewise {
namespace {

TEST(Memory, AHundredDecodedTokensAllocateNothing) {
  const TinyModel tiny(TinyShape256("qwen3"), "Q4_K_M");
  Engine engine(tiny.model(), ResolveOptions(tiny.model(), {.threads = 2,
                                                            .k_type = DType::kQ8_0,
                                                            .v_type = DType::kQ8_0}));
  const auto prompt = RandomTokens(tiny.model(), 20);
  const Chunk first{.tokens = prompt, .logit_rows = 1};
  engine.Run({&first, 1});
  TokenId token = 5;
  const size_t before = allocations;
  for (int i = 0; i < 100; ++i) {
    const Chunk chunk{.tokens = {&token, 1}, .logit_rows = 1};
    const auto logits = engine.Run({&chunk, 1});
    token = static_cast<TokenId>(std::ranges::max_element(logits) - logits.begin());
  }
  EXPECT_EQ(allocations, before);
  EXPECT_GT(before, 0u) << "the counter does not count";
}

// From the first token to the last: sampling, drafts, steps of one row to eight.
TEST(Memory, GeneratingWithDraftsAllocatesNothing) {
  const TinyModel tiny(TinyShape256("qwen3"), "Q4_K_M");
  Engine engine(tiny.model(), ResolveOptions(tiny.model(), {.threads = 2, .logit_rows = 8}));
  Generator generator(engine, 0);
  Sampler sampler({.temperature = 0.01f, .presence_penalty = 0.01f, .logit_bias = {}, .seed = 1},
                  tiny.model().config().vocab);
  std::vector<TokenId> prompt;
  for (int i = 0; i < 20; ++i) prompt.push_back(i % 5);
  size_t at_first = 0, at_last = 0;
  const GenerateResult result = generator.Generate(
      prompt, sampler, {.max_tokens = 100, .draft = 7}, [](TokenId) { return false; },
      [&](TokenId) {
        if (at_first == 0) at_first = allocations;
        at_last = allocations;
        return true;
      });
  EXPECT_EQ(at_last, at_first);
  EXPECT_EQ(result.generated_tokens, 100u);
  EXPECT_GT(result.draft.drafted, result.draft.accepted);
  EXPECT_GT(result.draft.accepted, 0u);
}

}  // namespace
}  // namespace edgewise
