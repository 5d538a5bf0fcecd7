#include "cli/engine_memory.h"

#include <gtest/gtest.h>

#include "base/test_files.h"
#include "engine/sampler.h"
#include "model/synth.h"
#include "tokenizer/tokenizer.h"

namespace edgewise {
namespace {

// A shape is planned as the file that synth writes of it would be.
TEST(EngineMemoryTest, AShapeIsPlannedAsItsFile) {
  const TempFolder folder;
  const std::string path = folder / "m.gguf";
  for (const char* name : {"smollm2-135m", "qwen3-0.6b"}) {
    for (const char* recipe : {"Q4_0", "Q4_K_M"}) {
      SCOPED_TRACE(StrCat(name, " ", recipe));
      ModelShape shape = ShapeNamed(name);
      shape.config.layers = 3;  // a smaller file: the vocabulary weighs more in it than in the whole one
      Synthesize(shape, path, {.type = recipe}, [](uint64_t, uint64_t) {});
      const Gguf file = Gguf::Open(path);
      const Model of_file = Model::FromGguf(file), of_shape = Model::FromShape(shape, recipe);
      Usage usage;
      usage.prompt = 100;
      usage.generate = 28;
      usage.batch = 2;
      const MemoryPlan real = PlanRun(of_file, usage, 2, &file), planned = PlanRun(of_shape, usage, 2);
      EXPECT_EQ(planned.kv, real.kv);
      EXPECT_EQ(planned.scratch, real.scratch);
      EXPECT_NEAR(static_cast<double>(planned.mapped), static_cast<double>(real.mapped), 512);
      EXPECT_NEAR(static_cast<double>(planned.tokenizer), static_cast<double>(real.tokenizer), 512);
      EXPECT_NEAR(static_cast<double>(planned.total()), static_cast<double>(real.total()),
                  0.01 * static_cast<double>(real.total()));
      EXPECT_EQ(NeedOf(planned).total(), planned.total());
    }
  }
}

TEST(EngineMemoryTest, RoomForTheRowsOfAllDrafts) {
  const ModelShape shape = ShapeNamed("smollm2-135m");
  const Model model = Model::FromShape(shape, "Q4_0");
  Usage usage;
  usage.prompt = 4;
  usage.batch = 3;
  usage.draft_tokens = 7;
  const EngineOptions options = EngineOptionsFor(model, usage, 1);
  EXPECT_EQ(options.logit_rows, 24u);
  EXPECT_EQ(options.batch, 24u);
  EXPECT_EQ(options.slots, 3u);
}

}  // namespace
}  // namespace edgewise
