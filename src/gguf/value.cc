#include <array>
#include <cmath>
#include <cstring>
#include <utility>

#include "base/strings.h"
#include "gguf/gguf.h"

namespace edgewise {
namespace {

struct TypeFacts {
  const char* name;
  uint32_t bytes;
};
constexpr std::array<TypeFacts, 13> kTypes = {{{"u8", 1},
                                               {"i8", 1},
                                               {"u16", 2},
                                               {"i16", 2},
                                               {"u32", 4},
                                               {"i32", 4},
                                               {"f32", 4},
                                               {"bool", 1},
                                               {"string", 0},
                                               {"array", 0},
                                               {"u64", 8},
                                               {"i64", 8},
                                               {"f64", 8}}};

constexpr size_t kTextElements = 8;  // of an array, shown to people
constexpr size_t kTextBytes = 60;    // of a string

template <typename T>
T Load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

// Calls f with the number at `at` in its own type; returns whether `type` is a number.
template <typename F>
bool WithNumber(GgufType type, const std::byte* at, F&& f) {
  switch (type) {
    case GgufType::kU8:
      f(Load<uint8_t>(at));
      return true;
    case GgufType::kI8:
      f(Load<int8_t>(at));
      return true;
    case GgufType::kU16:
      f(Load<uint16_t>(at));
      return true;
    case GgufType::kI16:
      f(Load<int16_t>(at));
      return true;
    case GgufType::kU32:
      f(Load<uint32_t>(at));
      return true;
    case GgufType::kI32:
      f(Load<int32_t>(at));
      return true;
    case GgufType::kF32:
      f(Load<float>(at));
      return true;
    case GgufType::kU64:
      f(Load<uint64_t>(at));
      return true;
    case GgufType::kI64:
      f(Load<int64_t>(at));
      return true;
    case GgufType::kF64:
      f(Load<double>(at));
      return true;
    case GgufType::kBool:
    case GgufType::kString:
    case GgufType::kArray:
      return false;
  }
  return false;
}

bool IsNumber(GgufType type) {
  return type != GgufType::kBool && type != GgufType::kString && type != GgufType::kArray;
}

std::optional<int64_t> IntegerAt(GgufType type, const std::byte* at) {
  std::optional<int64_t> result;
  WithNumber(type, at, [&]<typename T>(T value) {
    if constexpr (std::is_integral_v<T>) {
      if (std::in_range<int64_t>(value)) result = static_cast<int64_t>(value);
    }
  });
  return result;
}

double FloatAt(GgufType type, const std::byte* at) {
  double result = 0;
  WithNumber(type, at, [&](auto value) { result = static_cast<double>(value); });
  return result;
}

// Takes a string off the front of `rest`; false when it does not fit.
bool TakeString(std::span<const std::byte>& rest, std::string_view& text) {
  if (rest.size() < sizeof(uint64_t)) return false;
  const auto size = Load<uint64_t>(rest.data());
  rest = rest.subspan(sizeof(uint64_t));
  if (size > rest.size()) return false;
  text = {reinterpret_cast<const char*>(rest.data()), size};
  rest = rest.subspan(size);
  return true;
}

std::string ElementText(GgufType type, std::span<const std::byte>& rest) {
  if (type == GgufType::kString) {
    std::string_view text;
    if (!TakeString(rest, text)) return "?";
    return StrCat('"', Printable(text, kTextBytes), '"');
  }
  const std::byte* at = rest.data();
  rest = rest.subspan(StoredBytes(type));
  if (type == GgufType::kBool) return *at == std::byte{0} ? "false" : "true";
  std::string text;
  WithNumber(type, at, [&](auto value) { text = StrCat(+value); });
  return text;
}

}  // namespace

const char* NameOf(GgufType type) { return kTypes[static_cast<size_t>(type)].name; }

uint32_t StoredBytes(GgufType type) { return kTypes[static_cast<size_t>(type)].bytes; }

std::optional<int64_t> GgufValue::AsInteger() const {
  return is_array() ? std::nullopt : IntegerAt(type_, bytes_.data());
}

std::optional<double> GgufValue::AsFloat() const {
  if (!IsNumber(type_)) return std::nullopt;
  return FloatAt(type_, bytes_.data());
}

std::optional<bool> GgufValue::AsBool() const {
  if (type_ != GgufType::kBool) return std::nullopt;
  return bytes_[0] != std::byte{0};
}

std::optional<std::string_view> GgufValue::AsString() const {
  if (type_ != GgufType::kString) return std::nullopt;
  auto rest = bytes_;
  std::string_view text;
  if (!TakeString(rest, text)) return std::nullopt;
  return text;
}

std::optional<std::vector<std::string_view>> GgufValue::AsStrings() const {
  if (!is_array() || element_ != GgufType::kString) return std::nullopt;
  std::vector<std::string_view> result(count_);
  auto rest = bytes_;
  for (std::string_view& text : result) {
    if (!TakeString(rest, text)) return std::nullopt;
  }
  return result;
}

std::optional<std::vector<int64_t>> GgufValue::AsIntegers() const {
  if (!is_array() || !IsNumber(element_)) return std::nullopt;
  std::vector<int64_t> result(count_);
  for (uint64_t i = 0; i < count_; ++i) {
    const auto value = IntegerAt(element_, bytes_.data() + i * StoredBytes(element_));
    if (!value) return std::nullopt;
    result[i] = *value;
  }
  return result;
}

std::optional<std::vector<float>> GgufValue::AsFloats() const {
  if (!is_array() || !IsNumber(element_)) return std::nullopt;
  std::vector<float> result(count_);
  for (uint64_t i = 0; i < count_; ++i) {
    result[i] = static_cast<float>(FloatAt(element_, bytes_.data() + i * StoredBytes(element_)));
  }
  return result;
}

std::string GgufValue::ToText() const {
  auto rest = bytes_;
  if (!is_array()) return ElementText(type_, rest);
  std::string text = StrCat("[", count_, " x ", NameOf(element_), "]");
  for (uint64_t i = 0; i < count_ && i < kTextElements; ++i) {
    text += (i == 0 ? " " : ", ") + ElementText(element_, rest);
  }
  if (count_ > kTextElements) text += ", ...";
  return text;
}

}  // namespace edgewise
