// A file that appears whole or not at all: written under a temporary name in the same folder, then
// renamed. Destroyed without Commit(), it removes the temporary file.
//
// A process that is killed leaves NAME.tmp-XXXXXXXX behind, never a half-written NAME. (A file
// without a name, O_TMPFILE, would leave nothing, but it cannot replace an existing file and many
// file systems lack it.)
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace edgewise {

class AtomicFile {
 public:
  // Throws Error(kIo): unwritable or missing folder. Replaces an existing regular file on Commit()
  // (behind a symbolic link: the file it points to); a path that exists and is no regular file (a
  // folder, a device), or is write-protected, is refused.
  explicit AtomicFile(const std::string& path);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();

  // Throws Error(kIo), the message naming the path and the reason (full disk, ...). The whole span
  // or an error.
  void Write(std::span<const std::byte> bytes);
  void Write(std::string_view text) { Write(std::as_bytes(std::span(text))); }
  uint64_t written() const { return written_; }
  // Flushes to the disk, checks, renames; once, the last call. Throws Error(kIo).
  void Commit();

 private:
  [[noreturn]] void Fail(int error) const;

  std::string path_;       // as given, for messages
  std::string target_;     // what is replaced
  std::string temporary_;  // empty once renamed
  int fd_ = -1;
  uint64_t written_ = 0;
};

}  // namespace edgewise
