#include "machine/chip_catalog.h"

#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "base/nearest.h"
#include "machine/chip_file.h"

namespace edgewise {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostBases = 16;  // a base has a base that has a base ...

}  // namespace

ChipDesign ChipCatalog::Find(const std::string& name_or_path) const {
  std::vector<std::string> open;
  const std::string path = FileOf(name_or_path);
  if (path.empty()) RefuseName(name_or_path);
  return Load(path, open);
}

std::string ChipCatalog::FileOf(const std::string& name_or_path) const {
  return fs::path(name_or_path).extension() == ".toml" ? name_or_path : files_.PathOf(name_or_path);
}

ChipDesign ChipCatalog::Load(const std::string& path, std::vector<std::string>& open) const {
  if (std::ranges::find(open, path) != open.end()) {
    throw Error(ErrorCode::kUsage, StrCat(Printable(path, 200), " is a base of itself"));
  }
  if (open.size() == kMostBases) {
    throw Error(ErrorCode::kLimit, StrCat("more than ", kMostBases, " bases stand on each other"));
  }
  open.push_back(path);
  const std::string beside = fs::path(path).parent_path().string();
  const auto find_base = [&](const std::string& base) {
    const std::string base_path = files_.PathOf(base, beside.empty() ? "." : beside);
    if (base_path.empty()) RefuseName(base);
    return Load(base_path, open);
  };
  return ParseChip(ReadNamedFile(path, kMostChipFileBytes, "chip"), path, find_base);
}

void ChipCatalog::RefuseName(std::string_view name) const {
  const std::vector<std::string> names = Names();
  const std::string_view near = Nearest(name, names);
  std::string list, places;
  for (const std::string& one : names) list += (list.empty() ? "" : ", ") + one;
  for (const std::string& one : files_.folders()) places += (places.empty() ? "" : ", ") + one;
  const std::string known = names.empty() ? StrCat("there are no chip files in ", Printable(places, 400))
                                          : StrCat("known are ", Printable(list, 1000));
  throw Error(ErrorCode::kNotFound,
              StrCat("no chip is named '", Printable(name), "'",
                     near.empty() ? "" : StrCat(", did you mean ", near, "?"), " (", known,
                     "; a path must end in .toml)"));
}

}  // namespace edgewise
