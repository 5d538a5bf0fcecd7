// The architecture, checked: which module may include which (docs/architecture.md), and that no
// source file outgrows a reader.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>

namespace edgewise {
namespace {

namespace fs = std::filesystem;

// A module may include itself and these.
const std::map<std::string, std::set<std::string>> kMayInclude = {
    {"base", {}},
    {"quant", {"base"}},
    {"gguf", {"base", "quant"}},
    {"jinja", {"base"}},
    {"tokenizer", {"base", "gguf", "jinja"}},
    {"model", {"base", "quant", "gguf"}},
    {"graph", {"base", "quant", "model"}},
    {"machine", {"base", "quant", "model", "graph"}},
    {"predict", {"base", "quant", "model", "graph", "machine"}},
    {"chip", {"base", "quant", "model", "graph", "machine"}},
    {"kernels", {"base", "quant"}},
    {"engine", {"base", "quant", "gguf", "model", "graph", "kernels"}},
    {"compress", {"base", "quant", "gguf", "tokenizer", "model", "graph", "engine"}},
    {"cli",
     {"base", "quant", "gguf", "tokenizer", "model", "graph", "machine", "predict", "chip", "kernels",
      "engine", "compress"}},
};

constexpr int kMaxLines = 600;

std::string ModuleOf(const fs::path& file, const fs::path& src) {
  return fs::relative(file, src).begin()->string();
}

template <typename F>
void ForEachSource(const fs::path& root, F&& f) {
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    const std::string extension = entry.path().extension();
    if (extension == ".h" || extension == ".cc") f(entry.path());
  }
}

TEST(Structure, ModulesIncludeOnlyTheLayersBelow) {
  const fs::path src = fs::path(EDGEWISE_SOURCE_DIR) / "src";
  const std::regex include("^\\s*#include \"([a-z_]+)/[^\"]+\"");
  int lines_seen = 0;
  ForEachSource(src, [&](const fs::path& file) {
    const std::string module = ModuleOf(file, src);
    ASSERT_TRUE(kMayInclude.contains(module)) << file << ": add module " << module
                                              << " to the table here and in docs/architecture.md";
    std::ifstream in(file);
    std::string line;
    while (std::getline(in, line)) {
      std::smatch match;
      if (!std::regex_search(line, match, include)) continue;
      ++lines_seen;
      const std::string other = match[1];
      EXPECT_TRUE(other == module || kMayInclude.at(module).contains(other))
          << file << " includes " << match[0] << ", which " << module << " may not";
    }
  });
  EXPECT_GT(lines_seen, 50) << "the scan found no includes: is the pattern still right?";
}

TEST(Structure, NoSourceFileIsLongerThanAReaderCanHold) {
  for (const char* folder : {"src", "tests", "fuzz"}) {
    ForEachSource(fs::path(EDGEWISE_SOURCE_DIR) / folder, [&](const fs::path& file) {
      std::ifstream in(file);
      std::string line;
      int lines = 0;
      while (std::getline(in, line)) ++lines;
      EXPECT_LE(lines, kMaxLines) << file;
    });
  }
}

}  // namespace
}  // namespace edgewise
