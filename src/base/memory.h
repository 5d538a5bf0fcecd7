// Anonymous memory that is planned, not grown: mapped once, zero until touched, returned whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace edgewise {

// Huge ones (2 MiB on x86, if the system has them for us) need fewer page-table walks, but a touch of one
// byte takes all of one.
enum class Pages : uint8_t { kUsual, kHuge };
inline constexpr size_t kHugePage = 2 << 20;

// Address space only, without access, that begins on a huge page; nullptr when there is none.
std::byte* ReserveOnHugePage(size_t bytes);

// Owns one anonymous private mapping; page aligned, zero filled; pages count against the process
// (RssAnon) only once written. Moves, does not copy.
class AnonymousMemory {
 public:
  AnonymousMemory() = default;
  // Throws Error(kLimit) when the system refuses the address space. kHuge begins on a huge page and is a
  // request only: without transparent huge pages it is usual memory.
  explicit AnonymousMemory(size_t bytes, Pages pages = Pages::kUsual);
  AnonymousMemory(AnonymousMemory&& other) noexcept;
  AnonymousMemory& operator=(AnonymousMemory&& other) noexcept;
  ~AnonymousMemory();

  std::byte* data() const { return data_; }
  size_t size() const { return size_; }
  // Touches every page, so that the first token does not pay for page faults.
  void Populate();

 private:
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// Hands out aligned pieces of a region front to back. With a null region it only adds up, so that
// the plan of a buffer's layout and the layout itself are the same code.
class Arena {
 public:
  static constexpr size_t kAlignment = 64;  // one cache line, one AVX-512 vector

  explicit Arena(std::byte* base) : base_(base) {}

  template <typename T>
  T* Take(size_t count) {
    const size_t at = used_;
    used_ += (count * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
    return base_ == nullptr ? nullptr : reinterpret_cast<T*>(base_ + at);
  }
  size_t used() const { return used_; }

 private:
  std::byte* base_;
  size_t used_ = 0;
};

}  // namespace edgewise
