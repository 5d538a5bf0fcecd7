#include "gguf/part.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>

#include "base/error.h"

namespace edgewise {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF is read as it lies in memory");

// The largest metadata seen in published files is about 100 entries; an entry needs at least 14
// bytes in the file and 52 here.
constexpr uint64_t kMaxEntries = 65'536;
// Files that store each expert apart need 61 layers x 256 experts x 3 = 46,848; others below 2,000.
constexpr uint64_t kMaxTensors = 65'536;
// Both from the specification. ggml itself takes 63 bytes; no published name exceeds 60.
constexpr uint64_t kMaxNameBytes = 64;
constexpr uint64_t kMaxKeyBytes = 65'535;
constexpr uint32_t kMaxRank = 4;
// The specification's default, and its rule: a multiple of 8. More than 64 KiB (the largest page of
// any CPU we run on) gains nothing and would let a small file claim a large hole.
constexpr uint64_t kDefaultAlignment = 32;
constexpr uint64_t kMinAlignment = 8;
constexpr uint64_t kMaxAlignment = 65'536;

// The least a table can take: key length, one byte of key, type, one byte of value; name length,
// one byte of name, rank, one dimension, type, offset.
constexpr uint64_t kMinEntryBytes = 8 + 1 + 4 + 1;
constexpr uint64_t kMinTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;

constexpr uint32_t kOldestVersion = 2, kNewestVersion = 3;
constexpr const char* kAdvice = ": the file is cut short or damaged, fetch it again";

// What people open by mistake, by the first bytes.
struct Foreign {
  std::string_view magic;
  const char* what;
};
constexpr Foreign kForeign[] = {
    {"version https://git-lfs", "a Git LFS pointer, not the model itself: run git lfs pull"},
    {"<", "a web page, not a model: check the download address"},
    {"PK\x03\x04", "a PyTorch or ZIP archive, not GGUF: convert it first"},
    {"lmgg", "a GGML file from before GGUF: convert the model again"},
    {"fmgg", "a GGML file from before GGUF: convert the model again"},
    {"tjgg", "a GGML file from before GGUF: convert the model again"},
};

bool IsPlainName(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

class PartReader {
 public:
  PartReader(std::span<const std::byte> bytes, const std::string& name)
      : bytes_(bytes), name_(name) {}

  GgufPart Read() {
    ReadHeader();
    ReadEntries();
    ReadTensors();
    PlaceTensors();
    return std::move(part_);
  }

 private:
  [[noreturn]] void Fail(ErrorCode code, const std::string& what) const {
    std::string where;
    if (subject_ != nullptr) {
      where = subject_name_.empty() ? StrCat(subject_, " ", subject_index_)
                                    : StrCat(subject_, " '", Printable(subject_name_), "'");
      where += ": ";
    }
    throw Error(code, StrCat(name_, ": ", where, what));
  }
  [[noreturn]] void FailDamaged(const std::string& what) const {
    Fail(ErrorCode::kBadFile, what + kAdvice);
  }

  // What a message is about, as views: composing text for every value read would cost more than the
  // reading.
  void About(const char* subject, uint64_t index) {
    subject_ = subject;
    subject_index_ = index;
    subject_name_ = {};
  }

  uint64_t remaining() const { return bytes_.size() - at_; }

  std::span<const std::byte> Take(uint64_t count, const char* what) {
    if (count > remaining()) {
      FailDamaged(StrCat(what, " of ", count, " bytes at byte ", at_, ", but only ", remaining(),
                         " remain"));
    }
    const auto taken = bytes_.subspan(at_, count);
    at_ += count;
    return taken;
  }

  template <typename T>
  T TakeNumber(const char* what) {
    T value;
    std::memcpy(&value, Take(sizeof(T), what).data(), sizeof(T));
    return value;
  }

  std::string_view TakeString(const char* what) {
    const auto text = Take(TakeNumber<uint64_t>(what), what);
    return {reinterpret_cast<const char*>(text.data()), text.size()};
  }

  // A key or a tensor's name: it will stand in messages and tables.
  std::string_view TakeName(const char* what, uint64_t limit) {
    const std::string_view text = TakeString(what);
    if (text.empty()) Fail(ErrorCode::kBadFile, StrCat(what, " is empty"));
    if (text.size() > limit) {
      Fail(ErrorCode::kBadFile,
           StrCat(what, " '", Printable(text), "' has ", text.size(), " bytes, at most ", limit));
    }
    if (!IsPlainName(text)) {
      Fail(ErrorCode::kBadFile,
           StrCat(what, " '", Printable(text), "' has characters other than printable ASCII"));
    }
    subject_name_ = text;
    return text;
  }

  // A count of things that take at least `least` bytes each, of which at most `limit` are allowed.
  uint64_t TakeCount(const char* what, uint64_t least, uint64_t limit) {
    const auto count = TakeNumber<uint64_t>(what);
    if (count > remaining() / least) {
      FailDamaged(StrCat("claims ", count, " ", what, ", more than its size allows"));
    }
    if (count > limit) {
      Fail(ErrorCode::kLimit, StrCat("has ", count, " ", what, "; the limit is ", limit));
    }
    return count;
  }

  void ReadHeader() {
    const std::string_view text(reinterpret_cast<const char*>(bytes_.data()), bytes_.size());
    if (!text.starts_with("GGUF")) {
      for (const Foreign& foreign : kForeign) {
        if (text.starts_with(foreign.magic)) {
          Fail(ErrorCode::kBadFile, StrCat("is ", foreign.what));
        }
      }
      Fail(ErrorCode::kBadFile, "is no GGUF file (it does not begin with 'GGUF')");
    }
    at_ = 4;
    part_.version = TakeNumber<uint32_t>("version");
    if (part_.version == 0 || (part_.version & 0xffff) == 0) {  // 3 in the other byte order
      Fail(ErrorCode::kUnsupported,
           "is a big-endian GGUF file, which is not supported: convert the model to little-endian");
    }
    if (part_.version < kOldestVersion || part_.version > kNewestVersion) {
      Fail(ErrorCode::kUnsupported,
           StrCat("is GGUF version ", part_.version, "; supported are ", kOldestVersion, " and ",
                  kNewestVersion, ": convert the model again"));
    }
    // The tensor count stands first; both are judged by what remains after the header.
    tensor_count_ = TakeCount("tensors", kMinTensorBytes, kMaxTensors);
    entry_count_ = TakeCount("metadata entries", kMinEntryBytes, kMaxEntries);
  }

  GgufType TakeType() {
    const auto type = TakeNumber<uint32_t>("value type");
    if (type > static_cast<uint32_t>(GgufType::kF64)) {
      FailDamaged(StrCat("unknown value type ", type));
    }
    return static_cast<GgufType>(type);
  }

  GgufValue TakeValue() {
    const GgufType type = TakeType();
    GgufType element = type;
    uint64_t count = 1;
    if (type == GgufType::kArray) {
      element = TakeType();
      if (element == GgufType::kArray) {
        Fail(ErrorCode::kUnsupported, "arrays of arrays are not supported");
      }
      count = TakeNumber<uint64_t>("array length");
    }
    const size_t begin = at_;
    SkipElements(element, count);
    return {type, element, count, bytes_.subspan(begin, at_ - begin)};
  }

  void SkipElements(GgufType element, uint64_t count) {
    const uint32_t least = element == GgufType::kString ? sizeof(uint64_t) : StoredBytes(element);
    if (count > remaining() / least) {
      FailDamaged(StrCat("claims ", count, " values of type ", NameOf(element), ", but only ",
                         remaining(), " bytes remain"));
    }
    if (element == GgufType::kString) {
      for (uint64_t i = 0; i < count; ++i) TakeString("string");
      return;
    }
    const auto values = Take(count * least, "value");
    if (element == GgufType::kBool &&
        std::any_of(values.begin(), values.end(), [](std::byte b) { return b > std::byte{1}; })) {
      FailDamaged("a bool is neither 0 nor 1");
    }
  }

  void ReadEntries() {
    part_.entries.reserve(entry_count_);
    for (uint64_t i = 0; i < entry_count_; ++i) {
      About("metadata entry", i);
      const std::string_view key = TakeName("key", kMaxKeyBytes);
      part_.entries.push_back({key, TakeValue()});
    }
    subject_ = nullptr;

    const auto key_of = [this](uint32_t i) { return part_.entries[i].key; };
    if (const auto twice = part_.by_key.Build(part_.entries.size(), key_of)) {
      FailDamaged(StrCat("key '", Printable(key_of(*twice)), "' appears twice"));
    }
  }

  void ReadTensors() {
    part_.tensors.reserve(tensor_count_);
    offsets_.reserve(tensor_count_);
    for (uint64_t i = 0; i < tensor_count_; ++i) {
      About("tensor", i);
      part_.tensors.push_back(TakeTensor());
      offsets_.push_back(TakeNumber<uint64_t>("offset"));
    }
    subject_ = nullptr;
  }

  GgufTensor TakeTensor() {
    GgufTensor tensor{TakeName("tensor name", kMaxNameBytes), DType::kF32, 0, {1, 1, 1, 1}, {}};
    tensor.rank = TakeNumber<uint32_t>("rank");
    if (tensor.rank < 1 || tensor.rank > kMaxRank) {
      FailDamaged(StrCat("has ", tensor.rank, " dimensions, expected 1 to ", kMaxRank));
    }
    uint64_t elements = 1;
    for (uint32_t d = 0; d < tensor.rank; ++d) {
      tensor.dims[d] = TakeNumber<uint64_t>("dimension");
      if (tensor.dims[d] == 0) FailDamaged(StrCat("dimension ", d, " is 0"));
      if (__builtin_mul_overflow(elements, tensor.dims[d], &elements)) {
        FailDamaged("its dimensions multiply to more than 2^64 weights");
      }
    }
    const auto id = TakeNumber<uint32_t>("tensor type");
    const TypeInfo* info = FindTypeById(id);
    if (info == nullptr) {
      Fail(ErrorCode::kUnsupported,
           StrCat("has type ", GgufTypeName(id), " (", id,
                  "), which is not supported; supported: ", SupportedTypeNames()));
    }
    tensor.type = info->type;
    if (tensor.dims[0] % info->block != 0) {
      FailDamaged(StrCat("a row of ", tensor.dims[0], " weights is no whole number of ", info->name,
                         " blocks of ", info->block));
    }
    return tensor;
  }

  uint64_t Alignment() {
    const GgufValue* value = FindEntry(part_.entries, part_.by_key, "general.alignment");
    if (value == nullptr) return kDefaultAlignment;
    const auto alignment = static_cast<uint64_t>(value->AsInteger().value_or(0));
    if (!std::has_single_bit(alignment) || alignment < kMinAlignment || alignment > kMaxAlignment) {
      FailDamaged(StrCat("general.alignment is ", value->ToText(),
                         ", expected a power of two from ", kMinAlignment, " to ", kMaxAlignment));
    }
    return alignment;
  }

  void PlaceTensors() {
    const uint64_t alignment = Alignment();
    if (part_.tensors.empty()) return;
    const uint64_t begin = (at_ + alignment - 1) / alignment * alignment;
    const auto data = bytes_.subspan(std::min<uint64_t>(begin, bytes_.size()));

    for (size_t i = 0; i < part_.tensors.size(); ++i) {
      GgufTensor& tensor = part_.tensors[i];
      About("tensor", i);
      subject_name_ = tensor.name;
      const uint64_t offset = offsets_[i];
      if (offset % alignment != 0) {
        FailDamaged(StrCat("its offset ", offset, " is no multiple of ", alignment));
      }
      // Not RowBytes() x rows: of a hostile row length, RowBytes() itself would overflow.
      const TypeInfo& info = InfoOf(tensor.type);
      uint64_t size = 0;
      if (__builtin_mul_overflow(tensor.elements() / info.block, uint64_t{info.block_bytes},
                                 &size) ||
          offset > data.size() || size > data.size() - offset) {
        FailDamaged(StrCat("its data (", tensor.elements(), " weights of type ", info.name,
                           " at offset ", offset, ") ends outside the file's ", bytes_.size(),
                           " bytes"));
      }
      tensor.data = data.subspan(offset, size);
    }
    CheckDisjoint();
    subject_ = nullptr;
  }

  void CheckDisjoint() {
    std::vector<uint32_t> order(part_.tensors.size());
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(),
              [this](uint32_t a, uint32_t b) { return offsets_[a] < offsets_[b]; });
    for (size_t i = 1; i < order.size(); ++i) {
      const GgufTensor& before = part_.tensors[order[i - 1]];
      if (offsets_[order[i]] - offsets_[order[i - 1]] < before.data.size()) {
        About("tensor", order[i]);
        subject_name_ = part_.tensors[order[i]].name;
        FailDamaged(StrCat("its data overlaps that of tensor '", before.name, "'"));
      }
    }
  }

  std::span<const std::byte> bytes_;
  const std::string& name_;
  size_t at_ = 0;
  uint64_t tensor_count_ = 0, entry_count_ = 0;
  std::vector<uint64_t> offsets_;  // of the tensors, from the start of the data
  GgufPart part_;

  const char* subject_ = nullptr;  // "tensor"; nullptr: the file itself
  uint64_t subject_index_ = 0;
  std::string_view subject_name_;  // once it is known
};

}  // namespace

GgufPart ReadGgufPart(std::span<const std::byte> bytes, const std::string& name) {
  return PartReader(bytes, name).Read();
}

const GgufValue* FindEntry(std::span<const GgufEntry> entries, const NameIndex& by_key,
                           std::string_view key) {
  const auto at = by_key.Find(key, [&](uint32_t i) { return entries[i].key; });
  return at ? &entries[*at].value : nullptr;
}

}  // namespace edgewise
