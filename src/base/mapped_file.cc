#include "base/mapped_file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <utility>

#include "base/error.h"
#include "base/memory.h"

namespace edgewise {
namespace {

// What the signal handler knows of one mapping. A slot is free when begin is 0; size changes only
// while it is.
struct Slot {
  std::atomic<uintptr_t> begin{0};
  std::atomic<size_t> size{0};
  std::atomic<bool> taken{false};
  std::atomic<bool> lost{false};
};
static_assert(std::atomic<uintptr_t>::is_always_lock_free);
static_assert(std::atomic<bool>::is_always_lock_free);

std::array<Slot, MappedFile::kMaxMappings> slots;
uintptr_t page_size = 0;
struct sigaction previous = {};

// If `address` lies in one of our mappings: zeros from its page to the mapping's end. One piece,
// not one page: a shrunken file has lost all that follows too, and a page each would run into the
// kernel's limit of 65,530 mappings. mmap as a bare system call: that is safe in a handler, and
// sanitizers, which take over mmap(), would call it a race with the very read that faulted.
bool ReplaceLostPages(uintptr_t address) {
  for (Slot& slot : slots) {
    const uintptr_t begin = slot.begin.load(std::memory_order_acquire);
    const size_t size = slot.size.load(std::memory_order_acquire);
    if (begin == 0 || address < begin || address - begin >= size) continue;
    if (slot.begin.load(std::memory_order_acquire) != begin) continue;  // reused meanwhile
    slot.lost.store(true, std::memory_order_release);
    const uintptr_t page = address / page_size * page_size;
    const long flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
    return syscall(SYS_mmap, page, begin + size - page, long{PROT_READ}, flags, -1L, 0L) != -1;
  }
  return false;
}

void OnSigbus(int signal, siginfo_t* info, void* context) {
  const int saved_errno = errno;
  const bool ours =
      info->si_code == BUS_ADRERR && ReplaceLostPages(reinterpret_cast<uintptr_t>(info->si_addr));
  errno = saved_errno;
  if (ours) return;
  if ((previous.sa_flags & SA_SIGINFO) != 0) {
    previous.sa_sigaction(signal, info, context);
  } else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
    previous.sa_handler(signal);
  } else {
    // Back to what it was: the access faults again and ends the process as it would have without
    // us. A signal sent by kill() has no access to repeat, so send it on.
    sigaction(SIGBUS, &previous, nullptr);
    if (info->si_code <= 0) raise(signal);
  }
}

void InstallHandler() {
  static std::once_flag once;
  std::call_once(once, [] {
    page_size = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
    sigaction(SIGBUS, nullptr, &previous);
    struct sigaction action = {};
    action.sa_sigaction = OnSigbus;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, nullptr);
  });
}

int TakeSlot(const std::byte* data, size_t size) {
  for (size_t i = 0; i < slots.size(); ++i) {
    if (slots[i].taken.exchange(true, std::memory_order_acquire)) continue;
    slots[i].lost.store(false, std::memory_order_relaxed);
    slots[i].size.store(size, std::memory_order_release);
    slots[i].begin.store(reinterpret_cast<uintptr_t>(data), std::memory_order_release);
    return static_cast<int>(i);
  }
  return -1;
}

void ReleaseSlot(int slot) {
  slots[static_cast<size_t>(slot)].begin.store(0, std::memory_order_release);
  slots[static_cast<size_t>(slot)].taken.store(false, std::memory_order_release);
}

[[noreturn]] void Fail(int fd, ErrorCode code, const std::string& message) {
  if (fd >= 0) close(fd);
  throw Error(code, message);
}

}  // namespace

MappedFile::MappedFile(const std::string& path) : path_(path) {
  InstallHandler();
  // O_NONBLOCK: opening a pipe without a writer must not wait.
  fd_ = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd_ < 0) {
    Fail(fd_, errno == ENOENT || errno == ENOTDIR ? ErrorCode::kNotFound : ErrorCode::kIo,
         StrCat("cannot open ", path, ": ", std::strerror(errno)));
  }
  struct stat status = {};
  if (fstat(fd_, &status) != 0) {
    Fail(fd_, ErrorCode::kIo, StrCat("cannot examine ", path, ": ", std::strerror(errno)));
  }
  if (!S_ISREG(status.st_mode)) {
    Fail(fd_, ErrorCode::kIo,
         StrCat("cannot read ", path, ": it is ",
                S_ISDIR(status.st_mode) ? "a folder" : "a pipe or a device",
                ", a regular file is needed"));
  }
  if (status.st_size == 0) Fail(fd_, ErrorCode::kIo, StrCat("cannot read ", path, ": it is empty"));

  size_ = static_cast<size_t>(status.st_size);
  // On a huge page, so that a copy in its place can have huge ones.
  std::byte* const place = ReserveOnHugePage(size_);
  void* data = place == nullptr
                   ? MAP_FAILED
                   : mmap(place, size_, PROT_READ, MAP_SHARED | MAP_FIXED, fd_, 0);
  if (data == MAP_FAILED) {
    const std::string reason = std::strerror(errno);
    if (place != nullptr) munmap(place, size_);
    Fail(fd_, ErrorCode::kIo, StrCat("cannot map ", path, " (", HumanBytes(size_), "): ", reason));
  }
  data_ = static_cast<const std::byte*>(data);
  slot_ = TakeSlot(data_, size_);
  if (slot_ < 0) {
    munmap(data, size_);
    Fail(fd_, ErrorCode::kLimit,
         StrCat("cannot map ", path, ": ", kMaxMappings, " files are open already"));
  }
}

MappedFile::~MappedFile() {
  if (slot_ >= 0) ReleaseSlot(slot_);
  munmap(const_cast<std::byte*>(data_), size_);
  close(fd_);
}

void MappedFile::CheckIntact() const {
  if (slot_ < 0) return;
  struct stat status = {};
  const bool lost = slots[static_cast<size_t>(slot_)].lost.load(std::memory_order_acquire);
  if (lost || fstat(fd_, &status) != 0 || static_cast<size_t>(status.st_size) < size_) {
    throw Error(ErrorCode::kIo, StrCat(path_,
                                       ": the file was cut short, or could not be read, while "
                                       "it was in use: restore it and start again"));
  }
}

void MappedFile::Populate(size_t begin, size_t end) const {
  EDGEWISE_CHECK(begin % page_size == 0 && end <= size_);
  madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_WILLNEED);
  for (size_t at = begin; at < end; at += page_size) {
    static_cast<void>(static_cast<const volatile std::byte*>(data_)[at]);
  }
}

void MappedFile::CopyToMemory(FunctionRef<void(uint64_t done)> progress) {
  EDGEWISE_CHECK(slot_ >= 0);
  constexpr size_t kPiece = 64 << 20;
  ReleaseSlot(std::exchange(slot_, -1));
  auto* const data = const_cast<std::byte*>(data_);
  if (mmap(data, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
           0) == MAP_FAILED) {
    throw Error(ErrorCode::kLimit, StrCat("no memory for a copy of ", path_, " (", HumanBytes(size_),
                                          "): leave out --huge-pages"));
  }
  madvise(data, size_, MADV_HUGEPAGE);
  for (size_t at = 0; at < size_;) {
    const size_t end = std::min(size_, (at / kPiece + 1) * kPiece);
    const ssize_t count = pread(fd_, data + at, end - at, static_cast<off_t>(at));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      throw Error(ErrorCode::kIo, StrCat("cannot read ", path_, ": ",
                                         count < 0 ? std::strerror(errno) : "it was cut short meanwhile"));
    }
    posix_fadvise(fd_, static_cast<off_t>(at), count, POSIX_FADV_DONTNEED);
    at += static_cast<size_t>(count);
    progress(at);
  }
  mprotect(data, size_, PROT_READ);
}

size_t MappedFile::ResidentBytes() const {
  std::array<unsigned char, 16384> pages;  // one per page: 64 MiB a call
  size_t bytes = 0;
  for (size_t at = 0; at < size_; at += pages.size() * page_size) {
    const size_t length = std::min(size_ - at, pages.size() * page_size);
    if (mincore(const_cast<std::byte*>(data_) + at, length, pages.data()) != 0) return bytes;
    const size_t count = (length + page_size - 1) / page_size;
    for (size_t i = 0; i < count; ++i) {
      if ((pages[i] & 1) != 0) bytes += std::min(page_size, length - i * page_size);
    }
  }
  return bytes;
}

}  // namespace edgewise
