#include "gguf/writer.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"

namespace edgewise {
namespace {

constexpr uint32_t kVersion = 3;

template <typename T>
void Append(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void AppendString(std::string& out, std::string_view text) {
  Append<uint64_t>(out, text.size());
  out += text;
}

std::string Encoded(GgufType type) {
  std::string out;
  Append(out, static_cast<uint32_t>(type));
  return out;
}

template <typename T>
std::string EncodedNumber(GgufType type, T value) {
  std::string out = Encoded(type);
  Append(out, value);
  return out;
}

std::string EncodedArray(GgufType element, uint64_t count) {
  std::string out = Encoded(GgufType::kArray);
  Append(out, static_cast<uint32_t>(element));
  Append(out, count);
  return out;
}

template <typename T>
std::string EncodedNumbers(GgufType element, std::span<const T> values) {
  std::string out = EncodedArray(element, values.size());
  out.append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
  return out;
}

uint64_t Padded(uint64_t bytes) {
  return (bytes + GgufWriter::kAlignment - 1) / GgufWriter::kAlignment * GgufWriter::kAlignment;
}

}  // namespace

GgufWriter::GgufWriter(const std::string& path) : file_(path) {}

void GgufWriter::AddEncoded(std::string_view key, std::string encoded) {
  EDGEWISE_CHECK(!data_begun_ && !key.empty());
  const auto [at, is_new] = entry_index_.try_emplace(std::string(key), entries_.size());
  if (is_new) {
    entries_.push_back({std::string(key), std::move(encoded)});
  } else {
    entries_[at->second].encoded = std::move(encoded);
  }
}

void GgufWriter::Add(std::string_view key, const GgufValue& value) {
  if (key == "general.alignment" || key.starts_with("split.")) return;
  std::string encoded =
      value.is_array() ? EncodedArray(value.element_type(), value.size()) : Encoded(value.type());
  encoded.append(reinterpret_cast<const char*>(value.bytes().data()), value.bytes().size());
  AddEncoded(key, std::move(encoded));
}

void GgufWriter::AddU16(std::string_view key, uint16_t value) {
  AddEncoded(key, EncodedNumber(GgufType::kU16, value));
}

void GgufWriter::AddU32(std::string_view key, uint32_t value) {
  AddEncoded(key, EncodedNumber(GgufType::kU32, value));
}

void GgufWriter::AddI32(std::string_view key, int32_t value) {
  AddEncoded(key, EncodedNumber(GgufType::kI32, value));
}

void GgufWriter::AddF32(std::string_view key, float value) {
  AddEncoded(key, EncodedNumber(GgufType::kF32, value));
}

void GgufWriter::AddBool(std::string_view key, bool value) {
  AddEncoded(key, EncodedNumber(GgufType::kBool, static_cast<uint8_t>(value)));
}

void GgufWriter::AddString(std::string_view key, std::string_view value) {
  std::string encoded = Encoded(GgufType::kString);
  AppendString(encoded, value);
  AddEncoded(key, std::move(encoded));
}

void GgufWriter::AddStrings(std::string_view key, std::span<const std::string> values) {
  std::string encoded = EncodedArray(GgufType::kString, values.size());
  for (const std::string& value : values) AppendString(encoded, value);
  AddEncoded(key, std::move(encoded));
}

void GgufWriter::AddFloats(std::string_view key, std::span<const float> values) {
  AddEncoded(key, EncodedNumbers(GgufType::kF32, values));
}

void GgufWriter::AddIntegers(std::string_view key, std::span<const int32_t> values) {
  AddEncoded(key, EncodedNumbers(GgufType::kI32, values));
}

void GgufWriter::DeclareTensor(std::string_view name, DType type, std::span<const uint64_t> dims) {
  EDGEWISE_CHECK(!data_begun_ && !name.empty());
  EDGEWISE_CHECK(!dims.empty() && dims.size() <= 4 && dims[0] % InfoOf(type).block == 0);
  EDGEWISE_CHECK(tensor_names_.emplace(name).second);
  uint64_t bytes = RowBytes(type, dims[0]);
  for (const uint64_t d : dims.subspan(1)) bytes *= d;
  EDGEWISE_CHECK(bytes > 0);
  tensors_.push_back({std::string(name), type, {dims.begin(), dims.end()}, bytes});
}

void GgufWriter::BeginData() {
  EDGEWISE_CHECK(!data_begun_);
  data_begun_ = true;
  std::string header = "GGUF";
  Append(header, kVersion);
  Append<uint64_t>(header, tensors_.size());
  Append<uint64_t>(header, entries_.size());
  for (const Entry& entry : entries_) {
    AppendString(header, entry.key);
    header += entry.encoded;
  }
  uint64_t offset = 0;
  for (const Tensor& tensor : tensors_) {
    AppendString(header, tensor.name);
    Append(header, static_cast<uint32_t>(tensor.dims.size()));
    for (const uint64_t d : tensor.dims) Append(header, d);
    Append(header, static_cast<uint32_t>(tensor.type));
    Append(header, offset);
    offset += Padded(tensor.bytes);
  }
  file_.Write(header);
  Pad();
}

void GgufWriter::Pad() {
  static constexpr std::array<std::byte, kAlignment> kZeros = {};
  file_.Write(std::span(kZeros).first(Padded(file_.written()) - file_.written()));
}

void GgufWriter::Write(std::span<const std::byte> bytes) {
  EDGEWISE_CHECK(data_begun_);
  while (!bytes.empty()) {
    EDGEWISE_CHECK(current_ < tensors_.size());
    const uint64_t left = tensors_[current_].bytes - written_;
    const auto piece = bytes.first(std::min<uint64_t>(left, bytes.size()));
    file_.Write(piece);
    bytes = bytes.subspan(piece.size());
    written_ += piece.size();
    if (piece.size() == left) {
      Pad();  // after the last one too, as ggml writes it
      ++current_;
      written_ = 0;
    }
  }
}

void GgufWriter::Finish() {
  EDGEWISE_CHECK(data_begun_ && current_ == tensors_.size());
  file_.Commit();
}

}  // namespace edgewise
