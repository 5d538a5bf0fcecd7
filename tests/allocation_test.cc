// Decoding allocates nothing. A program of its own: it replaces operator new, which the sanitizers do
// too, so it is not built with them.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>

#include "engine/engine.h"
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

}  // namespace
}  // namespace edgewise
