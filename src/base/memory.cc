#include "base/memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <utility>

#include "base/error.h"

namespace edgewise {
namespace {

std::byte* Map(size_t bytes, int access) {
  void* p = mmap(nullptr, bytes, access, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return p == MAP_FAILED ? nullptr : static_cast<std::byte*>(p);
}

}  // namespace

std::byte* ReserveOnHugePage(size_t bytes) {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t size = (bytes + page - 1) / page * page;
  std::byte* const p = Map(size + kHugePage, PROT_NONE);
  if (p == nullptr) return nullptr;
  const size_t before = -reinterpret_cast<uintptr_t>(p) % kHugePage;
  if (before > 0) munmap(p, before);
  munmap(p + before + size, kHugePage - before);
  return p + before;
}

AnonymousMemory::AnonymousMemory(size_t bytes, Pages pages) {
  if (bytes == 0) return;
  data_ = pages == Pages::kHuge ? ReserveOnHugePage(bytes) : Map(bytes, PROT_READ | PROT_WRITE);
  if (data_ == nullptr) {
    throw Error(ErrorCode::kLimit, StrCat("cannot map ", HumanBytes(bytes),
                                          " of memory: choose a smaller context or batch"));
  }
  size_ = bytes;
  if (pages == Pages::kHuge) {
    EDGEWISE_CHECK(mprotect(data_, size_, PROT_READ | PROT_WRITE) == 0);
    madvise(data_, size_, MADV_HUGEPAGE);
  }
}

AnonymousMemory::AnonymousMemory(AnonymousMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

AnonymousMemory& AnonymousMemory::operator=(AnonymousMemory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

AnonymousMemory::~AnonymousMemory() {
  if (data_ != nullptr) munmap(data_, size_);
}

void AnonymousMemory::Populate() {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  for (size_t at = 0; at < size_; at += page) {
    static_cast<volatile std::byte*>(data_)[at] = std::byte{0};
  }
}

}  // namespace edgewise
