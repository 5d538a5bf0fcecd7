#include "machine/named_files.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include "base/error.h"

namespace edgewise {
namespace {

namespace fs = std::filesystem;

bool IsName(std::string_view text) {
  return !text.empty() && text[0] != '.' && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  });
}

}  // namespace

std::vector<std::string> NamedFiles::Names() const {
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

std::string NamedFiles::PathOf(std::string_view name, const std::string& beside) const {
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

std::string ReadNamedFile(const std::string& path, size_t most, std::string_view what) {
  std::error_code error;
  if (!fs::is_regular_file(path, error)) {
    throw Error(ErrorCode::kNotFound, StrCat(Printable(path, 200), ": no such ", what, " file"));
  }
  std::ifstream in(path, std::ios::binary);
  std::string text(most + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (in.bad() || !in.is_open()) {
    throw Error(ErrorCode::kIo, StrCat(Printable(path, 200), ": cannot read it"));
  }
  text.resize(static_cast<size_t>(in.gcount()));
  return text;
}

std::vector<std::string> NamedFolders(std::string_view kind, std::string_view chosen,
                                      std::string_view program, std::string_view source_tree) {
  std::vector<std::string> folders;
  if (!chosen.empty()) folders.emplace_back(chosen);
  if (!program.empty()) {
    folders.push_back((fs::path(program).parent_path() / "share/edgewise" / kind).string());
  }
  if (!source_tree.empty()) folders.push_back((fs::path(source_tree) / kind).string());
  return folders;
}

}  // namespace edgewise
