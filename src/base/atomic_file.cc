#include "base/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <utility>

#include "base/error.h"

namespace edgewise {
namespace {

constexpr size_t kLargestWrite = size_t{1} << 30;  // Linux transfers at most 2 GiB a call
constexpr int kNameAttempts = 100;

// Follows symbolic links to the file to replace; refuses what cannot be replaced by a rename.
std::string TargetOf(const std::string& path) {
  if (path.empty()) throw Error(ErrorCode::kIo, "cannot write a file without a name");
  struct stat status = {};
  if (lstat(path.c_str(), &status) != 0) return path;  // new, or open() will say what is wrong
  const std::unique_ptr<char, decltype(&free)> resolved(realpath(path.c_str(), nullptr), free);
  if (resolved == nullptr || stat(resolved.get(), &status) != 0) {
    throw Error(ErrorCode::kIo, StrCat("cannot write ", path, ": ", std::strerror(errno)));
  }
  if (!S_ISREG(status.st_mode)) {
    throw Error(ErrorCode::kIo, StrCat("cannot write ", path, ": it exists and is ",
                                       S_ISDIR(status.st_mode) ? "a folder" : "no regular file",
                                       ", choose another name"));
  }
  if (access(resolved.get(), W_OK) != 0) {
    throw Error(ErrorCode::kIo, StrCat("cannot replace ", path, ": ", std::strerror(errno)));
  }
  return resolved.get();
}

std::string TemporaryName(const std::string& target) {
  std::random_device random;
  std::array<char, 16> suffix;
  std::snprintf(suffix.data(), suffix.size(), ".tmp-%08x", static_cast<unsigned>(random()));
  return target + suffix.data();
}

}  // namespace

AtomicFile::AtomicFile(const std::string& path) : path_(path), target_(TargetOf(path)) {
  for (int attempt = 0; attempt < kNameAttempts && fd_ < 0; ++attempt) {
    temporary_ = TemporaryName(target_);
    fd_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd_ < 0 && errno != EEXIST) break;
  }
  if (fd_ < 0) Fail(errno);
}

AtomicFile::~AtomicFile() {
  if (fd_ >= 0) close(fd_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

void AtomicFile::Fail(int error) const {
  throw Error(ErrorCode::kIo, StrCat("cannot write ", path_, ": ", std::strerror(error), " (after ",
                                     HumanBytes(written_), ")"));
}

void AtomicFile::Write(std::span<const std::byte> bytes) {
  EDGEWISE_CHECK(fd_ >= 0);
  while (!bytes.empty()) {
    const ssize_t count = write(fd_, bytes.data(), std::min(bytes.size(), kLargestWrite));
    if (count < 0) {
      if (errno == EINTR) continue;
      Fail(errno);
    }
    written_ += static_cast<uint64_t>(count);
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
}

void AtomicFile::Commit() {
  EDGEWISE_CHECK(fd_ >= 0);
  // Before the rename: some file systems find out only now that the disk is full, and after a power
  // cut the new name must not stand for missing data.
  if (fsync(fd_) != 0) Fail(errno);
  if (close(std::exchange(fd_, -1)) != 0) Fail(errno);
  if (rename(temporary_.c_str(), target_.c_str()) != 0) Fail(errno);
  temporary_.clear();
}

}  // namespace edgewise
