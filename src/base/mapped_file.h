// Read-only memory mapping of a file.
//
// When a mapped file is cut short while we read it, the kernel raises SIGBUS at the lost page. We
// answer the signal by putting a zero page there and marking the mapping, so the reader goes on with
// zeros until the next CheckIntact() throws. A SIGBUS outside our mappings goes to whoever handled
// it before.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace edgewise {

class MappedFile {
 public:
  // Throws Error(kNotFound | kIo): missing, unreadable, a directory, or empty.
  explicit MappedFile(const std::string& path);
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }

  // Throws Error(kIo) if any page of the mapping was lost since it was made. Cheap (one load).
  void CheckIntact() const;

  // Reads every page into the page cache and maps it.
  void Populate() const;

  // Bytes of [begin, begin + size) resident in memory now, in whole pages.
  size_t ResidentBytes() const;

 private:
  std::string path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  int slot_ = -1;  // in the table that the signal handler reads
};

}  // namespace edgewise
