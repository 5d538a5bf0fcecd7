#include "compress/logits_file.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"

namespace edgewise {
namespace {

constexpr char kMagic[8] = {'_', 'l', 'o', 'g', 'i', 't', 's', '_'};
constexpr uint64_t kHeaderBytes = sizeof(kMagic) + 3 * sizeof(int32_t);
// Larger than any model's; small enough that no product of the three overflows.
constexpr int64_t kMaxContext = 1 << 24, kMaxVocab = 1 << 24, kMaxChunks = 1 << 24;
constexpr float kLargestCode = 65535.0f;
constexpr float kDepth = 16.0f;  // below the largest logit, in nats: p < 1.2e-7

}  // namespace

void EncodeLogitsRow(std::span<const float> logits, std::span<std::byte> row) {
  EDGEWISE_CHECK(row.size() == LogitsRowBytes(static_cast<uint32_t>(logits.size())));
  const auto [min, max] = std::minmax_element(logits.begin(), logits.end());
  const float largest = *max;
  const float least = std::max(*min, largest - kDepth);
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - largest);
  const float log_sum = static_cast<float>(std::log(sum));
  const float scale = (largest - least) / kLargestCode;
  const float header[2] = {scale, least - largest - log_sum};
  std::memcpy(row.data(), header, sizeof(header));
  std::memset(row.data() + sizeof(header), 0, row.size() - sizeof(header));
  if (scale == 0) return;
  uint16_t* const codes = reinterpret_cast<uint16_t*>(row.data() + sizeof(header));
  const float inverse = 1 / scale;
  for (size_t i = 0; i < logits.size(); ++i) {
    const float code = std::nearbyint(inverse * (logits[i] - least));
    codes[i] = static_cast<uint16_t>(std::clamp(code, 0.0f, kLargestCode));
  }
}

LogitsWriter::LogitsWriter(const std::string& path, uint32_t context, uint32_t vocab,
                           std::span<const TokenId> tokens)
    : file_(path) {
  const int32_t sizes[3] = {static_cast<int32_t>(context), static_cast<int32_t>(vocab),
                            static_cast<int32_t>(tokens.size() / context)};
  file_.Write(std::as_bytes(std::span(kMagic)));
  file_.Write(std::as_bytes(std::span(sizes)));
  file_.Write(std::as_bytes(tokens));
}

LogitsFile::LogitsFile(const std::string& path) : file_(path) {
  const auto fail = [&path](const auto&... what) {
    throw Error(ErrorCode::kBadFile, StrCat(path, ": ", what...));
  };
  const std::span<const std::byte> bytes = file_.bytes();
  if (bytes.size() < kHeaderBytes || std::memcmp(bytes.data(), kMagic, sizeof(kMagic)) != 0) {
    fail("is no file of logits: write one with --save-logits");
  }
  int32_t sizes[3];
  std::memcpy(sizes, bytes.data() + sizeof(kMagic), sizeof(sizes));
  const auto [context, vocab, chunks] = sizes;
  if (context < 4 || context > kMaxContext || vocab < 1 || vocab > kMaxVocab || chunks < 1 ||
      chunks > kMaxChunks) {
    fail("says context ", context, ", vocabulary ", vocab, ", ", chunks,
         " chunks: the file is damaged");
  }
  context_ = static_cast<uint32_t>(context);
  vocab_ = static_cast<uint32_t>(vocab);
  chunks_ = static_cast<uint32_t>(chunks);
  const uint64_t token_bytes = uint64_t{context_} * chunks_ * sizeof(TokenId);
  rows_at_ = kHeaderBytes + token_bytes;
  // At most 2^24 x 2^23 rows of 2^25 bytes: 2^72 would overflow, so compare rows, not bytes.
  const uint64_t rows = uint64_t{chunks_} * ScoredPositions(context_);
  if (bytes.size() < rows_at_ || (bytes.size() - rows_at_) % LogitsRowBytes(vocab_) != 0 ||
      (bytes.size() - rows_at_) / LogitsRowBytes(vocab_) != rows) {
    fail("has ", bytes.size(), " bytes, not those of ", chunks_, " chunks of context ", context_,
         " and vocabulary ", vocab_, ": it was cut short or is damaged");
  }
  tokens_.resize(uint64_t{context_} * chunks_);
  std::memcpy(tokens_.data(), bytes.data() + kHeaderBytes, token_bytes);
  for (const TokenId token : tokens_) {
    if (token < 0 || token >= vocab) {
      fail("holds token ", token, " outside its vocabulary of ", vocab, ": it is damaged");
    }
  }
}

LogitsFile::Row LogitsFile::RowOf(uint32_t chunk, uint32_t i) const {
  EDGEWISE_CHECK(chunk < chunks_ && i < ScoredPositions(context_));
  const uint64_t index = uint64_t{chunk} * ScoredPositions(context_) + i;
  const std::byte* const at = file_.bytes().data() + rows_at_ + index * LogitsRowBytes(vocab_);
  float header[2];
  std::memcpy(header, at, sizeof(header));
  const auto [scale, least] = header;
  // All finite, and no log-probability much above 0 (rounding may leave it a little above).
  if (!(scale >= 0) || !(least <= 1) || !(scale * kLargestCode + least <= 1) || !(least > -1e30f)) {
    throw Error(ErrorCode::kBadFile,
                StrCat(file_.path(), ": chunk ", chunk + 1, " holds scale ", scale, " and offset ",
                       least, ", no log-probabilities: the file is damaged"));
  }
  return {scale, least, {reinterpret_cast<const uint16_t*>(at + sizeof(header)), vocab_}};
}

}  // namespace edgewise
