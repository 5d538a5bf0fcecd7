// Read-only memory mapping of a file.
//
// When a mapped file is cut short while we read it, the kernel raises SIGBUS at the lost page. We
// answer the signal by putting zero pages there and marking the mapping, so the reader goes on with
// zeros until the next CheckIntact() throws. A SIGBUS outside our mappings goes to whoever handled
// it before.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/function_ref.h"

namespace edgewise {

class MappedFile {
 public:
  // Mappings that may exist at once: two per part of the largest split file we open.
  static constexpr int kMaxMappings = 1024;

  // Throws Error(kNotFound | kIo | kLimit): missing, unreadable, empty, a folder, a pipe or a
  // device, too many mappings.
  explicit MappedFile(const std::string& path);
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }

  // Throws Error(kIo) if the file is shorter than when it was mapped, or a page of it could not be
  // read. One load and one fstat, below a microsecond: for once per step, not once per row.
  void CheckIntact() const;

  // Reads the pages of [begin, end) into the page cache and maps them. Requires a begin on a page.
  void Populate(size_t begin, size_t end) const;

  // Replaces the mapping by a copy of the file in private memory of huge pages (Pages::kHuge), at the same
  // addresses; from then on the file may change or go. What the page cache holds of it is given back, so
  // that it is not in memory twice. Nobody may read meanwhile. progress: bytes done, of bytes().size().
  // Throws Error(kIo) for a file that cannot be read whole, Error(kLimit) without memory for it: the
  // bytes are worthless then.
  void CopyToMemory(FunctionRef<void(uint64_t done)> progress);

  // Bytes of the mapping resident in memory now (in the page cache, whoever read them).
  size_t ResidentBytes() const;

 private:
  std::string path_;
  int fd_ = -1;  // kept to see the file shrink: the tail of a page reads as zeros without a signal
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  int slot_ = -1;  // in the table that the signal handler reads; -1: copied, nothing to lose
};

}  // namespace edgewise
