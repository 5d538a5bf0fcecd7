#include <gtest/gtest.h>

#include "graph/cost.h"
#include "graph/op.h"
#include "quant/kv_type.h"

namespace edgewise {
namespace {

// TinyLlama-1.1B: every figure below was worked out by hand from these.
ModelConfig TinyLlama() {
  ModelConfig c;
  c.architecture = "llama";
  c.vocab = 32000;
  c.context = 2048;
  c.width = 2048;
  c.layers = 22;
  c.heads = 32;
  c.kv_heads = 4;
  c.head_dim = 64;
  c.ffn = 5632;
  c.rope.dims = 64;
  return c;
}

Step MakeStep(const Model& model, std::vector<Sequence> sequences) {
  Step step;
  BuildStep(model, DType::kF16, DType::kF16, sequences, step);
  return step;
}

TEST(Graph, GroupsPartitionTheOperatorsInOrder) {
  ModelConfig config = TinyLlama();
  config.architecture = "qwen3";  // the longest layer: QK norms
  const Model model = Model::FromShape(config, DType::kQ8_0, false);
  const Step step = MakeStep(model, {{.rows = 3, .logit_rows = 1}});
  uint32_t next = 0;
  for (const Group& group : step.groups) {
    EXPECT_EQ(group.first, next);
    EXPECT_GT(group.count, 0u);
    for (uint32_t i = 0; i < group.count; ++i) {
      EXPECT_EQ(step.ops[group.first + i].layer, group.layer);
    }
    next += group.count;
  }
  EXPECT_EQ(next, step.ops.size());
  // embed + 22 layers of 5 groups + head
  EXPECT_EQ(step.groups.size(), 1u + 22 * 5 + 1);
}

TEST(Graph, EveryOperatorReadsAValueThatAnEarlierOneWrote) {
  const Model model = Model::FromShape(TinyLlama(), DType::kQ8_0, false);
  const Step step = MakeStep(model, {{.rows = 1, .logit_rows = 1}});
  std::vector<bool> written(64, false);
  written[static_cast<size_t>(Value::kTokens)] = true;
  for (const Op& op : step.ops) {
    for (const Value in : op.in) {
      if (in != Value::kNone) {
        EXPECT_TRUE(written[static_cast<size_t>(in)]) << NameOf(op.role);
      }
    }
    written[static_cast<size_t>(op.result)] = true;
  }
  EXPECT_TRUE(written[static_cast<size_t>(Value::kLogits)]);
}

TEST(Graph, RowsOfSeveralSequencesAreNumberedTogether) {
  const Model model = Model::FromShape(TinyLlama(), DType::kQ8_0, false);
  const Step step = MakeStep(model, {{.slot = 2, .rows = 5, .kv_len = 7},
                                     {.slot = 0, .rows = 1, .kv_len = 9, .logit_rows = 1}});
  EXPECT_EQ(step.rows, 6u);
  EXPECT_EQ(step.logit_rows, 1u);
  EXPECT_EQ(step.sequences[1].first_row, 5u);
  EXPECT_EQ(step.ops.back().m, 1u);   // the head
  EXPECT_EQ(step.ops.front().m, 6u);  // the embedding
}

TEST(Graph, APrefillChunkWithoutLogitsHasNoHead) {
  const Model model = Model::FromShape(TinyLlama(), DType::kQ8_0, false);
  const Step step = MakeStep(model, {{.rows = 5}});
  for (const Op& op : step.ops) EXPECT_NE(op.role, Role::kHead);
}

TEST(Graph, ASecondStepOfTheSameModelAllocatesNothing) {
  const Model model = Model::FromShape(TinyLlama(), DType::kQ8_0, false);
  Step step;
  const std::vector<Sequence> one = {{.rows = 1, .logit_rows = 1}};
  BuildStep(model, DType::kF16, DType::kF16, one, step);
  const Op* ops = step.ops.data();
  const Group* groups = step.groups.data();
  BuildStep(model, DType::kF16, DType::kF16, one, step);
  EXPECT_EQ(ops, step.ops.data());
  EXPECT_EQ(groups, step.groups.data());
}

TEST(Cost, DecodeOfTinyLlama) {
  const Model model = Model::FromShape(TinyLlama(), DType::kQ8_0, false);
  EXPECT_EQ(model.parameters(), 1'100'048'384u);
  const Step step = MakeStep(model, {{.rows = 1, .kv_len = 99, .logit_rows = 1}});
  const OpCost cost = CostOf(model, step);
  // Per layer Q and O 2048^2 each, K and V 2048 x 256, three of 2048 x 5632; 22 layers; the head.
  const uint64_t products = 22ull * (2 * 2048 * 2048 + 2 * 2048 * 256 + 3 * 2048 * 5632) +
                            32000ull * 2048;
  // Attention: 32 heads x 64 x 100 visible positions x 4, 22 layers.
  EXPECT_EQ(cost.flops.value(), 2 * products + 22ull * 32 * 64 * 100 * 4);
  // Q8_0 takes 34 bytes for 32 weights; one embedding row; 45 norms of 2048 floats.
  EXPECT_EQ(cost.weight_bytes.value(), products / 32 * 34 + 2048 / 32 * 34 + 45ull * 2048 * 4);
  // K and V, F16, 4 heads of 64, 100 positions.
  EXPECT_EQ(cost.kv_read.value(), 22ull * 100 * 4 * 64 * 2 * 2);
  EXPECT_EQ(cost.kv_write.value(), 22ull * 1 * 4 * 64 * 2 * 2);
}

TEST(Cost, PrefillReadsKeysOncePerBlockOfQueries) {
  const Model model = Model::FromShape(TinyLlama(), DType::kQ8_0, false);
  const Step step = MakeStep(model, {{.rows = 40, .kv_len = 10}});
  const OpCost cost = CostOf(model, step);
  // Blocks of 32 and 8 rows see 42 and 50 positions.
  EXPECT_EQ(cost.kv_read.value(), 22ull * (42 + 50) * 4 * 64 * 2 * 2);
  // Row r sees 11 + r positions: 40 * 11 + 39 * 40 / 2 pairs.
  EXPECT_EQ(cost.flops.value(),
            2ull * 40 * 22 * (2 * 2048 * 2048 + 2 * 2048 * 256 + 3 * 2048 * 5632) +
                22ull * 4 * 64 * 32 * (440 + 780));
}

TEST(Cost, AWindowBoundsWhatAttentionReads) {
  ModelConfig config = TinyLlama();
  config.window = 16;
  const Model model = Model::FromShape(config, DType::kQ8_0, false);
  const Step step = MakeStep(model, {{.rows = 4, .kv_len = 100}});
  // Rows at 100..103 see 16 each, together positions 85..103.
  EXPECT_EQ(CostOf(model, step).kv_read.value(), 22ull * 19 * 4 * 64 * 2 * 2);
  uint64_t attention_flops = 0;
  for (const Op& op : step.ops) {
    if (op.kind == OpKind::kAttention) attention_flops += CostOf(model, op, step).flops.value();
  }
  EXPECT_EQ(attention_flops, 22ull * 4 * 64 * 32 * 4 * 16);
}

TEST(Cost, BiasesAreWeights) {
  ModelConfig config = TinyLlama();
  const Model plain = Model::FromShape(config, DType::kF16, true);
  config.architecture = "qwen2";
  const Model biased = Model::FromShape(config, DType::kF16, true);
  const std::vector<Sequence> one = {{.rows = 1, .logit_rows = 1}};
  const uint64_t difference = CostOf(biased, MakeStep(biased, one)).weight_bytes.value() -
                              CostOf(plain, MakeStep(plain, one)).weight_bytes.value();
  EXPECT_EQ(difference, 22ull * (2048 + 256 + 256) * 4);
}

TEST(Cost, KvRowsOfOddHeadSizesEndInAShortBlock) {
  EXPECT_EQ(KvRowBytes(DType::kF32, 80), 320u);
  EXPECT_EQ(KvRowBytes(DType::kF16, 80), 160u);
  EXPECT_EQ(KvRowBytes(DType::kQ8_0, 64), 68u);
  EXPECT_EQ(KvRowBytes(DType::kQ8_0, 80), 3 * 2 + 80u);
  EXPECT_EQ(KvRowBytes(DType::kQ4_0, 64), 36u);
  EXPECT_EQ(KvRowBytes(DType::kQ4_0, 80), 3 * 2 + 40u);
  EXPECT_EQ(KvRowBytes(DType::kQ4_0, 7), 2 + 4u);
}

}  // namespace
}  // namespace edgewise
