// The chips that have names: files in folders.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "machine/chip.h"
#include "machine/named_files.h"

namespace edgewise {

class ChipCatalog {
 public:
  // Folders of chip files, best first: the first that has a name gives the chip. Folders need not exist.
  explicit ChipCatalog(std::vector<std::string> folders) : files_(std::move(folders)) {}

  // The chip of this name, or of this file when it ends in .toml. The base of a file is looked for beside it,
  // then in the folders. Throws Error(kNotFound) for an unknown name (saying the nearest, and all), a file
  // that cannot be read; Error(kUsage | kLimit) for one that is no valid chip.
  ChipDesign Find(const std::string& name_or_path) const;

  // The file that Find would read; "" when there is none.
  std::string FileOf(const std::string& name_or_path) const;

  // All names, sorted.
  std::vector<std::string> Names() const { return files_.Names(); }

 private:
  ChipDesign Load(const std::string& path, std::vector<std::string>& open) const;
  [[noreturn]] void RefuseName(std::string_view name) const;

  NamedFiles files_;
};

}  // namespace edgewise
