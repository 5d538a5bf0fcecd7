#include "gguf/gguf.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/error.h"
#include "gguf/part.h"
#include "quant/codec.h"

namespace edgewise {
namespace {

// The largest split seen is below 200 parts; each takes a mapping and a descriptor.
constexpr int64_t kMaxParts = 512;

constexpr std::string_view kSplitCount = "split.count";
constexpr std::string_view kSplitNumber = "split.no";  // from 0
constexpr std::string_view kSplitTensors = "split.tensors.count";

// "-00002-of-00010.gguf" for number 1 of 10.
std::string PartSuffix(int64_t number, int64_t count) {
  std::array<char, 64> text;
  std::snprintf(text.data(), text.size(), "-%05lld-of-%05lld.gguf",
                static_cast<long long>(number + 1), static_cast<long long>(count));
  return text.data();
}

// A split key of one part; `fallback` when it is absent.
int64_t SplitKey(const GgufPart& part, const std::string& name, std::string_view key,
                 int64_t fallback) {
  const GgufValue* value = FindEntry(part.entries, part.by_key, key);
  if (value == nullptr) return fallback;
  const auto number = value->AsInteger();
  if (!number || *number < 0) {
    throw Error(ErrorCode::kBadFile,
                StrCat(name, ": key '", key, "' is ", value->ToText(), ", expected a count"));
  }
  return *number;
}

std::string Expected(std::string_view what, const GgufValue& value) {
  const char* stored = value.is_array() ? "an array" : NameOf(value.type());
  return StrCat(" is ", stored, " (", value.ToText(), "), expected ", what);
}

template <typename T, typename Decode>
T Typed(const Gguf& file, std::string_view key, const std::optional<T>& fallback, const char* what,
        Decode decode) {
  const GgufValue* value = file.Find(key);
  if (value == nullptr) {
    if (fallback) return *fallback;
    throw Error(ErrorCode::kBadFile, StrCat(file.path(), ": key '", Printable(key),
                                            "' is missing: convert the model again"));
  }
  if (const std::optional<T> decoded = decode(*value)) return *decoded;
  throw Error(ErrorCode::kBadFile,
              StrCat(file.path(), ": key '", Printable(key), "'", Expected(what, *value)));
}

}  // namespace

void Gguf::AddPart(std::span<const std::byte> bytes, const std::string& name) {
  GgufPart part = ReadGgufPart(bytes, name);
  file_bytes_ += bytes.size();
  tensors_.insert(tensors_.end(), part.tensors.begin(), part.tensors.end());
  if (version_ == 0) {
    version_ = part.version;
    entries_ = std::move(part.entries);
    by_key_ = std::move(part.by_key);
    return;
  }
  const auto number = static_cast<int64_t>(parts_.size()) - 1;
  const int64_t count = Integer(kSplitCount);
  const int64_t own_number = SplitKey(part, name, kSplitNumber, -1);
  const int64_t own_count = SplitKey(part, name, kSplitCount, -1);
  if (own_number != number || own_count != count) {
    throw Error(
        ErrorCode::kBadFile,
        StrCat(name, ": expected part ", number + 1, " of ", count, ", but the file says ",
               own_number < 0 || own_count < 0 ? std::string("nothing of the kind")
                                               : StrCat("part ", own_number + 1, " of ", own_count),
               ": restore the parts' names"));
  }
}

void Gguf::IndexTensors() {
  const auto name_of = [this](uint32_t i) { return tensors_[i].name; };
  if (const auto twice = by_name_.Build(tensors_.size(), name_of)) {
    throw Error(ErrorCode::kBadFile,
                StrCat(path_, ": tensor '", name_of(*twice),
                       "' appears twice: the file is damaged, fetch it again"));
  }
}

void Gguf::OpenOtherParts(int64_t count) {
  const int64_t number = Integer(kSplitNumber);
  const std::string suffix = PartSuffix(number, count);
  if (count > kMaxParts) {
    throw Error(ErrorCode::kLimit, StrCat(path_, ": claims to be split in ", count,
                                          " parts; the limit is ", kMaxParts));
  }
  if (!path_.ends_with(suffix)) {
    throw Error(
        ErrorCode::kBadFile,
        StrCat(path_, ": is part ", number + 1, " of ", count, ", but its name does not end in ",
               suffix, ": restore the names, or the other parts cannot be found"));
  }
  const std::string prefix = path_.substr(0, path_.size() - suffix.size());
  if (number != 0) {
    throw Error(ErrorCode::kBadFile, StrCat(path_, ": is part ", number + 1, " of ", count,
                                            ": open the first, ", prefix, PartSuffix(0, count)));
  }
  for (int64_t i = 1; i < count; ++i) {
    const std::string path = prefix + PartSuffix(i, count);
    try {
      parts_.push_back(std::make_unique<MappedFile>(path));
    } catch (const Error& error) {
      throw Error(error.code(),
                  StrCat(error.message(), " (part ", i + 1, " of ", count, " of ", path_, ")"));
    }
    AddPart(parts_.back()->bytes(), path);
  }
  const int64_t total = Integer(kSplitTensors);
  if (total != static_cast<int64_t>(tensors_.size())) {
    throw Error(ErrorCode::kBadFile,
                StrCat(path_, ": its parts hold ", tensors_.size(), " tensors, but it announces ",
                       total, ": fetch the parts again"));
  }
}

Gguf Gguf::Open(const std::string& path) {
  Gguf file;
  file.path_ = path;
  file.parts_.push_back(std::make_unique<MappedFile>(path));
  file.AddPart(file.parts_.front()->bytes(), path);
  if (const int64_t count = file.Integer(kSplitCount, 1); count > 1) file.OpenOtherParts(count);
  file.IndexTensors();
  file.CheckIntact();
  return file;
}

Gguf Gguf::FromBytes(std::span<const std::byte> bytes, std::string name) {
  Gguf file;
  file.path_ = std::move(name);
  file.AddPart(bytes, file.path_);
  if (file.Integer(kSplitCount, 1) > 1) {
    throw Error(ErrorCode::kUnsupported,
                StrCat(file.path_, ": is one part of a split file: open part 1 by its path"));
  }
  file.IndexTensors();
  return file;
}

const GgufValue* Gguf::Find(std::string_view key) const {
  return FindEntry(entries_, by_key_, key);
}

const GgufTensor* Gguf::FindTensor(std::string_view name) const {
  const auto at = by_name_.Find(name, [this](uint32_t i) { return tensors_[i].name; });
  return at ? &tensors_[*at] : nullptr;
}

int64_t Gguf::Integer(std::string_view key, std::optional<int64_t> fallback) const {
  return Typed<int64_t>(*this, key, fallback, "an integer",
                        [](const GgufValue& v) { return v.AsInteger(); });
}

double Gguf::Float(std::string_view key, std::optional<double> fallback) const {
  return Typed<double>(*this, key, fallback, "a number",
                       [](const GgufValue& v) { return v.AsFloat(); });
}

bool Gguf::Bool(std::string_view key, std::optional<bool> fallback) const {
  return Typed<bool>(*this, key, fallback, "a bool", [](const GgufValue& v) { return v.AsBool(); });
}

std::string_view Gguf::String(std::string_view key,
                              std::optional<std::string_view> fallback) const {
  return Typed<std::string_view>(*this, key, fallback, "a string",
                                 [](const GgufValue& v) { return v.AsString(); });
}

void Gguf::CheckFinite(const GgufTensor& tensor) const {
  // In pieces of whole blocks, so that a row of any length needs this much memory only.
  constexpr uint64_t kPiece = 4096;
  std::array<float, kPiece> weights;
  const uint64_t row_bytes = RowBytes(tensor.type, tensor.row_length());
  for (uint64_t row = 0; row < tensor.rows(); ++row) {
    const auto bytes = tensor.data.subspan(row * row_bytes, row_bytes);
    for (uint64_t at = 0; at < tensor.row_length(); at += kPiece) {
      const auto piece = std::span(weights).first(std::min(kPiece, tensor.row_length() - at));
      DecodeRow(tensor.type,
                bytes.subspan(RowBytes(tensor.type, at), RowBytes(tensor.type, piece.size())),
                piece);
      if (!std::all_of(piece.begin(), piece.end(), [](float w) { return std::isfinite(w); })) {
        throw Error(
            ErrorCode::kBadFile,
            StrCat(path_, ": tensor '", tensor.name, "' row ", row,
                   " has a weight that is not finite: the file is damaged, fetch it again"));
      }
    }
  }
}

void Gguf::CheckIntact() const {
  for (const auto& part : parts_) part->CheckIntact();
}

std::vector<std::string> Gguf::paths() const {
  std::vector<std::string> paths;
  for (const auto& part : parts_) paths.push_back(part->path());
  return paths;
}

void Gguf::Populate(FunctionRef<void(uint64_t done, uint64_t total)> progress) const {
  constexpr size_t kPiece = 64 << 20;  // a disk of 500 MB/s shows eight steps a second
  uint64_t done = 0;
  for (const auto& part : parts_) {
    const size_t size = part->bytes().size();
    for (size_t at = 0; at < size; at += kPiece) {
      const size_t end = std::min(at + kPiece, size);
      part->Populate(at, end);
      done += end - at;
      progress(done, file_bytes());
    }
  }
}

void Gguf::CopyToMemory(FunctionRef<void(uint64_t done, uint64_t total)> progress) {
  uint64_t before = 0;
  for (const auto& part : parts_) {
    part->CopyToMemory([&](uint64_t done) { progress(before + done, file_bytes()); });
    before += part->bytes().size();
  }
}

size_t Gguf::ResidentBytes() const {
  size_t bytes = 0;
  for (const auto& part : parts_) bytes += part->ResidentBytes();
  return bytes;
}

}  // namespace edgewise
