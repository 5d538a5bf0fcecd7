#include "engine/memory_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace edgewise {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr uint64_t kGiB = uint64_t{1} << 30;

class MemoryPlanTest : public testing::Test {
 protected:
  MemoryPlanTest() {
    ModelConfig config;
    config.architecture = "llama";
    config.vocab = 32000;
    config.context = 32768;
    config.width = 2048;
    config.layers = 22;
    config.heads = 32;
    config.kv_heads = 4;
    config.head_dim = 64;
    config.ffn = 5632;
    config.rope.dims = 64;
    model_ = std::make_unique<Model>(Model::FromShape(config, DType::kQ4_0, false));
  }
  EngineOptions Options(uint32_t context) const {
    EngineOptions options;
    options.threads = 2;
    options.context = context;
    return ResolveOptions(*model_, options);
  }
  MemoryPlan Plan(const EngineOptions& options) const {
    const EngineMemory memory = PlanEngineMemory(*model_, options);
    return {.mapped = model_->weight_bytes(),
            .kv = memory.kv,
            .scratch = memory.scratch,
            .tokenizer = 2 << 20,
            .sampler = 1 << 20,
            .program = (1 << 20) + memory.stacks};
  }
  std::string Refusal(const EngineOptions& options, uint64_t available) const {
    try {
      CheckPlan(Plan(options), *model_, options, MemoryLimit{available, "MemAvailable"});
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kLimit);
      EXPECT_EQ(error.message().find('\n'), std::string::npos);
      return error.message();
    }
    return "";
  }

  std::unique_ptr<Model> model_;
};

TEST_F(MemoryPlanTest, RefusesExactlyWhatDoesNotFit) {
  const EngineOptions options = Options(2048);
  const uint64_t total = Plan(options).total();
  EXPECT_EQ(Refusal(options, total), "");
  EXPECT_THAT(Refusal(options, total - 1), HasSubstr("--force"));
  EXPECT_NO_THROW(CheckPlan(Plan(options), *model_, options, std::nullopt));
}

TEST_F(MemoryPlanTest, AdvisesTheLargestContextThatFits) {
  const EngineOptions options = Options(32768);
  const uint64_t available = kGiB;
  const std::string message = Refusal(options, available);
  const size_t at = message.find("-c ");
  ASSERT_NE(at, std::string::npos) << message;
  const auto context = static_cast<uint32_t>(std::stoul(message.substr(at + 3)));
  EXPECT_EQ(context % 64, 0u);
  EXPECT_LE(Plan(Options(context)).total(), available);
  EXPECT_GT(Plan(Options(context + 64)).total(), available);
}

TEST_F(MemoryPlanTest, AdvisesTheLargestKvTypeThatFits) {
  EngineOptions options = Options(32768);
  const auto with = [&](DType type) {
    EngineOptions changed = options;
    changed.k_type = changed.v_type = type;
    return Plan(changed).total();
  };
  EXPECT_THAT(Refusal(options, with(DType::kQ8_0)), HasSubstr("-ctk q8_0 -ctv q8_0"));
  const std::string smaller = Refusal(options, with(DType::kQ4_0));
  EXPECT_THAT(smaller, HasSubstr("-ctk q4_0 -ctv q4_0"));
  EXPECT_THAT(smaller, Not(HasSubstr("q8_0")));
  EXPECT_THAT(Refusal(options, with(DType::kQ4_0) - 1), Not(HasSubstr("-ctk")));
}

TEST_F(MemoryPlanTest, SaysWhenOnlyASmallerModelHelps) {
  EXPECT_THAT(Refusal(Options(2048), kGiB / 4), HasSubstr("the weights alone are larger"));
  // Room for the weights, but not for the smallest context.
  EXPECT_THAT(Refusal(Options(2048), model_->weight_bytes() + 1), HasSubstr("use a smaller model"));
}

TEST_F(MemoryPlanTest, AdvisesToLeaveOutABackendThatDoesNotFit) {
  const EngineOptions options = Options(2048);
  MemoryPlan plan = Plan(options);
  const MemoryLimit limit{plan.total(), "MemAvailable"};
  EXPECT_NO_THROW(CheckPlan(plan, *model_, options, limit));
  plan.backend = kGiB;
  try {
    CheckPlan(plan, *model_, options, limit);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("backend 1.0 GiB"));
    EXPECT_THAT(error.what(), HasSubstr("leave out --backend"));
  }
}

TEST_F(MemoryPlanTest, TextAddsUp) {
  MemoryPlan plan{.mapped = 600 << 20,
                  .code = 5 << 20,
                  .kv = 44 << 20,
                  .scratch = 30 << 20,
                  .tokenizer = 2 << 20,
                  .sampler = 1 << 20,
                  .program = 1 << 20};
  EXPECT_EQ(ToText(plan),
            "weights 600.0 MiB (mapped) + KV 44.0 MiB + scratch 30.0 MiB + tokenizer, sampler and "
            "program 9.0 MiB = 683.0 MiB");
  plan.backend = 100 << 20;
  EXPECT_THAT(ToText(plan), HasSubstr("+ scratch 30.0 MiB + backend 100.0 MiB + tokenizer, sampler"));
  EXPECT_THAT(ToText(plan), HasSubstr("= 783.0 MiB"));
  std::swap(plan.mapped, plan.copied);
  EXPECT_EQ(plan.private_bytes(), plan.total() - plan.code);
  EXPECT_EQ(ToText(plan).find("weights 600.0 MiB (copied) + KV"), 0u);
}

// A file of a few kilobytes and holes passes the reader with such a shape; its plan wrapped around.
TEST(MemoryPlan, ACacheWhoseSizeOverflowsIsRefused) {
  ModelConfig config;
  config.architecture = "llama";
  config.vocab = config.width = config.ffn = 1;
  config.context = 1 << 24;
  config.layers = 1024;
  config.heads = config.kv_heads = 1 << 14;
  config.head_dim = config.rope.dims = 1 << 12;
  const Model model = Model::FromShape(config, DType::kF32, true);
  EngineOptions options;
  options.context = 1 << 24;
  options.slots = 1024;
  try {
    ResolveOptions(model, options);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kLimit);
  }
}

}  // namespace
}  // namespace edgewise
