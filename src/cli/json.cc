#include "cli/json.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>

#include "cli/console.h"

namespace edgewise {

using Value = nlohmann::ordered_json;

struct Json::Impl {
  Value value;
};

namespace {

std::string Dump(const Value& value) {
  return value.dump(-1, ' ', false, Value::error_handler_t::replace);
}

void AppendText(std::string& out, const Value& value, size_t indent) {
  const bool flat = std::all_of(value.begin(), value.end(),
                                [](const Value& item) { return item.is_primitive(); });
  if (value.empty() || value.is_primitive() || (value.is_array() && flat)) {
    out += Dump(value);
    return;
  }
  const std::string margin(indent + 2, ' ');
  const char* separator = "";
  out += value.is_object() ? "{" : "[";
  for (const auto& [key, item] : value.items()) {
    out += separator;
    out += '\n' + margin;
    if (value.is_object()) out += Dump(key) + ": ";
    AppendText(out, item, indent + 2);
    separator = ",";
  }
  out += '\n' + std::string(indent, ' ') + (value.is_object() ? "}" : "]");
}

}  // namespace

Json::Json(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Json::Json(Json&&) noexcept = default;
Json& Json::operator=(Json&&) noexcept = default;
Json::~Json() = default;

Json Json::Object() { return Json(std::make_unique<Impl>(Impl{Value::object()})); }
Json Json::Array() { return Json(std::make_unique<Impl>(Impl{Value::array()})); }

Json& Json::SetInteger(std::string_view key, int64_t value) {
  impl_->value[std::string(key)] = value;
  return *this;
}
Json& Json::Set(std::string_view key, bool value) {
  impl_->value[std::string(key)] = value;
  return *this;
}
Json& Json::Set(std::string_view key, uint64_t value) {
  impl_->value[std::string(key)] = value;
  return *this;
}
Json& Json::Set(std::string_view key, double value) {
  impl_->value[std::string(key)] = value;
  return *this;
}
// As the shortest decimal that reads back as this float: 0.8, not 0.800000011920929.
Json& Json::Set(std::string_view key, float value) {
  std::array<char, 32> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  double same = value;
  std::from_chars(text.data(), end, same);
  return Set(key, same);
}
Json& Json::Set(std::string_view key, std::string_view value) {
  impl_->value[std::string(key)] = value;
  return *this;
}
Json& Json::Set(std::string_view key, Json value) {
  impl_->value[std::string(key)] = std::move(value.impl_->value);
  return *this;
}

Json& Json::PushInteger(int64_t value) {
  impl_->value.push_back(value);
  return *this;
}
Json& Json::Push(double value) {
  impl_->value.push_back(value);
  return *this;
}
Json& Json::Push(std::string_view value) {
  impl_->value.push_back(value);
  return *this;
}
Json& Json::Push(Json value) {
  impl_->value.push_back(std::move(value.impl_->value));
  return *this;
}

std::string Json::Text() const {
  std::string out;
  AppendText(out, impl_->value, 0);
  return out;
}

void Json::Print() const {
  Write(Text() + '\n');
}

}  // namespace edgewise
