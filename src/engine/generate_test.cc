#include "engine/generate.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"

namespace edgewise {
namespace {

// The bundled model, greedy unless a test says otherwise.
class GeneratorTest : public testing::Test {
 protected:
  static EngineOptions Options(uint32_t context, uint32_t batch) {
    EngineOptions options;
    options.threads = 1;
    options.context = context;
    options.batch = batch;
    options.logit_rows = 8;
    return options;
  }
  Engine MakeEngine(uint32_t context, uint32_t batch = 512) {
    return Engine(model_, ResolveOptions(model_, Options(context, batch)));
  }
  Sampler Greedy() { return Sampler(greedy_, model_.config().vocab); }
  std::vector<TokenId> Prompt(size_t count) const {
    std::vector<TokenId> tokens(count);
    for (size_t i = 0; i < count; ++i) {
      tokens[i] = static_cast<TokenId>(10 + (i * 37) % (model_.config().vocab - 10));
    }
    return tokens;
  }
  // Generates without an end token; appends what comes to `text`.
  GenerateResult Generate(Generator& generator, std::vector<TokenId>& text,
                          const GenerateOptions& options) {
    Sampler sampler = Greedy();
    const std::vector<TokenId> prompt = text;
    return generator.Generate(
        prompt, sampler, options, [](TokenId) { return false; },
        [&](TokenId token) {
          text.push_back(token);
          return true;
        });
  }

  Gguf file_ = Gguf::Open(EDGEWISE_SOURCE_DIR "/models/edgewise-tiny-q8_0.gguf");
  Model model_ = Model::FromGguf(file_);
  SamplerOptions greedy_{.temperature = 0, .logit_bias = {}};
};

TEST_F(GeneratorTest, ChunksOfAnySizeGiveTheSameLogits) {
  std::vector<TokenId> first_text;
  uint64_t first_hash = 0;
  for (const uint32_t batch : {512u, 1u, 7u, 64u}) {
    SCOPED_TRACE(batch);
    Engine engine = MakeEngine(128, batch);
    Generator generator(engine, 0);
    std::vector<TokenId> text = Prompt(70);
    const auto result = Generate(generator, text, {.max_tokens = 12, .hash_logits = true});
    EXPECT_EQ(result.reason, StopReason::kLength);
    EXPECT_EQ(result.prompt_tokens, 70u);
    EXPECT_EQ(result.generated_tokens, 12u);
    ASSERT_EQ(text.size(), 82u);
    if (first_text.empty()) {
      first_text = text;
      first_hash = result.logits_hash;
    }
    EXPECT_EQ(text, first_text);
    EXPECT_EQ(result.logits_hash, first_hash);
    EXPECT_NE(result.logits_hash, 0u);
  }
}

TEST_F(GeneratorTest, OnlyWhatIsNewIsPrefilledAndNothingChanges) {
  Engine engine = MakeEngine(256);
  Generator generator(engine, 0);
  std::vector<TokenId> text = Prompt(40);
  Generate(generator, text, {.max_tokens = 10});
  // A second turn: all but the last token sampled is in the cache.
  const std::vector<TokenId> more = Prompt(5);
  text.insert(text.end(), more.begin(), more.end());
  std::vector<TokenId> fresh_text = text;
  const auto second = Generate(generator, text, {.max_tokens = 10, .hash_logits = true});
  EXPECT_EQ(second.prompt_tokens, 6u);

  Engine fresh_engine = MakeEngine(256);
  Generator fresh(fresh_engine, 0);
  const auto reference = Generate(fresh, fresh_text, {.max_tokens = 10, .hash_logits = true});
  EXPECT_EQ(reference.prompt_tokens, 55u);
  EXPECT_EQ(text, fresh_text);
  EXPECT_EQ(second.logits_hash, reference.logits_hash);

  // A text that differs early is computed from there on; the same text again costs one token.
  std::vector<TokenId> edited = fresh_text;
  edited[20] = 5;
  EXPECT_EQ(Generate(generator, edited, {.max_tokens = 1}).prompt_tokens, 65u - 20u);
  edited.pop_back();
  EXPECT_EQ(Generate(generator, edited, {.max_tokens = 1}).prompt_tokens, 1u);
}

TEST_F(GeneratorTest, AFullContextStopsAndALongerTextIsRefused) {
  Engine engine = MakeEngine(32);
  Generator generator(engine, 0);
  std::vector<TokenId> text = Prompt(20);
  const auto result = Generate(generator, text, {});
  EXPECT_EQ(result.reason, StopReason::kContextFull);
  // 32 positions computed give logits for a 33rd token.
  EXPECT_EQ(text.size(), 33u);
  EXPECT_EQ(generator.cached().size(), 32u);
  try {
    Generate(generator, text, {});
    FAIL() << "33 tokens went into a context of 32";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kLimit);
    EXPECT_EQ(error.message(),
              "the text has 33 tokens, the context holds 32: shorten it or use a larger -c");
  }
}

// Against the definition: whenever the context is full, the text is cut, and each token is then
// computed from scratch.
TEST_F(GeneratorTest, ContextShiftGoesOnAsIfTheTextHadBeenCut) {
  constexpr uint32_t kContext = 24, kKeep = 4;
  Engine engine = MakeEngine(kContext);
  Generator generator(engine, 0);
  std::vector<TokenId> text = Prompt(16);
  const auto result =
      Generate(generator, text, {.max_tokens = 40, .context_shift = true, .keep = kKeep});
  EXPECT_EQ(result.reason, StopReason::kLength);

  std::vector<TokenId> window = Prompt(16), expected = window;
  uint32_t shifts = 0;
  for (int i = 0; i < 40; ++i) {
    if (window.size() == kContext + 1) {
      const size_t half = (kContext - kKeep) / 2;
      window.erase(window.begin() + kKeep, window.end() - 1 - static_cast<ptrdiff_t>(half));
      ++shifts;
    }
    Engine fresh_engine = MakeEngine(kContext);
    Generator fresh(fresh_engine, 0);
    Generate(fresh, window, {.max_tokens = 1});
    expected.push_back(window.back());
  }
  EXPECT_GE(shifts, 2u);
  EXPECT_EQ(result.context_shifts, shifts);
  EXPECT_EQ(text, expected);

  std::vector<TokenId> short_text = Prompt(3);
  EXPECT_THROW(Generate(generator, short_text, {.context_shift = true, .keep = kContext - 1}),
               Error);
}

TEST_F(GeneratorTest, StopsWhenToldTo) {
  Engine engine = MakeEngine(64, 8);
  Generator generator(engine, 0);
  Sampler sampler = Greedy();
  const std::vector<TokenId> prompt = Prompt(20);
  const auto no_end = [](TokenId) { return false; };

  int seen = 0;
  auto result =
      generator.Generate(prompt, sampler, {}, no_end, [&](TokenId) { return ++seen < 3; });
  EXPECT_EQ(result.reason, StopReason::kCallback);
  EXPECT_EQ(result.generated_tokens, 3u);

  std::vector<TokenId> passed;
  int asked = 0;
  result = generator.Generate(
      prompt, sampler, {}, [&](TokenId) { return ++asked == 4; },
      [&](TokenId token) {
        passed.push_back(token);
        return true;
      });
  EXPECT_EQ(result.reason, StopReason::kEndOfGeneration);
  EXPECT_EQ(result.generated_tokens, 4u);
  EXPECT_EQ(passed.size(), 3u);  // the end token is not text

  std::atomic<bool> cancel = false;
  seen = 0;
  GenerateOptions options;
  options.cancel = &cancel;
  result = generator.Generate(prompt, sampler, options, no_end, [&](TokenId) {
    cancel = ++seen == 2;
    return true;
  });
  EXPECT_EQ(result.reason, StopReason::kCancelled);
  EXPECT_EQ(result.generated_tokens, 2u);

  // During prefill: after the first of three chunks.
  Generator again(engine, 0);
  cancel = false;
  std::vector<uint32_t> progress;
  options.on_prefill = [&](uint32_t done, uint32_t total) {
    EXPECT_EQ(total, 20u);
    progress.push_back(done);
    cancel = true;
  };
  result = again.Generate(prompt, sampler, options, no_end, [&](TokenId) { return true; });
  EXPECT_EQ(result.reason, StopReason::kCancelled);
  EXPECT_EQ(result.generated_tokens, 0u);
  EXPECT_EQ(progress, std::vector<uint32_t>{8});
  EXPECT_EQ(again.cached().size(), 8u);
}

// Text, logits and counts with and without drafts, from a prompt that repeats five tokens.
class DraftTest : public GeneratorTest {
 protected:
  struct Outcome {
    GenerateResult result;
    std::vector<TokenId> text;
    std::vector<TokenId> cached;
  };

  Outcome Write(uint32_t context, const SamplerOptions& sampling, GenerateOptions options, uint32_t draft) {
    Engine engine = MakeEngine(context);
    Generator generator(engine, 0);
    Sampler sampler(sampling, model_.config().vocab);
    Outcome outcome;
    for (int i = 0; i < 20; ++i) outcome.text.push_back(static_cast<TokenId>(300 + i % 5));
    const std::vector<TokenId> prompt = outcome.text;
    options.hash_logits = true;
    options.draft = draft;
    const auto passed = [&](TokenId token) {
      outcome.text.push_back(token);
      return true;
    };
    outcome.result = generator.Generate(prompt, sampler, options, [](TokenId) { return false; }, passed);
    outcome.cached.assign(generator.cached().begin(), generator.cached().end());
    EXPECT_EQ(engine.Length(0), outcome.cached.size());
    return outcome;
  }

  // Returns what became of the drafts.
  DraftCounts ExpectTheSame(uint32_t context, const SamplerOptions& sampling,
                            const GenerateOptions& options) {
    const Outcome plain = Write(context, sampling, options, 0);
    EXPECT_EQ(plain.result.draft.drafted, 0u);
    EXPECT_EQ(plain.result.draft.steps, plain.result.generated_tokens - 1);
    DraftCounts most;
    for (const uint32_t draft : {1u, 7u, 100u}) {
      SCOPED_TRACE(draft);
      const Outcome drafted = Write(context, sampling, options, draft);
      EXPECT_EQ(drafted.text, plain.text);
      EXPECT_EQ(drafted.cached, plain.cached);
      EXPECT_EQ(drafted.result.logits_hash, plain.result.logits_hash);
      EXPECT_EQ(drafted.result.reason, plain.result.reason);
      EXPECT_EQ(drafted.result.generated_tokens, plain.result.generated_tokens);
      EXPECT_EQ(drafted.result.context_shifts, plain.result.context_shifts);
      most = drafted.result.draft;
      EXPECT_EQ(drafted.result.generated_tokens, 1 + most.steps + most.accepted);
      EXPECT_EQ(drafted.result.rows, plain.result.rows + most.drafted - most.accepted);
      EXPECT_LE(most.accepted, most.drafted);
    }
    return most;
  }
};

TEST_F(DraftTest, ChangesNeitherTextNorLogits) {
  const DraftCounts greedy = ExpectTheSame(256, greedy_, {.max_tokens = 150});
  EXPECT_GT(greedy.accepted, 20u);
  EXPECT_GT(greedy.drafted, greedy.accepted) << "no draft was refused";
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE(seed);
    SamplerOptions sampling = {.temperature = 0.5f, .presence_penalty = 0.1f, .logit_bias = {}, .seed = seed};
    const DraftCounts sampled = ExpectTheSame(256, sampling, {.max_tokens = 60});
    EXPECT_GT(sampled.drafted, 0u);
  }
}

TEST_F(DraftTest, EndsWhereItEndsWithoutDrafts) {
  for (uint32_t tokens = 1; tokens <= 12; ++tokens) {
    SCOPED_TRACE(tokens);
    ExpectTheSame(256, greedy_, {.max_tokens = tokens});
  }
  for (uint32_t context = 60; context < 68; ++context) {
    SCOPED_TRACE(context);
    ExpectTheSame(context, greedy_, {});
    ExpectTheSame(context, greedy_, {.max_tokens = 100, .context_shift = true, .keep = 4});
  }
}

TEST_F(DraftTest, StopsInTheMiddleOfADraft) {
  Engine engine = MakeEngine(256);
  const std::vector<TokenId> all = Write(256, greedy_, {.max_tokens = 60}, 0).text;
  const std::span<const TokenId> prompt = std::span(all).first(20);
  for (uint32_t stop = 1; stop < 30; ++stop) {
    SCOPED_TRACE(stop);
    Generator generator(engine, 0);
    Sampler sampler = Greedy();
    std::atomic<bool> cancel = false;
    uint32_t seen = 0;
    const auto no_end = [](TokenId) { return false; };
    const auto expect_stop = [&](const GenerateResult& result, StopReason reason) {
      EXPECT_EQ(result.reason, reason);
      EXPECT_EQ(result.generated_tokens, stop);
      EXPECT_TRUE(std::ranges::equal(generator.cached(), std::span(all).first(20 + stop - 1)));
    };
    expect_stop(generator.Generate(prompt, sampler, {.draft = 7}, no_end,
                                   [&](TokenId) { return ++seen < stop; }),
                StopReason::kCallback);
    seen = 0;
    expect_stop(generator.Generate(prompt, sampler, {.draft = 7, .cancel = &cancel}, no_end,
                                   [&](TokenId) {
                                     cancel = ++seen == stop;
                                     return true;
                                   }),
                StopReason::kCancelled);
    seen = 0;
    expect_stop(generator.Generate(prompt, sampler, {.draft = 7}, [&](TokenId) { return ++seen == stop; },
                                   [](TokenId) { return true; }),
                StopReason::kEndOfGeneration);
  }
}

// The penalties look at the prompt, and at this text only.
TEST_F(GeneratorTest, TheSamplerRemembersTheWholeTextAndNoOther) {
  Engine engine = MakeEngine(64);
  Generator generator(engine, 0);
  SamplerOptions options = greedy_;
  options.presence_penalty = 1e6f;  // no token twice
  Sampler sampler(options, model_.config().vocab);
  std::vector<TokenId> other = Prompt(1);
  std::vector<TokenId> text = {other[0]};
  for (int i = 0; i < 2; ++i) {
    text.resize(1);
    generator.Generate(
        other, sampler, {.max_tokens = 30}, [](TokenId) { return false; },
        [&](TokenId token) {
          text.push_back(token);
          return true;
        });
    std::vector<TokenId> sorted = text;
    std::sort(sorted.begin(), sorted.end());
    EXPECT_EQ(std::adjacent_find(sorted.begin(), sorted.end()), sorted.end());
  }
  const std::vector<TokenId> first = text;
  Generator fresh(engine, 0);
  Sampler fresh_sampler(options, model_.config().vocab);
  text.resize(1);
  fresh.Generate(
      other, fresh_sampler, {.max_tokens = 30}, [](TokenId) { return false; },
      [&](TokenId token) {
        text.push_back(token);
        return true;
      });
  EXPECT_EQ(text, first);
}

}  // namespace
}  // namespace edgewise
