#include "compress/logits_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>

#include "base/error.h"

namespace edgewise {
namespace {

constexpr uint32_t kContext = 8, kVocab = 5;  // odd: rows are padded
constexpr uint32_t kRows = ScoredPositions(kContext);

class LogitsFileTest : public testing::Test {
 protected:
  LogitsFileTest() : path_(testing::TempDir() + StrCat("edgewise-logits-", getpid())) {}
  ~LogitsFileTest() override { std::remove(path_.c_str()); }

  // Two chunks; the logit of token t at row r of chunk c is a fixed formula.
  static std::vector<float> Logits(uint32_t chunk, uint32_t row) {
    std::vector<float> logits(kVocab);
    for (uint32_t t = 0; t < kVocab; ++t) {
      logits[t] = std::sin(1.0f + static_cast<float>(chunk * 31 + row * 7 + t)) * 4;
    }
    return logits;
  }

  void Write() const {
    LogitsWriter writer(path_, kContext, kVocab, tokens_);
    std::vector<std::byte> row(LogitsRowBytes(kVocab));
    for (uint32_t chunk = 0; chunk < 2; ++chunk) {
      for (uint32_t i = 0; i < kRows; ++i) {
        EncodeLogitsRow(Logits(chunk, i), row);
        writer.Append(row);
      }
    }
    writer.Commit();
  }

  // Writes the file with its bytes changed; returns the message of the error that opening and
  // reading gives, "" for none.
  std::string MessageAfter(const std::function<void(std::string&)>& change) const {
    Write();
    std::ifstream in(path_, std::ios::binary);
    std::string bytes(std::istreambuf_iterator<char>(in), {});
    change(bytes);
    std::ofstream(path_, std::ios::binary) << bytes;
    try {
      const LogitsFile file(path_);
      for (uint32_t chunk = 0; chunk < file.chunks(); ++chunk) {
        for (uint32_t i = 0; i < ScoredPositions(file.context()); ++i) file.RowOf(chunk, i);
      }
    } catch (const Error& error) {
      return error.message();
    }
    return "";
  }

  const std::string path_;
  const std::vector<TokenId> tokens_ = {1, 2, 3, 4, 0, 1, 2, 3, 4, 3, 2, 1, 0, 4, 3, 2};
};

TEST_F(LogitsFileTest, ComesBackAsLogProbabilities) {
  Write();
  const LogitsFile file(path_);
  EXPECT_EQ(file.context(), kContext);
  EXPECT_EQ(file.vocab(), kVocab);
  EXPECT_EQ(file.chunks(), 2u);
  EXPECT_EQ(file.tokens(), tokens_);
  for (uint32_t chunk = 0; chunk < 2; ++chunk) {
    for (uint32_t i = 0; i < kRows; ++i) {
      const std::vector<float> logits = Logits(chunk, i);
      double sum = 0;
      for (const float logit : logits) sum += std::exp(double{logit});
      const LogitsFile::Row row = file.RowOf(chunk, i);
      for (uint32_t t = 0; t < kVocab; ++t) {
        // Half a code, at most 8 / 65535 / 2, and float rounding of values up to 16.
        EXPECT_NEAR(row.scale * row.codes[t] + row.least, logits[t] - std::log(sum), 7e-5);
      }
    }
  }
}

// The layout that llama-perplexity writes, byte by byte.
TEST_F(LogitsFileTest, HasTheEcosystemsLayout) {
  Write();
  std::ifstream in(path_, std::ios::binary);
  const std::string bytes(std::istreambuf_iterator<char>(in), {});
  ASSERT_EQ(bytes.size(), 8 + 12 + 2 * kContext * 4 + 2 * kRows * (8 + 6 * 2));
  EXPECT_EQ(bytes.substr(0, 8), "_logits_");
  int32_t sizes[3];
  std::memcpy(sizes, bytes.data() + 8, 12);
  EXPECT_EQ(sizes[0], 8);
  EXPECT_EQ(sizes[1], 5);
  EXPECT_EQ(sizes[2], 2);
}

TEST_F(LogitsFileTest, LogitsFarBelowTheTopAreCutAt16) {
  const std::vector<float> logits = {0, -8, -16, -40, 0};
  std::vector<std::byte> row(LogitsRowBytes(kVocab));
  EncodeLogitsRow(logits, row);
  float header[2];
  std::memcpy(header, row.data(), 8);
  uint16_t codes[5];
  std::memcpy(codes, row.data() + 8, 10);
  EXPECT_FLOAT_EQ(header[0], 16.0f / 65535);
  EXPECT_NEAR(header[1], -16 - std::log(2.0), 1e-3);
  EXPECT_EQ(codes[0], 65535);
  EXPECT_NEAR(codes[1], 32768, 1);
  EXPECT_EQ(codes[2], 0);
  EXPECT_EQ(codes[3], 0);
}

TEST_F(LogitsFileTest, EqualLogitsHaveScaleZero) {
  const std::vector<float> logits(kVocab, 3.0f);
  std::vector<std::byte> row(LogitsRowBytes(kVocab));
  EncodeLogitsRow(logits, row);
  float header[2];
  std::memcpy(header, row.data(), 8);
  EXPECT_EQ(header[0], 0);
  EXPECT_NEAR(header[1], -std::log(5.0), 1e-6);
}

TEST_F(LogitsFileTest, HostileFilesGiveOneClearError) {
  const auto put = [](std::string& bytes, size_t at, int32_t value) {
    std::memcpy(bytes.data() + at, &value, 4);
  };
  EXPECT_EQ(MessageAfter([](std::string&) {}), "");
  EXPECT_THAT(MessageAfter([](std::string& b) { b = "short"; }),
              testing::HasSubstr("is no file of logits"));
  EXPECT_THAT(MessageAfter([](std::string& b) { b[0] = 'x'; }),
              testing::HasSubstr("is no file of logits"));
  EXPECT_THAT(MessageAfter([](std::string& b) { b.pop_back(); }), testing::HasSubstr("cut short"));
  EXPECT_THAT(MessageAfter([](std::string& b) { b.resize(40); }), testing::HasSubstr("cut short"));
  EXPECT_THAT(MessageAfter([](std::string& b) { b += "more"; }), testing::HasSubstr("damaged"));
  for (const int32_t bad : {0, -1, 3, 1 << 25, 0x7fffffff}) {
    EXPECT_THAT(MessageAfter([&](std::string& b) { put(b, 8, bad); }),
                testing::HasSubstr("damaged"))
        << "context " << bad;
  }
  for (const int32_t bad : {0, -5, 0x7fffffff}) {
    EXPECT_THAT(MessageAfter([&](std::string& b) { put(b, 12, bad); }),
                testing::HasSubstr("damaged"))
        << "vocabulary " << bad;
    EXPECT_THAT(MessageAfter([&](std::string& b) { put(b, 16, bad); }),
                testing::HasSubstr("damaged"))
        << "chunks " << bad;
  }
  EXPECT_THAT(MessageAfter([&](std::string& b) { put(b, 20, kVocab); }),
              testing::HasSubstr("outside its vocabulary"));
  const size_t rows_at = 20 + 2 * kContext * 4;
  EXPECT_THAT(MessageAfter([&](std::string& b) { put(b, rows_at, 0x7fc00000); }),  // NaN scale
              testing::HasSubstr("no log-probabilities"));
  EXPECT_THAT(MessageAfter([&](std::string& b) { put(b, rows_at + 4, 0x7f800000); }),
              testing::HasSubstr("no log-probabilities"));
}

}  // namespace
}  // namespace edgewise
