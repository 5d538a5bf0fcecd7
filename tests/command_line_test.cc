// Runs the command lines in tests/cli/*.txt (the format is in tests/cli/README.md).
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace edgewise {
namespace {

namespace fs = std::filesystem;

struct Case {
  std::string name, where;  // file:line
  std::string script;
  int status = 0;
  bool skip_sanitized = false;
  std::string needs;  // a file in the folder of shared material; skipped where it is absent
  std::vector<std::pair<std::string, std::string>> expectations;  // key, value
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.where; }

// Models and texts too large for the repository.
fs::path Shared() {
  const char* folder = std::getenv("EDGEWISE_SHARED");
  return folder != nullptr ? fs::path(folder) : fs::path(EDGEWISE_SOURCE_DIR) / "../shared";
}

std::string Read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

// \n is a newline, \\ a backslash.
std::string Unescaped(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool escape = text[i] == '\\' && i + 1 < text.size();
    if (escape) ++i;
    out += escape && text[i] == 'n' ? '\n' : text[i];
  }
  return out;
}

std::vector<Case> ReadCases() {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(EDGEWISE_SOURCE_DIR "/tests/cli")) {
    if (entry.path().extension() == ".txt") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  std::vector<Case> cases;
  for (const fs::path& path : files) {
    std::ifstream file(path);
    std::string line;
    for (int number = 1; std::getline(file, line); ++number) {
      if (line.empty() || line[0] == '#') continue;
      const size_t colon = line.find(": ");
      const std::string key = line.substr(0, colon);
      const std::string value = colon == std::string::npos ? "" : line.substr(colon + 2);
      const std::string where = path.filename().string() + ":" + std::to_string(number);
      if (key == "case") {
        cases.push_back({.name = value, .where = where, .script = "", .needs = "", .expectations = {}});
      } else if (key == "run" && !cases.empty()) {
        cases.back().script += value + "\n";
      } else if (line == "skip: sanitizers" && !cases.empty()) {
        cases.back().skip_sanitized = true;
      } else if (key == "needs" && !cases.empty()) {
        cases.back().needs = value;
      } else if (key == "status" && !cases.empty()) {
        cases.back().status = std::stoi(value);
      } else {
        const bool known = key == "stdout" || key == "stderr" || key == "stdout has" ||
                           key == "stderr has" || key == "stdout lacks" || key == "stderr lacks";
        if (!known || cases.empty()) {
          ADD_FAILURE() << where << ": unknown line: " << line;
          continue;
        }
        cases.back().expectations.emplace_back(key, Unescaped(value));
      }
    }
  }
  return cases;
}

class CommandLine : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "edgewise-cli-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    fs::create_directory(folder_ / "here");
  }
  void TearDown() override { fs::remove_all(folder_); }

  // Runs the script and returns its exit status; -1 when it was killed.
  int Run(const std::string& script) {
    const std::string program_folder = fs::path(EDGEWISE_PROGRAM).parent_path().string();
    std::ofstream(folder_ / "script") << "export PATH='" << program_folder << "':$PATH\n"
                                      << "export SOURCE='" EDGEWISE_SOURCE_DIR "'\n"
                                      << "export SHARED='" << Shared().string() << "'\n"
                                      << "unset EDGEWISE_MODELS\n"
                                      << script;
    const std::string command = "cd '" + (folder_ / "here").string() +
                                "' && timeout 120 sh ../script > ../out 2> ../err < /dev/null";
    const int result = std::system(command.c_str());
    return WIFEXITED(result) ? WEXITSTATUS(result) : -1;
  }

  fs::path folder_;
};

TEST_P(CommandLine, DoesWhatItsCaseSays) {
  const Case& c = GetParam();
  SCOPED_TRACE(c.where + ": " + c.name);
  if (EDGEWISE_SANITIZED && c.skip_sanitized) GTEST_SKIP() << "not with sanitizers";
  if (!c.needs.empty() && !fs::exists(Shared() / c.needs)) {
    GTEST_SKIP() << Shared() / c.needs << " is absent; EDGEWISE_SHARED names its folder";
  }
  const int status = Run(c.script);
  const std::string out = Read(folder_ / "out"), err = Read(folder_ / "err");
  EXPECT_EQ(status, c.status) << err;
  for (const auto& [key, value] : c.expectations) {
    const std::string& text = key.starts_with("stdout") ? out : err;
    if (key.ends_with(" has")) {
      EXPECT_NE(text.find(value), std::string::npos) << key << ": " << value << "\nbut it is\n"
                                                     << text;
    } else if (key.ends_with(" lacks")) {
      EXPECT_EQ(text.find(value), std::string::npos) << key << ": " << value << "\nbut it is\n"
                                                     << text;
    } else {
      EXPECT_EQ(text, value) << key;
    }
  }
  if (c.status != 0) {
    EXPECT_EQ(std::count(err.begin(), err.end(), '\n'), 1) << err;
    EXPECT_TRUE(err.starts_with("edgewise")) << err;
  }
  EXPECT_FALSE(c.expectations.empty() && c.status == 0) << "this case cannot fail";
}

// "run: an empty prompt" -> "run_an_empty_prompt"
std::string TestName(const testing::TestParamInfo<Case>& info) {
  std::string name = info.param.name;
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  return name;
}

INSTANTIATE_TEST_SUITE_P(, CommandLine, testing::ValuesIn(ReadCases()), TestName);

}  // namespace
}  // namespace edgewise
