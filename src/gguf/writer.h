// Writing GGUF v3. Metadata and the tensor table first, then each tensor's data in the order
// declared; the file appears whole or not at all.
//
//   GgufWriter writer(path);
//   writer.AddString("general.architecture", "llama");
//   writer.DeclareTensor("token_embd.weight", DType::kF16, dims);
//   writer.BeginData();
//   writer.Write(bytes);   // all tensors, in order, in pieces of any size
//   writer.Finish();
//
// Wrong use (a name twice, bytes too few or too many) is our own bug: EDGEWISE_CHECK.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/atomic_file.h"
#include "gguf/gguf.h"

namespace edgewise {

class GgufWriter {
 public:
  static constexpr uint32_t kAlignment =
      32;  // GGUF's default; a source's other alignment is dropped

  // Throws Error(kIo) when the path cannot be written.
  explicit GgufWriter(const std::string& path);

  // Metadata, in order; before BeginData(). Adding a key again replaces it, in its old place.
  // As it stands in another file; what describes that file's own layout (general.alignment,
  // split.*) is left out.
  void Add(std::string_view key, const GgufValue& value);
  void AddU16(std::string_view key, uint16_t value);
  void AddU32(std::string_view key, uint32_t value);
  void AddI32(std::string_view key, int32_t value);
  void AddF32(std::string_view key, float value);
  void AddBool(std::string_view key, bool value);
  void AddString(std::string_view key, std::string_view value);
  void AddStrings(std::string_view key, std::span<const std::string> values);
  void AddFloats(std::string_view key, std::span<const float> values);
  void AddIntegers(std::string_view key, std::span<const int32_t> values);

  // Declares a tensor; dims as in GgufTensor, rank = dims.size().
  void DeclareTensor(std::string_view name, DType type, std::span<const uint64_t> dims);

  // Writes header and table; then Write() supplies the tensors' bytes in the order declared, in
  // pieces of any size; padding between tensors is inserted. Finish() checks that all bytes came
  // and commits the file. All throw Error(kIo).
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
  void Pad();

  AtomicFile file_;
  std::vector<Entry> entries_;
  std::unordered_map<std::string, size_t> entry_index_;  // by key
  std::vector<Tensor> tensors_;
  std::unordered_set<std::string> tensor_names_;
  bool data_begun_ = false;
  size_t current_ = 0;    // tensor being written
  uint64_t written_ = 0;  // bytes of it so far
};

}  // namespace edgewise
