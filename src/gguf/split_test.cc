// Split files: all parts or one clear error.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/test_files.h"
#include "gguf/gguf.h"
#include "gguf/writer.h"

namespace edgewise {
namespace {

using testing::HasSubstr;

constexpr char kPart1[] = "m-00001-of-00003.gguf";
constexpr char kPart2[] = "m-00002-of-00003.gguf";
constexpr char kPart3[] = "m-00003-of-00003.gguf";

class SplitTest : public testing::Test {
 protected:
  struct Part {
    uint16_t number;  // from 0, as stored
    uint16_t count = 3;
    int32_t all_tensors = 5;
    std::vector<std::string> tensors;
  };

  void Write(const std::string& file, const Part& part) {
    GgufWriter writer(folder_ / file);
    if (part.number == 0) writer.AddString("general.architecture", "llama");
    writer.AddU16("split.no", part.number);
    writer.AddU16("split.count", part.count);
    writer.AddI32("split.tensors.count", part.all_tensors);
    const std::vector<uint64_t> dims = {3, 2};
    for (const auto& name : part.tensors) writer.DeclareTensor(name, DType::kF32, dims);
    writer.BeginData();
    for (const auto& name : part.tensors) {
      const std::vector<float> weights(6, static_cast<float>(name.front()));
      writer.Write(std::as_bytes(std::span(weights)));
    }
    writer.Finish();
  }

  void WriteAll() {
    Write(kPart1, {.number = 0, .tensors = {"e", "d"}});
    Write(kPart2, {.number = 1, .tensors = {"c"}});
    Write(kPart3, {.number = 2, .tensors = {"b", "a"}});
  }

  std::string FailureToOpen(const std::string& file, ErrorCode code = ErrorCode::kBadFile) {
    return MessageOf(code, [&] { Gguf::Open(folder_ / file); });
  }

  TempFolder folder_;
};

TEST_F(SplitTest, AllPartsAreOneFile) {
  WriteAll();
  Gguf file = Gguf::Open(folder_ / kPart1);
  EXPECT_EQ(file.String("general.architecture"), "llama");
  std::string order;
  for (const GgufTensor& tensor : file.tensors()) order += tensor.name;
  EXPECT_EQ(order, "edcba");
  for (const std::string name : {"a", "b", "c", "d", "e"}) {
    const GgufTensor* tensor = file.FindTensor(name);
    ASSERT_NE(tensor, nullptr);
    EXPECT_EQ(reinterpret_cast<const float*>(tensor->data.data())[5],
              static_cast<float>(name.front()));
  }
  uint64_t bytes = 0;
  for (const char* part : {kPart1, kPart2, kPart3}) {
    bytes += std::filesystem::file_size(folder_ / part);
  }
  EXPECT_EQ(file.file_bytes(), bytes);
  file.Populate([](uint64_t, uint64_t) {});
  EXPECT_EQ(file.ResidentBytes(), bytes);
  uint64_t copied = 0;
  file.CopyToMemory([&](uint64_t done, uint64_t total) {
    EXPECT_EQ(total, bytes);
    copied = done;
  });
  EXPECT_EQ(copied, bytes);
  for (const char* part : {kPart1, kPart2, kPart3}) std::filesystem::resize_file(folder_ / part, 1);
  EXPECT_NO_THROW(file.CheckIntact());
  for (const GgufTensor& tensor : file.tensors()) {
    EXPECT_EQ(reinterpret_cast<const float*>(tensor.data.data())[5], static_cast<float>(tensor.name.front()));
  }
}

TEST_F(SplitTest, TheFirstPartMayBeEmptyOfTensors) {
  WriteAll();
  Write(kPart1, {.number = 0, .all_tensors = 3, .tensors = {}});
  EXPECT_EQ(Gguf::Open(folder_ / kPart1).tensors().size(), 3u);
}

TEST_F(SplitTest, ALaterPartNamesTheFirst) {
  WriteAll();
  EXPECT_EQ(FailureToOpen(kPart2),
            StrCat(folder_ / kPart2, ": is part 2 of 3: open the first, ", folder_ / kPart1));
}

TEST_F(SplitTest, MissingPart) {
  WriteAll();
  std::filesystem::remove(folder_ / kPart3);
  EXPECT_EQ(FailureToOpen(kPart1, ErrorCode::kNotFound),
            StrCat("cannot open ", folder_ / kPart3, ": No such file or directory (part 3 of 3 of ",
                   folder_ / kPart1, ")"));
}

TEST_F(SplitTest, PartsInTheWrongOrder) {
  WriteAll();
  std::filesystem::rename(folder_ / kPart2, folder_ / "x");
  std::filesystem::rename(folder_ / kPart3, folder_ / kPart2);
  std::filesystem::rename(folder_ / "x", folder_ / kPart3);
  EXPECT_THAT(
      FailureToOpen(kPart1),
      HasSubstr("m-00002-of-00003.gguf: expected part 2 of 3, but the file says part 3 of 3"));
}

TEST_F(SplitTest, FirstPartUnderALaterName) {
  WriteAll();
  std::filesystem::rename(folder_ / kPart1, folder_ / kPart2);
  EXPECT_THAT(FailureToOpen(kPart2),
              HasSubstr("is part 1 of 3, but its name does not end in -00001-of-00003.gguf"));
}

TEST_F(SplitTest, RenamedFirstPart) {
  WriteAll();
  std::filesystem::rename(folder_ / kPart1, folder_ / "model.gguf");
  EXPECT_THAT(FailureToOpen("model.gguf"),
              HasSubstr("its name does not end in -00001-of-00003.gguf: restore the names"));
}

TEST_F(SplitTest, PartOfAnotherSplit) {
  WriteAll();
  Write(kPart2, {.number = 1, .count = 4, .tensors = {"c"}});
  EXPECT_THAT(FailureToOpen(kPart1),
              HasSubstr("expected part 2 of 3, but the file says part 2 of 4"));
}

TEST_F(SplitTest, AWholeFileUnderAPartsName) {
  WriteAll();
  GgufWriter writer(folder_ / kPart2);
  writer.BeginData();
  writer.Finish();
  EXPECT_THAT(FailureToOpen(kPart1),
              HasSubstr("expected part 2 of 3, but the file says nothing of the kind"));
}

TEST_F(SplitTest, DuplicateTensorAcrossParts) {
  WriteAll();
  Write(kPart3, {.number = 2, .tensors = {"b", "d"}});
  EXPECT_THAT(FailureToOpen(kPart1), HasSubstr("tensor 'd' appears twice"));
}

TEST_F(SplitTest, TensorCountDiffers) {
  WriteAll();
  Write(kPart3, {.number = 2, .tensors = {"b"}});
  EXPECT_THAT(FailureToOpen(kPart1), HasSubstr("its parts hold 4 tensors, but it announces 5"));
}

TEST_F(SplitTest, DamagedPart) {
  WriteAll();
  std::filesystem::resize_file(folder_ / kPart3, 200);
  EXPECT_THAT(FailureToOpen(kPart1), HasSubstr("m-00003-of-00003.gguf: "));
}

TEST_F(SplitTest, AbsurdCounts) {
  Write(kPart1, {.number = 0, .count = 65535, .tensors = {"a"}});
  EXPECT_THAT(FailureToOpen(kPart1, ErrorCode::kLimit),
              HasSubstr("claims to be split in 65535 parts; the limit is 512"));
  Write("m.gguf", {.number = 0, .count = 0, .all_tensors = 1, .tensors = {"a"}});
  EXPECT_EQ(Gguf::Open(folder_ / "m.gguf").tensors().size(), 1u);
}

TEST_F(SplitTest, ASplitOfOneNeedsNoName) {
  Write("m.gguf", {.number = 0, .count = 1, .all_tensors = 1, .tensors = {"a"}});
  EXPECT_EQ(Gguf::Open(folder_ / "m.gguf").tensors().size(), 1u);
}

TEST_F(SplitTest, APartCutShortIsSeen) {
  WriteAll();
  const Gguf file = Gguf::Open(folder_ / kPart1);
  EXPECT_NO_THROW(file.CheckIntact());
  std::filesystem::resize_file(folder_ / kPart2, 10);
  EXPECT_THAT(MessageOf(ErrorCode::kIo, [&] { file.CheckIntact(); }), HasSubstr(kPart2));
}

}  // namespace
}  // namespace edgewise
