// What a valid file says: values, tensors, typed access.
#include "gguf/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "base/system_memory.h"
#include "base/test_files.h"
#include "gguf/test_gguf.h"

namespace edgewise {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Optional;

Gguf Read(const std::string& bytes) {
  return Gguf::FromBytes(std::as_bytes(std::span(bytes)), "file");
}

GgufValue ValueOf(GgufType type, const std::string& stored) {
  return {type, type, 1, std::as_bytes(std::span(stored))};
}

TEST(GgufTest, ReadsBothVersions) {
  for (const uint32_t version : {2u, 3u}) {
    const std::string bytes = TinyGguf(version);
    const Gguf file = Read(bytes);
    EXPECT_EQ(file.version(), version);
    EXPECT_EQ(file.path(), "file");
    EXPECT_EQ(file.file_bytes(), bytes.size());
    EXPECT_EQ(file.entries().size(), 7u);
    EXPECT_EQ(file.entries()[1].key, "llama.block_count");
    EXPECT_EQ(ExerciseBytes(bytes), "");
  }
}

TEST(GgufTest, TensorsPointIntoTheFile) {
  const std::string bytes = TinyGguf();
  const Gguf file = Read(bytes);
  ASSERT_EQ(file.tensors().size(), 4u);
  const GgufTensor& q = file.tensors()[1];
  EXPECT_EQ(q.name, "blk.0.attn_q.weight");
  EXPECT_EQ(q.type, DType::kQ8_0);
  EXPECT_EQ(q.rank, 2u);
  EXPECT_THAT(q.dims, ElementsAre(32, 2, 1, 1));
  EXPECT_EQ(q.rows(), 2u);
  EXPECT_EQ(q.elements(), 64u);
  EXPECT_EQ(q.data.size(), 68u);
  // The data is the file's last 320 bytes; this tensor's begins at 64 of them.
  EXPECT_EQ(q.data.data(), std::as_bytes(std::span(bytes)).data() + bytes.size() - 320 + 64);

  EXPECT_EQ(file.FindTensor("blk.0.attn_q.weight"), &q);
  EXPECT_EQ(file.FindTensor("blk.0.attn_q"), nullptr);
  EXPECT_EQ(file.FindTensor("zzz"), nullptr);
}

TEST(GgufTest, TypedAccess) {
  const std::string bytes = TinyGguf();
  const Gguf file = Read(bytes);
  EXPECT_EQ(file.Integer("llama.block_count"), 2);
  EXPECT_EQ(file.Integer("llama.block_count", 7), 2);
  EXPECT_EQ(file.Integer("llama.expert_count", 7), 7);
  EXPECT_EQ(file.Float("llama.rope.freq_base"), 10000.0);
  EXPECT_EQ(file.Float("llama.block_count"), 2.0);
  EXPECT_EQ(file.Bool("tokenizer.ggml.add_bos_token"), true);
  EXPECT_EQ(file.Bool("tokenizer.ggml.add_eos_token", false), false);
  EXPECT_EQ(file.String("general.architecture"), "llama");
  EXPECT_EQ(file.String("general.name", "none"), "none");

  EXPECT_EQ(MessageOf(ErrorCode::kBadFile, [&] { file.Integer("llama.expert_count"); }),
            "file: key 'llama.expert_count' is missing: convert the model again");
  EXPECT_EQ(MessageOf(ErrorCode::kBadFile, [&] { file.Integer("general.architecture", 1); }),
            "file: key 'general.architecture' is string (\"llama\"), expected an integer");
  EXPECT_EQ(MessageOf(ErrorCode::kBadFile, [&] { file.String("llama.block_count"); }),
            "file: key 'llama.block_count' is u32 (2), expected a string");
  EXPECT_THAT(MessageOf(ErrorCode::kBadFile, [&] { file.Bool("tokenizer.ggml.scores"); }),
              HasSubstr("is an array ([3 x f32] 0, -1.5, 2), expected a bool"));
}

TEST(GgufTest, ArraysDecodeWhole) {
  const std::string bytes = TinyGguf();
  const Gguf file = Read(bytes);
  EXPECT_THAT(file.Find("tokenizer.ggml.tokens")->AsStrings(),
              Optional(ElementsAre("<unk>", "", "\xe2\x96\x81the")));
  EXPECT_THAT(file.Find("tokenizer.ggml.scores")->AsFloats(), Optional(ElementsAre(0, -1.5, 2)));
  EXPECT_THAT(file.Find("tokenizer.ggml.token_type")->AsIntegers(),
              Optional(ElementsAre(2, -1, 1)));
  EXPECT_THAT(file.Find("tokenizer.ggml.token_type")->AsFloats(), Optional(ElementsAre(2, -1, 1)));
  EXPECT_EQ(file.Find("tokenizer.ggml.scores")->AsIntegers(), std::nullopt);
  EXPECT_EQ(file.Find("tokenizer.ggml.scores")->AsStrings(), std::nullopt);
  EXPECT_EQ(file.Find("tokenizer.ggml.tokens")->AsFloats(), std::nullopt);
  EXPECT_EQ(file.Find("tokenizer.ggml.tokens")->AsString(), std::nullopt);
  EXPECT_EQ(file.Find("general.architecture")->AsStrings(), std::nullopt);
}

TEST(GgufTest, IntegersConvertWhenTheyFit) {
  EXPECT_EQ(ValueOf(GgufType::kU8, Raw<uint8_t>(255)).AsInteger(), 255);
  EXPECT_EQ(ValueOf(GgufType::kI8, Raw<int8_t>(-1)).AsInteger(), -1);
  EXPECT_EQ(ValueOf(GgufType::kU16, Raw<uint16_t>(65535)).AsInteger(), 65535);
  EXPECT_EQ(ValueOf(GgufType::kI16, Raw<int16_t>(-32768)).AsInteger(), -32768);
  EXPECT_EQ(ValueOf(GgufType::kU32, Raw<uint32_t>(~0u)).AsInteger(), 4294967295);
  EXPECT_EQ(ValueOf(GgufType::kI32, Raw<int32_t>(-7)).AsInteger(), -7);
  EXPECT_EQ(ValueOf(GgufType::kU64, Raw<uint64_t>(~0ull >> 1)).AsInteger(),
            std::numeric_limits<int64_t>::max());
  EXPECT_EQ(ValueOf(GgufType::kU64, Raw<uint64_t>(~0ull)).AsInteger(), std::nullopt);
  EXPECT_EQ(ValueOf(GgufType::kI64, Raw<int64_t>(-5)).AsInteger(), -5);
  EXPECT_EQ(ValueOf(GgufType::kF32, Raw(1.0f)).AsInteger(), std::nullopt);
  EXPECT_EQ(ValueOf(GgufType::kBool, Raw<uint8_t>(1)).AsInteger(), std::nullopt);
  EXPECT_EQ(ValueOf(GgufType::kBool, Raw<uint8_t>(1)).AsFloat(), std::nullopt);
  EXPECT_EQ(ValueOf(GgufType::kU8, Raw<uint8_t>(1)).AsBool(), std::nullopt);
  EXPECT_EQ(ValueOf(GgufType::kF64, Raw(0.25)).AsFloat(), 0.25);
  EXPECT_EQ(ValueOf(GgufType::kU64, Raw<uint64_t>(1ull << 40)).AsFloat(), 1099511627776.0);
}

TEST(GgufTest, TextIsOneShortPrintableLine) {
  EXPECT_EQ(ValueOf(GgufType::kI8, Raw<int8_t>(-3)).ToText(), "-3");
  EXPECT_EQ(ValueOf(GgufType::kU8, Raw<uint8_t>(65)).ToText(), "65");
  EXPECT_EQ(ValueOf(GgufType::kBool, Raw<uint8_t>(0)).ToText(), "false");
  EXPECT_EQ(ValueOf(GgufType::kString, RawString("a\nb\x1b[2J")).ToText(), "\"a?b?[2J\"");
  const std::string text = ValueOf(GgufType::kString, RawString(std::string(9000, 'x'))).ToText();
  EXPECT_EQ(text, "\"" + std::string(60, 'x') + "...\"");

  const std::string stored(40, '\1');
  const GgufValue array(GgufType::kArray, GgufType::kU8, 40, std::as_bytes(std::span(stored)));
  EXPECT_EQ(array.ToText(), "[40 x u8] 1, 1, 1, 1, 1, 1, 1, 1, ...");
  const GgufValue none(GgufType::kArray, GgufType::kString, 0, {});
  EXPECT_EQ(none.ToText(), "[0 x string]");
}

// The mapped file may be rewritten by another program after it was checked.
TEST(GgufTest, DecodingStaysInsideAValueThatChanged) {
  std::string stored = RawString("one") + RawString("two");
  const GgufValue array(GgufType::kArray, GgufType::kString, 2, std::as_bytes(std::span(stored)));
  ASSERT_THAT(array.AsStrings(), Optional(ElementsAre("one", "two")));
  for (size_t i = 0; i < stored.size(); ++i) {
    const char before = std::exchange(stored[i], '\xff');
    EXPECT_NO_THROW(array.ToText());
    const bool is_length = i < 8 || (i >= 11 && i < 19);
    EXPECT_EQ(array.AsStrings().has_value(), !is_length) << i;
    stored[i] = before;
  }
}

TEST(GgufTest, OtherAlignments) {
  for (const uint32_t alignment : {8u, 64u, 65536u}) {
    const std::string bytes = RawGguf()
                                  .Entry("general.alignment", GgufType::kU32, Raw(alignment))
                                  .Tensor("a", {2}, DType::kF32, 0)
                                  .Tensor("b", {2}, DType::kF32, alignment)
                                  .Alignment(alignment)
                                  .Data(std::string(alignment, 'a') + "bbbbbbbb")
                                  .Build();
    const Gguf file = Read(bytes);
    EXPECT_EQ(static_cast<char>(file.tensors()[1].data[0]), 'b');
    EXPECT_EQ(static_cast<char>(file.tensors()[0].data[0]), 'a');
  }
}

TEST(GgufTest, TensorsMayTouchAndLieInAnyOrder) {
  const std::string bytes = RawGguf()
                                .Tensor("b", {8}, DType::kF32, 32)
                                .Tensor("a", {16}, DType::kF16, 0)
                                .Data(std::string(32, 'a') + std::string(32, 'b'))
                                .Build();
  const Gguf file = Read(bytes);
  for (const GgufTensor& tensor : file.tensors()) {
    for (const std::byte byte : tensor.data) EXPECT_EQ(static_cast<char>(byte), tensor.name[0]);
  }
}

TEST(GgufTest, AFileMayHoldOnlyMetadata) {
  const std::string bytes =
      RawGguf().Entry("general.architecture", GgufType::kString, RawString("gpt2")).Build();
  const Gguf file = Read(bytes);
  EXPECT_TRUE(file.tensors().empty());
  EXPECT_EQ(file.String("general.architecture"), "gpt2");
  const std::string empty = RawGguf().Build();
  EXPECT_TRUE(Read(empty).entries().empty());
  EXPECT_EQ(Read(empty).Find("x"), nullptr);
}

TEST(GgufTest, CheckFiniteNamesTensorAndRow) {
  // Row 1 of three, in its second piece, so that pieces and rows are both counted right.
  constexpr size_t kRow = 4096 + 64;
  std::vector<float> weights(3 * kRow, 1.0f);
  const auto build = [&] {
    return RawGguf()
        .Tensor("blk.0.ffn_up.weight", {kRow, 3}, DType::kF32, 0)
        .Data({reinterpret_cast<const char*>(weights.data()), weights.size() * sizeof(float)})
        .Build();
  };
  const std::string good = build();
  const Gguf file = Read(good);
  EXPECT_NO_THROW(file.CheckFinite(file.tensors()[0]));
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    weights[kRow + 4100] = bad;
    const std::string bytes = build();
    const Gguf other = Read(bytes);
    EXPECT_THAT(MessageOf(ErrorCode::kBadFile, [&] { other.CheckFinite(other.tensors()[0]); }),
                HasSubstr("tensor 'blk.0.ffn_up.weight' row 1 has a weight that is not finite"));
  }
}

TEST(GgufTest, CheckFiniteSeesABlockScale) {
  std::string blocks(68, '\0');  // two Q8_0 rows of one block: f16 scale, 32 weights
  blocks[35] = '\x7e';           // row 1: NaN
  const std::string bytes = RawGguf().Tensor("w", {32, 2}, DType::kQ8_0, 0).Data(blocks).Build();
  const Gguf file = Read(bytes);
  EXPECT_THAT(MessageOf(ErrorCode::kBadFile, [&] { file.CheckFinite(file.tensors()[0]); }),
              HasSubstr("tensor 'w' row 1"));
}

TEST(GgufTest, OpeningCopiesNothing) {
  // A vocabulary of today's size: 150,000 tokens and as many merges, 6 MB.
  std::string tokens, merges;
  constexpr uint64_t kTokens = 150'000;
  for (uint64_t i = 0; i < kTokens; ++i) {
    tokens += RawString(StrCat("token", i));
    merges += RawString(StrCat("a", i, " b", i));
  }
  const TempFolder folder;
  WriteFile(folder / "vocab.gguf",
            RawGguf()
                .Array("tokenizer.ggml.tokens", GgufType::kString, kTokens, tokens)
                .Array("tokenizer.ggml.merges", GgufType::kString, kTokens, merges)
                .Build());
  const uint64_t before = ReadProcessMemory().rss_anon;
  const Gguf file = Gguf::Open(folder / "vocab.gguf");
  const uint64_t after = ReadProcessMemory().rss_anon;
  if (!kSanitized) {  // sanitizers shadow what is read
    EXPECT_LT(after, before + (512 << 10));
  }
  EXPECT_EQ(file.Find("tokenizer.ggml.merges")->AsStrings()->back(), "a149999 b149999");
}

TEST(GgufTest, OpenedFileReportsItsPages) {
  const TempFolder folder;
  WriteFile(folder / "tiny.gguf", TinyGguf());
  const Gguf file = Gguf::Open(folder / "tiny.gguf");
  uint64_t populated = 0;
  file.Populate([&](uint64_t done, uint64_t) { populated = done; });
  EXPECT_EQ(populated, file.file_bytes());
  EXPECT_EQ(file.ResidentBytes(), file.file_bytes());
  EXPECT_NO_THROW(file.CheckIntact());
  std::filesystem::resize_file(folder / "tiny.gguf", 100);
  EXPECT_THAT(MessageOf(ErrorCode::kIo, [&] { file.CheckIntact(); }), HasSubstr("tiny.gguf"));
  EXPECT_EQ(file.tensors().back().data.back(), std::byte{0});  // reading goes on, with zeros
  EXPECT_EQ(file.Find("general.architecture"), nullptr);
}

}  // namespace
}  // namespace edgewise
