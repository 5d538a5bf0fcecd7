// A JSON document as the verbs write it: keys in the order set. nlohmann-json behind a small face,
// because each file that includes it costs 5 seconds to compile.
//
//   Json json = Json::Object();
//   json.Set("ttft_ms", 12.5).Set("text", text);
//   json.Print();
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace edgewise {

class Json {
 public:
  static Json Object();
  static Json Array();
  Json(Json&&) noexcept;
  Json& operator=(Json&&) noexcept;
  ~Json();

  // Setting a key again replaces its value. Bytes that are not UTF-8 become U+FFFD, numbers that
  // are not finite become null: JSON has neither.
  template <std::integral T>
  Json& Set(std::string_view key, T value) {
    return SetInteger(key, static_cast<int64_t>(value));
  }
  Json& Set(std::string_view key, bool value);
  Json& Set(std::string_view key, uint64_t value);
  Json& Set(std::string_view key, double value);
  Json& Set(std::string_view key, float value);
  Json& Set(std::string_view key, std::string_view value);
  Json& Set(std::string_view key, const char* value) { return Set(key, std::string_view(value)); }
  Json& Set(std::string_view key, Json value);

  template <std::integral T>
  Json& Push(T value) {
    return PushInteger(static_cast<int64_t>(value));
  }
  Json& Push(double value);
  Json& Push(std::string_view value);
  Json& Push(const char* value) { return Push(std::string_view(value)); }
  Json& Push(Json value);

  // Indented by two; arrays of numbers stay in one line.
  std::string Text() const;
  // Text() and a newline to stdout. Throws Error(kIo) when they cannot be written.
  void Print() const;

 private:
  struct Impl;
  explicit Json(std::unique_ptr<Impl> impl);
  Json& SetInteger(std::string_view key, int64_t value);
  Json& PushInteger(int64_t value);
  std::unique_ptr<Impl> impl_;
};

}  // namespace edgewise
