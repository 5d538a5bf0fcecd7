#include "compress/quantise.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <limits>

#include "base/error.h"
#include "gguf/writer.h"
#include "model/model.h"
#include "model/synth.h"
#include "quant/codec.h"

namespace edgewise {
namespace {

class QuantiseTest : public testing::Test {
 protected:
  QuantiseTest()
      : source_(testing::TempDir() + StrCat("edgewise-quantise-", getpid(), "-in.gguf")),
        result_(testing::TempDir() + StrCat("edgewise-quantise-", getpid(), "-out.gguf")) {
    ModelShape shape = ShapeNamed("tinyllama-1.1b");
    ModelConfig& c = shape.config;
    c.vocab = 400;
    c.width = 256;
    c.layers = 2;
    c.heads = 4;
    c.kv_heads = 2;
    c.head_dim = c.rope.dims = 64;
    c.ffn = 172;  // the down projection's rows fit no block
    Synthesize(shape, source_, {.type = "F16"}, [](uint64_t, uint64_t) {});
  }
  ~QuantiseTest() override {
    std::remove(source_.c_str());
    std::remove(result_.c_str());
  }

  QuantiseReport Run(const QuantiseOptions& options) {
    return Quantise(Gguf::Open(source_), result_, options, [](uint64_t, uint64_t) {});
  }
  std::string Message(const QuantiseOptions& options, const std::string& to) {
    try {
      Quantise(Gguf::Open(source_), to, options, [](uint64_t, uint64_t) {});
    } catch (const Error& error) {
      return error.message();
    }
    return "";
  }

  const std::string source_, result_;
};

TEST_F(QuantiseTest, EveryRowIsTheEncodersAndVectorsStayF32) {
  const QuantiseReport report = Run({.type = "Q8_0", .threads = 2});
  const Gguf in = Gguf::Open(source_), out = Gguf::Open(result_);
  ASSERT_EQ(in.tensors().size(), out.tensors().size());
  EXPECT_EQ(report.tensors, out.tensors().size());
  uint64_t bytes = 0;
  for (size_t i = 0; i < in.tensors().size(); ++i) {
    const GgufTensor& from = in.tensors()[i];
    const GgufTensor& to = out.tensors()[i];
    SCOPED_TRACE(std::string(from.name));
    EXPECT_EQ(from.name, to.name);
    EXPECT_EQ(from.dims, to.dims);
    const bool short_row = from.row_length() == 172;
    EXPECT_EQ(to.type, from.rank == 1 ? DType::kF32 : short_row ? DType::kF16 : DType::kQ8_0);
    bytes += to.data.size();
    std::vector<float> row(from.row_length());
    std::vector<std::byte> expected(RowBytes(to.type, from.row_length()));
    for (uint64_t r = 0; r < from.rows(); ++r) {
      const uint64_t from_bytes = RowBytes(from.type, from.row_length());
      DecodeRow(from.type, from.data.subspan(r * from_bytes, from_bytes), row);
      EncodeRow(to.type, row, expected);
      ASSERT_TRUE(
          std::ranges::equal(expected, to.data.subspan(r * expected.size(), expected.size())));
    }
  }
  EXPECT_EQ(report.bytes_after, bytes);
  EXPECT_THAT(report.notes, testing::ElementsAre(testing::HasSubstr("blk.0.ffn_down.weight: F16"),
                                                 testing::HasSubstr("blk.1.ffn_down.weight: F16")));
}

TEST_F(QuantiseTest, MetadataIsCopiedAndTheTypeSet) {
  Run({.type = "Q4_K_M"});
  const Gguf in = Gguf::Open(source_), out = Gguf::Open(result_);
  EXPECT_EQ(out.Integer("general.file_type"), 15);
  EXPECT_EQ(out.Integer("general.quantization_version"), 2);
  ASSERT_EQ(in.entries().size(), out.entries().size());
  for (const GgufEntry& entry : in.entries()) {
    if (entry.key == "general.file_type") continue;
    const GgufValue* value = out.Find(entry.key);
    ASSERT_NE(value, nullptr) << entry.key;
    EXPECT_TRUE(std::ranges::equal(value->bytes(), entry.value.bytes())) << entry.key;
  }
  EXPECT_NO_THROW(Model::FromGguf(out));
}

TEST_F(QuantiseTest, AnyTypeCanBeTheSource) {
  for (const TypeInfo& info : AllTypes()) {
    SCOPED_TRACE(info.name);
    ModelShape shape = ShapeNamed("smollm2-135m");
    shape.config.vocab = 354;
    shape.config.width = 256;
    shape.config.layers = 1;
    shape.config.ffn = 256;
    shape.config.heads = shape.config.kv_heads = 4;
    const char* recipe = info.type == DType::kQ3_K ? "Q3_K_S" : info.name;
    Synthesize(shape, source_, {.type = recipe, .pure = true}, [](uint64_t, uint64_t) {});
    const QuantiseReport report = Run({.type = "F32"});
    EXPECT_EQ(report.tensors_by_type.size(), 1u);
    const Gguf in = Gguf::Open(source_), out = Gguf::Open(result_);
    std::vector<float> row(256);
    const GgufTensor& from = *in.FindTensor("blk.0.ffn_up.weight");
    ASSERT_EQ(from.type, info.type);
    DecodeRow(info.type, from.data.first(RowBytes(info.type, 256)), row);
    const GgufTensor& to = *out.FindTensor("blk.0.ffn_up.weight");
    EXPECT_TRUE(std::ranges::equal(std::as_bytes(std::span(row)), to.data.first(1024)));
  }
}

TEST_F(QuantiseTest, RefusesItsOwnSourceAndUnknownTypes) {
  EXPECT_THAT(Message({}, source_), testing::HasSubstr("is the file being read"));
  EXPECT_THAT(Message({.type = "Q9_9"}, result_), testing::HasSubstr("Q4_K_M"));
  EXPECT_NO_THROW(Gguf::Open(source_));
  EXPECT_NE(access(result_.c_str(), F_OK), 0);
}

TEST_F(QuantiseTest, AWeightThatIsNoNumberIsAnErrorThatNamesItsRow) {
  std::remove(source_.c_str());
  {
    GgufWriter writer(source_);
    writer.AddString("general.architecture", "llama");
    const uint64_t dims[] = {32, 3};
    writer.DeclareTensor("blk.0.ffn_up.weight", DType::kF32, dims);
    writer.BeginData();
    std::vector<float> values(96, 1.0f);
    values[70] = std::numeric_limits<float>::quiet_NaN();
    writer.Write(std::as_bytes(std::span(values)));
    writer.Finish();
  }
  EXPECT_THAT(Message({.type = "Q8_0"}, result_),
              testing::HasSubstr("tensor blk.0.ffn_up.weight row 2 holds a weight that is NaN"));
  EXPECT_NE(access(result_.c_str(), F_OK), 0);
}

}  // namespace
}  // namespace edgewise
