// Files that have names: NAME.toml in a list of folders, as chips and devices are kept.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace edgewise {

class NamedFiles {
 public:
  // Folders, best first: the first that has a name gives the file. Folders need not exist.
  explicit NamedFiles(std::vector<std::string> folders) : folders_(std::move(folders)) {}

  // All names, sorted.
  std::vector<std::string> Names() const;
  // The file of a name: in `beside` when that is not empty and has it, then in the folders; "" if nowhere.
  std::string PathOf(std::string_view name, const std::string& beside = "") const;

  const std::vector<std::string>& folders() const { return folders_; }

 private:
  std::vector<std::string> folders_;
};

// The bytes of a file, at most one more than `most`. Throws Error(kNotFound | kIo); `what` is "chip".
std::string ReadNamedFile(const std::string& path, size_t most, std::string_view what);

// Where files of a kind ("chips", "devices") are looked for: `chosen` (what EDGEWISE_CHIPS says, "" when it
// is not set), share/edgewise/KIND beside the folder `program` that the running program is in, KIND/ of the
// source tree it was built from. What is "" is left out.
std::vector<std::string> NamedFolders(std::string_view kind, std::string_view chosen,
                                      std::string_view program, std::string_view source_tree);

}  // namespace edgewise
