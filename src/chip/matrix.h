// Views of the integers that chips multiply: row-major, int8 (what models have) or int32 (the
// documented chip's full range). Owners keep them alive.
#pragma once

#include <cstdint>
#include <span>

namespace edgewise::chip {

// Rows of int8 or int32 values, `stride` values apart.
class Integers {
 public:
  Integers(const int8_t* data, uint64_t stride) : int8_(data), stride_(stride) {}
  Integers(const int32_t* data, uint64_t stride) : int32_(data), stride_(stride) {}

  const int8_t* int8() const { return int8_; }     // null when the values are int32
  const int32_t* int32() const { return int32_; }  // null when the values are int8
  uint64_t stride() const { return stride_; }
  int32_t at(uint64_t row, uint64_t column) const {
    const uint64_t i = row * stride_ + column;
    return int8_ != nullptr ? int8_[i] : int32_[i];
  }
  Integers FromRow(uint64_t row) const {
    return int8_ != nullptr ? Integers(int8_ + row * stride_, stride_)
                            : Integers(int32_ + row * stride_, stride_);
  }

 private:
  const int8_t* int8_ = nullptr;
  const int32_t* int32_ = nullptr;
  uint64_t stride_;
};

// Where results go: rows `stride` values apart.
struct Results {
  int32_t* data;
  uint64_t stride;

  int32_t* row(uint64_t i) const { return data + i * stride; }
};

}  // namespace edgewise::chip
