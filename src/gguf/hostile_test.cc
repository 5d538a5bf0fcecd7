// Damaged and malicious files: each ends in one clear error.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/test_files.h"
#include "gguf/gguf.h"
#include "gguf/test_gguf.h"

namespace edgewise {
namespace {

using testing::HasSubstr;

struct Hostile {
  std::string name;
  std::string bytes;
  ErrorCode code;
  std::string fragment;  // of the message
};

void PrintTo(const Hostile& hostile, std::ostream* out) { *out << hostile.name; }

constexpr uint64_t kHuge = ~uint64_t{0};
constexpr auto kBad = ErrorCode::kBadFile;
constexpr auto kUnsupported = ErrorCode::kUnsupported;

RawGguf WithAlignment(uint32_t alignment) {
  return RawGguf().Entry("general.alignment", GgufType::kU32, Raw(alignment));
}

RawGguf WithString(std::string_view stored) {
  return RawGguf().Entry("k", GgufType::kString, stored);
}

RawGguf OneTensor(std::vector<uint64_t> dims, DType type, uint64_t offset = 0) {
  return RawGguf().Tensor("w", std::move(dims), type, offset).Data(std::string(128, '\0'));
}

std::vector<Hostile> Headers() {
  const std::string tiny = TinyGguf();
  const std::string big_endian = "GGUF" + std::string("\0\0\0\3", 4) + tiny.substr(8);
  return {
      {"Empty", "", kBad, "is no GGUF file"},
      {"OtherMagic", "hello, world", kBad, "is no GGUF file (it does not begin with 'GGUF')"},
      {"LfsPointer", "version https://git-lfs.github.com/spec/v1\n", kBad, "git lfs pull"},
      {"WebPage", "<!DOCTYPE html>", kBad, "is a web page"},
      {"Zip", std::string("PK\3\4", 4), kBad, "PyTorch or ZIP archive"},
      {"OldGgml", "tjgg....", kBad, "from before GGUF"},
      {"OnlyMagic", "GGUF", kBad, "version of 4 bytes at byte 4, but only 0 remain"},
      {"Version0", RawGguf(0).Build(), kUnsupported, "big-endian"},
      {"Version1", RawGguf(1).Build(), kUnsupported, "is GGUF version 1; supported are 2 and 3"},
      {"Version4", RawGguf(4).Build(), kUnsupported, "is GGUF version 4"},
      {"BigEndian", big_endian, kUnsupported, "big-endian GGUF file, which is not supported"},
      {"TooManyEntries", RawGguf().Counts(0, kHuge).Build(), kBad,
       "claims 18446744073709551615 metadata entries"},
      {"TooManyTensors", RawGguf().Counts(kHuge / 2, 0).Build(), kBad,
       "claims 9223372036854775807 tensors"},
      {"OneEntryMissing", RawGguf().Counts(0, 1).Build(), kBad, "claims 1 metadata entries"},
      {"EntriesAboveLimit", RawGguf().Counts(0, 65537).Build() + std::string(65537 * 14, '\0'),
       ErrorCode::kLimit, "has 65537 metadata entries; the limit is 65536"},
      {"TensorsAboveLimit", RawGguf().Counts(65537, 0).Build() + std::string(65537 * 33, '\0'),
       ErrorCode::kLimit, "has 65537 tensors; the limit is 65536"},
  };
}

std::vector<Hostile> Entries() {
  const std::string nested = Raw<uint32_t>(9) + Raw<uint64_t>(1) + std::string(32, '\0');
  return {
      {"EmptyKey", RawGguf().Entry("", GgufType::kU64, Raw<uint64_t>(0)).Build(), kBad,
       "metadata entry 0: key is empty"},
      {"KeyWithNewline", RawGguf().Entry("a\nb", GgufType::kU32, Raw(1u)).Build(), kBad,
       "key 'a?b' has characters other than printable ASCII"},
      {"KeyNotAscii", RawGguf().Entry("\xc3\xa9", GgufType::kU32, Raw(1u)).Build(), kBad,
       "has characters other than printable ASCII"},
      {"KeyTooLong", RawGguf().Entry(std::string(65536, 'k'), GgufType::kU32, Raw(1u)).Build(),
       kBad, "has 65536 bytes, at most 65535"},
      {"KeyLongerThanFile", RawGguf().Counts(0, 1).Build() + Raw(kHuge) + "0123456789", kBad,
       "key of 18446744073709551615 bytes at byte 32, but only 10 remain"},
      {"KeyTwice",
       RawGguf()
           .Entry("x.y", GgufType::kU8, "\1")
           .Entry("z", GgufType::kU8, "\1")
           .Entry("x.y", GgufType::kU8, "\2")
           .Build(),
       kBad, "key 'x.y' appears twice"},
      {"UnknownType", RawGguf().Entry("k", 13, Raw(1u)).Build(), kBad,
       "metadata entry 'k': unknown value type 13"},
      {"UnknownElementType", RawGguf().Entry("k", 9, Raw<uint32_t>(77) + Raw<uint64_t>(0)).Build(),
       kBad, "unknown value type 77"},
      {"NestedArray", RawGguf().Entry("k", 9, nested).Build(), kUnsupported,
       "metadata entry 'k': arrays of arrays are not supported"},
      {"ArrayTooLong", RawGguf().Array("k", GgufType::kU64, kHuge, "12345678").Build(), kBad,
       "claims 18446744073709551615 values of type u64, but only 8 bytes remain"},
      {"ArrayLengthOverflows",
       RawGguf().Array("k", GgufType::kU64, kHuge / 8 + 2, "12345678").Build(), kBad,
       "values of type u64, but only 8 bytes remain"},
      {"StringsTooMany", RawGguf().Array("k", GgufType::kString, 2, RawString("")).Build(), kBad,
       "claims 2 values of type string"},
      {"StringTooLong", WithString(Raw<uint64_t>(100) + "abc").Build(), kBad,
       "string of 100 bytes at byte 45, but only 3 remain"},
      {"StringLengthOverflows", WithString(Raw(kHuge) + "abc").Build(), kBad,
       "string of 18446744073709551615 bytes"},
      {"BoolOf2", RawGguf().Entry("k", GgufType::kBool, "\2").Build(), kBad,
       "metadata entry 'k': a bool is neither 0 nor 1"},
      {"BoolOf2InArray", RawGguf().Array("k", GgufType::kBool, 3, "\1\1\3").Build(), kBad,
       "a bool is neither 0 nor 1"},
      {"AlignmentString",
       RawGguf()
           .Entry("general.alignment", GgufType::kString, RawString("32"))
           .Tensor("w", {4}, DType::kF32, 0)
           .Data(std::string(16, '\0'))
           .Build(),
       kBad, "general.alignment is \"32\", expected a power of two"},
      {"Alignment0", WithAlignment(0).Build(), kBad, "general.alignment is 0"},
      {"Alignment4", WithAlignment(4).Build(), kBad, "general.alignment is 4"},
      {"Alignment48", WithAlignment(48).Build(), kBad, "a power of two from 8 to 65536"},
      {"Alignment128Ki", WithAlignment(131072).Build(), kBad, "general.alignment is 131072"},
      {"PartOfASplit", RawGguf().Entry("split.count", GgufType::kU16, Raw<uint16_t>(2)).Build(),
       kUnsupported, "is one part of a split file"},
      {"SplitCountString",
       RawGguf().Entry("split.count", GgufType::kString, RawString("2")).Build(), kBad,
       "key 'split.count' is string"},
  };
}

std::vector<Hostile> Tensors() {
  const std::string data(128, '\0');
  return {
      {"EmptyName", RawGguf().Tensor("", {4}, DType::kF32, 0).Data(data).Build(), kBad,
       "tensor 0: tensor name is empty"},
      {"NameTooLong",
       RawGguf().Tensor(std::string(65, 'n'), {4}, DType::kF32, 0).Data(data).Build(), kBad,
       "has 65 bytes, at most 64"},
      {"NameWithEscape", RawGguf().Tensor("a\x1b[31m", {4}, DType::kF32, 0).Data(data).Build(),
       kBad, "tensor name 'a?[31m' has characters"},
      {"NameTwice",
       RawGguf()
           .Tensor("w", {4}, DType::kF32, 0)
           .Tensor("v", {4}, DType::kF32, 32)
           .Tensor("w", {4}, DType::kF32, 64)
           .Data(data)
           .Build(),
       kBad, "tensor 'w' appears twice"},
      {"Rank0", OneTensor({}, DType::kF32).Build(), kBad, "tensor 'w': has 0 dimensions"},
      {"Rank5", OneTensor({1, 1, 1, 1, 1}, DType::kF32).Build(), kBad,
       "has 5 dimensions, expected 1 to 4"},
      {"Dimension0", OneTensor({4, 0}, DType::kF32).Build(), kBad, "dimension 1 is 0"},
      {"ElementsOverflow", OneTensor({1ull << 32, 1ull << 32}, DType::kF32).Build(), kBad,
       "its dimensions multiply to more than 2^64"},
      {"BytesOverflow", OneTensor({1ull << 62, 2}, DType::kF32).Build(), kBad,
       "ends outside the file's"},
      {"RowBytesOverflow", OneTensor({1ull << 62}, DType::kF32).Build(), kBad,
       "ends outside the file's"},
      {"NegativeDimension", OneTensor({kHuge - 3}, DType::kF32).Build(), kBad,
       "ends outside the file's"},
      {"OneWeightTooMany", OneTensor({33}, DType::kF32).Build(), kBad,
       "its data (33 weights of type F32 at offset 0) ends outside the file's"},
      {"PartialBlock", OneTensor({33}, DType::kQ8_0).Build(), kBad,
       "a row of 33 weights is no whole number of Q8_0 blocks of 32"},
      {"PartialSuperBlock", OneTensor({128}, DType::kQ4_K).Build(), kBad,
       "a row of 128 weights is no whole number of Q4_K blocks of 256"},
      {"UnsupportedType", RawGguf().Tensor("w", {256}, 16, 0).Data(data).Build(), kUnsupported,
       "tensor 'w': has type IQ2_XXS (16), which is not supported; supported: F32, F16, Q4_0"},
      {"UnknownType", RawGguf().Tensor("w", {256}, 4000, 0).Data(data).Build(), kUnsupported,
       "has type unknown (4000)"},
      {"OffsetUnaligned", OneTensor({4}, DType::kF32, 16).Build(), kBad,
       "its offset 16 is no multiple of 32"},
      {"OffsetOutside", OneTensor({4}, DType::kF32, 160).Build(), kBad, "ends outside the file's"},
      {"OffsetOverflows", OneTensor({4}, DType::kF32, kHuge - 31).Build(), kBad,
       "ends outside the file's"},
      {"NoData", RawGguf().Tensor("w", {4}, DType::kF32, 0).Build(), kBad,
       "ends outside the file's"},
      {"Overlap",
       RawGguf()
           .Tensor("v", {4}, DType::kF32, 64)
           .Tensor("w", {9}, DType::kF32, 32)
           .Data(data)
           .Build(),
       kBad, "tensor 'v': its data overlaps that of tensor 'w'"},
      {"OverlapOfOneWeight",
       RawGguf()
           .Tensor("v", {17}, DType::kF16, 0)
           .Tensor("w", {4}, DType::kF32, 32)
           .Data(data)
           .Build(),
       kBad, "tensor 'w': its data overlaps that of tensor 'v'"},
      {"SameData",
       RawGguf()
           .Tensor("v", {4}, DType::kF32, 32)
           .Tensor("w", {4}, DType::kF32, 32)
           .Data(data)
           .Build(),
       kBad, "its data overlaps that of tensor"},
  };
}

class HostileTest : public testing::TestWithParam<Hostile> {};

TEST_P(HostileTest, IsRefusedWithAReason) {
  const Hostile& hostile = GetParam();
  const std::string message = MessageOf(
      hostile.code, [&] { Gguf::FromBytes(std::as_bytes(std::span(hostile.bytes)), "file"); });
  EXPECT_THAT(message, HasSubstr(hostile.fragment));
  EXPECT_EQ(message, ExerciseBytes(hostile.bytes));  // and is one printable line
}

std::string NameOfCase(const testing::TestParamInfo<Hostile>& info) { return info.param.name; }
INSTANTIATE_TEST_SUITE_P(Headers, HostileTest, testing::ValuesIn(Headers()), NameOfCase);
INSTANTIATE_TEST_SUITE_P(Entries, HostileTest, testing::ValuesIn(Entries()), NameOfCase);
INSTANTIATE_TEST_SUITE_P(Tensors, HostileTest, testing::ValuesIn(Tensors()), NameOfCase);

TEST(DamageTest, EveryTruncationIsAnError) {
  const std::string bytes = TinyGguf();
  ASSERT_EQ(ExerciseBytes(bytes), "");
  for (size_t size = 0; size < bytes.size(); ++size) {
    // A copy of exactly this size, so that a sanitizer sees a read behind it.
    const std::vector<char> cut(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(size));
    EXPECT_NE(ExerciseBytes({cut.data(), cut.size()}), "") << size;
  }
}

TEST(DamageTest, NoSingleByteCrashes) {
  const std::string bytes = TinyGguf();
  size_t refused = 0;
  for (size_t at = 0; at < bytes.size(); ++at) {
    for (int value = 0; value < 256; ++value) {
      std::vector<char> damaged(bytes.begin(), bytes.end());
      damaged[at] = static_cast<char>(value);
      refused += ExerciseBytes({damaged.data(), damaged.size()}) != "";
    }
  }
  EXPECT_GT(refused, 30'000u);  // of about 170,000; the rest changed text or weights only
}

// The costs of a table of the largest allowed size, in its worst orders.
TEST(DamageTest, LargestTableOpensInTime) {
  constexpr uint64_t kTensors = 65'536;
  RawGguf raw;
  const std::string prefix(50, 'n');
  for (uint64_t i = 0; i < kTensors; ++i) {
    raw.Tensor(StrCat(prefix, kTensors - i), {1}, DType::kF32, (kTensors - 1 - i) * 32);
    raw.Entry(StrCat(prefix, kTensors - i), GgufType::kU8, "\1");
  }
  const std::string bytes = raw.Data(std::string(kTensors * 32, '\0')).Build();
  const Seconds start = Now();
  const Gguf file = Gguf::FromBytes(std::as_bytes(std::span(bytes)), "file");
  // 0.12 s measured; 5 s leaves room for sanitizers and a busy machine. A quadratic search for
  // twins compares 4e9 names, 20 s or more.
  EXPECT_LT((Now() - start).value(), 5.0);
  EXPECT_EQ(file.tensors().size(), kTensors);
}

}  // namespace
}  // namespace edgewise
