// A file that appears whole or not at all: written under a temporary name in the same folder, then
// renamed. Destroyed without Commit(), it removes the temporary file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace edgewise {

class AtomicFile {
 public:
  // Throws Error(kIo): unwritable or missing folder. Replaces an existing regular file on Commit();
  // a path that exists and is no regular file (a folder, a device) is refused.
  explicit AtomicFile(const std::string& path);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();

  // Throws Error(kIo), the message naming the path and the reason (full disk, ...).
  void Write(std::span<const std::byte> bytes);
  void Write(std::string_view text) { Write(std::as_bytes(std::span(text))); }
  uint64_t written() const { return written_; }
  // Flushes, checks, renames. Throws Error(kIo).
  void Commit();

 private:
  std::string path_, temporary_;
  int fd_ = -1;
  uint64_t written_ = 0;
};

}  // namespace edgewise
