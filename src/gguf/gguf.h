// Reading GGUF v2 and v3: header, metadata and tensor table over a memory mapping, split files
// included. Source: the GGUF specification of the ggml project.
//
// Everything is checked here once, so that later code may trust it: counts and lengths against the
// file's size and stated limits (part.cc), offsets and alignment, tensor data inside the file and
// not overlapping, rows a whole number of blocks, no name twice. Not checked, because it means
// reading all the data: that weights are finite; CheckFinite() does it on request.
//
// Nothing is copied or decoded when a file is opened: keys, names, strings and tensor data are
// views into the mapping. All const members may be called from several threads.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/function_ref.h"
#include "base/mapped_file.h"
#include "gguf/name_index.h"
#include "quant/dtype.h"

namespace edgewise {

enum class GgufType : uint32_t {
  kU8 = 0,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kF32,
  kBool,
  kString,
  kArray,
  kU64,
  kI64,
  kF64,
};
const char* NameOf(GgufType type);  // "u8", "string", ...

// Bytes of one element as stored; 0 for strings and arrays, whose length varies.
uint32_t StoredBytes(GgufType type);

// One metadata value: a view into the mapping, decoded on demand. Decoding stays inside bytes()
// even if another program rewrites the mapped file meanwhile.
class GgufValue {
 public:
  GgufValue(GgufType type, GgufType element, uint64_t count, std::span<const std::byte> bytes)
      : type_(type), element_(element), count_(count), bytes_(bytes) {}

  GgufType type() const { return type_; }
  bool is_array() const { return type_ == GgufType::kArray; }
  GgufType element_type() const { return element_; }  // of an array; else the type itself
  uint64_t size() const { return count_; }            // of an array; else 1
  // As stored, without type and count: an array's elements one after the other, a scalar as an
  // array of one. Each string is its length (u64), then its bytes.
  std::span<const std::byte> bytes() const { return bytes_; }

  // nullopt when the value is of another kind. Integers of any width and sign convert when they
  // fit, floats of both widths convert; a bool is only a bool.
  std::optional<int64_t> AsInteger() const;
  std::optional<double> AsFloat() const;  // integers too
  std::optional<bool> AsBool() const;
  std::optional<std::string_view> AsString() const;
  std::optional<std::vector<std::string_view>> AsStrings() const;
  std::optional<std::vector<int64_t>> AsIntegers() const;
  std::optional<std::vector<float>> AsFloats() const;  // integers too

  // For people: strings cut and quoted, arrays as "[N x type] first, second, ...".
  std::string ToText() const;

 private:
  GgufType type_, element_;
  uint64_t count_;
  std::span<const std::byte> bytes_;
};

struct GgufEntry {
  std::string_view key;  // printable ASCII without spaces
  GgufValue value;
};

struct GgufTensor {
  std::string_view name;  // printable ASCII without spaces, at most 64 bytes
  DType type;
  uint32_t rank;                    // 1..4
  std::array<uint64_t, 4> dims;     // dims[0]: row length (inputs), dims[1]: rows; unused are 1
  std::span<const std::byte> data;  // in the mapping

  uint64_t row_length() const { return dims[0]; }
  uint64_t rows() const { return dims[1] * dims[2] * dims[3]; }
  uint64_t elements() const { return row_length() * rows(); }
};

class Gguf {
 public:
  // Opens `path`; when it is part 1 of a split file (-00001-of-000NN), all its parts (another
  // part's path: an error that names part 1). Throws Error(kNotFound | kIo | kBadFile |
  // kUnsupported | kLimit); the message names the path.
  static Gguf Open(const std::string& path);
  // The same checks over bytes already in memory, which must outlive the object (tests, fuzzing). A
  // part of a split file is refused: it has no path by which to find the others.
  static Gguf FromBytes(std::span<const std::byte> bytes, std::string name);

  const std::string& path() const { return path_; }
  std::vector<std::string> paths() const;  // of all parts; empty after FromBytes
  uint32_t version() const { return version_; }
  std::span<const GgufEntry> entries() const { return entries_; }
  std::span<const GgufTensor> tensors() const { return tensors_; }
  uint64_t file_bytes() const { return file_bytes_; }  // of all parts

  const GgufValue* Find(std::string_view key) const;  // nullptr when absent
  const GgufTensor* FindTensor(std::string_view name) const;

  // Typed access: `fallback` when the key is absent; Error(kBadFile) naming file and key when it is
  // of another kind, or absent without a fallback.
  int64_t Integer(std::string_view key, std::optional<int64_t> fallback = {}) const;
  double Float(std::string_view key, std::optional<double> fallback = {}) const;
  bool Bool(std::string_view key, std::optional<bool> fallback = {}) const;
  std::string_view String(std::string_view key,
                          std::optional<std::string_view> fallback = {}) const;

  // Decodes a whole tensor of this file (all its bytes are read) and throws Error(kBadFile) naming
  // tensor and row at the first NaN or infinite weight; a NaN block scale shows as such.
  void CheckFinite(const GgufTensor& tensor) const;

  // Throws Error(kIo) if a part was cut short since it was opened.
  void CheckIntact() const;
  // Reads and maps all pages of all parts; progress in bytes.
  void Populate(FunctionRef<void(uint64_t done, uint64_t total)> progress) const;
  // Replaces the mappings by copies in private memory of huge pages (MappedFile::CopyToMemory); all views
  // stay where they are. Nobody may read meanwhile.
  void CopyToMemory(FunctionRef<void(uint64_t done, uint64_t total)> progress);
  size_t ResidentBytes() const;

 private:
  Gguf() = default;
  void AddPart(std::span<const std::byte> bytes, const std::string& name);
  void OpenOtherParts(int64_t count);
  void IndexTensors();

  std::string path_;
  uint32_t version_ = 0;  // of part 1
  uint64_t file_bytes_ = 0;
  std::vector<std::unique_ptr<MappedFile>> parts_;  // empty after FromBytes
  std::vector<GgufEntry> entries_;                  // of part 1
  std::vector<GgufTensor> tensors_;                 // of all parts, in file order
  NameIndex by_key_, by_name_;
};

}  // namespace edgewise
