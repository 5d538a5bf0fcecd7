// Writing GGUF v3. Metadata and the tensor table first, then each tensor's data in the order
// declared; the file appears whole or not at all.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/atomic_file.h"
#include "gguf/gguf.h"

namespace edgewise {

class GgufWriter {
 public:
  static constexpr uint32_t kAlignment = 32;  // GGUF's default; a source's other alignment is dropped

  // Throws Error(kIo) when the path cannot be written.
  explicit GgufWriter(const std::string& path);

  // Metadata, in order; before BeginData(). Adding a key again replaces it.
  void Add(std::string_view key, const GgufValue& value);  // as it stands in another file
  void AddU32(std::string_view key, uint32_t value);
  void AddF32(std::string_view key, float value);
  void AddBool(std::string_view key, bool value);
  void AddString(std::string_view key, std::string_view value);
  void AddStrings(std::string_view key, std::span<const std::string> values);
  void AddFloats(std::string_view key, std::span<const float> values);
  void AddIntegers(std::string_view key, std::span<const int32_t> values);

  // Declares a tensor; dims as in GgufTensor, rank = dims.size().
  void DeclareTensor(std::string_view name, DType type, std::span<const uint64_t> dims);

  // Writes header and table; then Write() supplies the tensors' bytes in the order declared, in
  // pieces of any size; padding between tensors is inserted. Finish() checks that all bytes came and
  // commits the file. All throw Error(kIo).
  void BeginData();
  void Write(std::span<const std::byte> bytes);
  void Finish();

 private:
  struct Tensor {
    std::string name;
    DType type;
    std::vector<uint64_t> dims;
    uint64_t bytes;
  };
  struct Entry {
    std::string key;
    std::string encoded;  // type, then the value as stored
  };
  void AddEncoded(std::string_view key, std::string encoded);

  AtomicFile file_;
  std::vector<Entry> entries_;
  std::vector<Tensor> tensors_;
  size_t current_ = 0;          // tensor being written
  uint64_t written_ = 0;        // bytes of it so far
};

}  // namespace edgewise
