// For tests and fuzzing: GGUF files put together byte by byte, valid or not, without the writer.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "gguf/gguf.h"

namespace edgewise {

template <typename T>
std::string Raw(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}
inline std::string RawString(std::string_view text) {
  return Raw<uint64_t>(text.size()) + std::string(text);
}

class RawGguf {
 public:
  explicit RawGguf(uint32_t version = 3) : version_(version) {}

  RawGguf& Entry(std::string_view key, uint32_t type, std::string_view stored) {
    entries_ += RawString(key) + Raw(type) + std::string(stored);
    ++entry_count_;
    return *this;
  }
  RawGguf& Entry(std::string_view key, GgufType type, std::string_view stored) {
    return Entry(key, static_cast<uint32_t>(type), stored);
  }
  RawGguf& Array(std::string_view key, GgufType element, uint64_t count, std::string_view stored) {
    return Entry(key, GgufType::kArray,
                 Raw(static_cast<uint32_t>(element)) + Raw(count) + std::string(stored));
  }
  RawGguf& Tensor(std::string_view name, std::vector<uint64_t> dims, uint32_t type,
                  uint64_t offset) {
    tensors_ += RawString(name) + Raw(static_cast<uint32_t>(dims.size()));
    for (const uint64_t d : dims) tensors_ += Raw(d);
    tensors_ += Raw(type) + Raw(offset);
    ++tensor_count_;
    return *this;
  }
  RawGguf& Tensor(std::string_view name, std::vector<uint64_t> dims, DType type, uint64_t offset) {
    return Tensor(name, std::move(dims), static_cast<uint32_t>(type), offset);
  }
  RawGguf& Data(std::string_view bytes) {
    data_ = bytes;
    return *this;
  }
  RawGguf& Alignment(size_t bytes) {
    alignment_ = bytes;
    return *this;
  }
  // What the header claims, if not the truth.
  RawGguf& Counts(uint64_t tensors, uint64_t entries) {
    tensor_count_ = tensors;
    entry_count_ = entries;
    return *this;
  }

  std::string Build() const {
    std::string out = "GGUF" + Raw(version_) + Raw(tensor_count_) + Raw(entry_count_);
    out += entries_ + tensors_;
    if (!data_.empty()) out.resize((out.size() + alignment_ - 1) / alignment_ * alignment_);
    return out + data_;
  }

 private:
  uint32_t version_;
  uint64_t tensor_count_ = 0, entry_count_ = 0;
  std::string entries_, tensors_, data_;
  size_t alignment_ = 32;
};

// A valid file with a value of most kinds and tensors of three types; it ends with the last
// tensor's last byte, so that every shorter file is damaged.
inline std::string TinyGguf(uint32_t version = 3) {
  std::string data(320, '\0');
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>(i % 60);  // all finite
  return RawGguf(version)
      .Entry("general.architecture", GgufType::kString, RawString("llama"))
      .Entry("llama.block_count", GgufType::kU32, Raw<uint32_t>(2))
      .Entry("llama.rope.freq_base", GgufType::kF32, Raw(10000.0f))
      .Entry("tokenizer.ggml.add_bos_token", GgufType::kBool, Raw<uint8_t>(1))
      .Array("tokenizer.ggml.tokens", GgufType::kString, 3,
             RawString("<unk>") + RawString("") + RawString("\xe2\x96\x81the"))
      .Array("tokenizer.ggml.scores", GgufType::kF32, 3, Raw(0.0f) + Raw(-1.5f) + Raw(2.0f))
      .Array("tokenizer.ggml.token_type", GgufType::kI32, 3,
             Raw<int32_t>(2) + Raw<int32_t>(-1) + Raw<int32_t>(1))
      .Tensor("token_embd.weight", {4, 3}, DType::kF32, 0)              // 48 bytes
      .Tensor("blk.0.attn_q.weight", {32, 2}, DType::kQ8_0, 64)         // 68 bytes
      .Tensor("blk.0.ffn_up.weight", {32, 2, 1, 1}, DType::kQ4_0, 160)  // 36
      .Tensor("output_norm.weight", {48}, DType::kF16, 224)             // 96
      .Data(data)
      .Build();
}

// Reads everything that can be read of a file through the public interface.
inline void Exercise(const Gguf& file) {
  for (const GgufEntry& entry : file.entries()) {
    const GgufValue& value = entry.value;
    EDGEWISE_CHECK(file.Find(entry.key) == &value);
    EDGEWISE_CHECK(!value.ToText().empty());
    const int kinds =
        value.AsInteger().has_value() + value.AsBool().has_value() + value.AsString().has_value();
    EDGEWISE_CHECK(kinds <= (value.is_array() ? 0 : 1));
    EDGEWISE_CHECK(!value.AsIntegers() || value.AsIntegers()->size() == value.size());
    EDGEWISE_CHECK(!value.AsFloats() || value.AsFloats()->size() == value.size());
    EDGEWISE_CHECK(!value.AsStrings() || value.AsStrings()->size() == value.size());
    EDGEWISE_CHECK(value.AsFloat().has_value() || !value.AsInteger().has_value());
  }
  for (const GgufTensor& tensor : file.tensors()) {
    EDGEWISE_CHECK(file.FindTensor(tensor.name) == &tensor);
    EDGEWISE_CHECK(tensor.data.size() ==
                   RowBytes(tensor.type, tensor.row_length()) * tensor.rows());
    try {
      file.CheckFinite(tensor);
    } catch (const Error& error) {
      EDGEWISE_CHECK(error.code() == ErrorCode::kBadFile);
    }
  }
}

// Exercises `bytes` as a file; the error's message if it is none. Messages are one printable line.
inline std::string ExerciseBytes(std::string_view bytes) {
  try {
    Exercise(Gguf::FromBytes(std::as_bytes(std::span(bytes)), "file"));
  } catch (const Error& error) {
    EDGEWISE_CHECK(error.message().starts_with("file: ") && error.message().size() < 400);
    for (const char c : error.message()) EDGEWISE_CHECK(c >= 0x20 && c < 0x7f);
    return error.message();
  }
  return "";
}

}  // namespace edgewise
