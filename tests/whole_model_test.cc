// The engine against the whole model in double precision, and what it promises: the same bits for
// any threads, chunks and company, counters equal to the formulas.
#include "engine/engine.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "graph/cost.h"
#include "reference_model.h"
#include "tiny_models.h"

namespace edgewise {
namespace {

struct RunOptions {
  int threads = 1;
  uint32_t chunk = 512;
  DType kv = DType::kF16;
  bool hardware = false;  // every option that is about speed only
};

Engine MakeEngine(const Model& model, const RunOptions& run, uint32_t logit_rows, uint32_t slots) {
  return Engine(model, ResolveOptions(model, {.threads = run.threads,
                                              .context = 512,
                                              .batch = 512,
                                              .slots = slots,
                                              .logit_rows = logit_rows,
                                              .k_type = run.kv,
                                              .v_type = run.kv,
                                              .populate = run.hardware,
                                              .huge_pages = run.hardware,
                                              .pin = run.hardware,
                                              .prefetch_bytes = run.hardware ? 100'000u : 0}));
}

// Logits of every position, the tokens brought in chunks.
std::vector<float> AllLogits(const Model& model, std::span<const TokenId> tokens,
                             const RunOptions& run) {
  Engine engine = MakeEngine(model, run, 512, 1);
  std::vector<float> logits;
  for (size_t at = 0; at < tokens.size(); at += run.chunk) {
    const auto part = tokens.subspan(at, std::min<size_t>(run.chunk, tokens.size() - at));
    const Chunk chunk{.tokens = part, .logit_rows = static_cast<uint32_t>(part.size())};
    const auto out = engine.Run({&chunk, 1});
    logits.insert(logits.end(), out.begin(), out.end());
  }
  return logits;
}

// ---- against the reference ----

struct Variant {
  const char* name;
  std::function<ModelShape()> shape;
};

ModelShape With(ModelShape shape, const std::function<void(ModelShape&)>& change) {
  change(shape);
  return shape;
}

const Variant kVariants[] = {
    {"llama", [] { return TinyShape("llama"); }},
    {"llama_tied", [] { return With(TinyShape("llama"), [](auto& s) { s.tied_output = true; }); }},
    {"llama_window", [] { return With(TinyShape("llama"), [](auto& s) { s.config.window = 21; }); }},
    {"llama_partial_rotation",
     [] { return With(TinyShape("llama"), [](auto& s) { s.config.rope.dims = 16; }); }},
    {"llama3_factors",
     [] { return With(TinyShape("llama"), [](auto& s) { s.llama3_rope_factor = 8; }); }},
    {"llama_linear",
     [] {
       return With(TinyShape("llama"), [](auto& s) {
         s.config.rope.scaling = RopeConfig::Scaling::kLinear;
         s.config.rope.factor = 4;
       });
     }},
    {"llama_yarn",
     [] {
       return With(TinyShape("llama"), [](auto& s) {
         s.config.rope.scaling = RopeConfig::Scaling::kYarn;
         s.config.rope.factor = 4;
         s.config.rope.original_context = 64;
       });
     }},
    {"qwen2", [] { return With(TinyShape("qwen2"), [](auto& s) { s.tied_output = true; }); }},
    {"qwen3", [] { return TinyShape("qwen3"); }},
};

class Reference : public testing::TestWithParam<Variant> {};

TEST_P(Reference, LogitsAreWithin1e4OfTheirRange) {
  const TinyModel tiny(GetParam().shape(), "F32");
  const auto tokens = RandomTokens(tiny.model(), 150);  // three KV tiles
  const auto expected = ReferenceModel(tiny.model()).Logits(tokens);
  const auto actual = AllLogits(tiny.model(), tokens, {.chunk = 40, .kv = DType::kF32});
  ASSERT_EQ(actual.size(), expected.size());
  const auto [low, high] = std::minmax_element(expected.begin(), expected.end());
  double worst = 0;
  for (size_t i = 0; i < actual.size(); ++i) {
    worst = std::max(worst, std::abs(actual[i] - expected[i]));
  }
  EXPECT_GT(*high - *low, 0.5) << "the logits are too flat to tell anything";
  EXPECT_LT(worst, 1e-4 * (*high - *low));
  RecordProperty("worst_difference_over_range", std::to_string(worst / (*high - *low)));
}

INSTANTIATE_TEST_SUITE_P(Architectures, Reference, testing::ValuesIn(kVariants),
                         [](const auto& info) { return info.param.name; });

// The oracle would notice: a wrong rotation or norm moves logits by far more than the tolerance.
TEST(ReferenceIsSharp, AnotherRopeBaseChangesLogits) {
  ModelShape shape = TinyShape("llama");
  const TinyModel a(shape, "F32");
  shape.config.rope.base = 10100.0f;  // 1% off; the same seed gives the same weights
  const TinyModel b(shape, "F32");
  const auto tokens = RandomTokens(a.model(), 60);
  const auto expected = ReferenceModel(a.model()).Logits(tokens);
  const auto other = AllLogits(b.model(), tokens, {.kv = DType::kF32});
  const auto [low, high] = std::minmax_element(expected.begin(), expected.end());
  double worst = 0;
  for (size_t i = 0; i < other.size(); ++i) worst = std::max(worst, std::abs(other[i] - expected[i]));
  EXPECT_GT(worst, 1e-3 * (*high - *low));
}

// ---- the same bits ----

class SameBits : public testing::TestWithParam<const char*> {};

TEST_P(SameBits, ForAnyThreadsAndChunks) {
  const TinyModel tiny(TinyShape256("llama"), GetParam());
  const auto tokens = RandomTokens(tiny.model(), 150);
  const auto expected = AllLogits(tiny.model(), tokens, {});
  for (const RunOptions& run : {RunOptions{.threads = 2}, RunOptions{.threads = 3, .chunk = 64},
                                RunOptions{.chunk = 1}, RunOptions{.threads = 2, .chunk = 7},
                                RunOptions{.threads = 2, .chunk = 75, .hardware = true},
                                RunOptions{.threads = 2, .chunk = 1, .hardware = true}}) {
    EXPECT_EQ(AllLogits(tiny.model(), tokens, run), expected)
        << run.threads << " threads, chunks of " << run.chunk;
  }
}

INSTANTIATE_TEST_SUITE_P(Types, SameBits,
                         testing::Values("F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1",
                                         "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL",
                                         "Q4_K_M"));

class SameBitsKv : public testing::TestWithParam<DType> {};

TEST_P(SameBitsKv, ForAnyThreadsAndChunks) {
  // A window that starts inside tiles, and heads of 24: short blocks.
  const TinyModel tiny(With(TinyShape("llama"), [](auto& s) { s.config.window = 50; }), "F32");
  const auto tokens = RandomTokens(tiny.model(), 150);
  const auto expected = AllLogits(tiny.model(), tokens, {.kv = GetParam()});
  for (const uint32_t chunk : {1u, 7u, 64u}) {
    EXPECT_EQ(AllLogits(tiny.model(), tokens, {.threads = 2, .chunk = chunk, .kv = GetParam()}),
              expected)
        << "chunks of " << chunk;
  }
}

INSTANTIATE_TEST_SUITE_P(KvTypes, SameBitsKv,
                         testing::Values(DType::kF32, DType::kF16, DType::kQ8_0, DType::kQ4_0),
                         [](const auto& info) { return NameOf(info.param); });

// Beyond a span of the cache, single rows share its spans among the workers, and chunks do not.
TEST(SameBitsAtDepth, ForAnyThreadsAndChunks) {
  for (const uint32_t window : {0u, 700u}) {
    const TinyModel tiny(With(TinyShape("llama"), [&](auto& s) { s.config.window = window; }), "F32");
    const auto tokens = RandomTokens(tiny.model(), 1100);
    const auto last_logits = [&](int threads, uint32_t chunk_rows, size_t singles) {
      Engine engine(tiny.model(), ResolveOptions(tiny.model(), {.threads = threads,
                                                                .context = 1200,
                                                                .batch = 256,
                                                                .logit_rows = 1}));
      for (size_t at = 0; at < tokens.size();) {
        const bool single = at >= tokens.size() - singles;
        const size_t rows =
            single ? 1 : std::min<size_t>(chunk_rows, tokens.size() - singles - at);
        const Chunk chunk{.tokens = std::span(tokens).subspan(at, rows),
                          .logit_rows = at + rows == tokens.size() ? 1u : 0u};
        at += rows;
        const auto logits = engine.Run({&chunk, 1});
        if (at == tokens.size()) return std::vector<float>(logits.begin(), logits.end());
      }
      return std::vector<float>();
    };
    const std::vector<float> expected = last_logits(1, 256, 0);
    EXPECT_EQ(last_logits(1, 100, 1), expected) << "window " << window;
    EXPECT_EQ(last_logits(3, 256, 80), expected) << "window " << window;
    EXPECT_EQ(last_logits(2, 7, 0), expected) << "window " << window;
  }
}

// Damaged or made to harm: such files passed all checks, and the rows of activations overlapped.
TEST(SameBitsOfOneRow, ForAnyThreadsAndChunks) {
  const auto check = [](const ModelShape& shape, const std::string& type) {
    const TinyModel tiny(shape, type);
    const std::vector<TokenId> tokens = RandomTokens(tiny.model(), 70);
    const std::vector<float> expected = AllLogits(tiny.model(), tokens, {.chunk = 1});
    for (const uint32_t chunk : {7u, 70u}) {
      EXPECT_EQ(AllLogits(tiny.model(), tokens, {.threads = 2, .chunk = chunk}), expected)
          << "chunk " << chunk;
    }
  };
  ModelShape narrow_ffn = TinyShape256("llama");  // gate and up have one row, of F32
  narrow_ffn.config.ffn = 1;
  check(narrow_ffn, "Q8_0");
  ModelShape narrow = TinyShape("llama");  // out and down have one row
  narrow.config.width = 1;
  check(narrow, "F16");
}

TEST(Engine, ASequenceGetsTheSameBitsAloneAndInABatch) {
  const TinyModel tiny(TinyShape256("qwen3"), "Q4_K");
  const auto a = RandomTokens(tiny.model(), 90, 1), b = RandomTokens(tiny.model(), 70, 2);
  const auto alone_a = AllLogits(tiny.model(), a, {}), alone_b = AllLogits(tiny.model(), b, {});
  Engine engine = MakeEngine(tiny.model(), {.threads = 2}, 2, 3);
  const size_t vocab = tiny.model().config().vocab;
  // Prefill both together, then b decodes alone, then both together.
  const auto part = [](const auto& v, size_t at, size_t n) { return std::span(v).subspan(at, n); };
  const auto expect_row = [&](std::span<const float> got, const std::vector<float>& all, size_t row) {
    EXPECT_TRUE(std::ranges::equal(got, std::span(all).subspan(row * vocab, vocab)))
        << "position " << row;
  };
  const Chunk first[] = {{.slot = 2, .tokens = part(a, 0, 80), .logit_rows = 1},
                         {.slot = 0, .tokens = part(b, 0, 60), .logit_rows = 1}};
  auto logits = engine.Run(first);
  expect_row(logits.first(vocab), alone_a, 79);
  expect_row(logits.last(vocab), alone_b, 59);
  const Chunk second[] = {{.slot = 0, .tokens = part(b, 60, 1), .logit_rows = 1}};
  expect_row(engine.Run(second), alone_b, 60);
  const Chunk third[] = {{.slot = 0, .tokens = part(b, 61, 1), .logit_rows = 1},
                         {.slot = 2, .tokens = part(a, 80, 5), .logit_rows = 1}};
  logits = engine.Run(third);
  expect_row(logits.first(vocab), alone_b, 61);
  expect_row(logits.last(vocab), alone_a, 84);
}

TEST(Engine, TruncatingForgetsExactlyWhatLiesBehind) {
  const TinyModel tiny(TinyShape("llama"), "F32");
  const auto tokens = RandomTokens(tiny.model(), 100), other = RandomTokens(tiny.model(), 100, 7);
  const auto expected = AllLogits(tiny.model(), tokens, {});
  const size_t vocab = tiny.model().config().vocab;
  Engine engine = MakeEngine(tiny.model(), {}, 1, 1);
  const Chunk head{.tokens = std::span(tokens).first(40)};
  EXPECT_TRUE(engine.Run({&head, 1}).empty());
  const Chunk wrong{.tokens = other};
  engine.Run({&wrong, 1});
  engine.Truncate(0, 40);
  EXPECT_EQ(engine.Length(0), 40u);
  const Chunk rest{.tokens = std::span(tokens).subspan(40), .logit_rows = 1};
  EXPECT_TRUE(std::ranges::equal(engine.Run({&rest, 1}), std::span(expected).last(vocab)));
}

// ---- counted, not computed ----

TEST(Counters, EqualTheFormulasExactly) {
  for (const char* architecture : {"llama", "qwen2", "qwen3"}) {
    for (const char* type : {"F32", "F16", "Q8_0", "Q4_K_M"}) {
      for (const DType kv : {DType::kF16, DType::kQ8_0, DType::kQ4_0}) {
        ModelShape shape = TinyShape256(architecture);
        if (kv == DType::kQ4_0) shape.config.window = 33;
        const TinyModel tiny(shape, type);
        const auto tokens = RandomTokens(tiny.model(), 200);
        Engine engine = MakeEngine(tiny.model(), {.threads = 2, .kv = kv}, 8, 2);
        const std::span<const TokenId> all(tokens);
        const std::vector<std::vector<Chunk>> steps = {
            {{.slot = 0, .tokens = all.first(70)}},
            {{.slot = 0, .tokens = all.first(1), .logit_rows = 1}},
            {{.slot = 0, .tokens = all.first(1), .logit_rows = 1},
             {.slot = 1, .tokens = all.first(100), .logit_rows = 3}}};
        for (const auto& chunks : steps) {
          engine.ResetCounters();
          engine.Run(chunks);
          OpCost expected = CostOf(tiny.model(), engine.last_step());
          expected.activation_bytes = Bytes(0);
          const OpCost counted = engine.counters().counted;
          EXPECT_EQ(counted.flops, expected.flops) << architecture << type << NameOf(kv);
          EXPECT_EQ(counted.weight_bytes, expected.weight_bytes) << architecture << type;
          EXPECT_EQ(counted.kv_read, expected.kv_read) << architecture << NameOf(kv);
          EXPECT_EQ(counted.kv_write, expected.kv_write) << architecture << NameOf(kv);
          EXPECT_GT(counted.flops.value(), 0u);
        }
      }
    }
  }
}

// ---- memory ----

TEST(Memory, ThePlanIsWhatTheEngineTakes) {
  const TinyModel tiny(TinyShape("llama"), "F32");
  const EngineOptions options =
      ResolveOptions(tiny.model(), {.threads = 2, .context = 100, .slots = 2});
  // 3 layers, 2 slots, 2 KV heads, 100 positions, K and V of 24 halves.
  EXPECT_EQ(PlanEngineMemory(tiny.model(), options).kv, 3ull * 2 * 2 * 100 * 2 * 24 * 2);
}

}  // namespace
}  // namespace edgewise
