#include "gguf/writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "base/test_files.h"
#include "gguf/test_gguf.h"

namespace edgewise {
namespace {

using testing::ElementsAre;
using testing::Optional;

std::span<const std::byte> BytesOf(const std::string& text) {
  return std::as_bytes(std::span(text));
}

void Copy(const Gguf& from, const std::string& to) {
  GgufWriter writer(to);
  for (const GgufEntry& entry : from.entries()) writer.Add(entry.key, entry.value);
  for (const GgufTensor& t : from.tensors()) {
    writer.DeclareTensor(t.name, t.type, std::span(t.dims).first(t.rank));
  }
  writer.BeginData();
  for (const GgufTensor& t : from.tensors()) writer.Write(t.data);
  writer.Finish();
}

TEST(GgufWriterTest, EveryByteIsAsTheFormatSays) {
  const TempFolder folder;
  GgufWriter writer(folder / "out.gguf");
  writer.AddString("general.architecture", "llama");
  writer.AddU16("a", 7);
  writer.AddU32("b", 8);
  writer.AddI32("c", -8);
  writer.AddF32("d", 0.5f);
  writer.AddBool("e", true);
  writer.AddStrings("f", std::vector<std::string>{"x", "", "yz"});
  writer.AddFloats("g", std::vector<float>{1.5f, -2.0f});
  writer.AddIntegers("h", std::vector<int32_t>{3, -4});
  const std::vector<uint64_t> matrix = {32, 2}, vector = {5};
  writer.DeclareTensor("w", DType::kQ4_0, matrix);  // 36 bytes, padded to 64
  writer.DeclareTensor("v", DType::kF32, vector);   // 20 bytes, padded to 32
  writer.BeginData();
  const std::string w(36, 'w'), v(20, 'v');
  writer.Write(BytesOf(w));
  writer.Write(BytesOf(v));
  writer.Finish();

  std::string expected =
      RawGguf()
          .Entry("general.architecture", GgufType::kString, RawString("llama"))
          .Entry("a", GgufType::kU16, Raw<uint16_t>(7))
          .Entry("b", GgufType::kU32, Raw<uint32_t>(8))
          .Entry("c", GgufType::kI32, Raw<int32_t>(-8))
          .Entry("d", GgufType::kF32, Raw(0.5f))
          .Entry("e", GgufType::kBool, "\1")
          .Array("f", GgufType::kString, 3, RawString("x") + RawString("") + RawString("yz"))
          .Array("g", GgufType::kF32, 2, Raw(1.5f) + Raw(-2.0f))
          .Array("h", GgufType::kI32, 2, Raw<int32_t>(3) + Raw<int32_t>(-4))
          .Tensor("w", {32, 2}, DType::kQ4_0, 0)
          .Tensor("v", {5}, DType::kF32, 64)
          .Data(w + std::string(28, '\0') + v + std::string(12, '\0'))
          .Build();
  EXPECT_EQ(ReadFile(folder / "out.gguf"), expected);
}

TEST(GgufWriterTest, ACopyHasTheSameEntriesAndTensors) {
  const TempFolder folder;
  WriteFile(folder / "in.gguf", TinyGguf(2));
  const Gguf in = Gguf::Open(folder / "in.gguf");
  Copy(in, folder / "out.gguf");
  const Gguf out = Gguf::Open(folder / "out.gguf");
  EXPECT_EQ(out.version(), 3u);
  ASSERT_EQ(out.entries().size(), in.entries().size());
  for (size_t i = 0; i < in.entries().size(); ++i) {
    EXPECT_EQ(out.entries()[i].key, in.entries()[i].key);
    const GgufValue &a = in.entries()[i].value, &b = out.entries()[i].value;
    EXPECT_EQ(a.type(), b.type());
    EXPECT_EQ(a.element_type(), b.element_type());
    EXPECT_EQ(a.size(), b.size());
    EXPECT_TRUE(std::ranges::equal(a.bytes(), b.bytes()));
  }
  ASSERT_EQ(out.tensors().size(), in.tensors().size());
  for (size_t i = 0; i < in.tensors().size(); ++i) {
    const GgufTensor &a = in.tensors()[i], &b = out.tensors()[i];
    EXPECT_EQ(a.name, b.name);
    EXPECT_EQ(a.type, b.type);
    EXPECT_EQ(a.rank, b.rank);
    EXPECT_EQ(a.dims, b.dims);
    EXPECT_TRUE(std::ranges::equal(a.data, b.data));
  }
  Copy(out, folder / "again.gguf");
  EXPECT_EQ(ReadFile(folder / "again.gguf"), ReadFile(folder / "out.gguf"));
}

TEST(GgufWriterTest, PiecesMayBeOfAnySize) {
  const TempFolder folder;
  const Gguf in = [&] {
    WriteFile(folder / "in.gguf", TinyGguf());
    return Gguf::Open(folder / "in.gguf");
  }();
  std::string all;
  for (const GgufTensor& t : in.tensors()) {
    all.append(reinterpret_cast<const char*>(t.data.data()), t.data.size());
  }
  Copy(in, folder / "whole.gguf");
  for (const size_t piece : {size_t{1}, size_t{7}, size_t{100}, all.size()}) {
    GgufWriter writer(folder / "pieces.gguf");
    for (const GgufEntry& entry : in.entries()) writer.Add(entry.key, entry.value);
    for (const GgufTensor& t : in.tensors()) {
      writer.DeclareTensor(t.name, t.type, std::span(t.dims).first(t.rank));
    }
    writer.BeginData();
    for (size_t at = 0; at < all.size(); at += piece) {
      writer.Write(BytesOf(all).subspan(at, std::min(piece, all.size() - at)));
    }
    writer.Finish();
    EXPECT_EQ(ReadFile(folder / "pieces.gguf"), ReadFile(folder / "whole.gguf")) << piece;
  }
}

TEST(GgufWriterTest, AReplacedKeyKeepsItsPlace) {
  const TempFolder folder;
  GgufWriter writer(folder / "out.gguf");
  writer.AddU32("first", 1);
  writer.AddU32("second", 2);
  writer.AddString("first", "one");
  writer.BeginData();
  writer.Finish();
  const Gguf out = Gguf::Open(folder / "out.gguf");
  ASSERT_EQ(out.entries().size(), 2u);
  EXPECT_EQ(out.entries()[0].key, "first");
  EXPECT_EQ(out.String("first"), "one");
  EXPECT_EQ(out.Integer("second"), 2);
}

TEST(GgufWriterTest, TheSourcesLayoutIsNotCopied) {
  const TempFolder folder;
  WriteFile(folder / "in.gguf", RawGguf()
                                    .Entry("general.alignment", GgufType::kU32, Raw<uint32_t>(64))
                                    .Entry("split.count", GgufType::kU16, Raw<uint16_t>(1))
                                    .Entry("kept", GgufType::kU8, "\5")
                                    .Tensor("a", {1}, DType::kF32, 0)
                                    .Tensor("b", {1}, DType::kF32, 64)
                                    .Alignment(64)
                                    .Data("aaaa" + std::string(60, '\0') + "bbbb")
                                    .Build());
  Copy(Gguf::Open(folder / "in.gguf"), folder / "out.gguf");
  const Gguf out = Gguf::Open(folder / "out.gguf");
  ASSERT_EQ(out.entries().size(), 1u);
  EXPECT_EQ(out.Integer("kept"), 5);
  ASSERT_EQ(out.tensors().size(), 2u);
  EXPECT_EQ(out.tensors()[1].data.data() - out.tensors()[0].data.data(), 32);
  EXPECT_EQ(static_cast<char>(out.tensors()[1].data[3]), 'b');
}

TEST(GgufWriterTest, NothingAppearsBeforeFinish) {
  const TempFolder folder;
  {
    GgufWriter writer(folder / "out.gguf");
    writer.AddU32("a", 1);
    writer.BeginData();
    EXPECT_FALSE(std::filesystem::exists(folder / "out.gguf"));
  }
  EXPECT_EQ(folder.Files(), 0u);
  EXPECT_EQ(MessageOf(ErrorCode::kIo, [&] { GgufWriter(folder / "no/such/folder.gguf"); }),
            StrCat("cannot write ", folder / "no/such/folder.gguf",
                   ": No such file or directory (after 0 B)"));
}

TEST(GgufWriterDeathTest, WrongUseIsCaught) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const TempFolder folder;
  const std::vector<uint64_t> dims = {8}, broken = {31};
  const std::string bytes(33, 'x');
  const auto begun = [&](GgufWriter& writer) {
    writer.DeclareTensor("w", DType::kF32, dims);  // 32 bytes
    writer.BeginData();
  };
  GgufWriter few(folder / "few"), many(folder / "many"), late(folder / "late");
  begun(few);
  few.Write(BytesOf(bytes).first(31));
  EXPECT_DEATH(few.Finish(), "internal error");
  begun(many);
  EXPECT_DEATH(many.Write(BytesOf(bytes)), "internal error");
  begun(late);
  EXPECT_DEATH(late.AddU32("a", 1), "internal error");
  EXPECT_DEATH(late.DeclareTensor("x", DType::kF32, dims), "internal error");
  EXPECT_DEATH(late.BeginData(), "internal error");

  GgufWriter fresh(folder / "fresh");
  fresh.DeclareTensor("w", DType::kF32, dims);
  EXPECT_DEATH(fresh.DeclareTensor("w", DType::kF32, dims), "internal error");
  EXPECT_DEATH(fresh.DeclareTensor("x", DType::kQ8_0, broken), "internal error");
  EXPECT_DEATH(fresh.DeclareTensor("x", DType::kF32, {}), "internal error");
  EXPECT_DEATH(fresh.Write(BytesOf(bytes)), "internal error");
  EXPECT_DEATH(fresh.Finish(), "internal error");
}

}  // namespace
}  // namespace edgewise
