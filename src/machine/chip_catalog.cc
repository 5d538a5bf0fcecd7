#include "machine/chip_catalog.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include "base/error.h"
#include "base/nearest.h"
#include "machine/chip_file.h"

namespace edgewise {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostBases = 16;  // a base has a base that has a base ...

bool IsName(std::string_view text) {
  return !text.empty() && text[0] != '.' && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  });
}

std::string ReadChipFile(const std::string& path) {
  std::error_code error;
  if (!fs::is_regular_file(path, error)) {
    throw Error(ErrorCode::kNotFound, StrCat(Printable(path, 200), ": no such chip file"));
  }
  std::ifstream in(path, std::ios::binary);
  std::string text(kMostChipFileBytes + 1, '\0');  // one more than ParseChip takes
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (in.bad() || !in.is_open()) {
    throw Error(ErrorCode::kIo, StrCat(Printable(path, 200), ": cannot read it"));
  }
  text.resize(static_cast<size_t>(in.gcount()));
  return text;
}

}  // namespace

ChipDesign ChipCatalog::Find(const std::string& name_or_path) const {
  std::vector<std::string> open;
  const std::string path = FileOf(name_or_path);
  if (path.empty()) RefuseName(name_or_path);
  return Load(path, open);
}

std::string ChipCatalog::FileOf(const std::string& name_or_path) const {
  return fs::path(name_or_path).extension() == ".toml" ? name_or_path : PathOf(name_or_path, "");
}

std::vector<std::string> ChipCatalog::Names() const {
  std::set<std::string> names;
  for (const std::string& folder : folders_) {
    std::error_code error;
    for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
      const std::string stem = it->path().stem().string();
      std::error_code unreadable;
      if (it->path().extension() == ".toml" && IsName(stem) && it->is_regular_file(unreadable)) {
        names.insert(stem);
      }
    }
  }
  return {names.begin(), names.end()};
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
    const std::string base_path = PathOf(base, beside.empty() ? "." : beside);
    if (base_path.empty()) RefuseName(base);
    return Load(base_path, open);
  };
  return ParseChip(ReadChipFile(path), path, find_base);
}

std::string ChipCatalog::PathOf(std::string_view name, const std::string& beside) const {
  if (!IsName(name)) return "";
  std::vector<std::string> folders = folders_;
  if (!beside.empty()) folders.insert(folders.begin(), beside);
  for (const std::string& folder : folders) {
    const fs::path path = fs::path(folder) / StrCat(name, ".toml");
    std::error_code error;
    if (fs::is_regular_file(path, error)) return path.string();
  }
  return "";
}

void ChipCatalog::RefuseName(std::string_view name) const {
  const std::vector<std::string> names = Names();
  const std::string_view near = Nearest(name, names);
  std::string list, places;
  for (const std::string& one : names) list += (list.empty() ? "" : ", ") + one;
  for (const std::string& one : folders_) places += (places.empty() ? "" : ", ") + one;
  const std::string known = names.empty() ? StrCat("there are no chip files in ", Printable(places, 400))
                                          : StrCat("known are ", Printable(list, 1000));
  throw Error(ErrorCode::kNotFound,
              StrCat("no chip is named '", Printable(name), "'",
                     near.empty() ? "" : StrCat(", did you mean ", near, "?"), " (", known,
                     "; a path must end in .toml)"));
}

std::vector<std::string> ChipFolders(std::string_view chosen, std::string_view program,
                                     std::string_view source_tree) {
  std::vector<std::string> folders;
  if (!chosen.empty()) folders.emplace_back(chosen);
  if (!program.empty()) {
    folders.push_back((fs::path(program).parent_path() / "share/edgewise/chips").string());
  }
  if (!source_tree.empty()) folders.push_back((fs::path(source_tree) / "chips").string());
  return folders;
}

}  // namespace edgewise
